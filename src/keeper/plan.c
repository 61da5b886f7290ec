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

static enum plan_mail mail_of(const struct plan_question *question, bool is_at_home)
{
    switch ((enum message_kind)question->kind) {
    case KIND_SUBMITTED:
        return PLAN_SUBMITTED;
    case KIND_INBOUND:
    case KIND_BOUNCE:
    case KIND_TLS_REPORTED:
        return question->via.len > 0 && !is_at_home ? PLAN_FORWARD : PLAN_INBOUND;
    case KIND_NOTICE:
    case KIND_CODE:
    case KIND_TLS_REPORT:
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
    facts->order_count = account->order_count;
    memcpy(facts->order, account->order, sizeof facts->order);
    facts->proof_needed = account->proof_needed;
    facts->mx_proved = account->mx_proved;
    facts->tls_1_3_only = account->least_tls == SETTINGS_TLS_1_3;
    facts->requiretls_relaxed = account->requiretls == REQUIRETLS_RELAXED;
    facts->cleartext_allowed = account->cleartext_allowed;
    facts->cleartext_after_ms = (uint32_t)account->cleartext_after_ms;
}

/* Mail whose account is not in the settings any more is protected, never relaxed. */
static void default_facts(struct plan_facts *facts)
{
    facts->encrypt_by_default = true;
    facts->order[0] = METHOD_TLS;
    facts->order[1] = METHOD_PORTAL;
    facts->order_count = 2;
    facts->proof_needed = PROOF_VERIFIED;
    facts->cleartext_allowed = true;
    facts->cleartext_after_ms = 15 * 60 * 1000;
}

/* Mail from outside belongs to nobody; what goes on with it goes by the rules of the domain that it was written to. */
static const struct settings_account *account_for(const struct keeper *keeper,
                                                  const struct plan_question *question)
{
    struct slice via = question->via;
    const struct settings_domain *domain;

    if (question->account.len > 0 || via.len == 0)
        return plan_account(keeper, question->account);
    domain = settings_domain_find(keeper->settings, address_domain(slice_cut(&via, '\n')));
    return domain == NULL ? NULL : plan_account(keeper, slice_from_cstr(domain->account_cstr));
}

bool plan_configure(struct keeper *keeper, const struct settings *settings, struct err *err)
{
    struct domain_list list = {0};
    unsigned line = 0;

    for (size_t i = 0; i < settings->forced_domain_count; i++)
        if (!domain_list_add(&list, slice_from_cstr(settings->forced_domains[i])))
            line = (unsigned)i + 1;
    if (line != 0 ||
        !domain_list_add_lines(&list, settings->forced_domains_file.bytes, &line)) {
        domain_list_deinit(&list);
        return FAIL(err, ERR_PERM, "forced domains: entry %u is no domain", line);
    }
    domain_list_deinit(&keeper->forced);
    keeper->forced = list; /* its texts are the settings' */
    return true;
}

static enum delivery_mode mode_named(const struct settings_recipient *recipient)
{
    return recipient == NULL ? MODE_UNSET : recipient->mode;
}

/* Everybody who may name a mode, see policy/mode.h. */
static void mode_facts(struct keeper *keeper, const struct settings_account *account,
                       const struct plan_question *question, struct plan_facts *facts)
{
    struct slice domain = address_domain(question->address);
    struct mode_facts named = {.is_listed = domain_list_holds(&keeper->forced, domain)};

    if (account != NULL) {
        named.named[MODE_FROM_RECIPIENT] =
            mode_named(settings_recipient_named(account, question->address));
        named.named[MODE_FROM_RECIPIENT_DOMAIN] =
            mode_named(settings_recipient_named(account, domain));
        if (account->sender_count > 0) {
            named.named[MODE_FROM_SENDER] = settings_sender_mode(account, question->sender);
            named.named[MODE_FROM_USER] = settings_sender_mode(account, question->user);
            named.named[MODE_FROM_SENDER_DOMAIN] =
                settings_sender_mode(account, address_domain(question->sender));
        }
        named.named[MODE_FROM_ACCOUNT] = account->mode;
    }
    facts->mode = policy_mode(&named, &facts->mode_source);
}

/*
 * Reports about TLS arrive where TLS is broken, whatever is published or set: nothing in them is secret
 * [RFC 8460 §3]. Those that come to us go no further.
 */
static void report_verdict(struct verdict *verdict_out)
{
    *verdict_out = (struct verdict){
        .method = METHOD_REGULAR,
        .requirement = {.cleartext_allowed = true, .tls_not_required = true},
        .rule_cstr = "tls-report",
        .reasons_cstr = "A report about TLS: it must arrive where TLS is broken."};
}

void plan_ask(struct keeper *keeper, const struct plan_question *question,
              struct verdict *verdict_out)
{
    const struct settings_account *account = account_for(keeper, question);
    const struct settings_recipient *own = NULL;
    bool is_at_home = forward_is_at_home(keeper, address_domain(question->address));
    struct plan_facts facts = {
        .refusal_cstr = question->refusal_cstr,
        .mail = mail_of(question, is_at_home),
        .forward_must_prove = !is_at_home && forward_is_bound(keeper, question->via),
        .wish = question->encrypt == 1   ? PLAN_WISH_ENCRYPT
                : question->encrypt == 2 ? PLAN_WISH_OPT_OUT
                                         : PLAN_WISH_NONE,
        .requiretls = question->requiretls,
        .tls_required_no = question->tls_required_no,
        .portal_available = keeper->settings->portal.enabled && account != NULL,
        .is_replan = question->is_replan,
        .is_unmet = question->is_unmet,
        .is_excepted = settings_is_excepted(keeper->settings, address_domain(question->address),
                                            clock_unix_ms()),
    };

    if (account != NULL) {
        account_facts(account, &facts);
        own = settings_recipient_find(account, question->address);
    } else {
        default_facts(&facts);
    }
    if (own != NULL) {
        facts.bar_tls = own->bar_tls;
        if (own->has_least_tls)
            facts.tls_1_3_only = own->least_tls == SETTINGS_TLS_1_3;
    }
    mode_facts(keeper, account, question, &facts);
    if (question->domain != NULL)
        facts.domain_tls = domain_tls_state(
            question->domain, (struct domain_need){facts.proof_needed, facts.mx_proved},
            clock_unix_ms());
    policy_plan(&facts, verdict_out);
    if (question->kind == KIND_TLS_REPORT || question->kind == KIND_TLS_REPORTED)
        report_verdict(verdict_out);
}

void plan_count(enum method method)
{
    if (method > METHOD_NONE && method < METHOD_COUNT)
        stats.numbers[STAT_VERDICT_REGULAR + (unsigned)(method - METHOD_REGULAR)]++;
}
