/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/parameter.h"

#include "format/mime/charset.h"
#include "format/mime/utf8.h"
#include "format/mime/words.h"

/* ---- cutting a value into parameters ---- */

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Skip blanks and comments. Comments nest; a counter instead of recursion. */
static struct slice skip_space(struct slice text)
{
    size_t depth = 0, at = 0;

    for (; at < text.len; at++) {
        uint8_t byte = text.at[at];

        if (byte == '(')
            depth++;
        else if (byte == ')' && depth > 0)
            depth--;
        else if (byte == '\\' && depth > 0)
            at++;
        else if (depth == 0 && !is_blank(byte))
            break;
    }
    return slice_from(text, at);
}

static bool is_token_end(uint8_t byte)
{
    return is_blank(byte) || byte == ';' || byte == '=' || byte == '(' || byte == '"';
}

/* A word up to a blank or separator; may be empty. */
static struct slice take_token(struct slice *rest)
{
    size_t len = 0;
    struct slice token;

    while (len < rest->len && !is_token_end(rest->at[len]))
        len++;
    token = slice_head(*rest, len);
    *rest = slice_from(*rest, len);
    return token;
}

/*
 * The value of a parameter: a quoted string (its inside, escapes and all) or what stands before
 * the next ";". Programs forget the quotes around names with blanks.
 */
static struct slice take_value(struct slice *rest, bool *quoted_out)
{
    struct slice value;
    size_t len;

    *quoted_out = rest->len > 0 && rest->at[0] == '"';
    if (!*quoted_out) {
        len = slice_find_byte(*rest, ';');
        value = slice_trim(slice_head(*rest, len));
        *rest = slice_from(*rest, len);
        return value;
    }
    *rest = slice_from(*rest, 1);
    for (len = 0; len < rest->len && rest->at[len] != '"'; len++)
        if (rest->at[len] == '\\' && len + 1 < rest->len)
            len++;
    value = slice_head(*rest, len);
    *rest = slice_from(*rest, len + 1);
    return value;
}

struct parameter {
    struct slice name, value;
    bool quoted;
};

/* The next parameter of `rest`, which stands behind the head or a parameter. */
static bool parameter_next(struct slice *rest, struct parameter *parameter_out)
{
    while (rest->len > 0) {
        *rest = slice_from(*rest, slice_find_byte(*rest, ';') + 1);
        *rest = skip_space(*rest);
        parameter_out->name = take_token(rest);
        *rest = skip_space(*rest);
        if (parameter_out->name.len == 0 || rest->len == 0 || rest->at[0] != '=')
            continue;
        *rest = skip_space(slice_from(*rest, 1));
        parameter_out->value = take_value(rest, &parameter_out->quoted);
        return true;
    }
    return false;
}

struct slice mime_value_head(struct slice value)
{
    value = skip_space(value);
    return take_token(&value);
}

/* ---- decoding ---- */

static bool append_unquoted(struct buffer *out, const struct parameter *parameter)
{
    struct slice value = parameter->value;

    if (!parameter->quoted)
        return buffer_append(out, value);
    while (value.len > 0) {
        size_t len = slice_find_byte(value, '\\');

        if (!buffer_append(out, slice_head(value, len)))
            return false;
        if (len + 1 < value.len && !buffer_append_byte(out, value.at[len + 1]))
            return false;
        value = slice_from(value, len + 2);
    }
    return true;
}

static int hex_value(uint8_t byte)
{
    if (byte_is_digit(byte))
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool append_percent_decoded(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];

        if (byte == '%' && i + 2 < text.len && hex_value(text.at[i + 1]) >= 0 &&
            hex_value(text.at[i + 2]) >= 0) {
            byte = (uint8_t)(hex_value(text.at[i + 1]) * 16 + hex_value(text.at[i + 2]));
            i += 2;
        }
        if (!buffer_append_byte(out, byte))
            return false;
    }
    return true;
}

