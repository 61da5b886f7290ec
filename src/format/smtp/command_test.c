/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/command.h"

#include "base/buffer.h"

#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

enum { MAX = 20 };

struct row {
    struct slice input;
    struct slice lines[3]; /* what comes out */
    enum smtp_line_fault faults[3];
    size_t count;
};

static const struct row rows[] = {
    {SLICE_INIT("NOOP\r\nQUIT\r\n"), {SLICE_INIT("NOOP"), SLICE_INIT("QUIT")}, {0}, 2},
    {SLICE_INIT("\r\n"), {SLICE_INIT("")}, {0}, 1},
    {SLICE_INIT("NOOP"), {{0}}, {0}, 0},
    {SLICE_INIT("NOOP\nQUIT\r\n"), {{0}, SLICE_INIT("QUIT")}, {SMTP_LINE_BARE}, 2},
    {SLICE_INIT("\nQUIT\r\n"), {{0}, SLICE_INIT("QUIT")}, {SMTP_LINE_BARE}, 2},
    {SLICE_INIT("NO\rOP\r\n"), {{0}}, {SMTP_LINE_BARE}, 1},
    {SLICE_INIT("NOOP\r\r\n"), {{0}}, {SMTP_LINE_BARE}, 1},
    {SLICE_INIT("NO\0OP\r\n"), {{0}}, {SMTP_LINE_CONTROL}, 1},
    {SLICE_INIT("NO\x7f\r\n"), {{0}}, {SMTP_LINE_CONTROL}, 1},
    {SLICE_INIT("NOOP\t\xc3\xa9\r\n"), {SLICE_INIT("NOOP\t\xc3\xa9")}, {0}, 1},
    {SLICE_INIT("12345678901234567890\r\n"), {SLICE_INIT("12345678901234567890")}, {0}, 1},
    {SLICE_INIT("123456789012345678901\r\nQUIT\r\n"),
     {{0}, SLICE_INIT("QUIT")},
     {SMTP_LINE_LONG},
     2},
    {SLICE_INIT("1234567890123456789012345678901234567890123\nNOOP\r\nQUIT\r\n"),
     {{0}, SLICE_INIT("NOOP"), SLICE_INIT("QUIT")},
     {SMTP_LINE_LONG},
     3},
};

/* A session's way: bytes arrive in a buffer, lines are taken off its front. */
static void check_row(const struct row *row, size_t step)
{
    struct smtp_line_reader reader = {0};
    struct buffer buffer;
    size_t count = 0;

    buffer_init(&buffer, 100);
    for (size_t at = 0; at < row->input.len; at += step) {
        struct slice view, line;
        enum smtp_line_fault fault;

        assert_true(buffer_append(&buffer, slice_head(slice_from(row->input, at), step)));
        view = buffer_view(&buffer);
        while (smtp_line_next(&reader, &view, MAX, &line, &fault) == PROGRESS_DONE) {
            assert_true(count < row->count);
            assert_int_equal(fault, row->faults[count]);
            assert_true(slice_equal(line, row->lines[count]));
            count++;
        }
        buffer_consume(&buffer, buffer_len(&buffer) - view.len);
    }
    assert_int_equal(count, row->count);
    buffer_deinit(&buffer);
}

static void test_lines_are_taken_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t step = 1; step <= rows[i].input.len; step++)
            check_row(&rows[i], step);
}

static void test_a_line_without_end_is_thrown_away_as_it_comes(void **state)
{
    struct smtp_line_reader reader = {0};
    uint8_t bytes[1000];
    struct slice line;
    enum smtp_line_fault fault;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 1000; i++) {
        struct slice input = slice_of(bytes, sizeof bytes);

        assert_int_equal(smtp_line_next(&reader, &input, MAX, &line, &fault), PROGRESS_WAIT);
        assert_int_equal(input.len, 0);
    }
    assert_int_equal(reader.skipped, 1000 * 1000);
    bytes[0] = '\n';
    struct slice input = slice_of(bytes, 1);
    assert_int_equal(smtp_line_next(&reader, &input, MAX, &line, &fault), PROGRESS_DONE);
    assert_int_equal(fault, SMTP_LINE_LONG);
    assert_int_equal(reader.skipped, 0);
}

