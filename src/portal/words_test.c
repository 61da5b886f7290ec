/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/words.h"

#include "kit/kit.h"

static void check(struct buffer *out, const char *want_cstr)
{
    struct slice got = buffer_view(out);

    if (!slice_equal(got, slice_from_cstr(want_cstr)))
        fail_msg("%.*s, not %s", SLICE_ARGS(got), want_cstr);
    buffer_clear(out);
}

static void test_sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *want_cstr;
    } cases[] = {
        {0, "0 bytes"},
        {1, "1 byte"},
        {999, "999 bytes"},
        {1000, "1 KB"},
        {1500, "1.5 KB"},
        {9990, "9.9 KB"},
        {48600, "49 KB"},
        {999499, "999 KB"},
        {1000000, "1 MB"},
        {26214400, "26 MB"},
        {UINT64_C(5200000000), "5.2 GB"},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(words_size(&out, cases[i].bytes));
        check(&out, cases[i].want_cstr);
    }
    buffer_deinit(&out);
}

static void test_times(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    assert_true(words_moment(&out, INT64_C(1795330359000)));
    check(&out, "22 November 2026, 06:52 UTC");
    assert_true(words_day(&out, INT64_C(-5)));
    check(&out, "1 January 1970");
    buffer_deinit(&out);
    assert_int_equal(words_minutes(-1), 1);
    assert_int_equal(words_minutes(60000), 1);
    assert_int_equal(words_minutes(60001), 2);
}

static void test_filenames(void **state)
{
    static const struct {
        struct slice name;
        const char *want_cstr;
    } cases[] = {
        {SLICE_INIT("a.pdf"), "a.pdf"},
        {SLICE_INIT("../../etc/passwd"), "passwd"},
        {SLICE_INIT("C:\\fakepath\\scan.png"), "scan.png"},
        {SLICE_INIT(".bashrc"), "bashrc"},
        {SLICE_INIT("a\r\nb\x01.txt"), "a b.txt"},
        {SLICE_INIT("x\xE2\x80\xAE"
                    "fdp.exe"),
         "xfdp.exe"},
        {SLICE_INIT("Gr\xC3\xB6\xC3\x9F"
                    "e.txt"),
         "Gr\xC3\xB6\xC3\x9F"
         "e.txt"},
        {SLICE_INIT(""), "attachment-3"},
        {SLICE_INIT("../"), "attachment-3"},
        {SLICE_INIT("..."), "attachment-3"},
    };
    static uint8_t long_name[300];
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(words_filename(&out, cases[i].name, 3));
        check(&out, cases[i].want_cstr);
    }
    for (size_t i = 0; i < sizeof long_name; i++)
        long_name[i] = i < 295 ? 'a' : (uint8_t) ".docx"[i - 295];
    assert_true(words_filename(&out, slice_of(long_name, sizeof long_name), 3));
    assert_int_equal(buffer_len(&out), WORDS_FILENAME_MAX);
    assert_true(slice_ends_with_nocase(buffer_view(&out), S("aaa.docx")));
    buffer_deinit(&out);
}

static void test_dispositions(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    assert_true(words_disposition(&out, S("a b\"c%\\.pdf")));
    check(&out, "attachment; filename=\"a b_c__.pdf\"; filename*=UTF-8''a%20b%22c%25%5C.pdf");
    assert_true(words_disposition(&out, S("\xC3\xB6.txt")));
    check(&out, "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%B6.txt");
    buffer_deinit(&out);
    assert_string_equal(words_file_type(S("Application/PDF")), "application/pdf");
    assert_string_equal(words_file_type(S("text/html")), "application/octet-stream");
    assert_string_equal(words_file_type(S("image/svg+xml")), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_filenames),
        cmocka_unit_test(test_dispositions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
