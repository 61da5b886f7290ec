/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/stand.h"
#include "keeper/sts_learn.h"

#include <string.h>

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * 1000,
    PAUSE_MS = 5 * MINUTE_MS,
    HOUR_MS = 3600 * 1000,
    DAY_MS = 24 * HOUR_MS
};
#define NOW INT64_C(1800000000000)

/* ---- what an answer makes of what is known (pure) ---- */

static const struct ipc_sts_found policy_1 = {.outcome = STS_OUTCOME_POLICY,
                                              .id = SLICE_INIT("1"),
                                              .ttl_s = 3600,
                                              .mode = STS_ENFORCE,
                                              .max_age_s = 604800,
                                              .mx = SLICE_INIT("*.good.test"),
                                              .text = SLICE_INIT("version: STSv1")};

static struct ipc_sts_found outcome(enum sts_outcome what, const char *id_cstr)
{
    return (struct ipc_sts_found){.outcome = what,
                                  .id = slice_from_cstr(id_cstr),
                                  .ttl_s = 3600,
                                  .why = S("as the test says")};
}

static struct store_sts fetched(void)
{
    struct store_sts row = {.domain = 7};

    assert_true(sts_learn(&row, false, &policy_1, PAUSE_MS, NOW));
    return row;
}

static void test_a_policy_is_taken(void **state)
{
    struct store_sts row = fetched();

    (void)state;
    assert_int_equal(row.domain, 7);
    assert_string_equal(row.id_cstr, "1");
    assert_int_equal(row.expires_ms, NOW + 7 * (int64_t)DAY_MS);
    assert_int_equal(row.refresh_ms, NOW + DAY_MS); /* at least daily */
    assert_int_equal(sts_state_of(&row), STS_ENFORCE);
    assert_false(sts_is_alarming(&row, NOW));
}

static void test_refreshed_at_half_of_its_life(void **state)
{
    static const struct {
        uint64_t max_age_s;
        int64_t refresh_ms, life_ms;
    } cases[] = {
        {0, 5 * MINUTE_MS, 10 * MINUTE_MS},
        {60, 5 * MINUTE_MS, 10 * MINUTE_MS},
        {3600, 30 * MINUTE_MS, HOUR_MS},
        {86400, 12 * HOUR_MS, DAY_MS},
        {31557600, DAY_MS, INT64_C(31557600) * SECOND_MS},
        {UINT64_MAX, DAY_MS, INT64_C(31557600) * SECOND_MS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct store_sts row = {.domain = 7};
        struct ipc_sts_found found = policy_1;

        found.max_age_s = cases[i].max_age_s;
        assert_true(sts_learn(&row, false, &found, PAUSE_MS, NOW));
        assert_int_equal(row.refresh_ms - NOW, cases[i].refresh_ms);
        assert_int_equal(row.expires_ms - NOW, cases[i].life_ms);
    }
}

/* Each row: an answer to what is known; what is known then. The policy itself is there in every one of them. */
static void test_what_is_kept_is_kept(void **state)
{
    static const struct {
        enum sts_outcome outcome;
        const char *id_cstr;
        enum sts_state state;
        bool is_alarming, is_written;
    } cases[] = {
        {STS_OUTCOME_NONE, "", STS_KEPT, false, true},
        {STS_OUTCOME_SAME, "1", STS_ENFORCE, false, false},
        {STS_OUTCOME_UNFETCHED, "2", STS_KEPT, true, true},
        {STS_OUTCOME_INVALID, "2", STS_KEPT, true, true},
        {STS_OUTCOME_UNFETCHED, "1", STS_ENFORCE, false, true}, /* an alarm only after a day */
        {STS_OUTCOME_UNKNOWN, "", STS_ENFORCE, false, false},
        {STS_OUTCOME_COUNT, "", STS_ENFORCE, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct store_sts row = fetched();
        struct ipc_sts_found found = outcome(cases[i].outcome, cases[i].id_cstr);

        assert_int_equal(sts_learn(&row, true, &found, PAUSE_MS, NOW + HOUR_MS),
                         cases[i].is_written);
        assert_string_equal(row.id_cstr, "1");
        assert_true(slice_equal(row.mx, S("*.good.test")));
        assert_int_equal(row.expires_ms, NOW + 7 * (int64_t)DAY_MS);
        assert_int_equal(sts_state_of(&row), cases[i].state);
        assert_int_equal(sts_is_alarming(&row, NOW + HOUR_MS), cases[i].is_alarming);
    }
}

static void test_testing_never_becomes_more_or_none(void **state)
{
    struct ipc_sts_found testing = policy_1, bad = outcome(STS_OUTCOME_UNFETCHED, "2");
    struct store_sts row = {.domain = 7};

    (void)state;
    testing.mode = STS_TESTING;
    assert_true(sts_learn(&row, false, &testing, PAUSE_MS, NOW));
    assert_int_equal(sts_state_of(&row), STS_TESTING);
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW));
    assert_int_equal(sts_state_of(&row), STS_TESTING);
    assert_true(sts_is_alarming(&row, NOW));
}

