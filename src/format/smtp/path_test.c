/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/params.h"
#include "format/smtp/path.h"

#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

static void assert_written(const struct smtp_path *path, const char *expected_cstr)
{
    struct buffer out;

    buffer_init(&out, 600);
    assert_true(smtp_path_write(path, &out));
    assert_true(slice_equal(buffer_view(&out), slice_from_cstr(expected_cstr)));
    buffer_deinit(&out);
}

static void test_paths_are_read(void **state)
{
    static const struct {
        struct slice text;
        const char *local_cstr, *domain_cstr, *written_cstr;
        struct slice rest;
    } cases[] = {
        {SLICE_INIT("<a@b.example>"), "a", "b.example", "a@b.example", SLICE_INIT("")},
        {SLICE_INIT("  <A.b@B.EXAMPLE> SIZE=1"), "A.b", "b.example", "A.b@b.example",
         SLICE_INIT(" SIZE=1")},
        {SLICE_INIT("<\"a\"@b.example>"), "a", "b.example", "a@b.example", SLICE_INIT("")},
        {SLICE_INIT("<\"a b\"@b.example>"), "a b", "b.example", "\"a b\"@b.example",
         SLICE_INIT("")},
        {SLICE_INIT("<\"x@evil.example> y\"@good.example> RET=FULL"), "x@evil.example> y",
         "good.example", "\"x@evil.example> y\"@good.example", SLICE_INIT(" RET=FULL")},
        {SLICE_INIT("<\"\\\"\\\\\"@b.example>"), "\"\\", "b.example", "\"\\\"\\\\\"@b.example",
         SLICE_INIT("")},
        {SLICE_INIT("<\"\"@b.example>"), "", "b.example", "\"\"@b.example", SLICE_INIT("")},
        {SLICE_INIT("<@one.example,@two.example:a@b.example>"), "a", "b.example", "a@b.example",
         SLICE_INIT("")},
        {SLICE_INIT("<a@[192.0.2.1]>"), "a", "[192.0.2.1]", "a@[192.0.2.1]", SLICE_INIT("")},
        {SLICE_INIT("<a@[IPv6:2001:DB8::1]>"), "a", "[ipv6:2001:db8::1]",
         "a@[ipv6:2001:db8::1]", SLICE_INIT("")},
        {SLICE_INIT("<PostMaster>"), "PostMaster", "", "PostMaster", SLICE_INIT("")},
        {SLICE_INIT("<${run{x}}|`y`+%0a@b.example>"), "${run{x}}|`y`+%0a", "b.example",
         "${run{x}}|`y`+%0a@b.example", SLICE_INIT("")},
        {SLICE_INIT("<j\xc3\xb6rg@b\xc3\xbc.example>"), "j\xc3\xb6rg", "b\xc3\xbc.example",
         "j\xc3\xb6rg@b\xc3\xbc.example", SLICE_INIT("")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice rest = cases[i].text;
        struct smtp_path path;
        struct err err;

        assert_true(smtp_path_take(&rest, SMTP_PATH_RECIPIENT, &path, &err));
        assert_true(slice_equal(smtp_path_local(&path), slice_from_cstr(cases[i].local_cstr)));
        assert_true(
            slice_equal(smtp_path_domain(&path), slice_from_cstr(cases[i].domain_cstr)));
        assert_true(slice_equal(rest, cases[i].rest));
        assert_written(&path, cases[i].written_cstr);
    }
}

static void test_the_null_sender_is_only_a_sender(void **state)
{
    struct slice rest = S("<> BODY=8BITMIME");
    struct smtp_path path;
    struct err err;

    (void)state;
    assert_true(smtp_path_take(&rest, SMTP_PATH_SENDER, &path, &err));
    assert_true(path.is_null && !path.has_domain);
    assert_true(slice_equal(rest, S(" BODY=8BITMIME")));
    assert_written(&path, "");
    rest = S("<>");
    assert_false(smtp_path_take(&rest, SMTP_PATH_RECIPIENT, &path, &err));
    assert_string_equal(err.enhanced_cstr, "5.1.3");
    rest = S("<postmaster>");
    assert_false(smtp_path_take(&rest, SMTP_PATH_SENDER, &path, &err));
    assert_string_equal(err.enhanced_cstr, "5.1.7");
    assert_int_equal(err.smtp_code, 501);
}

static const struct slice refused[] = {
    SLICE_INIT(""),
    SLICE_INIT("a@b.example"),
    SLICE_INIT("<a@b.example"),
    SLICE_INIT("<a@b.example>x"),
    SLICE_INIT("<a@b.example>>"),
    SLICE_INIT("<<a@b.example>>"),
    SLICE_INIT("<a>"),
    SLICE_INIT("<@b.example>"),
    SLICE_INIT("<a@>"),
    SLICE_INIT("<a@b.example.>"),
    SLICE_INIT("<a@.example>"),
    SLICE_INIT("<a@b..example>"),
    SLICE_INIT("<a@-b.example>"),
    SLICE_INIT("<a@b-.example>"),
    SLICE_INIT("<a@b_c.example>"),
    SLICE_INIT("<a@192.0.2.1>"),
    SLICE_INIT("<a@[192.0.2.256]>"),
    SLICE_INIT("<a@[IPv6:fe80::1%lo]>"),
    SLICE_INIT("<a@[]>"),
    SLICE_INIT("<a@[>"),
    SLICE_INIT("<a@[192.0.2.1>"),
    SLICE_INIT("<a b@c.example>"),
    SLICE_INIT("<.a@b.example>"),
    SLICE_INIT("<a.@b.example>"),
    SLICE_INIT("<a..b@c.example>"),
    SLICE_INIT("<a@b@c.example>"),
    SLICE_INIT("<\"a@b.example>"),
    SLICE_INIT("<\"a\\"),
    SLICE_INIT("<\"a\"b@c.example>"),
    SLICE_INIT("<\"a\"\"b\"@c.example>"),
    SLICE_INIT("<\"a\r\nRCPT TO:<x>\"@b.example>"),
    SLICE_INIT("<\"a\nb\"@b.example>"),
    SLICE_INIT("<\"a\0b\"@b.example>"),
    SLICE_INIT("<\"a\\\rb\"@b.example>"),
    SLICE_INIT("<\"a\xe2\x80\xa8\"@b.example>"),
    SLICE_INIT("<a\xe2\x80\xa9@b.example>"),
    SLICE_INIT("<a\xc2\x85@b.example>"),
    SLICE_INIT("<a\xc3@b.example>"),
    SLICE_INIT("<a\xff@b.example>"),
    SLICE_INIT("<a@b\xed\xa0\x80.example>"),
    SLICE_INIT("<a@b(comment).example>"),
    SLICE_INIT("<@one.example:@two.example:a@b.example>"),
    SLICE_INIT("<@one.example,a@b.example>"),
    SLICE_INIT("<@one.example:>"),
};

static void test_other_paths_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        /* An exact copy, so that a sanitizer sees a step too far. */
        uint8_t *copy = malloc(refused[i].len + (refused[i].len == 0));
        struct slice rest = slice_of(copy, refused[i].len);
        struct smtp_path path;
        struct err err;

        memcpy(copy, refused[i].at, refused[i].len);
        assert_false(smtp_path_take(&rest, SMTP_PATH_RECIPIENT, &path, &err));
        assert_int_equal(err.smtp_code, 501);
        assert_int_equal(err.class, ERR_PEER);
        free(copy);
    }
}

