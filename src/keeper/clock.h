/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wall clock jumps: a machine wakes up, or somebody sets it. Set back (or found behind at the start),
 * rows may be stamped further ahead than any retry: they are walked once and brought near. Set forward by
 * much, what age alone would end for good (mail too old, copies in the portal, stories) waits an hour:
 * a clock that was wrong is put right meanwhile, and nothing is lost by it.
 */
#ifndef KEEPER_CLOCK_H
#define KEEPER_CLOCK_H

#include "store/recipient.h"

struct keeper;

enum {
    CLOCK_BACK_MS = 2000, /* by so much at least, between two looks, to count as a jump */
    CLOCK_FORWARD_MS = 3600 * 1000, /* likewise */
    CLOCK_DOUBT_MS = 3600 * 1000,   /* after a jump forward */
};

struct clock_watch {
    int64_t offset_ms;      /* wall clock minus loop's clock */
    int64_t doubt_until_ms; /* the loop's clock; 0 = no doubt */
    bool is_walking;        /* rows stamped too far ahead are being looked for */
    struct store_due walked;
};

void clock_watch_init(struct clock_watch *watch);
/* Look at both clocks. Pure but for *watch. True: set back. */
bool clock_watch_look(struct clock_watch *watch, int64_t wall_ms, int64_t loop_ms);
/* How much longer the clock is in doubt after a jump forward, 0 = not. Pure. */
int64_t clock_watch_doubt_ms(const struct clock_watch *watch, int64_t loop_ms);
/* Look, and do what a jump asks for. */
void clock_look(struct keeper *keeper);
/*
 * What age would end for good must wait; how much longer, 0 = not. Ask after the time was read by which
 * the age is judged: then no jump can lie between.
 */
int64_t clock_doubt_ms(struct keeper *keeper);
/* Inside of a batch: bring the next rows near that are stamped too far ahead. False: the walk is through. */
bool clock_bring_near(struct keeper *keeper);

#endif
