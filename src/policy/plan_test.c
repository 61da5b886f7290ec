/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/plan.h"

#include "kit/kit.h"

#include <string.h>

/* The ordinary clinic: opt-out account, try, verified, portal there, nothing known of the domain. */
static const struct plan_facts clinic = {
    .mail = PLAN_SUBMITTED,
    .encrypt_by_default = true,
    .opt_out_allowed = true,
    .mode = MODE_TRY,
    .mode_source = MODE_FROM_ACCOUNT,
    .order = {METHOD_TLS, METHOD_OPENPGP, METHOD_SMIME, METHOD_PORTAL},
    .order_count = 4,
    .proof_needed = PROOF_VERIFIED,
    .portal_available = true,
    .cleartext_allowed = true,
    .cleartext_after_ms = 900000,
};

static struct plan_facts unchanged(struct plan_facts facts)
{
    return facts;
}
static struct plan_facts lacking(struct plan_facts facts)
{
    facts.domain_tls = DOMAIN_TLS_LACKING;
    return facts;
}
static struct plan_facts proved(struct plan_facts facts)
{
    facts.domain_tls = DOMAIN_TLS_PROVED;
    return facts;
}
static struct plan_facts replan(struct plan_facts facts)
{
    facts = proved(facts);
    facts.is_replan = true;
    return facts;
}
static struct plan_facts escalated(struct plan_facts facts)
{
    facts.wish = PLAN_WISH_ENCRYPT;
    return facts;
}
static struct plan_facts opted_out(struct plan_facts facts)
{
    facts.wish = PLAN_WISH_OPT_OUT;
    return facts;
}
static struct plan_facts opted_out_proved(struct plan_facts facts)
{
    return proved(opted_out(facts));
}
static struct plan_facts opted_out_replan(struct plan_facts facts)
{
    return replan(opted_out(facts));
}
static struct plan_facts opted_out_forbidden(struct plan_facts facts)
{
    facts.opt_out_allowed = false;
    return opted_out(facts);
}
static struct plan_facts opted_out_requiretls(struct plan_facts facts)
{
    facts.requiretls = true;
    return opted_out(facts);
}
static struct plan_facts opted_out_tls_no(struct plan_facts facts)
{
    facts.tls_required_no = true;
    return proved(opted_out(facts));
}
static struct plan_facts secure_tls_no(struct plan_facts facts)
{
    facts.tls_required_no = true;
    return facts;
}
static struct plan_facts both(struct plan_facts facts)
{
    facts.both_wishes = true;
    return opted_out(facts);
}
static struct plan_facts opt_in(struct plan_facts facts)
{
    facts.encrypt_by_default = false;
    return facts;
}
static struct plan_facts opt_in_escalated(struct plan_facts facts)
{
    return opt_in(escalated(facts));
}
static struct plan_facts opt_in_requiretls(struct plan_facts facts)
{
    facts.requiretls = true;
    return opt_in(facts);
}
static struct plan_facts mode_none(struct plan_facts facts)
{
    facts.mode = MODE_NONE;
    return facts;
}
static struct plan_facts mode_none_reply(struct plan_facts facts)
{
    facts.mail = PLAN_REPLY;
    return mode_none(facts);
}
static struct plan_facts exclusive(struct plan_facts facts)
{
    facts.mode = MODE_EXCLUSIVE;
    return facts;
}
static struct plan_facts exclusive_lacking(struct plan_facts facts)
{
    return exclusive(lacking(facts));
}
static struct plan_facts exclusive_replan(struct plan_facts facts)
{
    return exclusive(replan(facts));
}
static struct plan_facts exclusive_escalated(struct plan_facts facts)
{
    return exclusive(escalated(facts));
}
static struct plan_facts barred(struct plan_facts facts)
{
    facts.bar_tls = true;
    return facts;
}
static struct plan_facts keyed(struct plan_facts facts)
{
    facts.has_openpgp_key = facts.has_smime_certificate = true;
    return escalated(facts);
}
static struct plan_facts certified(struct plan_facts facts)
{
    facts.has_smime_certificate = true;
    return escalated(facts);
}
static struct plan_facts no_portal_lacking(struct plan_facts facts)
{
    facts.portal_available = false;
    return lacking(facts);
}
static struct plan_facts portal_first(struct plan_facts facts)
{
    facts.order[0] = METHOD_PORTAL;
    facts.order_count = 1;
    return facts;
}
static struct plan_facts notice(struct plan_facts facts)
{
    facts.mail = PLAN_PLAIN;
    return escalated(facts);
}
static struct plan_facts inbound(struct plan_facts facts)
{
    facts.mail = PLAN_INBOUND;
    return facts;
}
static struct plan_facts dane_needed(struct plan_facts facts)
{
    facts.proof_needed = PROOF_DANE;
    return facts;
}
static struct plan_facts encrypted_enough(struct plan_facts facts)
{
    facts.proof_needed = PROOF_ENCRYPTED;
    return facts;
}
static struct plan_facts forced(struct plan_facts facts)
{
    facts.mode = MODE_FORCED;
    facts.mode_source = MODE_FROM_FORCED_LIST;
    return facts;
}
static struct plan_facts forced_opted_out(struct plan_facts facts)
{
    return forced(opted_out(facts));
}
static struct plan_facts forced_opt_in(struct plan_facts facts)
{
    return forced(opt_in(facts));
}
static struct plan_facts forced_opted_out_lacking(struct plan_facts facts)
{
    return lacking(forced_opted_out(facts));
}
static struct plan_facts forced_no_portal(struct plan_facts facts)
{
    return no_portal_lacking(forced_opted_out(facts));
}
static struct plan_facts forced_notice(struct plan_facts facts)
{
    return forced(notice(facts));
}
static struct plan_facts unmet(struct plan_facts facts)
{
    facts = opted_out(facts);
    facts.is_unmet = true;
    return facts;
}
static struct plan_facts unmet_no_portal(struct plan_facts facts)
{
    facts.portal_available = false;
    return unmet(facts);
}
static struct plan_facts excepted(struct plan_facts facts)
{
    facts = opted_out_proved(facts);
    facts.is_excepted = true;
    return facts;
}
static struct plan_facts excepted_secure(struct plan_facts facts)
{
    facts.is_excepted = true;
    return facts;
}

