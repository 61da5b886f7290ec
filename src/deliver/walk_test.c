/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over the hosts, the connections that are kept, and the messages that are unlike others. */
#include "deliver/client.h"
#include "deliver/test_scene.h"

#include <arpa/inet.h>
#include <signal.h>

static void test_each_recipient_has_its_own_result(void **state)
{
    struct scene *scene = *state;
    struct delivery *got;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    peer_add_rule(&peer, "RCPT", 2, PEER_SAY, "550 5.1.1 who\r\n");
    peer_add_rule(&peer, "RCPT", 3, PEER_SAY, "452 4.5.3 too many\r\n");
    scene_start(scene, peer.port);
    got = scene_carry(scene, scene_delivery(scene, "one.test",
                                            "bob@one.test,eve@one.test,joe@one.test,x\ry",
                                            PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_int_equal(got->recipients[1].outcome, OUTCOME_PERMANENT);
    assert_string_equal(got->recipients[1].enhanced_cstr, "5.1.1");
    assert_int_equal(got->recipients[2].outcome, OUTCOME_TEMPORARY);
    assert_int_equal(got->recipients[2].code, 452);
    /* An address that could be a command of its own is not sent. */
    assert_int_equal(got->recipients[3].outcome, OUTCOME_PERMANENT);
    assert_string_equal(got->recipients[3].enhanced_cstr, "5.1.3");
    assert_int_equal(peer.taken, 1);
    assert_false(peer_heard(&peer, "x"));
    peer_close(&peer);
}

/* Two hosts: what the first does, and who gets the message. */
static void test_the_next_host_is_asked(void **state)
{
    static const struct {
        const char *verb_cstr;
        enum peer_act act;
        const char *reply_cstr;
        enum delivery_outcome outcome;
        unsigned taken;
    } cases[] = {
        {"GREETING", PEER_CLOSE, "", OUTCOME_DELIVERED, 1},
        {"GREETING", PEER_SAY, "554 no\r\n", OUTCOME_DELIVERED, 1},
        {"STARTTLS", PEER_SAY, "454 no\r\n", OUTCOME_DELIVERED, 1},
        {"MAIL", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_DELIVERED, 1},
        {"MAIL", PEER_SAY, "550 5.7.1 no\r\n", OUTCOME_PERMANENT, 0},
        {"RCPT", PEER_SAY, "450 4.2.0 grey\r\n", OUTCOME_DELIVERED, 1},
        {"DATA", PEER_CLOSE, "", OUTCOME_DELIVERED, 1},
        {"END", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_DELIVERED, 1},
        /* It may have been taken: asking another could deliver it twice. */
        {"END", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
    };
    struct scene *scene = *state;
    struct certificate_pair second = {0};

    scene_issue(scene, &scene->authority, "mx2.test", NULL, 90000, &second);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct peer first, other;
        struct delivery *got;

        peer_open(&first, scene->loop, scene_address(1), 0);
        peer_open(&other, scene->loop, scene_address(2), first.port);
        peer_add_certificate(&first, &scene->good);
        peer_add_certificate(&other, &second);
        peer_add_rule(&first, cases[i].verb_cstr, 0, cases[i].act, cases[i].reply_cstr);
        scene_start(scene, first.port);
        got = scene_carry(scene,
                          scene_delivery(scene, "two.test", "bob@two.test", PROOF_VERIFIED));
        if (got->recipients[0].outcome != cases[i].outcome || other.taken != cases[i].taken)
            fail_msg("%s %s: %d, %u taken", cases[i].verb_cstr, cases[i].reply_cstr,
                     got->recipients[0].outcome, other.taken);
        if (cases[i].taken == 1)
            assert_string_equal(got->evidence.mx_cstr, "mx2.test");
        assert_false(scene_leaked(&first) || scene_leaked(&other));
        scene_clear(scene);
        deliverer_free(&scene->deliverer);
        peer_close(&first);
        peer_close(&other);
    }
    certificate_pair_deinit(&second);
}

/* Evidence is of the connection that carried the mail: whom the first host leaves over is no reason to ask another one. */
static void test_evidence_is_of_the_host_that_took_it(void **state)
{
    struct scene *scene = *state;
    struct peer first, other;
    struct delivery *got;

    peer_open(&first, scene->loop, scene_address(1), 0);
    peer_open(&other, scene->loop, scene_address(2), first.port);
    peer_add_certificate(&first, &scene->good);
    peer_add_rule(&first, "RCPT", 2, PEER_SAY, "452 4.5.3 too many\r\n");
    scene_start(scene, first.port);
    got = scene_carry(
        scene, scene_delivery(scene, "two.test", "bob@two.test,eve@two.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_int_equal(got->recipients[1].outcome, OUTCOME_TEMPORARY);
    assert_int_equal(got->recipients[1].code, 452);
    assert_string_equal(got->evidence.mx_cstr, "mx1.test");
    assert_int_equal(first.taken, 1);
    assert_int_equal(other.taken, 0);
    peer_close(&first);
    peer_close(&other);
}

static void test_not_proved_only_when_somebody_answered(void **state)
{
    struct scene *scene = *state;
    struct delivery *got;
    struct peer first, other;

    /* One host unreachable, one without TLS: hosts answered, none proved it. */
    peer_open(&other, scene->loop, scene_address(2), 0);
    scene_start(scene, other.port);
    got = scene_carry(scene, scene_delivery(scene, "two.test", "bob@two.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_NOT_PROVED);
    assert_string_equal(got->recipients[0].enhanced_cstr, "5.7.10");
    /* Nobody there at all: later. */
    got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_TEMPORARY);
    /* The first proves it and is busy, the second does not prove it: later. */
    deliverer_free(&scene->deliverer);
    peer_open(&first, scene->loop, scene_address(1), other.port);
    peer_add_certificate(&first, &scene->good);
    peer_add_rule(&first, "MAIL", 0, PEER_SAY, "451 4.3.0 later\r\n");
    scene_start(scene, other.port);
    got = scene_carry(scene, scene_delivery(scene, "two.test", "bob@two.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_TEMPORARY);
    assert_int_equal(got->recipients[0].code, 451);
    assert_int_equal(other.mails_clear, 0);
    peer_close(&first);
    peer_close(&other);
}

static void test_destinations_that_are_none(void **state)
{
    static const struct {
        const char *domain_cstr;
        enum delivery_outcome outcome;
        const char *enhanced_cstr;
    } cases[] = {
        {"absent.test", OUTCOME_PERMANENT, "5.1.2"},
        {"null.test", OUTCOME_PERMANENT, "5.1.10"},
        {"loop.test", OUTCOME_PERMANENT, "5.4.6"},
        {"lost.test", OUTCOME_PERMANENT, "5.4.4"},
        {"text.test", OUTCOME_PERMANENT, "5.1.2"},
        {"away.test", OUTCOME_TEMPORARY, "4.4.1"},
        {"[127.255.255.9]", OUTCOME_TEMPORARY, "4.4.1"},
        {"[nonsense]", OUTCOME_PERMANENT, "5.4.4"},
        {"bad name", OUTCOME_PERMANENT, "5.1.2"},
    };
    struct scene *scene = *state;

    scene_start(scene, 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct delivery *got = scene_carry(
            scene, scene_delivery(scene, cases[i].domain_cstr, "bob@x.test", PROOF_NONE));

        if (got->recipients[0].outcome != cases[i].outcome ||
            strcmp(got->recipients[0].enhanced_cstr, cases[i].enhanced_cstr) != 0)
            fail_msg("%s: %d %s", cases[i].domain_cstr, got->recipients[0].outcome,
                     got->recipients[0].enhanced_cstr);
        scene_clear(scene);
    }
}

static void test_routes_are_verified_by_their_own_name(void **state)
{
    static const struct {
        const char *host_cstr;
        enum delivery_outcome outcome;
    } cases[] = {
        {"[literal]", OUTCOME_DELIVERED},
        {"mx1.test", OUTCOME_NOT_PROVED},
    };
    struct scene *scene = *state;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->literal);
    scene_start(scene, 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct delivery *delivery =
            scene_delivery(scene, "absent.test", "bob@absent.test", PROOF_VERIFIED);

        if (cases[i].host_cstr[0] == '[')
            snprintf(delivery->host_cstr, sizeof delivery->host_cstr, "[%s]", scene_address(1));
        else
            snprintf(delivery->host_cstr, sizeof delivery->host_cstr, "%s", cases[i].host_cstr);
        delivery->port = peer.port;
        assert_int_equal(scene_carry(scene, delivery)->recipients[0].outcome, cases[i].outcome);
    }
    assert_int_equal(peer.taken, 1);
    peer_close(&peer);
}

static void test_connections_are_kept_and_given_up(void **state)
{
    struct scene *scene = *state;
    struct peer peer;

    scene->settings->delivery.messages_per_connection = 3;
    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    for (int i = 0; i < 4; i++) {
        struct delivery *got = scene_carry(
            scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));

        assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
        assert_int_equal(got->evidence.is_reused, i == 1 || i == 2);
        assert_int_equal(got->evidence.level, PROOF_VERIFIED);
    }
    assert_int_equal(peer.connections, 2);
    assert_false(peer_heard(&peer, "RSET"));
    peer_close(&peer);
}

static void test_a_dead_kept_connection_costs_nothing(void **state)
{
    struct scene *scene = *state;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    peer_add_rule(&peer, "MAIL", 2, PEER_CLOSE, "");
    peer_add_rule(&peer, "MAIL", 4, PEER_SAY_CLOSE, "421 4.4.2 too long idle\r\n");
    scene_start(scene, peer.port);
    for (int i = 0; i < 3; i++) {
        struct delivery *got = scene_carry(
            scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));

        assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    }
    assert_int_equal(peer.connections, 3);
    assert_int_equal(peer.taken, 3);
    peer_close(&peer);
}

static void test_an_idle_connection_says_goodbye(void **state)
{
    struct scene *scene = *state;
    struct peer peer;

    scene->settings->delivery.idle_ms = 50;
    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    for (int i = 0; i < 400 && !peer_heard(&peer, "QUIT"); i++) {
        loop_run_once(scene->loop);
        usleep(1000);
    }
    assert_true(peer_heard(&peer, "QUIT"));
    peer_close(&peer);
}

static void test_many_share_few_connections(void **state)
{
    struct scene *scene = *state;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < SCENE_RESULTS; i++)
            deliverer_submit(scene->deliverer,
                             scene_delivery(scene, "one.test", "bob@one.test",
                                            i % 2 == 0 ? PROOF_VERIFIED : PROOF_NONE));
        scene_run(scene, SCENE_RESULTS);
        for (size_t i = 0; i < SCENE_RESULTS; i++)
            assert_int_equal(scene->results[i]->recipients[0].outcome, OUTCOME_DELIVERED);
        scene_clear(scene);
    }
    assert_int_equal(peer.taken, 10 * SCENE_RESULTS);
    assert_in_range(peer.connections, 1, 8);
    assert_int_equal(deliverer_count(scene->deliverer), 0);
    assert_int_equal(deliverer_in_transit(scene->deliverer), 0);
    peer_close(&peer);
}

/* A transaction that ended in between is cleared away before the next one, and only then. */
static void test_rset_when_needed(void **state)
{
    struct scene *scene = *state;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer.ehlo_cstr = "";
    peer_add_rule(&peer, "RCPT", 1, PEER_SAY, "550 5.1.1 who\r\n");
    scene_start(scene, peer.port);
    scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_NONE));
    scene_carry(scene, scene_delivery(scene, "one.test", "joe@one.test", PROOF_NONE));
    assert_int_equal(scene->results[1]->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_int_equal(peer.connections, 1);
    assert_true(peer_heard(&peer, "RSET\nMAIL"));
    peer_close(&peer);
}

static void test_parameters_and_what_the_server_lacks(void **state)
{
    struct scene *scene = *state;
    struct delivery *delivery;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    peer.ehlo_cstr =
        "250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250-REQUIRETLS\r\n";
    scene_start(scene, peer.port);
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED);
    delivery->body_8bit = true;
    delivery->ret = 2;
    delivery->envid = S("id+1");
    /* REQUIRETLS goes only to a host whose name is proved: our own settings name it. */
    delivery->requirement.requiretls = true;
    snprintf(delivery->host_cstr, sizeof delivery->host_cstr, "mx1.test");
    delivery->recipients[0].notify = 2 | 4;
    delivery->recipients[0].orcpt = S("rfc822;b+c@one.test");
    scene_carry(scene, delivery);
    assert_true(peer_heard(&peer, "BODY=8BITMIME REQUIRETLS RET=HDRS ENVID=id+2B1\n"));
    assert_true(peer_heard(&peer, "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2Bc@one.test\n"));
    assert_true(scene->results[0]->evidence.reports);
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED);
    delivery->smtputf8 = true;
    scene_carry(scene, delivery);
    assert_int_equal(scene->results[1]->recipients[0].outcome, OUTCOME_PERMANENT);
    assert_string_equal(scene->results[1]->recipients[0].enhanced_cstr, "5.6.7");
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED);
    delivery->content.plain_bytes = 2000;
    scene_carry(scene, delivery);
    assert_string_equal(scene->results[2]->recipients[0].enhanced_cstr, "5.3.4");
    assert_int_equal(peer.mails_tls, 1);
    peer_close(&peer);
}

