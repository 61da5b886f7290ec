/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/transfer.h"

#include "base/encode.h"

#include <string.h>

enum { LINE_MAX_CHARACTERS = 76 };

enum mime_encoding mime_encoding_parse(struct slice value)
{
    value = slice_trim(value);
    if (slice_equal_nocase(value, S("base64")))
        return MIME_BASE64;
    if (slice_equal_nocase(value, S("quoted-printable")))
        return MIME_QUOTED_PRINTABLE;
    return MIME_IDENTITY;
}

void mime_decoder_init(struct mime_decoder *decoder, enum mime_encoding encoding)
{
    *decoder = (struct mime_decoder){.encoding = encoding};
}

/* ---- base64 ---- */

enum { NO_SEXTET = 64 };

static uint8_t sextet_of(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return (uint8_t)(byte - 'A');
    if (byte >= 'a' && byte <= 'z')
        return (uint8_t)(byte - 'a' + 26);
    if (byte_is_digit(byte))
        return (uint8_t)(byte - '0' + 52);
    if (byte == '+')
        return 62;
    return byte == '/' ? 63 : NO_SEXTET;
}

/* Whole bytes of a group that ended early: by "=", or by the end of the part. */
static size_t flush_group(struct mime_decoder *decoder, uint8_t *to)
{
    size_t len = decoder->sextets < 2 ? 0 : decoder->sextets - 1U;
    uint32_t bits = decoder->bits << (6 * (4 - decoder->sextets));

    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(bits >> (16 - 8 * i));
    decoder->sextets = 0;
    decoder->bits = 0;
    return len;
}

static bool decode_base64(struct mime_decoder *decoder, struct slice in, struct buffer *out)
{
    /* At most three bytes for four, plus what the group before holds. */
    size_t most = in.len + 6, len = 0;
    uint8_t *to;

    if (most > buffer_room(out))
        most = buffer_room(out);
    to = buffer_reserve(out, most);
    if (to == NULL)
        return false;
    for (size_t i = 0; i < in.len; i++) {
        uint8_t sextet = sextet_of(in.at[i]);

        if (sextet != NO_SEXTET) {
            decoder->bits = decoder->bits << 6 | sextet;
            decoder->sextets++;
        }
        if ((decoder->sextets == 4 || in.at[i] == '=') && most - len < 3)
            return false;
        if (decoder->sextets == 4) {
            to[len++] = (uint8_t)(decoder->bits >> 16);
            to[len++] = (uint8_t)(decoder->bits >> 8);
            to[len++] = (uint8_t)decoder->bits;
            decoder->sextets = 0;
            decoder->bits = 0;
        } else if (in.at[i] == '=' && decoder->sextets > 0) {
            len += flush_group(decoder, to + len);
        }
    }
    buffer_commit(out, len);
    return true;
}

/* ---- quoted-printable ---- */