static struct plan_facts forward(struct plan_facts facts)
{
    facts.mail = PLAN_FORWARD;
    return facts;
}
static struct plan_facts forward_proved(struct plan_facts facts)
{
    return proved(forward(facts));
}
static struct plan_facts forward_requiretls(struct plan_facts facts)
{
    facts.requiretls = true;
    return forward(facts);
}
static struct plan_facts forward_forced(struct plan_facts facts)
{
    facts.mode = MODE_FORCED;
    return forward(facts);
}
static struct plan_facts forward_bound(struct plan_facts facts)
{
    facts.forward_must_prove = true;
    return forward(facts);
}
static struct plan_facts forward_bound_lost(struct plan_facts facts)
{
    facts = lacking(forward_bound(facts));
    facts.is_replan = true;
    facts.proof_needed = PROOF_ENCRYPTED;
    return facts;
}
static struct plan_facts own_forward_bound(struct plan_facts facts)
{
    facts.forward_must_prove = true;
    return opted_out(facts);
}
static struct plan_facts own_forward_escalated(struct plan_facts facts)
{
    facts.forward_must_prove = true;
    return escalated(facts);
}
static struct plan_facts no_way(struct plan_facts facts)
{
    facts.refusal_cstr = "Mail to this address goes in a circle.";
    return forward(facts);
}

