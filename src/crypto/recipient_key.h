/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key pair that everything at rest is sealed for: an EC P-256 key with a self-signed
 * certificate. Writers hold the certificate and can only seal; the keeper holds the private key and
 * opens. A sealed key is CMS EnvelopedData in DER (ephemeral-static ECDH, AES-256), so that after a
 * disaster a common tool opens it:
 *
 *     openssl cms -decrypt -inform DER -in FILE -inkey KEY -recip CERTIFICATE
 *
 * gives the 32 bytes. [RFC 5652 §6] [RFC 5753 §3.1]
 */
#ifndef CRYPTO_RECIPIENT_KEY_H
#define CRYPTO_RECIPIENT_KEY_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/secret.h"
#include "crypto/digest.h"

/* Longest sealed key that recipient_seal makes and recipient_open reads. */
enum { RECIPIENT_SEALED_MAX_BYTES = 2048 };

struct recipient_certificate; /* can seal */
struct recipient_key;         /* can open; includes its certificate */

/* Make a new pair; valid for 30 years (age does not matter to it). name_cstr: 1..64 ASCII bytes. */
MUST_CHECK bool recipient_key_generate(const char *name_cstr, struct recipient_key **key_out,
                                       struct err *err);
/* Both as PEM or DER. ERR_PERM: not readable, not P-256, or the two do not belong together. */
MUST_CHECK bool recipient_key_parse(struct slice private_key, struct slice certificate,
                                    struct recipient_key **key_out, struct err *err);
/* Wipes the private key. */
void recipient_key_free(struct recipient_key **key);
/* PKCS #8 PEM, not encrypted: for a file that only the keeper reads. Wipe the buffer after use. */
MUST_CHECK bool recipient_key_write_pem(const struct recipient_key *key, struct buffer *out);
/* PKCS #8 DER: the small blob for a backup (see password_box_seal). Wipe the buffer after use. */
MUST_CHECK bool recipient_key_write_der(const struct recipient_key *key, struct buffer *out);
/* A view of the public half; it dies with the key. */
const struct recipient_certificate *recipient_key_certificate(const struct recipient_key *key);

/* PEM or DER. ERR_PERM: not readable or not P-256. */
MUST_CHECK bool recipient_certificate_parse(struct slice certificate,
                                            struct recipient_certificate **certificate_out,
                                            struct err *err);
void recipient_certificate_free(struct recipient_certificate **certificate);
MUST_CHECK bool recipient_certificate_write_pem(const struct recipient_certificate *certificate,
                                                struct buffer *out);
MUST_CHECK bool recipient_certificate_write_der(const struct recipient_certificate *certificate,
                                                struct buffer *out);
/* SHA-256 of the DER form: names the key in rows, files and messages. */
void recipient_certificate_digest(const struct recipient_certificate *certificate,
                                  uint8_t digest_out[SHA256_BYTES]);

/*
 * Append the sealed form of `secret` to sealed_out. Cost: one key agreement (about 0.2 ms): once an
 * epoch, never per message. ERR_TEMP: the library could not, or the buffer is full.
 */
MUST_CHECK bool recipient_seal(const struct recipient_certificate *certificate,
                               const struct secret *secret, struct buffer *sealed_out,
                               struct err *err);
/* ERR_PERM: not sealed for this key, changed, or not such a structure at all. */
MUST_CHECK bool recipient_open(const struct recipient_key *key, struct slice sealed,
                               struct secret *secret_out, struct err *err);

#endif
