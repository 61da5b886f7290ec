/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to text and back: hexadecimal, base64 (RFC 4648 §4) and base64url without padding
 * (RFC 4648 §5). Decoders are strict: no white space, canonical padding, no trailing bits.
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buffer.h"

/* Lower-case hex appended to `out`; false when its ceiling is crossed. */
MUST_CHECK bool hex_append(struct buffer *out, struct slice bytes);
MUST_CHECK bool hex_decode(struct slice text, struct buffer *out);

/* The same for base64, with padding. */
MUST_CHECK bool base64_append(struct buffer *out, struct slice bytes);
MUST_CHECK bool base64_decode(struct slice text, struct buffer *out);

/* The same for base64url, without padding. */
MUST_CHECK bool base64url_append(struct buffer *out, struct slice bytes);
MUST_CHECK bool base64url_decode(struct slice text, struct buffer *out);

#endif
