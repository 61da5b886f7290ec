/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/dns_wanted.h"

#include "base/encode.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"
#include "settings/sts_text.h"

#include <stdio.h>
#include <string.h>

enum { TTL_S = 3600, STRING_MAX_BYTES = 255, POLICY_MAX_BYTES = 32 << 10 };

static const struct {
    const char *type_cstr;
    bool is_exact;
} kinds[WANTED_COUNT] = {
    [WANTED_MX] = {"MX", false},          [WANTED_HOST] = {"A", false},
    [WANTED_TLSA] = {"TLSA", true},       [WANTED_STS] = {"TXT", true},
    [WANTED_STS_HOST] = {"CNAME", false}, [WANTED_TLSRPT] = {"TXT", false},
    [WANTED_DKIM] = {"TXT", true},        [WANTED_SPF] = {"TXT", false},
    [WANTED_DMARC] = {"TXT", false},
};

const char *wanted_type(enum wanted_kind kind)
{
    return kinds[kind].type_cstr;
}

bool wanted_is_exact(enum wanted_kind kind)
{
    return kinds[kind].is_exact;
}

struct making {
    const struct settings *settings;
    const struct settings_domain *domain;
    struct wanted_list *list;
    struct err *err;
};

/* A record of this kind at PREFIX.DOMAIN; data is filled by the caller. */
static struct wanted *add(struct making *m, enum wanted_kind kind, const char *prefix_cstr,
                          const char *host_cstr, const char *why_cstr)
{
    struct wanted *wanted = &m->list->all[m->list->count];

    if (m->list->count == WANTED_MAX) {
        FAIL(m->err, ERR_PERM, "there are more than %d records to publish", WANTED_MAX);
        return NULL;
    }
    *wanted = (struct wanted){.kind = kind};
    (void)snprintf(wanted->name_cstr, sizeof wanted->name_cstr, "%s%s", prefix_cstr, host_cstr);
    (void)snprintf(wanted->why_cstr, sizeof wanted->why_cstr, "%s", why_cstr);
    m->list->count++;
    return wanted;
}

static bool takes_mail(const struct settings *settings)
{
    for (size_t i = 0; i < settings->listener_count; i++)
        if (settings->listeners[i].kind == LISTENER_MX)
            return true;
    return false;
}

static bool add_host(struct making *m)
{
    const char *host_cstr = m->settings->hostname_cstr;
    struct wanted *mx, *host;

    if (!takes_mail(m->settings))
        return true;
    mx = add(m, WANTED_MX, "", m->domain->name_cstr, "mail for the domain comes here");
    host = mx == NULL ? NULL
                      : add(m, WANTED_HOST, "", host_cstr,
                            "this server; its address must lead back to the name (PTR)");
    if (host == NULL)
        return false;
    mx->preference = 10;
    (void)snprintf(mx->data_cstr, sizeof mx->data_cstr, "%s", host_cstr);
    return true;
}

static bool add_tlsa(struct making *m)
{
    uint8_t digest[SHA256_BYTES];
    struct wanted *tlsa;
    struct buffer hex;

    if (!takes_mail(m->settings) || m->settings->tls_certificate.bytes.len == 0)
        return true;
    if (!certificate_key_digest(m->settings->tls_certificate.bytes, digest))
        return FAIL(m->err, ERR_PERM, "%s holds no certificate",
                    m->settings->tls_certificate.path_cstr);
    tlsa =
        add(m, WANTED_TLSA, "_25._tcp.", m->settings->hostname_cstr,
            "DANE: the key of tls_certificate; counts where the zone is signed. Before a new "
            "key comes publish its record beside this one, and wait for the TTL");
    if (tlsa == NULL)
        return false;
    buffer_init(&hex, sizeof tlsa->data_cstr - 8);
    must(hex_append(&hex, slice_of(digest, sizeof digest)));
    (void)snprintf(tlsa->data_cstr, sizeof tlsa->data_cstr, "3 1 1 %.*s",
                   SLICE_ARGS(buffer_view(&hex)));
    buffer_deinit(&hex);
    return true;
}

/* The name in the portal's url, or this server's. */
static void portal_host(const struct settings *settings, char *out_cstr, size_t size)
{
    struct slice rest = slice_from_cstr(settings->portal.url_cstr);

    if (slice_starts_with_nocase(rest, S("https://")))
        rest = slice_from(rest, 8);
    rest = slice_cut(&rest, ':');
    if (rest.len == 0)
        rest = slice_from_cstr(settings->hostname_cstr);
    (void)snprintf(out_cstr, size, "%.*s", SLICE_ARGS(rest));
}

static bool add_sts(struct making *m)
{
    char id_cstr[SETTINGS_STS_ID_SIZE];
    struct wanted *record, *host;
    struct buffer text;

    if (m->domain->sts.mode == SETTINGS_STS_OFF)
        return true;
    buffer_init(&text, POLICY_MAX_BYTES);
    must(settings_sts_text(m->settings, m->domain, &text));
    settings_sts_id(buffer_view(&text), id_cstr);
    buffer_deinit(&text);
    record = add(m, WANTED_STS, "_mta-sts.", m->domain->name_cstr,
                 "MTA-STS: announces the policy; the id changes with it");
    host = record == NULL ? NULL
                          : add(m, WANTED_STS_HOST, "mta-sts.", m->domain->name_cstr,
                                "MTA-STS: leads to the portal's listener, port 443, with a "
                                "certificate for this name");
    if (host == NULL)
        return false;
    (void)snprintf(record->data_cstr, sizeof record->data_cstr, "v=STSv1; id=%s;", id_cstr);
    portal_host(m->settings, host->data_cstr, sizeof host->data_cstr);
    return true;
}

