/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/reader.h"

#include "format/mime/parameter.h"

#include <stdlib.h>
#include <string.h>

/* A boundary line with its dashes, padding and line end; a longer line is none. */
enum { BOUNDARY_LINE_MAX = MIME_BOUNDARY_MAX + 100 };

enum mode {
    MODE_HEADER, /* collecting the header of part `current` */
    MODE_BODY,   /* inside the leaf `current` */
    MODE_SKIP,   /* before the first boundary of a multipart, or behind its last */
};

/* A multipart that still waits for its boundary. */
struct open_part {
    int index;
    bool is_digest;
    size_t boundary_len;
    uint8_t boundary[MIME_BOUNDARY_MAX];
};

struct mime_reader {
    struct mime_handler handler;
    enum mode mode;
    int current; /* index of the leaf, or of the part whose header is read */
    int part_count;
    uint64_t position; /* of the first byte that is neither handed on nor held */
    uint64_t header_offset;
    size_t all_headers;
    struct buffer header;
    /* The start of a line that may yet be a boundary, and the line end in front of it. */
    bool at_line_start;
    uint8_t eol[2];
    size_t eol_len;
    struct buffer line;
    size_t open_count;
    struct open_part open[MIME_DEPTH_MAX];
};

struct mime_reader *mime_reader_new(const struct mime_handler *handler)
{
    struct mime_reader *reader = calloc(1, sizeof *reader);

    must(reader != NULL);
    reader->handler = *handler;
    reader->part_count = 1;
    reader->at_line_start = true;
    buffer_init(&reader->header, MIME_HEADER_MAX);
    buffer_init(&reader->line, MIME_HEADER_MAX);
    return reader;
}

void mime_reader_free(struct mime_reader **reader)
{
    if (*reader == NULL)
        return;
    buffer_wipe(&(*reader)->header);
    buffer_wipe(&(*reader)->line);
    free(*reader);
    *reader = NULL;
}

/* ---- parts ---- */

static bool end_part(struct mime_reader *reader, int index, uint64_t body_end, struct err *err)
{
    return reader->handler.on_end == NULL ||
           reader->handler.on_end(reader->handler.context, index, body_end, err);
}

/* Open the boundary of a multipart whose header this is. False when it is none, or too deep. */
static bool open_multipart(struct mime_reader *reader, struct slice header)
{
    struct mime_field type;
    struct buffer boundary;
    struct open_part *open = &reader->open[reader->open_count];
    struct slice bytes;
    bool opened = false;

    if (reader->open_count == MIME_DEPTH_MAX ||
        !mime_field_find(header, S("Content-Type"), &type) ||
        !slice_starts_with_nocase(mime_value_head(type.value), S("multipart/")))
        return false;
    buffer_init(&boundary, MIME_BOUNDARY_MAX);
    if (mime_parameter_raw(type.value, S("boundary"), &boundary)) {
        bytes = slice_trim(buffer_view(&boundary));
        opened = bytes.len > 0;
        if (opened) {
            memcpy(open->boundary, bytes.at, bytes.len);
            open->boundary_len = bytes.len;
            open->index = reader->current;
            open->is_digest =
                slice_equal_nocase(mime_value_head(type.value), S("multipart/digest"));
            reader->open_count++;
        }
    }
    buffer_deinit(&boundary);
    return opened;
}

/* The header of `current` is whole. */
static bool begin_part(struct mime_reader *reader, struct err *err)
{
    struct mime_part part = {
        .index = reader->current,
        .parent =
            reader->open_count == 0 ? MIME_NO_PART : reader->open[reader->open_count - 1].index,
        .depth = (int)reader->open_count,
        .in_digest = reader->open_count > 0 && reader->open[reader->open_count - 1].is_digest,
        .header = buffer_view(&reader->header),
        .header_offset = reader->header_offset,
        .body_offset = reader->header_offset + buffer_len(&reader->header),
    };

    if (!mime_header_is_sane(part.header))
        return FAIL(err, ERR_PERM, "a message part has too many header fields");
    part.is_multipart = open_multipart(reader, part.header);
    reader->mode = part.is_multipart ? MODE_SKIP : MODE_BODY;
    reader->all_headers += part.header.len;
    if (reader->all_headers > MIME_ALL_HEADERS_MAX)
        return FAIL(err, ERR_PERM, "the headers of the message's parts are too large");
    return reader->handler.on_part == NULL ||
           reader->handler.on_part(reader->handler.context, &part, err);
}

/* ---- boundaries ---- */

enum boundary { BOUNDARY_NONE, BOUNDARY_NEXT, BOUNDARY_LAST };

