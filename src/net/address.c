/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <string.h>

struct range {
    uint8_t prefix[16];
    unsigned bits;
};

static const struct range ipv4_ranges[] = {
    {{0}, 8},             /* this network */
    {{10}, 8},            /* private */
    {{100, 64}, 10},      /* shared by carriers */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local: clouds keep secrets there */
    {{172, 16}, 12},      /* private */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays, deprecated */
    {{192, 168}, 16},     /* private */
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved, broadcast */
};

/* Within 2000::/3, all that is given out at all. */
static const struct range ipv6_ranges[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocol assignments, Teredo among them */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x3f, 0xff}, 20},             /* documentation */
};

static bool is_in(const uint8_t *bytes, const struct range *range)
{
    unsigned whole = range->bits / 8, rest = range->bits % 8;

    return memcmp(bytes, range->prefix, whole) == 0 &&
           (rest == 0 || (bytes[whole] ^ range->prefix[whole]) >> (8 - rest) == 0);
}

static bool is_in_any(const uint8_t *bytes, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(bytes, &ranges[i]))
            return true;
    return false;
}

static bool is_public_ipv4(const uint8_t *bytes)
{
    return !is_in_any(bytes, ipv4_ranges, COUNT_OF(ipv4_ranges));
}

bool address_is_public(const struct dns_address *address)
{
    static const struct range translated = {{0x00, 0x64, 0xff, 0x9b},
                                            96}; /* NAT64 [RFC 6052] */
    static const struct range six_to_four = {{0x20, 0x02}, 16};
    static const struct range given_out = {{0x20}, 3};
    const uint8_t *bytes = address->bytes;

    if (!address->is_ipv6)
        return is_public_ipv4(bytes);
    if (is_in(bytes, &translated))
        return is_public_ipv4(bytes + 12);
    if (is_in(bytes, &six_to_four))
        return is_public_ipv4(bytes + 2);
    return is_in(bytes, &given_out) && !is_in_any(bytes, ipv6_ranges, COUNT_OF(ipv6_ranges));
}
