/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sts/sts.h"

#include "kit/kit.h"

#include <string.h>

#define V "v=STSv1;"
#define ID32 "abcdefghijklmnopqrstuvwxyz012345"

static void test_records(void **state)
{
    static const struct {
        struct slice record;
        const char *id_cstr; /* NULL: refused */
    } cases[] = {
        {SLICE_INIT(V " id=20160831085700Z;"), "20160831085700Z"},
        {SLICE_INIT(V "id=1"), "1"},
        {SLICE_INIT(V " \t id=1 \t ; \t "), "1"},
        {SLICE_INIT(V " id=" ID32), ID32},
        {SLICE_INIT(V " x-new.one=a/b?c; id=2"), "2"},
        {SLICE_INIT(V " id=2; id=3"), "2"},
        {SLICE_INIT(""), NULL},
        {SLICE_INIT("v=STSv1"), NULL},
        {SLICE_INIT("v=STSv1 ; id=1"), NULL},
        {SLICE_INIT("V=STSv1; id=1"), NULL},
        {SLICE_INIT("v=stsv1; id=1"), NULL},
        {SLICE_INIT("v=STSv2; id=1"), NULL},
        {SLICE_INIT(" " V " id=1"), NULL},
        {SLICE_INIT(V), NULL},
        {SLICE_INIT(V " ;"), NULL},
        {SLICE_INIT(V " id="), NULL},
        {SLICE_INIT(V " id"), NULL},
        {SLICE_INIT(V " ID=1"), NULL},
        {SLICE_INIT(V " id =1"), NULL},
        {SLICE_INIT(V " id= 1"), NULL},
        {SLICE_INIT(V " id=a-b"), NULL},
        {SLICE_INIT(V " id=a=b"), NULL},
        {SLICE_INIT(V " id=" ID32 "6"), NULL},
        {SLICE_INIT(V " id=1;; x=y"), NULL},
        {SLICE_INIT(V " id=1; x="), NULL},
        {SLICE_INIT(V " id=1; =x"), NULL},
        {SLICE_INIT(V " id=1; -x=y"), NULL},
        {SLICE_INIT(V " id=1; x=a b"), NULL},
        {SLICE_INIT(V " id=1; x=\xC3\xA9"), NULL},
        {SLICE_INIT(V " id=1; x=a\0b"), NULL},
        {SLICE_INIT(V " id=1 id=2"), NULL},
        {SLICE_INIT(V " id=1; n23456789012345678901234567890123=x"), NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char id_cstr[STS_ID_SIZE];
        struct err err = {0};
        bool good = sts_record_parse(cases[i].record, id_cstr, &err);

        if (good != (cases[i].id_cstr != NULL))
            print_message("record %zu: %.*s: %s\n", i, SLICE_ARGS(cases[i].record),
                          err.text_cstr);
        assert_int_equal(good, cases[i].id_cstr != NULL);
        if (good)
            assert_string_equal(id_cstr, cases[i].id_cstr);
        else
            assert_int_equal(err.class, ERR_PEER);
    }
}

static void test_only_one_record_counts(void **state)
{
    const struct slice spf = S("v=spf1 -all"), one = S(V " id=1"), two = S(V " id=2"),
                       bad = S(V "id");
    const struct {
        struct slice records[3];
        size_t count;
        enum progress want;
    } cases[] = {
        {{{0}}, 0, PROGRESS_WAIT},      {{spf, S("v=STSv1"), S("")}, 3, PROGRESS_WAIT},
        {{spf, one}, 2, PROGRESS_DONE}, {{one, spf}, 2, PROGRESS_DONE},
        {{one, one}, 2, PROGRESS_FAIL}, {{one, spf, two}, 3, PROGRESS_FAIL},
        {{one, bad}, 2, PROGRESS_FAIL}, {{bad}, 1, PROGRESS_FAIL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char id_cstr[STS_ID_SIZE] = "";
        struct err err = {0};

        assert_int_equal(sts_records_find(cases[i].records, cases[i].count, id_cstr, &err),
                         cases[i].want);
        if (cases[i].want == PROGRESS_DONE)
            assert_string_equal(id_cstr, "1");
    }
}

#define HEAD "version: STSv1\r\nmode: enforce\r\n"
#define AGE "max_age: 604800\r\n"
#define MX "mx: mail.example.com\r\n"

static void test_policies(void **state)
{
    static const struct {
        struct slice text;
        enum sts_mode mode;
        uint32_t max_age_s;
        const char *mx_cstr;
    } cases[] = {
        {SLICE_INIT(HEAD MX "mx: *.example.net\r\nmx: backupmx.example.com\r\n" AGE),
         STS_MODE_ENFORCE, 604800, "mail.example.com\n*.example.net\nbackupmx.example.com"},
        {SLICE_INIT("version: STSv1\nmode: testing\nmx: A.Example\nmax_age: 0"),
         STS_MODE_TESTING, 0, "a.example"},
        {SLICE_INIT("max_age:1\nmx:\ta.example \nmode:testing\t\nversion:  STSv1\n\n"),
         STS_MODE_TESTING, 1, "a.example"},
        {SLICE_INIT("version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"), STS_MODE_NONE, 86400,
         ""},
        {SLICE_INIT(HEAD MX "max_age: 9999999999"), STS_MODE_ENFORCE, STS_MAX_AGE_MAX_S,
         "mail.example.com"},
        /* of what is there twice the first counts; what is not known is passed over */
        {SLICE_INIT(HEAD MX AGE
                    "mode: none\nmax_age: x\nversion: STSv2\nx-y.z_1: caf\xC3\xA9 & co\n"),
         STS_MODE_ENFORCE, 604800, "mail.example.com"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sts_policy policy;
        struct buffer patterns;
        struct err err = {0};

        if (!sts_policy_parse(cases[i].text, &policy, &err))
            fail_msg("policy %zu: %s", i, err.text_cstr);
        buffer_init(&patterns, 4096);
        assert_true(sts_policy_patterns(&policy, &patterns));
        assert_int_equal(policy.mode, cases[i].mode);
        assert_int_equal(policy.max_age_s, cases[i].max_age_s);
        assert_true(slice_equal(buffer_view(&patterns), slice_from_cstr(cases[i].mx_cstr)));
        buffer_deinit(&patterns);
    }
}

static void test_what_is_no_policy(void **state)
{
    static const struct {
        struct slice text;
        const char *why_cstr;
    } cases[] = {
        {SLICE_INIT(""), "no version"},
        {SLICE_INIT("<html><body>Welcome</body></html>"), "line 1 is not"},
        {SLICE_INIT("mode: enforce\r\n" MX AGE), "no version"},
        {SLICE_INIT("version: STSv1\r\n" MX AGE), "no mode"},
        {SLICE_INIT(HEAD MX), "no max_age"},
        {SLICE_INIT(HEAD AGE), "no mx"},
        {SLICE_INIT("version: STSv1\nmode: testing\n" AGE), "no mx"},
        {SLICE_INIT("version: STSv2\n"), "version"},
        {SLICE_INIT("version: stsv1\n"), "version"},
        {SLICE_INIT("Version: STSv1\nmode: enforce\n" MX AGE), "no version"},
        {SLICE_INIT("version: STSv1\nmode: Enforce\n"), "line 2: the mode"},
        {SLICE_INIT("version: STSv1\nmode: report\n"), "line 2: the mode"},
        {SLICE_INIT("version: STSv1\nmode:\n"), "line 2: the mode"},
        {SLICE_INIT(HEAD MX "max_age: -1"), "max_age"},
        {SLICE_INIT(HEAD MX "max_age: 1d"), "max_age"},
        {SLICE_INIT(HEAD MX "max_age:"), "max_age"},
        {SLICE_INIT(HEAD MX "max_age: 00000000001"), "max_age"},
        {SLICE_INIT(HEAD "mx:\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: *\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: *.\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: *.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: *.*.example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: a.*.example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: *a.example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: .example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: a.example.com.\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: a..example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: -a.example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: a.example.com, b.example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: caf\xC3\xA9.example.com\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD "mx: localhost\r\n" AGE), "mx is neither"},
        {SLICE_INIT(HEAD MX AGE "no colon here\r\n"), "line 5 is not"},
        {SLICE_INIT(HEAD MX AGE "-x: y\r\n"), "line 5 is malformed"},
        {SLICE_INIT(HEAD MX AGE "x:\r\n"), "line 5 is malformed"},
        {SLICE_INIT(HEAD MX AGE " x: y\r\n"), "line 5 is malformed"},
        {SLICE_INIT(HEAD MX AGE "x: a\rb\r\n"), "line 5 is malformed"},
        {SLICE_INIT(HEAD MX AGE "x: a\0b\r\n"), "line 5 is malformed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sts_policy policy;
        struct err err = {0};

        if (sts_policy_parse(cases[i].text, &policy, &err))
            fail_msg("policy %zu was taken", i);
        if (strstr(err.text_cstr, cases[i].why_cstr) == NULL)
            fail_msg("policy %zu: %s", i, err.text_cstr);
        assert_int_equal(err.class, ERR_PEER);
    }
}

static void test_bounds(void **state)
{
    struct buffer text;
    struct sts_policy policy;
    struct err err = {0};

    (void)state;
    buffer_init(&text, 1 << 20);
    assert_true(buffer_append(&text, S(HEAD AGE)));
    for (int i = 0; i < STS_MX_MAX; i++)
        assert_true(buffer_append_format(&text, "mx: mx%d.example\n", i));
    assert_true(sts_policy_parse(buffer_view(&text), &policy, &err));
    assert_int_equal(policy.mx_count, STS_MX_MAX);
    assert_true(buffer_append(&text, S("mx: more.example\n")));
    assert_false(sts_policy_parse(buffer_view(&text), &policy, &err));
    buffer_clear(&text);
    assert_true(buffer_append(&text, S(HEAD MX AGE)));
    while (buffer_len(&text) < STS_POLICY_MAX_BYTES)
        assert_true(buffer_append(&text, S("\n")));
    assert_true(sts_policy_parse(buffer_view(&text), &policy, &err));
    assert_true(buffer_append(&text, S("\n")));
    assert_false(sts_policy_parse(buffer_view(&text), &policy, &err));
    buffer_deinit(&text);
}

static void test_ours_is_one(void **state)
{
    struct sts_policy ours = {.mode = STS_MODE_ENFORCE, .max_age_s = 604800, .mx_count = 2},
                      again;
    struct buffer text;
    struct err err = {0};

    (void)state;
    ours.mx[0] = S("mx1.clinic.test");
    ours.mx[1] = S("*.relay.test");
    buffer_init(&text, 4096);
    assert_true(sts_policy_write(&ours, &text));
    assert_true(slice_equal(buffer_view(&text),
                            S("version: STSv1\r\nmode: enforce\r\nmx: mx1.clinic.test\r\n"
                              "mx: *.relay.test\r\nmax_age: 604800\r\n")));
    assert_true(sts_policy_parse(buffer_view(&text), &again, &err));
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),  cmocka_unit_test(test_only_one_record_counts),
        cmocka_unit_test(test_policies), cmocka_unit_test(test_what_is_no_policy),
        cmocka_unit_test(test_bounds),   cmocka_unit_test(test_ours_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
