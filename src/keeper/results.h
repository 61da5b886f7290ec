/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What came of the work: a courier's results, and work that the keeper does alone (expiry, giving up,
 * planning anew). Everything ends in story_move and an event, in the next batch.
 */
#ifndef KEEPER_RESULTS_H
#define KEEPER_RESULTS_H

#include "keeper/deliver.h"
#include "keeper/peers.h"

/* A courier's `delivered`. */
void results_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                  const union ipc_any *message);
/* A job (taken out of the table, now owned here) that never reached a courier ends like this. */
void results_put_local(struct keeper *keeper, struct job *job, enum delivery_outcome outcome,
                       struct slice enhanced, struct slice reply);
/* Work of the keeper alone on a WORKING item. */
void results_put_work(struct keeper *keeper, struct item *item, enum work work);

/* When to try again: doubles from first to max, with a quarter of jitter (random: any number). Pure. */
int64_t retry_delay_ms(unsigned attempts, int64_t first_ms, int64_t max_ms, uint64_t random);
/*
 * Inside of a batch, for a row whose work has ended and whose due_ms and domain are set: after the
 * commit the schedule knows it.
 */
void results_settle(struct keeper *keeper, const struct store_recipient *row);
/* Inside of a batch: nothing is left to do for this item, or its row has gone. */
void results_forget(struct keeper *keeper, uint64_t message, uint64_t number);
/* True when a failure of this recipient is reported to the sender. */
bool results_reports(const struct store_recipient *row, bool has_sender,
                     enum recipient_owes what);

#endif
