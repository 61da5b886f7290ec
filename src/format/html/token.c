/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/token.h"

/* Elements whose content is text until their own end tag. [WHATWG HTML §13.2.5.2] */
static const struct slice raw_elements[] = {
    SLICE_INIT("script"),   SLICE_INIT("style"),    SLICE_INIT("title"),
    SLICE_INIT("textarea"), SLICE_INIT("xmp"),      SLICE_INIT("iframe"),
    SLICE_INIT("noembed"),  SLICE_INIT("noframes"), SLICE_INIT("plaintext"),
};

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static bool is_raw(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(raw_elements); i++)
        if (slice_equal_nocase(name, raw_elements[i]))
            return true;
    return false;
}

/* The first bytes of `rest` up to `len`, taken off it. */
static struct slice take(struct slice *rest, size_t len)
{
    struct slice taken = slice_head(*rest, len);

    *rest = slice_from(*rest, len);
    return taken;
}

static struct slice take_name(struct slice *rest)
{
    size_t len = 0;

    while (len < rest->len && !is_space(rest->at[len]) && rest->at[len] != '/' &&
           rest->at[len] != '>')
        len++;
    return take(rest, len);
}

/* Everything up to the ">" that ends the tag, quoted values passed over; the ">" is dropped. */
static struct slice take_attributes(struct slice *rest, bool *ended_out)
{
    size_t at = 0;
    struct slice taken;
    bool after_equals = false;

    while (at < rest->len && rest->at[at] != '>') {
        uint8_t byte = rest->at[at++];

        if (after_equals && (byte == '"' || byte == '\''))
            at += slice_find_byte(slice_from(*rest, at), byte) + 1;
        after_equals = byte == '=' || (after_equals && is_space(byte));
    }
    *ended_out = at < rest->len;
    taken = take(rest, at);
    *rest = slice_from(*rest, 1);
    return taken;
}

/* Behind "<!--": the length of the comment with its end. */
static size_t comment_len(struct slice text)
{
    if (slice_starts_with(text, S(">")))
        return 1;
    if (slice_starts_with(text, S("->")))
        return 2;
    for (size_t at = 0; at < text.len; at++) {
        at += slice_find_byte(slice_from(text, at), '-');
        if (slice_starts_with(slice_from(text, at), S("-->")))
            return at + 3;
        if (slice_starts_with(slice_from(text, at), S("--!>")))
            return at + 4;
    }
    return text.len;
}

static void read_comment(struct html_reader *reader, struct html_token *token)
{
    token->kind = HTML_COMMENT;
    if (slice_starts_with(reader->rest, S("<!--"))) {
        reader->rest = slice_from(reader->rest, 4);
        reader->rest = slice_from(reader->rest, comment_len(reader->rest));
    } else {
        reader->rest = slice_from(reader->rest, slice_find_byte(reader->rest, '>') + 1);
    }
}

/* At "<": a tag, a comment, or just a "<". */
static bool read_markup(struct html_reader *reader, struct html_token *token)
{
    uint8_t second = reader->rest.len > 1 ? reader->rest.at[1] : 0;
    uint8_t third = reader->rest.len > 2 ? reader->rest.at[2] : 0;
    bool ended;

    if (second == '!' || second == '?' ||
        (second == '/' && third != 0 && !byte_is_alpha(third))) {
        read_comment(reader, token);
        return true;
    }
    if (!byte_is_alpha(second) && !(second == '/' && byte_is_alpha(third)))
        return false;
    token->kind = second == '/' ? HTML_CLOSE : HTML_OPEN;
    reader->rest = slice_from(reader->rest, second == '/' ? 2 : 1);
    token->name = take_name(&reader->rest);
    token->attributes = take_attributes(&reader->rest, &ended);
    if (!ended)
        token->kind = HTML_COMMENT;
    else if (token->kind == HTML_OPEN && is_raw(token->name))
        reader->raw_name = token->name;
    return true;
}

/* The length of raw text up to the end tag of `name`. */
static size_t raw_len(struct slice text, struct slice name)
{
    for (size_t at = 0; at < text.len; at++) {
        struct slice here;

        at += slice_find_byte(slice_from(text, at), '<');
        here = slice_from(text, at);
        if (slice_starts_with(here, S("</")) &&
            slice_starts_with_nocase(slice_from(here, 2), name)) {
            here = slice_from(here, 2 + name.len);
            if (here.len == 0 || is_space(here.at[0]) || here.at[0] == '/' || here.at[0] == '>')
                return at;
        }
    }
    return text.len;
}

bool html_token_next(struct html_reader *reader, struct html_token *token_out)
{
    size_t len;

    *token_out = (struct html_token){0};
    if (reader->rest.len == 0)
        return false;
    if (reader->raw_name.len > 0) {
        token_out->kind = HTML_RAW;
        len = slice_equal_nocase(reader->raw_name, S("plaintext"))
                  ? reader->rest.len
                  : raw_len(reader->rest, reader->raw_name);
        token_out->text = take(&reader->rest, len);
        reader->raw_name = (struct slice){NULL, 0};
        return true;
    }
    if (reader->rest.at[0] == '<' && read_markup(reader, token_out))
        return true;
    /* A "<" that opens nothing is text, together with what follows. */
    len = 1 + slice_find_byte(slice_from(reader->rest, 1), '<');
    token_out->kind = HTML_TEXT;
    token_out->text = take(&reader->rest, len);
    return true;
}

bool html_attribute_next(struct slice *attributes, struct html_attribute *attribute_out)
{
    struct slice *rest = attributes;
    size_t len = 0;

    while (rest->len > 0 && (is_space(rest->at[0]) || rest->at[0] == '/'))
        *rest = slice_from(*rest, 1);
    if (rest->len == 0)
        return false;
    /* A "=" in front belongs to the name. */
    while (len < rest->len && !is_space(rest->at[len]) && rest->at[len] != '/' &&
           (rest->at[len] != '=' || len == 0))
        len++;
    attribute_out->name = take(rest, len);
    attribute_out->value = (struct slice){NULL, 0};
    while (rest->len > 0 && is_space(rest->at[0]))
        *rest = slice_from(*rest, 1);
    if (rest->len == 0 || rest->at[0] != '=')
        return true;
    *rest = slice_from(*rest, 1);
    while (rest->len > 0 && is_space(rest->at[0]))
        *rest = slice_from(*rest, 1);
    if (rest->len > 0 && (rest->at[0] == '"' || rest->at[0] == '\'')) {
        uint8_t quote = rest->at[0];

        *rest = slice_from(*rest, 1);
        attribute_out->value = slice_cut(rest, quote);
        return true;
    }
    for (len = 0; len < rest->len && !is_space(rest->at[len]);)
        len++;
    attribute_out->value = take(rest, len);
    return true;
}