/* One piece of an extended value: `name*`, `name*3` or `name*3*`. [RFC 2231 §4.1] */
struct piece_name {
    bool extended; /* percent-encoded */
    bool numbered;
    uint64_t number;
};

/* Is `full` the name of a piece of `name`? */
static bool piece_parse(struct slice full, struct slice name, struct piece_name *piece_out)
{
    struct slice tail = slice_from(full, name.len);

    *piece_out = (struct piece_name){0};
    if (!slice_starts_with_nocase(full, name) || tail.len == 0 || tail.at[0] != '*')
        return false;
    tail = slice_from(tail, 1);
    if (tail.len == 0) {
        piece_out->extended = true;
        return true;
    }
    if (tail.at[tail.len - 1] == '*') {
        piece_out->extended = true;
        tail.len--;
    }
    piece_out->numbered = true;
    return slice_parse_u64(tail, &piece_out->number);
}

/*
 * Append the piece with this number (or the one without number, for 0), percent-decoded. The
 * first piece says the set: charset'language'value.
 */
static bool append_piece(struct slice rest, struct slice name, uint64_t number,
                         struct slice *charset_io, struct buffer *out)
{
    struct parameter parameter;
    struct piece_name piece;

    for (int i = 0; i < MIME_PARAMETERS_MAX && parameter_next(&rest, &parameter); i++) {
        struct slice value = parameter.value;

        if (!piece_parse(parameter.name, name, &piece) || piece.number != number)
            continue;
        if (!piece.extended)
            return append_unquoted(out, &parameter);
        if (number == 0) {
            *charset_io = slice_cut(&value, '\'');
            (void)slice_cut(&value, '\'');
        }
        return append_percent_decoded(out, value);
    }
    return false;
}

/* All pieces of an extended value, in order. False when there is none. */
static bool append_extended(struct slice rest, struct slice name, struct buffer *out)
{
    struct slice charset = S("us-ascii");
    struct buffer bytes;
    bool found;

    buffer_init(&bytes, MIME_PARAMETER_VALUE_MAX);
    found = append_piece(rest, name, 0, &charset, &bytes);
    /* At most a hundred walks over at most a hundred parameters. */
    for (uint64_t i = 1; found && i < MIME_PARAMETERS_MAX; i++)
        if (!append_piece(rest, name, i, &charset, &bytes))
            break;
    found = found && charset_append_utf8(charset, buffer_view(&bytes), out);
    buffer_wipe(&bytes);
    return found;
}

static bool find_plain(struct slice rest, struct slice name, struct parameter *parameter_out)
{
    for (int i = 0; i < MIME_PARAMETERS_MAX && parameter_next(&rest, parameter_out); i++)
        if (slice_equal_nocase(parameter_out->name, name))
            return true;
    return false;
}

bool mime_parameter_raw(struct slice value, struct slice name, struct buffer *out)
{
    struct parameter parameter;

    return find_plain(value, name, &parameter) && append_unquoted(out, &parameter);
}

bool mime_parameter(struct slice value, struct slice name, struct buffer *out)
{
    struct parameter parameter;
    struct buffer bytes, text;
    bool found;

    buffer_init(&bytes, 4 * MIME_PARAMETER_VALUE_MAX);
    buffer_init(&text, 12 * MIME_PARAMETER_VALUE_MAX);
    found = append_extended(value, name, &text);
    if (!found && find_plain(value, name, &parameter)) {
        parameter.value = slice_head(parameter.value, MIME_PARAMETER_VALUE_MAX);
        found = append_unquoted(&bytes, &parameter) && words_decode(buffer_view(&bytes), &text);
    }
    found = found && utf8_append_clean(
                         out, utf8_head(buffer_view(&text), MIME_PARAMETER_VALUE_MAX), true);
    buffer_wipe(&bytes);
    buffer_wipe(&text);
    return found;
}
