/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoded words in header text, both ways. Decoding is for showing: the result is clean UTF-8 on
 * one line (see utf8_append_clean), whatever came in. [RFC 2047] [RFC 6532 §3.2]
 */
#ifndef FORMAT_MIME_WORDS_H
#define FORMAT_MIME_WORDS_H

#include "base/buffer.h"

/*
 * Append a field value (folded or not) unfolded, with its encoded words decoded. White space
 * between two encoded words is dropped, and a character split over two words is put together.
 * What is no proper encoded word stays as it is; raw 8-bit bytes are read as UTF-8, else as
 * Windows-1252. False when the ceiling of `out` is crossed.
 */
MUST_CHECK bool words_decode(struct slice value, struct buffer *out);

/*
 * Append `text` (UTF-8) as it may stand in an unstructured field or a display name: as it is when
 * it is printable ASCII and holds nothing that looks like an encoded word, else as encoded words
 * of UTF-8, each whole in itself and short enough for its line. Words are parted by a folded line
 * (CRLF and a space), so the result may be written into a field directly.
 */
MUST_CHECK bool words_encode(struct slice text, struct buffer *out);

#endif
