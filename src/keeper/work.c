/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/deliver.h"

static enum work work_to_carry(const struct store_recipient *recipient,
                               const struct work_facts *facts)
{
    bool is_old = facts->now_ms - facts->accepted_ms >= facts->give_up_ms;

    if (facts->is_domain_held)
        return WORK_HOLD;
    /*
     * What a courier carries is tried however old it is, and fails by that attempt: mail that was held
     * for a week, or waited for this server, has its chance when it is let go.
     */
    if (is_old && recipient->method != METHOD_REGULAR && recipient->method != METHOD_TLS)
        return WORK_TOO_OLD;
    /* The switch was thrown after this was planned. */
    if (facts->must_prove && recipient->requirement.least < PROOF_VERIFIED &&
        (recipient->method == METHOD_REGULAR || recipient->method == METHOD_TLS))
        return WORK_REPLAN;
    switch (recipient->method) {
    case METHOD_REGULAR:
        return WORK_CARRY;
    case METHOD_TLS:
        /* Another message has learned meanwhile that this domain does not prove itself. */
        return facts->domain_tls == DOMAIN_TLS_LACKING && recipient->unproved_ms == 0 &&
                       !facts->is_inbound
                   ? WORK_REPLAN
                   : WORK_CARRY;
    case METHOD_PORTAL:
        return WORK_COPY;
    case METHOD_NONE:
    case METHOD_OPENPGP:
    case METHOD_SMIME:
    case METHOD_DROP:
    case METHOD_FAIL:
    case METHOD_COUNT:
        break;
    }
    return WORK_REPLAN;
}

enum work work_for(const struct store_recipient *recipient, const struct work_facts *facts)
{
    enum recipient_state state = (enum recipient_state)recipient->state;

    if (recipient->due_ms == RECIPIENT_NOT_DUE || recipient->due_ms > facts->now_ms + 1000 ||
        recipient->is_held)
        return WORK_NONE;
    if (recipient->owes != 0)
        return WORK_MAIL;
    switch (state) {
    case STATE_ACCEPTED:
        return WORK_REPLAN;
    case STATE_PLANNED:
    case STATE_DEFERRED:
        return work_to_carry(recipient, facts);
    case STATE_NOTIFYING:
    case STATE_NOTIFIED:
    case STATE_REVEALED:
        return WORK_EXPIRE;
    case STATE_NONE:
    case STATE_DELIVERED:
    case STATE_FAILED:
    case STATE_DROPPED:
    case STATE_EXPIRED:
    case STATE_RETRACTED:
    case STATE_DELETED:
    case STATE_COUNT:
        break;
    }
    return WORK_NONE;
}
