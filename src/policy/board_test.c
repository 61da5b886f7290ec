/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/board.h"

#include "kit/kit.h"

static const struct board_host dane = {true, true,       true,        false,
                                       true, PROOF_DANE, DANE_USABLE, MX_PROOF_DNSSEC};
static const struct board_host good = {true,  true,           true,      true,
                                       false, PROOF_VERIFIED, DANE_NONE, MX_PROOF_NONE};
static const struct board_host old = {true,  true,           false,     true,
                                      false, PROOF_VERIFIED, DANE_NONE, MX_PROOF_NONE};
static const struct board_host self = {
    true, true, true, false, false, PROOF_ENCRYPTED, DANE_NONE, MX_PROOF_NONE};
static const struct board_host plain = {true,  false,      false,          false,
                                        false, PROOF_NONE, DANE_NOT_ASKED, MX_PROOF_NONE};
static const struct board_host gone = {false, false,      false,          false,
                                       false, PROOF_NONE, DANE_NOT_ASKED, MX_PROOF_NONE};

static const struct row {
    const char *case_cstr;
    const struct board_host *hosts[3];
    bool is_signed;
    enum sts_state sts;
    enum board_verdict verdict;
    unsigned features;
} table[] = {
    {"good",
     {&good},
     false,
     STS_NONE,
     BOARD_VERIFIED,
     BOARD_HAS_STARTTLS | BOARD_HAS_TLS_1_3 | BOARD_HAS_WEBPKI},
    {"good and old",
     {&good, &old},
     false,
     STS_ENFORCE,
     BOARD_VERIFIED,
     BOARD_HAS_STARTTLS | BOARD_HAS_WEBPKI | BOARD_HAS_STS_ENFORCE},
    {"good and gone",
     {&good, &gone},
     false,
     STS_TESTING,
     BOARD_VERIFIED,
     BOARD_HAS_STARTTLS | BOARD_HAS_TLS_1_3 | BOARD_HAS_WEBPKI | BOARD_HAS_STS_TESTING},
    {"gone", {&gone, &gone}, false, STS_NONE, BOARD_UNREACHED, 0},
    {"DANE",
     {&dane},
     true,
     STS_NONE,
     BOARD_DANE,
     BOARD_HAS_STARTTLS | BOARD_HAS_TLS_1_3 | BOARD_HAS_DANE | BOARD_HAS_REQUIRETLS |
         BOARD_HAS_SIGNED_MX},
    {"DANE and plain",
     {&plain, &dane},
     true,
     STS_KEPT,
     BOARD_DANE,
     BOARD_HAS_SIGNED_MX | BOARD_HAS_STS_ENFORCE | BOARD_IS_MIXED},
    {"self-signed and good",
     {&self, &good},
     false,
     STS_UNFETCHED,
     BOARD_VERIFIED,
     BOARD_HAS_STARTTLS | BOARD_HAS_TLS_1_3 | BOARD_IS_MIXED},
    {"self-signed",
     {&self},
     false,
     STS_NONE,
     BOARD_ENCRYPTED,
     BOARD_HAS_STARTTLS | BOARD_HAS_TLS_1_3},
    {"plain", {&plain, &gone}, false, STS_NONE, BOARD_CLEAR, 0},
};

static void test_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct board_sum sum = {0};
        enum board_verdict verdict;

        for (size_t j = 0; j < 3 && table[i].hosts[j] != NULL; j++)
            board_add(&sum, table[i].hosts[j]);
        verdict = board_judge(&sum, table[i].is_signed, table[i].sts);
        if (verdict != table[i].verdict || sum.features != table[i].features)
            fail_msg("%s: %s %x", table[i].case_cstr, board_verdict_name(verdict),
                     sum.features);
    }
    assert_string_equal(board_verdict_name((enum board_verdict)99), "?");
    assert_int_equal(board_verdict_level(BOARD_DANE), PROOF_DANE);
    assert_int_equal(board_verdict_level(BOARD_CLEAR), PROOF_NONE);
}

/* again_after is 1000 ms. */
static const struct step_row {
    enum board_verdict before, now;
    int64_t worse_ms_ago;
    enum board_step step;
} steps[] = {
    {BOARD_UNKNOWN, BOARD_CLEAR, -1, BOARD_STEP_TAKE},
    {BOARD_UNKNOWN, BOARD_UNREACHED, -1, BOARD_STEP_TAKE},
    {BOARD_UNREACHED, BOARD_VERIFIED, -1, BOARD_STEP_TAKE},
    {BOARD_VERIFIED, BOARD_VERIFIED, -1, BOARD_STEP_KEEP},
    {BOARD_VERIFIED, BOARD_UNREACHED, -1, BOARD_STEP_KEEP},
    {BOARD_VERIFIED, BOARD_UNREACHED, 99999, BOARD_STEP_KEEP},
    {BOARD_CLEAR, BOARD_VERIFIED, -1, BOARD_STEP_TAKE},
    {BOARD_VERIFIED, BOARD_DANE, -1, BOARD_STEP_TAKE},
    {BOARD_VERIFIED, BOARD_CLEAR, -1, BOARD_STEP_AGAIN},
    {BOARD_VERIFIED, BOARD_CLEAR, 499, BOARD_STEP_AGAIN},
    {BOARD_VERIFIED, BOARD_CLEAR, 500, BOARD_STEP_TAKE},
    {BOARD_DANE, BOARD_VERIFIED, -1, BOARD_STEP_AGAIN},
    {BOARD_VERIFIED, BOARD_NO_MAIL, -1, BOARD_STEP_AGAIN},
    {BOARD_VERIFIED, BOARD_NO_MAIL, 1000, BOARD_STEP_TAKE},
    {BOARD_NO_MAIL, BOARD_CLEAR, -1, BOARD_STEP_TAKE},
    {BOARD_VERIFIED, BOARD_UNKNOWN, 1000, BOARD_STEP_KEEP},
};

static void test_worse_is_looked_at_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (board_step(steps[i].before, steps[i].now, steps[i].worse_ms_ago, 1000) !=
            steps[i].step)
            fail_msg("row %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_worse_is_looked_at_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