static void test_an_alarm_ends(void **state)
{
    struct store_sts row = fetched();
    struct ipc_sts_found bad = outcome(STS_OUTCOME_UNFETCHED, "2"),
                         same = outcome(STS_OUTCOME_SAME, "1"), second = policy_1;

    (void)state;
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW + HOUR_MS));
    assert_int_equal(row.refresh_ms, NOW + HOUR_MS + PAUSE_MS);
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW + 2 * HOUR_MS)); /* later and later */
    assert_int_equal(row.refresh_ms, NOW + 2 * HOUR_MS + 30 * MINUTE_MS);
    assert_int_equal(row.failing_ms, NOW + HOUR_MS);
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW + 5 * HOUR_MS));
    assert_int_equal(row.refresh_ms, NOW + 6 * HOUR_MS);
    same.id = S("2");
    assert_string_equal(sts_known_id(&row, NOW + 5 * HOUR_MS + MINUTE_MS),
                        "2"); /* not fetched now */
    assert_string_equal(sts_known_id(&row, NOW + 6 * HOUR_MS), "");
    assert_false(sts_learn(&row, true, &same, PAUSE_MS, NOW + 5 * HOUR_MS + MINUTE_MS));
    assert_true(sts_is_alarming(&row, NOW + 5 * HOUR_MS + MINUTE_MS));
    same.id = S("1");
    assert_true(
        sts_learn(&row, true, &same, PAUSE_MS, NOW + 6 * HOUR_MS)); /* announced as before */
    assert_false(sts_is_alarming(&row, NOW + 6 * HOUR_MS));
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW + 7 * HOUR_MS));
    second.id = S("2");
    assert_true(sts_learn(&row, true, &second, PAUSE_MS, NOW + 8 * HOUR_MS)); /* or fetched */
    assert_false(sts_is_alarming(&row, NOW + 8 * HOUR_MS));
    assert_string_equal(row.id_cstr, "2");
    assert_string_equal(row.announced_cstr, "");
    assert_string_equal(row.why_cstr, "");
}

static void test_a_refresh_that_fails_for_a_day_is_an_alarm(void **state)
{
    struct store_sts row = fetched();
    struct ipc_sts_found bad = outcome(STS_OUTCOME_UNFETCHED, "1"),
                         same = outcome(STS_OUTCOME_SAME, "1");

    (void)state;
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW + DAY_MS));
    assert_false(sts_learn(&row, true, &same, PAUSE_MS,
                           NOW + DAY_MS + MINUTE_MS)); /* not fetched by that */
    assert_true(sts_learn(&row, true, &bad, PAUSE_MS, NOW + 2 * (int64_t)DAY_MS + MINUTE_MS));
    assert_true(sts_is_alarming(&row, NOW + 2 * (int64_t)DAY_MS + MINUTE_MS));
    assert_int_equal(sts_state_of(&row), STS_ENFORCE);
}

static void test_who_cannot_be_asked_is_not_asked_at_once_again(void **state)
{
    struct store_sts row = fetched();
    struct ipc_sts_found unknown = outcome(STS_OUTCOME_UNKNOWN, "");

    (void)state;
    assert_true(
        sts_learn(&row, true, &unknown, PAUSE_MS, NOW + DAY_MS)); /* a refresh was due */
    assert_int_equal(row.refresh_ms, NOW + DAY_MS + PAUSE_MS);
    assert_int_equal(sts_state_of(&row), STS_ENFORCE);
}

static void test_how_soon_it_is_looked_at_again(void **state)
{
    static const struct {
        enum sts_outcome outcome;
        uint64_t ttl_s;
        unsigned failures;
        int64_t want_ms;
    } cases[] = {
        {STS_OUTCOME_NONE, 0, 0, 5 * MINUTE_MS},
        {STS_OUTCOME_NONE, 600, 0, 10 * MINUTE_MS},
        {STS_OUTCOME_SAME, 86400, 0, HOUR_MS},
        {STS_OUTCOME_POLICY, UINT64_MAX, 0, HOUR_MS},
        {STS_OUTCOME_UNFETCHED, 1, 1, 5 * MINUTE_MS},
        {STS_OUTCOME_UNFETCHED, 1, 2, 10 * MINUTE_MS},
        {STS_OUTCOME_INVALID, 1, 100, HOUR_MS},
        {STS_OUTCOME_UNKNOWN, 1, 0, MINUTE_MS},
        {STS_OUTCOME_COUNT, 1, 0, MINUTE_MS},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ipc_sts_found found = {.outcome = cases[i].outcome, .ttl_s = cases[i].ttl_s};

        assert_int_equal(sts_look_after_ms(&found, cases[i].failures, PAUSE_MS),
                         cases[i].want_ms);
    }
}

