/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_table.h"

/* ---- names ---- */

const char *mx_proof_name(enum mx_proof proof)
{
    static const char *const names[MX_PROOF_COUNT] = {
        [MX_PROOF_NONE] = "none",
        [MX_PROOF_DNSSEC] = "dnssec",
        [MX_PROOF_STS] = "mta-sts",
        [MX_PROOF_ROUTE] = "route",
    };

    return (unsigned)proof < MX_PROOF_COUNT ? names[proof] : "?";
}

const char *sts_state_name(enum sts_state state)
{
    static const char *const names[STS_COUNT] = {
        [STS_NONE] = "none", [STS_TESTING] = "testing",     [STS_ENFORCE] = "enforce",
        [STS_KEPT] = "kept", [STS_UNFETCHED] = "unfetched",
    };

    return (unsigned)state < STS_COUNT ? names[state] : "?";
}

const char *dane_state_name(enum dane_state state)
{
    static const char *const names[DANE_COUNT] = {
        [DANE_NOT_ASKED] = "not asked", [DANE_NONE] = "none",     [DANE_USABLE] = "usable",
        [DANE_UNUSABLE] = "unusable",   [DANE_FAILED] = "failed",
    };

    return (unsigned)state < DANE_COUNT ? names[state] : "?";
}

/* ---- the table ---- */

/* What a row asks for; what it does not name does not matter. */
enum known {
    REQUIRETLS = 1 << 0, /* the message asked for it [RFC 8689] */
    SECURE = 1 << 1, /* something is required: by the message, its account, the domain's rule */
    NOT_REQUIRED = 1 << 2, /* TLS-Required: No */
    NEEDS_MX = 1 << 3,     /* the host's name must be proved, too */
    NEEDS_DANE = 1 << 4,   /* DANE is required, nothing less */
    MX_DOUBTFUL = 1 << 5,  /* nothing proves the host's name */
    MX_SIGNED = 1 << 6,
    TLSA_USABLE = 1 << 7,
    TLSA_UNUSABLE = 1 << 8,
    TLSA_UNKNOWN = 1 << 9,
    STS_IN_FORCE = 1 << 10, /* enforce, the present policy or one that was kept */
    STS_WAS_KEPT = 1 << 11,
    STS_IS_TESTED = 1 << 12,
    STS_NOT_HAD = 1 << 13, /* announced, and never fetched */
    /*
     * In force, and it does not name this host. Not said of a host with usable TLSA records under signed MX records: there
     * DANE wins [RFC 8461 §2].
     */
    UNLISTED = 1 << 14,
};

/* What a row demands. LOCAL: the level that the message requires, at least ENCRYPTED. */
enum demands { SKIP, TRY, ENCRYPT, VERIFY, MATCH_TLSA, LOCAL };

struct row {
    unsigned number; /* of doc/tls.md */
    const char *name_cstr;
    unsigned when;
    enum demands demands;
    enum tls_clear clear;
    enum tls_unmet unmet;
    const char *why_cstr; /* of SKIP */
};

/*
 * What a message requires stands first, under 1 or 2 whatever is published: that only adds to it. 12 stands behind that, as 1
 * and 2 win over it, and before 3 to 9, which it ignores. "Unlisted" stands before 4 and 6: who forges unsigned MX
 * records could point them to a signed host of its own [RFC 8461 §2].
 */
