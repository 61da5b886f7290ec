/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/values.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    ADDRESS_TEXT_MAX = 64,
    DOMAIN_MAX_BYTES = 253,
    LABEL_MAX_BYTES = 63,
    MAPPED_BITS = 96, /* ::ffff:0:0/96 */
    FINGERPRINT_TEXT = 64,
    FINGERPRINT_COLON_TEXT = 95,
};

struct unit {
    struct slice name;
    uint64_t factor;
};

static const struct unit time_units[] = {
    {SLICE_INIT("ms"), 1},      {SLICE_INIT("s"), 1000},     {SLICE_INIT("m"), 60000},
    {SLICE_INIT("h"), 3600000}, {SLICE_INIT("d"), 86400000}, {SLICE_INIT("w"), 604800000},
};
static const struct unit size_units[] = {
    {SLICE_INIT(""), 1},
    {SLICE_INIT("K"), UINT64_C(1) << 10},
    {SLICE_INIT("M"), UINT64_C(1) << 20},
    {SLICE_INIT("G"), UINT64_C(1) << 30},
};

/* Digits, then one of the units; the product stays below `max`. */
static bool parse_with_unit(struct slice text, const struct unit *units, size_t unit_count,
                            uint64_t max, uint64_t *value_out)
{
    size_t digits = 0;
    uint64_t number;

    while (digits < text.len && byte_is_digit(text.at[digits]))
        digits++;
    if (!slice_parse_u64(slice_head(text, digits), &number))
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (!slice_equal_nocase(slice_from(text, digits), units[i].name))
            continue;
        if (number > max / units[i].factor)
            return false;
        *value_out = number * units[i].factor;
        return true;
    }
    return false;
}

bool value_duration_parse(struct slice text, int64_t *ms_out)
{
    const uint64_t century_ms = UINT64_C(36525) * 86400000;
    uint64_t value;

    if (slice_equal(text, S("0"))) {
        *ms_out = 0;
        return true;
    }
    if (!parse_with_unit(text, time_units, COUNT_OF(time_units), century_ms, &value))
        return false;
    *ms_out = (int64_t)value;
    return true;
}

/* Days since 1970-01-01; false when there is no such day. */
static bool days_of(uint64_t year, uint64_t month, uint64_t day, int64_t *days_out)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    uint64_t before = year - 1, days;

    if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (is_leap && month == 2 ? 1U : 0U))
        return false;
    days = before * 365 + before / 4 - before / 100 + before / 400 - 719162 + day - 1;
    for (uint64_t i = 1; i < month; i++)
        days += lengths[i - 1] + (is_leap && i == 2 ? 1U : 0U);
    *days_out = (int64_t)days;
    return true;
}

bool value_date_parse(struct slice text, int64_t *end_ms_out)
{
    uint64_t year, month, day;
    int64_t days;

    if (text.len != 10 || text.at[4] != '-' || text.at[7] != '-' ||
        !slice_parse_u64(slice_head(text, 4), &year) ||
        !slice_parse_u64(slice_head(slice_from(text, 5), 2), &month) ||
        !slice_parse_u64(slice_from(text, 8), &day) || !days_of(year, month, day, &days))
        return false;
    *end_ms_out = (days + 1) * 86400000;
    return true;
}

bool value_size_parse(struct slice text, uint64_t *bytes_out)
{
    return parse_with_unit(text, size_units, COUNT_OF(size_units), UINT64_C(1) << 60,
                           bytes_out);
}

bool value_flag_parse(struct slice text, bool *flag_out)
{
    static const struct {
        struct slice word;
        bool value;
    } words[] = {{SLICE_INIT("yes"), true},    {SLICE_INIT("true"), true},
                 {SLICE_INIT("on"), true},     {SLICE_INIT("no"), false},
                 {SLICE_INIT("false"), false}, {SLICE_INIT("off"), false}};

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (slice_equal_nocase(text, words[i].word)) {
            *flag_out = words[i].value;
            return true;
        }
    }
    return false;
}

static bool parse_port(struct slice text, uint16_t *port_out)
{
    uint64_t number;

    if (!slice_parse_u64(text, &number) || number == 0 || number > UINT16_MAX)
        return false;
    *port_out = (uint16_t)number;
    return true;
}

static size_t find_last(struct slice text, uint8_t byte)
{
    size_t at = text.len;

    while (at > 0 && text.at[at - 1] != byte)
        at--;
    return at == 0 ? text.len : at - 1;
}

bool value_address_parse(struct slice text, struct sockaddr_storage *address_out,
                         socklen_t *len_out)
{
    size_t colon = find_last(text, ':');
    struct slice host = slice_head(text, colon);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char host_cstr[ADDRESS_TEXT_MAX];
    uint16_t port;
    bool is_v6 = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';

    if (is_v6)
        host = slice_head(slice_from(host, 1), host.len - 2);
    if (!parse_port(slice_from(text, colon + 1), &port) ||
        !slice_to_cstr(host, host_cstr, sizeof host_cstr))
        return false;
    v4.sin_port = v6.sin6_port = htons(port);
    if (is_v6 && inet_pton(AF_INET6, host_cstr, &v6.sin6_addr) == 1) {
        *address_out = (struct sockaddr_storage){0};
        memcpy(address_out, &v6, sizeof v6);
        *len_out = sizeof v6;
        return true;
    }
    if (!is_v6 && inet_pton(AF_INET, host_cstr, &v4.sin_addr) == 1) {
        *address_out = (struct sockaddr_storage){0};
        memcpy(address_out, &v4, sizeof v4);
        *len_out = sizeof v4;
        return true;
    }
    return false;
}

