/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/form.h"

#include <stdlib.h>
#include <string.h>

enum { BOUNDARY_MAX = 70, SLACK_BYTES = 16 * 1024 };

enum form_state {
    AT_PAIRS,    /* urlencoded: the whole body is collected */
    AT_PREAMBLE, /* before the first boundary */
    AT_BOUNDARY, /* behind a boundary: "--" or a line end */
    AT_HEADER,   /* the header of a part */
    AT_FIELD,    /* the value of a small field */
    AT_FILE,     /* bytes of a file */
    AT_NO_FILE,  /* an empty file input: no byte may come */
    AT_END,      /* behind the last boundary */
};

struct form {
    enum form_state at;
    struct form_limits limits;
    struct form_handler handler;
    uint8_t boundary[4 + BOUNDARY_MAX]; /* CRLF, "--", boundary */
    size_t boundary_len;
    struct buffer held; /* not yet understood */
    uint8_t name[FORM_NAME_MAX];
    size_t name_len;
};

static bool malformed(struct err *err, const char *what_cstr)
{
    return FAIL(err, ERR_PEER, "the form is malformed: %s", what_cstr);
}

static bool over(struct err *err, const char *what_cstr)
{
    return FAIL(err, ERR_REFUSED, "the form has %s", what_cstr);
}

/* The value of `name` in "head; a=b; c=\"d\""; at == NULL when it is not there. False: malformed. */
static bool find_parameter(struct slice text, struct slice name, struct slice *value_out)
{
    *value_out = (struct slice){NULL, 0};
    (void)slice_cut(&text, ';');
    while (text.len > 0) {
        struct slice key, value;
        size_t equals = slice_find_byte(text, '=');

        if (equals == text.len)
            return slice_trim(text).len == 0;
        key = slice_trim(slice_head(text, equals));
        text = slice_from(text, equals + 1);
        if (text.len > 0 && text.at[0] == '"') {
            /* Browsers write %22 for a quote inside; a backslash is just one. */
            size_t end = slice_find_byte(slice_from(text, 1), '"');

            if (end == text.len - 1)
                return false;
            value = slice_head(slice_from(text, 1), end);
            text = slice_trim(slice_from(text, end + 2));
            if (text.len > 0 && text.at[0] != ';')
                return false;
            (void)slice_cut(&text, ';');
        } else
            value = slice_trim(slice_cut(&text, ';'));
        if (slice_equal_nocase(key, name)) {
            if (value_out->at != NULL)
                return false;
            *value_out = value;
        }
    }
    return true;
}

static bool set_boundary(struct form *form, struct slice content_type, struct err *err)
{
    static const struct slice marks = SLICE_INIT("'()+_,-./:=?");
    struct slice boundary;

    if (!find_parameter(content_type, S("boundary"), &boundary) || boundary.len == 0 ||
        boundary.len > BOUNDARY_MAX)
        return malformed(err, "no usable boundary");
    for (size_t i = 0; i < boundary.len; i++)
        if (!byte_is_alpha(boundary.at[i]) && !byte_is_digit(boundary.at[i]) &&
            slice_find_byte(marks, boundary.at[i]) == marks.len)
            return malformed(err, "no usable boundary");
    memcpy(form->boundary, "\r\n--", 4);
    memcpy(form->boundary + 4, boundary.at, boundary.len);
    form->boundary_len = 4 + boundary.len;
    return true;
}

bool form_open(struct slice content_type, const struct form_limits *limits,
               const struct form_handler *handler, struct form **form_out, struct err *err)
{
    struct slice rest = content_type;
    struct slice type = slice_trim(slice_cut(&rest, ';'));
    bool is_multipart = slice_equal_nocase(type, S("multipart/form-data"));
    struct form *form;

    *form_out = NULL;
    if (!is_multipart && !slice_equal_nocase(type, S("application/x-www-form-urlencoded")))
        return malformed(err, "another content type");
    form = calloc(1, sizeof *form);
    must(form != NULL);
    form->at = is_multipart ? AT_PREAMBLE : AT_PAIRS;
    form->limits = *limits;
    form->handler = *handler;
    /* Every byte of a value may be written as %XX. */
    buffer_init(&form->held, (is_multipart ? 1 : 3) * limits->field_bytes + SLACK_BYTES);
    if (is_multipart && !set_boundary(form, content_type, err)) {
        form_close(&form);
        return false;
    }
    /* The first boundary has no line end before it. */
    must(!is_multipart || buffer_append(&form->held, S("\r\n")));
    *form_out = form;
    return true;
}

void form_close(struct form **form)
{
    if (*form == NULL)
        return;
    buffer_wipe(&(*form)->held);
    explicit_bzero(*form, sizeof **form);
    free(*form);
    *form = NULL;
}

