/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `forward`: one row for each address that mail to one of our own addresses goes on to. Both are ids of
 * addresses; a catch-all's is "@domain".
 */
#ifndef STORE_FORWARD_H
#define STORE_FORWARD_H

#include "store/store.h"

/* Bits of flags. */
enum forward_flag {
    FORWARD_OFF = 1, /* the operator's */
    FORWARD_FROM_SETTINGS =
        2, /* its row only keeps its state: it lives as long as it is written there */
    FORWARD_ALLOWED = 4, /* was used under forward_tls_only: lost TLS holds its mail */
};

struct store_forward {
    uint64_t id; /* 0: a new row */
    uint64_t source, target;
    unsigned flags;
    int64_t made_ms;
};

/* Insert a new row (its id is set), or change the flags of one that is there. */
void store_forward_put(struct store *store, struct store_forward *forward);
/* Take the row out. */
void store_forward_remove(struct store *store, uint64_t id);
/* The next row by id, above `after`; false: no more (or trouble). */
MUST_CHECK bool store_forward_next(struct store *store, uint64_t after,
                                   struct store_forward *forward_out);

#endif
