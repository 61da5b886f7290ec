/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner: facts about one recipient of one message in, one verdict with its reasons out. Pure: no
 * clock, no I/O, no globals. The same function serves live mail, `postern explain` and every preview,
 * so what is explained is what happens. The rules are the rows of the table in plan.c; the first row that
 * matches decides.
 */
#ifndef POLICY_PLAN_H
#define POLICY_PLAN_H

#include "base/buffer.h"
#include "policy/mode.h"

/* What kind of mail this is, for the planner. */
enum plan_mail {
    PLAN_SUBMITTED, /* from the organisation's own people */
    PLAN_REPLY,     /* reader's reply, receipt, or DSN about a protected message: protected */
    PLAN_PLAIN,     /* neutral by making: notices, codes, DSNs about ordinary mail */
    PLAN_INBOUND,   /* from a stranger to an own domain, on to its next hop */
    PLAN_FORWARD,   /* from a stranger to an address of ours, on to somebody else's */
};

/* What the sender asked for in this message. */
enum plan_wish { PLAN_WISH_NONE, PLAN_WISH_ENCRYPT, PLAN_WISH_OPT_OUT };

struct plan_facts {
    enum plan_mail mail;
    enum plan_wish wish;
    bool both_wishes; /* both triggers present: encryption wins, and the reason says so */
    bool requiretls;  /* REQUIRETLS at submission: must protect [RFC 8689] */
    const char
        *refusal_cstr; /* why it cannot go anywhere at all, in a sentence; NULL = it can */
    bool forward_must_prove; /* it came by an address whose mail goes on over proved TLS only */
    bool
        tls_required_no; /* TLS-Required: No: ordinary mail puts delivery before TLS [RFC 8689 §3] */
    bool encrypt_by_default; /* opt-out account */
    bool opt_out_allowed;    /* this sender may opt out */
    enum delivery_mode mode; /* by policy_mode() */
    enum mode_source mode_source;
    bool bar_tls; /* TLS alone is not allowed for this recipient */
    enum method order[METHOD_COUNT];
    size_t order_count;
    enum proof_level proof_needed; /* what counts as proved for secure mail */
    bool has_openpgp_key, has_smime_certificate;
    bool portal_available;
    enum domain_tls domain_tls;
    /* For secure mail, beyond proof_needed: */
    bool mx_proved;    /* the host's name must be proved, too */
    bool tls_1_3_only; /* nothing older than TLS 1.3 */
    bool
        requiretls_relaxed; /* proved TLS is enough for REQUIRETLS where the host does not know it */
    /* For ordinary mail: */
    bool is_excepted; /* until a date, what the domain publishes does not count */
    bool
        is_unmet; /* held by what the domain publishes or did before, and the account sends a notice instead */
    bool is_replan;         /* the proof was lost at delivery: TLS is out of the question now */
    bool cleartext_allowed; /* for ordinary mail */
    uint32_t cleartext_after_ms;
};

enum { VERDICT_REASONS_SIZE = 480 };

struct verdict {
    enum method method;
    struct tls_requirement
        requirement;       /* for whatever travels: the message itself, or the notice */
    bool is_secure;        /* marked secure: never in the clear on any branch */
    const char *rule_cstr; /* name of the row that decided, e.g. "opted-out" */
    char reasons_cstr[VERDICT_REASONS_SIZE]; /* sentences for a person */
};

/* Judge. Never fails: METHOD_FAIL is a verdict too. */
void policy_plan(const struct plan_facts *facts, struct verdict *verdict_out);

/*
 * After delivery found that the required proof is not to be had: is it time to plan anew?
 * first_failed_ms_ago: how long ago the proof was first missed for this recipient (0 = just now).
 * A domain that was never proved is planned anew at once; one known to do TLS gets tls_retry_ms to
 * come back, so that an attacker who breaks TLS for a moment does not choose the method.
 */
bool policy_replan_now(enum domain_tls before, int64_t first_failed_ms_ago,
                       int64_t tls_retry_ms);

#endif
