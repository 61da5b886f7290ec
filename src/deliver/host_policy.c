/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/host_policy.h"

#include "policy/mx_match.h"

#include <stdio.h>

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

void host_policy_find(const struct host_policy_facts *known,
                      const struct tls_requirement *requirement, struct host_policy *policy_out)
{
    struct tls_host_facts *facts = &policy_out->facts;

    *policy_out = (struct host_policy){.facts = {.dane = DANE_NOT_ASKED}};
    find_sts(known, policy_out);
    facts->is_mx_signed = known->is_fixed || known->hosts->is_secure;
    facts->mx = proof_of_mx(known, facts);
    facts->is_ratcheted = known->is_ratcheted;
    policy_out->demand = tls_table_demand(requirement, facts);
}

void host_policy_write(const struct host_policy *policy, char *text_out, size_t size)
{
    struct slice id = slice_head(policy->sts_id, 32);
    struct slice pattern =
        policy->facts.is_listed ? slice_head(policy->sts_pattern, 80) : S("host not named");

    text_out[0] = '\0';
    if (policy->facts.sts == STS_UNFETCHED)
        snprintf(text_out, size, "MTA-STS announced, and not to be had");
    else if (policy->facts.sts != STS_NONE)
        snprintf(text_out, size, "MTA-STS %.*s (%s): %.*s", SLICE_ARGS(id),
                 sts_state_name(policy->facts.sts), SLICE_ARGS(pattern));
}
