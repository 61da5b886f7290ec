/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/sanitise.h"

#include "format/html/element.h"
#include "format/html/entity.h"
#include "format/html/escape.h"
#include "format/html/style.h"
#include "format/html/token.h"
#include "format/mime/utf8.h"

enum { URI_MAX = 16 * 1024 * 1024 };

struct sanitiser {
    struct buffer *out;
    html_image_fn *image_fn;
    void *context;
    bool fits; /* false: the ceiling was crossed */
    int open[HTML_DEPTH_MAX];
    size_t depth;
    unsigned open_count[ELEMENT_COUNT_MAX]; /* how often each element is open */
    struct slice drop_name;                 /* inside an element that goes with its content */
    size_t drop_depth;
    struct buffer value;    /* one attribute, decoded */
    struct buffer filtered; /* and what is left of it */
    struct buffer uri;
};

static void put(struct sanitiser *it, struct slice bytes)
{
    it->fits = it->fits && buffer_append(it->out, bytes);
}

/*
 * Text, with the character references that it has: a reference never makes markup, and so the
 * thousands of names need not be known. Any other "&" is escaped.
 */
static void put_text(struct sanitiser *it, struct slice text)
{
    while (text.len > 0 && it->fits) {
        size_t len = slice_find_byte(text, '&'), end;

        it->fits = html_escape_append(it->out, slice_head(text, len));
        text = slice_from(text, len);
        if (text.len == 0)
            break;
        end = text.len > 1 && text.at[1] == '#' ? 2 : 1;
        while (end < text.len && end < 32 &&
               (byte_is_alpha(text.at[end]) || byte_is_digit(text.at[end])))
            end++;
        if (end > 2 && end < text.len && text.at[end] == ';') {
            put(it, slice_head(text, end + 1));
            text = slice_from(text, end + 1);
        } else {
            put(it, S("&amp;"));
            text = slice_from(text, 1);
        }
    }
}

/* ---- the open elements ---- */

static void push(struct sanitiser *it, int element)
{
    it->open[it->depth++] = element;
    it->open_count[element]++;
}

static void pop(struct sanitiser *it)
{
    int element = it->open[--it->depth];

    it->open_count[element]--;
    put(it, S("</"));
    put(it, element_get(element)->name);
    put(it, S(">"));
}

static void close_element(struct sanitiser *it, int element)
{
    size_t level = it->depth;

    if (it->open_count[element] == 0)
        return;
    while (level > 0 && it->open[level - 1] != element) {
        const struct element *inner = element_get(it->open[level - 1]);

        /* "</div>" in a cell does not end the table around it. */
        if ((inner->flags & ELEMENT_BARRIER) != 0 &&
            (element_get(element)->flags & ELEMENT_TABLE) == 0)
            return;
        level--;
    }
    while (level > 0 && it->depth >= level)
        pop(it);
}

/* A cell ends the cell before it, a row the row, an item the item, any block a paragraph. */
static void close_implied(struct sanitiser *it, int element)
{
    unsigned flags = element_get(element)->flags;

    while (it->depth > 0) {
        int top = it->open[it->depth - 1];
        struct slice top_name = element_get(top)->name, name = element_get(element)->name;
        bool is_cell = slice_equal(top_name, S("td")) || slice_equal(top_name, S("th"));
        bool ends = false;

        if ((flags & ELEMENT_BLOCK) != 0 && slice_equal(top_name, S("p")))
            ends = true;
        else if (slice_equal(name, S("td")) || slice_equal(name, S("th")))
            ends = is_cell;
        else if (slice_equal(name, S("tr")))
            ends = is_cell || top == element;
        else if (slice_equal(name, S("dt")) || slice_equal(name, S("dd")))
            ends = slice_equal(top_name, S("dt")) || slice_equal(top_name, S("dd"));
        else if ((flags & ELEMENT_ITEM) != 0)
            ends = top == element;
        if (!ends)
            return;
        pop(it);
    }
}

/* ---- attributes ---- */

static bool is_word(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_alpha(value.at[i]) && !byte_is_digit(value.at[i]) && value.at[i] != '-')
            return false;
    return value.len > 0 && value.len <= 32;
}

