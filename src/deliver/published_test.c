/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain has published, what its host does, and what becomes of each kind of mail: with real handshakes. */
#include "deliver/test_scene.h"

#include <signal.h>

enum shows { GOOD, WRONG_NAME, EXPIRED, NOTHING };

/* One case a line or two, aligned by hand. */
/* clang-format off */
static const struct published_case {
    const char *name_cstr;
    struct tls_requirement requirement;
    enum sts_state sts;
    const char *sts_mx_cstr;
    enum shows shows;
    bool promises; /* REQUIRETLS */
    bool is_ratcheted;
    enum delivery_outcome outcome;
    const char *enhanced_cstr, *rule_cstr;
    unsigned row;
    enum proof_level level;
    enum mx_proof mx;
    int result; /* enum tls_report_result; -1 = none */
} published_cases[] = {
#define ORDINARY {.cleartext_allowed = true, .cleartext_after_ms = 900000}
#define SECURE {.least = PROOF_VERIFIED}
    {"enforce, met", ORDINARY, STS_ENFORCE, "mx9.test\nmx1.test", GOOD, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-enforce", 7, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"enforce, wildcard", ORDINARY, STS_ENFORCE, "*.test", GOOD, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-enforce", 7, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"enforce, not named", ORDINARY, STS_ENFORCE, "mx2.test\n*.mx1.test", GOOD, false, false, OUTCOME_TEMPORARY,
     "4.7.10", "sts-unlisted", 7, PROOF_NONE, MX_PROOF_NONE, REPORT_VALIDATION_FAILURE},
    {"enforce, another name", ORDINARY, STS_ENFORCE, "mx1.test", WRONG_NAME, false, false, OUTCOME_TEMPORARY,
     "4.7.10", "sts-enforce", 7, PROOF_NONE, MX_PROOF_STS, REPORT_CERTIFICATE_HOST_MISMATCH},
    {"enforce, expired", ORDINARY, STS_ENFORCE, "mx1.test", EXPIRED, false, false, OUTCOME_TEMPORARY,
     "4.7.10", "sts-enforce", 7, PROOF_NONE, MX_PROOF_STS, REPORT_CERTIFICATE_EXPIRED},
    {"enforce, no STARTTLS", ORDINARY, STS_ENFORCE, "mx1.test", NOTHING, false, false, OUTCOME_TEMPORARY,
     "4.7.10", "sts-enforce", 7, PROOF_NONE, MX_PROOF_STS, REPORT_STARTTLS_NOT_SUPPORTED},
    {"kept, met", ORDINARY, STS_KEPT, "mx1.test", GOOD, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-kept", 9, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"kept, expired", ORDINARY, STS_KEPT, "mx1.test", EXPIRED, false, false, OUTCOME_TEMPORARY, "4.7.10",
     "sts-kept", 9, PROOF_NONE, MX_PROOF_STS, REPORT_CERTIFICATE_EXPIRED},
    {"kept, not named", ORDINARY, STS_KEPT, "mx2.test", GOOD, false, false, OUTCOME_TEMPORARY, "4.7.10",
     "sts-kept-unlisted", 9, PROOF_NONE, MX_PROOF_NONE, REPORT_VALIDATION_FAILURE},
    {"secure, enforce met", SECURE, STS_ENFORCE, "mx1.test", GOOD, false, false, OUTCOME_DELIVERED, "2.0.0",
     "secure-sts", 2, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"secure, enforce, another name", SECURE, STS_ENFORCE, "mx1.test", WRONG_NAME, false, false,
     OUTCOME_NOT_PROVED, "5.7.10", "secure-sts", 2, PROOF_NONE, MX_PROOF_STS, REPORT_CERTIFICATE_HOST_MISMATCH},
    {"secure, enforce, not named", SECURE, STS_ENFORCE, "mx2.test", GOOD, false, false, OUTCOME_TEMPORARY, "4.7.10",
     "secure-unlisted", 2, PROOF_NONE, MX_PROOF_NONE, REPORT_VALIDATION_FAILURE},
    {"encrypted is enough, but enforce raises it", {.least = PROOF_ENCRYPTED}, STS_ENFORCE, "mx1.test", WRONG_NAME,
     false, false, OUTCOME_NOT_PROVED, "5.7.10", "secure-sts", 2, PROOF_NONE, MX_PROOF_STS,
     REPORT_CERTIFICATE_HOST_MISMATCH},
    {"testing, another name", ORDINARY, STS_TESTING, "mx1.test", WRONG_NAME, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-testing", 8, PROOF_ENCRYPTED, MX_PROOF_NONE, REPORT_CERTIFICATE_HOST_MISMATCH},
    {"testing, not named", ORDINARY, STS_TESTING, "mx2.test", GOOD, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-testing", 8, PROOF_VERIFIED, MX_PROOF_NONE, REPORT_VALIDATION_FAILURE},
    {"testing, no STARTTLS", ORDINARY, STS_TESTING, "mx1.test", NOTHING, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-testing", 8, PROOF_NONE, MX_PROOF_NONE, REPORT_STARTTLS_NOT_SUPPORTED},
    {"testing does not lower what is required", SECURE, STS_TESTING, "mx1.test", WRONG_NAME, false, false,
     OUTCOME_NOT_PROVED, "5.7.10", "secure", 2, PROOF_NONE, MX_PROOF_NONE, REPORT_CERTIFICATE_HOST_MISMATCH},
    {"unfetched", ORDINARY, STS_UNFETCHED, "", WRONG_NAME, false, false, OUTCOME_DELIVERED, "2.0.0",
     "sts-unfetched", 9, PROOF_ENCRYPTED, MX_PROOF_NONE, REPORT_STS_POLICY_FETCH_ERROR},
    {"nothing published", ORDINARY, STS_NONE, "", WRONG_NAME, false, false, OUTCOME_DELIVERED, "2.0.0",
     "no-policy", 10, PROOF_ENCRYPTED, MX_PROOF_NONE, REPORT_SUCCESS},
    {"no STARTTLS", ORDINARY, STS_NONE, "", NOTHING, false, false, OUTCOME_DELIVERED, "2.0.0",
     "no-starttls", 11, PROOF_NONE, MX_PROOF_NONE, REPORT_STARTTLS_NOT_SUPPORTED},
    {"no STARTTLS any more", ORDINARY, STS_NONE, "", NOTHING, false, true, OUTCOME_TEMPORARY, "4.7.10",
     "no-starttls", 11, PROOF_NONE, MX_PROOF_NONE, REPORT_STARTTLS_NOT_SUPPORTED},
    {"REQUIRETLS, nothing proves the host", {.requiretls = true}, STS_NONE, "", GOOD, true, false,
     OUTCOME_NOT_PROVED, "5.7.30", "requiretls-mx", 1, PROOF_NONE, MX_PROOF_NONE, -1},
    {"REQUIRETLS, promised", {.requiretls = true}, STS_ENFORCE, "mx1.test", GOOD, true, false, OUTCOME_DELIVERED,
     "2.0.0", "requiretls", 1, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"REQUIRETLS, not promised", {.requiretls = true}, STS_ENFORCE, "mx1.test", GOOD, false, false,
     OUTCOME_NOT_PROVED, "5.7.30", "requiretls", 1, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"REQUIRETLS, not promised, relaxed", {.requiretls = true, .requiretls_relaxed = true}, STS_ENFORCE, "mx1.test",
     GOOD, false, false, OUTCOME_DELIVERED, "2.0.0", "requiretls", 1, PROOF_VERIFIED, MX_PROOF_STS, REPORT_SUCCESS},
    {"REQUIRETLS, promised, another name", {.requiretls = true}, STS_ENFORCE, "mx1.test", WRONG_NAME, true, false,
     OUTCOME_NOT_PROVED, "5.7.30", "requiretls", 1, PROOF_NONE, MX_PROOF_STS, REPORT_CERTIFICATE_HOST_MISMATCH},
    {"the host's name must be proved", {.least = PROOF_VERIFIED, .mx_proved = true}, STS_NONE, "", GOOD, false, false,
     OUTCOME_NOT_PROVED, "5.7.10", "secure-mx", 2, PROOF_NONE, MX_PROOF_NONE, -1},
    {"TLS-Required: No, not named", {.cleartext_allowed = true, .tls_not_required = true}, STS_ENFORCE, "mx2.test",
     WRONG_NAME, false, false, OUTCOME_DELIVERED, "2.0.0", "tls-not-required", 12, PROOF_ENCRYPTED, MX_PROOF_NONE,
     REPORT_VALIDATION_FAILURE},
    {"TLS-Required: No, no STARTTLS", {.cleartext_allowed = true, .tls_not_required = true}, STS_ENFORCE, "mx1.test",
     NOTHING, false, false, OUTCOME_DELIVERED, "2.0.0", "tls-not-required", 12, PROOF_NONE, MX_PROOF_STS,
     REPORT_STARTTLS_NOT_SUPPORTED},
    {"TLS-Required: No on secure mail", {.least = PROOF_VERIFIED, .tls_not_required = true}, STS_NONE, "",
     WRONG_NAME, false, false, OUTCOME_NOT_PROVED, "5.7.10", "secure", 2, PROOF_NONE, MX_PROOF_NONE,
     REPORT_CERTIFICATE_HOST_MISMATCH},
};
/* clang-format on */

static void show(struct peer *peer, const struct scene *scene, enum shows shows)
{
    const struct certificate_pair *pairs[] = {
        [GOOD] = &scene->good, [WRONG_NAME] = &scene->wrong, [EXPIRED] = &scene->expired};

    if (shows != NOTHING)
        peer_add_certificate(peer, pairs[shows]);
}

/* The results of the job, as the keeper gets them. */
static int first_result(const struct delivery *delivery, size_t *count_out)
{
    struct slice rest = buffer_view(&delivery->tls_results);
    struct ipc_tls_result item;
    int first = -1;

    for (*count_out = 0; ipc_list_next(&rest, IPC_TLS_RESULT, &item) == PROGRESS_DONE;)
        if ((*count_out)++ == 0)
            first = (int)item.result;
    return first;
}

static void try_case(struct scene *scene, const struct published_case *it)
{
    struct delivery *delivery, *got;
    struct peer peer;
    size_t results;
    bool is_sent = it->outcome == OUTCOME_DELIVERED;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    show(&peer, scene, it->shows);
    if (it->promises)
        peer.ehlo_cstr = "250-PIPELINING\r\n250-REQUIRETLS\r\n";
    scene_start(scene, peer.port);
    delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_NONE);
    delivery->requirement = it->requirement;
    delivery->sts = it->sts;
    delivery->sts_id = S("20260101");
    delivery->sts_mx = slice_from_cstr(it->sts_mx_cstr);
    delivery->is_ratcheted = it->is_ratcheted;
    got = scene_carry(scene, delivery);
    if (got->recipients[0].outcome != it->outcome || got->ruling.row != it->row ||
        strcmp(got->ruling.name_cstr, it->rule_cstr) != 0 || got->evidence.level != it->level ||
        got->ruling.mx != it->mx)
        fail_msg("%s: outcome %d, row %u %s, level %s, host proved by %s", it->name_cstr,
                 got->recipients[0].outcome, got->ruling.row, got->ruling.name_cstr,
                 proof_level_name(got->evidence.level), mx_proof_name(got->ruling.mx));
    if (strcmp(got->recipients[0].enhanced_cstr, it->enhanced_cstr) != 0)
        fail_msg("%s: %s", it->name_cstr, got->recipients[0].enhanced_cstr);
    if (first_result(got, &results) != it->result || results != (it->result >= 0 ? 1 : 0))
        fail_msg("%s: %zu results, %d", it->name_cstr, results, first_result(got, &results));
    assert_int_equal(peer.taken, is_sent);
    assert_int_equal(got->evidence.has_requiretls,
                     is_sent && it->requirement.requiretls && it->promises);
    assert_int_equal(peer_heard(&peer, "REQUIRETLS"), got->evidence.has_requiretls);
    if (!is_sent)
        assert_false(peer_heard(&peer, "MAIL"));
    assert_true(
        slice_find_nocase(buffer_view(&got->lookups),
                          S("one.test MX: insecure, 1\nmx1.test addresses: insecure, 1")) == 0);
    scene_clear(scene);
    deliverer_free(&scene->deliverer);
    peer_close(&peer);
}

static void test_what_is_published(void **state)
{
    for (size_t i = 0; i < COUNT_OF(published_cases); i++)
        try_case(*state, &published_cases[i]);
}

/* Two domains on one host, at the same time, one of them under a policy that the host does not meet. */
static void test_each_domain_gets_its_own_policy(void **state)
{
    struct scene *scene = *state;
    struct peer peer;
    unsigned held = 0, sent = 0;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->wrong);
    scene_start(scene, peer.port);
    for (unsigned i = 0; i < 8; i++) {
        struct delivery *delivery = scene_delivery(
            scene, i % 2 == 0 ? "one.test" : "single.test", "bob@x.test", PROOF_NONE);

        if (i % 2 == 0) {
            delivery->sts = STS_ENFORCE;
            delivery->sts_mx = S("mx1.test");
        }
        deliverer_submit(scene->deliverer, delivery);
    }
    scene_run(scene, 8);
    for (unsigned i = 0; i < 8; i++) {
        const struct delivery *got = scene->results[i];

        held += got->ruling.row == 7 && got->recipients[0].outcome == OUTCOME_TEMPORARY;
        sent += got->ruling.row == 10 && got->recipients[0].outcome == OUTCOME_DELIVERED;
    }
    assert_int_equal(held, 4);
    assert_int_equal(sent, 4);
    assert_int_equal(peer.mails_tls, 4);
    assert_int_equal(peer.mails_clear, 0);
    peer_close(&peer);
}

/* The first host is not named by the policy: the second one gets it. */
static void test_a_host_that_is_not_named_is_passed_over(void **state)
{
    struct scene *scene = *state;
    struct certificate_pair second = {0};
    struct delivery *delivery, *got;
    struct peer first, other;

    scene_issue(scene, &scene->authority, "mx2.test", NULL, 90000, &second);
    peer_open(&first, scene->loop, scene_address(1), 0);
    peer_open(&other, scene->loop, scene_address(2), first.port);
    peer_add_certificate(&first, &scene->good);
    peer_add_certificate(&other, &second);
    scene_start(scene, first.port);
    delivery = scene_delivery(scene, "two.test", "bob@two.test", PROOF_NONE);
    delivery->sts = STS_ENFORCE;
    delivery->sts_mx = S("mx2.test");
    got = scene_carry(scene, delivery);
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_string_equal(got->evidence.mx_cstr, "mx2.test");
    assert_int_equal(first.connections, 0);
    assert_int_equal(other.taken, 1);
    peer_close(&first);
    peer_close(&other);
    certificate_pair_deinit(&second);
}

/* A handshake breaks: once more with a small ClientHello, for ordinary and for secure mail; never in the clear for it. */
static void test_a_small_hello_is_tried_once(void **state)
{
    static const struct {
        enum peer_act act;
        enum proof_level least;
        unsigned nth; /* of STARTTLS that breaks; 0 = each */
        enum delivery_outcome outcome;
        unsigned connections;
    } cases[] = {
        {PEER_SAY_DEAF, PROOF_NONE, 1, OUTCOME_DELIVERED, 2},
        {PEER_SAY_DEAF, PROOF_VERIFIED, 1, OUTCOME_DELIVERED, 2},
        {PEER_SAY_CLOSE, PROOF_NONE, 1, OUTCOME_DELIVERED, 2},
        {PEER_SAY_CLOSE, PROOF_VERIFIED, 1, OUTCOME_DELIVERED, 2},
        {PEER_SAY_CLOSE, PROOF_NONE, 0, OUTCOME_TEMPORARY, 2},
        {PEER_SAY_CLOSE, PROOF_VERIFIED, 0, OUTCOME_NOT_PROVED, 2},
        /* Bytes that come along with the answer are an attack, not a large hello. */
        {PEER_GARBLE, PROOF_NONE, 1, OUTCOME_TEMPORARY, 1},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct delivery *got;
        struct peer peer;

        peer_open(&peer, scene->loop, scene_address(1), 0);
        peer_add_certificate(&peer, &scene->good);
        peer_add_rule(&peer, "STARTTLS", cases[i].nth, cases[i].act, "220 go ahead\r\n");
        scene_start(scene, peer.port);
        got = scene_carry(scene,
                          scene_delivery(scene, "one.test", "bob@one.test", cases[i].least));
        if (got->recipients[0].outcome != cases[i].outcome ||
            peer.connections != cases[i].connections)
            fail_msg("case %zu: %d, %u connections", i, got->recipients[0].outcome,
                     peer.connections);
        assert_int_equal(got->evidence.is_small_hello, cases[i].outcome == OUTCOME_DELIVERED);
        assert_int_equal(peer.mails_clear, 0);
        scene_clear(scene);
        deliverer_free(&scene->deliverer);
        peer_close(&peer);
    }
}

/* A certificate that does not verify is no reason for a smaller ClientHello. */
static void test_a_wrong_certificate_is_not_the_hello(void **state)
{
    struct scene *scene = *state;
    struct delivery *got;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->wrong);
    scene_start(scene, peer.port);
    got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_NOT_PROVED);
    assert_int_equal(peer.connections, 1);
    /* The certificate that was refused is told. */
    assert_true(got->evidence.tls.has_certificate);
    assert_string_equal(got->evidence.tls.names_cstr, "other.test");
    peer_close(&peer);
}

