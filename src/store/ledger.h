/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `batch`: what each commit brings besides its rows, so that nobody has to walk a table for it:
 * how many rows wait in which state, and which Message-IDs came. The newest row is in force for the
 * counts. A commit touches one page here, the last one, however large the database is: an index over
 * keyed hashes would touch one at random for each message.
 *
 * Message-IDs are found by a keyed hash of 8 bytes (SipHash-2-4 under a key derived from the index
 * key). A row of the table holds up to LEDGER_ROW_HEADERS of them, each `hash, message id`, both
 * 8 bytes, little endian; counts are 8 bytes each.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "base/secret.h"
#include "store/store.h"

enum { LEDGER_STATES = 16, LEDGER_ROW_HEADERS = 128 };

/* What is counted. In the database: only ever append. */
enum ledger_count {
    LEDGER_DUE,   /* recipients that are due some time */
    LEDGER_HELD,  /* recipients put aside */
    LEDGER_OPEN,  /* messages with recipients not at their end */
    LEDGER_STATE, /* … + state: recipients that are due or put aside, by their state */
    LEDGER_COUNTS = LEDGER_STATE + LEDGER_STATES
};

struct ledger;

/*
 * Read the newest row. When there is none, count everything and hash every Message-ID: once, after an
 * upgrade. NULL: the store is troubled.
 */
struct ledger *ledger_new(struct store *store, const struct secret *index_key);
void ledger_free(struct ledger **ledger);

/* As of now, the batch under way included. */
int64_t ledger_get(const struct ledger *ledger, unsigned count);
/* Inside of a batch. */
void ledger_add(struct ledger *ledger, unsigned count, int64_t change);
void ledger_put_header(struct ledger *ledger, struct slice header_id, uint64_t message);
/* Before the commit: write what has changed. */
void ledger_write(struct store *store);
/* After it: it holds, or it never was. */
void ledger_settle(struct ledger *ledger, bool is_committed);

/* The newest message below `before` that came with this Message-ID; 0: none. Reads the table from its end. */
uint64_t ledger_find(struct store *store, struct slice header_id, uint64_t before);
/* Forget Message-IDs of messages that are gone, with ids below `before`: a part of the table each time. */
void ledger_sweep(struct store *store, uint64_t before);

#endif
