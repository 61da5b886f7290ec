/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/check_sts.h"

#include "format/sts/sts.h"

static void check_domain(const struct settings *settings, struct cfg_t *section,
                         const struct settings_domain *domain, struct settings_mistake *mistake)
{
    const struct settings_own_sts *own = &domain->sts;

    for (size_t i = 0; i < own->mx_count; i++)
        if (!sts_is_pattern(slice_from_cstr(own->mx[i])))
            settings_wrong(
                mistake, settings_tree_line(section, "mx", mistake),
                "mx holds \"%s\", which is no host; write mx.x.test, or *.x.test for "
                "all hosts one label below",
                own->mx[i]);
    if (own->mx_count > STS_MX_MAX)
        settings_wrong(mistake, settings_tree_line(section, "mx", mistake),
                       "mx holds more than %d hosts; use patterns", STS_MX_MAX);
    if (own->mode != SETTINGS_STS_OFF && !settings->portal.listens)
        settings_wrong(mistake, settings_tree_line(section, "mode", mistake),
                       "nobody would serve the policy of \"%s\"; write portal { address, "
                       "certificate and key }",
                       domain->name_cstr);
}

void settings_check_sts(const struct settings *settings, struct cfg_t *tree,
                        struct settings_mistake *mistake)
{
    for (size_t i = 0; i < settings->domain_count; i++) {
        struct cfg_t *domain = settings_tree_section(tree, "domain", i);

        check_domain(settings, settings_tree_section(domain, "sts", 0), &settings->domains[i],
                     mistake);
    }
}
