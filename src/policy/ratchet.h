/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often a host or a domain was seen with TLS within the last 30 days: a small count for each day, in two numbers.
 * Who was seen with TLS often enough is ratcheted: that it has none today is no reason for clear text, as taking
 * STARTTLS away is the easiest attack there is (doc/tls.md). Pure values.
 */
#ifndef POLICY_RATCHET_H
#define POLICY_RATCHET_H

#include <stdbool.h>
#include <stdint.h>

enum { RATCHET_DAYS = 30, RATCHET_TIMES_MAX = 15 };

/* Zeroed: never seen. Four bits a day, today's lowest. */
struct ratchet {
    int64_t day; /* unix days of the newest count */
    uint64_t low, high;
};

/* The day that a moment (unix milliseconds) belongs to. */
int64_t ratchet_day(int64_t unix_ms);
/*
 * Seen with TLS on this day. True: the memory has changed and is worth writing; that ends after `wanted` times
 * (1 to RATCHET_TIMES_MAX) a day, so a busy host costs as many writes a day at most. A day in the past (the clock
 * was set back) counts as the newest one known.
 */
bool ratchet_note(struct ratchet *ratchet, int64_t day, unsigned wanted);
/* Times seen within the 30 days that end today. */
unsigned ratchet_times(const struct ratchet *ratchet, int64_t day);

#endif
