/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/host_policy.h"

#include "policy/mx_match.h"

#include <stdio.h>
#include <string.h>

static bool is_in_force(enum sts_state state)
{
    return state == STS_ENFORCE || state == STS_KEPT;
}

/* MTA-STS is about what the domain's MX records say: a host that our own settings name is not its business. */
static void find_sts(const struct host_policy_facts *known, struct host_policy *policy)
{
    struct tls_host_facts *facts = &policy->facts;

    if (known->is_fixed)
        return;
    facts->sts = known->sts;
    policy->sts_id = known->sts_id;
    facts->is_listed = mx_patterns_match(known->sts_mx, slice_from_cstr(known->host_cstr),
                                         &policy->sts_pattern);
}

static enum mx_proof proof_of_mx(const struct host_policy_facts *known,
                                 const struct tls_host_facts *facts)
{
    if (known->is_fixed)
        return MX_PROOF_ROUTE;
    if (known->hosts->is_secure)
        return MX_PROOF_DNSSEC;
    return is_in_force(facts->sts) && facts->is_listed ? MX_PROOF_STS : MX_PROOF_NONE;
}

/* The address is what DANE hangs on; an address literal has no name to ask about. */
static void find_dane(const struct host_policy_facts *known, struct tls_host_facts *facts)
{
    if (known->addresses == NULL)
        return;
    facts->dane = known->addresses->dane;
    if (!known->is_ratchet_lifted)
        facts->is_ratcheted = facts->is_ratcheted || known->addresses->is_ratcheted;
}

static void make_key(struct host_policy *policy, const uint8_t *digest)
{
    char text[SHA256_BYTES + TLS_MAX_NAMES * (DNS_NAME_SIZE + 1)];
    size_t len = SHA256_BYTES;

    memcpy(text, digest, SHA256_BYTES);
    for (size_t i = 0; i < TLS_MAX_NAMES && policy->names_cstr[i] != NULL; i++) {
        size_t name_len = strlen(policy->names_cstr[i]) + 1;

        must(name_len <= sizeof text - len);
        memcpy(text + len, policy->names_cstr[i], name_len);
        len += name_len;
    }
    sha256(slice_of(text, len), policy->key);
}

/*
 * The recipients' domain counts as a name, too, where signed MX records say that the host is the domain's. Only DANE-TA looks
 * at names: without such records it is left out, so that all domains of a host share its connections.
 */
static void take_tlsa(const struct host_policy_facts *known, struct host_policy *policy)
{
    const struct directory_entry *host = known->addresses;
    size_t count = 0;

    if (policy->demand.is_skipped || policy->facts.dane != DANE_USABLE ||
        policy->demand.least < PROOF_DANE)
        return;
    policy->tlsa = host->tlsa;
    policy->names_cstr[count++] = host->base_cstr;
    if (host->has_authorities && !known->is_fixed && policy->facts.is_mx_signed)
        policy->names_cstr[count++] = known->domain_cstr;
    make_key(policy, host->tlsa_digest);
}

void host_policy_find(const struct host_policy_facts *known,
                      const struct tls_requirement *requirement, struct host_policy *policy_out)
{
    struct tls_host_facts *facts = &policy_out->facts;

    *policy_out = (struct host_policy){
        .facts = {.is_ratcheted = known->is_ratcheted && !known->is_ratchet_lifted}};
    find_sts(known, policy_out);
    find_dane(known, facts);
    facts->is_mx_signed = known->is_fixed || known->hosts->is_secure;
    facts->mx = proof_of_mx(known, facts);
    policy_out->demand = tls_table_demand(requirement, facts);
    take_tlsa(known, policy_out);
}

static void write_sts(const struct host_policy *policy, char *text_out, size_t size)
{
    struct slice id = slice_head(policy->sts_id, 32);
    struct slice pattern =
        policy->facts.is_listed ? slice_head(policy->sts_pattern, 80) : S("host not named");

    if (policy->facts.sts == STS_UNFETCHED)
        snprintf(text_out, size, "MTA-STS announced, and not to be had");
    else if (policy->facts.sts != STS_NONE)
        snprintf(text_out, size, "MTA-STS %.*s (%s): %.*s", SLICE_ARGS(id),
                 sts_state_name(policy->facts.sts), SLICE_ARGS(pattern));
}

static void write_tlsa(const struct tlsa_set *set, char *text_out, size_t size)
{
    char record_cstr[TLSA_TEXT_SIZE];
    size_t at = 0;

    while (at + 1 < set->count && !set->records[at].is_usable)
        at++;
    tlsa_write_text(set, &set->records[at], record_cstr);
    snprintf(text_out, size, "TLSA %s%s", record_cstr,
             set->usable_count > 1 ? " and more" : "");
}

void host_policy_write(const struct host_policy *policy, char *text_out, size_t size)
{
    text_out[0] = '\0';
    if (policy->tlsa != NULL)
        write_tlsa(policy->tlsa, text_out, size);
    else if (policy->facts.dane == DANE_UNUSABLE)
        snprintf(text_out, size, "TLSA records, none usable");
    else if (policy->facts.dane == DANE_FAILED)
        snprintf(text_out, size, "TLSA records not to be found out");
    else
        write_sts(policy, text_out, size);
}
