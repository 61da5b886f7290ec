/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/portal_key.h"

#include "base/encode.h"
#include "crypto/digest.h"

#include <string.h>

static struct slice secret_bytes(const struct secret *secret)
{
    return slice_of(secret->bytes, sizeof secret->bytes);
}

void portal_token_lookup(const struct secret *token, uint8_t lookup_out[PORTAL_LOOKUP_BYTES])
{
    hkdf_sha256(secret_bytes(token), S(""), S("postern portal lookup 1"), lookup_out,
                PORTAL_LOOKUP_BYTES);
}

bool portal_token_write(const struct secret *token, struct buffer *out)
{
    return base64url_append(out, secret_bytes(token));
}

bool portal_token_parse(struct slice text, struct secret *token_out)
{
    struct buffer bytes;
    bool whole;

    if (text.len != PORTAL_TOKEN_TEXT)
        return false;
    buffer_init(&bytes, SECRET_BYTES);
    whole = base64url_decode(text, &bytes) && buffer_len(&bytes) == SECRET_BYTES;
    if (whole)
        memcpy(token_out->bytes, buffer_view(&bytes).at, SECRET_BYTES);
    buffer_wipe(&bytes);
    return whole;
}

static void key_encryption_key(const struct secret *token, const struct secret *share,
                               const struct secret *answer_key, struct secret *key_out)
{
    static const char label[] = "postern portal key 1";
    uint8_t info[sizeof label - 1 + SECRET_BYTES] = {0};

    memcpy(info, label, sizeof label - 1);
    if (answer_key != NULL)
        memcpy(info + sizeof label - 1, answer_key->bytes, SECRET_BYTES);
    hkdf_sha256(secret_bytes(token), secret_bytes(share), slice_of(info, sizeof info),
                key_out->bytes, sizeof key_out->bytes);
    explicit_bzero(info, sizeof info);
}

void portal_key_wrap(const struct secret *token, const struct secret *share,
                     const struct secret *answer_key, const struct secret *content_key,
                     uint8_t wrapped_out[KEYWRAP_BYTES])
{
    struct secret key;

    key_encryption_key(token, share, answer_key, &key);
    keywrap_wrap(&key, content_key, wrapped_out);
    secret_wipe(&key);
}

bool portal_key_unwrap(const struct secret *token, const struct secret *share,
                       const struct secret *answer_key, const uint8_t wrapped[KEYWRAP_BYTES],
                       struct secret *content_key_out)
{
    struct secret key;
    bool opened;

    key_encryption_key(token, share, answer_key, &key);
    opened = keywrap_unwrap(&key, wrapped, content_key_out);
    secret_wipe(&key);
    return opened;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Lower case (ASCII: other letters as typed), one space between words. False when too long. */
static bool clean_answer(struct slice typed, struct buffer *out)
{
    bool space = false;

    typed = slice_trim(typed);
    for (size_t i = 0; i < typed.len; i++) {
        if (is_blank(typed.at[i])) {
            space = true;
            continue;
        }
        if ((space && !buffer_append_byte(out, ' ')) ||
            !buffer_append_byte(out, byte_lower(typed.at[i])))
            return false;
        space = false;
    }
    return true;
}

bool portal_answer_derive(struct slice typed, const uint8_t salt[PASSWORD_SALT_BYTES],
                          struct password_cost cost, struct portal_answer *answer_out,
                          struct err *err)
{
    struct buffer clean;
    struct secret root;
    bool derived;

    buffer_init(&clean, PORTAL_ANSWER_MAX);
    if (!clean_answer(typed, &clean) || buffer_len(&clean) == 0) {
        buffer_wipe(&clean);
        return FAIL(err, ERR_PERM, "an answer has 1 to %d bytes", PORTAL_ANSWER_MAX);
    }
    derived = password_derive(buffer_view(&clean), salt, cost, &root, err);
    buffer_wipe(&clean);
    if (!derived)
        return false;
    hkdf_secret(&root, S("postern answer key 1"), &answer_out->key);
    hkdf_sha256(secret_bytes(&root), S(""), S("postern answer check 1"), answer_out->verifier,
                sizeof answer_out->verifier);
    secret_wipe(&root);
    return true;
}
