/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/utf8.h"

/* Length that a first byte promises, 0 when it may not begin a character. */
static size_t promised_len(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    if (first >= 0xF0 && first <= 0xF4)
        return 4;
    return 0;
}

/* Length of the well-formed character at the start of `text`, 0 when there is none. */
static size_t whole_len(struct slice text, uint32_t *character_out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = promised_len(text.at[0]);
    uint32_t character;

    if (len == 0 || len > text.len)
        return 0;
    character = len == 1 ? text.at[0] : text.at[0] & (0x7FU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text.at[i] & 0xC0) != 0x80)
            return 0;
        character = character << 6 | (text.at[i] & 0x3FU);
    }
    if (character < least[len] || character > 0x10FFFF ||
        (character >= 0xD800 && character <= 0xDFFF))
        return 0;
    *character_out = character;
    return len;
}

uint32_t utf8_take(struct slice *rest)
{
    uint32_t character = UTF8_REPLACEMENT;
    size_t len;

    must(rest->len > 0);
    len = whole_len(*rest, &character);
    *rest = slice_from(*rest, len == 0 ? 1 : len);
    return character;
}

bool utf8_append(struct buffer *out, uint32_t character)
{
    uint8_t bytes[4];
    size_t len;

    if (character > 0x10FFFF || (character >= 0xD800 && character <= 0xDFFF))
        character = UTF8_REPLACEMENT;
    if (character < 0x80) {
        bytes[0] = (uint8_t)character;
        len = 1;
    } else if (character < 0x800) {
        bytes[0] = (uint8_t)(0xC0 | character >> 6);
        len = 2;
    } else if (character < 0x10000) {
        bytes[0] = (uint8_t)(0xE0 | character >> 12);
        len = 3;
    } else {
        bytes[0] = (uint8_t)(0xF0 | character >> 18);
        len = 4;
    }
    for (size_t i = 1; i < len; i++)
        bytes[i] = (uint8_t)(0x80 | (character >> (6 * (len - 1 - i)) & 0x3F));
    return buffer_append(out, slice_of(bytes, len));
}

bool utf8_is_valid(struct slice text)
{
    uint32_t character;

    while (text.len > 0) {
        size_t len = whole_len(text, &character);

        if (len == 0)
            return false;
        text = slice_from(text, len);
    }
    return true;
}

static bool is_unwelcome(uint32_t character)
{
    return (character < 0x20 && character != '\t' && character != '\n') ||
           (character >= 0x7F && character < 0xA0) ||
           (character >= 0x202A && character <= 0x202E) ||
           (character >= 0x2066 && character <= 0x2069);
}

bool utf8_append_clean(struct buffer *out, struct slice text, bool one_line)
{
    while (text.len > 0) {
        size_t plain = 0;

        /* Most text is printable ASCII: copied in runs. */
        while (plain < text.len && text.at[plain] >= 0x20 && text.at[plain] < 0x7F)
            plain++;
        if (!buffer_append(out, slice_head(text, plain)))
            return false;
        text = slice_from(text, plain);
        if (text.len > 0) {
            uint32_t character = utf8_take(&text);

            if (is_unwelcome(character))
                continue;
            if (one_line && character < 0x20)
                character = ' ';
            if (!utf8_append(out, character))
                return false;
        }
    }
    return true;
}

struct slice utf8_head(struct slice text, size_t max_bytes)
{
    size_t len = max_bytes;

    if (text.len <= max_bytes)
        return text;
    /* Step back over the inside of a character, at most three bytes. */
    while (len > 0 && max_bytes - len < 4 && (text.at[len] & 0xC0) == 0x80)
        len--;
    return slice_head(text, len);
}
