/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/inspect.h"

#include "crypto/sign.h"
#include "crypto/tls.h"
#include "policy/domain_list.h"
#include "store/master.h"

#include <string.h>

static bool fail(const struct settings_file *file, const char *path_cstr, const struct err *why,
                 const char *advice_cstr, struct err *err)
{
    return FAIL(err, ERR_PERM, "%s:%u: %s: %s; %s", path_cstr, file->line, file->path_cstr,
                why->text_cstr, advice_cstr);
}

static bool inspect_pair(const struct settings_file *certificate,
                         const struct settings_file *key, const char *path_cstr,
                         struct err *err)
{
    struct tls_server_options options = {.certificate_chain_pem = certificate->bytes,
                                         .private_key_pem = key->bytes};
    struct tls_context *context = NULL;
    struct err why = {0};

    if (certificate->bytes.len == 0)
        return true; /* not set */
    if (!tls_context_new_server(&options, &context, &why))
        return fail(certificate, path_cstr, &why, "name a certificate and its own key, as PEM",
                    err);
    tls_context_unref(&context);
    return true;
}

static bool inspect_master_key(const struct settings_file *file, const char *path_cstr,
                               struct err *err)
{
    struct master master;
    struct err why = {0};

    if (!master_parse(file->bytes, &master, &why))
        return fail(file, path_cstr, &why, "make one with: postern key new FILE", err);
    master_wipe(&master);
    return true;
}

static bool inspect_dkim_key(const struct settings_file *file, const char *path_cstr,
                             struct err *err)
{
    struct sign_key *key = NULL;
    struct err why = {0};

    if (!sign_key_parse(file->bytes, &key, &why))
        return fail(file, path_cstr, &why, "name an RSA or Ed25519 private key, as PEM", err);
    sign_key_free(&key);
    return true;
}

static bool inspect_roots(const struct settings_file *file, const char *path_cstr,
                          struct err *err)
{
    struct tls_client_options options = {.trust = TLS_TRUST_WEBPKI,
                                         .authorities_pem = file->bytes};
    struct tls_context *context = NULL;
    struct err why = {0};

    if (file->bytes.len == 0)
        return true;
    if (!tls_context_new_client(&options, &context, &why))
        return fail(file, path_cstr, &why, "name a file of CA certificates, as PEM", err);
    tls_context_unref(&context);
    return true;
}

static bool inspect_domains(const struct settings_file *file, const char *path_cstr,
                            struct err *err)
{
    struct domain_list list = {0};
    unsigned line;
    bool is_right = domain_list_add_lines(&list, file->bytes, &line);

    domain_list_deinit(&list);
    return is_right ||
           FAIL(err, ERR_PERM,
                "%s:%u: %s, line %u is no domain; write x.test or *.x.test, one a line",
                path_cstr, file->line, file->path_cstr, line);
}

bool inspect_files(struct settings *settings, const char *path_cstr, struct err *err)
{
    struct settings_file *file;
    enum settings_file_kind kind;
    size_t position = 0;

    if (!inspect_master_key(&settings->master_key, path_cstr, err) ||
        !inspect_pair(&settings->tls_certificate, &settings->tls_key, path_cstr, err) ||
        !inspect_pair(&settings->portal.certificate, &settings->portal.key, path_cstr, err) ||
        !inspect_roots(&settings->trusted_roots, path_cstr, err) ||
        !inspect_domains(&settings->forced_domains_file, path_cstr, err))
        return false;
    for (size_t i = 0; i < settings->certificate_count; i++)
        if (!inspect_pair(&settings->certificates[i].certificate,
                          &settings->certificates[i].key, path_cstr, err))
            return false;
    if (settings->client_authorities.path_cstr[0] != '\0' &&
        !inspect_roots(&settings->client_authorities, path_cstr, err))
        return false;
    while ((file = settings_file_next(settings, &position, &kind)) != NULL) {
        if (kind == SETTINGS_FILE_DKIM_KEY && !inspect_dkim_key(file, path_cstr, err))
            return false;
    }
    return true;
}

static bool same_cstr(const char *a_cstr, const char *b_cstr)
{
    return strcmp(a_cstr, b_cstr) == 0;
}

const char *inspect_fixed_change(const struct settings *a, const struct settings *b)
{
    if (!same_cstr(a->state_dir_cstr, b->state_dir_cstr))
        return "state";
    if (!same_cstr(a->control_path_cstr, b->control_path_cstr))
        return "control";
    if (!same_cstr(a->user_cstr, b->user_cstr))
        return "run_as";
    if (a->smtpd_processes != b->smtpd_processes ||
        a->courier_processes != b->courier_processes ||
        a->scribe_processes != b->scribe_processes ||
        a->portal_processes != b->portal_processes)
        return "the number of processes";
    if (a->portal.listens != b->portal.listens || a->portal.enabled != b->portal.enabled ||
        memcmp(&a->portal.address, &b->portal.address, sizeof a->portal.address) != 0)
        return "the portal's address";
    if (a->metrics.enabled != b->metrics.enabled ||
        memcmp(&a->metrics.address, &b->metrics.address, sizeof a->metrics.address) != 0)
        return "the address of metrics";
    if (a->listener_count != b->listener_count)
        return "the number of listeners";
    for (size_t i = 0; i < a->listener_count; i++) {
        if (a->listeners[i].kind != b->listeners[i].kind ||
            memcmp(&a->listeners[i].address, &b->listeners[i].address,
                   sizeof a->listeners[i].address) != 0)
            return "a listener";
    }
    return NULL;
}