/* Is the line (line end included or not) a boundary of an open part? Says which: its level. */
static enum boundary find_boundary(const struct mime_reader *reader, struct slice line,
                                   size_t *level_out)
{
    if (!slice_starts_with(line, S("--")) || line.len > BOUNDARY_LINE_MAX)
        return BOUNDARY_NONE;
    line = slice_from(line, 2);
    while (line.len > 0 && (line.at[line.len - 1] == '\n' || line.at[line.len - 1] == '\r' ||
                            line.at[line.len - 1] == ' ' || line.at[line.len - 1] == '\t'))
        line.len--;
    for (size_t level = reader->open_count; level-- > 0;) {
        const struct open_part *open = &reader->open[level];
        struct slice tail = slice_from(line, open->boundary_len);

        if (!slice_starts_with(line, slice_of(open->boundary, open->boundary_len)))
            continue;
        *level_out = level;
        if (tail.len == 0)
            return BOUNDARY_NEXT;
        if (slice_equal(tail, S("--")))
            return BOUNDARY_LAST;
    }
    return BOUNDARY_NONE;
}

/* A boundary line of `line_len` bytes that has just been counted into the position. */
static bool pass_boundary(struct mime_reader *reader, enum boundary boundary, size_t level,
                          size_t line_len, struct err *err)
{
    uint64_t body_end = reader->position - line_len - reader->eol_len;
    size_t keep = boundary == BOUNDARY_LAST ? level : level + 1;

    /* A boundary in a header: that part ends before it has begun. */
    if (reader->mode == MODE_HEADER) {
        body_end = reader->position - line_len;
        if (!begin_part(reader, err))
            return false;
        if (reader->mode == MODE_SKIP) {
            reader->open_count--;
            reader->mode = MODE_BODY;
        }
    }
    reader->eol_len = 0;
    if (reader->mode == MODE_BODY && !end_part(reader, reader->current, body_end, err))
        return false;
    while (reader->open_count > keep)
        if (!end_part(reader, reader->open[--reader->open_count].index, body_end, err))
            return false;
    reader->mode = MODE_SKIP;
    if (boundary == BOUNDARY_LAST)
        return true;
    if (reader->part_count == MIME_PARTS_MAX)
        return FAIL(err, ERR_PERM, "the message has more than %d parts", MIME_PARTS_MAX);
    reader->current = reader->part_count++;
    reader->mode = MODE_HEADER;
    reader->header_offset = reader->position;
    buffer_clear(&reader->header);
    return true;
}

/* ---- bytes ---- */

static bool hand_on(struct mime_reader *reader, struct slice bytes, struct err *err)
{
    return reader->mode != MODE_BODY || bytes.len == 0 || reader->handler.on_body == NULL ||
           reader->handler.on_body(reader->handler.context, reader->current, bytes, err);
}

/* The held line end was content after all. */
static bool hand_on_eol(struct mime_reader *reader, struct err *err)
{
    size_t len = reader->eol_len;

    reader->eol_len = 0;
    return hand_on(reader, slice_of(reader->eol, len), err);
}

/* A whole line of a header. */
static bool header_line(struct mime_reader *reader, struct slice line, struct err *err)
{
    size_t level;
    enum boundary boundary = find_boundary(reader, line, &level);

    if (boundary != BOUNDARY_NONE)
        return pass_boundary(reader, boundary, level, line.len, err);
    if (!buffer_append(&reader->header, line))
        return FAIL(err, ERR_PERM, "a header of the message is larger than %d bytes",
                    MIME_HEADER_MAX);
    return slice_trim(line).len > 0 || line.at[0] == ' ' || line.at[0] == '\t' ||
           begin_part(reader, err);
}

/* Take one header line, or the beginning of one, off `bytes`. */
static bool push_header(struct mime_reader *reader, struct slice *bytes, struct err *err)
{
    size_t end = slice_find_byte(*bytes, '\n');
    struct slice taken = slice_head(*bytes, end + 1);
    bool whole = end < bytes->len, went_well;

    *bytes = slice_from(*bytes, taken.len);
    reader->position += taken.len;
    if (whole && buffer_len(&reader->line) == 0)
        return header_line(reader, taken, err);
    if (!buffer_append(&reader->line, taken))
        return FAIL(err, ERR_PERM, "a header of the message is larger than %d bytes",
                    MIME_HEADER_MAX);
    if (!whole)
        return true;
    went_well = header_line(reader, buffer_view(&reader->line), err);
    buffer_clear(&reader->line);
    return went_well;
}