static bool is_zero_behind(const uint8_t address[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++) {
        if ((address[i / 8] & (0x80U >> (i % 8))) != 0)
            return false;
    }
    return true;
}

bool value_network_parse(struct slice text, struct settings_network *network_out)
{
    bool has_prefix = slice_find_byte(text, '/') < text.len;
    struct slice rest = text, host = slice_cut(&rest, '/');
    char host_cstr[ADDRESS_TEXT_MAX];
    struct settings_network network = {0};
    uint64_t bits = 128;

    if (!slice_to_cstr(host, host_cstr, sizeof host_cstr))
        return false;
    if (has_prefix && !slice_parse_u64(rest, &bits))
        return false;
    if (inet_pton(AF_INET, host_cstr, network.address + 12) == 1) {
        network.address[10] = network.address[11] = 0xff;
        if (has_prefix && bits > 32)
            return false;
        bits = has_prefix ? bits + MAPPED_BITS : 128;
    } else if (inet_pton(AF_INET6, host_cstr, network.address) != 1) {
        return false;
    }
    if (bits > 128 || !is_zero_behind(network.address, (unsigned)bits))
        return false;
    network.prefix_bits = (uint8_t)bits;
    *network_out = network;
    return true;
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t byte = label.at[i];
        bool is_edge = i == 0 || i == label.len - 1;

        if (!byte_is_alpha(byte) && !byte_is_digit(byte) && (is_edge || byte != '-'))
            return false;
    }
    return true;
}

bool value_is_domain(struct slice text)
{
    bool more = true;

    if (text.len == 0 || text.len > DOMAIN_MAX_BYTES)
        return false;
    while (more) {
        more = slice_find_byte(text, '.') < text.len;
        if (!is_label(slice_cut(&text, '.')))
            return false;
    }
    return true;
}

bool value_is_address(struct slice text)
{
    size_t at = find_last(text, '@');
    struct slice local = slice_head(text, at);

    if (at == text.len || local.len == 0 || local.len > 64)
        return false;
    for (size_t i = 0; i < local.len; i++) {
        uint8_t byte = local.at[i];

        if (byte <= ' ' || byte == 0x7f || byte == '<' || byte == '>' || byte == '"' ||
            byte == '@')
            return false;
    }
    return value_is_domain(slice_from(text, at + 1));
}

bool value_host_port_parse(struct slice text, struct slice *host_out, uint16_t *port_out)
{
    bool is_literal = text.len > 0 && text.at[0] == '[';
    size_t end = slice_find_byte(text, is_literal ? ']' : ':') + (is_literal ? 1 : 0);
    struct slice host, rest;
    char host_cstr[ADDRESS_TEXT_MAX];
    uint8_t address[16];
    uint16_t port = 0;

    if (end > text.len)
        return false;
    host = slice_head(text, end);
    rest = slice_from(text, end);
    if (is_literal && (!slice_to_cstr(slice_head(slice_from(host, 1), host.len - 2), host_cstr,
                                      sizeof host_cstr) ||
                       (inet_pton(AF_INET, host_cstr, address) != 1 &&
                        inet_pton(AF_INET6, host_cstr, address) != 1)))
        return false;
    if (!is_literal && !value_is_domain(host))
        return false;
    if (rest.len > 0 && (rest.at[0] != ':' || !parse_port(slice_from(rest, 1), &port)))
        return false;
    *host_out = host;
    *port_out = port;
    return true;
}

/* "m=65536" with the letter given, in min..max. */
static bool is_cost(struct slice text, uint8_t letter, uint64_t min, uint64_t max)
{
    uint64_t number;

    return text.len > 2 && text.at[0] == letter && text.at[1] == '=' &&
           slice_parse_u64(slice_from(text, 2), &number) && number >= min && number <= max;
}

static bool is_base64_text(struct slice text, size_t min_len)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];

        if (!byte_is_alpha(byte) && !byte_is_digit(byte) && byte != '+' && byte != '/')
            return false;
    }
    return text.len >= min_len;
}

bool value_is_argon2id(struct slice text)
{
    struct slice costs;

    if (text.len > 127 || !slice_starts_with(text, S("$argon2id$v=19$")))
        return false;
    text = slice_from(text, S("$argon2id$v=19$").len);
    costs = slice_cut(&text, '$');
    return is_cost(slice_cut(&costs, ','), 'm', 8, UINT64_C(1) << 20) &&
           is_cost(slice_cut(&costs, ','), 't', 1, 16) && is_cost(costs, 'p', 1, 16) &&
           is_base64_text(slice_cut(&text, '$'), 11) && is_base64_text(text, 22);
}

static bool is_hex(uint8_t byte)
{
    return byte_is_digit(byte) || (byte_lower(byte) >= 'a' && byte_lower(byte) <= 'f');
}

bool value_is_fingerprint(struct slice text)
{
    bool has_colons = text.len == FINGERPRINT_COLON_TEXT;

    if (!has_colons && text.len != FINGERPRINT_TEXT)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (has_colons && i % 3 == 2 ? text.at[i] != ':' : !is_hex(text.at[i]))
            return false;
    }
    return true;
}

bool value_is_domain_pattern(struct slice text)
{
    return value_is_domain(slice_starts_with(text, S("*.")) ? slice_from(text, 2) : text);
}

bool value_is_origin(struct slice text)
{
    struct slice host;
    uint16_t port;

    return slice_starts_with(text, S("https://")) &&
           value_host_port_parse(slice_from(text, 8), &host, &port) && host.at[0] != '[';
}