static int hex_value(uint8_t byte)
{
    if (byte_is_digit(byte))
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool flush_held(struct mime_decoder *decoder, struct buffer *out)
{
    bool fits = buffer_append(out, slice_of(decoder->held, decoder->held_len));

    decoder->held_len = 0;
    return fits;
}

/* Blanks before the end of a line were added on the way and are no part of the text. */
static void drop_trailing_blanks(struct mime_decoder *decoder)
{
    while (decoder->held_len > 0 && (decoder->held[decoder->held_len - 1] == ' ' ||
                                     decoder->held[decoder->held_len - 1] == '\t'))
        decoder->held_len--;
}

/*
 * `held` is a run of blanks, or "=" with what came behind it (a hex digit, or blanks and a CR that
 * may become a soft line end). One byte more decides or is held as well.
 */
static bool decode_quoted_byte(struct mime_decoder *decoder, uint8_t byte, struct buffer *out)
{
    bool in_code = decoder->held_len > 0 && decoder->held[0] == '=';

    if (in_code && byte == '\n') {
        decoder->held_len = 0; /* a soft line end */
        return true;
    }
    if (in_code && decoder->held_len == 2 && hex_value(decoder->held[1]) >= 0 &&
        hex_value(byte) >= 0) {
        uint8_t code = (uint8_t)(hex_value(decoder->held[1]) * 16 + hex_value(byte));

        decoder->held_len = 0;
        return buffer_append_byte(out, code);
    }
    if (in_code) {
        bool blank = byte == ' ' || byte == '\t' || byte == '\r';
        bool may_go_on = (decoder->held_len == 1 && hex_value(byte) >= 0) ||
                         (blank && (decoder->held_len == 1 || hex_value(decoder->held[1]) < 0));

        if (may_go_on && decoder->held_len < MIME_HELD_MAX) {
            decoder->held[decoder->held_len++] = byte;
            return true;
        }
        /* No code after all: as it stands. */
        if (!flush_held(decoder, out))
            return false;
    }
    if (byte == '\r' || byte == '\n')
        drop_trailing_blanks(decoder);
    if (byte == '=' || byte == ' ' || byte == '\t') {
        if ((byte == '=' || decoder->held_len == MIME_HELD_MAX) && !flush_held(decoder, out))
            return false;
        decoder->held[decoder->held_len++] = byte;
        return true;
    }
    return flush_held(decoder, out) && buffer_append_byte(out, byte);
}

static bool decode_quoted_printable(struct mime_decoder *decoder, struct slice in,
                                    struct buffer *out)
{
    while (in.len > 0) {
        size_t plain = 0;

        if (decoder->held_len == 0)
            while (plain < in.len && in.at[plain] != '=' && in.at[plain] != ' ' &&
                   in.at[plain] != '\t')
                plain++;
        if (!buffer_append(out, slice_head(in, plain)))
            return false;
        in = slice_from(in, plain);
        if (in.len > 0 && !decode_quoted_byte(decoder, in.at[0], out))
            return false;
        in = slice_from(in, 1);
    }
    return true;
}

bool mime_decode(struct mime_decoder *decoder, struct slice in, struct buffer *out)
{
    switch (decoder->encoding) {
    case MIME_IDENTITY:
        return buffer_append(out, in);
    case MIME_BASE64:
        return decode_base64(decoder, in, out);
    case MIME_QUOTED_PRINTABLE:
        return decode_quoted_printable(decoder, in, out);
    }
    return false;
}

bool mime_decode_end(struct mime_decoder *decoder, struct buffer *out)
{
    uint8_t last[3];
    size_t len;

    switch (decoder->encoding) {
    case MIME_IDENTITY:
        return true;
    case MIME_BASE64:
        len = flush_group(decoder, last);
        return buffer_append(out, slice_of(last, len));
    case MIME_QUOTED_PRINTABLE:
        /* A "=" at the very end is a soft line end whose line end was cut off. */
        if (decoder->held_len == 1 && decoder->held[0] == '=')
            decoder->held_len = 0;
        drop_trailing_blanks(decoder);
        return flush_held(decoder, out);
    }
    return false;
}

/* ---- encoders ---- */

static bool append_base64_line(struct buffer *out, struct slice bytes)
{
    return base64_append(out, bytes) && buffer_append(out, S("\r\n"));
}

bool mime_base64_encode(struct mime_base64_encoder *encoder, struct slice in,
                        struct buffer *out)
{
    while (in.len > 0) {
        struct slice taken = slice_head(in, sizeof encoder->held - encoder->held_len);

        if (encoder->held_len == 0 && taken.len == sizeof encoder->held) {
            if (!append_base64_line(out, taken))
                return false;
        } else {
            memcpy(encoder->held + encoder->held_len, taken.at, taken.len);
            encoder->held_len = (uint8_t)(encoder->held_len + taken.len);
            if (encoder->held_len == sizeof encoder->held) {
                encoder->held_len = 0;
                if (!append_base64_line(out, slice_of(encoder->held, sizeof encoder->held)))
                    return false;
            }
        }
        in = slice_from(in, taken.len);
    }
    return true;
}

bool mime_base64_encode_end(struct mime_base64_encoder *encoder, struct buffer *out)
{
    size_t len = encoder->held_len;

    encoder->held_len = 0;
    return len == 0 || append_base64_line(out, slice_of(encoder->held, len));
}

/* May the byte at `at` of the line stand for itself? */
static bool is_literal(struct slice line, size_t at, size_t column)
{
    uint8_t byte = line.at[at];

    if (byte == ' ' || byte == '\t')
        return at + 1 < line.len; /* a blank at the end would be lost */
    if (byte < '!' || byte > '~' || byte == '=')
        return false;
    if (column > 0)
        return true;
    return byte != '.' && !(byte == 'F' && slice_starts_with(slice_from(line, at), S("From ")));
}

static bool append_quoted_line(struct buffer *out, struct slice line)
{
    size_t column = 0;

    for (size_t i = 0; i < line.len; i++) {
        bool literal = is_literal(line, i, column);
        size_t width = literal ? 1 : 3;

        /* One column is kept for the "=" of a soft line end. */
        if (column + width > LINE_MAX_CHARACTERS - 1) {
            if (!buffer_append(out, S("=\r\n")))
                return false;
            column = 0;
            literal = is_literal(line, i, column);
            width = literal ? 1 : 3;
        }
        if (literal ? !buffer_append_byte(out, line.at[i])
                    : !buffer_append_format(out, "=%02X", line.at[i]))
            return false;
        column += width;
    }
    return true;
}

bool mime_quoted_printable_append(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        size_t end = slice_find_byte(text, '\n');
        struct slice line = slice_head(text, end);
        bool ended = end < text.len;

        if (ended && line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (!append_quoted_line(out, line) || (ended && !buffer_append(out, S("\r\n"))))
            return false;
        text = slice_from(text, end + 1);
    }
    return true;
}
