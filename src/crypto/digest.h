/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256, HMAC-SHA-256 and HKDF-SHA-256, one shot and streaming. None of them fails. One process,
 * no threads: the one-shot calls share a context that is set up once.
 */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/secret.h"

enum { SHA256_BYTES = 32 };

/* [RFC 6234] */
void sha256(struct slice bytes, uint8_t digest_out[SHA256_BYTES]);

/* Streaming: init, push any number of times, finish once; deinit in every case. */
struct sha256_stream {
    void *context;
};
void sha256_init(struct sha256_stream *stream);
void sha256_push(struct sha256_stream *stream, struct slice bytes);
/* After it the stream is fresh and may be used for the next digest. */
void sha256_finish(struct sha256_stream *stream, uint8_t digest_out[SHA256_BYTES]);
void sha256_deinit(struct sha256_stream *stream);

/* key: any length. [RFC 2104] */
void hmac_sha256(struct slice key, struct slice bytes, uint8_t mac_out[SHA256_BYTES]);

/* SipHash-2-4 under the key's first 16 bytes: a short, cheap keyed hash for look-up tables on disk. */
uint64_t siphash(const struct secret *key, struct slice bytes);

enum { HKDF_MAX_BYTES = 255 * SHA256_BYTES };
/*
 * Derive `len` bytes (at most HKDF_MAX_BYTES) from `secret`. salt: may be empty. info: names the
 * use, so that two uses never share a key. [RFC 5869]
 */
void hkdf_sha256(struct slice secret, struct slice salt, struct slice info, uint8_t *out,
                 size_t len);
/* The usual case: a 32-byte key for one named use from a 32-byte key. */
void hkdf_secret(const struct secret *from, struct slice info, struct secret *secret_out);

#endif
