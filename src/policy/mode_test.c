/* SPDX-License-Identifier: Apache-2.0 */
/* Who names the mode, which domains are on a list, who is ratcheted. */
#include "policy/domain_list.h"
#include "policy/mode.h"
#include "policy/ratchet.h"

#include "kit/kit.h"

#include <stdio.h>

enum {
    N = MODE_UNSET,
    O = MODE_OPPORTUNISTIC,
    F = MODE_FORCED,
    X = MODE_EXCLUSIVE,
    T = MODE_TRY
};

/* Named by: recipient, its domain, sender, user, sender's domain, account; listed; then what holds, by whom. */
static const struct row {
    const char *case_cstr;
    unsigned named[MODE_FROM_FORCED_LIST];
    bool is_listed;
    unsigned mode, source;
} table[] = {
    {"nobody says anything", {N, N, N, N, N, N}, false, T, MODE_FROM_ACCOUNT},
    {"the account", {N, N, N, N, N, O}, false, O, MODE_FROM_ACCOUNT},
    {"sender's domain over account", {N, N, N, N, F, O}, false, F, MODE_FROM_SENDER_DOMAIN},
    {"user over sender's domain", {N, N, N, O, F, T}, false, O, MODE_FROM_USER},
    {"sender over user", {N, N, X, O, F, T}, false, X, MODE_FROM_SENDER},
    {"recipient's domain over sender",
     {N, O, F, T, T, T},
     false,
     O,
     MODE_FROM_RECIPIENT_DOMAIN},
    {"recipient over all", {T, O, F, X, F, F}, false, T, MODE_FROM_RECIPIENT},
    {"list raises the account", {N, N, N, N, N, O}, true, F, MODE_FROM_FORCED_LIST},
    {"list raises the recipient's", {O, N, N, N, N, T}, true, F, MODE_FROM_FORCED_LIST},
    {"list raises try", {N, N, N, N, N, T}, true, F, MODE_FROM_FORCED_LIST},
    {"forced already", {N, N, F, N, N, T}, true, F, MODE_FROM_SENDER},
    {"exclusive is no weaker", {N, N, N, N, N, X}, true, X, MODE_FROM_ACCOUNT},
};

static void test_precedence(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct mode_facts facts = {.is_listed = table[i].is_listed};
        enum mode_source source;
        enum delivery_mode mode;

        for (unsigned j = 0; j < COUNT_OF(facts.named); j++)
            facts.named[j] = (enum delivery_mode)table[i].named[j];
        mode = policy_mode(&facts, &source);
        if (mode != table[i].mode || source != table[i].source)
            fail_msg("%s: %s by %s", table[i].case_cstr, delivery_mode_name(mode),
                     mode_source_words(source));
    }
    assert_string_equal(mode_source_words((enum mode_source)99), "?");
}

static void test_lists(void **state)
{
    static const struct {
        struct slice domain;
        bool is_in;
    } asked[] = {
        {SLICE_INIT("bank.test"), true},     {SLICE_INIT("BANK.Test"), true},
        {SLICE_INIT("a.bank.test"), false},  {SLICE_INIT("bank.test.x"), false},
        {SLICE_INIT("gov.test"), false},     {SLICE_INIT("a.gov.test"), true},
        {SLICE_INIT("a.b.GOV.test"), true},  {SLICE_INIT("xgov.test"), false},
        {SLICE_INIT("last-one.test"), true}, {SLICE_INIT("0.test"), true},
        {SLICE_INIT("test"), false},         {SLICE_INIT(""), false},
        {SLICE_INIT(".gov.test"), true},     {SLICE_INIT("deep.sub.zone.test"), true},
        {SLICE_INIT("sub.zone.test"), true}, {SLICE_INIT("zone.test"), true},
    };
    struct domain_list list = {0};
    unsigned line = 0;

    (void)state;
    assert_false(domain_list_holds(&list, S("x.test")));
    assert_true(domain_list_add_lines(&list,
                                      S("# ours\n\n  Bank.test  # money\r\n*.gov.test\n"
                                        "last-one.test\n0.test\n*.zone.test\nzone.test"),
                                      &line));
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        if (domain_list_holds(&list, asked[i].domain) != asked[i].is_in)
            fail_msg("%.*s", SLICE_ARGS(asked[i].domain));
    domain_list_deinit(&list);
    assert_false(domain_list_add_lines(&list, S("a.test\n\nb..test\n"), &line));
    assert_int_equal(line, 3);
    domain_list_deinit(&list);
    for (size_t i = 0; i < 5; i++) {
        static const struct slice bad[] = {SLICE_INIT("*"), SLICE_INIT("*."),
                                           SLICE_INIT("a@b.test"), SLICE_INIT("a.*.test"),
                                           SLICE_INIT("-a.test")};

        assert_false(domain_list_add(&list, bad[i]));
    }
    domain_list_deinit(&list);
}

