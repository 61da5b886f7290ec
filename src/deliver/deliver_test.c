/* SPDX-License-Identifier: Apache-2.0 */
/* Whole deliveries against scripted servers: what is sent, what never is, and what it is called afterwards. */
#include "deliver/test_scene.h"

static void test_secure_mail_over_proved_tls(void **state)
{
    struct scene *scene = *state;
    struct delivery *got;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_int_equal(got->recipients[0].code, 250);
    assert_string_equal(got->recipients[0].enhanced_cstr, "2.0.0");
    assert_true(slice_equal(got->recipients[0].reply, S("2.0.0 taken as 42")));
    assert_int_equal(got->evidence.level, PROOF_VERIFIED);
    assert_int_equal(got->evidence.tls.version, TLS_VERSION_1_3);
    assert_string_equal(got->evidence.mx_cstr, "mx1.test");
    assert_string_equal(got->evidence.address_cstr, scene_address(1));
    assert_string_equal(got->evidence.tls.names_cstr, "mx1.test");
    assert_string_equal(got->evidence.why_cstr, "");
    assert_false(got->evidence.is_reused);
    assert_int_equal(peer.mails_tls, 1);
    assert_int_equal(peer.mails_clear, 0);
    assert_false(scene_leaked(&peer));
    assert_true(slice_equal(buffer_view(&peer.content),
                            S("DKIM-Signature: v=1\r\nSubject: " CANARY "\r\n\r\n..dot " CANARY
                              "\r\nlast " CANARY "\r\n")));
    assert_true(slice_starts_with(buffer_view(&got->trail), S("mx1.test [127.")));
    assert_true(slice_ends_with_nocase(buffer_view(&got->trail), S("]: delivered")));
    peer_close(&peer);
}

/* Every way in which the proof is not had: nothing about the message is said, in clear or not. */
static void test_secure_mail_is_never_sent_unproved(void **state)
{
    enum { GOOD, WRONG, EXPIRED, STRANGER, NONE };
    static const struct {
        const char *name_cstr;
        int certificate;
        enum peer_act act;
        const char *starttls_cstr;
        const char *why_cstr;
    } cases[] = {
        {"no STARTTLS", NONE, PEER_SAY, NULL, "STARTTLS is not offered"},
        {"wrong name", WRONG, PEER_SAY, NULL, "handshake failed"},
        {"expired", EXPIRED, PEER_SAY, NULL, "handshake failed"},
        {"unknown authority", STRANGER, PEER_SAY, NULL, "handshake failed"},
        {"454", GOOD, PEER_SAY, "454 4.7.0 not now\r\n", "454"},
        {"502", GOOD, PEER_SAY, "502 5.5.1 what\r\n", "502"},
        {"two replies", GOOD, PEER_INJECT, "", "injected"},
        {"garbled", GOOD, PEER_GARBLE, "", "injected"},
        {"closed at STARTTLS", GOOD, PEER_CLOSE, "", "closed"},
        {"closed in the handshake", GOOD, PEER_SAY_CLOSE, "220 go\r\n", "handshake failed"},
        {"silent at STARTTLS", GOOD, PEER_SILENT, "", "no answer in time"},
        {"nonsense in the handshake", GOOD, PEER_SAY, "220 go\r\n", "handshake failed"},
        {"silent in the handshake", GOOD, PEER_SAY_DEAF, "220 go\r\n", "no answer in time"},
    };
    struct scene *scene = *state;
    struct certificate_pair alone = {0};

    scene_issue(scene, &scene->stranger, "mx1.test", NULL, 90000, &alone);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct certificate_pair *pairs[] = {&scene->good, &scene->wrong, &scene->expired,
                                                  &alone};
        struct delivery *got;
        struct peer peer;

        peer_open(&peer, scene->loop, scene_address(1), 0);
        if (cases[i].certificate != NONE)
            peer_add_certificate(&peer, pairs[cases[i].certificate]);
        if (cases[i].starttls_cstr != NULL)
            peer_add_rule(&peer, "STARTTLS", 0, cases[i].act, cases[i].starttls_cstr);
        scene_start(scene, peer.port);
        got = scene_carry(scene,
                          scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
        if (got->recipients[0].outcome != OUTCOME_NOT_PROVED ||
            strstr(got->evidence.why_cstr, cases[i].why_cstr) == NULL)
            fail_msg("%s: outcome %d, %s", cases[i].name_cstr, got->recipients[0].outcome,
                     got->evidence.why_cstr);
        assert_int_equal(got->evidence.level, PROOF_NONE);
        assert_int_equal(peer.mails_tls + peer.mails_clear, 0);
        assert_false(scene_leaked(&peer));
        scene_clear(scene);
        deliverer_free(&scene->deliverer);
        peer_close(&peer);
    }
    certificate_pair_deinit(&alone);
}

