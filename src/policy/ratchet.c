/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ratchet.h"

enum { DAY_MS = 86400000, DAYS_IN_LOW = 16 };

int64_t ratchet_day(int64_t unix_ms)
{
    return unix_ms / DAY_MS;
}

/* What was counted `days` days ago moves on; beyond 32 days it is gone. */
static struct ratchet aged(struct ratchet ratchet, int64_t day)
{
    int64_t days = day - ratchet.day;

    if (days <= 0)
        return ratchet;
    if (days >= 2 * DAYS_IN_LOW) {
        ratchet.high = ratchet.low = 0;
    } else if (days >= DAYS_IN_LOW) {
        ratchet.high = ratchet.low << 4 * (days - DAYS_IN_LOW);
        ratchet.low = 0;
    } else {
        ratchet.high = ratchet.high << 4 * days | ratchet.low >> (64 - 4 * days);
        ratchet.low <<= 4 * days;
    }
    ratchet.day = day;
    return ratchet;
}

bool ratchet_note(struct ratchet *ratchet, int64_t day, unsigned wanted)
{
    struct ratchet now = aged(*ratchet, day);

    if ((now.low & 15) >= wanted || (now.low & 15) >= RATCHET_TIMES_MAX)
        return false;
    now.low++;
    *ratchet = now;
    return true;
}

unsigned ratchet_times(const struct ratchet *ratchet, int64_t day)
{
    struct ratchet now = aged(*ratchet, day);
    unsigned times = 0;

    for (unsigned i = 0; i < RATCHET_DAYS; i++)
        times +=
            (unsigned)((i < DAYS_IN_LOW ? now.low >> 4 * i : now.high >> 4 * (i - 16)) & 15);
    return times;
}