static void test_long_list(void **state)
{
    static char names[5000][24];
    struct domain_list list = {0};

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(names[i], sizeof names[i], "%sd%u.test", i % 7 == 0 ? "*." : "",
                       i * 7919 % 5000);
        assert_true(domain_list_add(&list, slice_from_cstr(names[i])));
    }
    for (unsigned i = 0; i < 5000; i++) {
        bool is_wild = names[i][0] == '*';
        char below[32];

        (void)snprintf(below, sizeof below, "x.%s", names[i] + (is_wild ? 2 : 0));
        assert_int_equal(
            domain_list_holds(&list, slice_from_cstr(names[i] + (is_wild ? 2 : 0))), !is_wild);
        assert_int_equal(domain_list_holds(&list, slice_from_cstr(below)), is_wild);
    }
    domain_list_deinit(&list);
}

static void test_ratchet(void **state)
{
    struct ratchet seen = {0};

    (void)state;
    assert_int_equal(ratchet_times(&seen, 20000), 0);
    assert_true(ratchet_note(&seen, 20000, 3));
    assert_true(ratchet_note(&seen, 20000, 3));
    assert_int_equal(ratchet_times(&seen, 20000), 2);
    assert_true(ratchet_note(&seen, 20000, 3));
    assert_false(ratchet_note(&seen, 20000, 3)); /* enough for today: nothing to write */
    assert_int_equal(ratchet_times(&seen, 20029), 3);
    assert_int_equal(ratchet_times(&seen, 20030), 0);
    assert_true(ratchet_note(&seen, 20017, 3)); /* across the two numbers */
    assert_int_equal(ratchet_times(&seen, 20017), 4);
    assert_int_equal(ratchet_times(&seen, 20030), 1);
    assert_int_equal(ratchet_times(&seen, 20046), 1);
    assert_int_equal(ratchet_times(&seen, 20047), 0);
    assert_true(ratchet_note(&seen, 19000, 3)); /* the clock went back: counted now */
    assert_int_equal(ratchet_times(&seen, 20017), 5);
    assert_true(ratchet_note(&seen, 30000, 1));
    assert_int_equal(ratchet_times(&seen, 30000), 1);
    assert_int_equal(ratchet_day(INT64_C(86400000) * 5 + 86399999), 5);
}

/* Against the plain way: a list of days. */
static void test_ratchet_is_a_window(void **state)
{
    struct ratchet seen = {0};
    unsigned days[400] = {0};
    uint32_t random = 1;

    (void)state;
    for (int64_t day = 40; day < 400; day++) {
        unsigned times = 0;

        random = random * 1664525 + 1013904223;
        for (unsigned i = 0; i < (random >> 24) % 5; i++)
            days[day] += ratchet_note(&seen, day, 4) ? 1 : 0;
        if ((random >> 16 & 15) == 0)
            day += 13; /* a pause */
        for (int64_t i = day - RATCHET_DAYS + 1; i <= day && day < 400; i++)
            times += days[i];
        if (day < 400)
            assert_int_equal(ratchet_times(&seen, day), times);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_precedence),          cmocka_unit_test(test_lists),
        cmocka_unit_test(test_long_list),           cmocka_unit_test(test_ratchet),
        cmocka_unit_test(test_ratchet_is_a_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