/* Readable by an auditor: what is the case, which row decides, what happens, what must be proved. */
static const struct row {
    const char *case_cstr;
    struct plan_facts (*change)(struct plan_facts facts);
    const char *rule_cstr;
    enum method method;
    enum proof_level least;
    bool is_secure, cleartext_allowed;
} table[] = {
    {"secure by default", unchanged, "protect", METHOD_TLS, PROOF_VERIFIED, true, false},
    {"domain proved before", proved, "protect", METHOD_TLS, PROOF_VERIFIED, true, false},
    {"domain tried, not proved", lacking, "protect", METHOD_PORTAL, PROOF_NONE, true, true},
    {"proof lost at delivery", replan, "protect", METHOD_PORTAL, PROOF_NONE, true, true},
    {"+encrypt+", escalated, "protect", METHOD_PORTAL, PROOF_NONE, true, true},
    {"+encrypt+, keys known", keyed, "protect", METHOD_OPENPGP, PROOF_NONE, true, true},
    {"+encrypt+, certificate", certified, "protect", METHOD_SMIME, PROOF_NONE, true, true},
    {"TLS barred for recipient", barred, "protect", METHOD_PORTAL, PROOF_NONE, true, true},
    {"opted out", opted_out, "opted-out", METHOD_REGULAR, PROOF_NONE, false, true},
    {"opted out, domain does TLS", opted_out_proved, "opted-out", METHOD_REGULAR,
     PROOF_ENCRYPTED, false, false},
    {"opted out, TLS lost for hours", opted_out_replan, "opted-out", METHOD_REGULAR, PROOF_NONE,
     false, true},
    {"opt-out not allowed", opted_out_forbidden, "protect", METHOD_TLS, PROOF_VERIFIED, true,
     false},
    {"opted out with REQUIRETLS", opted_out_requiretls, "protect", METHOD_TLS, PROOF_VERIFIED,
     true, false},
    {"TLS-Required: No, opted out", opted_out_tls_no, "opted-out", METHOD_REGULAR, PROOF_NONE,
     false, true},
    {"TLS-Required: No, secure", secure_tls_no, "protect", METHOD_TLS, PROOF_VERIFIED, true,
     false},
    {"both triggers", both, "protect", METHOD_PORTAL, PROOF_NONE, true, true},
    {"opt-in account, no trigger", opt_in, "not-encrypted-here", METHOD_REGULAR, PROOF_NONE,
     false, true},
    {"opt-in account, +encrypt+", opt_in_escalated, "protect", METHOD_PORTAL, PROOF_NONE, true,
     true},
    {"opt-in account, REQUIRETLS", opt_in_requiretls, "protect", METHOD_TLS, PROOF_VERIFIED,
     true, false},
    {"mode none", mode_none, "mode-without-protection", METHOD_REGULAR, PROOF_NONE, false,
     true},
    {"mode none, reader's reply", mode_none_reply, "protect", METHOD_TLS, PROOF_VERIFIED, true,
     false},
    {"exclusive", exclusive, "exclusive", METHOD_TLS, PROOF_VERIFIED, true, false},
    {"exclusive, not proved", exclusive_lacking, "exclusive-without-proof", METHOD_DROP,
     PROOF_NONE, true, false},
    {"exclusive, proof lost", exclusive_replan, "exclusive-without-proof", METHOD_DROP,
     PROOF_NONE, true, false},
    {"exclusive, +encrypt+", exclusive_escalated, "protect", METHOD_PORTAL, PROOF_NONE, true,
     true},
    {"no portal, not proved", no_portal_lacking, "protect", METHOD_FAIL, PROOF_NONE, true,
     false},
    {"portal only", portal_first, "protect", METHOD_PORTAL, PROOF_NONE, true, true},
    {"notice", notice, "neutral-mail", METHOD_REGULAR, PROOF_NONE, false, true},
    {"inbound to own domain", inbound, "own-next-hop", METHOD_TLS, PROOF_VERIFIED, true, false},
    {"forward", forward, "forward", METHOD_REGULAR, PROOF_NONE, false, true},
    {"forward, domain does TLS", forward_proved, "forward", METHOD_REGULAR, PROOF_ENCRYPTED,
     false, false},
    {"forward, REQUIRETLS", forward_requiretls, "forward-secure", METHOD_TLS, PROOF_VERIFIED,
     true, false},
    {"forward to a forced domain", forward_forced, "forward-secure", METHOD_TLS, PROOF_VERIFIED,
     true, false},
    {"forward, TLS only", forward_bound, "forward-tls-only", METHOD_TLS, PROOF_VERIFIED, true,
     false},
    {"forward, TLS only, lost", forward_bound_lost, "forward-tls-only", METHOD_TLS,
     PROOF_VERIFIED, true, false},
    {"own mail that goes on, TLS only", own_forward_bound, "forward-tls-only", METHOD_TLS,
     PROOF_VERIFIED, true, false},
    {"the same, +encrypt+", own_forward_escalated, "forward-protected", METHOD_PORTAL,
     PROOF_NONE, true, true},
    {"in a circle", no_way, "no-way", METHOD_FAIL, PROOF_NONE, false, false},
    {"forced", forced, "forced", METHOD_TLS, PROOF_VERIFIED, true, false},
    {"forced, opted out", forced_opted_out, "forced", METHOD_TLS, PROOF_VERIFIED, true, false},
    {"forced, opt-in account", forced_opt_in, "forced", METHOD_TLS, PROOF_VERIFIED, true,
     false},
    {"forced, opted out, no TLS", forced_opted_out_lacking, "forced", METHOD_PORTAL, PROOF_NONE,
     true, true},
    {"forced, nothing left", forced_no_portal, "forced", METHOD_FAIL, PROOF_NONE, true, false},
    {"notice to a forced domain", forced_notice, "neutral-mail", METHOD_REGULAR, PROOF_NONE,
     false, true},
    {"policy not met in time", unmet, "held-by-policy", METHOD_PORTAL, PROOF_NONE, true, true},
    {"policy not met, no portal", unmet_no_portal, "opted-out", METHOD_REGULAR, PROOF_NONE,
     false, true},
    {"exception, ordinary mail", excepted, "opted-out", METHOD_REGULAR, PROOF_NONE, false,
     true},
    {"exception, secure mail", excepted_secure, "protect", METHOD_TLS, PROOF_VERIFIED, true,
     false},
    {"DANE demanded", dane_needed, "protect", METHOD_TLS, PROOF_DANE, true, false},
    {"encryption is enough", encrypted_enough, "protect", METHOD_TLS, PROOF_ENCRYPTED, true,
     false},
};

