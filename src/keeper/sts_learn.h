/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer of the scout makes of what we know of a domain's MTA-STS policy. Pure. The rule that others
 * get wrong: a policy that we have stays in force until its own max_age has ended, whatever happens to the record that announced
 * it and to the web server that has it [RFC 8461 §3.3, §5.1].
 */
#ifndef KEEPER_STS_LEARN_H
#define KEEPER_STS_LEARN_H

#include "ipc/messages.h"
#include "store/sts.h"

enum {
    STS_RETRY_MAX_MS =
        60 * 60 * 1000, /* what failed is fetched again later and later, up to this */
    STS_LOOK_MAX_MS =
        60 * 60 * 1000,         /* the record is looked at again after its TTL, at most this */
    STS_UNKNOWN_MS = 60 * 1000, /* the DNS could not be asked */
    STS_REFRESH_MAX_MS =
        24 * 3600 * 1000, /* fetched anew at half of its max_age, and at least so often */
    STS_QUIET_MS =
        24 * 3600 * 1000, /* for so long the same policy may not be had anew without an alarm */
};

/*
 * Bring the row up to date; has_row false: there is none that has not expired, and *row holds only the domain. pause_ms:
 * the least time between two fetches that fail [RFC 8461 §3.3: five minutes]. True: write it. mx and text become views
 * into `found`.
 */
bool sts_learn(struct store_sts *row, bool has_row, const struct ipc_sts_found *found,
               int64_t pause_ms, int64_t now_ms);
/* How long until the record is looked at again when mail uses it; failures: fetches in a row that failed. */
int64_t sts_look_after_ms(const struct ipc_sts_found *found, unsigned failures,
                          int64_t pause_ms);
/* The id to ask with: what need not be fetched now. Empty: fetch whatever is announced. */
const char *sts_known_id(const struct store_sts *row, int64_t now_ms);
/* What counts for mail now. Row: not expired. */
enum sts_state sts_state_of(const struct store_sts *row);
/* Somebody should look: another policy is announced and cannot be had, or this one for long. */
bool sts_is_alarming(const struct store_sts *row, int64_t now_ms);

#endif
