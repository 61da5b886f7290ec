/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/portal_container.h"

#include "base/number.h"
#include "format/mime/utf8.h"
#include "format/mime/writer.h"
#include "spool/reader.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t magic[8] = "PSTNCPY1";

enum { TAG_FROM = 1, TAG_TO, TAG_CC, TAG_SUBJECT, TAG_DATE, TAG_PART = 16 };
enum { RECORD_HEAD_BYTES = 5, PART_FIXED_BYTES = 13, TYPE_MAX = 100, FIELD_MAX = 65536 };

/* ---- numbers ---- */

static bool put_number(struct buffer *out, uint64_t value, size_t bytes)
{
    while (bytes-- > 0)
        if (!buffer_append_byte(out, (uint8_t)(value >> (8 * bytes))))
            return false;
    return true;
}

/* ---- reading ---- */

static bool is_line(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' || text.at[i] == 0x7F)
            return false;
    return utf8_is_valid(text);
}

static bool is_file_name(struct slice name)
{
    return name.len <= PORTAL_NAME_MAX && is_line(name) && name.len > 0 && name.at[0] != '.' &&
           slice_find_byte(name, '/') == name.len && slice_find_byte(name, '\\') == name.len;
}

static bool parse_part(struct slice bytes, struct portal_part *part_out)
{
    size_t len;

    if (bytes.len < PART_FIXED_BYTES || bytes.at[0] < PORTAL_PART_TEXT ||
        bytes.at[0] > PORTAL_PART_ATTACHMENT)
        return false;
    part_out->kind = bytes.at[0];
    part_out->size = number_get_big(bytes.at + 1, 8);
    len = number_get_big(bytes.at + 9, 2);
    if (len > TYPE_MAX || len > bytes.len - PART_FIXED_BYTES)
        return false;
    part_out->type = slice_of(bytes.at + 11, len);
    if (number_get_big(bytes.at + 11 + len, 2) != bytes.len - PART_FIXED_BYTES - len)
        return false;
    part_out->name = slice_from(bytes, PART_FIXED_BYTES + len);
    return mime_type_is_valid(part_out->type) &&
           (part_out->kind == PORTAL_PART_ATTACHMENT ? is_file_name(part_out->name)
                                                     : part_out->name.len == 0);
}

/* Text first, then html, then attachments; offsets follow from the sizes. */
static bool add_part(struct portal_manifest *manifest, struct slice bytes, uint64_t *offset,
                     uint64_t container_bytes)
{
    struct portal_part part;
    enum portal_part_kind before;

    if (manifest->part_count == PORTAL_PARTS_MAX || !parse_part(bytes, &part))
        return false;
    if (manifest->part_count > 0) {
        before = manifest->parts[manifest->part_count - 1].kind;
        if (part.kind < before || (part.kind == before && part.kind != PORTAL_PART_ATTACHMENT))
            return false;
    }
    if (part.size > container_bytes - *offset)
        return false;
    part.offset = *offset;
    *offset += part.size;
    manifest->parts[manifest->part_count++] = part;
    return true;
}

static bool set_field(struct slice *field, struct slice bytes)
{
    if (field->len > 0 || bytes.len == 0 || bytes.len > FIELD_MAX || !is_line(bytes))
        return false;
    *field = bytes;
    return true;
}

static bool add_record(struct portal_manifest *manifest, uint8_t tag, struct slice bytes,
                       uint64_t *offset, uint64_t container_bytes)
{
    switch (tag) {
    case TAG_FROM:
        return set_field(&manifest->from, bytes);
    case TAG_TO:
        return set_field(&manifest->to, bytes);
    case TAG_CC:
        return set_field(&manifest->cc, bytes);
    case TAG_SUBJECT:
        return set_field(&manifest->subject, bytes);
    case TAG_DATE:
        return set_field(&manifest->date, bytes);
    case TAG_PART:
        return add_part(manifest, bytes, offset, container_bytes);
    default:
        return false;
    }
}

bool portal_manifest_parse(struct slice bytes, uint64_t container_bytes,
                           struct portal_manifest *manifest_out, struct err *err)
{
    uint64_t offset = PORTAL_HEAD_BYTES + bytes.len;

    memset(manifest_out, 0, sizeof *manifest_out);
    if (bytes.len > PORTAL_MANIFEST_MAX || offset > container_bytes)
        return FAIL(err, ERR_PERM, "the portal copy is damaged: its manifest is too long");
    while (bytes.len > 0) {
        uint64_t len;

        if (bytes.len < RECORD_HEAD_BYTES)
            return FAIL(err, ERR_PERM, "the portal copy is damaged: a record is cut off");
        len = number_get_big(bytes.at + 1, 4);
        if (len > bytes.len - RECORD_HEAD_BYTES)
            return FAIL(err, ERR_PERM, "the portal copy is damaged: a record is cut off");
        if (!add_record(manifest_out, bytes.at[0],
                        slice_head(slice_from(bytes, RECORD_HEAD_BYTES), len), &offset,
                        container_bytes))
            return FAIL(err, ERR_PERM, "the portal copy is damaged: a record is malformed");
        bytes = slice_from(bytes, RECORD_HEAD_BYTES + len);
    }
    return offset == container_bytes ||
           FAIL(err, ERR_PERM, "the portal copy is damaged: its parts do not fill it");
}