/* A line that begins with "-" is whole, or too long to be a boundary. */
static bool body_line(struct mime_reader *reader, struct slice line, struct err *err)
{
    size_t level;
    enum boundary boundary = find_boundary(reader, line, &level);
    size_t eol_len = 0;

    if (boundary != BOUNDARY_NONE)
        return pass_boundary(reader, boundary, level, line.len, err);
    if (!hand_on_eol(reader, err))
        return false;
    if (slice_ends_with_nocase(line, S("\r\n")))
        eol_len = 2;
    else if (slice_ends_with_nocase(line, S("\n")) || slice_ends_with_nocase(line, S("\r")))
        eol_len = 1; /* a CR at the end of a line that was cut: an LF may follow */
    if (!hand_on(reader, slice_head(line, line.len - eol_len), err))
        return false;
    if (eol_len > 0)
        memcpy(reader->eol, line.at + line.len - eol_len, eol_len);
    reader->eol_len = eol_len;
    reader->at_line_start = eol_len > 0 && reader->eol[eol_len - 1] == '\n';
    return true;
}

/* At the start of a line: is it a boundary? Takes the line, or the beginning of one. */
static bool push_line_start(struct mime_reader *reader, struct slice *bytes, struct err *err)
{
    size_t room = BOUNDARY_LINE_MAX + 1 - buffer_len(&reader->line);
    struct slice head = slice_head(*bytes, room);
    size_t end = slice_find_byte(head, '\n');
    struct slice taken = slice_head(head, end + 1);
    bool whole = end < head.len, went_well;

    if (buffer_len(&reader->line) == 0 && bytes->at[0] != '-') {
        reader->at_line_start = false;
        return hand_on_eol(reader, err);
    }
    *bytes = slice_from(*bytes, taken.len);
    reader->position += taken.len;
    must(buffer_append(&reader->line, taken));
    if (!whole && buffer_len(&reader->line) <= BOUNDARY_LINE_MAX)
        return true;
    went_well = body_line(reader, buffer_view(&reader->line), err);
    buffer_clear(&reader->line);
    return went_well;
}

/* Inside a line that is no boundary: everything up to the next line that may be one. */
static bool push_inside(struct mime_reader *reader, struct slice *bytes, struct err *err)
{
    size_t at = 0, content;

    /* A CR was held; only before an LF is it a line end. */
    if (reader->eol_len == 1 && reader->eol[0] == '\r') {
        if (bytes->at[0] == '\n') {
            reader->eol[reader->eol_len++] = '\n';
            reader->at_line_start = true;
            reader->position++;
            *bytes = slice_from(*bytes, 1);
            return true;
        }
        if (!hand_on_eol(reader, err))
            return false;
    }
    while (at < bytes->len) {
        at += slice_find_byte(slice_from(*bytes, at), '\n');
        if (at + 1 >= bytes->len || bytes->at[at + 1] == '-')
            break;
        at++;
    }
    /* What is before `at` is content, but for the line end. */
    content = at;
    if (content > 0 && bytes->at[content - 1] == '\r')
        content--;
    if (!hand_on(reader, slice_head(*bytes, content), err))
        return false;
    reader->at_line_start = at < bytes->len;
    at += at < bytes->len;
    reader->eol_len = at - content;
    must(reader->eol_len <= sizeof reader->eol);
    if (reader->eol_len > 0)
        memcpy(reader->eol, bytes->at + content, reader->eol_len);
    reader->position += at;
    *bytes = slice_from(*bytes, at);
    return true;
}

bool mime_reader_push(struct mime_reader *reader, struct slice bytes, struct err *err)
{
    bool went_well = true;

    while (went_well && bytes.len > 0) {
        if (reader->mode == MODE_HEADER) {
            reader->at_line_start = true;
            went_well = push_header(reader, &bytes, err);
        } else if (reader->at_line_start) {
            went_well = push_line_start(reader, &bytes, err);
        } else {
            went_well = push_inside(reader, &bytes, err);
        }
    }
    return went_well;
}

/* The last line has no line end: it may still be a boundary. */
static bool end_last_line(struct mime_reader *reader, struct err *err)
{
    struct slice line = buffer_view(&reader->line);

    if (line.len > 0 && !(reader->mode == MODE_HEADER ? header_line(reader, line, err)
                                                      : body_line(reader, line, err)))
        return false;
    /* A header that the message's end cut off, or that a last boundary only promised. */
    if (reader->mode == MODE_HEADER && !begin_part(reader, err))
        return false;
    return hand_on_eol(reader, err);
}

bool mime_reader_end(struct mime_reader *reader, struct err *err)
{
    if (!end_last_line(reader, err))
        return false;
    if (reader->mode == MODE_BODY && !end_part(reader, reader->current, reader->position, err))
        return false;
    while (reader->open_count > 0)
        if (!end_part(reader, reader->open[--reader->open_count].index, reader->position, err))
            return false;
    return true;
}
