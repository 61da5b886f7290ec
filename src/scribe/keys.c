/* SPDX-License-Identifier: Apache-2.0 */
/* The signing keys: read once per configuration, because reading one costs more than signing. */
#include "scribe/internal.h"

#include "base/log.h"

#include <stdlib.h>

static bool load_one(const struct settings_domain *domain, const struct settings_dkim_key *row,
                     struct dkim_key *key_out, struct err *err)
{
    struct err why;

    *key_out = (struct dkim_key){.selector = slice_from_cstr(row->selector_cstr)};
    if (!sign_key_parse(row->private_key.bytes, &key_out->key, &why))
        return FAIL(err, ERR_PERM, "domain \"%s\", DKIM key \"%s\" (%s): %s", domain->name_cstr,
                    row->selector_cstr, row->private_key.path_cstr, why.text_cstr);
    if (sign_key_algorithm(key_out->key) == SIGN_RSA_SHA256 &&
        sign_key_bits(key_out->key) < SIGN_RSA_GOOD_BITS)
        LOG(LOG_WARN, "scribe.weak_dkim_key", log_cstr("domain", domain->name_cstr),
            log_u64("bits", sign_key_bits(key_out->key)));
    return true;
}

bool scribe__keys_load(const struct settings *settings, struct domain_keys **keys_out,
                       struct err *err)
{
    struct domain_keys *all = calloc(settings->domain_count + 1, sizeof *all);

    must(all != NULL);
    for (size_t i = 0; i < settings->domain_count; i++) {
        const struct settings_domain *domain = &settings->domains[i];

        all[i].keys = calloc(domain->dkim_key_count + 1, sizeof *all[i].keys);
        must(all[i].keys != NULL);
        for (size_t j = 0; j < domain->dkim_key_count; j++) {
            if (!load_one(domain, &domain->dkim_keys[j], &all[i].keys[j], err)) {
                scribe__keys_free(&all, settings->domain_count);
                return false;
            }
            all[i].count++;
        }
    }
    *keys_out = all;
    return true;
}

void scribe__keys_free(struct domain_keys **keys, size_t count)
{
    if (*keys == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < (*keys)[i].count; j++)
            sign_key_free(&(*keys)[i].keys[j].key);
        free((*keys)[i].keys);
    }
    free(*keys);
    *keys = NULL;
}
