/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing bytes so that nobody reads or changes them without the key: AES-256-GCM. The sealed form
 * is the ciphertext followed by a 16-byte tag. Opening checks the tag before the caller sees a byte:
 * on failure the output is wiped. A nonce must never be used twice with one key; whoever has no
 * counter uses the box, which draws its own 24 random bytes and derives a key from them, so that one
 * key may seal any number of values (XAES-256-GCM, C2SP).
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include "base/secret.h"

enum {
    AEAD_NONCE_BYTES = 12,
    AEAD_TAG_BYTES = 16,
    AEAD_BOX_NONCE_BYTES = 24,
    AEAD_BOX_OVERHEAD = AEAD_BOX_NONCE_BYTES + AEAD_TAG_BYTES,
};

/* A key made ready: make it once where many pieces are sealed under one key. Wiped by aead_free. */
struct aead;
struct aead *aead_new(const struct secret *key);
/* Another key in the same storage, without a new allocation. */
void aead_set_key(struct aead *aead, const struct secret *key);
/* Forget the key, keep the storage; aead_set_key before the next use. */
void aead_forget(struct aead *aead);
void aead_free(struct aead **aead);

/*
 * Seal `plain` into `sealed_out`, which has room for plain.len + AEAD_TAG_BYTES bytes and may be
 * plain.at itself. aad is not stored but must be the same when opening. plain.len <= 1 GiB.
 */
void aead_seal(struct aead *aead, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice aad,
               struct slice plain, uint8_t *sealed_out);
/*
 * Open `sealed` into `plain_out` (room for sealed.len - AEAD_TAG_BYTES; may be sealed.at itself).
 * False when anything at all is not as it was sealed; then plain_out holds zeros.
 */
MUST_CHECK bool aead_open(struct aead *aead, const uint8_t nonce[AEAD_NONCE_BYTES],
                          struct slice aad, struct slice sealed, uint8_t *plain_out);

/* A key for boxes: columns of the database, tokens, small blobs. */
struct aead_box;
struct aead_box *aead_box_new(const struct secret *key);
void aead_box_free(struct aead_box **box);
/*
 * box_out has room for plain.len + AEAD_BOX_OVERHEAD bytes: nonce, ciphertext, tag. aad binds the
 * value to its place (table, column, row id), so that nobody moves it elsewhere.
 */
void aead_box_seal(struct aead_box *box, struct slice aad, struct slice plain,
                   uint8_t *box_out);
/*
 * plain_out has room for sealed.len - AEAD_BOX_OVERHEAD bytes and does not overlap. False as above,
 * and when sealed is shorter than a box can be.
 */
MUST_CHECK bool aead_box_open(struct aead_box *box, struct slice aad, struct slice sealed,
                              uint8_t *plain_out);

#endif
