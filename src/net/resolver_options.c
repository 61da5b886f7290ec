/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's wishes, in libunbound's words. */
#include "net/resolver_internal.h"

#include <stdio.h>
#include <unbound.h>

enum { RECORD_SIZE = 1024 };

static bool is_reserved_zone(struct slice zone)
{
    return slice_equal_nocase(zone, S("test")) || slice_equal_nocase(zone, S("example")) ||
           slice_equal_nocase(zone, S("invalid"));
}

/* The zone that a local record needs: see resolver_new. */
static bool add_local_zone(struct resolver *resolver, struct slice record, bool has_forwarders)
{
    size_t len = 0;
    struct slice owner, top;
    char zone_cstr[DNS_NAME_SIZE];

    while (len < record.len && record.at[len] != ' ' && record.at[len] != '\t')
        len++;
    owner = slice_head(record, len);
    if (owner.len > 0 && owner.at[owner.len - 1] == '.')
        owner.len--;
    top = owner;
    while (slice_find_byte(top, '.') < top.len)
        slice_cut(&top, '.');
    if (is_reserved_zone(top) && !has_forwarders)
        return snprintf(zone_cstr, sizeof zone_cstr, "%.*s.", SLICE_ARGS(top)) > 0 &&
               ub_ctx_zone_add(resolver->unbound, zone_cstr, "static") == 0;
    if (owner.len >= sizeof zone_cstr - 1)
        return false;
    snprintf(zone_cstr, sizeof zone_cstr, "%.*s.", SLICE_ARGS(owner));
    return ub_ctx_zone_add(resolver->unbound, zone_cstr, "transparent") == 0;
}

static bool add_local_data(struct resolver *resolver, const struct resolver_options *options,
                           struct err *err)
{
    for (size_t i = 0; i < options->local_data_count; i++) {
        const char *record_cstr = options->local_data[i];

        if (!add_local_zone(resolver, slice_trim(slice_from_cstr(record_cstr)),
                            options->forward_count > 0) ||
            ub_ctx_data_add(resolver->unbound, record_cstr) != 0)
            return FAIL(err, ERR_PERM,
                        "cannot read the local DNS record \"%s\"; write it like "
                        "\"good.test. MX 10 mx.good.test.\"",
                        record_cstr);
    }
    return true;
}

static bool add_forwarders(struct resolver *resolver, const struct resolver_options *options,
                           struct err *err)
{
    if (options->forward_count == 0)
        return true;
    /* By default unbound never asks 127.0.0.1; a forwarder may well be there. */
    must(ub_ctx_set_option(resolver->unbound, "do-not-query-localhost:", "no") == 0);
    for (size_t i = 0; i < options->forward_count; i++)
        if (ub_ctx_set_fwd(resolver->unbound, options->forward[i]) != 0)
            return FAIL(err, ERR_PERM,
                        "\"%s\" is not the address of a resolver; write it like "
                        "\"192.0.2.1\" or \"127.0.0.1@5353\"",
                        options->forward[i]);
    return true;
}

static bool add_trust_anchor(struct resolver *resolver, struct slice bytes, struct err *err)
{
    while (bytes.len > 0) {
        struct slice line = slice_cut(&bytes, '\n');
        char line_cstr[RECORD_SIZE];

        line = slice_trim(slice_head(line, slice_find_byte(line, ';')));
        if (line.len == 0)
            continue;
        if (!slice_to_cstr(line, line_cstr, sizeof line_cstr) ||
            ub_ctx_add_ta(resolver->unbound, line_cstr) != 0)
            return FAIL(err, ERR_PERM,
                        "a line of the trust anchor is not a DS or DNSKEY record");
    }
    return true;
}

bool resolver__set_up(struct resolver *resolver, const struct resolver_options *options,
                      struct err *err)
{
    static const char *const settings[][2] = {
        {"verbosity:", "0"},
        {"use-syslog:", "no"},
        {"outgoing-range:", "512"},
        {"num-queries-per-thread:", "2048"},
        {"qname-minimisation:", "yes"},
        {"msg-cache-size:", "16m"},
        {"rrset-cache-size:", "32m"},
    };

    for (size_t i = 0; i < COUNT_OF(settings); i++)
        must(ub_ctx_set_option(resolver->unbound, settings[i][0], settings[i][1]) == 0);
    must(ub_ctx_debugout(resolver->unbound, NULL) == 0);
    if (!add_forwarders(resolver, options, err) ||
        !add_trust_anchor(resolver, options->trust_anchor, err))
        return false;
    /* The first zone closes the context for all settings above. By default "test." does not exist. */
    if (options->forward_count > 0)
        must(ub_ctx_zone_add(resolver->unbound, "test.", "transparent") == 0);
    return add_local_data(resolver, options, err);
}
