/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/clock.h"

#include "base/log.h"
#include "crypto/random.h"
#include "keeper/internal.h"
#include "keeper/results.h"
#include "keeper/state.h"
#include "store/message.h"

enum {
    ROWS_AT_ONCE = 500,
    SLACK_MS = 60000,
    SPREAD_MAX_MS = 5 * 60 * 1000,   /* those brought near are due over so long */
    ACCEPTED_AHEAD_MS = 3600 * 1000, /* accepted so far ahead: its age would never begin */
};

void clock_watch_init(struct clock_watch *watch)
{
    /* The clock may have been set back before this process began. */
    *watch =
        (struct clock_watch){.offset_ms = clock_unix_ms() - loop_now_ms(), .is_walking = true};
}

bool clock_watch_look(struct clock_watch *watch, int64_t wall_ms, int64_t loop_ms)
{
    int64_t offset_ms = wall_ms - loop_ms, by_ms = offset_ms - watch->offset_ms;

    watch->offset_ms = offset_ms;
    if (by_ms >= CLOCK_FORWARD_MS) {
        LOG(LOG_WARN, "keeper.clock_set_forward", log_i64("by_ms", by_ms));
        watch->doubt_until_ms = loop_ms + CLOCK_DOUBT_MS;
        return false;
    }
    if (by_ms > -CLOCK_BACK_MS)
        return false;
    LOG(LOG_WARN, "keeper.clock_set_back", log_i64("by_ms", -by_ms));
    watch->doubt_until_ms = 0;
    watch->is_walking = true;
    watch->walked = (struct store_due){0};
    return true;
}

int64_t clock_watch_doubt_ms(const struct clock_watch *watch, int64_t loop_ms)
{
    return watch->doubt_until_ms > loop_ms ? watch->doubt_until_ms - loop_ms : 0;
}

void clock_look(struct keeper *keeper)
{
    if (!clock_watch_look(&keeper->clock, clock_unix_ms(), loop_now_ms()))
        return;
    keeper->schedule.loaded = (struct store_due){0};
    keeper->schedule.is_all_loaded = false;
    loop_timer_set(keeper->housekeeping, 0);
}

int64_t clock_doubt_ms(struct keeper *keeper)
{
    clock_look(keeper);
    return clock_watch_doubt_ms(&keeper->clock, loop_now_ms());
}

/* The furthest that a retry is ever put off. */
static int64_t retry_end_ms(struct keeper *keeper, int64_t now_ms)
{
    return now_ms + keeper->settings->delivery.retry_max_ms / 4 * 5 + SLACK_MS;
}

/* In the portal a row waits for its expiry, however far off: that is no mistake. */
static bool is_wrong(const struct store_recipient *row)
{
    enum recipient_state state = (enum recipient_state)row->state;

    return row->owes != 0 || state == STATE_ACCEPTED || state == STATE_PLANNED ||
           state == STATE_DEFERRED;
}

static void bring_near(struct keeper *keeper, struct store_recipient *row, int64_t now_ms)
{
    int64_t spread_ms = keeper->settings->delivery.retry_first_ms;

    if (spread_ms > SPREAD_MAX_MS)
        spread_ms = SPREAD_MAX_MS;
    row->due_ms = now_ms + (int64_t)(random_u64() % (uint64_t)(spread_ms + 1));
    store_recipient_update(keeper->store, row);
    store_message_accepted_before(keeper->store, row->message, now_ms + ACCEPTED_AHEAD_MS,
                                  now_ms);
    results_settle(keeper, row);
}

bool clock_bring_near(struct keeper *keeper)
{
    struct clock_watch *watch = &keeper->clock;
    struct store_due page[ROWS_AT_ONCE];
    int64_t now_ms = clock_unix_ms(), end_ms = retry_end_ms(keeper, now_ms);
    size_t count, changed = 0;

    if (!watch->is_walking)
        return false;
    if (watch->walked.due_ms < end_ms)
        watch->walked = (struct store_due){.due_ms = end_ms};
    count = store_recipient_due(keeper->store, &watch->walked, INT64_MAX, page, ROWS_AT_ONCE);
    for (size_t i = 0; i < count; i++) {
        struct store_recipient row;

        watch->walked = page[i];
        if (!store_recipient_get(keeper->store, page[i].message, page[i].number, &row) ||
            !is_wrong(&row) || schedule_is_working(keeper, row.message, row.number))
            continue;
        bring_near(keeper, &row, now_ms);
        changed++;
    }
    if (changed > 0)
        LOG(LOG_WARN, "keeper.rows_brought_near", log_u64("rows", changed));
    watch->is_walking = count == ROWS_AT_ONCE;
    return watch->is_walking;
}
