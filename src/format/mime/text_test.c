/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/address.h"
#include "format/mime/charset.h"
#include "format/mime/date.h"
#include "format/mime/header.h"
#include "format/mime/parameter.h"
#include "format/mime/utf8.h"
#include "format/mime/words.h"

#include "kit/kit.h"

#include <string.h>

struct text_case {
    struct slice in, want;
};

#define assert_slice_equal(got, want)                                                          \
    do {                                                                                       \
        assert_int_equal((got).len, (want).len);                                               \
        if ((want).len > 0)                                                                    \
            assert_memory_equal((got).at, (want).at, (want).len);                              \
    } while (0)

static void test_utf8_is_read_strictly(void **state)
{
    static const struct slice broken[] = {
        SLICE_INIT("\x80"),         SLICE_INIT("\xC0\x80"),         SLICE_INIT("\xC3"),
        SLICE_INIT("\xED\xA0\x80"), SLICE_INIT("\xF4\x90\x80\x80"), SLICE_INIT("\xE0\x80\xAF"),
        SLICE_INIT("\xFF"),
    };
    struct buffer out;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct slice rest = broken[i];

        assert_false(utf8_is_valid(broken[i]));
        assert_int_equal(utf8_take(&rest), UTF8_REPLACEMENT);
        assert_int_equal(rest.len, broken[i].len - 1);
    }
    assert_true(utf8_is_valid(S("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")));
    assert_int_equal(utf8_head(S("a\xE2\x82\xAC"), 3).len, 1);
    assert_int_equal(utf8_head(S("a\xE2\x82\xAC"), 4).len, 4);
    buffer_init(&out, 100);
    assert_true(utf8_append_clean(&out,
                                  S("a\x01\x7F\tb\r\nc\xC2\x85\xE2\x80\xAE"
                                    "d\xFF"),
                                  true));
    assert_slice_equal(buffer_view(&out), S("a b c"
                                            "d\xEF\xBF\xBD"));
    buffer_clear(&out);
    assert_true(utf8_append(&out, 0xD800) && utf8_append(&out, 0x1F600));
    assert_slice_equal(buffer_view(&out), S("\xEF\xBF\xBD\xF0\x9F\x98\x80"));
    buffer_deinit(&out);
}

