/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One row: when it applies, what it decides, and why in words. The first that applies decides. */
struct rule {
    const char *name_cstr;
    bool (*applies)(const struct plan_facts *facts);
    void (*decide)(const struct plan_facts *facts, struct verdict *verdict);
    const char *reason_cstr;
};

static void say(struct verdict *verdict, const char *format_cstr, ...) FORMAT_LIKE(2, 3);

static void say(struct verdict *verdict, const char *format_cstr, ...)
{
    size_t len = strlen(verdict->reasons_cstr);
    va_list args;

    if (len > 0 && len + 1 < VERDICT_REASONS_SIZE) {
        verdict->reasons_cstr[len++] = ' ';
        verdict->reasons_cstr[len] = '\0';
    }
    va_start(args, format_cstr);
    vsnprintf(verdict->reasons_cstr + len, VERDICT_REASONS_SIZE - len, format_cstr, args);
    va_end(args);
}

/* ---- what the rules ask ---- */

static bool wants_encryption(const struct plan_facts *facts)
{
    return facts->wish == PLAN_WISH_ENCRYPT || facts->both_wishes;
}

static bool is_plain_mail(const struct plan_facts *facts)
{
    return facts->mail == PLAN_PLAIN;
}

static bool is_inbound(const struct plan_facts *facts)
{
    return facts->mail == PLAN_INBOUND;
}

/* Protected whatever the account's defaults are. */
static bool must_protect(const struct plan_facts *facts)
{
    return wants_encryption(facts) || facts->requiretls || facts->mail == PLAN_REPLY;
}

static bool is_forced(const struct plan_facts *facts)
{
    return facts->mode == MODE_FORCED;
}

static bool is_unmet(const struct plan_facts *facts)
{
    return facts->is_unmet && facts->portal_available;
}

static bool is_opted_out(const struct plan_facts *facts)
{
    return facts->wish == PLAN_WISH_OPT_OUT && facts->opt_out_allowed && !must_protect(facts);
}

static bool is_not_encrypted_here(const struct plan_facts *facts)
{
    return !facts->encrypt_by_default && !must_protect(facts);
}

static bool is_mode_without_protection(const struct plan_facts *facts)
{
    return (facts->mode == MODE_NONE || facts->mode == MODE_OPPORTUNISTIC) &&
           !must_protect(facts);
}

/* Escalation bars TLS alone; a TLS-only mode has nothing else to offer, see exclusive. */
static bool is_tls_barred(const struct plan_facts *facts)
{
    return wants_encryption(facts) || facts->bar_tls;
}

static bool is_exclusive(const struct plan_facts *facts)
{
    return facts->mode == MODE_EXCLUSIVE && !wants_encryption(facts);
}

static bool is_exclusive_lost(const struct plan_facts *facts)
{
    return is_exclusive(facts) && (facts->is_replan || facts->domain_tls == DOMAIN_TLS_LACKING);
}

static bool is_refused(const struct plan_facts *facts)
{
    return facts->refusal_cstr != NULL;
}

static bool is_forward_bound(const struct plan_facts *facts)
{
    return facts->forward_must_prove && facts->mail != PLAN_PLAIN &&
           facts->mail != PLAN_INBOUND;
}

/* Our own people's mail may have other ways, which are as good. */
static bool is_forward_barred(const struct plan_facts *facts)
{
    return is_forward_bound(facts) && facts->mail != PLAN_FORWARD && is_tls_barred(facts);
}

static bool is_forward_secure(const struct plan_facts *facts)
{
    return facts->mail == PLAN_FORWARD && (facts->requiretls || facts->mode == MODE_FORCED);
}

static bool is_forward(const struct plan_facts *facts)
{
    return facts->mail == PLAN_FORWARD;
}

static bool always(const struct plan_facts *facts)
{
    (void)facts;
    return true;
}

/* ---- what they decide ---- */

