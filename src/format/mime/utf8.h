/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as strangers send it: read one character at a time, never past the end, and never take an
 * overlong form, a surrogate or a number past U+10FFFF for a character. What is broken becomes
 * U+FFFD, so that whatever leaves this room is well-formed. [RFC 3629 §3]
 */
#ifndef FORMAT_MIME_UTF8_H
#define FORMAT_MIME_UTF8_H

#include "base/buffer.h"

enum { UTF8_REPLACEMENT = 0xFFFD };

/*
 * Take the first character off `rest` (which may not be empty). A broken sequence takes its first
 * byte only and gives UTF8_REPLACEMENT.
 */
uint32_t utf8_take(struct slice *rest);
/* Append one character; surrogates and numbers past U+10FFFF become U+FFFD. */
MUST_CHECK bool utf8_append(struct buffer *out, uint32_t character);
/* Well-formed throughout? */
bool utf8_is_valid(struct slice text);
/*
 * Append `text` with every broken sequence replaced, and with control characters dropped: all of
 * C0 except tab and line feed, DEL, and C1. One line wanted: tab and line feed become a space.
 * Bidirectional overrides (U+202A..U+202E, U+2066..U+2069) are dropped too, because they make
 * `exe.fdp` read as `pdf.exe`.
 */
MUST_CHECK bool utf8_append_clean(struct buffer *out, struct slice text, bool one_line);
/* The longest beginning of `text` with at most max_bytes that does not cut a character. */
struct slice utf8_head(struct slice text, size_t max_bytes);

#endif