static void test_encrypted_is_enough_where_only_that_is_required(void **state)
{
    struct scene *scene = *state;
    struct delivery *got;
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->wrong);
    scene_start(scene, peer.port);
    got =
        scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_ENCRYPTED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    assert_int_equal(got->evidence.level, PROOF_ENCRYPTED);
    assert_true(strlen(got->evidence.why_cstr) > 0);
    /* The same connection is there, and not good enough for proved mail. */
    got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_NOT_PROVED);
    assert_int_equal(peer.mails_tls, 1);
    assert_int_equal(peer.connections, 2);
    peer_close(&peer);
}

static void test_a_certificate_that_changes_is_seen(void **state)
{
    struct scene *scene = *state;
    struct delivery *got;
    struct peer peer;

    scene->settings->delivery.messages_per_connection = 1;
    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    peer_add_certificate(&peer, &scene->wrong);
    scene_start(scene, peer.port);
    got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_DELIVERED);
    got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(got->recipients[0].outcome, OUTCOME_NOT_PROVED);
    assert_int_equal(peer.connections, 2);
    assert_int_equal(peer.mails_tls, 1);
    assert_false(scene_leaked(&peer));
    peer_close(&peer);
}

static void test_sessions_are_resumed_within_their_class(void **state)
{
    struct scene *scene = *state;
    struct peer peer;

    scene->settings->delivery.messages_per_connection = 1;
    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    scene_start(scene, peer.port);
    for (int i = 0; i < 2; i++) {
        scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_NONE));
        assert_int_equal(peer.resumed, i);
    }
    /* What the open class kept is of no use to the verified one. */
    scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(peer.resumed, 1);
    scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test", PROOF_VERIFIED));
    assert_int_equal(peer.resumed, 2);
    assert_int_equal(scene->results[3]->evidence.level, PROOF_VERIFIED);
    assert_int_equal(peer.mails_tls, 4);
    peer_close(&peer);
}

static void test_ordinary_mail_follows_rows_10_and_11(void **state)
{
    static const struct {
        const char *name_cstr;
        bool has_tls, refuses_tls, is_old, clear_allowed;
        enum delivery_outcome outcome;
        enum proof_level level;
        unsigned clear, tls;
    } cases[] = {
        {"TLS that does not verify", true, false, false, true, OUTCOME_DELIVERED,
         PROOF_ENCRYPTED, 0, 1},
        {"no STARTTLS", false, false, false, true, OUTCOME_DELIVERED, PROOF_NONE, 1, 0},
        {"no STARTTLS, clear forbidden", false, false, true, false, OUTCOME_TEMPORARY,
         PROOF_NONE, 0, 0},
        {"STARTTLS fails, young", true, true, false, true, OUTCOME_TEMPORARY, PROOF_NONE, 0, 0},
        {"STARTTLS fails, old", true, true, true, true, OUTCOME_DELIVERED, PROOF_NONE, 1, 0},
        {"STARTTLS fails, old, clear forbidden", true, true, true, false, OUTCOME_TEMPORARY,
         PROOF_NONE, 0, 0},
    };
    struct scene *scene = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct delivery *delivery, *got;
        struct peer peer;

        peer_open(&peer, scene->loop, scene_address(1), 0);
        if (cases[i].has_tls)
            peer_add_certificate(&peer, &scene->wrong);
        if (cases[i].refuses_tls)
            peer_add_rule(&peer, "STARTTLS", 0, PEER_SAY, "454 4.7.0 not now\r\n");
        scene_start(scene, peer.port);
        delivery = scene_delivery(scene, "one.test", "bob@one.test", PROOF_NONE);
        delivery->requirement.cleartext_allowed = cases[i].clear_allowed;
        if (cases[i].is_old)
            delivery->accepted_ms -= 1000000;
        got = scene_carry(scene, delivery);
        if (got->recipients[0].outcome != cases[i].outcome ||
            got->evidence.level != cases[i].level || peer.mails_clear != cases[i].clear ||
            peer.mails_tls != cases[i].tls)
            fail_msg("%s: outcome %d, level %d", cases[i].name_cstr, got->recipients[0].outcome,
                     got->evidence.level);
        scene_clear(scene);
        deliverer_free(&scene->deliverer);
        peer_close(&peer);
    }
}

