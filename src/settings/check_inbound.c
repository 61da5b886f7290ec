/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/check_inbound.h"

#include "settings/values.h"

enum {
    ALIASES_MAX = 1000,   /* more belong into the database */
    ALIAS_DEPTH_MAX = 10, /* as the keeper goes */
    ALIAS_STEPS_MAX = 10000,
};

struct checking {
    const struct settings *settings;
    struct cfg_t *tree;
    struct settings_mistake *mistake;
};

/* Each text of a list is what the list is for. */
static void check_list(struct checking *c, struct cfg_t *section, const char *name_cstr,
                       const char *const *items, size_t count, bool (*is_right)(struct slice),
                       const char *advice_cstr)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_right(slice_from_cstr(items[i])))
            settings_wrong(c->mistake, settings_tree_line(section, name_cstr, c->mistake),
                           "%s holds \"%s\", which is not %s", name_cstr, items[i],
                           advice_cstr);
    }
}

static void check_lockdown(struct checking *c, struct cfg_t *section,
                           const struct settings_lockdown *list)
{
    static const char pattern_advice[] = "a domain; write x.test, or *.x.test for all below it";

    check_list(c, section, "senders", list->senders, list->sender_count,
               value_is_domain_pattern, pattern_advice);
    check_list(c, section, "hosts", list->hosts, list->host_count, value_is_domain_pattern,
               pattern_advice);
    check_list(c, section, "certificate_names", list->certificate_names,
               list->certificate_name_count, value_is_domain_pattern, pattern_advice);
    check_list(c, section, "fingerprints", list->fingerprints, list->fingerprint_count,
               value_is_fingerprint, "a SHA-256; write its 64 hexadecimal digits");
    if (list->sender_count + list->network_count + list->host_count == 0)
        settings_wrong(c->mistake, settings_tree_line(section, NULL, c->mistake),
                       "lockdown \"%s\" names nobody; write senders, networks or hosts",
                       list->name_cstr);
    if (!list->client_certificate && list->certificate_name_count + list->fingerprint_count > 0)
        settings_wrong(c->mistake, settings_tree_line(section, NULL, c->mistake),
                       "lockdown \"%s\" lists certificates but asks for none; write "
                       "client_certificate = yes",
                       list->name_cstr);
}

/* The domain of an alias: "a@x.test" and "@x.test" alike. */
static struct slice domain_behind_at(struct slice address)
{
    return slice_from(address, slice_find_byte(address, '@') + 1);
}

static const struct settings_alias *find_alias(const struct settings *settings,
                                               struct slice address)
{
    for (size_t i = 0; i < settings->alias_count; i++) {
        if (slice_equal_nocase(slice_from_cstr(settings->aliases[i].address_cstr), address))
            return &settings->aliases[i];
    }
    return NULL;
}

/*
 * Does some way from here lead back to `start`? An alias that names itself stands for its mailbox. More steps than
 * the server takes count as a circle: they would not be gone.
 */
static bool leads_back(const struct settings *settings, const struct settings_alias *from,
                       const struct settings_alias *start, unsigned depth, unsigned *steps)
{
    if (depth > ALIAS_DEPTH_MAX || ++*steps > ALIAS_STEPS_MAX)
        return true;
    for (size_t i = 0; i < from->to_count; i++) {
        const struct settings_alias *next = find_alias(settings, slice_from_cstr(from->to[i]));

        if (next != NULL && next != from &&
            (next == start || leads_back(settings, next, start, depth + 1, steps)))
            return true;
    }
    return false;
}

static void check_alias(struct checking *c, struct cfg_t *section,
                        const struct settings_alias *alias)
{
    struct slice address = slice_from_cstr(alias->address_cstr);
    const struct settings_domain *domain =
        settings_domain_find(c->settings, domain_behind_at(address));
    bool is_catch_all = slice_starts_with(address, S("@"));
    unsigned line = settings_tree_line(section, NULL, c->mistake), steps = 0;

    if (!(is_catch_all ? value_is_domain(slice_from(address, 1)) : value_is_address(address)))
        settings_wrong(c->mistake, line,
                       "alias \"%s\" is no address; write sales@x.test, or @x.test for all "
                       "other addresses",
                       alias->address_cstr);
    else if (domain == NULL)
        settings_wrong(c->mistake, line,
                       "alias \"%s\" is at no domain of ours; write: domain \"%.*s\" { … }",
                       alias->address_cstr, SLICE_ARGS(domain_behind_at(address)));
    else if (is_catch_all && domain->next_hop_cstr[0] != 0)
        settings_wrong(
            c->mistake, line,
            "alias \"%s\" would catch what next_hop of the domain is for; remove one",
            alias->address_cstr);
    else if (alias->to_count == 0)
        settings_wrong(c->mistake, line,
                       "alias \"%s\" leads nowhere; write: to = {\"b@y.test\"}",
                       alias->address_cstr);
    check_list(c, section, "to", alias->to, alias->to_count, value_is_address,
               "an address; write b@y.test");
    if (leads_back(c->settings, alias, alias, 1, &steps))
        settings_wrong(c->mistake, line, "alias \"%s\" leads in a circle, or too far",
                       alias->address_cstr);
}

/* Nobody shows a certificate who is not asked for it. */
static bool any_listener_asks(const struct settings *settings)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (settings->listeners[i].kind == LISTENER_MX &&
            settings->listeners[i].client_certificates == SETTINGS_ASK)
            return true;
    }
    return false;
}

static void check_asking(struct checking *c)
{
    const struct settings *settings = c->settings;
    bool is_asked = any_listener_asks(settings);

    for (size_t i = 0; i < settings->lockdown_count; i++) {
        if (settings->lockdowns[i].client_certificate && !is_asked)
            settings_wrong(c->mistake,
                           settings_tree_line(settings_tree_section(c->tree, "lockdown", i),
                                              "client_certificate", c->mistake),
                           "no mx listener asks for certificates; write there: "
                           "client_certificates = ask");
    }
    for (size_t i = 0; i < settings->account_count; i++) {
        const struct settings_account *account = &settings->accounts[i];
        struct cfg_t *section = settings_tree_section(c->tree, "account", i);

        check_list(c, section, "relay_certificates", account->relay_certificates,
                   account->relay_certificate_count, value_is_fingerprint,
                   "a SHA-256; write its 64 hexadecimal digits");
        if (account->relay_certificate_count > 0 && !is_asked)
            settings_wrong(c->mistake,
                           settings_tree_line(section, "relay_certificates", c->mistake),
                           "no mx listener asks for certificates; write there: "
                           "client_certificates = ask");
    }
}

void settings_check_inbound(const struct settings *settings, struct cfg_t *tree,
                            struct settings_mistake *mistake)
{
    struct checking c = {settings, tree, mistake};

    if (settings->alias_count > ALIASES_MAX)
        settings_wrong(mistake, 1, "more than %d aliases; make them with: postern forward add",
                       ALIASES_MAX);
    for (size_t i = 0; i < settings->alias_count && settings->alias_count <= ALIASES_MAX; i++)
        check_alias(&c, settings_tree_section(tree, "alias", i), &settings->aliases[i]);
    for (size_t i = 0; i < settings->lockdown_count; i++)
        check_lockdown(&c, settings_tree_section(tree, "lockdown", i), &settings->lockdowns[i]);
    check_asking(&c);
}