static void test_verbs(void **state)
{
    static const struct {
        struct slice line;
        enum smtp_verb verb;
        struct slice args;
    } cases[] = {
        {SLICE_INIT("EHLO a.example"), SMTP_VERB_EHLO, SLICE_INIT("a.example")},
        {SLICE_INIT("mail FROM:<>  "), SMTP_VERB_MAIL, SLICE_INIT("FROM:<>")},
        {SLICE_INIT("DATA"), SMTP_VERB_DATA, SLICE_INIT("")},
        {SLICE_INIT("StartTls"), SMTP_VERB_STARTTLS, SLICE_INIT("")},
        {SLICE_INIT("STARTTLSX"), SMTP_VERB_UNKNOWN, SLICE_INIT("")},
        {SLICE_INIT(" NOOP"), SMTP_VERB_UNKNOWN, SLICE_INIT("NOOP")},
        {SLICE_INIT(""), SMTP_VERB_UNKNOWN, SLICE_INIT("")},
        {SLICE_INIT("DATA\t"), SMTP_VERB_UNKNOWN, SLICE_INIT("")},
        {SLICE_INIT("GET / HTTP/1.1"), SMTP_VERB_FOREIGN, SLICE_INIT("/ HTTP/1.1")},
        {SLICE_INIT("POST /x HTTP/1.0"), SMTP_VERB_FOREIGN, SLICE_INIT("/x HTTP/1.0")},
        {SLICE_INIT("PRI * HTTP/2.0"), SMTP_VERB_FOREIGN, SLICE_INIT("* HTTP/2.0")},
        {SLICE_INIT("SSH-2.0-x"), SMTP_VERB_FOREIGN, SLICE_INIT("")},
        {SLICE_INIT("PROXY TCP4 1.2.3.4"), SMTP_VERB_FOREIGN, SLICE_INIT("TCP4 1.2.3.4")},
        {SLICE_INIT("get"), SMTP_VERB_UNKNOWN, SLICE_INIT("")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct smtp_command command;

        smtp_command_parse(cases[i].line, &command);
        assert_int_equal(command.verb, cases[i].verb);
        assert_true(slice_equal(command.args, cases[i].args));
    }
    assert_true(smtp_is_foreign(S("\x16\x03\x01\x02")));
    assert_true(smtp_is_foreign(S("\x03\0\0\x13")));
    assert_false(smtp_is_foreign(S("EHLO")));
    assert_string_equal(smtp_verb_name(SMTP_VERB_RCPT), "RCPT");
    assert_string_equal(smtp_verb_name(SMTP_VERB_UNKNOWN), "");
}

static void test_greetings_and_chunks(void **state)
{
    struct slice name;
    uint64_t size;
    bool is_last;

    (void)state;
    assert_true(smtp_helo_parse(S("a.example"), &name));
    assert_true(smtp_helo_parse(S("[192.0.2.1] trailing words"), &name));
    assert_true(slice_equal(name, S("[192.0.2.1]")));
    assert_true(smtp_helo_parse(S("under_score"), &name));
    assert_false(smtp_helo_parse(S(""), &name));
    assert_false(smtp_helo_parse(S("a\"b"), &name));
    assert_false(smtp_helo_parse(S("<a>"), &name));
    assert_false(smtp_helo_parse(S("a\\"), &name));
    assert_false(smtp_helo_parse(S("\xc3\xa9.example"), &name));
    assert_true(smtp_bdat_parse(S("0 LAST"), &size, &is_last));
    assert_true(is_last && size == 0);
    assert_true(smtp_bdat_parse(S("86"), &size, &is_last));
    assert_true(!is_last && size == 86);
    assert_true(smtp_bdat_parse(S("86  last"), &size, &is_last));
    assert_false(smtp_bdat_parse(S(""), &size, &is_last));
    assert_false(smtp_bdat_parse(S("-1"), &size, &is_last));
    assert_false(smtp_bdat_parse(S("1 LAST x"), &size, &is_last));
    assert_false(smtp_bdat_parse(S("99999999999999999999999"), &size, &is_last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_taken_however_they_are_cut),
        cmocka_unit_test(test_a_line_without_end_is_thrown_away_as_it_comes),
        cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_greetings_and_chunks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
