/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the pickup portal. The link of a notice carries the token T (32 random bytes); nobody
 * keeps it. A copy is sealed under a fresh content key K, and K is wrapped under a key that needs
 * all of: T, the server's share (32 random bytes in the keeper's row), and, where the message asks a
 * question, a key made from the answer. So a server without the link, or a link without the
 * server's row (retracted, expired), opens nothing.
 *
 *     lookup   = HKDF(ikm T, info "postern portal lookup 1")            names the row; says nothing of T
 *     KEK      = HKDF(ikm T, salt share, info "postern portal key 1" || answer key, or 32 zero bytes)
 *     wrapped  = AES-256 key wrap of K under KEK [RFC 3394]
 *     answer   = argon2id(the answer, cleaned, salt); key = HKDF(answer, "postern answer key 1"),
 *                verifier = HKDF(answer, "postern answer check 1")
 *
 * HKDF is HKDF-SHA-256 [RFC 5869]. The link is `<portal url>/m/<base64url of T>`, 43 characters.
 */
#ifndef PROTECT_PORTAL_KEY_H
#define PROTECT_PORTAL_KEY_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/secret.h"
#include "crypto/keywrap.h"
#include "crypto/password.h"

enum {
    PORTAL_LOOKUP_BYTES = 32,
    PORTAL_VERIFIER_BYTES = 32,
    PORTAL_TOKEN_TEXT = 43, /* characters of base64url */
    PORTAL_ANSWER_MAX = 500,
};

/* The name of the row that belongs to the token. */
void portal_token_lookup(const struct secret *token, uint8_t lookup_out[PORTAL_LOOKUP_BYTES]);
/* Append the token as it stands in the link. */
MUST_CHECK bool portal_token_write(const struct secret *token, struct buffer *out);
/* Exactly 43 characters of base64url in their one right form, else false. */
MUST_CHECK bool portal_token_parse(struct slice text, struct secret *token_out);

/* answer_key: NULL or all zeros when the message asks no question. */
void portal_key_wrap(const struct secret *token, const struct secret *share,
                     const struct secret *answer_key, const struct secret *content_key,
                     uint8_t wrapped_out[KEYWRAP_BYTES]);
/* False when any of the three is not the one it was wrapped with. Wipe content_key_out after use. */
MUST_CHECK bool portal_key_unwrap(const struct secret *token, const struct secret *share,
                                  const struct secret *answer_key,
                                  const uint8_t wrapped[KEYWRAP_BYTES],
                                  struct secret *content_key_out);

struct portal_answer {
    struct secret key; /* goes into the key above; zero it with secret_wipe */
    uint8_t verifier
        [PORTAL_VERIFIER_BYTES]; /* kept in the row; says whether the answer was right */
};

/*
 * What an answer gives, as a person types it: outer blanks and letter case do not matter, inner
 * blanks count as one. About 60 ms at the default cost: never in a hurry's path.
 * Errors  ERR_PERM: empty or over PORTAL_ANSWER_MAX bytes. ERR_TEMP: no memory.
 */
MUST_CHECK bool portal_answer_derive(struct slice typed,
                                     const uint8_t salt[PASSWORD_SALT_BYTES],
                                     struct password_cost cost,
                                     struct portal_answer *answer_out, struct err *err);

#endif