static void test_every_row_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        const struct row *row = &table[i];
        struct plan_facts facts = row->change(clinic);
        struct verdict verdict;

        policy_plan(&facts, &verdict);
        if (strcmp(verdict.rule_cstr, row->rule_cstr) != 0 || verdict.method != row->method ||
            verdict.requirement.least != row->least || verdict.is_secure != row->is_secure ||
            verdict.requirement.cleartext_allowed != row->cleartext_allowed)
            fail_msg("%s: %s %s %s secure=%d clear=%d: %s", row->case_cstr, verdict.rule_cstr,
                     method_name(verdict.method), proof_level_name(verdict.requirement.least),
                     verdict.is_secure, verdict.requirement.cleartext_allowed,
                     verdict.reasons_cstr);
        assert_true(strlen(verdict.reasons_cstr) > 10);
    }
}

/* Over every combination of facts: whatever is secure and travels itself demands TLS. */
static void test_secure_never_means_cleartext(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (unsigned bits = 0; bits < 1U << 21; bits++) {
        struct plan_facts facts = clinic;
        struct verdict verdict;

        facts.mail =
            bits >> 19 & 1 && (bits & 3) == 3 ? PLAN_FORWARD : (enum plan_mail)(bits & 3);
        facts.forward_must_prove = (bits >> 20 & 1) != 0;
        facts.wish = (enum plan_wish)(bits >> 2 & 3) % 3;
        facts.both_wishes = (bits >> 4 & 1) != 0;
        facts.requiretls = (bits >> 5 & 1) != 0;
        facts.encrypt_by_default = (bits >> 6 & 1) != 0;
        facts.opt_out_allowed = (bits >> 7 & 1) != 0;
        facts.mode = (enum delivery_mode)(bits >> 8 & 7) % MODE_COUNT;
        facts.bar_tls = (bits >> 11 & 1) != 0;
        facts.domain_tls = (enum domain_tls)(bits >> 12 & 3) % DOMAIN_TLS_COUNT;
        facts.is_replan = (bits >> 14 & 1) != 0;
        facts.portal_available = (bits >> 15 & 1) != 0;
        facts.proof_needed = (enum proof_level)(bits >> 16 & 3);
        facts.tls_required_no = (bits >> 18 & 1) != 0;
        facts.is_excepted = facts.is_unmet = (bits >> 16 & 3) == 1;
        policy_plan(&facts, &verdict);
        assert_true(verdict.method != METHOD_NONE);
        if (facts.wish == PLAN_WISH_ENCRYPT && facts.mail == PLAN_SUBMITTED)
            assert_true(verdict.method != METHOD_REGULAR && verdict.method != METHOD_TLS);
        if (verdict.is_secure && verdict.method == METHOD_TLS) {
            seen++;
            assert_true(verdict.requirement.least >= PROOF_ENCRYPTED);
            assert_false(verdict.requirement.cleartext_allowed);
            assert_false(verdict.requirement.tls_not_required);
        }
        if (facts.mode == MODE_FORCED && facts.mail != PLAN_PLAIN)
            assert_true(verdict.is_secure);
        assert_false(verdict.is_secure && verdict.method == METHOD_REGULAR);
        /* What must prove its TLS to go on never goes without, whatever else is the case. */
        if (facts.forward_must_prove && facts.mail != PLAN_PLAIN &&
            facts.mail != PLAN_INBOUND) {
            assert_true(verdict.method != METHOD_REGULAR && verdict.method != METHOD_DROP);
            assert_true(verdict.method != METHOD_TLS ||
                        verdict.requirement.least >= PROOF_VERIFIED);
        }
        /* TLS-Required: No weakens nothing that is secure, and REQUIRETLS wins over it. */
        if (verdict.requirement.tls_not_required)
            assert_true(verdict.method == METHOD_REGULAR &&
                        (facts.tls_required_no || facts.is_excepted) && !facts.requiretls &&
                        verdict.requirement.least == PROOF_NONE);
    }
    assert_true(seen > 1000);
}

