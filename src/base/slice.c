/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

#include <string.h>

struct slice slice_from_cstr(const char *text_cstr)
{
    return slice_of(text_cstr, text_cstr == NULL ? 0 : strlen(text_cstr));
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool slice_equal_nocase(struct slice a, struct slice b)
{
    return a.len == b.len && slice_starts_with_nocase(a, b);
}

bool slice_starts_with(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_equal(slice_head(text, prefix.len), prefix);
}

bool slice_starts_with_nocase(struct slice text, struct slice prefix)
{
    if (text.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++)
        if (byte_lower(text.at[i]) != byte_lower(prefix.at[i]))
            return false;
    return true;
}

bool slice_ends_with_nocase(struct slice text, struct slice suffix)
{
    return text.len >= suffix.len &&
           slice_starts_with_nocase(slice_from(text, text.len - suffix.len), suffix);
}

size_t slice_find_byte(struct slice text, uint8_t byte)
{
    const uint8_t *found = text.len == 0 ? NULL : memchr(text.at, byte, text.len);

    return found == NULL ? text.len : (size_t)(found - text.at);
}

size_t slice_find_nocase(struct slice text, struct slice needle)
{
    for (size_t i = 0; i + needle.len <= text.len; i++)
        if (slice_starts_with_nocase(slice_from(text, i), needle))
            return i;
    return text.len;
}

struct slice slice_from(struct slice text, size_t from)
{
    if (from >= text.len)
        return (struct slice){NULL, 0};
    return (struct slice){text.at + from, text.len - from};
}

struct slice slice_head(struct slice text, size_t len)
{
    return (struct slice){text.at, len < text.len ? len : text.len};
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && is_space(text.at[0])) {
        text.at++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.at[text.len - 1]))
        text.len--;
    return text;
}

struct slice slice_cut(struct slice *rest, uint8_t separator)
{
    size_t end = slice_find_byte(*rest, separator);
    struct slice before = slice_head(*rest, end);

    *rest = slice_from(*rest, end + 1);
    return before;
}

bool slice_parse_u64(struct slice text, uint64_t *value_out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!byte_is_digit(text.at[i]))
            return false;
        if (__builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.at[i] - '0'), &value))
            return false;
    }
    *value_out = value;
    return true;
}

bool slice_to_cstr(struct slice text, char *text_out, size_t size)
{
    if (size == 0)
        return false;
    text_out[0] = '\0';
    if (text.len >= size || slice_find_byte(text, 0) != text.len)
        return false;
    if (text.len > 0)
        memcpy(text_out, text.at, text.len);
    text_out[text.len] = '\0';
    return true;
}
