/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/dots.h"

#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

/* Push input in pieces of at most `step` bytes after a first one of `cut`; exact copies for
 * ASan. */
static enum progress unstuff(struct smtp_dots *dots, struct slice input, size_t cut,
                             size_t step, struct buffer *out, size_t *left)
{
    enum progress got = PROGRESS_WAIT;
    size_t at = 0;

    while (at < input.len && got == PROGRESS_WAIT) {
        size_t len = at == 0 && cut > 0 ? cut : step;
        uint8_t *copy;
        struct slice piece, content;

        len = len > input.len - at ? input.len - at : len;
        copy = malloc(len);
        memcpy(copy, input.at + at, len);
        piece = slice_of(copy, len);
        while (piece.len > 0 && got == PROGRESS_WAIT) {
            got = smtp_dots_push(dots, &piece, &content);
            assert_true(buffer_append(out, content));
        }
        at += len - piece.len;
        free(copy);
    }
    *left = input.len - at;
    return got;
}

struct case_row {
    struct slice input;
    struct slice content;
    bool has_bare_end;
    bool is_whole;
    size_t left;
};

static const struct case_row cases[] = {
    {SLICE_INIT(".\r\n"), SLICE_INIT(""), false, true, 0},
    {SLICE_INIT("a\r\n.\r\n"), SLICE_INIT("a\r\n"), false, true, 0},
    {SLICE_INIT("a\r\n.\r\nQUIT\r\n"), SLICE_INIT("a\r\n"), false, true, 6},
    {SLICE_INIT("\r\n\r\n.\r\n"), SLICE_INIT("\r\n\r\n"), false, true, 0},
    {SLICE_INIT("..\r\n...\r\n.a\r\n.\r\n"), SLICE_INIT(".\r\n..\r\na\r\n"), false, true, 0},
    {SLICE_INIT("a.\r\nb\r\n.\r\n"), SLICE_INIT("a.\r\nb\r\n"), false, true, 0},
    {SLICE_INIT("a"), SLICE_INIT("a"), false, false, 0},
    /* The smuggling endings: none of them ends the content, each is remembered. */
    {SLICE_INIT("a\n.\nb\r\n.\r\n"), SLICE_INIT("a\n.\nb\r\n"), true, true, 0},
    {SLICE_INIT("a\n.\r\nb\r\n.\r\n"), SLICE_INIT("a\n.\r\nb\r\n"), true, true, 0},
    {SLICE_INIT("a\r.\rb\r\n.\r\n"), SLICE_INIT("a\r.\rb\r\n"), true, true, 0},
    {SLICE_INIT("a\r.\r\nb\r\n.\r\n"), SLICE_INIT("a\r.\r\nb\r\n"), true, true, 0},
    {SLICE_INIT("a\r\n.\nb\r\n.\r\n"), SLICE_INIT("a\r\n\nb\r\n"), true, true, 0},
    {SLICE_INIT("a\r\n.\rb\r\n.\r\n"), SLICE_INIT("a\r\n\rb\r\n"), true, true, 0},
    {SLICE_INIT("a\r\n\0.\r\nb\r\n.\r\n"), SLICE_INIT("a\r\n\0.\r\nb\r\n"), false, true, 0},
    {SLICE_INIT("a\r\r\n.\r\n"), SLICE_INIT("a\r\r\n"), true, true, 0},
    {SLICE_INIT("a\n\r\n.\r\n"), SLICE_INIT("a\n\r\n"), true, true, 0},
    {SLICE_INIT("a\r\n.\r\r\nb\r\n.\r\n"), SLICE_INIT("a\r\n\r\r\nb\r\n"), true, true, 0},
    {SLICE_INIT("\n.\r\n.\r\n"), SLICE_INIT("\n.\r\n"), true, true, 0},
};

static void test_content_comes_out_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t cut = 0; cut <= cases[i].input.len; cut++) {
            for (size_t step = 1; step <= cases[i].input.len + 1; step += cases[i].input.len) {
                struct smtp_dots dots;
                struct buffer out;
                size_t left;
                enum progress got;

                buffer_init(&out, 1000);
                smtp_dots_init(&dots, 998, false);
                got = unstuff(&dots, cases[i].input, cut, step, &out, &left);
                assert_int_equal(got == PROGRESS_DONE, cases[i].is_whole);
                assert_int_equal(left, cases[i].left);
                assert_true(slice_equal(buffer_view(&out), cases[i].content));
                assert_int_equal(dots.has_bare_end, cases[i].has_bare_end);
                assert_false(dots.has_long_line);
                assert_int_equal(dots.has_nul,
                                 slice_find_byte(cases[i].content, 0) < cases[i].content.len);
                buffer_deinit(&out);
            }
        }
    }
}

