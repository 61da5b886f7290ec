/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/mx_set.h"

#include "kit/kit.h"

#include <stdio.h>
#include <string.h>

static void test_order_does_not_matter(void **state)
{
    static const struct dns_mx one[] = {{10, "b.test"}, {20, "a.test"}, {30, "b.test"}},
                               other[] = {{5, "a.test"}, {5, "b.test"}};
    char text_cstr[MX_SET_SIZE], other_cstr[MX_SET_SIZE];

    (void)state;
    mx_set_write(one, COUNT_OF(one), text_cstr);
    assert_string_equal(text_cstr, "a.test b.test");
    mx_set_write(other, COUNT_OF(other), other_cstr);
    assert_string_equal(text_cstr, other_cstr);
    mx_set_write(one, 0, text_cstr);
    assert_string_equal(text_cstr, "");
}

static void test_long_sets_differ(void **state)
{
    struct dns_mx many[DNS_MX_MAX] = {{0}};
    char text_cstr[MX_SET_SIZE], other_cstr[MX_SET_SIZE];

    (void)state;
    for (size_t i = 0; i < DNS_MX_MAX; i++) {
        memset(many[i].host_cstr, 'x', 60);
        snprintf(many[i].host_cstr + 60, 20, "-%zu.test", i);
    }
    mx_set_write(many, DNS_MX_MAX, text_cstr);
    many[DNS_MX_MAX - 1].host_cstr[0] = 'y';
    mx_set_write(many, DNS_MX_MAX, other_cstr);
    assert_true(strlen(text_cstr) < MX_SET_SIZE);
    assert_string_not_equal(text_cstr, other_cstr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_long_sets_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
