/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/check_reports.h"

#include "settings/values.h"

/* Our domain that the address is in; NULL: none. */
static const struct settings_domain *own_domain(const struct settings *settings,
                                                const char *address_cstr)
{
    struct slice domain = slice_from_cstr(address_cstr);

    (void)slice_cut(&domain, '@');
    return settings_domain_find(settings, domain);
}

void settings_check_reports(const struct settings *settings, struct cfg_t *tree,
                            struct settings_mistake *mistake)
{
    struct cfg_t *section = settings_tree_section(tree, "tls_reports", 0);
    const char *from_cstr = settings->tls_reports.from_cstr;
    const char *receive_cstr = settings->tls_reports.receive_cstr;
    const struct settings_domain *domain;

    if (from_cstr[0] != 0) {
        domain = own_domain(settings, from_cstr);
        if (!value_is_address(slice_from_cstr(from_cstr)) || domain == NULL)
            settings_wrong(mistake, settings_tree_line(section, "from", mistake),
                           "from = \"%s\" is no address of a domain of ours; write "
                           "tls-reports@DOMAIN",
                           from_cstr);
        else if (domain->dkim_key_count == 0)
            settings_wrong(mistake, settings_tree_line(section, "from", mistake),
                           "from = \"%s\": reports must be signed, and domain \"%s\" has no "
                           "key; write its dkim section",
                           from_cstr, domain->name_cstr);
    }
    if (receive_cstr[0] != 0 && (!value_is_address(slice_from_cstr(receive_cstr)) ||
                                 own_domain(settings, receive_cstr) == NULL))
        settings_wrong(
            mistake, settings_tree_line(section, "receive", mistake),
            "receive = \"%s\" is no address of a domain of ours; write tlsrpt@DOMAIN",
            receive_cstr);
}
