/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tlsa.h"

#include "crypto/certificate.h"
#include "crypto/internal.h"
#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct tlsa_set set;

static bool add(uint8_t usage, uint8_t selector, uint8_t matching, const void *data, size_t len)
{
    uint8_t *rdata = malloc(3 + len);
    bool ok;

    rdata[0] = usage;
    rdata[1] = selector;
    rdata[2] = matching;
    memcpy(rdata + 3, data, len);
    ok = tlsa_set_add(&set, slice_of(rdata, 3 + len));
    free(rdata);
    return ok;
}

static void test_what_means_something(void **state)
{
    static const struct {
        uint8_t usage, selector, matching;
        size_t len;
        bool is_usable;
    } cases[] = {
        {3, 1, 1, 32, true},  {3, 0, 1, 32, true},    {2, 0, 1, 32, true},
        {2, 1, 2, 64, true},  {0, 0, 1, 32, false},   {1, 1, 1, 32, false},
        {4, 1, 1, 32, false}, {255, 1, 1, 32, false}, {3, 2, 1, 32, false},
        {3, 1, 3, 32, false}, {3, 1, 255, 32, false}, {3, 1, 1, 31, false},
        {3, 1, 1, 33, false}, {3, 1, 1, 0, false},    {3, 1, 2, 32, false},
        {3, 1, 0, 0, false},  {3, 1, 0, 40, false},   {2, 0, 0, 40, false},
    };
    static const uint8_t zeros[64];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        memset(&set, 0, sizeof set);
        assert_true(
            add(cases[i].usage, cases[i].selector, cases[i].matching, zeros, cases[i].len));
        if (set.records[0].is_usable != cases[i].is_usable)
            fail_msg("case %zu", i);
        assert_int_equal(set.usable_count, cases[i].is_usable);
        assert_int_equal(set.count, 1);
    }
}

static void test_malformed_records_still_count_as_published(void **state)
{
    (void)state;
    memset(&set, 0, sizeof set);
    assert_true(tlsa_set_add(&set, S("")));
    assert_true(tlsa_set_add(&set, S("\3")));
    assert_true(tlsa_set_add(&set, S("\3\1")));
    assert_true(tlsa_set_add(&set, S("\3\1\1")));
    assert_int_equal(set.count, 4);
    assert_int_equal(set.usable_count, 0);
    assert_int_equal(set.records[2].usage, 255);
}

static void test_whole_certificates_and_keys(void **state)
{
    struct certificate_wish wish = {.common_name_cstr = "a",
                                    .not_before_s = (int64_t)time(NULL) - 100,
                                    .not_after_s = (int64_t)time(NULL) + 1000};
    struct certificate_pair pair = {0};
    unsigned char *certificate_der = NULL, *key_der = NULL, longer[256] = {0};
    X509 *certificate;
    int certificate_len, key_len;

    (void)state;
    must(certificate_make_authority(&wish, &pair, NULL));
    certificate = crypto__certificate_parse(buffer_view(&pair.certificate_pem));
    certificate_len = i2d_X509(certificate, &certificate_der);
    key_len = i2d_PUBKEY(X509_get0_pubkey(certificate), &key_der);
    memset(&set, 0, sizeof set);
    assert_true(add(2, 0, 0, certificate_der, (size_t)certificate_len));
    assert_true(add(3, 1, 0, key_der, (size_t)key_len));
    assert_int_equal(set.usable_count, 2);
    assert_int_equal(tlsa_data(&set, &set.records[1]).len, key_len);
    assert_memory_equal(tlsa_data(&set, &set.records[1]).at, key_der, (size_t)key_len);
    /* The one as the other, cut, and with something behind. */
    assert_true(add(2, 1, 0, certificate_der, (size_t)certificate_len));
    assert_true(add(2, 0, 0, key_der, (size_t)key_len));
    assert_true(add(2, 0, 0, certificate_der, (size_t)certificate_len - 1));
    assert_true((size_t)key_len < sizeof longer);
    memcpy(longer, key_der, (size_t)key_len);
    assert_true(add(2, 1, 0, longer, (size_t)key_len + 1));
    assert_int_equal(set.usable_count, 2);
    OPENSSL_free(certificate_der);
    OPENSSL_free(key_der);
    X509_free(certificate);
    certificate_pair_deinit(&pair);
}

static void test_bounds(void **state)
{
    static uint8_t big[TLSA_BYTES_MAX];

    (void)state;
    memset(&set, 0, sizeof set);
    for (int i = 0; i < TLSA_MAX; i++)
        assert_true(add(3, 1, 1, big, 32));
    assert_false(add(3, 1, 1, big, 32));
    assert_int_equal(set.count, TLSA_MAX);
    memset(&set, 0, sizeof set);
    assert_true(add(3, 1, 0, big, sizeof big - 10));
    assert_false(add(3, 1, 1, big, 32));
    assert_true(add(3, 1, 1, big, 10));
    assert_int_equal(set.count, 2);
}

static void test_text_and_digest(void **state)
{
    static const uint8_t one[32] = {0xab, 1, 2, 3}, two[32] = {0xcd};
    uint8_t digest[SHA256_BYTES], other[SHA256_BYTES];
    char text[TLSA_TEXT_SIZE];

    (void)state;
    memset(&set, 0, sizeof set);
    assert_true(add(3, 1, 1, one, 32) && add(2, 1, 1, two, 32));
    tlsa_write_text(&set, &set.records[0], text);
    assert_string_equal(text, "3 1 1 ab01020300000000...");
    tlsa_set_digest(&set, digest);
    /* Another order, and an unusable one: the same. */
    memset(&set, 0, sizeof set);
    assert_true(add(2, 1, 1, two, 32) && add(1, 1, 1, two, 32) && add(3, 1, 1, one, 32));
    tlsa_set_digest(&set, other);
    assert_memory_equal(digest, other, sizeof digest);
    /* Another usage of the same data: not the same. */
    memset(&set, 0, sizeof set);
    assert_true(add(3, 1, 1, two, 32) && add(3, 1, 1, one, 32));
    tlsa_set_digest(&set, other);
    assert_memory_not_equal(digest, other, sizeof digest);
    memset(&set, 0, sizeof set);
    tlsa_set_digest(&set, other);
    assert_memory_not_equal(digest, other, sizeof digest);
    assert_true(tlsa_set_add(&set, S("\1")));
    tlsa_write_text(&set, &set.records[0], text);
    assert_string_equal(text, "255 0 0 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_means_something),
        cmocka_unit_test(test_malformed_records_still_count_as_published),
        cmocka_unit_test(test_whole_certificates_and_keys),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_text_and_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