static void travel_as_regular(const struct plan_facts *facts, struct verdict *verdict)
{
    verdict->requirement = (struct tls_requirement){
        .least = PROOF_NONE,
        .cleartext_allowed = facts->cleartext_allowed,
        .cleartext_after_ms = facts->cleartext_after_ms,
    };
    /* Of ordinary mail alone the sender may say that delivery comes first. REQUIRETLS wins [RFC 8689 §4.1]. */
    if (facts->tls_required_no && !facts->requiretls && verdict->method == METHOD_REGULAR) {
        verdict->requirement.tls_not_required = true;
        say(verdict, "The sender put delivery before TLS (TLS-Required: No).");
        return;
    }
    /* … and so may the operator, until a date. */
    if (facts->is_excepted && !facts->requiretls && verdict->method == METHOD_REGULAR) {
        verdict->requirement.tls_not_required = true;
        say(verdict, "An exception holds: what the domain publishes does not count.");
        return;
    }
    /* A host that does TLS is not talked out of it by an attacker who removes STARTTLS. */
    if (facts->domain_tls == DOMAIN_TLS_PROVED && !facts->is_replan) {
        verdict->requirement.least = PROOF_ENCRYPTED;
        verdict->requirement.cleartext_allowed = false;
        say(verdict, "The domain is known to do TLS, so nothing goes to it in the clear.");
    }
}

static void decide_regular(const struct plan_facts *facts, struct verdict *verdict)
{
    verdict->method = METHOD_REGULAR;
    travel_as_regular(facts, verdict);
}

static void decide_tls(const struct plan_facts *facts, struct verdict *verdict)
{
    verdict->method = METHOD_TLS;
    verdict->is_secure = true;
    verdict->requirement = (struct tls_requirement){
        .least = facts->proof_needed > PROOF_ENCRYPTED ? facts->proof_needed : PROOF_ENCRYPTED,
        .tls_1_3_only = facts->tls_1_3_only,
        .mx_proved = facts->mx_proved,
        .requiretls = facts->requiretls,
        /* A report may go to a host that is proved and does not offer it, rather than be lost [RFC 8689 §5]. */
        .requiretls_relaxed =
            facts->requiretls && (facts->requiretls_relaxed || facts->mail == PLAN_REPLY),
    };
}

/* Ordinary mail that cannot be had through: the content stays here, a notice goes. */
static void decide_notice(const struct plan_facts *facts, struct verdict *verdict)
{
    verdict->method = METHOD_PORTAL;
    verdict->is_secure = true;
    travel_as_regular(facts, verdict);
}

static void decide_drop(const struct plan_facts *facts, struct verdict *verdict)
{
    (void)facts;
    verdict->method = METHOD_DROP;
    verdict->is_secure = true;
}

static void decide_fail(const struct plan_facts *facts, struct verdict *verdict)
{
    verdict->method = METHOD_FAIL;
    say(verdict, "%s", facts->refusal_cstr);
}

static bool is_usable(const struct plan_facts *facts, enum method method)
{
    switch (method) {
    case METHOD_TLS:
        return !is_tls_barred(facts) && !facts->is_replan &&
               facts->domain_tls != DOMAIN_TLS_LACKING;
    case METHOD_OPENPGP:
        return facts->has_openpgp_key;
    case METHOD_SMIME:
        return facts->has_smime_certificate;
    case METHOD_PORTAL:
        return facts->portal_available;
    case METHOD_NONE:
    case METHOD_REGULAR:
    case METHOD_DROP:
    case METHOD_FAIL:
    case METHOD_COUNT:
        break;
    }
    return false;
}

static const char *why_not(const struct plan_facts *facts, enum method method)
{
    switch (method) {
    case METHOD_TLS:
        if (wants_encryption(facts))
            return "TLS alone is barred: the sender escalated";
        if (facts->bar_tls)
            return "TLS alone is barred for this recipient";
        if (facts->is_replan)
            return "TLS was not proved at delivery";
        return "the domain's TLS was tried and not proved";
    case METHOD_OPENPGP:
        return "no OpenPGP key is known";
    case METHOD_SMIME:
        return "no S/MIME certificate is known";
    case METHOD_PORTAL:
        return "the portal is not available";
    case METHOD_NONE:
    case METHOD_REGULAR:
    case METHOD_DROP:
    case METHOD_FAIL:
    case METHOD_COUNT:
        break;
    }
    return "not a way to protect";
}

/* Walk the account's order: the first usable method. */
static void decide_by_order(const struct plan_facts *facts, struct verdict *verdict)
{
    verdict->is_secure = true;
    for (size_t i = 0; i < facts->order_count; i++) {
        enum method method = facts->order[i];

        if (!is_usable(facts, method)) {
            say(verdict, "Not %s: %s.", method_name(method), why_not(facts, method));
            continue;
        }
        verdict->method = method;
        say(verdict, "Chosen: %s.", method_name(method));
        /* Sealed or neutral things travel like ordinary mail. */
        if (method == METHOD_TLS)
            decide_tls(facts, verdict);
        else
            travel_as_regular(facts, verdict);
        return;
    }
    verdict->method = METHOD_FAIL;
    verdict->requirement.requiretls = facts->requiretls; /* for the report's status */
    say(verdict, "No method is left that protects it.");
}

