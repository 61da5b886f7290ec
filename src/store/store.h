/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database of one server: the only wing that knows SQLite. One process opens it, one connection
 * writes it and does every checkpoint (SQLite's WAL-reset fault needs two). Rooms by subject: key.h,
 * address.h, domain.h, message.h, recipient.h, event.h, portal.h, segment.h.
 *
 * Writes never fail on their own: the first trouble is remembered, everything after it is passed
 * over, and store_commit says so after rolling back. So a batch is written straight on and asked
 * about once. Reads between begin and commit see what the batch wrote. After a rollback ids that the
 * batch made (addresses, domains) are no longer valid.
 *
 * Sealed columns: everything that may name a person. See seal.h for their form. Slices handed out by
 * a read die with the next read of the same room.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "base/slice.h"

struct store;

/*
 * Open STATE/postern.db (made when absent), take STATE/keeper.lock, bring the schema up to date.
 * ERR_TEMP: the folder is not writable, the disk is full, another server holds the lock. ERR_PERM:
 * not a database of ours, or made by a later version.
 */
MUST_CHECK bool store_open(const char *state_dir_cstr, struct store **store_out,
                           struct err *err);
/*
 * Open a database that nobody writes, for reading alone: nothing on disk changes but what SQLite undoes of a
 * transaction that never ended. file_cstr: its name in the folder, "postern.db" or a backup's. Takes the
 * keeper's lock when there is one. ERR_REFUSED: a server runs there. ERR_TEMP: cannot be read. ERR_PERM: not
 * a database of ours, or of another schema version. A database that was never begun is opened as well: see
 * store_is_blank.
 */
MUST_CHECK bool store_open_to_read(const char *dir_cstr, const char *file_cstr,
                                   struct store **store_out, struct err *err);
/* True when no table was made yet: the server ended before its first start was complete. */
bool store_is_blank(const struct store *store);
/* Rolls back what is open, folds the log into the database, closes, wipes keys. */
void store_close(struct store **store);

/* Begin a batch unless one is open. Every write begins one by itself. */
void store_begin(struct store *store);
/*
 * Make the batch durable. False: nothing of it happened and err holds what to answer: 452 4.3.1 when
 * there is no room, 451 4.3.0 for any other trouble (ERR_TEMP). After trouble with the file itself the
 * connection is opened anew, so that the next batch may work. True at once when no batch is open.
 */
MUST_CHECK bool store_commit(struct store *store, struct err *err);
void store_rollback(struct store *store);
/* True when something failed since begin: err (NULL allowed) says what. */
bool store_is_troubled(const struct store *store, struct err *err_out);

/* Fold the log into the database when it has grown: call when the answers are out. */
void store_checkpoint_if_due(struct store *store);
/* False when less than reserve_bytes are free where the database lies. */
MUST_CHECK bool store_has_room(const struct store *store, uint64_t reserve_bytes);
/* For tests: let the database grow to so many pages only; 0 = no limit. */
void store_limit_pages(struct store *store, uint32_t pages);

#endif
