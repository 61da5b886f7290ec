/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of the database as it is at the moment when the copy is complete, made while it is in use:
 * slice by slice between batches, each page that changes meanwhile copied again by SQLite. What is
 * sealed stays sealed. One at a time; it ends when the connection has to be opened anew.
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "store/store.h"

struct store_snapshot;

/* path_cstr: a file that is not there yet (0600). ERR_TEMP: it cannot be made, or one is under way. */
MUST_CHECK bool store_snapshot_begin(struct store *store, const char *path_cstr,
                                     struct store_snapshot **snapshot_out, struct err *err);
/*
 * Copy so many pages more. Outside of a batch. WAIT: more are left. DONE: the file is complete and
 * closed, but not synced. FAIL: it cannot be made (ERR_TEMP); free it and remove the file.
 */
enum progress store_snapshot_step(struct store_snapshot *snapshot, unsigned pages,
                                  struct err *err);
/* Pages copied and pages there are, as of the last step. */
void store_snapshot_progress(const struct store_snapshot *snapshot, uint64_t *done_out,
                             uint64_t *all_out);
/* Gives up what is not complete. The file is the caller's. */
void store_snapshot_free(struct store_snapshot **snapshot);
/* Bytes that a copy would need now. */
uint64_t store_snapshot_bytes(struct store *store);

#endif
