/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_report.h"

#include "kit/kit.h"

#include <string.h>

static void test_names_are_those_of_the_rfc(void **state)
{
    enum tls_report_policy policy;

    (void)state;
    assert_string_equal(tls_report_result_name(REPORT_SUCCESS), "");
    assert_string_equal(tls_report_result_name(REPORT_STARTTLS_NOT_SUPPORTED),
                        "starttls-not-supported");
    assert_string_equal(tls_report_result_name(REPORT_STS_WEBPKI_INVALID),
                        "sts-webpki-invalid");
    assert_string_equal(tls_report_result_name(REPORT_RESULT_COUNT), "");
    for (unsigned i = REPORT_SUCCESS + 1; i < REPORT_RESULT_COUNT; i++)
        assert_true(strlen(tls_report_result_name((enum tls_report_result)i)) > 5);
    for (unsigned i = 0; i < REPORT_POLICY_COUNT; i++) {
        const char *name_cstr = tls_report_policy_name((enum tls_report_policy)i);

        assert_true(tls_report_policy_parse(slice_from_cstr(name_cstr), &policy));
        assert_int_equal(policy, i);
    }
    assert_false(tls_report_policy_parse(S("dane"), &policy));
    assert_false(tls_report_policy_parse(S(""), &policy));
}

/* uris NULL: refused. */
static const struct record_case {
    const char *record_cstr, *uris_cstr;
} records[] = {
    {"v=TLSRPTv1;rua=mailto:reports@example.com", "mailto:reports@example.com\n"},
    {"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt",
     "https://reporting.example.com/v1/tlsrpt\n"},
    {"v=TLSRPTv1 ; x=y; rua=mailto:a@x.test , https://x.test/r ;",
     "mailto:a@x.test\nhttps://x.test/r\n"},
    {"v=TLSRPTv1;rua=MAILTO:a%2Cb@x.test", NULL}, /* a comma in an address */
    {"v=TLSRPTv1;rua=MAILTO:a%2bb@x.test?subject=x", "mailto:a+b@x.test\n"},
    {"v=TLSRPTv1;rua=HTTPS://x.test:8443/a%2Cb", "https://x.test:8443/a%2Cb\n"},
    {"v=TLSRPTv1;rua=http://x.test/,ftp://x.test/,mailto:a@x.test", "mailto:a@x.test\n"},
    {"v=TLSRPTv1;rua=mailto:a@x.test,mailto:b@x.test,mailto:c@x.test,mailto:d@x.test,"
     "mailto:e@x.test",
     "mailto:a@x.test\nmailto:b@x.test\nmailto:c@x.test\nmailto:d@x.test\n"},
    {"v=TLSRPTv1", NULL},
    {"v=TLSRPTv1;", NULL},
    {"v=TLSRPTv1;rua=", NULL},
    {"v=TLSRPTv1;rua=mailto:", NULL},
    {"v=TLSRPTv1;ruA=mailto:a@x.test", NULL},
    {"v=TLSRPTv11;rua=mailto:a@x.test", NULL},
    {"V=TLSRPTv1;rua=mailto:a@x.test", NULL},
    {" v=TLSRPTv1;rua=mailto:a@x.test", NULL},
    {"v=STSv1;rua=mailto:a@x.test", NULL},
    {"v=TLSRPTv1;rua=mailto:a@x.test;rua=mailto:b@x.test", NULL},
    {"v=TLSRPTv1;rua=mailto:a@x.test%0d%0aBcc:b@y.test", NULL},
    {"v=TLSRPTv1;rua=mailto:a%00@x.test", NULL},
    {"v=TLSRPTv1;rua=mailto:a@b@x.test", NULL},
    {"v=TLSRPTv1;rua=mailto:a@[127.0.0.1]", NULL},
    {"v=TLSRPTv1;rua=mailto:a@.test", NULL},
    {"v=TLSRPTv1;rua=mailto:<a@x.test>", NULL},
    {"v=TLSRPTv1;rua=https://", NULL},
    {"v=TLSRPTv1;rua=https:///x", NULL},
    {"v=TLSRPTv1;rua=https://user@x.test/", NULL},
    {"v=TLSRPTv1;rua=https://x.test/a b", NULL},
    {"v=TLSRPTv1;rua=https://x.test/\x01", NULL},
    {"", NULL},
};

static void test_records(void **state)
{
    struct buffer uris;
    struct err err;

    (void)state;
    buffer_init(&uris, 10000);
    for (size_t i = 0; i < COUNT_OF(records); i++) {
        const struct record_case *it = &records[i];
        bool is_read;

        buffer_clear(&uris);
        is_read = rua_record_parse(slice_from_cstr(it->record_cstr), &uris, &err);
        if (is_read != (it->uris_cstr != NULL) ||
            (is_read && !slice_equal(buffer_view(&uris), slice_from_cstr(it->uris_cstr))))
            fail_msg("%s gave %.*s", it->record_cstr, SLICE_ARGS(buffer_view(&uris)));
        if (!is_read)
            assert_int_equal(buffer_len(&uris), 0);
    }
    buffer_deinit(&uris);
}

static void test_long_ones_are_refused(void **state)
{
    char record_cstr[RUA_RECORD_MAX_BYTES + 100] = "v=TLSRPTv1;rua=mailto:";
    size_t len = strlen(record_cstr);
    struct buffer uris;
    struct err err;

    (void)state;
    buffer_init(&uris, 10000);
    memset(record_cstr + len, 'a', RUA_URI_MAX_BYTES);
    memcpy(record_cstr + len + RUA_URI_MAX_BYTES, "@x.test", 8);
    assert_false(rua_record_parse(slice_from_cstr(record_cstr), &uris, &err));
    memset(record_cstr + len, ';', sizeof record_cstr - len - 1);
    memcpy(record_cstr + len, "a@x.test", 8);
    assert_false(rua_record_parse(slice_from_cstr(record_cstr), &uris, &err));
    record_cstr[RUA_RECORD_MAX_BYTES] = '\0';
    assert_true(rua_record_parse(slice_from_cstr(record_cstr), &uris, &err));
    buffer_deinit(&uris);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_names_are_those_of_the_rfc),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_long_ones_are_refused),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
