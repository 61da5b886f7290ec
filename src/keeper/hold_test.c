/* SPDX-License-Identifier: Apache-2.0 */
/* What holds mail because of TLS, until when, and what then. */
#include "keeper/hold.h"

#include "kit/kit.h"

#include <string.h>

static const struct cause {
    const char *case_cstr;
    enum delivery_outcome outcome;
    unsigned code;
    struct slice enhanced;
    unsigned row;
    bool is_ratcheted;
    enum hold hold;
} causes[] = {
    {"delivered", OUTCOME_DELIVERED, 250, SLICE_INIT("2.0.0"), 3, true, HOLD_NONE},
    {"greylisted under DANE", OUTCOME_TEMPORARY, 450, SLICE_INIT("4.7.10"), 3, true, HOLD_NONE},
    {"host away under DANE", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.4.1"), 3, true, HOLD_NONE},
    {"DANE does not match", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 3, false, HOLD_POLICY},
    {"TLSA unusable", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 4, false, HOLD_POLICY},
    {"TLSA unknown", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 5, false, HOLD_POLICY},
    {"unsigned MX", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 6, false, HOLD_POLICY},
    {"MTA-STS", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 7, true, HOLD_POLICY},
    {"MTA-STS testing", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 8, true, HOLD_NONE},
    {"an earlier policy", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 9, false, HOLD_POLICY},
    {"secure mail, host not listed", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 2, false,
     HOLD_POLICY},
    {"STARTTLS vanished", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 11, true, HOLD_RATCHET},
    {"TLS broken, ratcheted", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 10, true,
     HOLD_RATCHET},
    {"clear not allowed", OUTCOME_TEMPORARY, 0, SLICE_INIT("4.7.10"), 11, false, HOLD_NONE},
    {"no proof", OUTCOME_NOT_PROVED, 0, SLICE_INIT("5.7.10"), 2, false, HOLD_PROOF},
    {"refused", OUTCOME_PERMANENT, 550, SLICE_INIT("5.1.1"), 3, true, HOLD_NONE},
};

static void test_causes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(causes); i++) {
        struct ipc_delivered delivered = {.row = causes[i].row};
        struct ipc_result result = {.outcome = causes[i].outcome,
                                    .code = causes[i].code,
                                    .enhanced = causes[i].enhanced};

        if (hold_of(&delivered, &result, true, causes[i].is_ratcheted) != causes[i].hold)
            fail_msg("%s", causes[i].case_cstr);
        /* Ordinary mail differs only where it was held to TLS that its domain had before. */
        assert_int_equal(hold_of(&delivered, &result, false, causes[i].is_ratcheted),
                         causes[i].hold == HOLD_PROOF ? HOLD_RATCHET : causes[i].hold);
    }
}

enum { RETRY = 1000, HOLD = 500 };

static const struct ending {
    enum hold hold;
    bool is_secure, may_be_clear;
    enum settings_unmet policy_unmet, ratchet_after;
    int64_t held_ms;
    enum hold_end end;
} endings[] = {
    {HOLD_NONE, false, true, UNMET_PORTAL, UNMET_CLEAR, 99999, HOLD_GOES_ON},
    {HOLD_POLICY, false, true, UNMET_HOLD, UNMET_CLEAR, 99999, HOLD_GOES_ON},
    {HOLD_POLICY, false, true, UNMET_PORTAL, UNMET_HOLD, RETRY - 1, HOLD_GOES_ON},
    {HOLD_POLICY, false, true, UNMET_PORTAL, UNMET_HOLD, RETRY, HOLD_REPLAN},
    {HOLD_POLICY, true, false, UNMET_HOLD, UNMET_HOLD, RETRY - 1, HOLD_GOES_ON},
    {HOLD_POLICY, true, false, UNMET_HOLD, UNMET_HOLD, RETRY, HOLD_REPLAN},
    {HOLD_RATCHET, false, true, UNMET_PORTAL, UNMET_HOLD, 99999, HOLD_GOES_ON},
    {HOLD_RATCHET, false, true, UNMET_HOLD, UNMET_CLEAR, HOLD - 1, HOLD_GOES_ON},
    {HOLD_RATCHET, false, true, UNMET_HOLD, UNMET_CLEAR, HOLD, HOLD_LIFT},
    {HOLD_RATCHET, false, false, UNMET_HOLD, UNMET_CLEAR, 99999, HOLD_GOES_ON},
    {HOLD_RATCHET, false, true, UNMET_HOLD, UNMET_PORTAL, HOLD, HOLD_REPLAN},
};

static void test_endings(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        const struct ending *e = &endings[i];
        struct hold_rules rules = {
            RETRY, HOLD, e->policy_unmet, e->ratchet_after, e->is_secure, e->may_be_clear};

        if (hold_end(e->hold, &rules, e->held_ms) != e->end)
            fail_msg("row %zu", i);
    }
}

static void test_attempts_at_the_turning_points(void **state)
{
    struct hold_rules rules = {RETRY, HOLD, UNMET_HOLD, UNMET_HOLD, false, true};

    (void)state;
    assert_int_equal(hold_due_ms(HOLD_POLICY, &rules, 100, 300, 150, 9000), 400);
    assert_int_equal(hold_due_ms(HOLD_POLICY, &rules, 100, -1, 150, 9000), 1100);
    assert_int_equal(hold_due_ms(HOLD_POLICY, &rules, 100, 300, 400, 9000), 1100);
    assert_int_equal(hold_due_ms(HOLD_RATCHET, &rules, 100, 5000, 400, 9000), 600);
    assert_int_equal(hold_due_ms(HOLD_RATCHET, &rules, 100, 5000, 600, 9000), 5100);
    assert_int_equal(hold_due_ms(HOLD_POLICY, &rules, 100, 300, 150, 200), 200);
    assert_int_equal(hold_due_ms(HOLD_POLICY, &rules, 100, 300, 1200, 9000), 9000);
}

static void test_words(void **state)
{
    struct ipc_delivered delivered = {.row = 7, .policy = S("MTA-STS 20260101: *.mx.test")};
    char text_cstr[300];

    (void)state;
    assert_true(hold_write(HOLD_POLICY, &delivered, S("mx.x.test: not named"), text_cstr,
                           sizeof text_cstr));
    assert_string_equal(text_cstr, "held because the recipient's published policy could not be "
                                   "met (row 7, MTA-STS 20260101: *.mx.test): "
                                   "mx.x.test: not named");
    delivered = (struct ipc_delivered){.row = 99};
    assert_true(hold_write(HOLD_POLICY, &delivered, S("why"), text_cstr, sizeof text_cstr));
    assert_non_null(strstr(text_cstr, "(row 99, TLS): why"));
    assert_true(hold_write(HOLD_RATCHET, &delivered, S("why"), text_cstr, sizeof text_cstr));
    assert_non_null(strstr(text_cstr, "has lost its TLS"));
    assert_true(hold_write(HOLD_PROOF, &delivered, S("why"), text_cstr, sizeof text_cstr));
    assert_false(hold_write(HOLD_POLICY, &delivered, S("why"), text_cstr, 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_attempts_at_the_turning_points),
        cmocka_unit_test(test_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
