/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slice is a view of bytes that somebody else owns: an address and a length, passed by value.
 * Parsers take slices and return slices into their input; nothing is copied and nothing is
 * NUL-terminated. A view dies with its owner. Comparisons that ignore case treat ASCII only.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include "base/must.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
    const uint8_t *at;
    size_t len;
};

/* A slice of a string literal: S("EHLO") in code, SLICE_INIT("EHLO") in static tables. */
#define SLICE_INIT(literal)                                                                    \
    {                                                                                          \
        (const uint8_t *)("" literal), sizeof(literal) - 1                                     \
    }
#define S(literal) ((struct slice)SLICE_INIT(literal))
/* For printf: printf("%.*s", SLICE_ARGS(s)). */
#define SLICE_ARGS(slice) (int)(slice).len, (const char *)(slice).at

static inline struct slice slice_of(const void *at, size_t len)
{
    return (struct slice){(const uint8_t *)at, len};
}

/* View of a NUL-terminated string, without its NUL. NULL gives the empty slice. */
struct slice slice_from_cstr(const char *text_cstr);

/* Byte for byte, not in constant time. */
bool slice_equal(struct slice a, struct slice b);
/* ASCII letters compare without case. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice text, struct slice prefix);
bool slice_starts_with_nocase(struct slice text, struct slice prefix);
bool slice_ends_with_nocase(struct slice text, struct slice suffix);

/* Position of the first `byte`, or text.len when there is none. */
size_t slice_find_byte(struct slice text, uint8_t byte);
/* Position of the first `needle` (case ignored), or text.len when there is none. */
size_t slice_find_nocase(struct slice text, struct slice needle);

/* The part from `from` on; empty when `from` is past the end. */
struct slice slice_from(struct slice text, size_t from);
/* The first `len` bytes, or all when there are fewer. */
struct slice slice_head(struct slice text, size_t len);
/* Without spaces, tabs, CR and LF at both ends. */
struct slice slice_trim(struct slice text);
/*
 * Cut `*rest` at the first `separator`: returns what stands before it and leaves in `*rest` what
 * stands after it (empty, when there was no separator).
 */
struct slice slice_cut(struct slice *rest, uint8_t separator);

/* Decimal digits only, no sign, no space, no overflow: else false. */
MUST_CHECK bool slice_parse_u64(struct slice text, uint64_t *value_out);

/* Copy into `text_out` with a NUL. False when it does not fit or holds a NUL byte. */
MUST_CHECK bool slice_to_cstr(struct slice text, char *text_out, size_t size);

static inline bool byte_is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}
static inline bool byte_is_alpha(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}
static inline uint8_t byte_lower(uint8_t byte)
{
    return (uint8_t)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
}

#endif
