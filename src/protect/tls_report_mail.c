/* SPDX-License-Identifier: Apache-2.0 */
/* The mail that brings a stranger's report: which part it is, unpacked within bounds. */
#include "format/mime/parameter.h"
#include "format/mime/reader.h"
#include "format/mime/utf8.h"
#include "protect/gzip.h"
#include "protect/tls_report.h"

#include <stdlib.h>

/* How sure we are that a part is the report; the first of the surest is taken. */
enum likeness { NO_REPORT, BY_NAME, BY_TYPE };

struct tls_report_reader {
    struct tls_report_read *read;
    struct mime_reader *mime;
    enum likeness likeness;
    int part; /* whose bytes are collected */
    bool is_packed;
    struct mime_decoder decoder;
    struct buffer bytes;
    uint64_t pushed;
    bool has_failed;
    struct err err;
};

/* ---- the header ---- */

/* d= of a signature. [RFC 6376 §3.5] */
static struct slice signing_domain(struct slice value)
{
    while (value.len > 0) {
        struct slice tag = slice_trim(slice_cut(&value, ';'));
        struct slice name = slice_trim(slice_cut(&tag, '='));

        if (slice_equal(name, S("d")))
            return slice_trim(tag);
    }
    return S("");
}

static void keep_lower(struct slice text, struct buffer *out)
{
    struct slice kept;

    buffer_clear(out);
    text = slice_head(slice_trim(text), TLS_REPORT_TEXT_MAX);
    if (!utf8_append_clean(out, text, true))
        buffer_clear(out);
    kept = buffer_view(out);
    for (size_t i = 0; i < kept.len; i++)
        ((uint8_t *)(uintptr_t)kept.at)[i] = byte_lower(kept.at[i]);
}

static void read_header(struct tls_report_read *read, struct slice header)
{
    struct mime_field field;

    if (mime_field_find(header, S("TLS-Report-Domain"), &field))
        keep_lower(field.value, &read->domain);
    if (mime_field_find(header, S("DKIM-Signature"), &field))
        keep_lower(signing_domain(field.value), &read->signer);
}

/* ---- parts ---- */

static enum likeness type_says(struct slice type, bool *is_packed_out)
{
    *is_packed_out = slice_equal_nocase(type, S("application/tlsrpt+gzip"));
    return *is_packed_out || slice_equal_nocase(type, S("application/tlsrpt+json")) ? BY_TYPE
                                                                                    : NO_REPORT;
}

/* Some write application/gzip, or octet-stream: then the file's name says what it is. */
static enum likeness name_says(struct slice header, bool *is_packed_out)
{
    struct mime_field field;
    struct buffer name;
    enum likeness likeness = NO_REPORT;

    buffer_init(&name, MIME_PARAMETER_VALUE_MAX);
    if ((mime_field_find(header, S("Content-Disposition"), &field) &&
         mime_parameter(field.value, S("filename"), &name)) ||
        (mime_field_find(header, S("Content-Type"), &field) &&
         mime_parameter(field.value, S("name"), &name))) {
        *is_packed_out = slice_ends_with_nocase(buffer_view(&name), S(".json.gz"));
        if (*is_packed_out || slice_ends_with_nocase(buffer_view(&name), S(".json")))
            likeness = BY_NAME;
    }
    buffer_deinit(&name);
    return likeness;
}

static bool on_part(void *context, const struct mime_part *part, struct err *err)
{
    struct tls_report_reader *reader = context;
    struct mime_field field;
    enum likeness likeness = NO_REPORT;
    bool is_packed = false;

    (void)err;
    if (part->index == 0)
        read_header(reader->read, part->header);
    if (part->is_multipart)
        return true;
    if (mime_field_find(part->header, S("Content-Type"), &field))
        likeness = type_says(mime_value_head(field.value), &is_packed);
    if (likeness == NO_REPORT)
        likeness = name_says(part->header, &is_packed);
    if (likeness <= reader->likeness)
        return true;
    reader->likeness = likeness;
    reader->part = part->index;
    reader->is_packed = is_packed;
    buffer_clear(&reader->bytes);
    mime_decoder_init(&reader->decoder, MIME_IDENTITY);
    if (mime_field_find(part->header, S("Content-Transfer-Encoding"), &field))
        mime_decoder_init(&reader->decoder, mime_encoding_parse(field.value));
    return true;
}

static bool has_size(const struct tls_report_reader *reader)
{
    return !reader->is_packed || buffer_len(&reader->bytes) <= TLS_REPORT_PACKED_MAX;
}

static bool on_body(void *context, int index, struct slice raw, struct err *err)
{
    struct tls_report_reader *reader = context;

    if (index != reader->part)
        return true;
    return (mime_decode(&reader->decoder, raw, &reader->bytes) && has_size(reader)) ||
           FAIL(err, ERR_PEER, "the report is too large");
}

static bool on_end(void *context, int index, uint64_t body_end, struct err *err)
{
    struct tls_report_reader *reader = context;

    (void)body_end;
    if (index != reader->part)
        return true;
    return (mime_decode_end(&reader->decoder, &reader->bytes) && has_size(reader)) ||
           FAIL(err, ERR_PEER, "the report is too large");
}

/* ---- the whole ---- */

struct tls_report_reader *tls_report_reader_new(struct tls_report_read *read)
{
    struct tls_report_reader *reader = calloc(1, sizeof *reader);
    const struct mime_handler handler = {reader, on_part, on_body, on_end};

    must(reader != NULL);
    reader->read = read;
    reader->part = MIME_NO_PART;
    reader->mime = mime_reader_new(&handler);
    buffer_init(&reader->bytes, TLS_REPORT_JSON_MAX);
    return reader;
}

void tls_report_reader_free(struct tls_report_reader **reader)
{
    if (*reader == NULL)
        return;
    mime_reader_free(&(*reader)->mime);
    buffer_wipe(&(*reader)->bytes);
    free(*reader);
    *reader = NULL;
}

void tls_report_reader_push(struct tls_report_reader *reader, struct slice bytes)
{
    if (reader->has_failed)
        return;
    reader->pushed += bytes.len;
    if (reader->pushed > TLS_REPORT_MAIL_MAX)
        reader->has_failed = !FAIL(&reader->err, ERR_PEER, "the mail is too large");
    else
        reader->has_failed = !mime_reader_push(reader->mime, bytes, &reader->err);
}

static bool parse_packed(struct tls_report_reader *reader, struct err *err)
{
    struct buffer json;
    bool is_read;

    buffer_init(&json, TLS_REPORT_JSON_MAX);
    is_read = gzip_unpack(buffer_view(&reader->bytes), &json, err) &&
              tls_report_parse(buffer_view(&json), reader->read, err);
    buffer_wipe(&json);
    return is_read;
}

bool tls_report_reader_finish(struct tls_report_reader *reader, struct err *err)
{
    if (!reader->has_failed)
        reader->has_failed = !mime_reader_end(reader->mime, &reader->err);
    if (reader->has_failed)
        return FAIL(err, ERR_PEER, "%s", reader->err.text_cstr);
    if (reader->likeness == NO_REPORT)
        return FAIL(err, ERR_PEER, "the mail holds no TLS report");
    if (reader->is_packed)
        return parse_packed(reader, err);
    return tls_report_parse(buffer_view(&reader->bytes), reader->read, err);
}
