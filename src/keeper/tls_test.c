/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper remembers of others' TLS: hosts, the ratchet, the board; over a crash; and what it does with it. */
#include "keeper/stand.h"

#include "kit/kit.h"

#include <string.h>
#include <sys/socket.h>

/* The scout, played: policies are none, a test finds one host as `level` says. */
struct scout {
    struct stand *stand;
    struct ipc_channel *channel;
    enum proof_level level;
    bool is_silent, is_temporary;
    uint64_t tests;
    char domain_cstr[64], host_cstr[64];
};

static void answer_test(struct scout *scout, const struct ipc_tls_test *question)
{
    struct ipc_tested_host host = {.preference = 10,
                                   .mx = S("mx.example.test"),
                                   .address = S("192.0.2.1"),
                                   .reached = true,
                                   .starttls = scout->level > PROOF_NONE,
                                   .tls = scout->level > PROOF_NONE ? S("TLSv1.3") : S(""),
                                   .webpki = scout->level >= PROOF_VERIFIED,
                                   .level = scout->level,
                                   .why =
                                       scout->level >= PROOF_VERIFIED ? S("") : S("why not")};
    struct ipc_tls_tested tested = {
        .ask = question->ask, .ok = !scout->is_temporary, .temporary = scout->is_temporary};
    struct buffer list;

    must(slice_to_cstr(question->domain, scout->domain_cstr, sizeof scout->domain_cstr) &&
         slice_to_cstr(question->host, scout->host_cstr, sizeof scout->host_cstr));
    buffer_init(&list, 4096);
    must(ipc_list_append(&list, IPC_TESTED_HOST, &host));
    tested.hosts = buffer_view(&list);
    must(ipc_send(scout->channel, IPC_TLS_TESTED, &tested));
    buffer_deinit(&list);
}

static void on_scout(void *context, struct ipc_channel *channel, enum ipc_type type,
                     const union ipc_any *message)
{
    struct scout *scout = context;
    struct ipc_sts_found none = {.outcome = STS_OUTCOME_NONE};

    if (type == IPC_STS_FIND) {
        none.ask = message->sts_find.ask;
        must(ipc_send(channel, IPC_STS_FOUND, &none));
    } else if (type == IPC_TLS_TEST) {
        scout->tests++;
        if (!scout->is_silent)
            answer_test(scout, &message->tls_test);
    }
}

static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    (void)context;
    (void)channel;
    (void)why;
}

static void play_scout(struct scout *scout, struct stand *stand)
{
    int fds[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    scout->stand = stand;
    keeper_attach(stand->keeper, ROLE_SCOUT, 0, fds[0]);
    scout->channel = ipc_channel_new(stand->loop, fds[1], on_scout, on_closed, scout);
}

static void ask_host(struct stand *stand, struct slice host)
{
    uint64_t before = stand->hosts_known;

    must(ipc_send(stand->courier, IPC_HOST_ASK,
                  &(struct ipc_host_ask){.ask = before + 7, .host = host}));
    stand_wait(stand, &stand->hosts_known, before + 1);
    assert_int_equal(stand->host.ask, before + 7);
}

static void deliver(struct stand *stand, const char *to_cstr, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        uint64_t before = stand->delivered;

        stand_submit(stand, &(struct stand_mail){.to_cstr = to_cstr, .encrypt = 0});
        stand_wait(stand, &stand->delivered, before + 1);
        stand_run(stand, 30);
    }
}

static void test_hosts_are_remembered(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    ask_host(&stand, S("mx.example.test"));
    assert_false(stand.host.ratcheted || stand.host.small_hello);
    deliver(&stand, "a@good.test", 2);
    ask_host(&stand, S("mx.example.test"));
    assert_false(stand.host.ratcheted);
    assert_false(stand.last_job.ratcheted);
    stand_outcome(&stand, "good.test", OUTCOME_DELIVERED, PROOF_ENCRYPTED);
    stand.outcomes[0].has_small_hello = true;
    deliver(&stand, "a@good.test", 1);
    ask_host(&stand, S("MX.Example.test"));
    assert_true(stand.host.ratcheted && stand.host.small_hello);
    ask_host(&stand, S(""));
    assert_false(stand.host.ratcheted || stand.host.small_hello);
    stand_restart(&stand, true);
    ask_host(&stand, S("mx.example.test"));
    assert_true(stand.host.ratcheted && stand.host.small_hello);
    deliver(&stand, "b@good.test", 1);
    assert_true(stand.last_job.ratcheted && !stand.last_job.ratchet_lifted);
    /* The same host for another domain: the domain's own memory is empty. */
    deliver(&stand, "c@new.test", 1);
    assert_false(stand.last_job.ratcheted);
    stand_close(&stand);
}

static void test_off_is_off(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "delivery { ratchet = 0 }\n");
    deliver(&stand, "a@good.test", 4);
    ask_host(&stand, S("mx.example.test"));
    assert_false(stand.host.ratcheted);
    assert_false(stand.last_job.ratcheted);
    stand_close(&stand);
}

