/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text in the character sets that mail uses, turned into UTF-8. UTF-8, US-ASCII, ISO-8859-1 and
 * Windows-1252 are read by our own tables (ISO-8859-1 as Windows-1252, as every reader does:
 * [WHATWG Encoding §4.2]); other sets of a fixed list go through iconv(3) of the C library. A set that
 * is unknown, or that the machine does not have, is read as UTF-8 if it is well-formed and as
 * Windows-1252 otherwise, so that text is shown rather than lost.
 */
#ifndef FORMAT_MIME_CHARSET_H
#define FORMAT_MIME_CHARSET_H

#include "base/buffer.h"

/* Do we know the set by this name (any case)? */
bool charset_is_known(struct slice name);
/*
 * Append `text` as UTF-8, broken places as U+FFFD. Line ends and control characters stay: see
 * utf8_append_clean. False when the ceiling of `out` is crossed.
 */
MUST_CHECK bool charset_append_utf8(struct slice name, struct slice text, struct buffer *out);

#endif
