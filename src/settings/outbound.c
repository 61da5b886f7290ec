/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/outbound.h"

#include <arpa/inet.h>
#include <string.h>

enum { SOURCE_TEXT_MAX = 64 };

bool outbound_use_parse(struct slice text, struct slice *name_out, uint32_t *weight_out)
{
    size_t equals = slice_find_byte(text, '=');
    uint64_t weight = 0;

    *name_out = slice_trim(slice_head(text, equals));
    if (equals < text.len &&
        (!slice_parse_u64(slice_trim(slice_from(text, equals + 1)), &weight) || weight == 0 ||
         weight > OUTBOUND_WEIGHT_MAX))
        return false;
    *weight_out = (uint32_t)weight;
    return name_out->len > 0;
}

bool outbound_source_parse(struct slice text, struct sockaddr_storage *address_out,
                           socklen_t *len_out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char text_cstr[SOURCE_TEXT_MAX];

    *address_out = (struct sockaddr_storage){0};
    if (!slice_to_cstr(text, text_cstr, sizeof text_cstr))
        return false;
    if (inet_pton(AF_INET, text_cstr, &v4.sin_addr) == 1) {
        memcpy(address_out, &v4, sizeof v4);
        *len_out = sizeof v4;
        return true;
    }
    if (inet_pton(AF_INET6, text_cstr, &v6.sin6_addr) == 1) {
        memcpy(address_out, &v6, sizeof v6);
        *len_out = sizeof v6;
        return true;
    }
    return false;
}

socklen_t outbound_source(const struct settings_outbound *outbound, int family,
                          struct sockaddr_storage *address_out)
{
    socklen_t len;

    for (size_t i = 0; i < outbound->source_count; i++)
        if (outbound_source_parse(slice_from_cstr(outbound->source[i]), address_out, &len) &&
            address_out->ss_family == family)
            return len;
    return 0;
}

/* ---- checks ---- */

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.at[i];

        if (!byte_is_alpha(byte) && !byte_is_digit(byte) && byte != '-' && byte != '_' &&
            byte != '.')
            return false;
    }
    return name.len > 0 && name.len <= OUTBOUND_NAME_MAX;
}

static void check_sources(const struct settings_outbound *outbound, struct cfg_t *section,
                          struct settings_mistake *mistake)
{
    unsigned line = settings_tree_line(section, "source", mistake);
    struct sockaddr_storage address;
    size_t v4 = 0, v6 = 0;
    socklen_t len;

    for (size_t i = 0; i < outbound->source_count; i++) {
        if (!outbound_source_parse(slice_from_cstr(outbound->source[i]), &address, &len))
            settings_wrong(mistake, line,
                           "source \"%s\" is no address; write 192.0.2.1 or 2001:db8::1",
                           outbound->source[i]);
        else if (address.ss_family == AF_INET)
            v4++;
        else
            v6++;
    }
    if (v4 > 1 || v6 > 1)
        settings_wrong(mistake, line,
                       "outbound \"%s\": at most one IPv4 and one IPv6 source; make another "
                       "outbound for the next",
                       outbound->name_cstr);
}

static void check_login(const struct settings_outbound *outbound, struct cfg_t *section,
                        struct settings_mistake *mistake)
{
    bool has_user = outbound->user_cstr[0] != 0,
         has_password = outbound->password.path_cstr[0] != 0,
         has_host = outbound->smart_host_cstr[0] != 0;

    if (has_user != has_password)
        settings_wrong(mistake, settings_tree_line(section, "user", mistake),
                       "outbound \"%s\": user and password_file belong together; write both",
                       outbound->name_cstr);
    if (has_user && !has_host)
        settings_wrong(mistake, settings_tree_line(section, "user", mistake),
                       "outbound \"%s\" has a login but no smart_host; write one",
                       outbound->name_cstr);
    if (strlen(outbound->user_cstr) > OUTBOUND_PASSWORD_MAX)
        settings_wrong(mistake, settings_tree_line(section, "user", mistake),
                       "outbound \"%s\": the user's name is too long", outbound->name_cstr);
}

static void check_one(const struct settings_outbound *outbound, struct cfg_t *section,
                      struct settings_mistake *mistake)
{
    struct slice name = slice_from_cstr(outbound->name_cstr);

    if (!is_name(name) || slice_equal_nocase(name, S(OUTBOUND_DIRECT)))
        settings_wrong(mistake, settings_tree_line(section, NULL, mistake),
                       "outbound \"%s\": a name is letters, digits, - _ and ., not \"direct\"",
                       outbound->name_cstr);
    check_sources(outbound, section, mistake);
    check_login(outbound, section, mistake);
}

static void check_uses(const struct settings *settings, const char *const *uses, size_t count,
                       unsigned line, struct settings_mistake *mistake)
{
    for (size_t i = 0; i < count; i++) {
        struct slice name;
        uint32_t weight;

        if (!outbound_use_parse(slice_from_cstr(uses[i]), &name, &weight))
            settings_wrong(mistake, line,
                           "\"%s\" is no outbound route; write \"name\" or \"name=weight\", "
                           "weight 1 to 1000",
                           uses[i]);
        else if (!slice_equal_nocase(name, S(OUTBOUND_DIRECT)) &&
                 settings_outbound_find(settings, name) == NULL)
            settings_wrong(mistake, line,
                           "there is no outbound \"%.*s\"; write: outbound \"%.*s\" { … }, or "
                           "name one that exists",
                           SLICE_ARGS(name), SLICE_ARGS(name));
    }
    if (count > OUTBOUND_MAX)
        settings_wrong(mistake, line, "more than %d outbound routes; remove some",
                       OUTBOUND_MAX);
}

void outbound_check(const struct settings *settings, struct cfg_t *tree,
                    struct settings_mistake *mistake)
{
    if (settings->outbound_count > OUTBOUND_MAX)
        settings_wrong(mistake, 1, "more than %d outbound routes; remove some", OUTBOUND_MAX);
    for (size_t i = 0; i < settings->outbound_count; i++)
        check_one(&settings->outbounds[i], settings_tree_section(tree, "outbound", i), mistake);
    check_uses(settings, settings->default_outbound, settings->default_outbound_count,
               settings_tree_line(tree, "default_outbound", mistake), mistake);
    for (size_t i = 0; i < settings->account_count; i++)
        check_uses(
            settings, settings->accounts[i].outbound, settings->accounts[i].outbound_count,
            settings_tree_line(settings_tree_section(tree, "account", i), "outbound", mistake),
            mistake);
}
