/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/check_modes.h"

#include "settings/values.h"

struct checking {
    const struct settings *settings;
    struct cfg_t *tree;
    struct settings_mistake *mistake;
};

static void check_forced(struct checking *c)
{
    const struct settings *settings = c->settings;

    for (size_t i = 0; i < settings->forced_domain_count; i++)
        if (!value_is_domain_pattern(slice_from_cstr(settings->forced_domains[i])))
            settings_wrong(c->mistake,
                           settings_tree_line(c->tree, "forced_domains", c->mistake),
                           "forced_domains holds \"%s\", which is not a domain; write x.test, "
                           "or *.x.test for all below it",
                           settings->forced_domains[i]);
}

static void check_exceptions(struct checking *c)
{
    for (size_t i = 0; i < c->settings->exception_count; i++) {
        const struct settings_exception *exception = &c->settings->exceptions[i];
        struct cfg_t *section = settings_tree_section(c->tree, "exception", i);
        int64_t end_ms;

        if (exception->until_cstr[0] != 0 &&
            !value_date_parse(slice_from_cstr(exception->until_cstr), &end_ms))
            settings_wrong(c->mistake, settings_tree_line(section, "until", c->mistake),
                           "until = \"%s\" is not a day; write: until = \"2026-12-31\"",
                           exception->until_cstr);
    }
}

/* An address, a user, or one of our domains, which must be the account's own. */
static bool is_ours(const struct settings *settings, const struct settings_account *account,
                    struct slice match)
{
    struct slice name = slice_from_cstr(account->name_cstr);
    const struct settings_user *user = settings_user_find(settings, match);
    const struct settings_domain *domain = settings_domain_find(settings, match);

    if (user != NULL)
        return slice_equal_nocase(slice_from_cstr(user->account_cstr), name);
    if (domain != NULL)
        return slice_equal_nocase(slice_from_cstr(domain->account_cstr), name);
    return value_is_address(match);
}

static void check_senders(struct checking *c, struct cfg_t *tree,
                          const struct settings_account *account)
{
    for (size_t i = 0; i < account->sender_count; i++) {
        const struct settings_sender *sender = &account->senders[i];
        struct cfg_t *section = settings_tree_section(tree, "sender", i);

        if (!is_ours(c->settings, account, slice_from_cstr(sender->match_cstr)))
            settings_wrong(c->mistake, settings_tree_line(section, NULL, c->mistake),
                           "sender \"%s\" is no address, and no user or domain of account "
                           "\"%s\"; write one of these",
                           sender->match_cstr, account->name_cstr);
    }
}

static void check_account(struct checking *c, struct cfg_t *tree,
                          const struct settings_account *account)
{
    check_senders(c, tree, account);
    if (account->policy_unmet == UNMET_CLEAR)
        settings_wrong(c->mistake, settings_tree_line(tree, "policy_unmet", c->mistake),
                       "policy_unmet = clear would ignore what others publish; write hold or "
                       "portal, or an exception with an end date");
}

void settings_check_modes(const struct settings *settings, struct cfg_t *tree,
                          struct settings_mistake *mistake)
{
    struct checking c = {settings, tree, mistake};

    check_forced(&c);
    check_exceptions(&c);
    for (size_t i = 0; i < settings->account_count; i++)
        check_account(&c, settings_tree_section(tree, "account", i), &settings->accounts[i]);
}
