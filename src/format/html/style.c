/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/style.h"

/* In alphabetical order for the eye; a name ending in "-" allows all that begins with it. */
static const struct slice properties[] = {
    SLICE_INIT("background"),      SLICE_INIT("background-color"),
    SLICE_INIT("border"),          SLICE_INIT("border-"),
    SLICE_INIT("clear"),           SLICE_INIT("color"),
    SLICE_INIT("direction"),       SLICE_INIT("display"),
    SLICE_INIT("float"),           SLICE_INIT("font"),
    SLICE_INIT("font-family"),     SLICE_INIT("font-size"),
    SLICE_INIT("font-style"),      SLICE_INIT("font-variant"),
    SLICE_INIT("font-weight"),     SLICE_INIT("height"),
    SLICE_INIT("letter-spacing"),  SLICE_INIT("line-height"),
    SLICE_INIT("list-style-type"), SLICE_INIT("margin"),
    SLICE_INIT("margin-"),         SLICE_INIT("max-height"),
    SLICE_INIT("max-width"),       SLICE_INIT("min-height"),
    SLICE_INIT("min-width"),       SLICE_INIT("padding"),
    SLICE_INIT("padding-"),        SLICE_INIT("table-layout"),
    SLICE_INIT("text-align"),      SLICE_INIT("text-decoration"),
    SLICE_INIT("text-indent"),     SLICE_INIT("text-transform"),
    SLICE_INIT("vertical-align"),  SLICE_INIT("white-space"),
    SLICE_INIT("width"),           SLICE_INIT("word-break"),
    SLICE_INIT("word-spacing"),    SLICE_INIT("word-wrap"),
};

static const struct slice functions[] = {SLICE_INIT("rgb"), SLICE_INIT("rgba"),
                                         SLICE_INIT("hsl"), SLICE_INIT("hsla")};

static bool property_is_allowed(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(properties); i++) {
        struct slice property = properties[i];

        if (slice_equal_nocase(name, property))
            return true;
        if (property.at[property.len - 1] == '-' && slice_starts_with_nocase(name, property) &&
            slice_find_nocase(name, S("image")) == name.len)
            return true;
    }
    return false;
}

/* The word in front of the "(" at `at` is one of the functions that make a colour? */
static bool function_is_allowed(struct slice value, size_t at)
{
    size_t begin = at;

    while (begin > 0 && byte_is_alpha(value.at[begin - 1]))
        begin--;
    for (size_t i = 0; i < COUNT_OF(functions); i++)
        if (slice_equal_nocase(slice_head(slice_from(value, begin), at - begin), functions[i]))
            return true;
    return false;
}

/*
 * Letters, digits, blanks and a few signs; quotes only in pairs; parentheses only of a colour. No
 * backslash, colon, "@", "<", slash or control character has a use here.
 */
static bool value_is_allowed(struct slice value)
{
    uint8_t quote = 0;
    bool open = false;

    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.at[i];

        if (byte == '\'' || byte == '"') {
            if (quote != 0 && quote != byte)
                return false;
            quote = quote == 0 ? byte : 0;
        } else if (byte == '(') {
            if (open || quote != 0 || !function_is_allowed(value, i))
                return false;
            open = true;
        } else if (byte == ')') {
            if (!open)
                return false;
            open = false;
        } else if (!byte_is_alpha(byte) && !byte_is_digit(byte) &&
                   slice_find_byte(S(" #%.,+-_!"), byte) == 9) {
            return false;
        }
    }
    return value.len > 0 && quote == 0 && !open;
}

bool style_is_colour(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] == '"' || value.at[i] == '\'')
            return false;
    return value.len <= 64 && value_is_allowed(value);
}

/*
 * Cut at ";", quotes or not: a value that is torn apart this way has an odd quote and is dropped.
 */
bool style_filter(struct slice style, struct buffer *out)
{
    if (style.len > STYLE_MAX)
        return true;
    while (style.len > 0) {
        struct slice value = slice_cut(&style, ';');
        struct slice name = slice_trim(slice_cut(&value, ':'));

        value = slice_trim(value);
        if (!property_is_allowed(name) || !value_is_allowed(value))
            continue;
        if (!buffer_append(out, name) || !buffer_append(out, S(":")) ||
            !buffer_append(out, value) || !buffer_append(out, S(";")))
            return false;
    }
    return true;
}
