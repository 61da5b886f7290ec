/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/outbound.h"

#include "kit/kit.h"

#include <string.h>

static void test_uses(void **state)
{
    static const struct {
        const char *text_cstr, *name_cstr;
        uint32_t weight;
    } good[] = {{"blue", "blue", 0}, {"blue=1", "blue", 1}, {" blue = 1000 ", "blue", 1000}};
    static const char *const bad[] = {"",          "=3",     "blue=", "blue=0",
                                      "blue=1001", "blue=x", "a=1=2"};
    struct slice name;
    uint32_t weight;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(outbound_use_parse(slice_from_cstr(good[i].text_cstr), &name, &weight));
        assert_true(slice_equal(name, slice_from_cstr(good[i].name_cstr)));
        assert_int_equal(weight, good[i].weight);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(outbound_use_parse(slice_from_cstr(bad[i]), &name, &weight));
}

static void test_sources(void **state)
{
    static const char *const both[] = {"192.0.2.1", "2001:db8::1"};
    struct settings_outbound outbound = {.source = both, .source_count = 2};
    static const char *const bad[] = {"", "192.0.2", "192.0.2.1:25", "[::1]", "mail.test"};
    struct sockaddr_storage address;
    socklen_t len;

    (void)state;
    assert_int_equal(outbound_source(&outbound, AF_INET, &address), sizeof(struct sockaddr_in));
    assert_int_equal(outbound_source(&outbound, AF_INET6, &address),
                     sizeof(struct sockaddr_in6));
    outbound.source_count = 1;
    assert_int_equal(outbound_source(&outbound, AF_INET6, &address), 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(outbound_source_parse(slice_from_cstr(bad[i]), &address, &len));
}

#define HEAD "hostname = \"mail.test\" state = \"/s\" master_key = \"/m\"\n"

static void test_whole(void **state)
{
    struct settings *settings;
    enum settings_file_kind kind = SETTINGS_FILE_MASTER_KEY;
    size_t position = 0, passwords = 0;
    struct err err;

    (void)state;
    assert_true(settings_parse(
        S(HEAD "default_outbound = {\"blue=2\", direct}\n"
               "outbound \"blue\" { weight = 3 source = {\"192.0.2.1\", \"2001:db8::1\"}\n"
               "  helo = \"blue.mail.test\" smart_host = \"smtp.test:2525\" mode = tls\n"
               "  user = \"u\" password_file = \"/p\" secure_mail = yes }\n"
               "account \"a\" { organisation = A methods = {tls} outbound = {\"blue\"} }\n"),
        "t.conf", &settings, &err));
    assert_int_equal(settings->outbounds[0].weight, 3);
    assert_int_equal(settings->outbounds[0].mode, OUTBOUND_TLS);
    assert_int_equal(settings->default_outbound_count, 2);
    assert_int_equal(settings->accounts[0].outbound_count, 1);
    assert_non_null(settings_outbound_find(settings, S("BLUE")));
    assert_null(settings_outbound_find(settings, S("green")));
    while (settings_file_next(settings, &position, &kind) != NULL)
        passwords += kind == SETTINGS_FILE_PASSWORD ? 1 : 0;
    assert_int_equal(passwords, 1);
    settings_unref(&settings);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *text_cstr, *why_cstr;
    } cases[] = {
        {HEAD "outbound \"direct\" { }\n", "a name is letters"},
        {HEAD "outbound \"a b\" { }\n", "a name is letters"},
        {HEAD "outbound \"a\" { }\noutbound \"A\" { }\n", "is there already"},
        {HEAD "outbound \"a\" { weight = 1001 }\n", "weight"},
        {HEAD "outbound \"a\" { source = {\"x\"} }\n", "is no address"},
        {HEAD "outbound \"a\" { source = {\"192.0.2.1\", \"192.0.2.2\"} }\n",
         "at most one IPv4"},
        {HEAD "outbound \"a\" { smart_host = \"h\" user = \"u\" }\n", "belong together"},
        {HEAD "outbound \"a\" { user = \"u\" password_file = \"p\" }\n", "no smart_host"},
        {HEAD "outbound \"a\" { smart_host = \"h:0\" }\n", "smart_host"},
        {HEAD "outbound \"a\" { mode = ssl }\n", "mode"},
        {HEAD "default_outbound = {\"b\"}\noutbound \"a\" { }\n", "there is no outbound"},
        {HEAD "default_outbound = {\"a=0\"}\noutbound \"a\" { }\n", "is no outbound route"},
        {HEAD "account \"x\" { organisation = A methods = {tls} outbound = {\"a\"} }\n",
         "there is no outbound"},
    };
    struct settings *settings;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_false(
            settings_parse(slice_from_cstr(cases[i].text_cstr), "t.conf", &settings, &err));
        if (strstr(err.text_cstr, cases[i].why_cstr) == NULL)
            fail_msg("%s: %s", cases[i].text_cstr, err.text_cstr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
