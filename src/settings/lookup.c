/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

#include "settings/values.h"

#include <string.h>

const struct settings_account *settings_account_find(const struct settings *settings,
                                                     struct slice name)
{
    for (size_t i = 0; i < settings->account_count; i++) {
        if (slice_equal_nocase(slice_from_cstr(settings->accounts[i].name_cstr), name))
            return &settings->accounts[i];
    }
    return NULL;
}

const struct settings_domain *settings_domain_find(const struct settings *settings,
                                                   struct slice domain)
{
    for (size_t i = 0; i < settings->domain_count; i++) {
        if (slice_equal_nocase(slice_from_cstr(settings->domains[i].name_cstr), domain))
            return &settings->domains[i];
    }
    return NULL;
}

const struct settings_user *settings_user_find(const struct settings *settings,
                                               struct slice name)
{
    for (size_t i = 0; i < settings->user_count; i++) {
        if (slice_equal_nocase(slice_from_cstr(settings->users[i].name_cstr), name))
            return &settings->users[i];
    }
    return NULL;
}

const struct settings_route *settings_route_find(const struct settings *settings,
                                                 struct slice domain)
{
    const struct settings_route *any = NULL;

    for (size_t i = 0; i < settings->route_count; i++) {
        struct slice name = slice_from_cstr(settings->routes[i].domain_cstr);

        if (slice_equal_nocase(name, domain))
            return &settings->routes[i];
        if (slice_equal(name, S("*")))
            any = &settings->routes[i];
    }
    return any;
}

const struct settings_outbound *settings_outbound_find(const struct settings *settings,
                                                       struct slice name)
{
    for (size_t i = 0; i < settings->outbound_count; i++) {
        if (slice_equal_nocase(slice_from_cstr(settings->outbounds[i].name_cstr), name))
            return &settings->outbounds[i];
    }
    return NULL;
}

const struct settings_recipient *settings_recipient_find(const struct settings_account *account,
                                                         struct slice address)
{
    const struct settings_recipient *by_domain = NULL;
    struct slice domain = address;

    while (slice_find_byte(domain, '@') < domain.len)
        (void)slice_cut(&domain, '@');
    for (size_t i = 0; i < account->recipient_count; i++) {
        struct slice match = slice_from_cstr(account->recipients[i].match_cstr);

        if (slice_equal_nocase(match, address))
            return &account->recipients[i];
        if (slice_equal_nocase(match, domain))
            by_domain = &account->recipients[i];
    }
    return by_domain;
}

const struct settings_recipient *
settings_recipient_named(const struct settings_account *account, struct slice name)
{
    for (size_t i = 0; i < account->recipient_count; i++)
        if (slice_equal_nocase(slice_from_cstr(account->recipients[i].match_cstr), name))
            return &account->recipients[i];
    return NULL;
}

enum delivery_mode settings_sender_mode(const struct settings_account *account,
                                        struct slice name)
{
    for (size_t i = 0; i < account->sender_count; i++)
        if (slice_equal_nocase(slice_from_cstr(account->senders[i].match_cstr), name))
            return account->senders[i].mode;
    return MODE_UNSET;
}

bool settings_is_excepted(const struct settings *settings, struct slice domain, int64_t now_ms)
{
    for (size_t i = 0; i < settings->exception_count; i++) {
        const struct settings_exception *exception = &settings->exceptions[i];
        int64_t end_ms;

        if (slice_equal_nocase(slice_from_cstr(exception->domain_cstr), domain))
            return value_date_parse(slice_from_cstr(exception->until_cstr), &end_ms) &&
                   now_ms < end_ms;
    }
    return false;
}

bool settings_pattern_matches(const char *pattern_cstr, struct slice name)
{
    struct slice pattern = slice_from_cstr(pattern_cstr);

    if (!slice_starts_with(pattern, S("*.")))
        return slice_equal_nocase(pattern, name);
    pattern = slice_from(pattern, 1);
    return name.len > pattern.len && slice_ends_with_nocase(name, pattern);
}

static bool fingerprint_equal(struct slice text, const uint8_t sha256[32])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    for (size_t i = 0; i < text.len && at < 64; i++) {
        if (text.at[i] == ':')
            continue;
        if (byte_lower(text.at[i]) !=
            (uint8_t)digits[at % 2 == 0 ? sha256[at / 2] >> 4 : sha256[at / 2] & 15])
            return false;
        at++;
    }
    return at == 64;
}

bool settings_fingerprint_listed(const char *const *fingerprints, size_t count,
                                 const uint8_t sha256[32])
{
    for (size_t i = 0; i < count; i++) {
        if (fingerprint_equal(slice_from_cstr(fingerprints[i]), sha256))
            return true;
    }
    return false;
}

static bool is_inside(const struct settings_network *network, const uint8_t address[16])
{
    size_t whole = network->prefix_bits / 8;
    unsigned rest = network->prefix_bits % 8;

    if (memcmp(network->address, address, whole) != 0)
        return false;
    return rest == 0 ||
           ((network->address[whole] ^ address[whole]) & (0xff00U >> rest) & 0xffU) == 0;
}

bool settings_network_holds(const struct settings_network *networks, size_t count,
                            const struct sockaddr *client)
{
    uint8_t address[16] = {0};

    if (client->sa_family == AF_INET) {
        address[10] = address[11] = 0xff;
        memcpy(address + 12, &((const struct sockaddr_in *)(const void *)client)->sin_addr, 4);
    } else if (client->sa_family == AF_INET6) {
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)client)->sin6_addr, 16);
    } else {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_inside(&networks[i], address))
            return true;
    }
    return false;
}

const struct settings_account *settings_relay_certificate(const struct settings *settings,
                                                          const uint8_t sha256[32])
{
    for (size_t i = 0; i < settings->account_count; i++) {
        const struct settings_account *account = &settings->accounts[i];

        if (settings_fingerprint_listed(account->relay_certificates,
                                        account->relay_certificate_count, sha256))
            return account;
    }
    return NULL;
}

const struct settings_account *settings_relay_account(const struct settings *settings,
                                                      const struct sockaddr *client)
{
    for (size_t i = 0; i < settings->account_count; i++) {
        const struct settings_account *account = &settings->accounts[i];

        if (settings_network_holds(account->relay_networks, account->relay_network_count,
                                   client))
            return account;
    }
    return NULL;
}
