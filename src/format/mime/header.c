/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/header.h"

/* Length of the first line, line end included; all of `text` when it has none. */
static size_t line_len(struct slice text)
{
    size_t end = slice_find_byte(text, '\n');

    return end < text.len ? end + 1 : text.len;
}

static bool is_empty_line(struct slice text)
{
    return slice_starts_with(text, S("\n")) || slice_starts_with(text, S("\r\n"));
}

static struct slice without_line_end(struct slice text)
{
    if (text.len > 0 && text.at[text.len - 1] == '\n')
        text.len--;
    if (text.len > 0 && text.at[text.len - 1] == '\r')
        text.len--;
    return text;
}

bool mime_name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] >= 0x7F || name.at[i] == ':')
            return false;
    return name.len > 0 && name.len <= MIME_NAME_MAX;
}

bool mime_field_next(struct slice *rest, struct mime_field *field_out)
{
    struct slice text = *rest, name;
    size_t len, colon;

    if (text.len == 0)
        return false;
    if (is_empty_line(text)) {
        *rest = slice_from(text, line_len(text));
        return false;
    }
    len = line_len(text);
    while (len < text.len && (text.at[len] == ' ' || text.at[len] == '\t'))
        len += line_len(slice_from(text, len));
    field_out->raw = slice_head(text, len);
    field_out->name = field_out->value = slice_head(text, 0);
    *rest = slice_from(text, len);

    /* Old mail has blanks before the colon. [RFC 5322 §4.5] */
    colon = slice_find_byte(field_out->raw, ':');
    name = slice_head(field_out->raw, colon);
    while (name.len > 0 && (name.at[name.len - 1] == ' ' || name.at[name.len - 1] == '\t'))
        name.len--;
    if (colon < field_out->raw.len && mime_name_is_valid(name)) {
        field_out->name = name;
        field_out->value = without_line_end(slice_from(field_out->raw, colon + 1));
    }
    return true;
}

bool mime_field_find(struct slice block, struct slice name, struct mime_field *field_out)
{
    while (mime_field_next(&block, field_out))
        if (slice_equal_nocase(field_out->name, name))
            return true;
    return false;
}

size_t mime_field_count(struct slice block, struct slice name)
{
    struct mime_field field;
    size_t count = 0;

    while (mime_field_next(&block, &field))
        count += slice_equal_nocase(field.name, name);
    return count;
}

size_t mime_header_len(struct slice message)
{
    size_t at = 0;

    while (at < message.len) {
        struct slice rest = slice_from(message, at);
        size_t end = slice_find_byte(rest, '\n');

        if (end == rest.len)
            return 0;
        at += end + 1;
        if (is_empty_line(rest))
            return at;
    }
    return 0;
}

bool mime_header_is_sane(struct slice block)
{
    struct mime_field field;
    size_t count = 0;

    if (block.len > MIME_HEADER_MAX)
        return false;
    while (count <= MIME_FIELDS_MAX && mime_field_next(&block, &field))
        count++;
    return count <= MIME_FIELDS_MAX;
}

bool mime_value_unfold(struct slice value, struct buffer *out)
{
    value = slice_trim(value);
    while (value.len > 0) {
        size_t len = 0;

        while (len < value.len && value.at[len] != '\r' && value.at[len] != '\n')
            len++;
        if (!buffer_append(out, slice_head(value, len)))
            return false;
        value = slice_from(value, len + 1);
    }
    return true;
}
