/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's form: first line = content type, the rest = body. Cut anywhere, it reads the same. */
#include "httpd/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct form_limits limits = {8, 2000, 3, 5000};

struct sum {
    uint64_t value;
    uint64_t file_bytes, fields, files;
};

static void mix(struct sum *sum, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sum->value = sum->value * 31 + bytes.at[i];
}

static bool on_field(void *context, struct slice name, struct slice value, struct err *err)
{
    struct sum *sum = context;

    (void)err;
    must(name.len > 0 && name.len <= FORM_NAME_MAX && ++sum->fields <= limits.fields);
    mix(sum, name);
    mix(sum, value);
    return true;
}

static bool on_file(void *context, struct slice name, struct slice filename, struct slice type,
                    struct err *err)
{
    struct sum *sum = context;

    (void)err;
    must(name.len > 0 && filename.len > 0 && filename.len <= FORM_FILENAME_MAX);
    must(++sum->files <= limits.files);
    mix(sum, filename);
    mix(sum, type);
    return true;
}

static bool on_file_bytes(void *context, struct slice bytes, struct err *err)
{
    struct sum *sum = context;

    (void)err;
    sum->file_bytes += bytes.len;
    must(sum->file_bytes <= limits.file_bytes);
    mix(sum, bytes);
    return true;
}

static bool read_form(struct slice type, struct slice body, size_t cut, struct sum *sum)
{
    const struct form_handler handler = {sum, on_field, on_file, on_file_bytes, NULL};
    struct form *form;
    struct err err = {0};
    bool is_read = form_open(type, &limits, &handler, &form, &err);

    while (is_read && body.len > 0) {
        is_read = form_push(form, slice_head(body, cut), &err);
        body = slice_from(body, cut);
    }
    is_read = is_read && form_end(form, &err);
    must(is_read || err.class != ERR_NONE);
    form_close(&form);
    return is_read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice body = slice_of(data, size);
    struct slice type = slice_cut(&body, '\n');
    struct sum whole = {0}, cut = {0};
    bool is_read = read_form(type, body, body.len + 1, &whole);

    must(read_form(type, body, 1 + size % 7, &cut) == is_read);
    must(!is_read || whole.value == cut.value);
    return 0;
}
