/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/ehlo.h"
#include "format/smtp/reply.h"

#include "kit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Feed `input` in two pieces, the first `cut` bytes long, or byte by byte when cut is past the
 * end. */
static enum progress feed(struct smtp_reply_reader *reader, struct slice input, size_t cut,
                          struct smtp_reply *reply, size_t *left)
{
    enum progress got = PROGRESS_WAIT;
    size_t at = 0;

    while (got == PROGRESS_WAIT && at < input.len) {
        size_t len = cut > input.len ? 1 : at < cut ? cut - at : input.len - at;
        struct slice piece = {input.at + at, len};

        got = smtp_reply_push(reader, &piece, reply);
        at += len - piece.len;
    }
    *left = input.len - at;
    return got;
}

static void test_replies_are_read_however_they_are_cut(void **state)
{
    static const struct {
        struct slice input;
        unsigned code;
        const char *enhanced_cstr;
        struct slice text;
        size_t left;
    } cases[] = {
        {SLICE_INIT("250 ok\r\n"), 250, "", SLICE_INIT("ok"), 0},
        {SLICE_INIT("250\r\n"), 250, "", SLICE_INIT(""), 0},
        {SLICE_INIT("250 \r\n"), 250, "", SLICE_INIT(""), 0},
        {SLICE_INIT("250 ok\n"), 250, "", SLICE_INIT("ok"), 0},
        {SLICE_INIT("220 go\r\n250 injected\r\n"), 220, "", SLICE_INIT("go"), 14},
        {SLICE_INIT("250-a\r\n250-\r\n250 b\r\n"), 250, "", SLICE_INIT("a\n\nb"), 0},
        {SLICE_INIT("250-a\r\n250\r\n"), 250, "", SLICE_INIT("a\n"), 0},
        {SLICE_INIT("550 5.7.2\r\n"), 550, "5.7.2", SLICE_INIT("5.7.2"), 0},
        {SLICE_INIT("550 5.7\r\n"), 550, "", SLICE_INIT("5.7"), 0},
        {SLICE_INIT("550 5.7.\r\n"), 550, "", SLICE_INIT("5.7."), 0},
        {SLICE_INIT("550 5.7.2.\r\n"), 550, "", SLICE_INIT("5.7.2."), 0},
        {SLICE_INIT("550 5.123.456 x\r\n"), 550, "5.123.456", SLICE_INIT("5.123.456 x"), 0},
        {SLICE_INIT("550 5.1234.4 x\r\n"), 550, "", SLICE_INIT("5.1234.4 x"), 0},
        {SLICE_INIT("550 2.0.0 lies\r\n"), 550, "", SLICE_INIT("2.0.0 lies"), 0},
        {SLICE_INIT("451-4.3.0 a\r\n451 4.3.0 b\r\n"), 451, "4.3.0",
         SLICE_INIT("4.3.0 a\n4.3.0 b"), 0},
        {SLICE_INIT("250 a\rb\0c\td\r\r\n"), 250, "", SLICE_INIT("a?b?c d?"), 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t cut = 1; cut <= cases[i].input.len + 1; cut++) {
            struct smtp_reply_reader reader;
            struct smtp_reply reply;
            size_t left;

            smtp_reply_reader_init(&reader);
            assert_int_equal(feed(&reader, cases[i].input, cut, &reply, &left), PROGRESS_DONE);
            assert_int_equal(reply.code, cases[i].code);
            assert_string_equal(reply.enhanced_cstr, cases[i].enhanced_cstr);
            assert_true(slice_equal(reply.text, cases[i].text));
            assert_int_equal(left, cases[i].left);
            smtp_reply_reader_deinit(&reader);
        }
    }
}

static void test_hostile_replies_are_refused(void **state)
{
    static const struct slice cases[] = {
        SLICE_INIT("\r\n"),
        SLICE_INIT("25\r\n"),
        SLICE_INIT("199 x\r\n"),
        SLICE_INIT("600 x\r\n"),
        SLICE_INIT("250x\r\n"),
        SLICE_INIT("+OK\r\n"),
        SLICE_INIT("250-a\r\n251 b\r\n"),
        SLICE_INIT("250-a\r\n550 b\r\n"),
        SLICE_INIT("HTTP/1.1 200 OK\r\n"),
        SLICE_INIT("-50 a\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t cut = 1; cut <= cases[i].len + 1; cut++) {
            struct smtp_reply_reader reader;
            struct smtp_reply reply;
            struct slice none = {NULL, 0};
            size_t left;

            smtp_reply_reader_init(&reader);
            assert_int_equal(feed(&reader, cases[i], cut, &reply, &left), PROGRESS_FAIL);
            assert_int_equal(reader.err.class, ERR_PEER);
            assert_int_equal(smtp_reply_push(&reader, &none, &reply), PROGRESS_FAIL);
            smtp_reply_reader_deinit(&reader);
        }
    }
}

