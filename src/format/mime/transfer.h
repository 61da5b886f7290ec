/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content-transfer-encodings, fed piece by piece. Decoders are as tolerant as mail readers are:
 * bytes outside the base64 alphabet are skipped, an "=" that is no code stays as it is; so that a
 * part is shown as the recipient's own program would show it. Output is never longer than input.
 * Encoders write CRLF and lines of at most 76 characters. [RFC 2045 §6]
 */
#ifndef FORMAT_MIME_TRANSFER_H
#define FORMAT_MIME_TRANSFER_H

#include "base/buffer.h"

enum mime_encoding {
    MIME_IDENTITY, /* 7bit, 8bit, binary, and what we do not know */
    MIME_BASE64,
    MIME_QUOTED_PRINTABLE,
};

/* The value of a Content-Transfer-Encoding field, blanks around it allowed. */
enum mime_encoding mime_encoding_parse(struct slice value);

enum { MIME_HELD_MAX = 128 };

/* Zero it or use mime_decoder_init; owns nothing. */
struct mime_decoder {
    enum mime_encoding encoding;
    uint32_t bits;    /* base64: sextets collected */
    uint8_t sextets;  /* base64: how many */
    uint8_t held_len; /* quoted-printable: bytes whose meaning is not known yet */
    uint8_t held[MIME_HELD_MAX];
};

void mime_decoder_init(struct mime_decoder *decoder, enum mime_encoding encoding);
/* Append what `in` decodes to; false when the ceiling of `out` is crossed. */
MUST_CHECK bool mime_decode(struct mime_decoder *decoder, struct slice in, struct buffer *out);
/* The end of the part: what was still held. The decoder may then be used again. */
MUST_CHECK bool mime_decode_end(struct mime_decoder *decoder, struct buffer *out);

/* Zero it; owns nothing. Collects whole lines of 57 bytes. */
struct mime_base64_encoder {
    uint8_t held_len;
    uint8_t held[57];
};

/* Append the whole lines of 57 bytes that have come together. */
MUST_CHECK bool mime_base64_encode(struct mime_base64_encoder *encoder, struct slice in,
                                   struct buffer *out);
/* The last, shorter line. */
MUST_CHECK bool mime_base64_encode_end(struct mime_base64_encoder *encoder, struct buffer *out);

/*
 * Append `text` (UTF-8, lines ended by LF or CRLF) as quoted-printable; line ends become CRLF.
 * "From " and "." at the start of a line are encoded, so that no relay changes them.
 */
MUST_CHECK bool mime_quoted_printable_append(struct buffer *out, struct slice text);

#endif