static bool is_number(struct slice value)
{
    if (value.len > 1 && value.at[value.len - 1] == '%')
        value.len--;
    else if (slice_ends_with_nocase(value, S("px")))
        value.len -= 2;
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_digit(value.at[i]))
            return false;
    return value.len > 0 && value.len <= 5;
}

bool html_link_is_allowed(struct slice link)
{
    for (size_t i = 0; i < link.len; i++)
        if (link.at[i] <= ' ' || link.at[i] == 0x7F)
            return false;
    return link.len <= HTML_LINK_MAX && utf8_is_valid(link) &&
           ((slice_starts_with_nocase(link, S("http://")) && link.len > 7) ||
            (slice_starts_with_nocase(link, S("https://")) && link.len > 8) ||
            (slice_starts_with_nocase(link, S("mailto:")) && link.len > 7));
}

static void put_attribute(struct sanitiser *it, struct slice name, struct slice value)
{
    put(it, S(" "));
    put(it, name);
    put(it, S("=\""));
    it->fits = it->fits && html_escape_append(it->out, value);
    put(it, S("\""));
}

static void put_link(struct sanitiser *it, struct slice value)
{
    if (!html_link_is_allowed(value))
        return;
    put_attribute(it, S("href"), value);
    put(it, S(" target=\"_blank\" rel=\"noreferrer noopener nofollow\""));
}

/* One attribute that the table allows; its value is in it->value, trimmed. */
static void put_checked(struct sanitiser *it, const struct attribute *attribute,
                        struct slice value)
{
    switch (attribute->kind) {
    case ATTRIBUTE_TEXT:
        put_attribute(it, attribute->name, value);
        return;
    case ATTRIBUTE_WORD:
        if (is_word(value))
            put_attribute(it, attribute->name, value);
        return;
    case ATTRIBUTE_NUMBER:
        if (is_number(value))
            put_attribute(it, attribute->name, value);
        return;
    case ATTRIBUTE_COLOUR:
        if (style_is_colour(value))
            put_attribute(it, attribute->name, value);
        return;
    case ATTRIBUTE_STYLE:
        buffer_clear(&it->filtered);
        if (style_filter(value, &it->filtered) && buffer_len(&it->filtered) > 0)
            put_attribute(it, attribute->name, buffer_view(&it->filtered));
        return;
    case ATTRIBUTE_LINK:
        put_link(it, value);
        return;
    case ATTRIBUTE_IMAGE:
        return; /* written by put_image */
    }
}

/* The decoded value of a raw one into it->value; false when it is too long to be taken. */
static bool decode_value(struct sanitiser *it, struct slice raw, struct slice *value_out)
{
    buffer_clear(&it->value);
    if (raw.len > HTML_VALUE_MAX || !html_unescape_append(&it->value, raw))
        return false;
    *value_out = slice_trim(buffer_view(&it->value));
    return true;
}

static void put_attributes(struct sanitiser *it, struct slice rest, struct slice element)
{
    struct html_attribute attribute;
    uint64_t seen = 0;

    for (int i = 0; i < HTML_ATTRIBUTES_MAX && html_attribute_next(&rest, &attribute); i++) {
        int index = attribute_find(attribute.name, element);
        struct slice value;

        /* The first of a name counts, as in browsers. */
        if (index == ELEMENT_NONE || (seen >> index & 1) != 0)
            continue;
        seen |= UINT64_C(1) << index;
        if (decode_value(it, attribute.value, &value))
            put_checked(it, attribute_get(index), value);
    }
}

static bool find_attribute(struct slice rest, struct slice name, struct slice *raw_out)
{
    struct html_attribute attribute;

    for (int i = 0; i < HTML_ATTRIBUTES_MAX && html_attribute_next(&rest, &attribute); i++)
        if (slice_equal_nocase(attribute.name, name)) {
            *raw_out = attribute.value;
            return true;
        }
    return false;
}

/* Nothing but what a base64 data: URI of an image is made of. */
static bool is_image_uri(struct slice uri)
{
    for (size_t i = 0; i < uri.len; i++)
        if (!byte_is_alpha(uri.at[i]) && !byte_is_digit(uri.at[i]) &&
            slice_find_byte(S("+/=;,:-"), uri.at[i]) == 7)
            return false;
    return slice_starts_with(uri, S("data:image/"));
}