/* ---- writing ---- */

static bool put_field(struct buffer *out, uint8_t tag, struct slice text)
{
    return text.len == 0 || (buffer_append_byte(out, tag) && put_number(out, text.len, 4) &&
                             buffer_append(out, text));
}

static bool put_part(struct buffer *out, const struct portal_part *part)
{
    return buffer_append_byte(out, TAG_PART) &&
           put_number(out, PART_FIXED_BYTES + part->type.len + part->name.len, 4) &&
           buffer_append_byte(out, (uint8_t)part->kind) && put_number(out, part->size, 8) &&
           put_number(out, part->type.len, 2) && buffer_append(out, part->type) &&
           put_number(out, part->name.len, 2) && buffer_append(out, part->name);
}

bool portal_manifest_write(const struct portal_manifest *manifest, struct buffer *out)
{
    struct buffer records;
    bool fits;

    buffer_init(&records, PORTAL_MANIFEST_MAX);
    fits = put_field(&records, TAG_FROM, manifest->from) &&
           put_field(&records, TAG_TO, manifest->to) &&
           put_field(&records, TAG_CC, manifest->cc) &&
           put_field(&records, TAG_SUBJECT, manifest->subject) &&
           put_field(&records, TAG_DATE, manifest->date);
    for (size_t i = 0; fits && i < manifest->part_count; i++)
        fits = put_part(&records, &manifest->parts[i]);
    fits = fits && buffer_append(out, slice_of(magic, sizeof magic)) &&
           put_number(out, buffer_len(&records), 4) &&
           buffer_append(out, buffer_view(&records));
    buffer_wipe(&records);
    return fits;
}

/* ---- the sealed container ---- */

struct portal_container {
    struct spool_reader *reader;
    struct buffer manifest_bytes;
    struct portal_manifest manifest;
    uint64_t left; /* of the part being read */
};

/* Exactly `len` bytes from where the reader stands. */
static bool read_exactly(struct spool_reader *reader, size_t len, struct buffer *out,
                         struct err *err)
{
    while (buffer_len(out) < len) {
        struct slice plain;

        if (!spool_reader_next(reader, &plain, err))
            return false;
        if (plain.len == 0)
            return FAIL(err, ERR_PERM, "the portal copy is damaged: it is too short");
        must(buffer_append(out, slice_head(plain, len - buffer_len(out))));
    }
    return true;
}

static bool read_manifest(struct portal_container *container, struct err *err)
{
    struct buffer *bytes = &container->manifest_bytes;
    uint64_t total = spool_reader_plain_bytes(container->reader);
    uint64_t len;

    if (!read_exactly(container->reader, PORTAL_HEAD_BYTES, bytes, err))
        return false;
    len = number_get_big(buffer_view(bytes).at + sizeof magic, 4);
    if (!slice_equal(slice_head(buffer_view(bytes), sizeof magic),
                     slice_of(magic, sizeof magic)) ||
        len > PORTAL_MANIFEST_MAX)
        return FAIL(err, ERR_PERM, "the portal copy is damaged: it does not begin as one");
    buffer_clear(bytes);
    return spool_reader_seek(container->reader, PORTAL_HEAD_BYTES, err) &&
           read_exactly(container->reader, len, bytes, err) &&
           portal_manifest_parse(buffer_view(bytes), total, &container->manifest, err);
}

bool portal_container_open(int dir_fd, const struct content_ref *ref,
                           const struct secret *content_key,
                           struct portal_container **container_out, struct err *err)
{
    struct portal_container *container = calloc(1, sizeof *container);

    must(container != NULL);
    buffer_init(&container->manifest_bytes, PORTAL_MANIFEST_MAX);
    if (spool_reader_open(dir_fd, ref, content_key, &container->reader, err) &&
        read_manifest(container, err)) {
        *container_out = container;
        return true;
    }
    portal_container_close(&container);
    return false;
}

void portal_container_close(struct portal_container **container)
{
    if (*container == NULL)
        return;
    if ((*container)->reader != NULL)
        spool_reader_close(&(*container)->reader);
    buffer_wipe(&(*container)->manifest_bytes);
    free(*container);
    *container = NULL;
}

const struct portal_manifest *
portal_container_manifest(const struct portal_container *container)
{
    return &container->manifest;
}

bool portal_container_part(struct portal_container *container, size_t index, struct err *err)
{
    const struct portal_part *part;

    must(index < container->manifest.part_count);
    part = &container->manifest.parts[index];
    container->left = part->size;
    return spool_reader_seek(container->reader, part->offset, err);
}

bool portal_container_next(struct portal_container *container, struct slice *piece_out,
                           struct err *err)
{
    *piece_out = (struct slice){NULL, 0};
    if (container->left == 0)
        return true;
    if (!spool_reader_next(container->reader, piece_out, err))
        return false;
    if (piece_out->len == 0)
        return FAIL(err, ERR_PERM, "the portal copy is damaged: it is too short");
    *piece_out = slice_head(*piece_out, container->left);
    container->left -= piece_out->len;
    return true;
}
