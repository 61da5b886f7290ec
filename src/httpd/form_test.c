/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/form.h"

#include "kit/kit.h"

#include <string.h>

static const struct form_limits limits = {3, 64, 2, 100};

/* What the form said, as one line: "name=value;" and "<name|filename|type:bytes>". */
static bool put(void *context, struct slice text)
{
    return buffer_append(context, text);
}

static bool on_field(void *context, struct slice name, struct slice value, struct err *err)
{
    (void)err;
    return put(context, name) && put(context, S("=")) && put(context, value) &&
           put(context, S(";"));
}

static bool on_file(void *context, struct slice name, struct slice filename, struct slice type,
                    struct err *err)
{
    (void)err;
    return put(context, S("<")) && put(context, name) && put(context, S("|")) &&
           put(context, filename) && put(context, S("|")) && put(context, type) &&
           put(context, S(":"));
}

static bool on_file_bytes(void *context, struct slice bytes, struct err *err)
{
    (void)err;
    return put(context, bytes);
}

static bool on_file_end(void *context, struct err *err)
{
    (void)err;
    return put(context, S(">"));
}

static bool read_form(struct slice type, struct slice body, size_t step, struct buffer *out,
                      struct err *err)
{
    const struct form_handler handler = {out, on_field, on_file, on_file_bytes, on_file_end};
    struct form *form;
    bool is_read = form_open(type, &limits, &handler, &form, err);

    while (is_read && body.len > 0) {
        is_read = form_push(form, slice_head(body, step), err);
        body = slice_from(body, step);
    }
    is_read = is_read && form_end(form, err);
    form_close(&form);
    return is_read;
}

#define PAIRS SLICE_INIT("application/x-www-form-urlencoded")
#define PARTS SLICE_INIT("multipart/form-data; boundary=XyZ")
#define DISPOSITION "Content-Disposition: form-data; "

static const struct {
    struct slice type, body, want;
    enum err_class class;
} cases[] = {
    {PAIRS, SLICE_INIT(""), SLICE_INIT(""), ERR_NONE},
    {PAIRS, SLICE_INIT("a=1&b=x+y%21%&&c"), SLICE_INIT("a=1;b=x y!%;c=;"), ERR_NONE},
    {SLICE_INIT("Application/X-WWW-Form-URLencoded; charset=utf-8"), SLICE_INIT("a=%C3%A9"),
     SLICE_INIT("a=\xC3\xA9;"), ERR_NONE},
    {PAIRS, SLICE_INIT("a=1&a=2"), SLICE_INIT("a=1;a=2;"), ERR_NONE},
    {PAIRS, SLICE_INIT("=1"), SLICE_INIT(""), ERR_PEER},
    {PAIRS, SLICE_INIT("a&b&c&d"), SLICE_INIT(""), ERR_REFUSED},
    {PAIRS, SLICE_INIT("a=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
     SLICE_INIT(""), ERR_REFUSED},
    {PAIRS, SLICE_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1"),
     SLICE_INIT(""), ERR_PEER},
    {SLICE_INIT("text/plain"), SLICE_INIT("a=1"), SLICE_INIT(""), ERR_PEER},
    {SLICE_INIT(""), SLICE_INIT("a=1"), SLICE_INIT(""), ERR_PEER},
    {SLICE_INIT("multipart/form-data"), SLICE_INIT(""), SLICE_INIT(""), ERR_PEER},
    {SLICE_INIT("multipart/form-data; boundary="), SLICE_INIT(""), SLICE_INIT(""), ERR_PEER},
    {SLICE_INIT("multipart/form-data; boundary=\"a\r\nb\""), SLICE_INIT(""), SLICE_INIT(""),
     ERR_PEER},
    {SLICE_INIT("multipart/form-data; boundary=a; boundary=b"), SLICE_INIT(""), SLICE_INIT(""),
     ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ--\r\n"), SLICE_INIT(""), ERR_NONE},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=\"t\"\r\n\r\nhi\r\nyou\r\n--XyZ\r\n" DISPOSITION
                "name=f; filename=\"a \xC3\xA9.txt\"\r\nContent-Type: text/plain\r\n\r\n"
                "body\r\n-\r\n--Xy\r\n--XyZ--\r\nepilogue"),
     SLICE_INIT("t=hi\r\nyou;<f|a \xC3\xA9.txt|text/plain:body\r\n-\r\n--Xy>"), ERR_NONE},
    {SLICE_INIT("multipart/form-data; boundary=\"XyZ\""),
     SLICE_INIT("junk\r\n--XyZ\r\n" DISPOSITION "name=\"t\"\r\n\r\n\r\n--XyZ--"),
     SLICE_INIT("t=;"), ERR_NONE},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=f; filename=\"\"\r\n"
                "Content-Type: application/octet-stream\r\n\r\n\r\n--XyZ--"),
     SLICE_INIT(""), ERR_NONE},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=f; filename=\"a;b=c.txt\"\r\n\r\n\r\n--XyZ--"),
     SLICE_INIT("<f|a;b=c.txt|:>"), ERR_NONE},
    /* refusals */
    {PARTS, SLICE_INIT(""), SLICE_INIT(""), ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\n" DISPOSITION "name=\"t\"\r\n\r\nhi"), SLICE_INIT(""),
     ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ!!"), SLICE_INIT(""), ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\n\r\nx\r\n--XyZ--"), SLICE_INIT(""), ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\nContent-Type: a/b\r\n\r\nx\r\n--XyZ--"), SLICE_INIT(""),
     ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\n" DISPOSITION "name=\"t\r\n\r\nhi\r\n--XyZ--"), SLICE_INIT(""),
     ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\n" DISPOSITION "name=\"a\"; name=\"b\"\r\n\r\nhi\r\n--XyZ--"),
     SLICE_INIT(""), ERR_PEER},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=\"a\"\r\n" DISPOSITION
                "name=\"b\"\r\n\r\nhi\r\n--XyZ--"),
     SLICE_INIT(""), ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\n" DISPOSITION "name=a\r\n folded\r\n\r\nhi\r\n--XyZ--"),
     SLICE_INIT(""), ERR_PEER},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION
                "name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nhi\r\n--XyZ--"),
     SLICE_INIT(""), ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\nContent-Disposition: attachment; name=a\r\n\r\nhi\r\n--XyZ--"),
     SLICE_INIT(""), ERR_PEER},
    {PARTS, SLICE_INIT("--XyZ\r\n" DISPOSITION "name=f; filename=\"\"\r\n\r\nbytes\r\n--XyZ--"),
     SLICE_INIT(""), ERR_PEER},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=f; filename=a\r\n\r\n\r\n--XyZ\r\n" DISPOSITION
                "name=f; filename=b\r\n\r\n\r\n--XyZ\r\n" DISPOSITION
                "name=f; filename=c\r\n\r\n\r\n--XyZ--"),
     SLICE_INIT(""), ERR_REFUSED},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=f; filename=a\r\n\r\n"
                "01234567890123456789012345678901234567890123456789"
                "01234567890123456789012345678901234567890123456789.\r\n--XyZ--"),
     SLICE_INIT(""), ERR_REFUSED},
    {PARTS,
     SLICE_INIT("--XyZ\r\n" DISPOSITION "name=f\r\n\r\n"
                "01234567890123456789012345678901234567890123456789"
                "01234567890123456789012345678901234567890123456789.\r\n--XyZ--"),
     SLICE_INIT(""), ERR_REFUSED},
};