static void test_content_that_cannot_be_read(void **state)
{
    struct scene *scene = *state;
    struct delivery *delivery;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED);
    delivery->data_key.bytes[0] ^= 1;
    scene_carry(scene, delivery);
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED);
    delivery->content.segment++;
    scene_carry(scene, delivery);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(scene->results[i]->recipients[0].outcome, OUTCOME_PERMANENT);
        assert_string_equal(scene->results[i]->recipients[0].enhanced_cstr, "5.3.0");
    }
    assert_int_equal(peer.mails_tls, 0);
    peer_close(&peer);
}

static void test_a_large_message_streams(void **state)
{
    enum { BYTES = 12 << 20, LINE = 64 };
    struct scene *scene = *state;
    uint8_t *content = malloc(BYTES);
    struct content_ref ref;
    struct delivery *got;
    struct peer peer;

    for (size_t i = 0; i < BYTES; i++)
        content[i] = (uint8_t)(i % LINE == LINE - 2   ? '\r'
                               : i % LINE == LINE - 1 ? '\n'
                                                      : 'a' + (i * 7 + i / LINE) % 26);
    ref = write_one(scene->writer, slice_of(content, BYTES), 1 << 20);
    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    got = scene_carry(
        scene, scene_delivery_of(scene, &ref, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_true(
        slice_equal(slice_from(buffer_view(&peer.content), 21), slice_of(content, BYTES)));
    /* Damage in its middle is found when the message is under way: the connection is cut, nothing is taken. */
    {
        char path_cstr[128];
        uint8_t byte = 0;
        int fd;

        snprintf(path_cstr, sizeof path_cstr, "%s/%016llx.seg", scene->house->folder_cstr,
                 (unsigned long long)ref.segment);
        fd = open(path_cstr, O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, (off_t)ref.offset + BYTES / 2), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)ref.offset + BYTES / 2), 1);
        close(fd);
    }
    got = scene_carry(
        scene, scene_delivery_of(scene, &ref, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_PERMANENT);
    assert_int_equal(peer.taken, 1);
    free(content);
    peer_close(&peer);
}

