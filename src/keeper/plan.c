/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/plan.h"

#include "base/stats.h"
#include "keeper/internal.h"

#include <string.h>

struct slice address_domain(struct slice address)
{
    for (size_t at = address.len; at-- > 0;)
        if (address.at[at] == '@')
            return slice_from(address, at + 1);
    return slice_of("", 0);
}

const struct settings_account *plan_account(const struct keeper *keeper, struct slice name)
{
    return settings_account_find(keeper->settings, name);
}

static enum plan_mail mail_of(const struct plan_question *question)
{
    switch ((enum message_kind)question->kind) {
    case KIND_SUBMITTED:
        return PLAN_SUBMITTED;
    case KIND_INBOUND:
    case KIND_BOUNCE:
        return PLAN_INBOUND;
    case KIND_NOTICE:
    case KIND_CODE:
        return PLAN_PLAIN;
    case KIND_REPLY:
        return PLAN_REPLY;
    case KIND_RECEIPT:
    case KIND_DSN_FAILURE:
    case KIND_DSN_DELAY:
    case KIND_DSN_SUCCESS:
        return question->about_secure ? PLAN_REPLY : PLAN_PLAIN;
    case KIND_COUNT:
        break;
    }
    return PLAN_SUBMITTED;
}

static void account_facts(const struct settings_account *account, struct plan_facts *facts)
{
    facts->encrypt_by_default = account->encrypt_by_default;
    facts->opt_out_allowed = account->opt_out_allowed;
    facts->mode = account->mode;
    facts->order_count = account->order_count;
    memcpy(facts->order, account->order, sizeof facts->order);
    facts->proof_needed = account->proof_needed;
    facts->cleartext_allowed = account->cleartext_allowed;
    facts->cleartext_after_ms = (uint32_t)account->cleartext_after_ms;
}

/* Mail whose account is not in the settings any more is protected, never relaxed. */
static void default_facts(struct plan_facts *facts)
{
    facts->encrypt_by_default = true;
    facts->mode = MODE_TRY;
    facts->order[0] = METHOD_TLS;
    facts->order[1] = METHOD_PORTAL;
    facts->order_count = 2;
    facts->proof_needed = PROOF_VERIFIED;
    facts->cleartext_allowed = true;
    facts->cleartext_after_ms = 15 * 60 * 1000;
}

void plan_ask(struct keeper *keeper, const struct plan_question *question,
              struct verdict *verdict_out)
{
    const struct settings_account *account = plan_account(keeper, question->account);
    const struct settings_recipient *own = NULL;
    struct plan_facts facts = {
        .mail = mail_of(question),
        .wish = question->encrypt == 1   ? PLAN_WISH_ENCRYPT
                : question->encrypt == 2 ? PLAN_WISH_OPT_OUT
                                         : PLAN_WISH_NONE,
        .requiretls = question->requiretls,
        .tls_required_no = question->tls_required_no,
        .portal_available = keeper->settings->portal.enabled && account != NULL,
        .is_replan = question->is_replan,
    };

    if (account != NULL) {
        account_facts(account, &facts);
        own = settings_recipient_find(account, question->address);
    } else {
        default_facts(&facts);
    }
    if (own != NULL) {
        facts.bar_tls = own->bar_tls;
        if (own->mode != MODE_UNSET)
            facts.mode = own->mode;
    }
    if (question->domain != NULL)
        facts.domain_tls =
            domain_tls_state(question->domain, facts.proof_needed, clock_unix_ms());
    policy_plan(&facts, verdict_out);
}

void plan_count(enum method method)
{
    if (method > METHOD_NONE && method < METHOD_COUNT)
        stats.numbers[STAT_VERDICT_REGULAR + (unsigned)(method - METHOD_REGULAR)]++;
}