static bool add_reports(struct making *m)
{
    const char *receive_cstr = m->settings->tls_reports.receive_cstr;
    struct wanted *record;

    if (!takes_mail(m->settings))
        return true;
    record = add(m, WANTED_TLSRPT, "_smtp._tls.", m->domain->name_cstr,
                 "TLSRPT: where others send their reports about TLS");
    if (record == NULL)
        return false;
    if (receive_cstr[0] != '\0')
        (void)snprintf(record->data_cstr, sizeof record->data_cstr, "v=TLSRPTv1; rua=mailto:%s",
                       receive_cstr);
    else
        (void)snprintf(record->data_cstr, sizeof record->data_cstr,
                       "v=TLSRPTv1; rua=mailto:postmaster@%s", m->domain->name_cstr);
    return true;
}

static bool add_dkim(struct making *m, const struct settings_dkim_key *dkim)
{
    char prefix_cstr[WANTED_NAME_SIZE];
    struct sign_key *key = NULL;
    struct wanted *record;
    struct buffer public_key;
    bool fits = false;

    if (!sign_key_parse(dkim->private_key.bytes, &key, m->err))
        return FAIL(m->err, ERR_PERM, "%s: not a key for DKIM", dkim->private_key.path_cstr);
    (void)snprintf(prefix_cstr, sizeof prefix_cstr, "%s._domainkey.", dkim->selector_cstr);
    record = add(m, WANTED_DKIM, prefix_cstr, m->domain->name_cstr,
                 "DKIM: the key that checks our signatures");
    buffer_init(&public_key, sizeof record->data_cstr - 32);
    if (record != NULL && sign_key_write_public(key, &public_key)) {
        (void)snprintf(record->data_cstr, sizeof record->data_cstr, "v=DKIM1; k=%s; p=%.*s",
                       sign_key_algorithm(key) == SIGN_RSA_SHA256 ? "rsa" : "ed25519",
                       SLICE_ARGS(buffer_view(&public_key)));
        fits = true;
    }
    buffer_deinit(&public_key);
    sign_key_free(&key);
    return fits || (record == NULL ? false
                                   : FAIL(m->err, ERR_PERM, "%s: the key is too large",
                                          dkim->private_key.path_cstr));
}

static bool add_senders(struct making *m)
{
    struct wanted *spf = add(m, WANTED_SPF, "", m->domain->name_cstr,
                             "SPF: who may send for the domain; add your other senders"),
                  *dmarc = spf == NULL
                               ? NULL
                               : add(m, WANTED_DMARC, "_dmarc.", m->domain->name_cstr,
                                     "DMARC: what others do with mail that is not ours; "
                                     "begin with p=none and a rua of your own");

    if (dmarc == NULL)
        return false;
    if (takes_mail(m->settings))
        (void)snprintf(spf->data_cstr, sizeof spf->data_cstr, "v=spf1 mx -all");
    else
        (void)snprintf(spf->data_cstr, sizeof spf->data_cstr, "v=spf1 a:%s -all",
                       m->settings->hostname_cstr);
    (void)snprintf(dmarc->data_cstr, sizeof dmarc->data_cstr, "v=DMARC1; p=quarantine");
    return true;
}

bool wanted_make(const struct settings *settings, const struct settings_domain *domain,
                 struct wanted_list *list_out, struct err *err)
{
    struct making m = {settings, domain, list_out, err};

    list_out->count = 0;
    if (!add_host(&m) || !add_tlsa(&m) || !add_sts(&m) || !add_reports(&m))
        return false;
    for (size_t i = 0; i < domain->dkim_key_count; i++)
        if (!add_dkim(&m, &domain->dkim_keys[i]))
            return false;
    return add_senders(&m);
}

/* ---- as zone lines ---- */

/* A text in strings of at most 255 bytes. */
static bool write_text(const char *text_cstr, struct buffer *out)
{
    struct slice rest = slice_from_cstr(text_cstr);
    bool fits = true;

    for (size_t i = 0; fits && (i == 0 || rest.len > 0); i++) {
        struct slice part = slice_head(rest, STRING_MAX_BYTES);

        fits = buffer_append_format(out, "%s\"%.*s\"", i == 0 ? "" : " ", SLICE_ARGS(part));
        rest = slice_from(rest, part.len);
    }
    return fits;
}

bool wanted_write(const struct wanted *wanted, struct buffer *out)
{
    bool fits;

    if (wanted->kind == WANTED_HOST)
        return buffer_append_format(out, "; %s. %d IN A (or AAAA) ADDRESS-OF-THIS-SERVER\n",
                                    wanted->name_cstr, TTL_S);
    fits = buffer_append_format(out, "%s. %d IN %s ", wanted->name_cstr, TTL_S,
                                wanted_type(wanted->kind));
    switch (wanted->kind) {
    case WANTED_MX:
        fits =
            fits && buffer_append_format(out, "%u %s.", wanted->preference, wanted->data_cstr);
        break;
    case WANTED_STS_HOST:
        fits = fits && buffer_append_format(out, "%s.", wanted->data_cstr);
        break;
    case WANTED_TLSA:
        fits = fits && buffer_append(out, slice_from_cstr(wanted->data_cstr));
        break;
    case WANTED_STS:
    case WANTED_TLSRPT:
    case WANTED_DKIM:
    case WANTED_SPF:
    case WANTED_DMARC:
        fits = fits && write_text(wanted->data_cstr, out);
        break;
    case WANTED_HOST:
    case WANTED_COUNT:
        break;
    }
    return fits && buffer_append_byte(out, '\n');
}
