/* SPDX-License-Identifier: Apache-2.0 */
#include "net/idn.h"

#include "kit/kit.h"

static void test_domains_become_ascii(void **state)
{
    char text_cstr[256], small_cstr[8];

    (void)state;
    assert_true(domain_to_ascii(S("b\xc3\xbc"
                                  "cher.example"),
                                text_cstr, sizeof text_cstr));
    assert_string_equal(text_cstr, "xn--bcher-kva.example");
    assert_true(domain_to_ascii(S("B\xc3\x9c"
                                  "CHER.Example"),
                                text_cstr, sizeof text_cstr));
    assert_string_equal(text_cstr, "xn--bcher-kva.example");
    assert_true(domain_to_ascii(S("stra\xc3\x9f"
                                  "e.example"),
                                text_cstr, sizeof text_cstr));
    assert_string_equal(text_cstr, "xn--strae-oqa.example");
    assert_true(domain_to_ascii(S("plain.example"), text_cstr, sizeof text_cstr));
    assert_string_equal(text_cstr, "plain.example");
    assert_false(domain_to_ascii(S(""), text_cstr, sizeof text_cstr));
    assert_false(domain_to_ascii(S("\xff.example"), text_cstr, sizeof text_cstr));
    assert_false(domain_to_ascii(S("a\0b.example"), text_cstr, sizeof text_cstr));
    assert_false(domain_to_ascii(S("plain.example"), small_cstr, sizeof small_cstr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_domains_become_ascii)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