/* ---- what is remembered of hosts ---- */

struct memory {
    struct scene *scene;
    unsigned asked;
    uint64_t ask;
};
static struct memory memory;

static void on_ask_host(void *context, uint64_t ask, const char *host_cstr)
{
    (void)context;
    assert_string_equal(host_cstr, "mx1.test");
    memory.asked++;
    memory.ask = ask;
}

static void test_what_is_remembered_of_a_host(void **state)
{
    static const struct deliverer_handlers handlers = {.on_finished = scene_finished,
                                                       .on_ask_host = on_ask_host};
    struct scene *scene = *state;
    struct peer peer;
    struct err err;

    memory = (struct memory){.scene = scene};
    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene->settings->delivery.port = peer.port;
    assert_true(deliverer_new(scene->loop, scene->settings, scene->house->dir_fd, &handlers,
                              scene, &scene->deliverer, &err));
    deliverer_submit(scene->deliverer,
                     scene_delivery(scene, "one.test", "bob@one.test", PROOF_NONE));
    for (int i = 0; i < 2000 && memory.asked == 0; i++) {
        loop_run_once(scene->loop);
        usleep(50);
    }
    assert_int_equal(memory.asked, 1);
    assert_int_equal(peer.connections, 0);
    deliverer_host_known(scene->deliverer, memory.ask + 1, false, false);
    deliverer_host_known(scene->deliverer, memory.ask, true, true);
    deliverer_host_known(scene->deliverer, memory.ask, true, true);
    scene_run(scene, 1);
    assert_true(scene->results[0]->evidence.is_small_hello);
    assert_int_equal(peer.connections, 1);
    /* Asked once, and it holds: without STARTTLS now, the message waits. */
    peer_close(&peer);
    peer_open(&peer, scene->loop, scene_address(1), scene->settings->delivery.port);
    scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_NONE));
    assert_int_equal(memory.asked, 1);
    assert_int_equal(scene->results[1]->ruling.row, 11);
    assert_string_equal(scene->results[1]->recipients[0].enhanced_cstr, "4.7.10");
    assert_int_equal(peer.taken, 0);
    peer_close(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)
        SCENE_TEST(test_what_is_published),
        SCENE_TEST(test_each_domain_gets_its_own_policy),
        SCENE_TEST(test_a_host_that_is_not_named_is_passed_over),
        SCENE_TEST(test_a_small_hello_is_tried_once),
        SCENE_TEST(test_a_wrong_certificate_is_not_the_hello),
        SCENE_TEST(test_what_is_remembered_of_a_host),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
