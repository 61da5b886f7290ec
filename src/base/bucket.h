/* SPDX-License-Identifier: Apache-2.0 */
/*
 * So many a minute, a few at once: a token bucket that says when the next one may go, to the microsecond, so that
 * nobody looks in between. A minute's worth is never exceeded by more than the burst.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdint.h>

struct bucket {
    int64_t full_us; /* when it is full again; the clock is the caller's, microseconds */
};

enum { BUCKET_MINUTE_US = 60000000 };

/* When one may be taken: now_us or before = now. per_minute 0 = always. */
static inline int64_t bucket_next_us(const struct bucket *bucket, uint32_t per_minute,
                                     uint32_t burst)
{
    if (per_minute == 0)
        return 0;
    return bucket->full_us - (int64_t)(burst - 1) * (BUCKET_MINUTE_US / per_minute);
}

static inline void bucket_take(struct bucket *bucket, uint32_t per_minute, int64_t now_us)
{
    if (per_minute == 0)
        return;
    if (bucket->full_us < now_us)
        bucket->full_us = now_us;
    bucket->full_us += BUCKET_MINUTE_US / per_minute;
}

/* A second's worth, at least one. */
static inline uint32_t bucket_burst(uint32_t per_minute)
{
    return per_minute < 120 ? 1 : per_minute / 60;
}

#endif
