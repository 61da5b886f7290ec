/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/stand.h"
#include "kit/run.h"

#include <jansson.h>
#include <string.h>

struct silent {
    unsigned count;
    struct ipc_silent last;
};

static void on_silent(void *context, const struct ipc_silent *who)
{
    struct silent *silent = context;

    silent->count++;
    silent->last = *who;
}

/* Slots of struct stats that a role says have changed. */
static void report(struct stand *stand, struct ipc_channel *from, uint64_t pid,
                   const uint64_t (*slots)[2], size_t count, const char *trouble_cstr)
{
    struct ipc_stats message = {.pid = pid,
                                .started_ms = 1000,
                                .cpu_us = 2000000,
                                .rss_bytes = 5 << 20,
                                .descriptors = 12,
                                .trouble = slice_from_cstr(trouble_cstr)};
    struct buffer list;

    buffer_init(&list, 4096);
    for (size_t i = 0; i < count; i++)
        must(ipc_list_append(&list, IPC_STAT,
                             &(struct ipc_stat){.slot = slots[i][0], .value = slots[i][1]}));
    message.changes = buffer_view(&list);
    must(ipc_send(from, IPC_STATS, &message));
    buffer_deinit(&list);
    stand_run(stand, 10);
}

static void test_reports_add_up(void **state)
{
    static const uint64_t first[][2] = {{STAT_SMTP_ACCEPTED, 5}, {STAT_SMTP_SESSIONS, 3}};
    static const uint64_t second[][2] = {{STAT_SMTP_ACCEPTED, 9},
                                         {STATS_SLOTS, 77}, /* no such slot */
                                         {UINT64_MAX, 77}};
    static struct stats total;
    struct stand stand;

    (void)state;
    memset(&stats, 0, sizeof stats);
    stand_open(&stand, "");
    report(&stand, stand.smtpd, 11, first, COUNT_OF(first), "");
    overview_total(stand.keeper, &total);
    assert_int_equal(total.numbers[STAT_SMTP_ACCEPTED], 5);
    assert_int_equal(total.numbers[STAT_SMTP_SESSIONS], 3);
    report(&stand, stand.smtpd, 11, second, COUNT_OF(second), "");
    overview_total(stand.keeper, &total);
    assert_int_equal(total.numbers[STAT_SMTP_ACCEPTED], 9);
    /* The process goes: what it counted stays, what it had now does not. */
    ipc_channel_free(&stand.smtpd);
    stand_run(&stand, 20);
    overview_total(stand.keeper, &total);
    assert_int_equal(total.numbers[STAT_SMTP_ACCEPTED], 9);
    assert_int_equal(total.numbers[STAT_SMTP_SESSIONS], 0);
    stand_close(&stand);
}

static void test_who_says_nothing_is_named_once(void **state)
{
    static const uint64_t none[][2] = {{STAT_SMTP_SESSIONS, 1}};
    struct silent silent = {0};
    struct usage usage = {0};
    struct stand stand;

    (void)state;
    stand_open(&stand, "watchdog = 2s\n");
    report(&stand, stand.courier, 22, none, 1, "");
    keeper_tick(stand.keeper, &usage, on_silent, &silent);
    assert_int_equal(silent.count, 0);
    for (size_t i = 0; i < stand.keeper->peers.count; i++)
        if (stand.keeper->peers.all[i]->role == ROLE_COURIER)
            stand.keeper->peers.all[i]->heard_ms -= 2500;
    keeper_tick(stand.keeper, &usage, on_silent, &silent);
    assert_int_equal(silent.count, 1);
    assert_int_equal(silent.last.role, ROLE_COURIER);
    assert_int_equal(silent.last.pid, 22);
    assert_true(silent.last.silent_ms >= 2500);
    keeper_tick(stand.keeper, &usage, on_silent, &silent);
    assert_int_equal(silent.count, 1);
    /* When it was us who stood still nobody is to blame. */
    for (size_t i = 0; i < stand.keeper->peers.count; i++)
        stand.keeper->peers.all[i]->heard_ms -= 9000;
    stand.keeper->overview.ticked_ms -= 9000;
    keeper_tick(stand.keeper, &usage, on_silent, &silent);
    assert_int_equal(silent.count, 1);
    stand_close(&stand);
}

