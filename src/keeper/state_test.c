/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/clock.h"
#include "keeper/feedback.h"
#include "keeper/results.h"
#include "keeper/silence.h"
#include "keeper/state.h"
#include "keeper/throttle.h"

#include <string.h>

/* Every state with every move: one letter for the state after, '.' for not allowed. */
static const struct {
    enum recipient_state state;
    const char *
        after_cstr; /* plan drop sent later fail copy notice nfail reveal expire retract purge */
} table[] = {
    {STATE_NONE, "............"},      {STATE_ACCEPTED, "pX..F.....Tx"},
    {STATE_PLANNED, "pXDdFn....Tx"},   {STATE_DEFERRED, "pXDdFn....Tx"},
    {STATE_NOTIFYING, "......NFRETx"}, {STATE_NOTIFIED, ".......FRETx"},
    {STATE_REVEALED, "........RETx"},  {STATE_DELIVERED, "............"},
    {STATE_FAILED, "............"},    {STATE_DROPPED, "............"},
    {STATE_EXPIRED, "............"},   {STATE_RETRACTED, "............"},
    {STATE_DELETED, "............"},
};

static char letter_of(enum recipient_state state)
{
    static const char by_state[STATE_COUNT] = {'.', 'a', 'p', 'd', 'n', 'N', 'R',
                                               'D', 'F', 'X', 'E', 'T', 'x'};

    return by_state[state];
}

static void test_every_move_from_every_state(void **state)
{
    (void)state;
    assert_int_equal(COUNT_OF(table), STATE_COUNT);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(strlen(table[i].after_cstr), MOVE_COUNT);
        for (int move = 0; move < MOVE_COUNT; move++) {
            char got = letter_of(state_after(table[i].state, (enum recipient_move)move));

            if (got != table[i].after_cstr[move])
                fail_msg("%s, move %d: %c", state_name(table[i].state), move, got);
        }
    }
}

static void test_an_end_is_an_end(void **state)
{
    (void)state;
    for (int i = STATE_ACCEPTED; i < STATE_COUNT; i++) {
        enum recipient_state at = (enum recipient_state)i;
        bool can_move = false;

        for (int move = 0; move < MOVE_COUNT; move++)
            can_move |= state_after(at, (enum recipient_move)move) != STATE_NONE;
        assert_int_equal(can_move, !state_is_end(at));
        /* Nobody needs content in the portal: the server alone could open it. */
        assert_false(state_needs_content(at) && (state_is_end(at) || state_is_in_portal(at)));
        assert_string_not_equal(state_name(at), "none");
    }
}

static void test_what_a_due_row_needs(void **state)
{
    struct work_facts facts = {.now_ms = 100000, .accepted_ms = 1, .give_up_ms = 1000000};
    struct store_recipient row = {.state = STATE_PLANNED, .method = METHOD_TLS, .due_ms = 5};

    (void)state;
    assert_int_equal(work_for(&row, &facts), WORK_CARRY);
    facts.domain_tls = DOMAIN_TLS_LACKING;
    assert_int_equal(work_for(&row, &facts), WORK_REPLAN);
    row.method = METHOD_REGULAR;
    assert_int_equal(work_for(&row, &facts), WORK_CARRY);
    row.method = METHOD_PORTAL;
    assert_int_equal(work_for(&row, &facts), WORK_COPY);
    row.method = METHOD_OPENPGP;
    assert_int_equal(work_for(&row, &facts), WORK_REPLAN);
    facts.is_domain_held = true;
    assert_int_equal(work_for(&row, &facts), WORK_HOLD);
    facts.give_up_ms = 10;
    assert_int_equal(work_for(&row, &facts), WORK_HOLD);
    facts.is_domain_held = false;
    assert_int_equal(work_for(&row, &facts), WORK_TOO_OLD);
    row.method = METHOD_PORTAL;
    assert_int_equal(work_for(&row, &facts), WORK_TOO_OLD);
    row.method = METHOD_REGULAR; /* one more attempt, however old */
    assert_int_equal(work_for(&row, &facts), WORK_CARRY);
    row.state = STATE_NOTIFIED;
    assert_int_equal(work_for(&row, &facts), WORK_EXPIRE);
    row.owes = OWES_RECEIPT;
    assert_int_equal(work_for(&row, &facts), WORK_MAIL);
    row.due_ms = RECIPIENT_NOT_DUE;
    assert_int_equal(work_for(&row, &facts), WORK_NONE);
    row.due_ms = facts.now_ms + 60000;
    assert_int_equal(work_for(&row, &facts), WORK_NONE);
    row.due_ms = 5;
    row.owes = 0;
    row.state = STATE_DELIVERED;
    assert_int_equal(work_for(&row, &facts), WORK_NONE);
}

