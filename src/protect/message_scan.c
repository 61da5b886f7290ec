/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/message_scan.h"

#include "format/mime/address.h"
#include "format/mime/parameter.h"
#include "format/mime/utf8.h"
#include "format/mime/words.h"
#include "format/mime/writer.h"

#include <stdlib.h>
#include <string.h>

struct message_scanner {
    struct content_source source;
    struct message_scan *scan;
    struct mime_reader *reader;
    bool is_begun;
    bool alternative[MIME_PARTS_MAX]; /* by part: is or is inside a multipart/alternative */
    size_t body_bytes, image_bytes;   /* kept so far */
    struct leaf *leaf;                /* being read */
    struct mime_decoder decoder;
    struct buffer decoded;
};

/* ---- the header ---- */

static void cut_to(struct buffer *buffer, size_t max)
{
    buffer_truncate(buffer, utf8_head(buffer_view(buffer), max).len);
}

static void read_text_field(struct slice header, struct slice name, struct buffer *out)
{
    struct mime_field field;

    if (!mime_field_find(header, name, &field) || !words_decode(field.value, out))
        buffer_clear(out);
    cut_to(out, SCAN_FIELD_MAX);
}

/* "Ann Lee <ann@x.org>, b@x.org"; what is no address is shown as it stands. */
static void read_address_field(struct slice header, struct slice name, struct buffer *out)
{
    struct address_reader reader;
    struct mime_field field;

    if (!mime_field_find(header, name, &field))
        return;
    address_reader_init(&reader, field.value);
    while (buffer_len(out) < SCAN_FIELD_MAX && address_next(&reader)) {
        struct slice display = buffer_view(&reader.display);
        struct slice address = buffer_view(&reader.address);
        bool both = display.len > 0 && address.len > 0;

        must((buffer_len(out) == 0 || buffer_append(out, S(", "))) &&
             buffer_append(out, display) && (!both || buffer_append(out, S(" <"))) &&
             utf8_append_clean(out, address, true) && (!both || buffer_append(out, S(">"))));
    }
    address_reader_deinit(&reader);
    cut_to(out, SCAN_FIELD_MAX);
}

static void read_header(struct message_scan *scan, struct slice header)
{
    read_address_field(header, S("From"), &scan->from);
    read_address_field(header, S("To"), &scan->to);
    read_address_field(header, S("Cc"), &scan->cc);
    read_text_field(header, S("Subject"), &scan->subject);
    read_text_field(header, S("Date"), &scan->date);
}

/* ---- leaves ---- */

static struct slice field_value(struct slice header, struct slice name)
{
    struct mime_field field;

    return mime_field_find(header, name, &field) ? field.value : S("");
}

static size_t keep_lower(struct slice text, uint8_t *out, size_t max)
{
    if (text.len > max)
        return 0;
    for (size_t i = 0; i < text.len; i++)
        out[i] = byte_lower(text.at[i]);
    return text.len;
}

static void read_type(struct leaf *leaf, const struct mime_part *part)
{
    struct slice value = field_value(part->header, S("Content-Type"));
    struct slice type = mime_value_head(value);
    struct buffer charset;

    if (type.len == 0)
        type = part->in_digest ? S("message/rfc822") : S("text/plain");
    if (!mime_type_is_valid(type))
        type = S("application/octet-stream");
    leaf->type_len = keep_lower(type, leaf->type, sizeof leaf->type);
    buffer_init(&charset, sizeof leaf->charset);
    if (mime_parameter(value, S("charset"), &charset))
        leaf->charset_len =
            keep_lower(buffer_view(&charset), leaf->charset, sizeof leaf->charset);
    buffer_deinit(&charset);
}

/* True when the sender gave the part a name. */
static bool read_name(struct leaf *leaf, struct slice header)
{
    struct buffer name, clean;
    bool has_name;

    buffer_init(&name, MIME_PARAMETER_VALUE_MAX);
    buffer_init(&clean, PORTAL_NAME_MAX + 100);
    has_name =
        mime_parameter(field_value(header, S("Content-Disposition")), S("filename"), &name) ||
        mime_parameter(field_value(header, S("Content-Type")), S("name"), &name);
    message_file_name(buffer_view(&name), slice_of(leaf->type, leaf->type_len), leaf->index,
                      &clean);
    leaf->name_len = buffer_len(&clean);
    must(leaf->name_len <= sizeof leaf->name);
    memcpy(leaf->name, buffer_view(&clean).at, leaf->name_len);
    buffer_wipe(&name);
    buffer_wipe(&clean);
    return has_name;
}