static enum progress push_many(const char *line_cstr, unsigned count, char fill,
                               size_t fill_len)
{
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    struct buffer input;
    struct slice view;
    enum progress got;

    buffer_init(&input, 4 << 20);
    for (unsigned i = 0; i < count; i++)
        assert_true(buffer_append(&input, slice_from_cstr(line_cstr)));
    for (size_t i = 0; i < fill_len; i++)
        assert_true(buffer_append_byte(&input, (uint8_t)fill));
    smtp_reply_reader_init(&reader);
    view = buffer_view(&input);
    got = smtp_reply_push(&reader, &view, &reply);
    smtp_reply_reader_deinit(&reader);
    buffer_deinit(&input);
    return got;
}

static void test_endless_replies_meet_a_ceiling(void **state)
{
    (void)state;
    assert_int_equal(push_many("250-x\r\n", SMTP_REPLY_LINES_MAX, 0, 0), PROGRESS_WAIT);
    assert_int_equal(push_many("250-x\r\n", SMTP_REPLY_LINES_MAX + 1, 0, 0), PROGRESS_FAIL);
    assert_int_equal(push_many("250 ", 1, 'x', SMTP_REPLY_LINE_MAX - 4), PROGRESS_WAIT);
    assert_int_equal(push_many("250 ", 1, 'x', 1 << 20), PROGRESS_FAIL);
}

static void test_one_reader_reads_many_replies(void **state)
{
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    struct slice input = S("250 a\r\n354-b\r\n354 c\r\n221 d");

    (void)state;
    smtp_reply_reader_init(&reader);
    assert_int_equal(smtp_reply_push(&reader, &input, &reply), PROGRESS_DONE);
    assert_true(slice_equal(reply.text, S("a")));
    assert_int_equal(smtp_reply_push(&reader, &input, &reply), PROGRESS_DONE);
    assert_true(slice_equal(reply.text, S("b\nc")));
    assert_int_equal(smtp_reply_push(&reader, &input, &reply), PROGRESS_WAIT);
    input = S("\r\n");
    assert_int_equal(smtp_reply_push(&reader, &input, &reply), PROGRESS_DONE);
    assert_int_equal(reply.code, 221);
    smtp_reply_reader_deinit(&reader);
}

static void test_replies_are_written(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 60);
    assert_true(smtp_reply_write(&out, 250, "2.1.0", S("fine")));
    assert_true(slice_equal(buffer_view(&out), S("250 2.1.0 fine\r\n")));
    buffer_clear(&out);
    assert_true(smtp_reply_write(&out, 250, "", S("a\nb")));
    assert_true(slice_equal(buffer_view(&out), S("250-a\r\n250 b\r\n")));
    buffer_clear(&out);
    assert_true(smtp_reply_write(&out, 550, "", S("x\r250 y\0z")));
    assert_true(slice_equal(buffer_view(&out), S("550 x?250 y?z\r\n")));
    assert_false(
        smtp_reply_write(&out, 550, "", S("a\n0123456789012345678901234567890123456789")));
    assert_int_equal(buffer_len(&out), 15);
    buffer_deinit(&out);
}

static void test_capabilities_are_read(void **state)
{
    struct smtp_ehlo ehlo;

    (void)state;
    smtp_ehlo_parse(S("mx.example hello\nPIPELINING\nsize 1000\nSTARTTLS\nAUTH LOGIN PLAIN "
                      "x\nX-ODD 1\n8BITMIME "),
                    &ehlo);
    assert_int_equal(ehlo.extensions,
                     SMTP_PIPELINING | SMTP_SIZE | SMTP_STARTTLS | SMTP_AUTH | SMTP_8BITMIME);
    assert_int_equal(ehlo.mechanisms, SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN);
    assert_int_equal(ehlo.size_max, 1000);
    /* A greeting is not a capability, and neither is half a word. */
    smtp_ehlo_parse(S("STARTTLS\nSTARTTLSX\nXSTARTTLS\nSIZE -1"), &ehlo);
    assert_int_equal(ehlo.extensions, 0);
    smtp_ehlo_parse(S("x\nSIZE\nREQUIRETLS\nDSN"), &ehlo);
    assert_int_equal(ehlo.extensions, SMTP_SIZE | SMTP_REQUIRETLS | SMTP_DSN);
    assert_int_equal(ehlo.size_max, 0);
    smtp_ehlo_parse(S(""), &ehlo);
    assert_int_equal(ehlo.extensions, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies_are_read_however_they_are_cut),
        cmocka_unit_test(test_hostile_replies_are_refused),
        cmocka_unit_test(test_endless_replies_meet_a_ceiling),
        cmocka_unit_test(test_one_reader_reads_many_replies),
        cmocka_unit_test(test_replies_are_written),
        cmocka_unit_test(test_capabilities_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
