/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool hex_append(struct buffer *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *to = buffer_reserve(out, bytes.len * 2);

    if (to == NULL)
        return false;
    for (size_t i = 0; i < bytes.len; i++) {
        to[2 * i] = (uint8_t)digits[bytes.at[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[bytes.at[i] & 15];
    }
    buffer_commit(out, bytes.len * 2);
    return true;
}

static int hex_value(uint8_t byte)
{
    if (byte_is_digit(byte))
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

bool hex_decode(struct slice text, struct buffer *out)
{
    if (text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.at[i]);
        int low = hex_value(text.at[i + 1]);

        if (high < 0 || low < 0 || !buffer_append_byte(out, (uint8_t)(high << 4 | low)))
            return false;
    }
    return true;
}

static bool append_base64(struct buffer *out, struct slice bytes, const char *letters, bool pad)
{
    while (bytes.len > 0) {
        size_t take = bytes.len < 3 ? bytes.len : 3;
        uint32_t word = (uint32_t)bytes.at[0] << 16;
        uint8_t four[4];
        size_t len = pad ? 4 : take + 1;

        if (take > 1)
            word |= (uint32_t)bytes.at[1] << 8;
        if (take > 2)
            word |= bytes.at[2];
        for (size_t i = 0; i < 4; i++)
            four[i] = (uint8_t)(i <= take ? letters[(word >> (18 - 6 * i)) & 63] : '=');
        if (!buffer_append(out, slice_of(four, len)))
            return false;
        bytes = slice_from(bytes, take);
    }
    return true;
}

bool base64_append(struct buffer *out, struct slice bytes)
{
    return append_base64(out, bytes, base64_letters, true);
}

bool base64url_append(struct buffer *out, struct slice bytes)
{
    return append_base64(out, bytes, base64url_letters, false);
}

static int letter_value(const char *letters, uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte_is_digit(byte))
        return byte - '0' + 52;
    if (byte == (uint8_t)letters[62])
        return 62;
    return byte == (uint8_t)letters[63] ? 63 : -1;
}

/* `text` without padding. */
static bool decode_base64(struct slice text, struct buffer *out, const char *letters)
{
    uint32_t word = 0;
    unsigned bits = 0;

    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = letter_value(letters, text.at[i]);

        if (value < 0)
            return false;
        word = (word << 6) | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            if (!buffer_append_byte(out, (uint8_t)(word >> bits)))
                return false;
            word &= (1U << bits) - 1;
        }
    }
    return word == 0;
}

bool base64_decode(struct slice text, struct buffer *out)
{
    if (text.len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && text.len > 0 && text.at[text.len - 1] == '='; i++)
        text.len--;
    return decode_base64(text, out, base64_letters);
}

bool base64url_decode(struct slice text, struct buffer *out)
{
    return decode_base64(text, out, base64url_letters);
}