/* STARTTLS is gone, the lift comes after the hold, the alarm ends when TLS is back. */
static void test_the_ratchet_holds_and_is_lifted(void **state)
{
    struct stand stand;
    uint64_t message;

    (void)state;
    stand_open(&stand, "delivery { retry_first = 100ms retry_max = 200ms ratchet_hold = 1s "
                       "policy_notice = 1s }\n");
    stand_outcome(&stand, "good.test", OUTCOME_DELIVERED, PROOF_ENCRYPTED);
    deliver(&stand, "a@good.test", 3);
    stand.outcomes[0] = (struct stand_outcome){
        .domain_cstr = "good.test", .outcome = OUTCOME_TEMPORARY, .held_by = 11};
    message =
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "late@good.test", .encrypt = 2});
    stand_run(&stand, 300);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    assert_int_equal(store_memory_lost_count(stand.keeper->store), 1);
    assert_int_equal(stand.last_job.ratchet_lifted, 0);
    assert_non_null(strstr(stand_control(&stand, "{\"do\":\"status\"}"), "\"lost_ms\""));
    stand_run(&stand, 1500);
    assert_int_equal(stand.kinds_made[KIND_DSN_DELAY], 1);
    assert_non_null(strstr(stand.mail_detail_cstr, "lost its TLS"));
    stand.outcome_count = 0;
    stand_run(&stand, 600);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    assert_int_equal(store_memory_lost_count(stand.keeper->store), 0);
    assert_int_equal(stand.kinds_made[KIND_DSN_DELAY], 1);
    stand_close(&stand);
}

static void test_the_board(void **state)
{
    struct stand stand;
    struct scout scout = {.level = PROOF_VERIFIED};

    (void)state;
    stand_open(&stand, "board { first_after = 0 again_after = 100ms }\n");
    play_scout(&scout, &stand);
    assert_int_equal(board_verdict(stand.keeper, S("good.test")), BOARD_UNKNOWN);
    deliver(&stand, "a@good.test", 1);
    stand_wait(&stand, &scout.tests, 1);
    stand_run(&stand, 100);
    assert_string_equal(scout.domain_cstr, "good.test");
    assert_int_equal(board_verdict(stand.keeper, S("Good.test")), BOARD_VERIFIED);
    /* More mail the same day: no more tests. */
    deliver(&stand, "b@good.test", 3);
    assert_int_equal(scout.tests, 1);
    /* Worse: believed at the second look, which comes by itself. */
    scout.level = PROOF_NONE;
    board_want_test(stand.keeper, S("good.test"));
    stand_wait(&stand, &scout.tests, 3);
    stand_run(&stand, 200);
    assert_int_equal(board_verdict(stand.keeper, S("good.test")), BOARD_CLEAR);
    assert_non_null(strstr(stand_control(&stand, "{\"do\":\"tls\",\"what\":\"show\",\"domain\":"
                                                 "\"good.test\"}"),
                           "\"after\":\"no TLS\",\"why\":\"mx.example.test: why not\""));
    assert_non_null(
        strstr(stand_control(&stand, "{\"do\":\"explain\",\"from\":"
                                     "\"clerk@clinic.test\",\"to\":[\"x@good.test\"]}"),
               "\"method\":\"portal\""));
    /* Nothing can be said: nothing changes. */
    scout.is_temporary = true;
    board_want_test(stand.keeper, S("good.test"));
    stand_wait(&stand, &scout.tests, 4);
    stand_run(&stand, 100);
    assert_int_equal(board_verdict(stand.keeper, S("good.test")), BOARD_CLEAR);
    ipc_channel_free(&scout.channel);
    stand_run(&stand, 50);
    stand_restart(&stand, true);
    assert_int_equal(board_verdict(stand.keeper, S("good.test")), BOARD_CLEAR);
    stand_close(&stand);
}

static void test_a_scout_that_dies(void **state)
{
    struct stand stand;
    struct scout scout = {.is_silent = true};

    (void)state;
    stand_open(&stand, "");
    play_scout(&scout, &stand);
    assert_non_null(strstr(
        stand_control(&stand, "{\"do\":\"tls\",\"what\":\"test\",\"domain\":\"clinic.test\"}"),
        "\"testing\":true"));
    stand_wait(&stand, &scout.tests, 1);
    assert_true(board_is_testing(stand.keeper, S("clinic.test")));
    ipc_channel_free(&scout.channel);
    stand_run(&stand, 100);
    assert_false(board_is_testing(stand.keeper, S("clinic.test")));
    scout = (struct scout){.level = PROOF_DANE};
    play_scout(&scout, &stand);
    board_want_test(stand.keeper, S("clinic.test"));
    stand_wait(&stand, &scout.tests, 1);
    stand_run(&stand, 100);
    assert_string_equal(scout.host_cstr,
                        "inside.clinic.test"); /* the next hop of the settings */
    assert_int_equal(board_verdict(stand.keeper, S("clinic.test")), BOARD_DANE);
    assert_non_null(
        strstr(stand_control(&stand, "{\"do\":\"tls\",\"what\":\"report\"}"), "\"dane\":1"));
    assert_non_null(
        strstr(stand_control(&stand, "{\"do\":\"tls\",\"what\":\"list\"}"), "clinic.test"));
    assert_non_null(strstr(
        stand_control(&stand, "{\"do\":\"tls\",\"what\":\"test\",\"domain\":\"a@b.test\"}"),
        "name a domain"));
    ipc_channel_free(&scout.channel);
    stand_close(&stand);
}

/* Mail for an own next hop that proves nothing waits; it is not planned in a circle. */
static void test_an_own_next_hop_without_proof(void **state)
{
    struct stand stand;
    uint64_t message, before;

    (void)state;
    stand_open(&stand, "delivery { retry_first = 10s retry_max = 20s }\n");
    stand_outcome(&stand, "clinic.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "x@clinic.test",
                                                        .kind = KIND_INBOUND,
                                                        .from_cstr = "y@far.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 300);
    before = stand.delivered;
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    assert_int_equal(before, 1);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_are_remembered),
        cmocka_unit_test(test_off_is_off),
        cmocka_unit_test(test_the_ratchet_holds_and_is_lifted),
        cmocka_unit_test(test_the_board),
        cmocka_unit_test(test_a_scout_that_dies),
        cmocka_unit_test(test_an_own_next_hop_without_proof),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
