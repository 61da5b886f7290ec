/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include "kit/kit.h"

#include <arpa/inet.h>
#include <string.h>

static void test_the_edges_of_every_range(void **state)
{
    static const struct {
        const char *text_cstr;
        bool is_public;
    } cases[] = {
        {"0.0.0.0", false},
        {"1.1.1.1", true},
        {"9.255.255.255", true},
        {"10.0.0.0", false},
        {"10.255.255.255", false},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.64.0.0", false},
        {"100.127.255.255", false},
        {"100.128.0.0", true},
        {"127.0.0.1", false},
        {"127.255.255.255", false},
        {"128.0.0.1", true},
        {"169.253.255.255", true},
        {"169.254.169.254", false},
        {"169.255.0.0", true},
        {"172.15.255.255", true},
        {"172.16.0.0", false},
        {"172.31.255.255", false},
        {"172.32.0.0", true},
        {"192.0.0.8", false},
        {"192.0.1.1", true},
        {"192.0.2.1", false},
        {"192.88.99.1", false},
        {"192.167.255.255", true},
        {"192.168.0.0", false},
        {"192.169.0.0", true},
        {"198.17.255.255", true},
        {"198.18.0.0", false},
        {"198.19.255.255", false},
        {"198.20.0.0", true},
        {"198.51.100.7", false},
        {"203.0.113.7", false},
        {"223.255.255.255", true},
        {"224.0.0.1", false},
        {"240.0.0.1", false},
        {"255.255.255.255", false},
        {"::", false},
        {"::1", false},
        {"::ffff:127.0.0.1", false},
        {"::ffff:1.1.1.1", false},
        {"::1.1.1.1", false},
        {"64:ff9b::7f00:1", false},
        {"64:ff9b::101:101", true},
        {"64:ff9b:1::101:101", false},
        {"100::1", false},
        {"2001::1", false},
        {"2001:1ff:ffff::1", false},
        {"2001:200::1", true},
        {"2001:db8::1", false},
        {"2001:db9::1", true},
        {"2002:7f00:1::1", false},
        {"2002:101:101::1", true},
        {"2002:c0a8:101::1", false},
        {"2606:4700::1111", true},
        {"3fff::1", false},
        {"3ffe::1", true},
        {"4000::1", false},
        {"5f00::1", false},
        {"fc00::1", false},
        {"fdff::1", false},
        {"fe80::1", false},
        {"fec0::1", false},
        {"ff02::1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct dns_address address = {.is_ipv6 = strchr(cases[i].text_cstr, ':') != NULL};

        assert_int_equal(
            inet_pton(address.is_ipv6 ? AF_INET6 : AF_INET, cases[i].text_cstr, address.bytes),
            1);
        if (address_is_public(&address) != cases[i].is_public)
            fail_msg("%s", cases[i].text_cstr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_edges_of_every_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