/* ---- the gate ---- */

static struct deliver_client *ready_client;

static void on_ready(void *context, struct deliver_client *client)
{
    (void)context;
    ready_client = client;
}

static void on_step(void *context, struct deliver_client *client, struct delivery *delivery,
                    enum client_step step, const struct err *why)
{
    (void)context;
    (void)client;
    (void)delivery;
    (void)step;
    (void)why;
}

static void on_failed(void *context, struct deliver_client *client, enum client_failure failure,
                      const struct err *why)
{
    (void)context;
    (void)client;
    (void)failure;
    (void)why;
    fail();
}

/* An owner that breaks its promise stops the process before a byte about the message is written. */
static void test_the_gate_stops_a_secret_in_the_clear(void **state)
{
    static const struct deliver_client_handlers handlers = {on_ready, on_step, on_failed};
    struct scene *scene = *state;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = inet_addr(scene_address(1))};
    struct deliver_client_options options = {.loop = scene->loop,
                                             .host_cstr = "mx1.test",
                                             .address_len = sizeof address,
                                             .helo_cstr = "us.test",
                                             .connect_timeout_ms = 1000,
                                             .command_timeout_ms = 1000,
                                             .idle_ms = 1000};
    struct spool_shelf *shelf = spool_shelf_new(scene->house->dir_fd);
    struct delivery *delivery;
    struct deliver_client *client;
    struct buffer scratch;
    struct peer peer;
    struct err err;
    int status;
    pid_t child;

    ready_client = NULL;
    peer_open(&peer, scene->loop, scene_address(1), 0);
    address.sin_port = htons(peer.port);
    memcpy(&options.address, &address, sizeof address);
    buffer_init(&scratch, CLIENT_SCRATCH_BYTES);
    options.scratch = &scratch;
    options.shelf = shelf;
    client = deliver_client_open(&options, &handlers, NULL, &err);
    assert_non_null(client);
    for (int i = 0; i < 1000 && ready_client == NULL; i++)
        loop_run_once(scene->loop);
    assert_ptr_equal(ready_client, client);
    assert_string_equal(deliver_client_state(client), "ready");
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_ENCRYPTED);
    child = fork();
    if (child == 0) {
        int null_fd = open("/dev/null", O_WRONLY);

        signal(SIGABRT, SIG_DFL);
        dup2(null_fd, 2);
        _exit(deliver_client_send(client, delivery, &err) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    for (int i = 0; i < 20; i++)
        loop_run_once(scene->loop);
    assert_int_equal(peer.mails_clear, 0);
    delivery_free(&delivery);
    deliver_client_free(&client);
    spool_shelf_free(&shelf);
    buffer_deinit(&scratch);
    peer_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)
        SCENE(test_each_recipient_has_its_own_result),
        SCENE(test_the_next_host_is_asked),
        SCENE(test_evidence_is_of_the_host_that_took_it),
        SCENE(test_not_proved_only_when_somebody_answered),
        SCENE(test_destinations_that_are_none),
        SCENE(test_routes_are_verified_by_their_own_name),
        SCENE(test_connections_are_kept_and_given_up),
        SCENE(test_a_dead_kept_connection_costs_nothing),
        SCENE(test_an_idle_connection_says_goodbye),
        SCENE(test_many_share_few_connections),
        SCENE(test_rset_when_needed),
        SCENE(test_parameters_and_what_the_server_lacks),
        SCENE(test_content_that_cannot_be_read),
        SCENE(test_a_large_message_streams),
        SCENE(test_the_gate_stops_a_secret_in_the_clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