static bool takes_lengths(size_t local_len, size_t label_len, size_t labels)
{
    struct buffer text;
    struct slice rest;
    struct smtp_path path;
    bool taken;

    buffer_init(&text, 2000);
    assert_true(buffer_append_byte(&text, '<'));
    for (size_t i = 0; i < local_len; i++)
        assert_true(buffer_append_byte(&text, 'l'));
    assert_true(buffer_append_byte(&text, '@'));
    for (size_t i = 0; i < labels; i++) {
        for (size_t j = 0; j < label_len; j++)
            assert_true(buffer_append_byte(&text, 'd'));
        assert_true(buffer_append_byte(&text, i + 1 < labels ? '.' : '>'));
    }
    rest = buffer_view(&text);
    taken = smtp_path_take(&rest, SMTP_PATH_SENDER, &path, NULL);
    buffer_deinit(&text);
    return taken;
}

static void test_lengths(void **state)
{
    (void)state;
    assert_true(takes_lengths(SMTP_LOCAL_MAX, 10, 2));
    assert_false(takes_lengths(SMTP_LOCAL_MAX + 1, 10, 2));
    assert_true(takes_lengths(1, 63, 2));
    assert_false(takes_lengths(1, 64, 2));
    assert_true(takes_lengths(2, 62, 4));  /* 2 + 1 + 251 = 254 */
    assert_false(takes_lengths(3, 62, 4)); /* 255 */
    assert_false(takes_lengths(1, 63, 20));
}

static void test_addresses_without_brackets(void **state)
{
    struct smtp_path path;
    struct err err;

    (void)state;
    assert_true(smtp_address_parse(S("a@B.example"), &path, &err));
    assert_written(&path, "a@b.example");
    assert_false(smtp_address_parse(S("a@b.example>"), &path, &err));
    assert_false(smtp_address_parse(S("<a@b.example>"), &path, &err));
    assert_false(smtp_address_parse(S("postmaster"), &path, &err));
    assert_false(smtp_address_parse(S(""), &path, &err));
}