/* ---- in the keeper ---- */

static struct domain_sts *sts_of(struct stand *stand, const char *name_cstr)
{
    struct domain *domain = domain_find(stand->keeper, slice_from_cstr(name_cstr));

    assert_non_null(domain);
    return &domain->sts;
}

/* One more mail, delivered; what its job said of the policy. */
static enum sts_state send_one(struct stand *stand, const char *to_cstr)
{
    uint64_t wanted = stand->delivered + 1;

    stand_submit(stand, &(struct stand_mail){.to_cstr = to_cstr});
    stand_wait(stand, &stand->delivered, wanted);
    assert_int_equal(stand->delivered, wanted);
    return (enum sts_state)stand->last_job.sts;
}

static void test_the_first_mail_waits_later_mail_does_not(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.sts = policy_1;
    stand.scout_is_silent = true;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_run(&stand, 300);
    assert_int_equal(stand.delivered, 0);
    assert_int_equal(stand.sts_asks, 1); /* one question a domain */
    /* Another domain is not held up. Its own host is not asked about. */
    assert_int_equal(send_one(&stand, "clerk@clinic.test"), STS_NONE);
    assert_int_equal(stand.sts_asks, 1);
    {
        struct ipc_sts_found found = policy_1;

        found.ask = stand.sts_last_ask;
        assert_true(ipc_send(stand.scout, IPC_STS_FOUND, &found));
    }
    stand_wait(&stand, &stand.delivered, 3);
    assert_true(
        list_is_empty(&stand.keeper->sts.parked)); /* it was there once for all its mail */
    assert_int_equal(stand.last_job.sts, STS_ENFORCE);
    assert_string_equal(stand.last_sts_id_cstr, "1");
    assert_string_equal(stand.last_sts_mx_cstr, "*.good.test");
    /* It is known now, and looked at again behind the mail's back. */
    sts_of(&stand, "good.test")->look_ms = 0;
    assert_int_equal(send_one(&stand, "c@good.test"), STS_ENFORCE);
    assert_int_equal(stand.sts_asks, 2);
    assert_string_equal(stand.sts_known_cstr, "1");
    stand_close(&stand);
}

static void test_nobody_waits_for_ever(void **state)
{
    struct stand stand;
    struct ipc_sts_found found = policy_1;

    (void)state;
    stand_open(&stand, "");
    stand.scout_is_silent = true;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.sts_asks, 1);
    stand_run(&stand, 100);
    assert_int_equal(stand.delivered, 0);
    sts_of(&stand, "good.test")->parked_ms -= STS_WAIT_MAX_MS;
    stand_wait(&stand, &stand.delivered, 1);
    assert_int_equal(stand.last_job.sts, STS_NONE);
    /* An answer that comes later counts all the same. */
    found.ask = stand.sts_last_ask;
    assert_true(ipc_send(stand.scout, IPC_STS_FOUND, &found));
    stand_run(&stand, 100);
    assert_int_equal(send_one(&stand, "b@good.test"), STS_ENFORCE);
    assert_int_equal(stand.sts_asks, 1);
    stand_close(&stand);
}

static void test_without_a_policy_nothing_is_kept(void **state)
{
    struct stand stand;
    uint64_t policies, failing;

    (void)state;
    stand_open(&stand, "");
    assert_int_equal(send_one(&stand, "a@good.test"), STS_NONE);
    assert_int_equal(send_one(&stand, "b@good.test"), STS_NONE);
    assert_int_equal(stand.sts_asks, 1);
    store_sts_count(stand.keeper->store, clock_unix_ms(), 0, &policies, &failing);
    assert_int_equal(policies, 0);
    stand_close(&stand);
}

static void test_a_restart_forgets_nothing(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_ENFORCE);
    stand_run(&stand, 100);
    stand.scout_is_silent = true;
    stand_restart(&stand, true);
    assert_int_equal(send_one(&stand, "b@good.test"), STS_ENFORCE);
    assert_string_equal(stand.last_sts_mx_cstr, "*.good.test");
    stand_close(&stand);
}