static void test_rates(void **state)
{
    struct stand stand;
    struct overview *overview;

    (void)state;
    stand_open(&stand, "");
    overview = &stand.keeper->overview;
    assert_true(overview_rate(stand.keeper, RATE_ACCEPTED, 60000) == 0);
    /* 20 minutes at 100 a second, then one at 10. */
    for (unsigned i = 0; i < 252; i++) {
        struct overview_sample *at = &overview->samples[i % OVERVIEW_SAMPLES];

        at->at_ms = (int64_t)i * OVERVIEW_SAMPLE_MS;
        at->counts[RATE_ACCEPTED] = i < 240 ? i * 500 : 239 * 500 + (i - 239) * 50;
        overview->next_sample = (i + 1) % OVERVIEW_SAMPLES;
        overview->sample_count = i + 1 < OVERVIEW_SAMPLES ? i + 1 : OVERVIEW_SAMPLES;
    }
    assert_true(overview_rate(stand.keeper, RATE_ACCEPTED, 60000) == 10);
    assert_true(overview_rate(stand.keeper, RATE_ACCEPTED, 300000) == 82);
    assert_true(overview_rate(stand.keeper, RATE_ACCEPTED, 900000) == 94);
    assert_true(overview_rate(stand.keeper, RATE_DELIVERED, 900000) == 0);
    stand_close(&stand);
}

static bool answers(struct stand *stand, const char *request_cstr, const char *words_cstr)
{
    const char *answer_cstr = stand_control(stand, request_cstr);

    if (strstr(answer_cstr, words_cstr) != NULL)
        return true;
    print_error("no %s in %s\n", words_cstr, answer_cstr);
    return false;
}

static void test_what_watchers_are_told(void **state)
{
    static const char metrics[] = "{\"do\":\"metrics\"}", ready[] = "{\"do\":\"ready\"}",
                      status[] = "{\"do\":\"status\"}", all[] = "{\"do\":\"stats\"}";
    static const uint64_t some[][2] = {{STAT_SMTP_SESSIONS, 4}};
    struct ipc_member members[] = {
        {.role = ROLE_SUPERVISOR, .pid = 1, .started_ms = 5000, .cpu_us = 1500000},
        {.role = ROLE_KEEPER, .pid = 2, .started_ms = 6000},
        {.role = ROLE_SMTPD, .pid = 3, .restarts = 7, .started_ms = 7000},
        {.role = 99, .index = 3}};
    struct stand stand;
    struct buffer list;

    (void)state;
    memset(&stats, 0, sizeof stats);
    stand_open(&stand, "");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 60);
    report(&stand, stand.smtpd, 3, some, 1, "{\"event\":\"slow\",\"what\":\"commit\"}");
    report(&stand, stand.smtpd, 3, some, 1, "not JSON at all");
    buffer_init(&list, 4096);
    for (size_t i = 0; i < COUNT_OF(members); i++)
        must(ipc_list_append(&list, IPC_MEMBER, &members[i]));
    keeper_census(stand.keeper, buffer_view(&list));
    buffer_deinit(&list);
    assert_true(answers(&stand, ready, "{\"ready\":true}\n"));
    assert_true(answers(&stand, metrics, "\npostern_smtp_sessions 4\n"));
    assert_true(answers(&stand, metrics, "\npostern_ready 1\n"));
    assert_true(
        answers(&stand, metrics, "\npostern_deliveries_total{outcome=\"delivered\"} 1\n"));
    assert_true(answers(&stand, metrics,
                        "postern_process_cpu_seconds_total{role=\"supervisor\",index=\"0\"} "
                        "1.500\n"));
    assert_true(answers(&stand, metrics,
                        "postern_role_restarts_total{role=\"smtpd\",index=\"0\"} 7\n"));
    assert_true(answers(&stand, status, "\"restarts\":7"));
    assert_true(
        answers(&stand, status, "\"troubles\":[\"not JSON at all\",{\"event\":\"slow\""));
    assert_true(answers(&stand, status, "\"late_ms\":0"));
    assert_true(answers(&stand, all, "\"smtp_sessions\":4"));
    assert_true(answers(&stand, all,
                        "{\"domain\":\"good.test\",\"ready\":0,\"jobs\":0,"
                        "\"delivered\":1,\"deferred\":0"));
    ipc_channel_free(&stand.courier);
    stand_run(&stand, 20);
    assert_true(answers(&stand, ready, "{\"ready\":false,\"why\":\"no courier runs\"}\n"));
    assert_true(answers(&stand, metrics, "\npostern_ready 0\n"));
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports_add_up),
        cmocka_unit_test(test_who_says_nothing_is_named_once),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_what_watchers_are_told),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