static void test_mail_parameters(void **state)
{
    static const struct slice bad[] = {
        SLICE_INIT("SIZE"),
        SLICE_INIT("SIZE=-1"),
        SLICE_INIT("SIZE=999999999999999999999"),
        SLICE_INIT("SIZE=1 SIZE=1"),
        SLICE_INIT("BODY=BINARYMIME"),
        SLICE_INIT("RET=HALF"),
        SLICE_INIT("ENVID="),
        SLICE_INIT("ENVID=a+0Ab"),
        SLICE_INIT("ENVID=a+0D+0Ab"),
        SLICE_INIT("ENVID=a+"),
        SLICE_INIT("ENVID=a+4"),
        SLICE_INIT("ENVID=a+4g"),
        SLICE_INIT("ENVID=\xc3\xa9"),
        SLICE_INIT("AUTH=a+0A"),
        SLICE_INIT("AUTH="),
        SLICE_INIT("SMTPUTF8=1"),
        SLICE_INIT("REQUIRETLS=yes"),
        SLICE_INIT("XODD=1"),
        SLICE_INIT("=1"),
    };
    struct smtp_mail_params params;
    struct err err;

    (void)state;
    assert_true(smtp_mail_params_parse(
        S(" size=1000  BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q+2B1 REQUIRETLS AUTH=<>"),
        &params, &err));
    assert_true(params.has_size && params.size == 1000 && params.smtputf8 && params.requiretls);
    assert_int_equal(params.body, SMTP_BODY_8BITMIME);
    assert_int_equal(params.ret, SMTP_RET_HDRS);
    assert_true(slice_equal(slice_of(params.envid, params.envid_len), S("q+1")));
    assert_true(smtp_mail_params_parse(S(""), &params, &err));
    assert_false(params.has_size);
    assert_true(smtp_mail_params_parse(S("SIZE=99999999999999999999"), &params, &err));
    assert_true(params.size == UINT64_MAX);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(smtp_mail_params_parse(bad[i], &params, &err));
        assert_string_equal(err.enhanced_cstr, "5.5.4");
    }
    assert_false(smtp_mail_params_parse(S("XODD"), &params, &err));
    assert_int_equal(err.smtp_code, 555);
}

static void test_rcpt_parameters(void **state)
{
    static const struct slice bad[] = {
        SLICE_INIT("NOTIFY="),
        SLICE_INIT("NOTIFY=NEVER,FAILURE"),
        SLICE_INIT("NOTIFY=SOMETIMES"),
        SLICE_INIT("NOTIFY=DELAY,"),
        SLICE_INIT("NOTIFY=DELAY NOTIFY=DELAY"),
        SLICE_INIT("ORCPT=a@b.example"),
        SLICE_INIT("ORCPT=rfc822;"),
        SLICE_INIT("ORCPT=;a"),
        SLICE_INIT("ORCPT=rfc822;a+0Ab"),
        SLICE_INIT("ORCPT=rfc822;a+0D+0ARCPT"),
        SLICE_INIT("ORCPT=rf c822;a"),
        SLICE_INIT("ORCPT=rfc822;a+FF"),
        SLICE_INIT("SIZE=1"),
    };
    struct smtp_rcpt_params params;
    struct err err;

    (void)state;
    assert_true(smtp_rcpt_params_parse(
        S("NOTIFY=SUCCESS,failure ORCPT=rfc822;Bob+2Bx@d.example"), &params, &err));
    assert_int_equal(params.notify, SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE);
    assert_true(
        slice_equal(slice_of(params.orcpt, params.orcpt_len), S("rfc822;Bob+x@d.example")));
    assert_true(smtp_rcpt_params_parse(S("NOTIFY=NEVER"), &params, &err));
    assert_int_equal(params.notify, SMTP_NOTIFY_NEVER);
    assert_int_equal(params.orcpt_len, 0);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(smtp_rcpt_params_parse(bad[i], &params, &err));
}

static void test_xtext_goes_both_ways(void **state)
{
    struct buffer coded, plain;

    (void)state;
    buffer_init(&coded, 100);
    buffer_init(&plain, 100);
    assert_true(smtp_xtext_append(&coded, S("a+b=c d\xc3\xa9")));
    assert_true(slice_equal(buffer_view(&coded), S("a+2Bb+3Dc+20d+C3+A9")));
    assert_true(smtp_xtext_decode(buffer_view(&coded), &plain));
    assert_true(slice_equal(buffer_view(&plain), S("a+b=c d\xc3\xa9")));
    assert_false(smtp_xtext_decode(S("a=b"), &plain));
    assert_false(smtp_xtext_decode(S("a+2b"), &plain));
    buffer_deinit(&coded);
    buffer_deinit(&plain);
}

static void test_keywords(void **state)
{
    struct slice args = S("from:<a@b.example>");

    (void)state;
    assert_true(smtp_keyword_take(&args, S("FROM:")));
    assert_true(slice_equal(args, S("<a@b.example>")));
    assert_false(smtp_keyword_take(&args, S("FROM:")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_read),
        cmocka_unit_test(test_the_null_sender_is_only_a_sender),
        cmocka_unit_test(test_other_paths_are_refused),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_addresses_without_brackets),
        cmocka_unit_test(test_mail_parameters),
        cmocka_unit_test(test_rcpt_parameters),
        cmocka_unit_test(test_xtext_goes_both_ways),
        cmocka_unit_test(test_keywords),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
