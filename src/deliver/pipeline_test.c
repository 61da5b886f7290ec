/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope of a message travels together with the end of the one before it. Whatever goes wrong there, nothing is
 * lost, nothing is sent twice but what was unsure, and no reply is taken for another message's.
 */
#include "deliver/test_scene.h"

enum { MESSAGES = 6 };

struct pipeline_case {
    const char *verb_cstr;
    enum peer_act act;
    const char *reply_cstr;
    /* What becomes of the second message, the one whose command was answered so. */
    enum delivery_outcome outcome;
    unsigned code;
    /* The answer to the end of the first message was lost with the connection: it arrived, but we cannot know. */
    bool is_first_unsure;
};

static const struct pipeline_case cases[] = {
    {"MAIL", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_TEMPORARY, 451, false},
    {"MAIL", PEER_SAY, "550 5.7.1 no\r\n", OUTCOME_PERMANENT, 550, false},
    /* Nothing was said about it on a connection that was used before: a fresh one may carry it. */
    {"MAIL", PEER_SAY_CLOSE, "421 4.3.2 bye\r\n", OUTCOME_DELIVERED, 250, false},
    {"MAIL", PEER_SAY_CLOSE, "", OUTCOME_DELIVERED, 250, false},
    {"MAIL", PEER_SAY_DEAF, "", OUTCOME_DELIVERED, 250, false},
    {"MAIL", PEER_CLOSE, "", OUTCOME_DELIVERED, 250, true},
    {"RCPT", PEER_SAY, "450 4.2.0 grey\r\n", OUTCOME_TEMPORARY, 450, false},
    {"RCPT", PEER_SAY, "550 5.1.1 who\r\n", OUTCOME_PERMANENT, 550, false},
    {"RCPT", PEER_SAY_CLOSE, "421 4.3.2 bye\r\n", OUTCOME_TEMPORARY, 421, false},
    {"RCPT", PEER_SAY_CLOSE, "", OUTCOME_TEMPORARY, 0, false},
    {"RCPT", PEER_CLOSE, "", OUTCOME_DELIVERED, 250, true},
    {"DATA", PEER_SAY, "451 4.3.0 later\r\n", OUTCOME_TEMPORARY, 451, false},
    {"DATA", PEER_SAY, "554 5.7.1 no\r\n", OUTCOME_PERMANENT, 554, false},
    {"DATA", PEER_SAY_CLOSE, "421 4.3.2 bye\r\n", OUTCOME_TEMPORARY, 421, false},
    {"DATA", PEER_SAY_CLOSE, "", OUTCOME_TEMPORARY, 0, false},
    {"END", PEER_SAY, "452 4.3.1 full\r\n", OUTCOME_TEMPORARY, 452, false},
    {"END", PEER_SAY, "554 5.7.1 spam\r\n", OUTCOME_PERMANENT, 554, false},
    {"END", PEER_SAY_CLOSE, "421 4.3.2 bye\r\n", OUTCOME_TEMPORARY, 421, false},
    {"END", PEER_SAY_CLOSE, "", OUTCOME_TEMPORARY, 0, false},
    {"END", PEER_SAY_DEAF, "", OUTCOME_TEMPORARY, 0, false},
};

/* Message n goes to rn@one.test only, and says so. */
static struct delivery *numbered(struct scene *scene, unsigned number)
{
    char text_cstr[200], to_cstr[40];
    struct content_ref content;
    struct delivery *delivery;

    snprintf(text_cstr, sizeof text_cstr, "Number: %u\r\nSubject: x\r\n\r\nbody\r\n", number);
    snprintf(to_cstr, sizeof to_cstr, "r%u@one.test", number);
    content = write_one(scene->writer, slice_from_cstr(text_cstr), 1000);
    delivery = scene_delivery_of(scene, &content, "one.test", to_cstr, PROOF_VERIFIED);
    delivery->message = number;
    return delivery;
}

static unsigned count_taken(const struct peer *peer, uint64_t number)
{
    char line_cstr[100];
    struct slice rest = buffer_view(&peer->taken_for);
    unsigned count = 0;

    snprintf(line_cstr, sizeof line_cstr, "%u <r%u@one.test>", (unsigned)number,
             (unsigned)number);
    while (rest.len > 0)
        count += slice_equal(slice_cut(&rest, '\n'), slice_from_cstr(line_cstr));
    return count;
}

static unsigned count_lines(struct slice text)
{
    unsigned count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n';
    return count;
}

static void check(const struct scene *scene, const struct peer *peer,
                  const struct pipeline_case *it)
{
    unsigned taken = 0;

    for (size_t i = 0; i < MESSAGES; i++) {
        const struct delivery *got = scene->results[i];
        const struct delivery_recipient *recipient = &got->recipients[0];
        bool is_second = it != NULL && got->message == 2;
        bool is_lost = it != NULL && got->message == 1 && it->is_first_unsure;
        enum delivery_outcome outcome = is_second ? it->outcome
                                        : is_lost ? OUTCOME_TEMPORARY
                                                  : OUTCOME_DELIVERED;
        unsigned code = is_second ? it->code : is_lost ? 0 : 250;
        bool is_taken = outcome == OUTCOME_DELIVERED || is_lost;

        if (recipient->outcome != outcome || recipient->code != code ||
            count_taken(peer, got->message) != is_taken)
            fail_msg("%s %s: message %u: outcome %d, code %u %.*s, taken %u times",
                     it == NULL ? "" : it->verb_cstr, it == NULL ? "" : it->reply_cstr,
                     (unsigned)got->message, recipient->outcome, recipient->code,
                     SLICE_ARGS(recipient->reply), count_taken(peer, got->message));
        taken += is_taken;
        assert_int_equal(got->is_unsure,
                         is_lost || (is_second && code == 0 && it->verb_cstr[0] == 'E'));
    }
    /* And nothing besides: no message with another's recipients, no recipient twice. */
    assert_int_equal(count_lines(buffer_view(&peer->taken_for)), taken);
}

static void run_case(struct scene *scene, const struct pipeline_case *it)
{
    struct peer peer;

    peer_open(&peer, scene->loop, scene_address(1), 0);
    peer_add_certificate(&peer, &scene->good);
    if (it != NULL)
        peer_add_rule(&peer, it->verb_cstr, 2, it->act, it->reply_cstr);
    scene_start(scene, peer.port);
    for (unsigned number = 1; number <= MESSAGES; number++)
        deliverer_submit(scene->deliverer, numbered(scene, number));
    scene_run(scene, MESSAGES);
    check(scene, &peer, it);
    assert_true(peer.ahead > 0);
    assert_int_equal(peer.mails_clear, 0);
    assert_int_equal(deliverer_in_transit(scene->deliverer), 0);
    scene_clear(scene);
    deliverer_free(&scene->deliverer);
    peer_close(&peer);
}

static void test_refusals_meet_the_right_message(void **state)
{
    struct scene *scene = *state;

    scene->settings->delivery.command_timeout_ms = 150;
    scene->settings->delivery.connections_per_host = 1;
    run_case(scene, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        run_case(scene, &cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refusals_meet_the_right_message, scene_open,
                                        scene_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
