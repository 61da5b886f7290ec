/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/check_inbound.h"

#include "settings/values.h"

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

void settings_check_inbound(const struct settings *settings, struct cfg_t *tree,
                            struct settings_mistake *mistake)
{
    struct checking c = {settings, tree, mistake};

    for (size_t i = 0; i < settings->lockdown_count; i++)
        check_lockdown(&c, settings_tree_section(tree, "lockdown", i), &settings->lockdowns[i]);
}