static void test_a_new_id_that_cannot_be_had_keeps_the_old_policy(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_ENFORCE);
    stand.sts = outcome(STS_OUTCOME_UNFETCHED, "2");
    sts_of(&stand, "good.test")->look_ms = 0;
    send_one(&stand, "b@good.test");
    stand_run(&stand, 100);
    assert_int_equal(send_one(&stand, "c@good.test"), STS_KEPT);
    assert_string_equal(stand.last_sts_id_cstr, "1");
    assert_non_null(strstr(stand_control(&stand, "{\"do\":\"status\"}"), "good.test"));
    /* And not asked again before its time. */
    assert_int_equal(stand.sts_asks, 2);
    stand_restart(&stand, false);
    assert_int_equal(send_one(&stand, "d@good.test"), STS_KEPT);
    /* The next one is there. */
    stand.sts = policy_1;
    stand.sts.id = S("2");
    stand.sts.mx = S("mx.other.test");
    sts_of(&stand, "good.test")->look_ms = 0;
    send_one(&stand, "e@good.test");
    stand_run(&stand, 100);
    assert_string_equal(stand.sts_known_cstr, "2"); /* not fetched again so soon */
    sts_of(&stand, "good.test")->kept->row.refresh_ms = 0;
    sts_of(&stand, "good.test")->look_ms = 0;
    send_one(&stand, "f@good.test");
    stand_run(&stand, 100);
    assert_int_equal(send_one(&stand, "g@good.test"), STS_ENFORCE);
    assert_string_equal(stand.last_sts_mx_cstr, "mx.other.test");
    assert_null(strstr(stand_control(&stand, "{\"do\":\"status\"}"), "good.test"));
    stand_close(&stand);
}

static void test_never_had_is_reported_and_tried_again(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.sts = outcome(STS_OUTCOME_UNFETCHED, "1");
    assert_int_equal(send_one(&stand, "a@good.test"), STS_UNFETCHED);
    stand.sts = policy_1;
    sts_of(&stand, "good.test")->look_ms = 0;
    send_one(&stand, "b@good.test");
    stand_run(&stand, 100);
    assert_int_equal(send_one(&stand, "c@good.test"), STS_ENFORCE);
    stand_close(&stand);
}

static void set_row(struct stand *stand, int64_t refresh_ms, int64_t expires_ms)
{
    struct keeper *keeper = stand->keeper;
    struct domain *domain = domain_find(keeper, S("good.test"));
    struct buffer texts;
    struct store_sts row;
    struct err err = {0};

    buffer_init(&texts, STORE_STS_TEXTS_MAX_BYTES);
    assert_true(store_sts_get(keeper->store, domain->row.id, &row, &texts));
    row.refresh_ms = refresh_ms;
    row.expires_ms = expires_ms;
    store_sts_put(keeper->store, &row);
    assert_true(store_commit(keeper->store, &err));
    buffer_deinit(&texts);
}

static void test_what_has_expired_is_found_anew_before_mail_goes(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_ENFORCE);
    sts_of(&stand, "good.test")->kept->row.expires_ms = clock_unix_ms() - 1;
    set_row(&stand, 0, clock_unix_ms() - 1);
    stand.scout_is_silent = true;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_run(&stand, 200);
    assert_int_equal(stand.delivered, 1); /* waits for the answer */
    assert_string_equal(stand.sts_known_cstr, "");
    stand.scout_is_silent = false;
    stand.sts = outcome(STS_OUTCOME_NONE, "");
    stand_play_scout(&stand); /* the question is asked again */
    stand_wait(&stand, &stand.delivered, 2);
    assert_int_equal(stand.last_job.sts, STS_NONE);
    stand_close(&stand);
}

static void test_policies_in_use_are_fetched_anew_without_mail(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_ENFORCE);
    set_row(&stand, clock_unix_ms() - 1, clock_unix_ms() + DAY_MS);
    stand_restart(&stand, false);
    stand_wait(&stand, &stand.sts_asks, 2); /* by itself, soon after the start */
    assert_int_equal(stand.sts_asks, 2);
    assert_string_equal(stand.sts_known_cstr, ""); /* the policy, whatever its id */
    stand_run(&stand, 100);
    assert_true(sts_of(&stand, "good.test")->kept->row.expires_ms >
                clock_unix_ms() + 6 * (int64_t)DAY_MS);
    stand_close(&stand);
}

