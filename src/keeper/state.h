/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a recipient and what moves them: the only list there is. Pure. `sending` is no state
 * on disk: a job under way is known in memory only, so that after a crash its rows are simply due.
 *
 *     accepted ─▶ planned ─▶ (sending) ─▶ delivered | deferred | failed | dropped
 *     planned ─▶ notifying ─▶ notified ─▶ revealed ─▶ expired | retracted | deleted
 */
#ifndef KEEPER_STATE_H
#define KEEPER_STATE_H

#include "base/must.h"

#include <stdbool.h>

/* In the database: never renumber. */
enum recipient_state {
    STATE_NONE = 0,
    STATE_ACCEPTED = 1,  /* on disk, no method yet */
    STATE_PLANNED = 2,   /* has a method, is to be worked on */
    STATE_DEFERRED = 3,  /* tried, will be tried again */
    STATE_NOTIFYING = 4, /* sealed copy made, its notice is on the way */
    STATE_NOTIFIED = 5,  /* notice delivered: the reader's turn */
    STATE_REVEALED = 6,  /* read at least once, still there */
    STATE_DELIVERED = 7,
    STATE_FAILED = 8,
    STATE_DROPPED = 9,
    STATE_EXPIRED = 10,
    STATE_RETRACTED = 11,
    STATE_DELETED = 12,
    STATE_COUNT
};

enum recipient_move {
    MOVE_PLAN,        /* the planner chose a method (first, or anew after lost proof) */
    MOVE_DROP,        /* … to drop */
    MOVE_SENT,        /* 2xx after end of data */
    MOVE_LATER,       /* no success, not the end */
    MOVE_FAIL,        /* no success ever: 5xx, too old, no method left */
    MOVE_COPY,        /* the portal copy is made, the notice accepted */
    MOVE_NOTICE_SENT, /* the notice was delivered */
    MOVE_NOTICE_FAIL, /* the notice failed, at once or as a bounce later */
    MOVE_REVEAL,      /* shown to the reader */
    MOVE_EXPIRE,
    MOVE_RETRACT,
    MOVE_PURGE, /* the operator removed it from the queue */
    MOVE_COUNT
};

/* The state after `move`; STATE_NONE when it is not allowed there. */
enum recipient_state state_after(enum recipient_state state, enum recipient_move move);
/* delivered, failed, dropped, expired, retracted or deleted. */
bool state_is_end(enum recipient_state state);
/* Its message's content is still needed for it. */
bool state_needs_content(enum recipient_state state);
/* The portal waits for the reader. */
bool state_is_in_portal(enum recipient_state state);
const char *state_name(enum recipient_state state);

#endif
