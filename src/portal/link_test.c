/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/link.h"

#include "kit/kit.h"

#include <stdio.h>
#include <string.h>

#define TOKEN "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

static const struct {
    struct slice path;
    enum link_page page;
    uint64_t part;
} good[] = {
    {SLICE_INIT("/m/" TOKEN), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "/"), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "#"), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "#top"), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "%23"), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "%2523x/y"), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "."), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN ">;"), LINK_START, 0},
    {SLICE_INIT("/m/" TOKEN "/code"), LINK_CODE, 0},
    {SLICE_INIT("/m/" TOKEN "/open"), LINK_OPEN, 0},
    {SLICE_INIT("/m/" TOKEN "/message"), LINK_MESSAGE, 0},
    {SLICE_INIT("/m/" TOKEN "/html"), LINK_HTML, 0},
    {SLICE_INIT("/m/" TOKEN "/part/1"), LINK_PART, 1},
    {SLICE_INIT("/m/" TOKEN "/part/1000"), LINK_PART, 1000},
    {SLICE_INIT("/m/" TOKEN "/reply"), LINK_REPLY, 0},
    {SLICE_INIT("/m/" TOKEN "/sent"), LINK_SENT, 0},
};

static const struct slice bad[] = {
    SLICE_INIT(""),
    SLICE_INIT("/"),
    SLICE_INIT("/m"),
    SLICE_INIT("/m/"),
    SLICE_INIT("/M/" TOKEN),
    SLICE_INIT("/m/" TOKEN "A"), /* a longer token is another one */
    SLICE_INIT("/m/" TOKEN "-"),
    SLICE_INIT("/m/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh"),  /* one letter short */
    SLICE_INIT("/m/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9"), /* not canonical */
    SLICE_INIT("/m/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+"),
    SLICE_INIT("/m/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh%38"),
    SLICE_INIT("/m/" TOKEN "/x"),
    SLICE_INIT("/m/" TOKEN "/messages"),
    SLICE_INIT("/m/" TOKEN "/message/"),
    SLICE_INIT("/m/" TOKEN "/part"),
    SLICE_INIT("/m/" TOKEN "/part/"),
    SLICE_INIT("/m/" TOKEN "/part/0"),
    SLICE_INIT("/m/" TOKEN "/part/-1"),
    SLICE_INIT("/m/" TOKEN "/part/99999"),
    SLICE_INIT("/m/" TOKEN "/part/1/.."),
    SLICE_INIT("/m/" TOKEN "//message"),
};

static void test_links_are_read(void **state)
{
    struct link link;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (!link_parse(good[i].path, &link))
            fail_msg("%s", (const char *)good[i].path.at);
        assert_int_equal(link.page, good[i].page);
        assert_int_equal(link.part, good[i].part);
        assert_string_equal(link.base_cstr, "/m/" TOKEN);
        assert_int_equal(link.token.bytes[31], 31);
        assert_int_equal(strlen(link.cookie_cstr), 16);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (link_parse(bad[i], &link))
            fail_msg("%s", (const char *)bad[i].at);
}

static void test_nonces_hold_for_one_hour_and_one_purpose(void **state)
{
    const int64_t now_ms = INT64_C(1800000000000);
    struct link link;
    struct secret other = {{1}};
    char nonce_cstr[LINK_NONCE_SIZE];
    struct slice nonce;

    (void)state;
    assert_true(link_parse(S("/m/" TOKEN), &link));
    link_nonce_make(&link.token, S("open"), now_ms, nonce_cstr);
    nonce = slice_from_cstr(nonce_cstr);
    assert_int_equal(nonce.len, 32);
    assert_true(link_nonce_check(&link.token, S("open"), nonce, now_ms));
    assert_true(link_nonce_check(&link.token, S("open"), nonce, now_ms + LINK_NONCE_LIVES_MS));
    assert_false(
        link_nonce_check(&link.token, S("open"), nonce, now_ms + LINK_NONCE_LIVES_MS + 1));
    assert_false(link_nonce_check(&link.token, S("open"), nonce, now_ms - 1));
    assert_false(link_nonce_check(&link.token, S("code"), nonce, now_ms));
    assert_false(link_nonce_check(&other, S("open"), nonce, now_ms));
    assert_false(link_nonce_check(&link.token, S("open"), slice_head(nonce, 31), now_ms));
    assert_false(link_nonce_check(&link.token, S("open"), S(""), now_ms));
    for (size_t i = 0; i < nonce.len; i++) {
        char was = nonce_cstr[i];

        nonce_cstr[i] = was == 'A' ? 'B' : 'A';
        assert_false(link_nonce_check(&link.token, S("open"), nonce, now_ms));
        nonce_cstr[i] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links_are_read),
        cmocka_unit_test(test_nonces_hold_for_one_hour_and_one_purpose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
