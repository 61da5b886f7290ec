/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sts_learn.h"

#include <string.h>

enum { MAX_AGE_MAX_S = 31557600 };

static int64_t at_most(int64_t value, int64_t most)
{
    return value < most ? value : most;
}

static void copy(struct slice text, char *out_cstr, size_t size)
{
    if (!slice_to_cstr(slice_head(text, size - 1), out_cstr, size))
        out_cstr[0] = '\0';
}

/* The scout is not believed more than it must be: who takes it over may lie about policies, not break us. */
static enum sts_state mode_of(uint64_t mode)
{
    return mode == STS_NONE || mode == STS_TESTING ? (enum sts_state)mode : STS_ENFORCE;
}

static void take_policy(struct store_sts *row, const struct ipc_sts_found *found,
                        int64_t pause_ms, int64_t now_ms)
{
    uint64_t max_age_s = found->max_age_s < MAX_AGE_MAX_S ? found->max_age_s : MAX_AGE_MAX_S;
    int64_t life_ms = (int64_t)max_age_s * 1000, used_ms = row->used_ms;

    /* One that is to live for no time at all would be fetched for every single mail. */
    if (life_ms < 2 * pause_ms)
        life_ms = 2 * pause_ms;
    *row = (struct store_sts){
        .domain = row->domain,
        .mode = mode_of(found->mode),
        .max_age_s = max_age_s,
        .fetched_ms = now_ms,
        .expires_ms = now_ms + life_ms,
        .checked_ms = now_ms,
        .refresh_ms = now_ms + at_most(life_ms / 2, STS_REFRESH_MAX_MS),
        .used_ms = used_ms > 0 ? used_ms : now_ms,
        .mx = found->mx,
        .text = found->text,
    };
    copy(found->id, row->id_cstr, sizeof row->id_cstr);
}

static void note_failure(struct store_sts *row, const struct ipc_sts_found *found,
                         int64_t pause_ms, int64_t now_ms)
{
    int64_t wait_ms;

    if (row->failing_ms == 0 || row->failing_ms > now_ms)
        row->failing_ms = now_ms;
    wait_ms = at_most((now_ms - row->failing_ms) / 2, STS_RETRY_MAX_MS);
    row->refresh_ms = now_ms + (wait_ms > pause_ms ? wait_ms : pause_ms);
    row->gone_ms = 0;
    row->checked_ms = now_ms;
    copy(found->id, row->announced_cstr, sizeof row->announced_cstr);
    if (strcmp(row->announced_cstr, row->id_cstr) == 0)
        row->announced_cstr[0] = '\0';
    copy(found->why, row->why_cstr, sizeof row->why_cstr);
}

static bool forget_failure(struct store_sts *row, int64_t now_ms)
{
    if (row->failing_ms == 0 && row->gone_ms == 0)
        return false;
    row->failing_ms = row->gone_ms = 0;
    row->announced_cstr[0] = row->why_cstr[0] = '\0';
    row->checked_ms = now_ms;
    return true;
}

/* Whoever can make the record vanish must not be able to make the policy vanish. */
static bool note_gone(struct store_sts *row, int64_t now_ms)
{
    bool was_gone = row->gone_ms != 0;

    if (was_gone)
        return false;
    (void)forget_failure(row, now_ms);
    row->gone_ms = row->checked_ms = now_ms;
    return true;
}

bool sts_learn(struct store_sts *row, bool has_row, const struct ipc_sts_found *found,
               int64_t pause_ms, int64_t now_ms)
{
    bool is_due = has_row && row->refresh_ms <= now_ms, is_changed = false;

    switch (found->outcome < STS_OUTCOME_COUNT ? (enum sts_outcome)found->outcome
                                               : STS_OUTCOME_UNKNOWN) {
    case STS_OUTCOME_POLICY:
        take_policy(row, found, pause_ms, now_ms);
        return true;
    case STS_OUTCOME_NONE:
        is_changed = has_row && note_gone(row, now_ms);
        break;
    case STS_OUTCOME_SAME:
        /* Announced again, which says nothing about whether it could be fetched; or what failed a moment ago still is. */
        is_changed = has_row && slice_equal(found->id, slice_from_cstr(row->id_cstr)) &&
                     (row->gone_ms != 0 || row->announced_cstr[0] != '\0') &&
                     forget_failure(row, now_ms);
        break;
    case STS_OUTCOME_UNFETCHED:
    case STS_OUTCOME_INVALID:
        if (has_row)
            note_failure(row, found, pause_ms, now_ms);
        return has_row;
    case STS_OUTCOME_UNKNOWN:
    case STS_OUTCOME_COUNT:
        break;
    }
    /* Not fetched, though it was due: not again at once. */
    if (is_due)
        row->refresh_ms = now_ms + pause_ms;
    return is_changed || is_due;
}

int64_t sts_look_after_ms(const struct ipc_sts_found *found, unsigned failures,
                          int64_t pause_ms)
{
    int64_t after_ms = pause_ms;

    switch (found->outcome < STS_OUTCOME_COUNT ? (enum sts_outcome)found->outcome
                                               : STS_OUTCOME_UNKNOWN) {
    case STS_OUTCOME_NONE:
    case STS_OUTCOME_SAME:
    case STS_OUTCOME_POLICY:
        after_ms = found->ttl_s < STS_LOOK_MAX_MS / 1000 ? (int64_t)found->ttl_s * 1000
                                                         : STS_LOOK_MAX_MS;
        return after_ms > pause_ms ? after_ms : pause_ms;
    case STS_OUTCOME_UNFETCHED:
    case STS_OUTCOME_INVALID:
        for (unsigned i = 1; i < failures && after_ms < STS_RETRY_MAX_MS; i++)
            after_ms *= 2;
        return at_most(after_ms, STS_RETRY_MAX_MS);
    case STS_OUTCOME_UNKNOWN:
    case STS_OUTCOME_COUNT:
        break;
    }
    return at_most(pause_ms, STS_UNKNOWN_MS);
}

const char *sts_known_id(const struct store_sts *row, int64_t now_ms)
{
    if (row->refresh_ms <= now_ms)
        return "";
    return row->announced_cstr[0] != '\0' ? row->announced_cstr : row->id_cstr;
}

enum sts_state sts_state_of(const struct store_sts *row)
{
    if (row->mode != STS_ENFORCE)
        return row->mode;
    return row->gone_ms != 0 || row->announced_cstr[0] != '\0' ? STS_KEPT : STS_ENFORCE;
}

bool sts_is_alarming(const struct store_sts *row, int64_t now_ms)
{
    return row->failing_ms != 0 &&
           (row->announced_cstr[0] != '\0' || now_ms - row->failing_ms > STS_QUIET_MS);
}
