/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `key`: the keys that the server itself makes and keeps, each sealed by a master key that lies
 * outside of the state folder. Made at the first start:
 *
 *     column   seals columns (through an epoch key, see seal.h)
 *     index    keyed hash that finds addresses without showing them
 *     bounce   authenticates bounce+… addresses
 *     pair     P-256 private key and certificate that content is sealed for; there may be several,
 *              the newest is in use, the others still open what they sealed
 *
 * Form of a row: generation of the master key, then an aead box of the key under
 * HKDF(master key, "postern key row") with the row's name and id as additional data.
 */
#ifndef STORE_KEY_H
#define STORE_KEY_H

#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/recipient_key.h"
#include "store/store.h"

struct store_keys;

enum { STORE_PAIRS_MAX = 16 };

/*
 * Open (or make) the keys with the master key file's text, seal rows that an older generation sealed
 * anew with the newest one, and begin a sealing epoch. May be called again with another text: then
 * only the re-wrapping is done. ERR_PERM: malformed text, or a row that none of its keys opens.
 * ERR_TEMP: the store is troubled.
 */
MUST_CHECK bool store_keys_open(struct store *store, struct slice master_text, struct err *err);
/*
 * On a store that was opened to read: the same without making, sealing anew or beginning anything.
 * ERR_PERM as above, and when table key lacks a row.
 */
MUST_CHECK bool store_keys_read(struct store *store, struct slice master_text, struct err *err);
void store_keys_free(struct store_keys **keys);

/* 32 bytes for one named use, derived from the index or the bounce key. */
const struct secret *store_key_index(const struct store *store);
const struct secret *store_key_bounce(const struct store *store);
/* Pair number `at`, newest first; NULL after the last. Borrowed. */
const struct recipient_key *store_key_pair(const struct store *store, size_t at);

/* What `postern key` shows: how many rows each generation seals, newest first; the number of lines. */
struct store_key_use {
    uint64_t generation;
    uint64_t rows;
};
size_t store_key_uses(struct store *store, struct store_key_use *uses_out, size_t max);
/*
 * Which server's database this is: SHA-256 of its first certificate. Needs no keys. False: it has none
 * yet.
 */
MUST_CHECK bool store_identity(struct store *store, uint8_t digest_out[SHA256_BYTES]);
/* Make a fresh pair the one in use: content sealed from now on needs it. ERR_TEMP. */
MUST_CHECK bool store_key_pair_renew(struct store *store, struct slice master_text,
                                     struct err *err);

#endif
