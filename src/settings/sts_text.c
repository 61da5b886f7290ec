/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/sts_text.h"

#include "base/encode.h"
#include "crypto/digest.h"
#include "format/sts/sts.h"

enum { ID_BYTES = 12 };

static const struct slice label = SLICE_INIT("mta-sts.");

bool settings_publishes_sts(const struct settings *settings)
{
    for (size_t i = 0; i < settings->domain_count; i++)
        if (settings->domains[i].sts.mode != SETTINGS_STS_OFF)
            return true;
    return false;
}

const struct settings_domain *settings_sts_host_find(const struct settings *settings,
                                                     struct slice host)
{
    const struct settings_domain *domain;

    if (!slice_starts_with_nocase(host, label))
        return NULL;
    domain = settings_domain_find(settings, slice_from(host, label.len));
    return domain != NULL && domain->sts.mode != SETTINGS_STS_OFF ? domain : NULL;
}

static enum sts_mode mode_of(enum settings_sts_mode mode)
{
    switch (mode) {
    case SETTINGS_STS_OFF:
    case SETTINGS_STS_NONE:
        break;
    case SETTINGS_STS_TESTING:
        return STS_MODE_TESTING;
    case SETTINGS_STS_ENFORCE:
        return STS_MODE_ENFORCE;
    }
    return STS_MODE_NONE;
}

bool settings_sts_text(const struct settings *settings, const struct settings_domain *domain,
                       struct buffer *out)
{
    const struct settings_own_sts *own = &domain->sts;
    struct sts_policy policy = {.mode = mode_of(own->mode),
                                .max_age_s = (uint32_t)(own->max_age_ms / 1000)};

    if (own->mode == SETTINGS_STS_OFF)
        return false;
    for (size_t i = 0; i < own->mx_count && i < STS_MX_MAX; i++)
        policy.mx[policy.mx_count++] = slice_from_cstr(own->mx[i]);
    if (own->mx_count == 0)
        policy.mx[policy.mx_count++] = slice_from_cstr(settings->hostname_cstr);
    return sts_policy_write(&policy, out);
}

void settings_sts_id(struct slice text, char id_out_cstr[SETTINGS_STS_ID_SIZE])
{
    uint8_t digest[SHA256_BYTES];
    struct buffer hex;

    sha256(text, digest);
    buffer_init(&hex, SETTINGS_STS_ID_SIZE);
    must(hex_append(&hex, slice_of(digest, ID_BYTES)) &&
         slice_to_cstr(buffer_view(&hex), id_out_cstr, SETTINGS_STS_ID_SIZE));
    buffer_deinit(&hex);
}
