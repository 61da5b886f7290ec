/* SPDX-License-Identifier: Apache-2.0 */
/* The decision table row by row as doc/tls.md has it, then every combination of facts against what must never happen. */
#include "policy/mx_match.h"
#include "policy/tls_table.h"

#include "kit/kit.h"

#include <string.h>

#define ORDINARY                                                                               \
    {                                                                                          \
        .least = PROOF_NONE, .cleartext_allowed = true, .cleartext_after_ms = 900000           \
    }
#define NEVER_CLEAR                                                                            \
    {                                                                                          \
        .least = PROOF_NONE, .cleartext_allowed = false                                        \
    }
#define SECURE                                                                                 \
    {                                                                                          \
        .least = PROOF_VERIFIED                                                                \
    }
#define ENCRYPTED                                                                              \
    {                                                                                          \
        .least = PROOF_ENCRYPTED                                                               \
    }

/* ---- which row, and what it demands ---- */

/* One case a line or two, aligned by hand. */
/* clang-format off */
#define NOBODY .mx = MX_PROOF_NONE
#define SIGNED .mx = MX_PROOF_DNSSEC, .is_mx_signed = true
#define LISTED .mx = MX_PROOF_STS, .is_listed = true
static const struct row_case {
    const char *name_cstr;
    struct tls_requirement requirement;
    struct tls_host_facts host;
    unsigned row;
    bool is_skipped;
    enum proof_level least;
    enum tls_clear clear;
    enum tls_unmet unmet;
} row_cases[] = {
    /* 1 */
    {"requiretls-mx", {.least = PROOF_VERIFIED, .requiretls = true}, {NOBODY}, 1, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls", {.least = PROOF_VERIFIED, .requiretls = true}, {SIGNED}, 1, false,
     PROOF_VERIFIED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls", {.least = PROOF_NONE, .cleartext_allowed = true, .requiretls = true},
     {SIGNED}, 1, false, PROOF_VERIFIED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls", {.least = PROOF_NONE, .requiretls = true, .tls_not_required = true},
     {SIGNED}, 1, false, PROOF_VERIFIED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls", {.requiretls = true}, {LISTED, .sts = STS_ENFORCE}, 1, false, PROOF_VERIFIED,
     CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls", {.requiretls = true}, {.mx = MX_PROOF_ROUTE, .is_mx_signed = true}, 1, false,
     PROOF_VERIFIED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls-dane", {.requiretls = true}, {SIGNED, .dane = DANE_USABLE}, 1, false,
     PROOF_DANE, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"requiretls-tlsa-unknown", {.requiretls = true}, {SIGNED, .dane = DANE_FAILED}, 1, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    {"requiretls-unlisted", {.requiretls = true}, {SIGNED, .sts = STS_ENFORCE}, 1, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    {"requiretls-needs-dane", {.requiretls = true, .least = PROOF_DANE}, {SIGNED}, 1, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_NOT_PROVED},
    /* 2 */
    {"secure", SECURE, {NOBODY}, 2, false, PROOF_VERIFIED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure", ENCRYPTED, {NOBODY}, 2, false, PROOF_ENCRYPTED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure", SECURE, {NOBODY, .sts = STS_TESTING}, 2, false, PROOF_VERIFIED, CLEAR_NEVER,
     UNMET_NOT_PROVED},
    {"secure", ENCRYPTED, {NOBODY, .dane = DANE_UNUSABLE}, 2, false, PROOF_ENCRYPTED,
     CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure", {.least = PROOF_VERIFIED, .tls_not_required = true}, {NOBODY}, 2, false,
     PROOF_VERIFIED, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure-sts", ENCRYPTED, {LISTED, .sts = STS_ENFORCE}, 2, false, PROOF_VERIFIED,
     CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure-sts-kept", SECURE, {LISTED, .sts = STS_KEPT}, 2, false, PROOF_VERIFIED, CLEAR_NEVER,
     UNMET_NOT_PROVED},
    {"secure-unlisted", SECURE, {NOBODY, .sts = STS_ENFORCE}, 2, true, PROOF_DANE, CLEAR_NEVER,
     UNMET_LATER},
    {"secure-unlisted", SECURE, {NOBODY, .sts = STS_ENFORCE, .dane = DANE_USABLE}, 2, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    {"secure-dane", SECURE, {SIGNED, .sts = STS_ENFORCE, .dane = DANE_USABLE}, 2, false,
     PROOF_DANE, CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure-dane-unsigned-mx", ENCRYPTED, {NOBODY, .dane = DANE_USABLE}, 2, false, PROOF_DANE, CLEAR_NEVER,
     UNMET_NOT_PROVED},
    {"secure-kept-unlisted", SECURE, {NOBODY, .sts = STS_KEPT}, 2, true, PROOF_DANE,
     CLEAR_NEVER, UNMET_LATER},
    {"secure-tlsa-unusable-sts", ENCRYPTED,
     {LISTED, .dane = DANE_UNUSABLE, .sts = STS_ENFORCE}, 2, false, PROOF_VERIFIED, CLEAR_NEVER,
     UNMET_NOT_PROVED},
    {"secure-tlsa-unknown", SECURE, {SIGNED, .dane = DANE_FAILED}, 2, true, PROOF_DANE,
     CLEAR_NEVER, UNMET_LATER},
    {"secure-needs-dane", {.least = PROOF_DANE}, {SIGNED}, 2, true, PROOF_DANE, CLEAR_NEVER,
     UNMET_NOT_PROVED},
    {"secure-mx", {.least = PROOF_VERIFIED, .mx_proved = true}, {NOBODY}, 2, true, PROOF_DANE,
     CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure", {.least = PROOF_VERIFIED, .mx_proved = true}, {SIGNED}, 2, false, PROOF_VERIFIED,
     CLEAR_NEVER, UNMET_NOT_PROVED},
    {"secure", {.mx_proved = true, .cleartext_allowed = true}, {SIGNED}, 2, false,
     PROOF_ENCRYPTED, CLEAR_NEVER, UNMET_NOT_PROVED},
    /* 3 */
    {"dane", ORDINARY, {SIGNED, .dane = DANE_USABLE}, 3, false, PROOF_DANE, CLEAR_NEVER,
     UNMET_LATER},
    {"dane", ORDINARY, {SIGNED, .dane = DANE_USABLE, .sts = STS_ENFORCE}, 3, false, PROOF_DANE,
     CLEAR_NEVER, UNMET_LATER},
    {"dane", ORDINARY, {SIGNED, .dane = DANE_USABLE, .sts = STS_TESTING}, 3, false, PROOF_DANE,
     CLEAR_NEVER, UNMET_LATER},
    {"dane", ORDINARY, {.mx = MX_PROOF_ROUTE, .is_mx_signed = true, .dane = DANE_USABLE}, 3,
     false, PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    /* 4 */
    {"tlsa-unusable", ORDINARY, {SIGNED, .dane = DANE_UNUSABLE}, 4, false, PROOF_ENCRYPTED,
     CLEAR_NEVER, UNMET_LATER},
    {"tlsa-unusable", ORDINARY, {SIGNED, .dane = DANE_UNUSABLE, .sts = STS_TESTING}, 4, false,
     PROOF_ENCRYPTED, CLEAR_NEVER, UNMET_LATER},
    {"tlsa-unusable-sts", ORDINARY, {SIGNED, .dane = DANE_UNUSABLE, .sts = STS_ENFORCE,
     .is_listed = true}, 4, false, PROOF_VERIFIED, CLEAR_NEVER, UNMET_LATER},
    /* 5 */
    {"tlsa-unknown", ORDINARY, {SIGNED, .dane = DANE_FAILED}, 5, true, PROOF_DANE, CLEAR_NEVER,
     UNMET_LATER},
    {"tlsa-unknown", ORDINARY, {LISTED, .dane = DANE_FAILED, .sts = STS_ENFORCE}, 5, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    /* 6 */
    {"dane-unsigned-mx", ORDINARY, {NOBODY, .dane = DANE_USABLE}, 6, false, PROOF_DANE,
     CLEAR_NEVER, UNMET_LATER},
    {"dane-unsigned-mx", ORDINARY, {LISTED, .dane = DANE_USABLE, .sts = STS_ENFORCE}, 6, false,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    /* 7 */
    {"sts-enforce", ORDINARY, {LISTED, .sts = STS_ENFORCE}, 7, false, PROOF_VERIFIED,
     CLEAR_NEVER, UNMET_LATER},
    {"sts-enforce", NEVER_CLEAR, {LISTED, .sts = STS_ENFORCE}, 7, false, PROOF_VERIFIED,
     CLEAR_NEVER, UNMET_LATER},
    {"sts-unlisted", ORDINARY, {NOBODY, .sts = STS_ENFORCE}, 7, true, PROOF_DANE, CLEAR_NEVER,
     UNMET_LATER},
    {"sts-unlisted", ORDINARY, {SIGNED, .sts = STS_ENFORCE, .dane = DANE_NONE}, 7, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    /* Whoever forges the MX could have signed its own host. */
    {"sts-unlisted", ORDINARY, {NOBODY, .sts = STS_ENFORCE, .dane = DANE_USABLE}, 7, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    {"sts-unlisted", ORDINARY, {NOBODY, .sts = STS_ENFORCE, .dane = DANE_UNUSABLE}, 7, true,
     PROOF_DANE, CLEAR_NEVER, UNMET_LATER},
    /* 8 */
    {"sts-testing", ORDINARY, {NOBODY, .sts = STS_TESTING}, 8, false, PROOF_NONE, CLEAR_AGED,
     UNMET_LATER},
    /* 9 */
    {"sts-kept", ORDINARY, {LISTED, .sts = STS_KEPT}, 9, false, PROOF_VERIFIED, CLEAR_NEVER,
     UNMET_LATER},
    {"sts-kept-unlisted", ORDINARY, {NOBODY, .sts = STS_KEPT}, 9, true, PROOF_DANE, CLEAR_NEVER,
     UNMET_LATER},
    {"sts-unfetched", ORDINARY, {NOBODY, .sts = STS_UNFETCHED}, 9, false, PROOF_NONE,
     CLEAR_AGED, UNMET_LATER},
    /* 10 */
    {"no-policy", ORDINARY, {NOBODY}, 10, false, PROOF_NONE, CLEAR_AGED, UNMET_LATER},
    {"no-policy", ORDINARY, {SIGNED, .dane = DANE_NONE}, 10, false, PROOF_NONE, CLEAR_AGED,
     UNMET_LATER},
    /* 12 */
    {"tls-not-required", {.cleartext_allowed = true, .tls_not_required = true}, {SIGNED, .dane =
     DANE_USABLE, .sts = STS_ENFORCE}, 12, false, PROOF_NONE, CLEAR_ASKED, UNMET_LATER},
    {"tls-not-required", {.cleartext_allowed = true, .tls_not_required = true}, {NOBODY, .dane =
     DANE_FAILED, .sts = STS_KEPT}, 12, false, PROOF_NONE, CLEAR_ASKED, UNMET_LATER},
};
/* clang-format on */

static void test_rows(void **state)
{

    (void)state;
    for (size_t i = 0; i < COUNT_OF(row_cases); i++) {
        struct tls_demand got = tls_table_demand(&row_cases[i].requirement, &row_cases[i].host);

        if (strcmp(got.name_cstr, row_cases[i].name_cstr) != 0 || got.row != row_cases[i].row ||
            got.is_skipped != row_cases[i].is_skipped || got.least != row_cases[i].least ||
            got.clear != row_cases[i].clear || got.unmet != row_cases[i].unmet)
            fail_msg("case %zu %s: row %u %s, skipped %d, least %s, clear %d, unmet %d", i,
                     row_cases[i].name_cstr, got.row, got.name_cstr, got.is_skipped,
                     proof_level_name(got.least), got.clear, got.unmet);
        assert_int_equal(got.is_skipped, got.why_cstr[0] != '\0');
    }
}

/* No row that cannot be reached: each of them decides for some facts. */
struct tally {
    bool seen[64];
    size_t combinations;
};

typedef void combination_fn(void *context, const struct tls_requirement *requirement,
                            const struct tls_host_facts *host);

static void each_host(combination_fn *fn, void *context,
                      const struct tls_requirement *requirement)
{
    for (unsigned dane = 0; dane < DANE_COUNT; dane++)
        for (unsigned sts = 0; sts < STS_COUNT; sts++)
            for (unsigned mx = 0; mx < MX_PROOF_COUNT; mx++)
                for (unsigned bits = 0; bits < 4; bits++) {
                    struct tls_host_facts host = {.mx = (enum mx_proof)mx,
                                                  .is_mx_signed = mx == MX_PROOF_DNSSEC ||
                                                                  mx == MX_PROOF_ROUTE,
                                                  .dane = (enum dane_state)dane,
                                                  .sts = (enum sts_state)sts,
                                                  .is_listed = bits & 1,
                                                  .is_ratcheted = bits >> 1 & 1};

                    fn(context, requirement, &host);
                }
}

static void each_combination(combination_fn *fn, void *context)
{
    for (unsigned bits = 0; bits < 1 << 8; bits++) {
        struct tls_requirement requirement = {.least = (enum proof_level)(bits & 3),
                                              .tls_1_3_only = bits >> 2 & 1,
                                              .cleartext_allowed = bits >> 3 & 1,
                                              .cleartext_after_ms = 10,
                                              .requiretls = bits >> 4 & 1,
                                              .requiretls_relaxed = bits >> 5 & 1,
                                              .mx_proved = bits >> 6 & 1,
                                              .tls_not_required = bits >> 7 & 1};

        each_host(fn, context, &requirement);
    }
}

static void note_row(void *context, const struct tls_requirement *requirement,
                     const struct tls_host_facts *host)
{
    struct tally *tally = context;
    struct tls_demand demand = tls_table_demand(requirement, host);
    const char *name_cstr;
    unsigned row;

    tally->combinations++;
    for (size_t i = 0; (name_cstr = tls_table_row(i, &row)) != NULL; i++)
        if (name_cstr == demand.name_cstr)
            tally->seen[i] = true;
}

static void test_each_row_is_reached(void **state)
{
    struct tally tally = {.combinations = 0};
    const char *name_cstr;
    unsigned row;

    (void)state;
    each_combination(note_row, &tally);
    assert_int_equal(tally.combinations, 256 * 5 * 5 * 4 * 4);
    for (size_t i = 0; (name_cstr = tls_table_row(i, &row)) != NULL; i++)
        if (!tally.seen[i])
            fail_msg("row %u %s is never reached", row, name_cstr);
}

/* ---- on the connection ---- */

/* One case a line or two, aligned by hand. */
/* clang-format off */
#define IN_TLS(at_level, at_enforced) \
    .offer = STARTTLS_OFFERED, .handshake = HANDSHAKE_DONE, .level = (at_level), .is_enforced = (at_enforced)
#define OFFERED .offer = STARTTLS_OFFERED
#define ABSENT .offer = STARTTLS_ABSENT
#define FAILED .offer = STARTTLS_OFFERED, .handshake = HANDSHAKE_FAILED
#define HOURS (3600 * 1000)
static const struct connection_case {
    const char *name_cstr;
    unsigned row;
    enum tls_action action;
    struct tls_requirement requirement;
    struct tls_host_facts host;
    struct tls_connection_facts seen;
} connection_cases[] = {
    {"requiretls: offered", 1, TLS_ACT_START, {.requiretls = true}, {SIGNED}, {OFFERED}},
    {"requiretls: promised", 1, TLS_ACT_ENCRYPTED, {.requiretls = true}, {SIGNED},
     {IN_TLS(PROOF_VERIFIED, true), .offers_requiretls = true}},
    {"requiretls: not promised", 1, TLS_ACT_NOT_PROVED, {.requiretls = true}, {SIGNED},
     {IN_TLS(PROOF_VERIFIED, true)}},
    {"requiretls: not promised, relaxed", 1, TLS_ACT_ENCRYPTED, {.requiretls = true,
     .requiretls_relaxed = true}, {SIGNED}, {IN_TLS(PROOF_VERIFIED, true)}},
    {"requiretls: promised, not verified", 1, TLS_ACT_NOT_PROVED, {.requiretls = true},
     {SIGNED}, {IN_TLS(PROOF_ENCRYPTED, false), .offers_requiretls = true}},
    {"requiretls: MX not proved", 1, TLS_ACT_NOT_PROVED, {.requiretls = true}, {NOBODY},
     {OFFERED}},
    {"secure: offered", 2, TLS_ACT_START, SECURE, {NOBODY}, {OFFERED}},
    {"secure: absent", 2, TLS_ACT_NOT_PROVED, SECURE, {NOBODY}, {ABSENT}},
    {"secure: absent, and clear allowed by mistake", 2, TLS_ACT_NOT_PROVED, {.least =
     PROOF_ENCRYPTED, .cleartext_allowed = true}, {NOBODY}, {ABSENT, .is_last_resort = true,
     .age_ms = 100 * HOURS}},
    {"secure: failed", 2, TLS_ACT_NOT_PROVED, ENCRYPTED, {NOBODY}, {FAILED, .is_last_resort =
     true, .age_ms = 100 * HOURS}},
    {"secure: failed, perhaps the hello", 2, TLS_ACT_SMALLER_HELLO, SECURE, {NOBODY}, {FAILED,
     .may_be_the_hello = true}},
    {"verified: verified", 2, TLS_ACT_ENCRYPTED, SECURE, {NOBODY}, {IN_TLS(PROOF_VERIFIED,
     true)}},
    {"verified: DANE is more", 2, TLS_ACT_ENCRYPTED, SECURE, {SIGNED, .dane = DANE_USABLE},
     {IN_TLS(PROOF_DANE, true)}},
    {"verified: WebPKI does not count at a host with DANE", 2, TLS_ACT_NOT_PROVED, SECURE,
     {SIGNED, .dane = DANE_USABLE}, {IN_TLS(PROOF_VERIFIED, true)}},
    {"verified: only encrypted", 2, TLS_ACT_NOT_PROVED, SECURE, {NOBODY},
     {IN_TLS(PROOF_ENCRYPTED, true)}},
    {"verified: on a context that insists on nothing", 2, TLS_ACT_NOT_PROVED, SECURE, {NOBODY},
     {IN_TLS(PROOF_VERIFIED, false)}},
    {"verified: 1.3 required, 1.2 there", 2, TLS_ACT_NOT_PROVED, {.least = PROOF_VERIFIED,
     .tls_1_3_only = true}, {NOBODY}, {IN_TLS(PROOF_VERIFIED, true)}},
    {"verified: 1.3 required and there", 2, TLS_ACT_ENCRYPTED, {.least = PROOF_VERIFIED,
     .tls_1_3_only = true}, {NOBODY}, {IN_TLS(PROOF_VERIFIED, true), .is_tls_1_3 = true}},
    {"encrypted: encrypted", 2, TLS_ACT_ENCRYPTED, ENCRYPTED, {NOBODY}, {IN_TLS(PROOF_ENCRYPTED,
     false)}},
    {"dane: matched", 3, TLS_ACT_ENCRYPTED, ORDINARY, {SIGNED, .dane = DANE_USABLE},
     {IN_TLS(PROOF_DANE, true)}},
    {"dane: failed, old", 3, TLS_ACT_LATER, ORDINARY, {SIGNED, .dane = DANE_USABLE}, {FAILED,
     .is_last_resort = true, .age_ms = 100 * HOURS}},
    {"dane: STARTTLS absent", 3, TLS_ACT_LATER, ORDINARY, {SIGNED, .dane = DANE_USABLE},
     {ABSENT, .age_ms = 100 * HOURS}},
    {"unusable TLSA: encrypted", 4, TLS_ACT_ENCRYPTED, ORDINARY, {SIGNED, .dane =
     DANE_UNUSABLE}, {IN_TLS(PROOF_ENCRYPTED, false)}},
    {"unusable TLSA: absent", 4, TLS_ACT_LATER, ORDINARY, {SIGNED, .dane = DANE_UNUSABLE},
     {ABSENT, .age_ms = 100 * HOURS}},
    {"TLSA unknown", 5, TLS_ACT_LATER, ORDINARY, {SIGNED, .dane = DANE_FAILED},
     {IN_TLS(PROOF_VERIFIED, true)}},
    {"unsigned MX: matched", 6, TLS_ACT_ENCRYPTED, ORDINARY, {NOBODY, .dane = DANE_USABLE},
     {IN_TLS(PROOF_DANE, true)}},
    {"sts: verified", 7, TLS_ACT_ENCRYPTED, ORDINARY, {LISTED, .sts = STS_ENFORCE},
     {IN_TLS(PROOF_VERIFIED, true)}},
    {"sts: not verified", 7, TLS_ACT_LATER, ORDINARY, {LISTED, .sts = STS_ENFORCE},
     {IN_TLS(PROOF_ENCRYPTED, false), .age_ms = 100 * HOURS}},
    {"sts: absent", 7, TLS_ACT_LATER, ORDINARY, {LISTED, .sts = STS_ENFORCE}, {ABSENT, .age_ms =
     100 * HOURS}},
    {"sts: unlisted", 7, TLS_ACT_LATER, ORDINARY, {NOBODY, .sts = STS_ENFORCE},
     {IN_TLS(PROOF_VERIFIED, true)}},
    {"sts testing: anybody", 8, TLS_ACT_ENCRYPTED, ORDINARY, {NOBODY, .sts = STS_TESTING},
     {IN_TLS(PROOF_ENCRYPTED, false)}},
    {"sts testing: absent", 8, TLS_ACT_CLEAR, ORDINARY, {NOBODY, .sts = STS_TESTING}, {ABSENT}},
    {"sts testing does not lower", 8, TLS_ACT_LATER, NEVER_CLEAR, {NOBODY, .sts = STS_TESTING},
     {ABSENT, .age_ms = 100 * HOURS}},
    {"sts kept: not verified", 9, TLS_ACT_LATER, ORDINARY, {LISTED, .sts = STS_KEPT},
     {IN_TLS(PROOF_ENCRYPTED, false)}},
    {"sts unfetched: absent", 9, TLS_ACT_CLEAR, ORDINARY, {NOBODY, .sts = STS_UNFETCHED},
     {ABSENT}},
    {"ordinary: offered", 10, TLS_ACT_START, ORDINARY, {NOBODY}, {OFFERED}},
    {"ordinary: unverified", 10, TLS_ACT_ENCRYPTED, ORDINARY, {NOBODY}, {IN_TLS(PROOF_ENCRYPTED,
     false)}},
    {"ordinary: 1.3 required, 1.2 there", 10, TLS_ACT_LATER, {.tls_1_3_only = true,
     .cleartext_allowed = true}, {NOBODY}, {IN_TLS(PROOF_ENCRYPTED, false)}},
    {"ordinary: failed, perhaps the hello", 10, TLS_ACT_SMALLER_HELLO, ORDINARY, {NOBODY},
     {FAILED, .may_be_the_hello = true, .is_last_resort = true, .age_ms = 900000}},
    {"ordinary: failed, young", 10, TLS_ACT_LATER, ORDINARY, {NOBODY}, {FAILED, .is_last_resort
     = true, .age_ms = 899999}},
    {"ordinary: failed, old, others not tried", 10, TLS_ACT_LATER, ORDINARY, {NOBODY}, {FAILED,
     .age_ms = 900000}},
    {"ordinary: failed, old, others tried", 10, TLS_ACT_CLEAR, ORDINARY, {NOBODY}, {FAILED,
     .is_last_resort = true, .age_ms = 900000}},
    {"ordinary: failed, old, ratcheted", 10, TLS_ACT_LATER, ORDINARY, {NOBODY, .is_ratcheted =
     true}, {FAILED, .is_last_resort = true, .age_ms = 100 * HOURS}},
    {"ordinary: failed, clear forbidden", 10, TLS_ACT_LATER, NEVER_CLEAR, {NOBODY}, {FAILED,
     .is_last_resort = true, .age_ms = 900000}},
    {"ordinary: absent", 11, TLS_ACT_CLEAR, ORDINARY, {NOBODY}, {ABSENT}},
    {"ordinary: absent, ratcheted", 11, TLS_ACT_LATER, ORDINARY, {NOBODY, .is_ratcheted = true},
     {ABSENT, .age_ms = 100 * HOURS}},
    {"ordinary: absent, clear forbidden", 11, TLS_ACT_LATER, NEVER_CLEAR, {NOBODY}, {ABSENT,
     .is_last_resort = true, .age_ms = 100 * HOURS}},
    {"TLS-Required: No: anybody", 12, TLS_ACT_ENCRYPTED, {.cleartext_allowed = true,
     .tls_not_required = true}, {SIGNED, .dane = DANE_USABLE}, {IN_TLS(PROOF_ENCRYPTED,
     false)}},
    {"TLS-Required: No: failed", 12, TLS_ACT_LATER, {.cleartext_allowed = true,
     .tls_not_required = true}, {SIGNED, .dane = DANE_USABLE}, {FAILED}},
    {"TLS-Required: No: failed everywhere", 12, TLS_ACT_CLEAR, {.cleartext_allowed = true,
     .cleartext_after_ms = 900000, .tls_not_required = true}, {LISTED, .sts = STS_ENFORCE},
     {FAILED, .is_last_resort = true}},
    {"TLS-Required: No: absent", 12, TLS_ACT_CLEAR, {.cleartext_allowed = true,
     .tls_not_required = true}, {NOBODY, .sts = STS_ENFORCE}, {ABSENT}},
    {"TLS-Required: No: absent, clear forbidden here", 12, TLS_ACT_LATER, {.tls_not_required =
     true}, {NOBODY}, {ABSENT}},
    {"TLS-Required: No: secure mail stays secure", 2, TLS_ACT_NOT_PROVED, {.least =
     PROOF_VERIFIED, .tls_not_required = true}, {NOBODY}, {ABSENT}},
};
/* clang-format on */

static void test_on_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(connection_cases); i++) {
        struct tls_demand demand =
            tls_table_demand(&connection_cases[i].requirement, &connection_cases[i].host);
        struct tls_decision got = tls_table_decide(&demand, &connection_cases[i].seen);

        if (got.row != connection_cases[i].row || got.action != connection_cases[i].action)
            fail_msg("%s: row %u, action %d", connection_cases[i].name_cstr, got.row,
                     got.action);
        assert_int_equal(got.why_cstr[0] != '\0',
                         got.action == TLS_ACT_NOT_PROVED || got.action == TLS_ACT_LATER);
    }
}

/* ---- what must never happen ---- */

static bool sends(enum tls_action action)
{
    return action == TLS_ACT_ENCRYPTED || action == TLS_ACT_CLEAR;
}

static void check_one(const struct tls_requirement *requirement,
                      const struct tls_host_facts *host,
                      const struct tls_connection_facts *seen)
{
    struct tls_host_facts silent = {
        .mx = host->mx, .is_mx_signed = host->is_mx_signed, .is_ratcheted = host->is_ratcheted};
    struct tls_demand demand = tls_table_demand(requirement, host);
    struct tls_demand floor = tls_table_demand(requirement, &silent);
    enum tls_action action = tls_table_decide(&demand, seen).action;
    enum tls_action alone = tls_table_decide(&floor, seen).action;
    unsigned row = tls_table_decide(&demand, seen).row;
    bool is_secure =
        requirement->least > PROOF_NONE || requirement->requiretls || requirement->mx_proved;

    if (is_secure) {
        assert_true(action != TLS_ACT_CLEAR);
        assert_true(row == 1 || row == 2);
    }
    if (row <= 7)
        assert_true(action != TLS_ACT_CLEAR);
    if (action == TLS_ACT_CLEAR) {
        assert_true(requirement->cleartext_allowed);
        assert_int_not_equal(seen->handshake, HANDSHAKE_DONE);
    }
    if (action == TLS_ACT_ENCRYPTED) {
        assert_int_equal(seen->handshake, HANDSHAKE_DONE);
        assert_true(seen->level >= requirement->least);
        if (host->dane == DANE_USABLE && row != 12)
            assert_true(seen->level == PROOF_DANE && seen->is_enforced);
        if (requirement->mx_proved || requirement->requiretls)
            assert_int_not_equal(host->mx, MX_PROOF_NONE);
        if (requirement->requiretls)
            assert_true(seen->level >= PROOF_VERIFIED && seen->is_enforced &&
                        (seen->offers_requiretls || requirement->requiretls_relaxed));
    }
    /* Whatever is published, nothing is sent that would not have been sent without it (but where DANE itself is required). */
    if (sends(action) && requirement->least < PROOF_DANE)
        assert_true(sends(alone));
    if (action == TLS_ACT_CLEAR)
        assert_int_equal(alone, TLS_ACT_CLEAR);
    if (action == TLS_ACT_SMALLER_HELLO)
        assert_true(seen->may_be_the_hello && seen->handshake == HANDSHAKE_FAILED);
}

static void check_connections(void *context, const struct tls_requirement *requirement,
                              const struct tls_host_facts *host)
{
    size_t *count = context;

    for (unsigned bits = 0; bits < 1 << 8; bits++) {
        static const int64_t ages_ms[] = {0, 100 * HOURS};

        for (unsigned handshake = 0; handshake <= HANDSHAKE_FAILED; handshake++) {
            bool is_done = handshake == HANDSHAKE_DONE;
            struct tls_connection_facts seen = {
                .offer = bits & 1 || is_done ? STARTTLS_OFFERED : STARTTLS_ABSENT,
                .handshake = (enum tls_handshake)handshake,
                .may_be_the_hello = bits >> 1 & 1,
                .level = is_done ? (enum proof_level)(1 + (bits >> 2 & 3) % 3) : PROOF_NONE,
                .is_enforced = is_done && (bits >> 4 & 1),
                .is_tls_1_3 = is_done && (bits >> 5 & 1),
                .offers_requiretls = is_done && (bits >> 5 & 1),
                .age_ms = ages_ms[bits >> 6 & 1],
                .is_last_resort = bits >> 7 & 1,
            };

            check_one(requirement, host, &seen);
            ++*count;
        }
    }
}

static void test_all_facts(void **state)
{
    size_t count = 0;

    (void)state;
    each_combination(check_connections, &count);
    assert_int_equal(count, (size_t)256 * 5 * 5 * 4 * 4 * 256 * 3);
}

/* ---- MX patterns ---- */

static void test_mx_patterns(void **state)
{
    static const struct {
        const char *pattern_cstr, *host_cstr;
        bool matches;
    } cases[] = {
        {"mx.example.com", "mx.example.com", true},
        {"mx.example.com", "MX.Example.COM", true},
        {"MX.example.com", "mx.example.com.", true},
        {"mx.example.com", "mx2.example.com", false},
        {"mx.example.com", "a.mx.example.com", false},
        {"*.example.com", "mx.example.com", true},
        {"*.example.com", "a.mx.example.com", false},
        {"*.example.com", "example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "mx.example.com.evil.test", false},
        {"*.example.com", "evilexample.com", false},
        {"*", "com", false},
        {"*.", "com.", false},
        {"*.com", "example.com", true},
        {"m*.example.com", "mx.example.com", false},
        {"mx.*.com", "mx.example.com", false},
        {"*.*.com", "mx.example.com", false},
        {"", "mx.example.com", false},
        {"mx.example.com", "", false},
        {"xn--bcher-kva.example", "XN--BCHER-KVA.example", true},
    };
    struct slice which;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (mx_pattern_matches(slice_from_cstr(cases[i].pattern_cstr),
                               slice_from_cstr(cases[i].host_cstr)) != cases[i].matches)
            fail_msg("%s %s", cases[i].pattern_cstr, cases[i].host_cstr);
    assert_true(
        mx_patterns_match(S("a.test\n*.mail.test\r\nb.test"), S("x.mail.test"), &which));
    assert_true(slice_equal(which, S("*.mail.test")));
    assert_true(mx_patterns_match(S("a.test"), S("a.test"), NULL));
    assert_false(mx_patterns_match(S("a.test\nb.test"), S("c.test"), &which));
    assert_false(mx_patterns_match(S(""), S("c.test"), &which));
    assert_false(mx_patterns_match(S("\n\n"), S(""), &which));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_each_row_is_reached),
        cmocka_unit_test(test_on_the_connection),
        cmocka_unit_test(test_all_facts),
        cmocka_unit_test(test_mx_patterns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
