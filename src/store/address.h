/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `address`: every e-mail address once, sealed, found by a keyed hash of its lower-cased form
 * (the first 16 bytes of HMAC-SHA-256 under the index key). The address is kept as first seen; a few
 * thousand are remembered in memory. Id 0 is the empty address, the null sender.
 */
#ifndef STORE_ADDRESS_H
#define STORE_ADDRESS_H

#include "base/buffer.h"
#include "store/store.h"

enum { ADDRESS_MAX_BYTES = 1024 };

/* Its id, made when it is new; 0 for "". */
uint64_t store_address_put(struct store *store, struct slice address);
/* Its id, or 0 when it was never seen. */
uint64_t store_address_find(struct store *store, struct slice address);
/* The address of an id as a view that dies at the next call; empty for 0 and for damaged rows. */
struct slice store_address_get(struct store *store, uint64_t id);

struct address_cache;
struct address_cache *address_cache_new(void);
/* After a rollback: ids may be given out again. */
void address_cache_clear(struct address_cache *cache);
void address_cache_free(struct address_cache **cache);

#endif