static void read_content_id(struct leaf *leaf, struct slice header)
{
    struct slice id = slice_trim(field_value(header, S("Content-ID")));

    if (id.len > 2 && id.at[0] == '<' && id.at[id.len - 1] == '>')
        id = slice_head(slice_from(id, 1), id.len - 2);
    if (id.len == 0 || id.len > sizeof leaf->content_id)
        return;
    memcpy(leaf->content_id, id.at, id.len);
    leaf->content_id_len = id.len;
}

/* The kinds of picture that browsers show and that hold no script. */
static bool is_picture(struct slice type)
{
    return slice_equal(type, S("image/png")) || slice_equal(type, S("image/jpeg")) ||
           slice_equal(type, S("image/gif")) || slice_equal(type, S("image/webp"));
}

static enum leaf_role judge(const struct leaf *leaf, struct slice header, bool has_name)
{
    struct slice type = slice_of(leaf->type, leaf->type_len);
    struct slice disposition = mime_value_head(field_value(header, S("Content-Disposition")));

    if (is_picture(type) && leaf->content_id_len > 0)
        return LEAF_IMAGE;
    if (has_name || slice_equal_nocase(disposition, S("attachment")))
        return LEAF_FILE;
    if (slice_equal(type, S("text/plain")))
        return LEAF_TEXT;
    return slice_equal(type, S("text/html")) ? LEAF_HTML : LEAF_FILE;
}

static struct leaf *leaf_add(struct message_scan *scan)
{
    if (scan->count == scan->cap) {
        /* Moved by hand: realloc would leave file names behind in freed memory. */
        size_t cap = scan->cap == 0 ? 4 : scan->cap * 2;
        struct leaf *leaves = calloc(cap, sizeof *leaves);

        must(leaves != NULL);
        if (scan->count > 0) {
            memcpy(leaves, scan->leaves, scan->count * sizeof *leaves);
            explicit_bzero(scan->leaves, scan->count * sizeof *leaves);
        }
        free(scan->leaves);
        scan->leaves = leaves;
        scan->cap = cap;
    }
    return &scan->leaves[scan->count++];
}

static bool on_part(void *context, const struct mime_part *part, struct err *err)
{
    struct message_scanner *scanner = context;
    struct slice type = mime_value_head(field_value(part->header, S("Content-Type")));
    bool in_alternative = part->parent != MIME_NO_PART && scanner->alternative[part->parent];
    struct leaf *leaf;

    (void)err;
    if (part->index == 0)
        read_header(scanner->scan, part->header);
    scanner->alternative[part->index] =
        in_alternative ||
        (part->is_multipart && slice_equal_nocase(type, S("multipart/alternative")));
    if (part->is_multipart)
        return true;
    leaf = leaf_add(scanner->scan);
    leaf->index = part->index;
    leaf->in_alternative = in_alternative;
    leaf->encoding =
        mime_encoding_parse(field_value(part->header, S("Content-Transfer-Encoding")));
    read_type(leaf, part);
    read_content_id(leaf, part->header);
    leaf->role = judge(leaf, part->header, read_name(leaf, part->header));
    buffer_init(&leaf->bytes, leaf->role == LEAF_IMAGE ? SCAN_IMAGE_MAX : SCAN_BODY_MAX);
    mime_decoder_init(&scanner->decoder, leaf->encoding);
    scanner->leaf = leaf;
    return true;
}

/* Count what was decoded, and keep it where it may be shown; too much makes it a file. */
static void keep_decoded(struct message_scanner *scanner)
{
    struct leaf *leaf = scanner->leaf;
    struct slice bytes = buffer_view(&scanner->decoded);
    size_t *kept = leaf->role == LEAF_IMAGE ? &scanner->image_bytes : &scanner->body_bytes;
    size_t most = leaf->role == LEAF_IMAGE ? SCAN_IMAGES_MAX : SCAN_BODY_MAX;

    leaf->size += bytes.len;
    if (leaf->role != LEAF_FILE) {
        *kept += bytes.len;
        if (*kept > most || !buffer_append(&leaf->bytes, bytes)) {
            *kept -= buffer_len(&leaf->bytes) + bytes.len;
            leaf->role = LEAF_FILE;
            buffer_wipe(&leaf->bytes);
        }
    }
    buffer_clear(&scanner->decoded);
}