static void test_long_lines_are_noticed(void **state)
{
    static const struct {
        struct slice input;
        bool is_long;
    } rows[] = {
        {SLICE_INIT("12345\r\n.\r\n"), false},   {SLICE_INIT("123456\r\n.\r\n"), true},
        {SLICE_INIT(".12345\r\n.\r\n"), false},  {SLICE_INIT("..2345\r\n.\r\n"), false},
        {SLICE_INIT("12345\n6\r\n.\r\n"), true}, {SLICE_INIT("1\r\n123456\r\n.\r\n"), true},
        {SLICE_INIT("1234\r5\r\n.\r\n"), true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].input.len; step++) {
            struct smtp_dots dots;
            struct buffer out;
            size_t left;

            buffer_init(&out, 1000);
            smtp_dots_init(&dots, 5, false);
            assert_int_equal(unstuff(&dots, rows[i].input, 0, step, &out, &left),
                             PROGRESS_DONE);
            assert_int_equal(dots.has_long_line, rows[i].is_long);
            buffer_deinit(&out);
        }
    }
}

static void test_chunks_have_no_dots(void **state)
{
    static const struct {
        struct slice input, content;
        bool has_bare_end, ends_clean;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT(""), false, true},
        {SLICE_INIT("a\r\n.\r\nb\r\n"), SLICE_INIT("a\r\n.\r\nb\r\n"), false, true},
        {SLICE_INIT("..\r\nb"), SLICE_INIT("..\r\nb"), false, false},
        {SLICE_INIT("a\n.\nb\r\n"), SLICE_INIT("a\n.\nb\r\n"), true, true},
        {SLICE_INIT("a\r"), SLICE_INIT("a\r"), true, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].input.len + 1; step++) {
            struct smtp_dots dots;
            struct buffer out;
            struct slice rest;
            size_t left;

            buffer_init(&out, 1000);
            smtp_dots_init(&dots, 998, true);
            assert_int_equal(unstuff(&dots, rows[i].input, 0, step, &out, &left),
                             PROGRESS_WAIT);
            assert_int_equal(smtp_dots_finish_chunks(&dots, &rest), rows[i].ends_clean);
            assert_true(buffer_append(&out, rest));
            assert_true(slice_equal(buffer_view(&out), rows[i].content));
            assert_int_equal(dots.has_bare_end, rows[i].has_bare_end);
            buffer_deinit(&out);
        }
    }
}

static void test_writing_doubles_dots_and_repairs_ends(void **state)
{
    static const struct {
        struct slice content, wire;
    } rows[] = {
        {SLICE_INIT(""), SLICE_INIT(".\r\n")},
        {SLICE_INIT("a\r\n"), SLICE_INIT("a\r\n.\r\n")},
        {SLICE_INIT("a"), SLICE_INIT("a\r\n.\r\n")},
        {SLICE_INIT("."), SLICE_INIT("..\r\n.\r\n")},
        {SLICE_INIT(".\r\n.\r\na.\r\n"), SLICE_INIT("..\r\n..\r\na.\r\n.\r\n")},
        {SLICE_INIT("a\n.\nb"), SLICE_INIT("a\r\n..\r\nb\r\n.\r\n")},
        {SLICE_INIT("a\r.\rb"), SLICE_INIT("a\r\n..\r\nb\r\n.\r\n")},
        {SLICE_INIT("a\r\r\nb\r"), SLICE_INIT("a\r\n\r\nb\r\n.\r\n")},
        {SLICE_INIT("a\n\r\nb"), SLICE_INIT("a\r\n\r\nb\r\n.\r\n")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].content.len + 1; step++) {
            struct smtp_dots_writer writer = {0};
            struct buffer out;
            struct slice rest = rows[i].content;

            buffer_init(&out, 1000);
            while (rest.len > 0) {
                assert_true(smtp_dots_write(&writer, slice_head(rest, step), &out));
                rest = slice_from(rest, step);
            }
            assert_true(smtp_dots_write_end(&writer, &out));
            assert_true(slice_equal(buffer_view(&out), rows[i].wire));
            buffer_deinit(&out);
        }
    }
}

static void test_a_full_buffer_is_told(void **state)
{
    struct smtp_dots_writer writer = {0};
    struct buffer out;

    (void)state;
    buffer_init(&out, 4);
    assert_false(smtp_dots_write(&writer, S("abcdef\r\n"), &out));
    buffer_clear(&out);
    writer = (struct smtp_dots_writer){0};
    assert_true(smtp_dots_write(&writer, S("ab"), &out));
    assert_false(smtp_dots_write_end(&writer, &out));
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_comes_out_however_it_is_cut),
        cmocka_unit_test(test_long_lines_are_noticed),
        cmocka_unit_test(test_chunks_have_no_dots),
        cmocka_unit_test(test_writing_doubles_dots_and_repairs_ends),
        cmocka_unit_test(test_a_full_buffer_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