static void test_charsets_become_utf8(void **state)
{
    static const struct {
        struct slice set, in, want;
    } cases[] = {
        {SLICE_INIT("UTF-8"), SLICE_INIT("\xC3\xA9\xE9"), SLICE_INIT("\xC3\xA9\xEF\xBF\xBD")},
        {SLICE_INIT("iso-8859-1"), SLICE_INIT("\xE9\x80\x81"),
         SLICE_INIT("\xC3\xA9\xE2\x82\xAC\xEF\xBF\xBD")},
        {SLICE_INIT("us-ascii"), SLICE_INIT("\xE9"), SLICE_INIT("\xC3\xA9")},
        {SLICE_INIT("x-nobody-knows"), SLICE_INIT("\xC3\xA9"), SLICE_INIT("\xC3\xA9")},
        {SLICE_INIT("koi8-r"), SLICE_INIT("\xD0\xD2"), SLICE_INIT("\xD0\xBF\xD1\x80")},
        {SLICE_INIT("iso-8859-15"), SLICE_INIT("\xA4"), SLICE_INIT("\xE2\x82\xAC")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(charset_append_utf8(cases[i].set, cases[i].in, &out));
        assert_slice_equal(buffer_view(&out), cases[i].want);
    }
    assert_false(charset_is_known(S("ISO-2022-CN-EXT")));
    buffer_deinit(&out);
    buffer_init(&out, 2);
    assert_false(charset_append_utf8(S("koi8-r"), S("\xD0\xD2"), &out));
    buffer_deinit(&out);
}

static void test_fields_are_found_as_they_stand(void **state)
{
    struct slice block =
        S("From: a\r\nSubject : one\r\n two\r\nno field\r\nX:\n\r\nbody: x\r\n");
    struct slice rest = block;
    struct mime_field field;
    struct buffer out;

    (void)state;
    assert_int_equal(mime_header_len(block), block.len - 9);
    assert_int_equal(mime_header_len(S("a: b\r\n")), 0);
    assert_true(mime_field_next(&rest, &field));
    assert_slice_equal(field.name, S("From"));
    assert_slice_equal(field.value, S(" a"));
    assert_true(mime_field_next(&rest, &field));
    assert_slice_equal(field.name, S("Subject"));
    assert_slice_equal(field.raw, S("Subject : one\r\n two\r\n"));
    buffer_init(&out, 20);
    assert_true(mime_value_unfold(field.value, &out));
    assert_slice_equal(buffer_view(&out), S("one two"));
    buffer_deinit(&out);
    assert_true(mime_field_next(&rest, &field));
    assert_int_equal(field.name.len, 0);
    assert_slice_equal(field.raw, S("no field\r\n"));
    assert_true(mime_field_next(&rest, &field));
    assert_slice_equal(field.name, S("X"));
    assert_int_equal(field.value.len, 0);
    assert_false(mime_field_next(&rest, &field));
    assert_slice_equal(rest, S("body: x\r\n"));
    assert_true(mime_field_find(block, S("subject"), &field));
    assert_false(mime_field_find(block, S("body"), &field));
    assert_int_equal(mime_field_count(S("a: 1\nA: 2\nb: 3\n"), S("a")), 2);
    assert_false(mime_name_is_valid(S("a b")));
    assert_false(mime_name_is_valid(S("")));
}

static void test_header_limits(void **state)
{
    struct buffer block;

    (void)state;
    buffer_init(&block, 2 * MIME_HEADER_MAX);
    for (int i = 0; i < MIME_FIELDS_MAX; i++)
        assert_true(buffer_append(&block, S("a: b\r\n")));
    assert_true(mime_header_is_sane(buffer_view(&block)));
    assert_true(buffer_append(&block, S("a: b\r\n")));
    assert_false(mime_header_is_sane(buffer_view(&block)));
    buffer_clear(&block);
    while (buffer_len(&block) <= MIME_HEADER_MAX)
        assert_true(
            buffer_append(&block, S("a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n "
                                    "cccccccccccccccccccccccccccccccccccccccccccccc"
                                    "cccccccccccccccccccccccccccccccccccccccccccccc"
                                    "cccccccccccccccccccccccccccccccccccccccccccccc\r\n")));
    assert_false(mime_header_is_sane(buffer_view(&block)));
    buffer_deinit(&block);
}

static void test_encoded_words_are_decoded(void **state)
{
    static const struct text_case cases[] = {
        {SLICE_INIT(" plain\r\n text"), SLICE_INIT("plain text")},
        {SLICE_INIT("=?utf-8?Q?caf=C3=A9_au?= lait"), SLICE_INIT("caf\xC3\xA9 au lait")},
        {SLICE_INIT("=?UTF-8?b?w6k=?="), SLICE_INIT("\xC3\xA9")},
        {SLICE_INIT("=?iso-8859-1*en?q?=E9?="), SLICE_INIT("\xC3\xA9")},
        {SLICE_INIT("=?utf-8?b?w6?=\r\n =?utf-8?b?k=?="), SLICE_INIT("\xC3\xEF\xBF\xBD")},
        {SLICE_INIT("=?utf-8?q?=C3?= =?utf-8?q?=A9?="), SLICE_INIT("\xC3\xA9")},
        {SLICE_INIT("=?utf-8?q?a?= =?iso-8859-1?q?b?= c"), SLICE_INIT("ab c")},
        {SLICE_INIT("=?utf-8?q?a?=x=?utf-8?q?b?="), SLICE_INIT("axb")},
        {SLICE_INIT("=?utf-8?x?a?="), SLICE_INIT("=?utf-8?x?a?=")},
        {SLICE_INIT("=?utf-8?q?a"), SLICE_INIT("=?utf-8?q?a")},
        {SLICE_INIT("=?"), SLICE_INIT("=?")},
        {SLICE_INIT("=??q?a?="), SLICE_INIT("=??q?a?=")},
        {SLICE_INIT("=?utf-8?q?a=0D=0ABcc:_x?="), SLICE_INIT("a Bcc: x")},
        {SLICE_INIT("\xE9"), SLICE_INIT("\xC3\xA9")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(words_decode(cases[i].in, &out));
        if (i != 4)
            assert_slice_equal(buffer_view(&out), cases[i].want);
    }
    buffer_deinit(&out);
}

static void test_words_survive_both_ways(void **state)
{
    static const struct slice texts[] = {
        SLICE_INIT(""),
        SLICE_INIT("Plain subject"),
        SLICE_INIT("looks like =?utf-8?q?one?="),
        SLICE_INIT(
            "Gr\xC3\xBC\xC3\x9F"
            "e \xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F"
            "\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80 end"),
    };
    struct buffer words, out;

    (void)state;
    buffer_init(&words, 1000);
    buffer_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        buffer_clear(&words);
        buffer_clear(&out);
        assert_true(words_encode(texts[i], &words));
        assert_true(words_decode(buffer_view(&words), &out));
        assert_slice_equal(buffer_view(&out), texts[i]);
    }
    buffer_deinit(&words);
    buffer_deinit(&out);
}

static void test_parameters_are_read(void **state)
{
    static const struct {
        struct slice value, name, want;
    } cases[] = {
        {SLICE_INIT("text/plain; charset=utf-8"), SLICE_INIT("charset"), SLICE_INIT("utf-8")},
        {SLICE_INIT("text/plain;\r\n\tCHARSET=\"utf-8\" (why)"), SLICE_INIT("charset"),
         SLICE_INIT("utf-8")},
        {SLICE_INIT("a/b; name=\"q\\\"; name=x\"; z=1"), SLICE_INIT("name"),
         SLICE_INIT("q\"; name=x")},
        {SLICE_INIT("a/b; x=\"; name=evil\"; name=good"), SLICE_INIT("name"),
         SLICE_INIT("good")},
        {SLICE_INIT("attachment; filename=my file.pdf; size=3"), SLICE_INIT("filename"),
         SLICE_INIT("my file.pdf")},
        {SLICE_INIT("attachment; filename=\"=?utf-8?q?=C3=A9.pdf?=\""), SLICE_INIT("filename"),
         SLICE_INIT("\xC3\xA9.pdf")},
        {SLICE_INIT("attachment; filename=plain; filename*=iso-8859-1''%E9.pdf"),
         SLICE_INIT("filename"), SLICE_INIT("\xC3\xA9.pdf")},
        {SLICE_INIT(
             "attachment; filename*1*=%A9; filename*2=\".pdf\"; filename*0*=utf-8'de'%C3"),
         SLICE_INIT("filename"), SLICE_INIT("\xC3\xA9.pdf")},
        {SLICE_INIT("attachment; filename*=utf-8''a%0D%0Ab%zz"), SLICE_INIT("filename"),
         SLICE_INIT("a b%zz")},
        {SLICE_INIT("a/b; (c (d) e=f;) x = \"y\""), SLICE_INIT("x"), SLICE_INIT("y")},
        {SLICE_INIT("a/b; x=\"unclosed"), SLICE_INIT("x"), SLICE_INIT("unclosed")},
        {SLICE_INIT("a/b;;;x=y"), SLICE_INIT("x"), SLICE_INIT("y")},
    };
    static const struct text_case missing[] = {
        {SLICE_INIT("text/plain"), SLICE_INIT("charset")},
        {SLICE_INIT(""), SLICE_INIT("a")},
        {SLICE_INIT("a/b; charset"), SLICE_INIT("charset")},
        {SLICE_INIT("a/b; x*y=1"), SLICE_INIT("x")},
        {SLICE_INIT("a/b; x*1=1"), SLICE_INIT("x")},
        {SLICE_INIT("a/b (;x=1"), SLICE_INIT("y")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(mime_parameter(cases[i].value, cases[i].name, &out));
        assert_slice_equal(buffer_view(&out), cases[i].want);
    }
    for (size_t i = 0; i < COUNT_OF(missing); i++)
        assert_false(mime_parameter(missing[i].in, missing[i].want, &out));
    assert_slice_equal(mime_value_head(S(" (x) Text/HTML ; a=b")), S("Text/HTML"));
    assert_int_equal(mime_value_head(S("")).len, 0);
    buffer_clear(&out);
    assert_true(mime_parameter_raw(S("m/m; boundary=\"=?x?= \\\"\""), S("boundary"), &out));
    assert_slice_equal(buffer_view(&out), S("=?x?= \""));
    buffer_deinit(&out);
}

static void test_address_lists_are_read(void **state)
{
    static const struct {
        struct slice value;
        struct text_case want[3];
        size_t count;
    } cases[] = {
        {SLICE_INIT("a@b.org"), {{SLICE_INIT(""), SLICE_INIT("a@b.org")}}, 1},
        {SLICE_INIT("\"Doe, J. \\\"x\\\"\" <j@b.org>,\r\n Ann Lee <ann@c.org>"),
         {{SLICE_INIT("Doe, J. \"x\""), SLICE_INIT("j@b.org")},
          {SLICE_INIT("Ann Lee"), SLICE_INIT("ann@c.org")}},
         2},
        {SLICE_INIT("=?utf-8?q?=C3=A9?= <e@b.org>"),
         {{SLICE_INIT("\xC3\xA9"), SLICE_INIT("e@b.org")}},
         1},
        {SLICE_INIT("j@b.org (J (the) Doe)"),
         {{SLICE_INIT("J (the) Doe"), SLICE_INIT("j@b.org")}},
         1},
        {SLICE_INIT("team: a@b.org, c@d.org; , e@f.org"),
         {{SLICE_INIT(""), SLICE_INIT("a@b.org")},
          {SLICE_INIT(""), SLICE_INIT("c@d.org")},
          {SLICE_INIT(""), SLICE_INIT("e@f.org")}},
         3},
        {SLICE_INIT("undisclosed-recipients:;"), {{{NULL, 0}, {NULL, 0}}}, 0},
        {SLICE_INIT("<@relay,@other:u@b.org>"), {{SLICE_INIT(""), SLICE_INIT("u@b.org")}}, 1},
        {SLICE_INIT("\"a b\"@c.org"), {{SLICE_INIT(""), SLICE_INIT("\"a b\"@c.org")}}, 1},
        {SLICE_INIT("nobody"), {{SLICE_INIT("nobody"), SLICE_INIT("")}}, 1},
        {SLICE_INIT("x <a b@c@d>"), {{SLICE_INIT("x"), SLICE_INIT("")}}, 1},
        {SLICE_INIT("x <a@b.org"), {{SLICE_INIT("x"), SLICE_INIT("a@b.org")}}, 1},
        {SLICE_INIT(" , ;, "), {{{NULL, 0}, {NULL, 0}}}, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address_reader reader;
        size_t count = 0;

        address_reader_init(&reader, cases[i].value);
        while (address_next(&reader)) {
            assert_true(count < cases[i].count);
            if (i != 7)
                assert_slice_equal(buffer_view(&reader.display), cases[i].want[count].in);
            assert_slice_equal(buffer_view(&reader.address), cases[i].want[count].want);
            count++;
        }
        assert_int_equal(count, cases[i].count);
        address_reader_deinit(&reader);
    }
}

static void test_implausible_addresses_are_refused(void **state)
{
    static const struct slice refused[] = {
        SLICE_INIT(""),
        SLICE_INIT("@"),
        SLICE_INIT("a@"),
        SLICE_INIT("@b"),
        SLICE_INIT("a b@c"),
        SLICE_INIT("a@b\r\nBcc: x@y"),
        SLICE_INIT("a@b@c"),
        SLICE_INIT("<a@b>"),
        SLICE_INIT("\"a@b"),
        SLICE_INIT("a\"b\"@c"),
        SLICE_INIT("a,b@c"),
        SLICE_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_false(address_is_plausible(refused[i]));
    assert_true(address_is_plausible(S("a.b+c@xn--e1.org")));
    assert_true(address_is_plausible(S("\"a@b, c\"@d.org")));
    assert_true(address_is_plausible(S("\xC3\xA9@d.org")));
}

/* 100 KB of what overflowed the stack of a well-known library. */
static void test_nested_groups_are_no_recursion(void **state)
{
    struct address_reader reader;
    struct buffer value;

    (void)state;
    buffer_init(&value, 1000000);
    for (int i = 0; i < 50000; i++)
        assert_true(buffer_append(&value, S("g:(")));
    address_reader_init(&reader, buffer_view(&value));
    assert_false(address_next(&reader));
    address_reader_deinit(&reader);
    buffer_deinit(&value);
}

static void test_dates(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    assert_true(mime_date_append(&out, 1795416759));
    assert_slice_equal(buffer_view(&out), S("Mon, 23 Nov 2026 06:52:39 +0000"));
    buffer_clear(&out);
    assert_true(mime_day_append(&out, 0));
    assert_slice_equal(buffer_view(&out), S("1 January 1970"));
    assert_false(mime_date_append(&out, -1));
    assert_false(mime_date_append(&out, INT64_MAX));
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_read_strictly),
        cmocka_unit_test(test_charsets_become_utf8),
        cmocka_unit_test(test_fields_are_found_as_they_stand),
        cmocka_unit_test(test_header_limits),
        cmocka_unit_test(test_encoded_words_are_decoded),
        cmocka_unit_test(test_words_survive_both_ways),
        cmocka_unit_test(test_parameters_are_read),
        cmocka_unit_test(test_address_lists_are_read),
        cmocka_unit_test(test_implausible_addresses_are_refused),
        cmocka_unit_test(test_nested_groups_are_no_recursion),
        cmocka_unit_test(test_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
