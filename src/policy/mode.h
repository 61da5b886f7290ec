/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which delivery mode holds for one recipient of one message: many places may name one, one of them counts.
 * Pure. The order, the first that names a mode counts:
 *
 *     1  the recipient's address, in the account
 *     2  the recipient's domain, in the account
 *     3  the sender's address, in the account
 *     4  the user who submitted it, in the account
 *     5  the sender's domain, in the account
 *     6  the account
 *
 * and above all of them, as a floor: a domain on the system-wide forced list is at least `forced`. `exclusive` is
 * not weaker (it never sends in clear either) and stays.
 */
#ifndef POLICY_MODE_H
#define POLICY_MODE_H

#include "policy/verdict.h"

/* Who named it, in the order of precedence. */
enum mode_source {
    MODE_FROM_RECIPIENT,
    MODE_FROM_RECIPIENT_DOMAIN,
    MODE_FROM_SENDER,
    MODE_FROM_USER,
    MODE_FROM_SENDER_DOMAIN,
    MODE_FROM_ACCOUNT,
    MODE_FROM_FORCED_LIST,
    MODE_SOURCE_COUNT
};

struct mode_facts {
    enum delivery_mode named[MODE_FROM_FORCED_LIST]; /* MODE_UNSET: it names none */
    bool is_listed;                                  /* on the forced list */
};

/* The mode that counts, never MODE_UNSET: MODE_TRY when nobody names one (as MODE_FROM_ACCOUNT). */
enum delivery_mode policy_mode(const struct mode_facts *facts, enum mode_source *source_out);
/* Words for a person: "the sender's address". */
const char *mode_source_words(enum mode_source source);

#endif