static void test_windows_of_domains(void **state)
{
    struct ipc_delivered silent = {.results = {NULL, 0}}, heard = silent;
    struct ipc_result item = {.recipient = 1, .outcome = OUTCOME_TEMPORARY};
    struct buffer lists[2];
    size_t window = 0;

    (void)state;
    buffer_init(&lists[0], 4096);
    buffer_init(&lists[1], 4096);
    must(ipc_list_append(&lists[0], IPC_RESULT, &item));
    item.code = 451; /* somebody is there */
    must(ipc_list_append(&lists[1], IPC_RESULT, &item));
    silent.results = buffer_view(&lists[0]);
    heard.results = buffer_view(&lists[1]);
    assert_int_equal(feedback_window_after(0, &heard), DOMAIN_JOBS_FIRST + 2);
    assert_int_equal(feedback_window_after(0, &silent), DOMAIN_JOBS_FIRST / 2);
    for (int i = 0; i < 200; i++)
        window = feedback_window_after(window, &heard);
    assert_int_equal(window, DOMAIN_JOBS_MAX);
    for (int i = 0; i < 20; i++)
        window = feedback_window_after(window, &silent);
    assert_int_equal(window, DOMAIN_JOBS_LEAST);
    buffer_deinit(&lists[0]);
    buffer_deinit(&lists[1]);
}

static void test_silence(void **state)
{
    struct circuit circuit = {0};
    struct ipc_result item = {.recipient = 1,
                              .outcome = OUTCOME_TEMPORARY,
                              .enhanced = S("4.4.1"),
                              .reply = S("gone")};
    struct ipc_delivered silent = {.unreached = true}, heard;
    struct buffer lists[2];

    (void)state;
    buffer_init(&lists[0], 4096);
    buffer_init(&lists[1], 4096);
    must(ipc_list_append(&lists[0], IPC_RESULT, &item));
    item.code = 451;
    must(ipc_list_append(&lists[1], IPC_RESULT, &item));
    silent.results = buffer_view(&lists[0]);
    heard = silent;
    heard.results = buffer_view(&lists[1]);
    for (int i = 1; i < SILENCE_MISSES; i++) {
        silence_note(&circuit, S("a.test"), &silent, 1000, 60000);
        assert_true(circuit.is_suspect);
        assert_false(silence_rests(&circuit, 1000));
    }
    silence_note(&circuit, S("a.test"), &silent, 1000, 60000);
    assert_true(silence_rests(&circuit, 60999));
    assert_false(silence_rests(&circuit, 61000));
    assert_string_equal(circuit.silent_why_cstr, "gone");
    /* One that was under way tells nothing new; the next after the rest does. */
    silence_note(&circuit, S("a.test"), &silent, 2000, 60000);
    assert_false(silence_rests(&circuit, 61000));
    silence_note(&circuit, S("a.test"), &silent, 61000, 60000);
    assert_true(silence_rests(&circuit, 61000 + 119999));
    for (int i = 0; i < 10; i++)
        silence_note(&circuit, S("a.test"), &silent, circuit.silent_until_ms, 60000);
    assert_false(silence_rests(&circuit, circuit.silent_until_ms));
    silence_note(&circuit, S("a.test"), &heard, circuit.silent_until_ms - 1, 60000);
    assert_false(circuit.is_suspect);
    assert_false(silence_rests(&circuit, 0));
    /* Reached, or refused for good, is not silence. */
    silent.unreached = false;
    for (int i = 0; i < 10; i++)
        silence_note(&circuit, S("a.test"), &silent, 1000, 60000);
    assert_false(circuit.is_suspect);
    /* Mail that was tried before this process began: one miss is enough. */
    silent.unreached = true;
    silence_suspect(&circuit);
    silence_note(&circuit, S("a.test"), &silent, 1000, 60000);
    assert_true(silence_rests(&circuit, 1001));
    silence_end(&circuit, S("a.test"));
    buffer_deinit(&lists[0]);
    buffer_deinit(&lists[1]);
}