static void test_forms_however_they_are_cut(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 1; step < 200; step += step < 9 ? 1 : 63) {
            struct err err = {0};
            bool is_read = read_form(cases[i].type, cases[i].body, step, &out, &err);

            if (is_read != (cases[i].class == ERR_NONE) || err.class != cases[i].class)
                fail_msg("case %zu step %zu: %s", i, step, err.text_cstr);
            if (is_read && !slice_equal(buffer_view(&out), cases[i].want))
                fail_msg("case %zu step %zu: %.*s", i, step, SLICE_ARGS(buffer_view(&out)));
            buffer_clear(&out);
        }
    buffer_deinit(&out);
}

static void test_a_handler_may_stop_it(void **state)
{
    const struct form_handler nothing = {NULL, NULL, NULL, NULL, NULL};
    struct form *form;
    struct err err = {0};

    (void)state;
    assert_true(
        form_open(S("application/x-www-form-urlencoded"), &limits, &nothing, &form, &err));
    assert_true(form_push(form, S("a=1"), &err));
    assert_false(form_end(form, &err));
    assert_int_equal(err.class, ERR_REFUSED);
    form_close(&form);
    assert_null(form);
}

static void test_long_part_headers_are_refused(void **state)
{
    static uint8_t header[FORM_PART_HEADER_MAX + 100];
    const struct form_handler nothing = {NULL, NULL, NULL, NULL, NULL};
    struct form *form;
    struct err err = {0};

    (void)state;
    memset(header, 'a', sizeof header);
    assert_true(
        form_open(S("multipart/form-data; boundary=b"), &limits, &nothing, &form, &err));
    assert_true(form_push(form, S("--b\r\n"), &err));
    assert_false(form_push(form, slice_of(header, sizeof header), &err));
    assert_int_equal(err.class, ERR_PEER);
    form_close(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_however_they_are_cut),
        cmocka_unit_test(test_a_handler_may_stop_it),
        cmocka_unit_test(test_long_part_headers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