static const struct row rows[] = {
    {1, "requiretls-mx", REQUIRETLS | MX_DOUBTFUL, SKIP, CLEAR_NEVER, UNMET_NOT_PROVED,
     "REQUIRETLS needs a host whose name is proved by DNSSEC, MTA-STS or a route"},
    {1, "requiretls-tlsa-unknown", REQUIRETLS | TLSA_UNKNOWN, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the TLSA look-up failed"},
    {1, "requiretls-unlisted", REQUIRETLS | UNLISTED, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the MTA-STS policy does not name this host"},
    {1, "requiretls-dane", REQUIRETLS | TLSA_USABLE, MATCH_TLSA, CLEAR_NEVER, UNMET_NOT_PROVED,
     ""},
    {1, "requiretls-needs-dane", REQUIRETLS | NEEDS_DANE, SKIP, CLEAR_NEVER, UNMET_NOT_PROVED,
     "DANE is required, and the host has no usable TLSA records"},
    {1, "requiretls", REQUIRETLS, VERIFY, CLEAR_NEVER, UNMET_NOT_PROVED, ""},

    {2, "secure-mx", NEEDS_MX | MX_DOUBTFUL, SKIP, CLEAR_NEVER, UNMET_NOT_PROVED,
     "the host's name is not proved by DNSSEC, MTA-STS or a route"},
    {2, "secure-tlsa-unknown", SECURE | TLSA_UNKNOWN, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the TLSA look-up failed"},
    {2, "secure-kept-unlisted", SECURE | UNLISTED | STS_WAS_KEPT, SKIP, CLEAR_NEVER,
     UNMET_LATER, "the MTA-STS policy does not name this host"},
    {2, "secure-unlisted", SECURE | UNLISTED, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the MTA-STS policy does not name this host"},
    {2, "secure-dane", SECURE | TLSA_USABLE | MX_SIGNED, MATCH_TLSA, CLEAR_NEVER,
     UNMET_NOT_PROVED, ""},
    {2, "secure-dane-unsigned-mx", SECURE | TLSA_USABLE, MATCH_TLSA, CLEAR_NEVER,
     UNMET_NOT_PROVED, ""},
    {2, "secure-needs-dane", SECURE | NEEDS_DANE, SKIP, CLEAR_NEVER, UNMET_NOT_PROVED,
     "DANE is required, and the host has no usable TLSA records"},
    {2, "secure-tlsa-unusable-sts", SECURE | TLSA_UNUSABLE | STS_IN_FORCE, VERIFY, CLEAR_NEVER,
     UNMET_NOT_PROVED, ""},
    {2, "secure-sts-kept", SECURE | STS_IN_FORCE | STS_WAS_KEPT, VERIFY, CLEAR_NEVER,
     UNMET_NOT_PROVED, ""},
    {2, "secure-sts", SECURE | STS_IN_FORCE, VERIFY, CLEAR_NEVER, UNMET_NOT_PROVED, ""},
    {2, "secure", SECURE, LOCAL, CLEAR_NEVER, UNMET_NOT_PROVED, ""},

    {12, "tls-not-required", NOT_REQUIRED, TRY, CLEAR_ASKED, UNMET_LATER, ""},

    {3, "dane", TLSA_USABLE | MX_SIGNED, MATCH_TLSA, CLEAR_NEVER, UNMET_LATER, ""},
    {5, "tlsa-unknown", TLSA_UNKNOWN, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the TLSA look-up failed"},
    {9, "sts-kept-unlisted", UNLISTED | STS_WAS_KEPT, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the MTA-STS policy does not name this host"},
    {7, "sts-unlisted", UNLISTED, SKIP, CLEAR_NEVER, UNMET_LATER,
     "the MTA-STS policy does not name this host"},
    {4, "tlsa-unusable-sts", TLSA_UNUSABLE | STS_IN_FORCE, VERIFY, CLEAR_NEVER, UNMET_LATER,
     ""},
    {4, "tlsa-unusable", TLSA_UNUSABLE, ENCRYPT, CLEAR_NEVER, UNMET_LATER, ""},
    {6, "dane-unsigned-mx", TLSA_USABLE, MATCH_TLSA, CLEAR_NEVER, UNMET_LATER, ""},
    {9, "sts-kept", STS_IN_FORCE | STS_WAS_KEPT, VERIFY, CLEAR_NEVER, UNMET_LATER, ""},
    {7, "sts-enforce", STS_IN_FORCE, VERIFY, CLEAR_NEVER, UNMET_LATER, ""},
    {8, "sts-testing", STS_IS_TESTED, TRY, CLEAR_AGED, UNMET_LATER, ""},
    {9, "sts-unfetched", STS_NOT_HAD, TRY, CLEAR_AGED, UNMET_LATER, ""},
    /* 11 once it turns out that STARTTLS is not offered. */
    {10, "no-policy", 0, TRY, CLEAR_AGED, UNMET_LATER, ""},
};

static unsigned known_of_requirement(const struct tls_requirement *requirement)
{
    bool is_secure =
        requirement->least > PROOF_NONE || requirement->requiretls || requirement->mx_proved;

    return (requirement->requiretls ? REQUIRETLS : 0U) | (is_secure ? SECURE : 0U) |
           (requirement->tls_not_required ? NOT_REQUIRED : 0U) |
           (requirement->mx_proved ? NEEDS_MX : 0U) |
           (requirement->least >= PROOF_DANE ? NEEDS_DANE : 0U);
}

static unsigned known_of_host(const struct tls_host_facts *facts)
{
    static const unsigned of_dane[DANE_COUNT] = {
        [DANE_USABLE] = TLSA_USABLE,
        [DANE_UNUSABLE] = TLSA_UNUSABLE,
        [DANE_FAILED] = TLSA_UNKNOWN,
    };
    static const unsigned of_sts[STS_COUNT] = {
        [STS_TESTING] = STS_IS_TESTED,
        [STS_ENFORCE] = STS_IN_FORCE,
        [STS_KEPT] = STS_IN_FORCE | STS_WAS_KEPT,
        [STS_UNFETCHED] = STS_NOT_HAD,
    };
    unsigned known = of_dane[facts->dane] | of_sts[facts->sts];

    bool dane_wins = facts->dane == DANE_USABLE && facts->is_mx_signed;

    if ((known & STS_IN_FORCE) != 0 && !facts->is_listed && !dane_wins)
        known |= UNLISTED;
    return known | (facts->mx == MX_PROOF_NONE ? MX_DOUBTFUL : 0U) |
           (facts->is_mx_signed ? MX_SIGNED : 0U);
}

static enum proof_level least_of(const struct row *row,
                                 const struct tls_requirement *requirement)
{
    static const enum proof_level levels[] = {
        [SKIP] = PROOF_DANE,       [TRY] = PROOF_NONE,        [ENCRYPT] = PROOF_ENCRYPTED,
        [VERIFY] = PROOF_VERIFIED, [MATCH_TLSA] = PROOF_DANE, [LOCAL] = PROOF_ENCRYPTED,
    };
    enum proof_level least = levels[row->demands];

    return least > requirement->least ? least : requirement->least;
}

struct tls_demand tls_table_demand(const struct tls_requirement *requirement,
                                   const struct tls_host_facts *facts)
{
    unsigned known = known_of_requirement(requirement) | known_of_host(facts);
    const struct row *row = rows;

    /* The last row asks for nothing. */
    while ((row->when & ~known) != 0)
        row++;
    return (struct tls_demand){
        .row = row->number,
        .name_cstr = row->name_cstr,
        .is_skipped = row->demands == SKIP,
        .least = least_of(row, requirement),
        .tls_1_3_only = requirement->tls_1_3_only,
        .needs_requiretls = requirement->requiretls && !requirement->requiretls_relaxed,
        .clear = row->clear,
        .cleartext_allowed = requirement->cleartext_allowed,
        .cleartext_after_ms = requirement->cleartext_after_ms,
        .is_ratcheted = facts->is_ratcheted,
        .unmet = row->unmet,
        .why_cstr = row->why_cstr,
    };
}

const char *tls_table_row(size_t index, unsigned *row_out)
{
    if (index >= COUNT_OF(rows))
        return NULL;
    *row_out = rows[index].number;
    return rows[index].name_cstr;
}

/* ---- on the connection ---- */

enum seen {
    DEMANDED = 1 << 0, /* the row demands something */
    FREE = 1 << 1,     /* it does not */
    ASKED = 1 << 2,    /* … as the sender said that TLS is not required */
    OFFERED = 1 << 3,
    ABSENT = 1 << 4,
    FRESH = 1 << 5, /* no handshake tried */
    DONE = 1 << 6,
    FAILED = 1 << 7,
    HELLO = 1 << 8,          /* a smaller ClientHello may help */
    SHORT = 1 << 9,          /* the level reached is below the one demanded */
    OLD_TLS = 1 << 10,       /* TLS 1.3 is required and this is less */
    NO_REQUIRETLS = 1 << 11, /* demanded, and the host does not offer it */
    CLEAR_OK = 1 << 12,      /* cleartext is allowed at all */
    LAST = 1 << 13,          /* TLS was tried everywhere else */
    OLD = 1 << 14,           /* old enough for cleartext after a failure */
    RATCHETED = 1 << 15,
};

struct line {
    unsigned when;
    unsigned row; /* 0 = that of the demand */
    enum tls_action action;
    const char *why_cstr;
};

/* NOT_PROVED becomes LATER where that is what the row says (enum tls_unmet). */
static const struct line lines[] = {
    {FAILED | HELLO, 0, TLS_ACT_SMALLER_HELLO, ""},
    {DEMANDED | FAILED, 0, TLS_ACT_NOT_PROVED, "the TLS handshake failed"},
    {DEMANDED | DONE | SHORT, 0, TLS_ACT_NOT_PROVED, "TLS without the proof that is required"},
    {DEMANDED | DONE | OLD_TLS, 0, TLS_ACT_NOT_PROVED,
     "TLS older than the 1.3 that is required"},
    {DEMANDED | DONE | NO_REQUIRETLS, 0, TLS_ACT_NOT_PROVED,
     "the host does not offer REQUIRETLS"},
    {DEMANDED | DONE, 0, TLS_ACT_ENCRYPTED, ""},
    {DEMANDED | FRESH | OFFERED, 0, TLS_ACT_START, ""},
    {DEMANDED, 0, TLS_ACT_NOT_PROVED, "STARTTLS is not offered"},

    {FREE | DONE | OLD_TLS, 0, TLS_ACT_LATER, "TLS older than the 1.3 that is required"},
    {FREE | DONE, 0, TLS_ACT_ENCRYPTED, ""},
    {FREE | FRESH | OFFERED, 0, TLS_ACT_START, ""},
    {FREE | ASKED | FAILED | CLEAR_OK | LAST, 0, TLS_ACT_CLEAR, ""},
    {FREE | ASKED | FAILED, 0, TLS_ACT_LATER, "the TLS handshake failed"},
    {FREE | ASKED | CLEAR_OK, 0, TLS_ACT_CLEAR, ""},
    {FREE | ASKED, 0, TLS_ACT_LATER, "STARTTLS is not offered, and cleartext is not allowed"},
    {FREE | FAILED | RATCHETED, 0, TLS_ACT_LATER,
     "the TLS handshake failed, and the host is known to do TLS: nothing goes to it in the "
     "clear"},
    {FREE | FAILED | CLEAR_OK | LAST | OLD, 0, TLS_ACT_CLEAR, ""},
    {FREE | FAILED, 0, TLS_ACT_LATER,
     "the TLS handshake failed, and it is too early for cleartext"},
    {FREE | RATCHETED, 11, TLS_ACT_LATER,
     "STARTTLS is not offered any more, and the host is known to do TLS: held"},
    {FREE | CLEAR_OK, 11, TLS_ACT_CLEAR, ""},
    {FREE, 11, TLS_ACT_LATER, "STARTTLS is not offered, and cleartext is not allowed"},
};

static unsigned seen_of_demand(const struct tls_demand *demand,
                               const struct tls_connection_facts *facts)
{
    unsigned seen =
        demand->least > PROOF_NONE || demand->clear == CLEAR_NEVER ? DEMANDED : FREE;

    seen |= demand->clear == CLEAR_ASKED ? ASKED : 0U;
    seen |= demand->cleartext_allowed ? CLEAR_OK : 0U;
    seen |= facts->age_ms >= (int64_t)demand->cleartext_after_ms ? OLD : 0U;
    if (!demand->is_ratcheted)
        return seen;
    return seen | RATCHETED;
}

static unsigned seen_of_connection(const struct tls_demand *demand,
                                   const struct tls_connection_facts *facts)
{
    static const unsigned of_handshake[] = {
        [HANDSHAKE_NOT_TRIED] = FRESH, [HANDSHAKE_DONE] = DONE, [HANDSHAKE_FAILED] = FAILED};
    bool is_short = facts->level < demand->least || facts->level == PROOF_NONE ||
                    (demand->least >= PROOF_VERIFIED && !facts->is_enforced);
    unsigned seen = of_handshake[facts->handshake];

    seen |= facts->offer == STARTTLS_OFFERED ? OFFERED : ABSENT;
    seen |= facts->may_be_the_hello ? HELLO : 0U;
    seen |= is_short ? SHORT : 0U;
    seen |= demand->tls_1_3_only && !facts->is_tls_1_3 ? OLD_TLS : 0U;
    seen |= demand->needs_requiretls && !facts->offers_requiretls ? NO_REQUIRETLS : 0U;
    return seen | (facts->is_last_resort ? LAST : 0U);
}

static const char *line_name(const struct tls_demand *demand, unsigned row)
{
    return row == 0 ? demand->name_cstr : "no-starttls";
}

struct tls_decision tls_table_decide(const struct tls_demand *demand,
                                     const struct tls_connection_facts *facts)
{
    unsigned seen;
    struct tls_decision decision;

    if (demand->is_skipped)
        return tls_table_skip(demand);
    seen = seen_of_demand(demand, facts) | seen_of_connection(demand, facts);
    decision =
        (struct tls_decision){demand->row, demand->name_cstr, TLS_ACT_LATER, "no row fits"};
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        if ((lines[i].when & ~seen) == 0) {
            /* Under 8 and 9 the row stays what it is: what was published is what matters there. */
            unsigned row = demand->row == 10 ? lines[i].row : 0;

            decision =
                (struct tls_decision){row != 0 ? row : demand->row, line_name(demand, row),
                                      lines[i].action, lines[i].why_cstr};
            break;
        }
    if (decision.action == TLS_ACT_NOT_PROVED && demand->unmet == UNMET_LATER)
        decision.action = TLS_ACT_LATER;
    return decision;
}

struct tls_decision tls_table_skip(const struct tls_demand *demand)
{
    must(demand->is_skipped);
    return (struct tls_decision){demand->row, demand->name_cstr,
                                 demand->unmet == UNMET_NOT_PROVED ? TLS_ACT_NOT_PROVED
                                                                   : TLS_ACT_LATER,
                                 demand->why_cstr};
}
