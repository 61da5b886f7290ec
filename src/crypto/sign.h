/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing keys as DKIM uses them: RSA with SHA-256 [RFC 6376 §3.3] and Ed25519 over a SHA-256 digest
 * [RFC 8463 §3]. Load a key once (a PEM key costs 0.4 ms) and sign many times.
 */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include "base/buffer.h"
#include "base/err.h"
#include "crypto/digest.h"

enum sign_algorithm { SIGN_RSA_SHA256, SIGN_ED25519_SHA256 };

enum {
    SIGN_MAX_BYTES = 1024, /* a signature of the largest key accepted, RSA 8192 */
    SIGN_RSA_LEAST_BITS = 1024,
    SIGN_RSA_GOOD_BITS = 2048, /* below: warn the administrator [RFC 8301 §3.2] */
};

struct sign_key;

/* bits: of an RSA key, 2048..8192; ignored for Ed25519. ERR_PERM for other sizes. */
MUST_CHECK bool sign_key_generate(enum sign_algorithm algorithm, unsigned bits,
                                  struct sign_key **key_out, struct err *err);
/* A private key in PEM. ERR_PERM: not readable, another kind of key, RSA below 1024 or over 8192. */
MUST_CHECK bool sign_key_parse(struct slice pem, struct sign_key **key_out, struct err *err);
/* Wipes the key. */
void sign_key_free(struct sign_key **key);

/* Which of the two kinds this key is. */
enum sign_algorithm sign_key_algorithm(const struct sign_key *key);
/* Modulus size for RSA, 256 for Ed25519. */
unsigned sign_key_bits(const struct sign_key *key);
/* "rsa-sha256" or "ed25519-sha256", as in the a= tag. */
const char *sign_algorithm_name(enum sign_algorithm algorithm);
/* PKCS #8 PEM, not encrypted. Wipe the buffer after use. */
MUST_CHECK bool sign_key_write_pem(const struct sign_key *key, struct buffer *out);
/* The p= value: base64 of SubjectPublicKeyInfo (RSA) or of the 32 raw bytes (Ed25519). */
MUST_CHECK bool sign_key_write_public(const struct sign_key *key, struct buffer *out);

/* Sign a SHA-256 digest. signature_out gets *len_out bytes, not base64. ERR_TEMP: library trouble. */
MUST_CHECK bool sign_digest(struct sign_key *key, const uint8_t digest[SHA256_BYTES],
                            uint8_t signature_out[SIGN_MAX_BYTES], size_t *len_out,
                            struct err *err);
/*
 * Check a signature with a public key as decoded from p=. False for a wrong signature and for a key
 * that cannot be used (RSA below 1024 bits among them).
 */
MUST_CHECK bool sign_digest_verify(enum sign_algorithm algorithm, struct slice public_key,
                                   const uint8_t digest[SHA256_BYTES], struct slice signature);

#endif
