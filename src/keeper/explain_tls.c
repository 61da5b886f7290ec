/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/explain_tls.h"

#include "keeper/control.h"
#include "keeper/internal.h"
#include "policy/mx_match.h"
#include "store/board.h"

#include <string.h>

enum { SHOWN_MAX = 20 };

static const char *text_of(const json_t *object, const char *key_cstr)
{
    const char *text_cstr = json_string_value(json_object_get(object, key_cstr));

    return text_cstr != NULL ? text_cstr : "";
}

static enum dane_state dane_of(const json_t *host)
{
    enum dane_state state = DANE_NOT_ASKED;

    while (state + 1 < DANE_COUNT && strcmp(text_of(host, "dane"), dane_state_name(state)) != 0)
        state++;
    return strcmp(text_of(host, "dane"), dane_state_name(state)) == 0 ? state : DANE_NOT_ASKED;
}

/* As deliver/host_policy.c has it, of what the test wrote down. */
static struct tls_host_facts facts_of(const json_t *host, bool is_mx_signed,
                                      const struct ipc_deliver *sts)
{
    bool is_fixed = strcmp(text_of(host, "mx_proof"), mx_proof_name(MX_PROOF_ROUTE)) == 0;
    struct tls_host_facts facts = {.dane = dane_of(host),
                                   .is_mx_signed = is_fixed || is_mx_signed};

    if (!is_fixed) {
        facts.sts = (enum sts_state)sts->sts;
        facts.is_listed =
            mx_patterns_match(sts->sts_mx, slice_from_cstr(text_of(host, "mx")), NULL);
    }
    if (is_fixed)
        facts.mx = MX_PROOF_ROUTE;
    else if (is_mx_signed)
        facts.mx = MX_PROOF_DNSSEC;
    else if (facts.is_listed && (facts.sts == STS_ENFORCE || facts.sts == STS_KEPT))
        facts.mx = MX_PROOF_STS;
    return facts;
}

static json_t *host_object(struct keeper *keeper, const json_t *host, bool is_mx_signed,
                           const struct ipc_deliver *sts,
                           const struct tls_requirement *requirement)
{
    struct tls_host_facts facts = facts_of(host, is_mx_signed, sts);
    struct tls_demand demand;
    json_t *object = json_object();

    facts.is_ratcheted =
        memory_is_ratcheted(keeper, MEMORY_HOST, slice_from_cstr(text_of(host, "mx")));
    demand = tls_table_demand(requirement, &facts);
    control_set_text(object, "mx", slice_from_cstr(text_of(host, "mx")));
    json_object_set_new(object, "row", json_integer((json_int_t)demand.row));
    control_set_text(object, "rule", slice_from_cstr(demand.name_cstr));
    if (facts.dane == DANE_USABLE)
        control_set_text(object, "tlsa", slice_from_cstr(text_of(host, "tlsa")));
    if (demand.is_skipped)
        control_set_text(object, "why", slice_from_cstr(demand.why_cstr));
    else
        control_set_text(object, "demands", slice_from_cstr(proof_level_name(demand.least)));
    return object;
}

/* One for each host: the test has one for each address, in this order. */
static json_t *hosts_of(struct keeper *keeper, const json_t *found,
                        const struct ipc_deliver *sts,
                        const struct tls_requirement *requirement)
{
    bool is_mx_signed = json_is_true(json_object_get(found, "mx_secure"));
    const json_t *host;
    const char *last_cstr = "";
    json_t *hosts = json_array();
    size_t index;

    json_array_foreach(json_object_get(found, "hosts"), index, host)
    {
        if (strcmp(text_of(host, "mx"), last_cstr) == 0 || json_array_size(hosts) >= SHOWN_MAX)
            continue;
        last_cstr = text_of(host, "mx");
        json_array_append_new(hosts, host_object(keeper, host, is_mx_signed, sts, requirement));
    }
    return hosts;
}

void explain_tls(struct keeper *keeper, struct domain *domain,
                 const struct tls_requirement *requirement, json_t *object)
{
    struct ipc_deliver sts = {.sts = STS_NONE};
    struct store_board board;
    json_t *found;

    if (domain == NULL)
        return;
    sts_look(keeper, domain, &sts);
    if (sts.sts != STS_NONE) {
        control_set_text(object, "sts",
                         slice_from_cstr(sts_state_name((enum sts_state)sts.sts)));
        control_set_text(object, "sts_id", sts.sts_id);
    }
    if (!store_board_get(keeper->store, slice_from_cstr(domain->row.name_cstr), &board))
        return;
    found = json_loadb((const char *)board.found.at, board.found.len, 0, NULL);
    if (found == NULL)
        return;
    json_object_set_new(object, "hosts", hosts_of(keeper, found, &sts, requirement));
    control_set_number(object, "tested_ms", board.tested_ms);
    json_decref(found);
}
