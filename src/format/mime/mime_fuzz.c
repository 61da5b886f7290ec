/* SPDX-License-Identifier: Apache-2.0 */
/* A whole message: the tree in two cuts, each part decoded. Reading in pieces must lose nothing. */
#include "format/mime/reader.h"
#include "format/mime/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct count {
    size_t parts, open, bytes;
    struct mime_decoder decoder;
    struct buffer out;
};

static bool count_part(void *context, const struct mime_part *part, struct err *err)
{
    struct count *count = context;
    struct mime_field field;

    (void)err;
    must(part->parent < part->index && part->depth <= MIME_DEPTH_MAX);
    must((size_t)part->index == count->parts);
    mime_decoder_init(&count->decoder, MIME_IDENTITY);
    if (mime_field_find(part->header, S("Content-Transfer-Encoding"), &field))
        mime_decoder_init(&count->decoder, mime_encoding_parse(field.value));
    count->parts++;
    count->open++;
    return true;
}

static bool count_body(void *context, int index, struct slice raw, struct err *err)
{
    struct count *count = context;

    (void)index;
    (void)err;
    count->bytes += raw.len;
    must(mime_decode(&count->decoder, raw, &count->out));
    return true;
}

static bool count_end(void *context, int index, uint64_t body_end, struct err *err)
{
    struct count *count = context;

    (void)index;
    (void)body_end;
    (void)err;
    count->open--;
    return mime_decode_end(&count->decoder, &count->out);
}

static bool run(struct slice message, size_t piece, struct count *count)
{
    const struct mime_handler handler = {count, count_part, count_body, count_end};
    struct mime_reader *reader = mime_reader_new(&handler);
    struct err err;
    bool went_well = true;

    while (went_well && message.len > 0) {
        went_well = mime_reader_push(reader, slice_head(message, piece), &err);
        message = slice_from(message, piece);
    }
    went_well = went_well && mime_reader_end(reader, &err);
    must(!went_well || count->open == 0);
    mime_reader_free(&reader);
    buffer_deinit(&count->out);
    return went_well;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct count whole = {0}, pieces = {0};
    bool went_well;

    buffer_init(&whole.out, size + 10);
    buffer_init(&pieces.out, size + 10);
    went_well = run(slice_of(data, size), size, &whole);
    must(run(slice_of(data, size), size > 0 ? data[0] % 40U + 1 : 1, &pieces) == went_well);
    must(!went_well || (whole.parts == pieces.parts && whole.bytes == pieces.bytes));
    return 0;
}