static bool give_field(struct form *form, struct slice name, struct slice value,
                       struct err *err)
{
    if (name.len == 0 || name.len > FORM_NAME_MAX)
        return malformed(err, "a field without a proper name");
    if (form->handler.on_field == NULL)
        return over(err, "a field that nobody asked for");
    if (form->limits.fields == 0)
        return over(err, "too many fields");
    if (value.len > form->limits.field_bytes)
        return over(err, "too long a field");
    form->limits.fields--;
    form->limits.field_bytes -= value.len;
    return form->handler.on_field(form->handler.context, name, value, err);
}

/* ---- urlencoded ---- */

static int hex_value(uint8_t byte)
{
    if (byte_is_digit(byte))
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* A '%' without two digits behind it stays as it is, as browsers read it. */
static bool unescape(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i] == '+' ? ' ' : text.at[i];

        if (byte == '%' && text.len - i > 2 && hex_value(text.at[i + 1]) >= 0 &&
            hex_value(text.at[i + 2]) >= 0) {
            byte = (uint8_t)(hex_value(text.at[i + 1]) * 16 + hex_value(text.at[i + 2]));
            i += 2;
        }
        if (!buffer_append_byte(out, byte))
            return false;
    }
    return true;
}

static bool read_pairs(struct form *form, struct err *err)
{
    struct slice rest = buffer_view(&form->held);
    struct buffer name, value;
    bool is_read = true;

    buffer_init(&name, FORM_NAME_MAX);
    buffer_init(&value, form->limits.field_bytes);
    while (is_read && rest.len > 0) {
        struct slice pair = slice_cut(&rest, '&');
        struct slice key;

        if (pair.len == 0)
            continue;
        key = slice_cut(&pair, '=');
        buffer_clear(&name);
        buffer_clear(&value);
        if (!unescape(key, &name))
            is_read = malformed(err, "a field without a proper name");
        else if (!unescape(pair, &value))
            is_read = over(err, "too long a field");
        else
            is_read = give_field(form, buffer_view(&name), buffer_view(&value), err);
    }
    buffer_wipe(&name);
    buffer_wipe(&value);
    return is_read;
}

/* ---- multipart ---- */

struct part_header {
    struct slice name, filename, type;
    bool has_disposition;
};

static bool read_disposition(struct slice value, struct part_header *part)
{
    struct slice rest = value;

    if (part->has_disposition ||
        !slice_equal_nocase(slice_trim(slice_cut(&rest, ';')), S("form-data")) ||
        !find_parameter(value, S("name"), &part->name) ||
        !find_parameter(value, S("filename"), &part->filename))
        return false;
    part->has_disposition = true;
    return true;
}

static bool read_header_line(struct slice line, struct part_header *part)
{
    struct slice name = slice_cut(&line, ':');
    struct slice value = slice_trim(line);

    if (slice_equal_nocase(name, S("Content-Disposition")))
        return read_disposition(value, part);
    if (slice_equal_nocase(name, S("Content-Type"))) {
        bool is_first = part->type.at == NULL;

        part->type = value.len == 0 ? S("") : value;
        return is_first;
    }
    if (slice_equal_nocase(name, S("Content-Transfer-Encoding")))
        return slice_equal_nocase(value, S("binary")) || slice_equal_nocase(value, S("8bit")) ||
               slice_equal_nocase(value, S("7bit"));
    return name.len > 0 && name.at[0] != ' ' && name.at[0] != '\t';
}

static bool begin_part(struct form *form, const struct part_header *part, struct err *err)
{
    if (part->name.len == 0 || part->name.len > FORM_NAME_MAX)
        return malformed(err, "a field without a proper name");
    memcpy(form->name, part->name.at, part->name.len);
    form->name_len = part->name.len;
    form->at = AT_FIELD;
    if (part->filename.at == NULL)
        return true;
    form->at = part->filename.len == 0 ? AT_NO_FILE : AT_FILE;
    if (form->at == AT_NO_FILE)
        return true;
    if (part->filename.len > FORM_FILENAME_MAX || part->type.len > FORM_FILENAME_MAX)
        return over(err, "too long a file name");
    if (form->limits.files == 0 || form->handler.on_file == NULL)
        return over(err, "too many files");
    form->limits.files--;
    return form->handler.on_file(form->handler.context, part->name, part->filename, part->type,
                                 err);
}

/* Find the empty line and read what stands before it. */
static enum progress step_header(struct form *form, struct err *err)
{
    struct slice held = buffer_view(&form->held);
    const uint8_t *end = memmem(held.at, held.len, "\r\n\r\n", 4);
    struct part_header part = {0};
    struct slice block;

