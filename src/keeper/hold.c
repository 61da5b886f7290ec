/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/hold.h"

#include <stdio.h>

/* Rows of the decision table, see doc/tls.md: what is published about the host. */
static bool is_policy_row(uint64_t row)
{
    return row >= 3 && row <= 9 && row != 8;
}

enum hold hold_of(const struct ipc_delivered *delivered, const struct ipc_result *result,
                  bool is_secure, bool is_ratcheted)
{
    if (result->outcome == OUTCOME_NOT_PROVED)
        return is_secure ? HOLD_PROOF : HOLD_RATCHET;
    /* 4.7.10: the table said "later" to every host that answered. */
    if (result->outcome != OUTCOME_TEMPORARY || result->code != 0 ||
        !slice_equal(result->enhanced, S("4.7.10")))
        return HOLD_NONE;
    /* Secure mail is held by rows 1 and 2 only because of look-ups and policies of the domain. */
    if (is_policy_row(delivered->row) || delivered->row == 1 || delivered->row == 2)
        return HOLD_POLICY;
    return is_ratcheted && (delivered->row == 10 || delivered->row == 11) ? HOLD_RATCHET
                                                                          : HOLD_NONE;
}

static struct slice row_words(uint64_t row)
{
    static const char *const words[] = {
        [1] = "REQUIRETLS",
        [2] = "the proof that the sender's side requires",
        [3] = "DANE",
        [4] = "TLSA records that cannot be used",
        [5] = "a look-up of TLSA records that failed",
        [6] = "DANE under unsigned MX records",
        [7] = "MTA-STS",
        [9] = "MTA-STS, an earlier policy",
    };

    return slice_from_cstr(row < COUNT_OF(words) && words[row] != NULL ? words[row] : "TLS");
}

bool hold_write(enum hold hold, const struct ipc_delivered *delivered, struct slice reply,
                char *out_cstr, size_t size)
{
    struct slice policy = delivered->policy.len > 0 ? slice_head(delivered->policy, 200)
                                                    : row_words(delivered->row);
    int len = 0;

    switch (hold) {
    case HOLD_NONE:
        len = snprintf(out_cstr, size, "%.*s", SLICE_ARGS(reply));
        break;
    case HOLD_PROOF:
        len = snprintf(out_cstr, size,
                       "held because the connection was not proved as required (row %u): %.*s",
                       (unsigned)delivered->row, SLICE_ARGS(reply));
        break;
    case HOLD_POLICY:
        len =
            snprintf(out_cstr, size,
                     "held because the recipient's published policy could not be met (row %u, "
                     "%.*s): %.*s",
                     (unsigned)delivered->row, SLICE_ARGS(policy), SLICE_ARGS(reply));
        break;
    case HOLD_RATCHET:
        len =
            snprintf(out_cstr, size,
                     "held because the recipient's server has lost its TLS, which it had again "
                     "and again (row %u): %.*s",
                     (unsigned)delivered->row, SLICE_ARGS(reply));
        break;
    }
    return len > 0 && (size_t)len < size;
}

static int64_t limit_ms(enum hold hold, const struct hold_rules *rules)
{
    return hold == HOLD_RATCHET ? rules->ratchet_hold_ms : rules->tls_retry_ms;
}

enum hold_end hold_end(enum hold hold, const struct hold_rules *rules, int64_t held_ms)
{
    if (hold == HOLD_NONE || held_ms < limit_ms(hold, rules))
        return HOLD_GOES_ON;
    if (rules->is_secure)
        return HOLD_REPLAN;
    if (hold == HOLD_POLICY)
        return rules->policy_unmet == UNMET_PORTAL ? HOLD_REPLAN : HOLD_GOES_ON;
    if (hold != HOLD_RATCHET || rules->ratchet_after == UNMET_HOLD)
        return HOLD_GOES_ON;
    if (rules->ratchet_after == UNMET_CLEAR)
        return rules->may_be_clear ? HOLD_LIFT : HOLD_GOES_ON;
    return HOLD_REPLAN;
}

int64_t hold_due_ms(enum hold hold, const struct hold_rules *rules, int64_t since_ms,
                    int64_t notice_ms, int64_t now_ms, int64_t due_ms)
{
    int64_t ends_ms = since_ms + limit_ms(hold, rules);

    if (notice_ms >= 0 && since_ms + notice_ms > now_ms && since_ms + notice_ms < due_ms)
        due_ms = since_ms + notice_ms;
    if (ends_ms > now_ms && ends_ms < due_ms)
        due_ms = ends_ms;
    return due_ms;
}