static void test_when_to_plan_anew(void **state)
{
    (void)state;
    assert_true(policy_replan_now(DOMAIN_TLS_UNKNOWN, 0, 14400000));
    assert_true(policy_replan_now(DOMAIN_TLS_LACKING, 0, 14400000));
    assert_false(policy_replan_now(DOMAIN_TLS_PROVED, 14399999, 14400000));
    assert_true(policy_replan_now(DOMAIN_TLS_PROVED, 14400000, 14400000));
}

static void test_names_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < METHOD_COUNT; i++) {
        enum method method = METHOD_NONE;

        assert_true(method_parse(slice_from_cstr(method_name((enum method)i)), &method));
        assert_int_equal(method, i);
    }
    for (int i = 0; i < MODE_COUNT; i++) {
        enum delivery_mode mode = MODE_UNSET;

        assert_true(delivery_mode_parse(
            slice_from_cstr(delivery_mode_name((enum delivery_mode)i)), &mode));
        assert_int_equal(mode, i);
    }
    for (int i = 0; i < PROOF_COUNT; i++) {
        enum proof_level level = PROOF_NONE;

        assert_true(
            proof_level_parse(slice_from_cstr(proof_level_name((enum proof_level)i)), &level));
        assert_int_equal(level, i);
    }
    assert_string_equal(domain_tls_name(DOMAIN_TLS_LACKING), "lacking");
    assert_string_equal(method_name((enum method)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_the_table),
        cmocka_unit_test(test_secure_never_means_cleartext),
        cmocka_unit_test(test_when_to_plan_anew),
        cmocka_unit_test(test_names_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