/* An image of the message itself, or its alternative text. */
static void put_image(struct sanitiser *it, struct slice attributes)
{
    struct slice raw, value;

    buffer_clear(&it->uri);
    if (it->image_fn != NULL && find_attribute(attributes, S("src"), &raw) &&
        decode_value(it, raw, &value) && slice_starts_with_nocase(value, S("cid:")) &&
        it->image_fn(it->context, slice_from(value, 4), &it->uri)) {
        must(is_image_uri(buffer_view(&it->uri)));
        put(it, S("<img src=\""));
        put(it, buffer_view(&it->uri));
        put(it, S("\""));
        put_attributes(it, attributes, S("img"));
        put(it, S(">"));
    } else if (find_attribute(attributes, S("alt"), &raw) && decode_value(it, raw, &value)) {
        it->fits = it->fits && html_escape_append(it->out, value);
    }
}

/* ---- tags ---- */

static void on_open(struct sanitiser *it, const struct html_token *token)
{
    int element = element_find(token->name);
    const struct element *known;

    if (element == ELEMENT_NONE)
        return;
    known = element_get(element);
    if ((known->flags & ELEMENT_DROP) != 0) {
        it->drop_name = known->name;
        it->drop_depth = 1;
        return;
    }
    close_implied(it, element);
    if (slice_equal(known->name, S("a")))
        close_element(it, element); /* links do not nest */
    if (slice_equal(known->name, S("img"))) {
        put_image(it, token->attributes);
        return;
    }
    /* Too deep: the tags are left out, the content stays. */
    if ((known->flags & ELEMENT_VOID) == 0 && it->depth == HTML_DEPTH_MAX)
        return;
    put(it, S("<"));
    put(it, known->name);
    put_attributes(it, token->attributes, known->name);
    put(it, S(">"));
    if ((known->flags & ELEMENT_VOID) == 0)
        push(it, element);
}

static void on_close(struct sanitiser *it, const struct html_token *token)
{
    int element = element_find(token->name);

    if (element == ELEMENT_NONE || (element_get(element)->flags & ELEMENT_DROP) != 0)
        return;
    if ((element_get(element)->flags & ELEMENT_VOID) == 0)
        close_element(it, element);
    else if (slice_equal_nocase(token->name, S("br")))
        put(it, S("<br>")); /* "</br>" is one, everywhere */
}

/* Inside something that is dropped: wait for its end; the same kind may nest. */
static void skip(struct sanitiser *it, const struct html_token *token)
{
    if (token->kind == HTML_OPEN && slice_equal_nocase(token->name, it->drop_name))
        it->drop_depth++;
    else if (token->kind == HTML_CLOSE && slice_equal_nocase(token->name, it->drop_name))
        it->drop_depth--;
}

static void on_token(struct sanitiser *it, const struct html_token *token)
{
    if (it->drop_depth > 0) {
        skip(it, token);
        return;
    }
    switch (token->kind) {
    case HTML_TEXT:
        put_text(it, token->text);
        return;
    case HTML_OPEN:
        on_open(it, token);
        return;
    case HTML_CLOSE:
        on_close(it, token);
        return;
    case HTML_COMMENT:
    case HTML_RAW:
        return;
    }
}

bool html_sanitise(struct slice html, html_image_fn *image_fn, void *context,
                   struct buffer *out)
{
    struct sanitiser it = {.out = out, .image_fn = image_fn, .context = context, .fits = true};
    struct html_reader reader = {.rest = html};
    struct html_token token;
    size_t before = buffer_len(out);

    buffer_init(&it.value, (size_t)4 * HTML_VALUE_MAX);
    buffer_init(&it.filtered, (size_t)2 * STYLE_MAX);
    buffer_init(&it.uri, URI_MAX);
    while (it.fits && html_token_next(&reader, &token))
        on_token(&it, &token);
    while (it.depth > 0)
        pop(&it);
    buffer_wipe(&it.value);
    buffer_wipe(&it.filtered);
    buffer_wipe(&it.uri);
    if (!it.fits)
        buffer_truncate(out, before);
    return it.fits;
}
