/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often somebody failed lately: a small table of counters by hash that forgets. A stranger who
 * floods it makes others' counters be forgotten, never makes them count more.
 */
#ifndef KEEPER_THROTTLE_H
#define KEEPER_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

enum { THROTTLE_SLOTS = 4096 };

struct throttle {
    struct throttle_slot {
        uint64_t hash;
        int64_t since_ms;
        uint32_t count;
    } slots[THROTTLE_SLOTS];
};

/* How long this one has to wait, in milliseconds; 0 = it may try. now_ms: any steady clock. */
int64_t throttle_wait_ms(const struct throttle *throttle, uint64_t hash, uint32_t limit,
                         int64_t window_ms, int64_t now_ms);
/* It failed once more. */
void throttle_count(struct throttle *throttle, uint64_t hash, int64_t window_ms,
                    int64_t now_ms);
/* It succeeded: start from nothing. */
void throttle_forget(struct throttle *throttle, uint64_t hash);

#endif
