/* SPDX-License-Identifier: Apache-2.0 */
/* A header block: each field decoded as text, as parameters and as addresses. */
#include "format/mime/address.h"
#include "format/mime/header.h"
#include "format/mime/parameter.h"
#include "format/mime/utf8.h"
#include "format/mime/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_value(struct slice value)
{
    struct address_reader reader;
    struct buffer out;

    buffer_init(&out, 4 * MIME_HEADER_MAX);
    if (words_decode(value, &out))
        must(utf8_is_valid(buffer_view(&out)) &&
             slice_find_byte(buffer_view(&out), '\n') == buffer_len(&out));
    buffer_clear(&out);
    if (mime_parameter(value, S("name"), &out))
        must(utf8_is_valid(buffer_view(&out)));
    buffer_clear(&out);
    if (mime_parameter_raw(value, S("boundary"), &out))
        must(buffer_len(&out) <= value.len);
    (void)mime_value_head(value);
    address_reader_init(&reader, value);
    while (address_next(&reader)) {
        must(utf8_is_valid(buffer_view(&reader.display)));
        must(buffer_len(&reader.address) == 0 ||
             address_is_plausible(buffer_view(&reader.address)));
    }
    address_reader_deinit(&reader);
    buffer_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct mime_field field;
    size_t total = 0;

    while (mime_field_next(&rest, &field)) {
        total += field.raw.len;
        try_value(field.value);
    }
    must(total <= size);
    must(size > MIME_HEADER_MAX || total > MIME_FIELDS_MAX ||
         mime_header_is_sane(slice_of(data, size)));
    return 0;
}