/* What each stage's refusal means, with and without pipelining. */
static void test_refusals_at_each_stage(void **state)
{
    static const struct {
        const char *verb_cstr;
        enum peer_act act;
        const char *reply_cstr;
        enum delivery_outcome outcome;
        unsigned code;
    } cases[] = {
        {"GREETING", PEER_SAY, "554 5.3.2 no\r\n", OUTCOME_TEMPORARY, 0},
        {"GREETING", PEER_SAY_CLOSE, "421 4.3.2 busy\r\n", OUTCOME_TEMPORARY, 0},
        {"GREETING", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
        {"GREETING", PEER_SILENT, "", OUTCOME_TEMPORARY, 0},
        {"GREETING", PEER_SAY, "hello\r\n", OUTCOME_TEMPORARY, 0},
        {"EHLO", PEER_SAY, "550 5.7.1 no\r\n", OUTCOME_TEMPORARY, 0},
        {"EHLO", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
        {"EHLO", PEER_SAY, "250-a\r\n251 b\r\n", OUTCOME_TEMPORARY, 0},
        {"MAIL", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_TEMPORARY, 451},
        {"MAIL", PEER_SAY, "550 5.7.1 no\r\n", OUTCOME_PERMANENT, 550},
        {"MAIL", PEER_SAY_CLOSE, "421 4.3.2 bye\r\n", OUTCOME_TEMPORARY, 421},
        {"MAIL", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
        {"MAIL", PEER_SILENT, "", OUTCOME_TEMPORARY, 0},
        {"RCPT", PEER_SAY, "450 4.2.0 grey\r\n", OUTCOME_TEMPORARY, 450},
        {"RCPT", PEER_SAY, "550 5.1.1 who\r\n", OUTCOME_PERMANENT, 550},
        {"RCPT", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
        {"DATA", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_TEMPORARY, 451},
        {"DATA", PEER_SAY, "554 5.7.1 no\r\n", OUTCOME_PERMANENT, 554},
        {"DATA", PEER_SAY, "250 what\r\n", OUTCOME_TEMPORARY, 0},
        {"DATA", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
        {"END", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_TEMPORARY, 451},
        {"END", PEER_SAY, "554 5.7.1 spam\r\n", OUTCOME_PERMANENT, 554},
        {"END", PEER_SAY_CLOSE, "421 4.3.2 bye\r\n", OUTCOME_TEMPORARY, 421},
        {"END", PEER_CLOSE, "", OUTCOME_TEMPORARY, 0},
        {"END", PEER_SILENT, "", OUTCOME_TEMPORARY, 0},
    };
    struct scene *scene = *state;

    scene->settings->delivery.command_timeout_ms = 150;
    for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
        size_t which = i / 2;
        struct delivery *got;
        struct peer peer;

        peer_open(&peer, scene->loop, scene_address(1), 0);
        peer.ehlo_cstr = i % 2 == 0 ? "250-PIPELINING\r\n" : "";
        peer_add_certificate(&peer, &scene->good);
        peer_add_rule(&peer, cases[which].verb_cstr, 0, cases[which].act,
                      cases[which].reply_cstr);
        scene_start(scene, peer.port);
        got = scene_carry(scene, scene_delivery(scene, "one.test", "bob@one.test,eve@one.test",
                                                PROOF_VERIFIED));
        for (size_t j = 0; j < 2; j++)
            if (got->recipients[j].outcome != cases[which].outcome ||
                got->recipients[j].code != cases[which].code)
                fail_msg("%s %s (%zu): outcome %d code %u", cases[which].verb_cstr,
                         cases[which].reply_cstr, i, got->recipients[j].outcome,
                         got->recipients[j].code);
        assert_int_equal(got->is_unsure,
                         strcmp(cases[which].verb_cstr, "END") == 0 && cases[which].code == 0);
        assert_int_equal(peer.taken, 0);
        assert_false(scene_leaked(&peer));
        scene_clear(scene);
        deliverer_free(&scene->deliverer);
        peer_close(&peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)
        SCENE(test_secure_mail_over_proved_tls),
        SCENE(test_secure_mail_is_never_sent_unproved),
        SCENE(test_encrypted_is_enough_where_only_that_is_required),
        SCENE(test_a_certificate_that_changes_is_seen),
        SCENE(test_sessions_are_resumed_within_their_class),
        SCENE(test_ordinary_mail_follows_rows_10_and_11),
        SCENE(test_refusals_at_each_stage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
