/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/tls_rules.h"

/* Conditions of a row; what is not named does not matter. */
enum condition {
    SECURE = 1 << 0,   /* more than PROOF_NONE is required */
    ORDINARY = 1 << 1, /* nothing is required */
    OFFERED = 1 << 2,
    ABSENT = 1 << 3,
    FRESH = 1 << 4, /* no handshake tried */
    DONE = 1 << 5,
    FAILED = 1 << 6,
    SHORT = 1 << 7,    /* the level reached is below the one required */
    OLD_TLS = 1 << 8,  /* TLS 1.3 is required and this is less */
    CLEAR_OK = 1 << 9, /* cleartext is allowed at all */
    RIPE =
        1 << 10, /* old enough, and TLS was tried everywhere else: cleartext after a failure */
    NEEDS_TLS = 1 << 11 /* no level is required, but cleartext is not allowed */
};

struct rule {
    unsigned row; /* of doc/tls.md */
    enum host_policy policy;
    unsigned when;
    enum tls_action action;
    const char *why_cstr;
};

/*
 * Rows 1, 3 to 9 and 12 stand where they will be asked. Until something finds such a policy no connection has one, so
 * none of them can match; what they say is already the safe side of what they will say.
 */
static const struct rule rules[] = {
    {1, HOST_POLICY_REQUIRETLS_PATH, ABSENT, TLS_ACT_NOT_PROVED, "REQUIRETLS without STARTTLS"},
    {1, HOST_POLICY_REQUIRETLS_PATH, FAILED, TLS_ACT_NOT_PROVED, "REQUIRETLS without TLS"},
    /* 2: required by the message, its account or the domain. Whatever the other side publishes, no less. */
    {2, HOST_POLICY_NONE, SECURE | FAILED, TLS_ACT_NOT_PROVED, "the TLS handshake failed"},
    {2, HOST_POLICY_NONE, SECURE | DONE | SHORT, TLS_ACT_NOT_PROVED,
     "TLS without the proof that is required"},
    {2, HOST_POLICY_NONE, SECURE | DONE | OLD_TLS, TLS_ACT_NOT_PROVED,
     "TLS older than the 1.3 that is required"},
    {2, HOST_POLICY_NONE, SECURE | DONE, TLS_ACT_ENCRYPTED, ""},
    {2, HOST_POLICY_NONE, SECURE | FRESH | OFFERED, TLS_ACT_START, ""},
    {2, HOST_POLICY_NONE, SECURE | FRESH | ABSENT, TLS_ACT_NOT_PROVED,
     "STARTTLS is not offered"},
    {3, HOST_POLICY_DANE, FAILED, TLS_ACT_LATER, "the certificate does not match DANE"},
    {4, HOST_POLICY_DANE_UNUSABLE, ABSENT, TLS_ACT_LATER, "TLSA demands STARTTLS"},
    {5, HOST_POLICY_DANE_UNKNOWN, 0, TLS_ACT_LATER, "the TLSA look-up failed"},
    {6, HOST_POLICY_DANE_UNSIGNED_MX, FAILED, TLS_ACT_LATER, "no match with DANE"},
    {7, HOST_POLICY_STS_ENFORCE, FAILED, TLS_ACT_LATER, "MTA-STS is not met"},
    {8, HOST_POLICY_STS_TESTING, DONE, TLS_ACT_ENCRYPTED, ""},
    {9, HOST_POLICY_STS_STALE, FAILED, TLS_ACT_LATER, "the last MTA-STS policy is not met"},
    /* 10: ordinary mail, STARTTLS offered: the certificate is recorded, not insisted on. */
    {10, HOST_POLICY_NONE, ORDINARY | DONE | OLD_TLS, TLS_ACT_LATER,
     "TLS older than the 1.3 that is required"},
    {10, HOST_POLICY_NONE, ORDINARY | DONE, TLS_ACT_ENCRYPTED, ""},
    {10, HOST_POLICY_NONE, ORDINARY | FRESH | OFFERED, TLS_ACT_START, ""},
    {10, HOST_POLICY_NONE, ORDINARY | FAILED | NEEDS_TLS, TLS_ACT_LATER,
     "the TLS handshake failed, and cleartext is not allowed"},
    {10, HOST_POLICY_NONE, ORDINARY | FAILED | CLEAR_OK | RIPE, TLS_ACT_CLEAR, ""},
    {10, HOST_POLICY_NONE, ORDINARY | FAILED, TLS_ACT_LATER,
     "the TLS handshake failed, and it is too early for cleartext"},
    /* 11: ordinary mail, no STARTTLS. */
    {11, HOST_POLICY_NONE, ORDINARY | ABSENT | CLEAR_OK, TLS_ACT_CLEAR, ""},
    {11, HOST_POLICY_NONE, ORDINARY | ABSENT, TLS_ACT_LATER,
     "STARTTLS is not offered, and cleartext is not allowed"},
    {12, HOST_POLICY_TLS_NOT_REQUIRED, DONE, TLS_ACT_ENCRYPTED, ""},
};

static unsigned conditions_of(const struct tls_facts *facts)
{
    const struct tls_requirement *need = facts->requirement;
    bool is_secure = need->least > PROOF_NONE;
    bool is_old = need->tls_1_3_only && facts->proof.version < TLS_VERSION_1_3;
    bool is_short = facts->proof.level < need->least ||
                    (need->least >= PROOF_VERIFIED && !facts->proof.is_enforced);
    unsigned found = is_secure ? SECURE : ORDINARY;

    found |= facts->offer == STARTTLS_OFFERED ? OFFERED : ABSENT;
    switch (facts->handshake) {
    case HANDSHAKE_NOT_TRIED:
        found |= FRESH;
        break;
    case HANDSHAKE_DONE:
        found |= DONE;
        break;
    case HANDSHAKE_FAILED:
        found |= FAILED;
        break;
    }
    found |= is_short ? SHORT : 0;
    found |= is_old ? OLD_TLS : 0;
    found |= need->cleartext_allowed ? CLEAR_OK : NEEDS_TLS;
    if (facts->is_last_resort && facts->age_ms >= (int64_t)need->cleartext_after_ms)
        found |= RIPE;
    return found;
}

struct tls_decision deliver_tls_decide(const struct tls_facts *facts)
{
    unsigned found = conditions_of(facts);

    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rules[i].policy == facts->policy && (rules[i].when & ~found) == 0)
            return (struct tls_decision){rules[i].row, rules[i].action, rules[i].why_cstr};
    return (struct tls_decision){0, TLS_ACT_LATER, "no rule fits"};
}

bool deliver_may_send(const struct connection_proof *proof,
                      const struct tls_requirement *requirement)
{
    if (requirement->tls_1_3_only && proof->is_tls && proof->version < TLS_VERSION_1_3)
        return false;
    if (requirement->least == PROOF_NONE)
        return proof->is_tls || requirement->cleartext_allowed;
    return proof->is_tls && proof->level >= requirement->least &&
           (requirement->least < PROOF_VERIFIED || proof->is_enforced);
}