    if (end == NULL && held.len > FORM_PART_HEADER_MAX) {
        malformed(err, "a part's header is too long");
        return PROGRESS_FAIL;
    }
    if (end == NULL)
        return PROGRESS_WAIT;
    block = slice_head(held, (size_t)(end - held.at));
    while (block.len > 0) {
        struct slice line = slice_cut(&block, '\n');

        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (slice_find_byte(line, '\0') < line.len || slice_find_byte(line, '\r') < line.len ||
            !read_header_line(line, &part)) {
            malformed(err, "a part's header");
            return PROGRESS_FAIL;
        }
    }
    if (!begin_part(form, &part, err))
        return PROGRESS_FAIL;
    /* The line end stays: it may already belong to the boundary behind an empty value. */
    buffer_consume(&form->held, (size_t)(end - held.at) + 2);
    return PROGRESS_DONE;
}

static enum progress step_boundary(struct form *form, struct err *err)
{
    struct slice held = buffer_view(&form->held);

    if (held.len < 2)
        return PROGRESS_WAIT;
    if (held.at[0] == '-' && held.at[1] == '-')
        form->at = AT_END;
    else if (held.at[0] == '\r' && held.at[1] == '\n')
        form->at = AT_HEADER;
    else {
        malformed(err, "behind a boundary");
        return PROGRESS_FAIL;
    }
    buffer_consume(&form->held, 2);
    return PROGRESS_DONE;
}

/* File bytes, or what stands before the first boundary. */
static bool pass_bytes(struct form *form, struct slice bytes, struct err *err)
{
    if (form->at == AT_NO_FILE && bytes.len > 0)
        return malformed(err, "a file without a name");
    if (form->at != AT_FILE || bytes.len == 0)
        return true;
    if (bytes.len > form->limits.file_bytes)
        return over(err, "too much in its files");
    form->limits.file_bytes -= bytes.len;
    return form->handler.on_file_bytes == NULL ||
           form->handler.on_file_bytes(form->handler.context, bytes, err);
}

static bool end_part(struct form *form, struct slice value, struct err *err)
{
    if (form->at == AT_FIELD)
        return give_field(form, slice_of(form->name, form->name_len), value, err);
    if (form->at == AT_FILE && form->handler.on_file_end != NULL)
        return form->handler.on_file_end(form->handler.context, err);
    return true;
}

/*
 * The bytes of a part up to its boundary. Two bytes of line end stand before the value (kept by
 * step_header), so that an empty value's boundary is found too.
 */
static enum progress step_content(struct form *form, struct err *err)
{
    struct slice held = buffer_view(&form->held);
    size_t lead = form->at == AT_PREAMBLE ? 0 : 2;
    const uint8_t *end = memmem(held.at, held.len, form->boundary, form->boundary_len);
    size_t len = end == NULL ? 0 : (size_t)(end - held.at);

    if (end != NULL) {
        struct slice value = len < lead ? S("") : slice_from(slice_head(held, len), lead);

        if (!pass_bytes(form, value, err) || !end_part(form, value, err))
            return PROGRESS_FAIL;
        buffer_consume(&form->held, len + form->boundary_len);
        form->at = AT_BOUNDARY;
        return PROGRESS_DONE;
    }
    if (form->at == AT_FIELD && held.len > form->limits.field_bytes + form->boundary_len + 2) {
        over(err, "too long a field");
        return PROGRESS_FAIL;
    }
    if (form->at == AT_FIELD || held.len <= lead + form->boundary_len)
        return PROGRESS_WAIT;
    len = held.len - lead - form->boundary_len;
    if (!pass_bytes(form, slice_head(slice_from(held, lead), len), err))
        return PROGRESS_FAIL;
    /* Keep two bytes as the lead of what follows: their value no longer matters. */
    buffer_consume(&form->held, len);
    return PROGRESS_WAIT;
}

static enum progress step(struct form *form, struct err *err)
{
    switch (form->at) {
    case AT_PREAMBLE:
    case AT_FIELD:
    case AT_FILE:
    case AT_NO_FILE:
        return step_content(form, err);
    case AT_BOUNDARY:
        return step_boundary(form, err);
    case AT_HEADER:
        return step_header(form, err);
    case AT_END:
        buffer_clear(&form->held);
        return PROGRESS_WAIT;
    case AT_PAIRS:
        return PROGRESS_WAIT;
    }
    return PROGRESS_FAIL;
}

bool form_push(struct form *form, struct slice bytes, struct err *err)
{
    while (bytes.len > 0) {
        struct slice piece = form->at == AT_PAIRS ? bytes : slice_head(bytes, SLACK_BYTES / 2);
        enum progress got = PROGRESS_DONE;

        bytes = slice_from(bytes, piece.len);
        if (!buffer_append(&form->held, piece))
            return over(err, "too long a field");
        while (got == PROGRESS_DONE)
            got = step(form, err);
        if (got == PROGRESS_FAIL)
            return false;
    }
    return true;
}

bool form_end(struct form *form, struct err *err)
{
    if (form->at == AT_PAIRS)
        return read_pairs(form, err);
    return form->at == AT_END || malformed(err, "it was cut off");
}
