/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/link.h"

#include "base/encode.h"
#include "crypto/digest.h"

#include <stdio.h>
#include <string.h>

enum { NONCE_MAC_BYTES = 16, NONCE_BYTES = 8 + NONCE_MAC_BYTES };

static const struct {
    struct slice tail;
    enum link_page page;
} tails[] = {
    {SLICE_INIT("/code"), LINK_CODE},       {SLICE_INIT("/open"), LINK_OPEN},
    {SLICE_INIT("/message"), LINK_MESSAGE}, {SLICE_INIT("/html"), LINK_HTML},
    {SLICE_INIT("/reply"), LINK_REPLY},     {SLICE_INIT("/sent"), LINK_SENT},
    {SLICE_INIT("/"), LINK_START},
};

static bool is_base64url(uint8_t byte)
{
    return byte_is_alpha(byte) || byte_is_digit(byte) || byte == '-' || byte == '_';
}

static bool parse_tail(struct slice tail, struct link *link)
{
    struct slice number = slice_from(tail, sizeof "/part/" - 1);

    /* Junk directly behind the token is a mangled fragment or a sentence's punctuation. */
    link->page = LINK_START;
    if (tail.len == 0 || (tail.at[0] != '/' && !is_base64url(tail.at[0])))
        return true;
    for (size_t i = 0; i < COUNT_OF(tails); i++)
        if (slice_equal(tail, tails[i].tail)) {
            link->page = tails[i].page;
            return true;
        }
    link->page = LINK_PART;
    return slice_starts_with(tail, S("/part/")) && number.len <= 4 &&
           slice_parse_u64(number, &link->part) && link->part > 0;
}

bool link_parse(struct slice path, struct link *link_out)
{
    struct slice token = slice_head(slice_from(path, 3), PORTAL_TOKEN_TEXT);

    *link_out = (struct link){0};
    if (!slice_starts_with(path, S("/m/")) || !portal_token_parse(token, &link_out->token) ||
        !parse_tail(slice_from(path, 3 + PORTAL_TOKEN_TEXT), link_out)) {
        secret_wipe(&link_out->token);
        return false;
    }
    portal_token_lookup(&link_out->token, link_out->lookup);
    must(slice_to_cstr(slice_head(path, 3 + PORTAL_TOKEN_TEXT), link_out->base_cstr,
                       sizeof link_out->base_cstr));
    snprintf(link_out->cookie_cstr, sizeof link_out->cookie_cstr, "postern_%02x%02x%02x%02x",
             link_out->lookup[0], link_out->lookup[1], link_out->lookup[2],
             link_out->lookup[3]);
    return true;
}

static void nonce_mac(const struct secret *token, struct slice purpose, const uint8_t time[8],
                      uint8_t mac_out[SHA256_BYTES])
{
    struct secret key;
    uint8_t text[8 + 16];

    must(purpose.len <= 16);
    hkdf_secret(token, S("postern portal form"), &key);
    memcpy(text, time, 8);
    memcpy(text + 8, purpose.at, purpose.len);
    hmac_sha256(slice_of(key.bytes, sizeof key.bytes), slice_of(text, 8 + purpose.len),
                mac_out);
    secret_wipe(&key);
}

void link_nonce_make(const struct secret *token, struct slice purpose, int64_t now_ms,
                     char nonce_out_cstr[LINK_NONCE_SIZE])
{
    uint8_t bytes[8 + SHA256_BYTES];
    struct buffer text;

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)now_ms >> (56 - 8 * i));
    nonce_mac(token, purpose, bytes, bytes + 8);
    buffer_init(&text, LINK_NONCE_SIZE);
    must(base64url_append(&text, slice_of(bytes, NONCE_BYTES)) &&
         slice_to_cstr(buffer_view(&text), nonce_out_cstr, LINK_NONCE_SIZE));
    buffer_deinit(&text);
}

bool link_nonce_check(const struct secret *token, struct slice purpose, struct slice nonce,
                      int64_t now_ms)
{
    uint8_t mac[SHA256_BYTES];
    struct buffer bytes;
    bool is_good = false;

    buffer_init(&bytes, NONCE_BYTES);
    if (base64url_decode(nonce, &bytes) && buffer_len(&bytes) == NONCE_BYTES) {
        const uint8_t *at = buffer_view(&bytes).at;
        uint64_t made_ms = 0;

        for (int i = 0; i < 8; i++)
            made_ms = made_ms << 8 | at[i];
        nonce_mac(token, purpose, at, mac);
        is_good = bytes_equal_constant_time(mac, at + 8, NONCE_MAC_BYTES) &&
                  made_ms <= (uint64_t)now_ms &&
                  (uint64_t)now_ms - made_ms <= LINK_NONCE_LIVES_MS;
    }
    buffer_deinit(&bytes);
    return is_good;
}