/* An own domain's next hop is ours: verified TLS or it waits; nothing else makes sense. */
static void decide_next_hop(const struct plan_facts *facts, struct verdict *verdict)
{
    decide_tls(facts, verdict);
    verdict->requirement.requiretls = false;
}

/* Whatever else is enough for an account: a forward that must prove its TLS waits until it can. */
static void decide_forward(const struct plan_facts *facts, struct verdict *verdict)
{
    decide_tls(facts, verdict);
    if (verdict->requirement.least < PROOF_VERIFIED)
        verdict->requirement.least = PROOF_VERIFIED;
}

static const struct rule rules[] = {
    {"no-way", is_refused, decide_fail, "It goes back to the sender."},
    {"neutral-mail", is_plain_mail, decide_regular,
     "A notice, code or report that holds nothing secret: ordinary mail."},
    {"own-next-hop", is_inbound, decide_next_hop,
     "Mail for an own domain: to its next hop over proved TLS."},
    {"forward-protected", is_forward_barred, decide_by_order,
     "It goes on from an address of ours, which is allowed protected only (forward_tls_only)."},
    {"forward-tls-only", is_forward_bound, decide_forward,
     "It goes on from an address of ours, which is allowed over proved TLS only "
     "(forward_tls_only)."},
    {"forward-secure", is_forward_secure, decide_forward,
     "Mail from outside that goes on from an address of ours: its sender, or we, demand TLS."},
    {"forward", is_forward, decide_regular,
     "Mail from outside that goes on from an address of ours: ordinary mail."},
    {"forced", is_forced, decide_by_order,
     "Mode forced: over proved TLS or protected in another way, whatever was asked."},
    {"held-by-policy", is_unmet, decide_notice,
     "What the domain publishes or did before could not be met in time: the content stays "
     "here."},
    {"opted-out", is_opted_out, decide_regular,
     "The sender opted out and may do so: ordinary mail."},
    {"not-encrypted-here", is_not_encrypted_here, decide_regular,
     "The account encrypts only on request and nothing was requested: ordinary mail."},
    {"mode-without-protection", is_mode_without_protection, decide_regular,
     "The delivery mode asks for no protection: ordinary mail."},
    {"exclusive-without-proof", is_exclusive_lost, decide_drop,
     "Mode exclusive: TLS is not proved, so the message is dropped and recorded."},
    {"exclusive", is_exclusive, decide_tls, "Mode exclusive: only over proved TLS."},
    {"protect", always, decide_by_order, "The message must be protected."},
};

static void say_first(const struct plan_facts *facts, const struct rule *rule,
                      struct verdict *verdict)
{
    if (facts->both_wishes)
        say(verdict, "Both triggers were present: encryption wins.");
    else if (facts->wish == PLAN_WISH_OPT_OUT && !facts->opt_out_allowed)
        say(verdict, "The sender asked to opt out but may not.");
    if (facts->requiretls)
        say(verdict, "The sender asked for REQUIRETLS.");
    if (facts->mode_source != MODE_FROM_ACCOUNT && facts->mail != PLAN_PLAIN &&
        facts->mail != PLAN_INBOUND)
        say(verdict, "Mode %s, by %s.", delivery_mode_name(facts->mode),
            mode_source_words(facts->mode_source));
    say(verdict, "%s", rule->reason_cstr);
}

void policy_plan(const struct plan_facts *facts, struct verdict *verdict_out)
{
    *verdict_out = (struct verdict){0};
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rules[i].applies(facts)) {
            verdict_out->rule_cstr = rules[i].name_cstr;
            say_first(facts, &rules[i], verdict_out);
            rules[i].decide(facts, verdict_out);
            return;
        }
    must_never("the last rule always applies");
}

bool policy_replan_now(enum domain_tls before, int64_t first_failed_ms_ago,
                       int64_t tls_retry_ms)
{
    return before != DOMAIN_TLS_PROVED || first_failed_ms_ago >= tls_retry_ms;
}
