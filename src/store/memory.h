/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `tls_memory`: what connections taught about the TLS of a host or a domain, in clear: how often it was seen within
 * the last days, whether it needs a small ClientHello, since when its TLS is gone. One small row each.
 */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "policy/ratchet.h"
#include "store/store.h"

/* In the database: never renumber. */
enum memory_kind { MEMORY_HOST = 1, MEMORY_DOMAIN = 2 };

enum { STORE_MEMORY_NAME_SIZE = 256 };

struct store_memory {
    enum memory_kind kind;
    char name_cstr[STORE_MEMORY_NAME_SIZE]; /* lower-case A-labels */
    struct ratchet seen;
    int64_t first_ms, last_ms; /* seen with TLS; last to the day */
    int64_t small_until_ms;    /* until then begin with a small ClientHello; 0 = not */
    int64_t lost_ms;           /* mail waits for its TLS since then; 0 = not */
};

/* False: no such row. */
bool store_memory_get(struct store *store, enum memory_kind kind, struct slice name,
                      struct store_memory *memory_out);
/* Insert, or replace the row. */
void store_memory_put(struct store *store, const struct store_memory *memory);
/* Domains whose TLS is gone, by name: start with after_cstr "", then the last name; false at the end. */
bool store_memory_next_lost(struct store *store, const char *after_cstr,
                            struct store_memory *memory_out);
/* How many they are. */
uint64_t store_memory_lost_count(struct store *store);

#endif
