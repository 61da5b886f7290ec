/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/text.h"

#include "format/html/element.h"
#include "format/html/entity.h"
#include "format/html/sanitise.h"
#include "format/html/token.h"
#include "format/mime/utf8.h"

struct text_writer {
    struct buffer *out;
    size_t begin; /* where our text starts in `out` */
    bool fits;
    bool space;   /* white space is owed before the next word */
    size_t lines; /* line ends are owed: 1 ends the line, 2 leave an empty one */
    size_t pre_depth;
    struct slice drop_name;
    size_t drop_depth;
    struct buffer link;
    struct buffer piece;
};

static void put(struct text_writer *it, struct slice bytes)
{
    it->fits = it->fits && buffer_append(it->out, bytes);
}

static void owe_lines(struct text_writer *it, size_t lines)
{
    if (lines > it->lines)
        it->lines = lines;
}

/* Pay what is owed before something visible. */
static void settle(struct text_writer *it)
{
    bool at_start = buffer_len(it->out) == it->begin;

    if (it->lines > 0) {
        for (; it->lines > 0; it->lines--)
            if (!at_start)
                put(it, S("\n"));
    } else if (it->space && !at_start) {
        put(it, S(" "));
    }
    it->space = false;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static void put_words(struct text_writer *it, struct slice text)
{
    while (text.len > 0 && it->fits) {
        size_t len = 0;

        while (len < text.len && !is_space(text.at[len]))
            len++;
        if (len > 0) {
            settle(it);
            put(it, slice_head(text, len));
        }
        text = slice_from(text, len);
        if (text.len > 0)
            it->space = true;
        while (text.len > 0 && is_space(text.at[0]))
            text = slice_from(text, 1);
    }
}

static void on_text(struct text_writer *it, struct slice raw)
{
    struct slice text;

    buffer_clear(&it->piece);
    /* Decoding never makes text longer by more than a replacement for a byte. */
    it->piece.max = 3 * raw.len + 16;
    if (!html_unescape_append(&it->piece, raw)) {
        it->fits = false;
        return;
    }
    text = buffer_view(&it->piece);
    if (it->pre_depth == 0) {
        put_words(it, text);
        return;
    }
    settle(it);
    put(it, text);
}

/* The address of a link, to be written behind its words. */
static void remember_link(struct text_writer *it, struct slice attributes)
{
    struct html_attribute attribute;

    buffer_clear(&it->link);
    for (int i = 0; i < HTML_ATTRIBUTES_MAX && html_attribute_next(&attributes, &attribute);
         i++)
        if (slice_equal_nocase(attribute.name, S("href"))) {
            if (!html_unescape_append(&it->link, slice_trim(attribute.value)) ||
                !html_link_is_allowed(buffer_view(&it->link)))
                buffer_clear(&it->link);
            return;
        }
}

static void put_link(struct text_writer *it)
{
    struct slice link = buffer_view(&it->link), written;

    if (link.len == 0)
        return;
    written = slice_from(buffer_view(it->out), it->begin);
    /* "https://x.org (https://x.org)" says nothing twice. */
    if (written.len < link.len ||
        !slice_equal(slice_from(written, written.len - link.len), link)) {
        it->space = it->space || written.len > 0;
        settle(it);
        put(it, S("<"));
        put(it, link);
        put(it, S(">"));
    }
    buffer_clear(&it->link);
}

static void on_tag(struct text_writer *it, const struct html_token *token)
{
    int index = element_find(token->name);
    bool opens = token->kind == HTML_OPEN;
    const struct element *element;

    if (index == ELEMENT_NONE)
        return;
    element = element_get(index);
    if ((element->flags & ELEMENT_DROP) != 0) {
        it->drop_name = element->name;
        it->drop_depth = opens;
        return;
    }
    if (slice_equal(element->name, S("br"))) {
        it->lines += it->lines < 2;
    } else if (slice_equal(element->name, S("p")) ||
               (element->name.len == 2 && element->name.at[0] == 'h' &&
                byte_is_digit(element->name.at[1]))) {
        owe_lines(it, 2);
    } else if ((element->flags & ELEMENT_BLOCK) != 0) {
        owe_lines(it, 1);
    } else if ((element->flags & ELEMENT_ITEM) != 0) {
        it->space = true; /* a cell */
    }
    if (slice_equal(element->name, S("pre")))
        it->pre_depth = opens ? it->pre_depth + 1 : it->pre_depth - (it->pre_depth > 0);
    if (slice_equal(element->name, S("li")) && opens)
        put_words(it, S("- "));
    if (slice_equal(element->name, S("a")) && opens)
        remember_link(it, token->attributes);
    else if (slice_equal(element->name, S("a")))
        put_link(it);
}

static void skip(struct text_writer *it, const struct html_token *token)
{
    if (token->kind == HTML_OPEN && slice_equal_nocase(token->name, it->drop_name))
        it->drop_depth++;
    else if (token->kind == HTML_CLOSE && slice_equal_nocase(token->name, it->drop_name))
        it->drop_depth--;
}

bool html_to_text(struct slice html, struct buffer *out)
{
    struct text_writer it = {.out = out, .begin = buffer_len(out), .fits = true};
    struct html_reader reader = {.rest = html};
    struct html_token token;

    buffer_init(&it.link, (size_t)3 * HTML_LINK_MAX);
    buffer_init(&it.piece, 16);
    while (it.fits && html_token_next(&reader, &token)) {
        if (it.drop_depth > 0)
            skip(&it, &token);
        else if (token.kind == HTML_TEXT)
            on_text(&it, token.text);
        else if (token.kind == HTML_OPEN || token.kind == HTML_CLOSE)
            on_tag(&it, &token);
    }
    if (it.lines > 0 && buffer_len(out) > it.begin)
        put(&it, S("\n"));
    buffer_wipe(&it.link);
    buffer_wipe(&it.piece);
    return it.fits;
}