static void test_what_nobody_uses_is_not_fetched_anew(void **state)
{
    struct stand stand;
    uint64_t due[4];
    int64_t now_ms = clock_unix_ms();

    (void)state;
    stand_open(&stand, "");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_ENFORCE);
    set_row(&stand, now_ms - 1, now_ms + DAY_MS);
    assert_int_equal(store_sts_due(stand.keeper->store, now_ms, now_ms - STS_USED_MS, due, 4),
                     1);
    assert_int_equal(store_sts_due(stand.keeper->store, now_ms, now_ms + DAY_MS, due, 4), 0);
    set_row(&stand, now_ms - 1, now_ms - 1);
    assert_int_equal(store_sts_due(stand.keeper->store, now_ms, 0, due, 4), 0);
    stand_close(&stand);
}

static void test_mail_that_waits_for_a_policy_goes_when_another_is_there(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "delivery { retry_first = 1h retry_max = 1h }\n");
    stand.sts = policy_1;
    stand_outcome(&stand, "good.test", OUTCOME_TEMPORARY, PROOF_NONE);
    send_one(&stand, "a@good.test");
    stand_run(&stand, 100);
    sts_of(&stand, "good.test")->asked_ms -= PAUSE_MS;
    sts_judge(domain_find(stand.keeper, S("good.test")),
              &(struct ipc_deliver){.sts = STS_ENFORCE}, false);
    stand.outcome_count = 0;
    stand.sts.id = S("2");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"}); /* looks again */
    stand_wait(&stand, &stand.delivered, 3);
    assert_int_equal(stand.delivered, 3);
    assert_string_equal(stand.last_to_cstr, "a@good.test");
    assert_string_equal(stand.last_sts_id_cstr, "2");
    stand_close(&stand);
}

static void test_off_is_off(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "sts { enabled = no }\n");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_NONE);
    assert_int_equal(stand.sts_asks, 0);
    stand_close(&stand);
}

static void test_routes_of_ours_are_not_asked_about(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "route \"*\" { host = \"smart.test\" }\n");
    stand.sts = policy_1;
    assert_int_equal(send_one(&stand, "a@good.test"), STS_NONE);
    assert_int_equal(stand.sts_asks, 0);
    stand_close(&stand);
}

static void test_many_domains_at_once(void **state)
{
    enum { DOMAINS = 3000 };
    struct stand stand;
    char to_cstr[32];

    (void)state;
    stand_open(&stand, "");
    stand.scout_is_silent = true;
    for (unsigned i = 0; i < DOMAINS; i++) {
        snprintf(to_cstr, sizeof to_cstr, "a@d%u.test", i);
        stand_submit(&stand, &(struct stand_mail){.to_cstr = to_cstr});
    }
    stand_wait(&stand, &stand.sts_asks, STS_ASKS_MAX);
    stand_run(&stand, 300);
    assert_int_equal(stand.sts_asks, STS_ASKS_MAX); /* a bounded number is under way */
    stand.scout_is_silent = false;
    stand_play_scout(&stand); /* the first died with all of them: each is asked about again */
    stand_wait(&stand, &stand.delivered, DOMAINS);
    assert_int_equal(stand.delivered, DOMAINS);
    assert_int_equal(stand.sts_asks, DOMAINS + STS_ASKS_MAX);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_policy_is_taken),
        cmocka_unit_test(test_refreshed_at_half_of_its_life),
        cmocka_unit_test(test_what_is_kept_is_kept),
        cmocka_unit_test(test_testing_never_becomes_more_or_none),
        cmocka_unit_test(test_an_alarm_ends),
        cmocka_unit_test(test_a_refresh_that_fails_for_a_day_is_an_alarm),
        cmocka_unit_test(test_who_cannot_be_asked_is_not_asked_at_once_again),
        cmocka_unit_test(test_how_soon_it_is_looked_at_again),
        cmocka_unit_test(test_the_first_mail_waits_later_mail_does_not),
        cmocka_unit_test(test_nobody_waits_for_ever),
        cmocka_unit_test(test_without_a_policy_nothing_is_kept),
        cmocka_unit_test(test_a_restart_forgets_nothing),
        cmocka_unit_test(test_a_new_id_that_cannot_be_had_keeps_the_old_policy),
        cmocka_unit_test(test_never_had_is_reported_and_tried_again),
        cmocka_unit_test(test_what_has_expired_is_found_anew_before_mail_goes),
        cmocka_unit_test(test_policies_in_use_are_fetched_anew_without_mail),
        cmocka_unit_test(test_what_nobody_uses_is_not_fetched_anew),
        cmocka_unit_test(test_mail_that_waits_for_a_policy_goes_when_another_is_there),
        cmocka_unit_test(test_off_is_off),
        cmocka_unit_test(test_routes_of_ours_are_not_asked_about),
        cmocka_unit_test(test_many_domains_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
