/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a courier's answer says about the lane: how many jobs it may have, whether anybody is there, whose hosts they are. A
 * lane gets two jobs more for each answer, as long as few wait for a connection there; then one fewer: what waits, waits
 * here, where accounts take turns, not in the courier's line.
 */
#ifndef KEEPER_FEEDBACK_H
#define KEEPER_FEEDBACK_H

#include "keeper/deliver.h"

/* True: the job was not tried and is given back to the queue; nothing is left of it. */
bool feedback_take(struct keeper *keeper, struct job *job,
                   const struct ipc_delivered *delivered);
/* True: the job was sent by a smart host, which says nothing about the domain's own hosts. */
bool feedback_is_by_smart_host(struct keeper *keeper, const struct job *job);
/* How many jobs a lane with this window may have at once after this answer. Pure. */
size_t feedback_window_after(size_t window, const struct ipc_delivered *delivered);

#endif
