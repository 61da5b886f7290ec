/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/sender_rules.h"

static bool address_equal(const struct smtp_path *path, struct slice text)
{
    struct smtp_path other;

    return smtp_address_parse(text, &other, NULL) &&
           slice_equal_nocase(smtp_path_local(path), smtp_path_local(&other)) &&
           slice_equal_nocase(smtp_path_domain(path), smtp_path_domain(&other));
}

/* `entry` is an address or "@domain". */
static bool entry_matches(const char *entry_cstr, const struct smtp_path *path)
{
    struct slice entry = slice_from_cstr(entry_cstr);

    if (slice_starts_with(entry, S("@")))
        return slice_equal_nocase(slice_from(entry, 1), smtp_path_domain(path));
    return address_equal(path, entry);
}

bool sender_is_allowed(const struct settings *settings, const struct settings_account *account,
                       const struct settings_user *user, const struct smtp_path *path)
{
    const struct settings_domain *domain;

    if (!path->has_domain || path->is_literal)
        return false;
    if (user == NULL) {
        domain = settings_domain_find(settings, smtp_path_domain(path));
        return domain != NULL && slice_equal_nocase(slice_from_cstr(domain->account_cstr),
                                                    slice_from_cstr(account->name_cstr));
    }
    for (size_t i = 0; i < user->sender_count; i++)
        if (entry_matches(user->senders[i], path))
            return true;
    return user->sender_count == 0 && address_equal(path, slice_from_cstr(user->name_cstr));
}

static const struct settings_domain *domain_with_next_hop(const struct settings *settings)
{
    for (size_t i = 0; i < settings->domain_count; i++)
        if (settings->domains[i].next_hop_cstr[0] != '\0')
            return &settings->domains[i];
    return NULL;
}

enum stranger_rcpt stranger_rcpt_judge(const struct settings *settings,
                                       const struct smtp_path *path,
                                       const struct settings_domain **domain_out)
{
    *domain_out = NULL;
    if (!path->has_domain) {
        *domain_out = domain_with_next_hop(settings);
        return *domain_out == NULL ? STRANGER_RCPT_UNKNOWN : STRANGER_RCPT_INBOUND;
    }
    *domain_out = settings_domain_find(settings, smtp_path_domain(path));
    if (*domain_out == NULL)
        return STRANGER_RCPT_RELAY;
    if (slice_starts_with_nocase(smtp_path_local(path), S("bounce+")))
        return STRANGER_RCPT_BOUNCE;
    if (settings->tls_reports.receive_cstr[0] != '\0' &&
        address_equal(path, slice_from_cstr(settings->tls_reports.receive_cstr)))
        return STRANGER_RCPT_REPORT;
    return (*domain_out)->next_hop_cstr[0] == '\0' ? STRANGER_RCPT_ASK : STRANGER_RCPT_INBOUND;
}
