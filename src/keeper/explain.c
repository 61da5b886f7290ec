/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"
#include "keeper/explain_tls.h"
#include "keeper/forward_expand.h"
#include "keeper/internal.h"
#include "keeper/plan.h"

#include <stdlib.h>
#include <string.h>

/* Whose rules hold for this sender: the user's account, else the domain's. */
static struct slice account_of(const struct keeper *keeper, struct slice from)
{
    const struct settings_user *user = settings_user_find(keeper->settings, from);
    const struct settings_domain *domain;

    if (user != NULL)
        return slice_from_cstr(user->account_cstr);
    domain = settings_domain_find(keeper->settings, address_domain(from));
    return domain == NULL ? slice_of("", 0) : slice_from_cstr(domain->account_cstr);
}

static bool holds(struct slice subject, const char *trigger_cstr)
{
    struct slice trigger = slice_from_cstr(trigger_cstr);

    return trigger.len > 0 && slice_find_nocase(subject, trigger) < subject.len;
}

/* As accept.encrypt: encryption wins over opting out. */
static unsigned wish_of(const struct settings_account *account, struct slice subject)
{
    if (account == NULL)
        return 0;
    if (holds(subject, account->encrypt_trigger_cstr))
        return 1;
    return holds(subject, account->opt_out_trigger_cstr) ? 2 : 0;
}

/* The sender is taken for the user, too: that is who submits as itself. */
static void explain_one(struct control_output *output, struct slice account_name,
                        struct slice from, struct slice address, struct slice via,
                        unsigned wish)
{
    struct keeper *keeper = output->keeper;
    const struct settings_account *account = plan_account(keeper, account_name);
    struct domain *domain = domain_find(keeper, address_domain(address));
    struct verdict verdict;
    json_t *object;

    plan_ask(keeper,
             &(struct plan_question){.kind = KIND_SUBMITTED,
                                     .account = account_name,
                                     .address = address,
                                     .via = via,
                                     .sender = from,
                                     .user = from,
                                     .domain = domain,
                                     .encrypt = wish},
             &verdict);
    object = json_pack(
        "{s:o,s:s,s:b,s:s,s:s,s:s,s:s}", "address", control_text(address), "method",
        method_name(verdict.method), "secure", (int)verdict.is_secure, "rule",
        verdict.rule_cstr, "reasons", verdict.reasons_cstr, "requirement",
        proof_level_name(verdict.requirement.least), "tls",
        domain_tls_name(domain == NULL || account == NULL
                            ? DOMAIN_TLS_UNKNOWN
                            : domain_tls_state(domain,
                                               (struct domain_need){account->proof_needed,
                                                                    account->mx_proved},
                                               clock_unix_ms())));
    if (verdict.method == METHOD_TLS || verdict.method == METHOD_REGULAR)
        explain_tls(keeper, domain, &verdict.requirement, object);
    control_set_via(object, via);
    control_line(output, object);
}

/* Where mail to it goes on to, if it does; else the address itself. */
static void explain_address(struct control_output *output, struct slice account_name,
                            struct slice from, struct slice address, unsigned wish)
{
    struct forward_expansion *expansion = malloc(sizeof *expansion);
    enum forward_answer answer;

    must(expansion != NULL);
    answer = forward_expand(output->keeper, address, false, slice_of("", 0), expansion);
    for (size_t i = 0; answer == FORWARD_ENDS && i < expansion->count; i++)
        explain_one(output, account_name, from, expansion->ends[i].address,
                    forward_end_via(expansion, &expansion->ends[i]), wish);
    if (answer == FORWARD_STAYS ||
        (answer == FORWARD_CLOSED &&
         forward_is_at_home(output->keeper, address_domain(address))))
        explain_one(output, account_name, from, address, slice_of("", 0), wish);
    else if (answer != FORWARD_ENDS)
        control_error(output, answer == FORWARD_CIRCLE
                                  ? "mail to a recipient goes in a circle"
                                  : "mail to a recipient does not go on at present");
    forward_expansion_deinit(expansion);
    free(expansion);
}

void explain_answer(struct control_output *output, const json_t *request)
{
    struct slice account_name = account_of(output->keeper, control_member(request, "from"));
    const json_t *to = json_object_get(request, "to"), *address;
    unsigned wish =
        wish_of(plan_account(output->keeper, account_name), control_member(request, "subject"));
    size_t index;

    if (account_name.len == 0) {
        control_error(output, "the sender is neither a user nor at one of our domains");
        return;
    }
    if (!json_is_array(to) || json_array_size(to) == 0) {
        control_error(output, "name at least one recipient");
        return;
    }
    json_array_foreach(to, index, address)
    {
        struct slice text = slice_of(json_string_value(address), json_string_length(address));

        if (!json_is_string(address) || address_domain(text).len == 0)
            control_error(output, "a recipient is no address");
        else
            explain_address(output, account_name, control_member(request, "from"), text, wish);
    }
}
