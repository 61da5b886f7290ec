/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When what is worked on. The database's index over due_ms is the queue; memory holds a window of it:
 * what is due now, at most ITEMS_MAX, in lanes (keeper/lanes.h), which take turns, so that a million
 * messages to one provider do not make the others wait. What does not fit stays on disk and is paged in, by
 * the order of due_ms, when the window has room. What is new goes into the window at once, before
 * anything that is still on disk: a long queue is no reason to wait for mail whose host may be well.
 * No provider gets more than a third of the window from disk, and those whose hosts may be dead have a
 * round of their own, with few places.
 *
 * An item is in the window from schedule_add (or paging) until schedule_done, work under way
 * included; that is how paging knows what it has already.
 */
#ifndef KEEPER_SCHEDULE_H
#define KEEPER_SCHEDULE_H

#include "keeper/domains.h"
#include "os/loop.h"
#include "store/recipient.h"

struct keeper;

enum {
    ITEMS_MAX = 60000,     /* brought in from disk up to here, */
    ITEMS_NEW_MAX = 60000, /* and so many more that came while the window was full */
    ITEMS_PER_JOB = 100,
};

enum item_place { ITEM_READY, ITEM_WAITING, ITEM_WORKING };

struct item {
    uint64_t message, number;
    struct domain *domain;
    struct lane *lane;
    struct flow *in;       /* READY: where */
    struct list_link link; /* in a flow, or in schedule.waiting or .resting */
    unsigned flow;         /* see flow_number */
    struct item *next_same;
    enum item_place place;
    int64_t rests_until_ms; /* loop clock; 0 = waits for a scribe only */
};

struct schedule {
    struct map items; /* by a hash of message and number */
    size_t count, items_max, items_new_max;
    struct list turns;    /* lanes with something ready */
    struct list suspects; /* the same, of those that may be dead */
    struct list sleepers; /* lanes that may go on at a time that is known */
    struct list waiting;  /* items that wait for a scribe */
    struct list resting;  /* items that rest: rests are alike, so in the order of their ends */
    struct store_due loaded; /* everything due up to here is in the window, or was */
    bool is_all_loaded;      /* … and nothing due now is left on disk, */
    bool has_left;  /* … but for providers that had too many, one of which has room now */
    bool is_paused; /* no work is given out: draining */
    int64_t next_due_ms, paged_ms;
    size_t spares; /* items of silent lanes that may be put off now */
    int64_t spares_ms, rests_ms;
    struct loop_timer *timer;
};

void schedule_init(struct keeper *keeper);
void schedule_deinit(struct keeper *keeper);

/* The due_ms to write into a row that is due at once: behind what was paged in already. */
int64_t schedule_stamp(const struct keeper *keeper, int64_t now_ms);
/* A row that is due now was committed. It may be left on disk when the window is full. */
struct schedule_place {
    uint64_t domain;
    unsigned flow; /* see flow_number */
};
void schedule_add(struct keeper *keeper, uint64_t message, uint64_t number,
                  struct schedule_place place);
/* The place in one number, for inbox_after; and back. */
uint64_t schedule_place_write(struct schedule_place place);
struct schedule_place schedule_place_read(uint64_t number);
/* Of a row: a retry goes behind what is new. */
struct schedule_place schedule_place_of(uint64_t domain, uint64_t flags, uint64_t attempts);
/* An item of the window is to be worked on: at the end of its flow. */
void schedule_ready(struct keeper *keeper, struct item *item);
/* Nothing goes by the lane before then (loop clock). */
void schedule_sleep(struct keeper *keeper, struct lane *lane, int64_t until_ms);
/* A row that is due later was committed. */
void schedule_note_due(struct keeper *keeper, int64_t due_ms);
/* Work on it has ended (its row says how it goes on): forget it. */
void schedule_done(struct keeper *keeper, uint64_t message, uint64_t number);
/* Give an item back that could not be worked on: in front of its list. */
void schedule_back(struct keeper *keeper, struct item *item);
/* The item needs a scribe and none is free. */
void schedule_wait_for_scribe(struct keeper *keeper, struct item *item);
/* It could not be worked on now, its row is as before: not again before rest_ms. */
void schedule_rest(struct keeper *keeper, uint64_t message, uint64_t number, int64_t rest_ms);
struct item *schedule_find(struct keeper *keeper, uint64_t message, uint64_t number);
/* True while it is being worked on. */
bool schedule_is_working(struct keeper *keeper, uint64_t message, uint64_t number);
/* The domain's mail was off the turns (sts_must_wait) and may go on. */
void schedule_unpark(struct keeper *keeper, struct domain *domain);
/* Something changed (a place is free, an answer came): look again in this turn of the loop. */
void schedule_wake(struct keeper *keeper);

#endif
