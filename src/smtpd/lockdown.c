/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/lockdown.h"

static bool is_listed(const char *const *patterns, size_t count, struct slice name)
{
    for (size_t i = 0; i < count && name.len > 0; i++)
        if (settings_pattern_matches(patterns[i], name))
            return true;
    return false;
}

static bool concerns(const struct settings_lockdown *list, const struct lockdown_facts *facts)
{
    return is_listed(list->senders, list->sender_count, facts->sender_domain) ||
           is_listed(list->hosts, list->host_count, facts->helo) ||
           settings_network_holds(list->networks, list->network_count, facts->peer);
}

bool lockdown_name_listed(const struct tls_evidence *tls, const char *const *patterns,
                          size_t count)
{
    struct slice names = slice_from_cstr(tls->names_cstr);

    while (names.len > 0)
        if (is_listed(patterns, count, slice_cut(&names, ' ')))
            return true;
    return false;
}

/* A fingerprint needs no authority: the handshake has shown that the peer holds its key. */
static bool certificate_is_good(const struct settings_lockdown *list,
                                const struct tls_evidence *tls, const char **why_cstr_out)
{
    if (!tls->has_certificate) {
        *why_cstr_out = "you showed none";
        return false;
    }
    if (settings_fingerprint_listed(list->fingerprints, list->fingerprint_count,
                                    tls->certificate_sha256))
        return true;
    if (!tls->is_verified) {
        *why_cstr_out = tls->reason_cstr[0] != '\0' ? tls->reason_cstr : "it is not verified";
        return false;
    }
    *why_cstr_out = "it is not one of those agreed upon";
    if (list->certificate_name_count == 0)
        return list->fingerprint_count == 0;
    return lockdown_name_listed(tls, list->certificate_names, list->certificate_name_count);
}

static bool is_met(const struct settings_lockdown *list, const struct tls_evidence *tls,
                   struct err *err)
{
    const char *why_cstr = "";

    if (tls == NULL)
        return FAIL_SMTP(err, ERR_REFUSED, 530, "5.7.0",
                         "mail from you is taken over TLS only: say STARTTLS first");
    if (list->least_tls == SETTINGS_TLS_1_3 && tls->version != TLS_VERSION_1_3)
        return FAIL_SMTP(err, ERR_REFUSED, 550, "5.7.1",
                         "mail from you is taken over TLS 1.3 only, this is %s",
                         tls_version_name(tls->version));
    if (list->client_certificate && !certificate_is_good(list, tls, &why_cstr))
        return FAIL_SMTP(err, ERR_REFUSED, 550, "5.7.1",
                         "mail from you is taken with your certificate only: %s", why_cstr);
    return true;
}

bool lockdown_check(const struct settings *settings, const struct lockdown_facts *facts,
                    const struct settings_lockdown **list_out, struct err *err)
{
    *list_out = NULL;
    for (size_t i = 0; i < settings->lockdown_count; i++) {
        const struct settings_lockdown *list = &settings->lockdowns[i];

        if (concerns(list, facts) && !is_met(list, facts->tls, err)) {
            *list_out = list;
            return false;
        }
    }
    return true;
}
