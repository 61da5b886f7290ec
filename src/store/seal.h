/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How columns are sealed: AES-256-GCM under a key of this start of the keeper alone, so that a plain
 * counter is a nonce that never comes twice, even when the database was restored from a backup:
 *
 *     key    HKDF-SHA-256(column key, salt of the seal_epoch row, "postern column")
 *     nonce  4 zero bytes, counter (8, little endian)
 *     aad    column number (1), row id (8), row number (8): a value cannot be moved elsewhere
 *     form   epoch (4, little endian), counter (8), ciphertext, tag (16)
 */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "base/secret.h"
#include "base/slice.h"

struct store;
struct seal;

enum { SEAL_OVERHEAD = 4 + 8 + 16 };

/* Never renumber: the numbers are in the additional data of what is on disk. */
enum seal_column {
    SEAL_ADDRESS = 1,
    SEAL_MESSAGE = 2,
    SEAL_RECIPIENT = 3,
    SEAL_EVENT = 4,
    SEAL_PORTAL = 5,
    SEAL_DOMAIN = 6,
    SEAL_COLUMN_COUNT
};

/* Begin an epoch: writes and commits its row. NULL: the store is troubled. */
struct seal *seal_new(struct store *store, uint64_t column_key_id,
                      const struct secret *column_key);
/* One that only opens: no epoch begins. */
struct seal *seal_new_to_read(uint64_t column_key_id, const struct secret *column_key);
void seal_free(struct seal **seal);
/* sealed_out has room for plain.len + SEAL_OVERHEAD. */
void seal_close(struct seal *seal, enum seal_column column, uint64_t id, uint64_t number,
                struct slice plain, uint8_t *sealed_out);
/* plain_out has room for sealed.len - SEAL_OVERHEAD (sealed is longer than that). False: damaged. */
MUST_CHECK bool seal_open(struct store *store, enum seal_column column, uint64_t id,
                          uint64_t number, struct slice sealed, uint8_t *plain_out);

#endif
