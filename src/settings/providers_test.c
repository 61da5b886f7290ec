/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/providers.h"

#include "base/bucket.h"
#include "kit/kit.h"

#include <string.h>

static void test_the_built_in_ones(void **state)
{
    struct settings settings = {.references = 1};
    struct settings_providers *providers = settings_providers_new(&settings);
    const struct settings_provider *provider;
    const char *words_cstr;

    (void)state;
    assert_true(providers->count >= 5);
    provider = settings_provider_of(providers, "ASPMX.l.google.com");
    assert_non_null(provider);
    assert_string_equal(provider->name_cstr, "google");
    assert_true(provider->connections > 0);
    assert_null(settings_provider_of(providers, "google.com"));
    assert_null(settings_provider_of(providers, "mx.notgoogle.com.test"));
    assert_null(settings_provider_of(providers, "xgoogle.com"));
    assert_ptr_equal(settings_provider_find(providers, S("google")), provider);
    provider = settings_provider_find(providers, S("yahoo"));
    assert_int_equal(
        settings_provider_pause_ms(
            provider, S("421 4.7.0 [tss04] Messages temporarily deferred"), &words_cstr),
        2 * 3600 * 1000);
    assert_string_equal(words_cstr, "[TSS04]");
    assert_int_equal(settings_provider_pause_ms(provider, S("451 greylisted"), &words_cstr), 0);
    assert_null(words_cstr);
    settings_providers_free(&providers);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text_cstr, *why_cstr;
    } cases[] = {
        {"provider { }", "title"},
        {"provider \"a\" { }", "has no hosts"},
        {"provider \"\" { mx = {\"a.test\"} }", "has no name"},
        {"provider \"a\" { mx = {\"*\"} }", "is no host"},
        {"provider \"a\" { mx = {\"*.*.test\"} }", "is no host"},
        {"provider \"a\" { mx = {\"a.test\"} connections = 1001 }", "connections"},
        {"provider \"a\" { mx = {\"a.test\"} connections = x }", "connections"},
        {"provider \"a\" { mx = {\"a.test\"} limit = 1 }", "unknown setting"},
        {"provider \"a\" { mx = {\"a.test\"} backoff \"x\" { } }", "pause"},
        {"provider \"a\" { mx = {\"a.test\"} backoff \"\" { pause = 1m } }", "has no name"},
        {"provider \"a\" { mx = {\"a.test\"} }\nprovider \"a\" { mx = {\"b.test\"} }",
         "duplicate"},
        {"provider \"a\" { mx = {\"a.test\"}", "brace"},
        {"hostname = \"a.test\"", "unknown setting"},
    };
    struct settings_providers *providers;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(settings_providers_parse(slice_from_cstr(cases[i].text_cstr), "p.conf",
                                              &providers, &err));
        if (strstr(err.text_cstr, cases[i].why_cstr) == NULL)
            fail_msg("%s: %s", cases[i].text_cstr, err.text_cstr);
    }
    assert_true(settings_providers_parse(S(""), "p.conf", &providers, &err));
    assert_int_equal(providers->count, 0);
    settings_providers_free(&providers);
}

static void test_the_bucket_tells_the_time(void **state)
{
    struct bucket bucket = {0};
    int64_t now_us = 1000000000;

    (void)state;
    /* 60 a minute, one at once: one a second, exactly. */
    for (int i = 0; i < 100; i++) {
        assert_true(bucket_next_us(&bucket, 60, 1) <= now_us);
        bucket_take(&bucket, 60, now_us);
        assert_int_equal(bucket_next_us(&bucket, 60, 1), now_us + 1000000);
        now_us = bucket_next_us(&bucket, 60, 1);
    }
    /* 600 a minute: ten at once after a rest, then one each tenth of a second. */
    bucket = (struct bucket){0};
    assert_int_equal(bucket_burst(600), 10);
    for (int i = 0; i < 10; i++) {
        assert_true(bucket_next_us(&bucket, 600, 10) <= now_us);
        bucket_take(&bucket, 600, now_us);
    }
    assert_int_equal(bucket_next_us(&bucket, 600, 10), now_us + 100000);
    assert_int_equal(bucket_next_us(&bucket, 0, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_built_in_ones),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_the_bucket_tells_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
