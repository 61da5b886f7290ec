/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mail that waits because of TLS: what holds it, when its sender is told, and when waiting ends and another way is chosen.
 * Pure but for the alarm.
 *
 *     held by                          until                  then
 *     the proof that is required       tls_retry              the next method (secure mail)
 *     what the domain publishes        tls_retry              secure: the next method; ordinary: policy_unmet
 *     its own past: TLS has vanished   ratchet_hold           ratchet_after (ordinary mail)
 *
 * The sender is told once after policy_notice. The attempts in between are the re-tests.
 */
#ifndef KEEPER_HOLD_H
#define KEEPER_HOLD_H

#include "ipc/messages.h"
#include "settings/settings.h"
#include "store/recipient.h"

enum hold {
    HOLD_NONE,  /* TLS is not the reason, or a rule of our own that nothing can be done about */
    HOLD_PROOF, /* secure mail: the proof was not to be had */
    HOLD_POLICY,  /* what the domain publishes: DANE, MTA-STS */
    HOLD_RATCHET, /* seen with TLS again and again, now without */
};

/*
 * What holds a recipient after this result. is_secure: it is secure mail; ordinary mail that was not proved was held to what
 * its domain did before. is_ratcheted: the job, or the host that was asked.
 */
enum hold hold_of(const struct ipc_delivered *delivered, const struct ipc_result *result,
                  bool is_secure, bool is_ratcheted);
/* "held by the recipient's published policy (row 7 …): WORDS", for events and reports; false: it does not fit. */
MUST_CHECK bool hold_write(enum hold hold, const struct ipc_delivered *delivered,
                           struct slice reply, char *out_cstr, size_t size);

enum hold_end {
    HOLD_GOES_ON,
    HOLD_LIFT,   /* the ratchet does not count for this recipient any more */
    HOLD_REPLAN, /* choose another method */
};
struct hold_rules {
    int64_t tls_retry_ms, ratchet_hold_ms;
    enum settings_unmet policy_unmet, ratchet_after;
    bool is_secure; /* METHOD_TLS */
    bool may_be_clear;
};
/* Has it waited long enough? held_ms: how long TLS has been the reason. */
enum hold_end hold_end(enum hold hold, const struct hold_rules *rules, int64_t held_ms);
/*
 * The next attempt: at due_ms, but not later than the moment at which the sender is to be told (notice_ms after
 * since_ms, if not told yet) or waiting ends.
 */
int64_t hold_due_ms(enum hold hold, const struct hold_rules *rules, int64_t since_ms,
                    int64_t notice_ms, int64_t now_ms, int64_t due_ms);

#endif
