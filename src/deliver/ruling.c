/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/ruling.h"

#include "deliver/tls_outcome.h"
#include "deliver/trail.h"

#include <stdio.h>

/* Once for the domain, once for each host. */
static void note_lookups(struct delivery *delivery)
{
    const struct delivery_walk *at = &delivery->walk;

    if (at->address > 0 || at->is_last_resort)
        return;
    if (at->hosts != NULL && at->host == 0)
        delivery_lookups(delivery, at->hosts);
    if (at->addresses != NULL)
        delivery_lookups(delivery, at->addresses);
}

void ruling_begin(struct delivery *delivery, const char *host_cstr, bool is_fixed)
{
    struct host_policy_facts known = {
        .domain_cstr = delivery->domain_cstr,
        .host_cstr = host_cstr,
        .is_fixed = is_fixed,
        .hosts = delivery->walk.hosts,
        .addresses = delivery->walk.addresses,
        .sts = delivery->sts,
        .sts_id = delivery->sts_id,
        .sts_mx = delivery->sts_mx,
        .is_ratcheted = delivery->is_ratcheted,
        .is_ratchet_lifted = delivery->is_ratchet_lifted,
    };
    struct host_policy *policy = &delivery->walk.policy;
    struct delivery_ruling *ruling = &delivery->ruling;

    note_lookups(delivery);
    host_policy_find(&known, &delivery->requirement, policy);
    *ruling = (struct delivery_ruling){.row = policy->demand.row,
                                       .name_cstr = policy->demand.name_cstr,
                                       .mx = policy->facts.mx};
    host_policy_write(policy, ruling->policy_cstr, sizeof ruling->policy_cstr);
}

static void see_client(const struct deliver_client *client, struct tls_connection_facts *facts)
{
    struct connection_proof proof = deliver_client_proof(client);

    facts->offer = deliver_client_saw_starttls(client) ? STARTTLS_OFFERED : STARTTLS_ABSENT;
    facts->is_enforced = proof.is_enforced;
    facts->level = proof.level;
    facts->is_tls_1_3 = proof.version == TLS_VERSION_1_3;
    facts->offers_requiretls = proof.offers_requiretls;
}

struct tls_decision ruling_decide(struct delivery *delivery,
                                  const struct deliver_client *client,
                                  enum tls_handshake handshake, bool may_be_the_hello)
{
    struct tls_decision decision;
    struct tls_connection_facts facts = {
        .offer = STARTTLS_OFFERED,
        .handshake = handshake,
        /* Once for each address: else those that wait could be sent round for ever. */
        .may_be_the_hello =
            may_be_the_hello && delivery->walk.small_hello_at != delivery->walk.candidate + 1,
        .age_ms = clock_unix_ms() - delivery->accepted_ms,
        .is_last_resort = delivery->walk.is_last_resort,
    };

    if (client != NULL) {
        const struct tls_evidence *tls = &deliver_client_evidence(client)->tls;

        see_client(client, &facts);
        if (tls->tlsa_cstr[0] != '\0')
            snprintf(delivery->ruling.policy_cstr, sizeof delivery->ruling.policy_cstr,
                     "TLSA %s", tls->tlsa_cstr);
    }
    decision = tls_table_decide(&delivery->walk.policy.demand, &facts);
    if (decision.action == TLS_ACT_SMALLER_HELLO)
        delivery->walk.small_hello_at = delivery->walk.candidate + 1;
    delivery->ruling.row = decision.row;
    delivery->ruling.name_cstr = decision.name_cstr;
    return decision;
}

bool ruling_allows_last_resort(const struct delivery *delivery)
{
    struct tls_connection_facts facts = {
        .offer = STARTTLS_OFFERED,
        .handshake = HANDSHAKE_FAILED,
        .age_ms = clock_unix_ms() - delivery->accepted_ms,
        .is_last_resort = true,
    };

    return tls_table_decide(&delivery->walk.policy.demand, &facts).action == TLS_ACT_CLEAR;
}

/* The words, and what they mean when no other host is left. */
static void say_no(struct delivery *delivery, const struct tls_decision *decision,
                   const char *text_cstr)
{
    trail_say(delivery, text_cstr);
    snprintf(delivery->evidence.why_cstr, sizeof delivery->evidence.why_cstr, "%s", text_cstr);
    if (decision->action == TLS_ACT_NOT_PROVED)
        delivery->walk.was_not_proved = true;
    else if (decision->action == TLS_ACT_LATER)
        delivery->walk.was_held = true;
}

void ruling_refuse(struct delivery *delivery, const struct tls_decision *decision,
                   const struct err *why)
{
    char text_cstr[240];

    snprintf(text_cstr, sizeof text_cstr, "%.90s%s%.140s", decision->why_cstr,
             why->text_cstr[0] != '\0' ? ": " : "", why->text_cstr);
    say_no(delivery, decision, text_cstr);
}

void ruling_skip(struct delivery *delivery)
{
    struct delivery_walk *at = &delivery->walk;
    struct tls_decision decision = tls_table_skip(&at->policy.demand);
    size_t count = at->addresses != NULL ? at->addresses->count : 1;

    say_no(delivery, &decision, decision.why_cstr);
    tls_outcome_skipped(delivery);
    at->was_reached = true; /* not silence: a rule */
    /* Numbers of addresses are the same in both rounds. */
    at->candidate += (unsigned)(count - at->address);
}