static bool on_body(void *context, int index, struct slice raw, struct err *err)
{
    struct message_scanner *scanner = context;

    (void)index;
    (void)err;
    /* In pieces, so that the room for decoding is bounded. */
    while (raw.len > 0) {
        must(mime_decode(&scanner->decoder, slice_head(raw, SPOOL_CHUNK_BYTES),
                         &scanner->decoded));
        keep_decoded(scanner);
        raw = slice_from(raw, SPOOL_CHUNK_BYTES);
    }
    return true;
}

static bool on_end(void *context, int index, uint64_t body_end, struct err *err)
{
    struct message_scanner *scanner = context;

    (void)body_end;
    (void)err;
    if (scanner->leaf == NULL || scanner->leaf->index != index)
        return true;
    must(mime_decode_end(&scanner->decoder, &scanner->decoded));
    keep_decoded(scanner);
    scanner->leaf = NULL;
    return true;
}

static void scan_init(struct message_scan *scan)
{
    *scan = (struct message_scan){0};
    /* One mailbox more than fits may be added before it is cut. */
    buffer_init(&scan->from, (size_t)4 * SCAN_FIELD_MAX);
    buffer_init(&scan->to, (size_t)4 * SCAN_FIELD_MAX);
    buffer_init(&scan->cc, (size_t)4 * SCAN_FIELD_MAX);
    buffer_init(&scan->subject, (size_t)4 * MIME_HEADER_MAX);
    buffer_init(&scan->date, (size_t)4 * MIME_HEADER_MAX);
}

struct message_scanner *message_scanner_new(const struct content_source *source,
                                            struct message_scan *scan_out)
{
    struct message_scanner *scanner = calloc(1, sizeof *scanner);
    const struct mime_handler handler = {scanner, on_part, on_body, on_end};

    must(scanner != NULL);
    scan_init(scan_out);
    scanner->source = *source;
    scanner->scan = scan_out;
    scanner->reader = mime_reader_new(&handler);
    buffer_init(&scanner->decoded, SPOOL_CHUNK_BYTES + 1024);
    return scanner;
}

void message_scanner_free(struct message_scanner **scanner)
{
    struct message_scanner *it = *scanner;

    if (it == NULL)
        return;
    mime_reader_free(&it->reader);
    buffer_wipe(&it->decoded);
    free(it);
    *scanner = NULL;
}

enum progress message_scanner_step(struct message_scanner *scanner, uint64_t *left,
                                   struct err *err)
{
    const struct content_source *source = &scanner->source;
    struct slice piece;

    if (!scanner->is_begun && !source->rewind(source->context, err))
        return PROGRESS_FAIL;
    scanner->is_begun = true;
    while (*left > 0) {
        if (!source->next(source->context, &piece, err))
            return PROGRESS_FAIL;
        if (piece.len == 0)
            return mime_reader_end(scanner->reader, err) ? PROGRESS_DONE : PROGRESS_FAIL;
        if (!mime_reader_push(scanner->reader, piece, err))
            return PROGRESS_FAIL;
        source_spend(left, piece.len);
    }
    return PROGRESS_WAIT;
}

void message_scan_deinit(struct message_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        buffer_wipe(&scan->leaves[i].bytes);
    if (scan->count > 0)
        explicit_bzero(scan->leaves, scan->count * sizeof *scan->leaves);
    free(scan->leaves);
    buffer_wipe(&scan->from);
    buffer_wipe(&scan->to);
    buffer_wipe(&scan->cc);
    buffer_wipe(&scan->subject);
    buffer_wipe(&scan->date);
    *scan = (struct message_scan){0};
}

struct leaf *message_scan_leaf(struct message_scan *scan, int index)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->leaves[i].index == index)
            return &scan->leaves[i];
    return NULL;
}