static void test_jumps_of_the_clock(void **state)
{
    const int64_t hour_ms = 3600 * 1000;
    struct clock_watch watch = {.offset_ms = 1000000};

    (void)state;
    assert_false(clock_watch_look(&watch, 1000500, 500));
    assert_false(clock_watch_look(&watch, 1001000 - 1500, 1000)); /* slewed */
    assert_false(watch.is_walking);
    assert_true(clock_watch_look(&watch, 1000000 - hour_ms, 2000));
    assert_true(watch.is_walking);
    assert_int_equal(clock_watch_doubt_ms(&watch, 2000), 0);
    assert_false(clock_watch_look(&watch, 1000000 + 24 * hour_ms, 3000));
    assert_int_equal(clock_watch_doubt_ms(&watch, 3000), CLOCK_DOUBT_MS);
    assert_int_equal(clock_watch_doubt_ms(&watch, 3000 + CLOCK_DOUBT_MS), 0);
    /* Put right: no doubt is left. */
    assert_true(clock_watch_look(&watch, 1000000, 4000));
    assert_int_equal(clock_watch_doubt_ms(&watch, 4000), 0);
}

static void test_retry_delays(void **state)
{
    (void)state;
    for (uint64_t random = 0; random < 1000; random += 7) {
        int64_t first = retry_delay_ms(1, 1000, 16000, random);
        int64_t third = retry_delay_ms(3, 1000, 16000, random);
        int64_t many = retry_delay_ms(4000000000U, 1000, 16000, random);

        assert_in_range(first, 750, 1250);
        assert_in_range(third, 3000, 5000);
        assert_in_range(many, 12000, 20000);
    }
    assert_true(retry_delay_ms(1, 0, 0, 5) >= 0);
}

static void test_throttle(void **state)
{
    static struct throttle throttle;

    (void)state;
    assert_int_equal(throttle_wait_ms(&throttle, 7, 2, 1000, 50), 0);
    throttle_count(&throttle, 7, 1000, 50);
    assert_int_equal(throttle_wait_ms(&throttle, 7, 2, 1000, 50), 0);
    throttle_count(&throttle, 7, 1000, 60);
    assert_int_equal(throttle_wait_ms(&throttle, 7, 2, 1000, 100), 950);
    assert_int_equal(throttle_wait_ms(&throttle, 7, 2, 1000, 1050), 0);
    /* Another one in the same slot does not inherit. */
    assert_int_equal(throttle_wait_ms(&throttle, 7 + THROTTLE_SLOTS, 2, 1000, 100), 0);
    throttle_forget(&throttle, 7);
    assert_int_equal(throttle_wait_ms(&throttle, 7, 2, 1000, 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_move_from_every_state),
        cmocka_unit_test(test_an_end_is_an_end),
        cmocka_unit_test(test_what_a_due_row_needs),
        cmocka_unit_test(test_windows_of_domains),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_jumps_of_the_clock),
        cmocka_unit_test(test_retry_delays),
        cmocka_unit_test(test_throttle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
