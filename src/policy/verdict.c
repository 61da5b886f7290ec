/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/verdict.h"

static const char *const method_names[METHOD_COUNT] = {
    [METHOD_NONE] = "none",       [METHOD_REGULAR] = "regular", [METHOD_TLS] = "tls",
    [METHOD_OPENPGP] = "openpgp", [METHOD_SMIME] = "smime",     [METHOD_PORTAL] = "portal",
    [METHOD_DROP] = "drop",       [METHOD_FAIL] = "fail",
};
static const char *const mode_names[MODE_COUNT] = {
    [MODE_UNSET] = "inherit",
    [MODE_NONE] = "none",
    [MODE_OPPORTUNISTIC] = "opportunistic",
    [MODE_FORCED] = "forced",
    [MODE_EXCLUSIVE] = "exclusive",
    [MODE_TRY] = "try",
};
static const char *const level_names[PROOF_COUNT] = {
    [PROOF_NONE] = "none",
    [PROOF_ENCRYPTED] = "encrypted",
    [PROOF_VERIFIED] = "verified",
    [PROOF_DANE] = "dane",
};
static const char *const domain_tls_names[DOMAIN_TLS_COUNT] = {
    [DOMAIN_TLS_UNKNOWN] = "unknown",
    [DOMAIN_TLS_PROVED] = "proved",
    [DOMAIN_TLS_LACKING] = "lacking",
};

const char *method_name(enum method method)
{
    return (unsigned)method < METHOD_COUNT ? method_names[method] : "?";
}

const char *delivery_mode_name(enum delivery_mode mode)
{
    return (unsigned)mode < MODE_COUNT ? mode_names[mode] : "?";
}

const char *proof_level_name(enum proof_level level)
{
    return (unsigned)level < PROOF_COUNT ? level_names[level] : "?";
}

const char *domain_tls_name(enum domain_tls state)
{
    return (unsigned)state < DOMAIN_TLS_COUNT ? domain_tls_names[state] : "?";
}

static bool find_name(const char *const *names, size_t count, struct slice name,
                      unsigned *at_out)
{
    for (unsigned i = 0; i < count; i++)
        if (slice_equal_nocase(name, slice_from_cstr(names[i]))) {
            *at_out = i;
            return true;
        }
    return false;
}

bool method_parse(struct slice name, enum method *method_out)
{
    unsigned at = 0;
    bool found = find_name(method_names, METHOD_COUNT, name, &at);

    *method_out = (enum method)at;
    return found;
}

bool delivery_mode_parse(struct slice name, enum delivery_mode *mode_out)
{
    unsigned at = 0;
    bool found = find_name(mode_names, MODE_COUNT, name, &at);

    *mode_out = (enum delivery_mode)at;
    return found;
}

bool proof_level_parse(struct slice name, enum proof_level *level_out)
{
    unsigned at = 0;
    bool found = find_name(level_names, PROOF_COUNT, name, &at);

    *level_out = (enum proof_level)at;
    return found;
}
