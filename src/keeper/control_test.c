/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/retract.h"
#include "keeper/stand.h"
#include "store/board.h"
#include "store/message.h"
#include "store/recipient.h"
#include "kit/run.h"

#include <jansson.h>

/* The first line of the answer. */
static json_t *ask(struct stand *stand, const char *request_cstr)
{
    struct slice text = slice_from_cstr(stand_control(stand, request_cstr));
    struct slice line = slice_cut(&text, '\n');
    json_t *object = json_loadb((const char *)line.at, line.len, 0, NULL);

    if (object == NULL)
        fail_msg("no JSON: %.*s", SLICE_ARGS(line));
    return object;
}

static json_t *ask_about(struct stand *stand, const char *format_cstr, uint64_t message)
{
    char id_text[ID_TEXT_SIZE], request_cstr[300];

    id_write(message, id_text);
    snprintf(request_cstr, sizeof request_cstr, "%s\"message\":\"%s\"}", format_cstr, id_text);
    return ask(stand, request_cstr);
}

static const char *text(const json_t *object, const char *key_cstr)
{
    const char *value_cstr = json_string_value(json_object_get(object, key_cstr));

    return value_cstr == NULL ? "" : value_cstr;
}

static int64_t number(const json_t *object, const char *key_cstr)
{
    return json_integer_value(json_object_get(object, key_cstr));
}

static void test_trace_tells_the_story(void **state)
{
    struct stand stand;
    uint64_t message;
    json_t *object, *recipient, *event;

    (void)state;
    stand_open(&stand, "");
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "bob@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 10);
    object = ask_about(&stand, "{\"do\":\"trace\",", message);
    assert_string_equal(text(object, "kind"), "submitted");
    assert_string_equal(text(object, "from"), "clerk@clinic.test");
    assert_string_equal(text(object, "header_id"), "original@clinic.test");
    recipient = json_array_get(json_object_get(object, "recipients"), 0);
    assert_string_equal(text(recipient, "address"), "bob@good.test");
    assert_string_equal(text(recipient, "state"), "delivered");
    assert_string_equal(text(recipient, "method"), "tls");
    event = json_array_get(json_object_get(recipient, "events"), 0);
    assert_string_equal(text(event, "event"), "delivered");
    assert_string_equal(text(event, "mx"), "mx.example.test");
    assert_string_equal(text(event, "tls"), "TLSv1.3");
    assert_string_equal(text(event, "level"), "verified");
    assert_int_equal(number(event, "code"), 250);
    json_decref(object);
    object = ask(&stand, "{\"do\":\"trace\",\"to\":\"BOB@good.test\"}");
    assert_string_equal(text(object, "kind"), "submitted");
    json_decref(object);
    object = ask(&stand, "{\"do\":\"trace\",\"message\":\"<original@clinic.test>\"}");
    assert_string_equal(text(object, "kind"), "submitted");
    json_decref(object);
    object = ask(&stand, "{\"do\":\"trace\",\"since_ms\":1700000000000}");
    assert_string_equal(text(object, "kind"), "submitted");
    json_decref(object);
    object = ask(&stand, "{\"do\":\"trace\",\"to\":\"nobody@good.test\"}");
    assert_true(strlen(text(object, "error")) > 0);
    json_decref(object);
    stand_close(&stand);
}

static void test_requests_that_are_none(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{",
        "{\"do\":7}",
        "{\"do\":\"fly\"}",
        "{\"do\":\"queue\",\"what\":\"eat\",\"domain\":\"x\"}",
        "{\"do\":\"queue\",\"what\":\"purge\"}",
        "{\"do\":\"retract\",\"message\":\"0000000000001\"}",
        "{\"do\":\"explain\",\"from\":\"x@strange.test\",\"to\":[\"a@b.test\"]}",
        "{\"do\":\"explain\",\"from\":\"x@clinic.test\",\"to\":\"a@b.test\"}",
    };
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        json_t *object = ask(&stand, wrong[i]);

        assert_true(strlen(text(object, "error")) > 0);
        json_decref(object);
    }
    stand_close(&stand);
}

static void test_hold_release_purge_by_domain(void **state)
{
    struct stand stand;
    json_t *object;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "slow.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@slow.test b@slow.test"});
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"list\",\"domain\":\"slow.test\"}");
    assert_string_equal(text(object, "address") + 1,
                        "@slow.test"); /* the soonest: jitter says which */
    assert_string_equal(text(object, "last"), "as the stand says");
    json_decref(object);
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"hold\",\"domain\":\"slow.test\"}");
    assert_int_equal(number(object, "changed"), 2);
    json_decref(object);
    /* New mail to a held domain is accepted and put aside. */
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "c@slow.test"});
    stand_wait(&stand, &stand.accepted, 2);
    stand_run(&stand, 60);
    assert_int_equal(stand.delivered, 2);
    object = ask(&stand, "{\"do\":\"status\"}");
    assert_int_equal(number(object, "held"), 3);
    assert_int_equal(number(object, "queue"), 0);
    assert_int_equal(number(object, "messages"), 2);
    json_decref(object);
    /* Also after a restart. */
    stand_restart(&stand, false);
    stand_run(&stand, 60);
    assert_int_equal(stand.delivered, 2);
    stand.outcome_count = 0;
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"release\",\"domain\":\"slow.test\"}");
    assert_int_equal(number(object, "changed"), 3);
    json_decref(object);
    stand_wait(&stand, &stand.delivered, 5);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    stand_close(&stand);
}

static unsigned lines_of(struct stand *stand, const char *request_cstr)
{
    const char *answer_cstr = stand_control(stand, request_cstr);
    unsigned count = 0;

    assert_true(stand->json_is_whole);
    for (; *answer_cstr != 0; answer_cstr++)
        count += *answer_cstr == '\n' ? 1 : 0;
    return count;
}

/* What would hold the keeper up is done in slices, and is whole in the end. */
static void test_long_queues_are_walked_in_slices(void **state)
{
    enum { MESSAGES = 1200 };
    static const char list[] = "{\"do\":\"queue\",\"what\":\"list\",\"domain\":\"slow.test\"}";
    struct stand stand;
    json_t *object;
    uint64_t batches;

    (void)state;
    stand_open(&stand, "hold_all = true\n");
    for (unsigned i = 0; i < MESSAGES; i++)
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@slow.test"});
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.accepted, MESSAGES + 1);
    assert_int_equal(lines_of(&stand, list), MESSAGES);
    assert_int_equal(lines_of(&stand, "{\"do\":\"queue\",\"what\":\"list\"}"), MESSAGES + 1);
    batches = stand.keeper->inbox.batches;
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"hold\",\"domain\":\"slow.test\"}");
    assert_int_equal(number(object, "changed"), MESSAGES);
    json_decref(object);
    assert_true(stand.keeper->inbox.batches >= batches + 3);
    assert_int_equal(store_recipient_held_count(stand.keeper->store), MESSAGES);
    assert_int_equal(lines_of(&stand, list), MESSAGES);
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"release\",\"domain\":\"slow.test\"}");
    assert_int_equal(number(object, "changed"), MESSAGES);
    json_decref(object);
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"purge\",\"domain\":\"slow.test\"}");
    assert_int_equal(number(object, "changed"), MESSAGES);
    json_decref(object);
    assert_int_equal(lines_of(&stand, list), 0);
    assert_int_equal(store_message_count(stand.keeper->store), 1);
    /* One that nobody waits for, and one that the keeper's end cuts short. */
    assert_true(list_is_empty(&stand.keeper->walks));
    must(ipc_send(stand.office, IPC_CONTROL,
                  &(struct ipc_control){.ask = 10, .request = slice_from_cstr(list)}));
    loop_run_once(stand.loop);
    stand_close(&stand);
}

static void test_purge_and_retry_by_message(void **state)
{
    struct stand stand;
    struct store_message row;
    json_t *object;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "slow.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@slow.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 60);
    object = ask_about(&stand, "{\"do\":\"queue\",\"what\":\"retry\",", message);
    assert_int_equal(number(object, "changed"), 1);
    json_decref(object);
    stand_wait(&stand, &stand.delivered, 2);
    assert_int_equal(stand.delivered, 2);
    stand_run(&stand, 60);
    object = ask_about(&stand, "{\"do\":\"queue\",\"what\":\"purge\",", message);
    assert_int_equal(number(object, "changed"), 1);
    json_decref(object);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELETED);
    assert_true(store_message_get(stand.keeper->store, message, &row));
    assert_false(row.has_key);
    stand_close(&stand);
}

static void test_a_purged_notice_ends_what_it_told_of(void **state)
{
    struct stand stand;
    json_t *object;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "portal.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@portal.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand.outcomes[0].outcome = OUTCOME_TEMPORARY; /* for the notice */
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_NOTIFYING);
    object = ask(&stand, "{\"do\":\"queue\",\"what\":\"purge\",\"domain\":\"portal.test\"}");
    assert_int_equal(number(object, "changed"), 1);
    json_decref(object);
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_FAILED);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    stand_close(&stand);
}

static void test_retract_is_honest(void **state)
{
    struct stand stand;
    struct store_message row;
    json_t *object;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "portal.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    stand_outcome(&stand, "slow.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    message = stand_submit(
        &stand, &(struct stand_mail){.to_cstr = "a@good.test b@portal.test c@slow.test"});
    stand_wait(&stand, &stand.delivered, 4);
    stand_run(&stand, 100);
    object = ask_about(&stand, "{\"do\":\"retract\",", message);
    assert_string_equal(text(object, "outcome"), "cannot");
    assert_non_null(strstr(text(object, "text"), "tls"));
    json_decref(object);
    assert_non_null(strstr((const char *)buffer_view(&stand.json).at, "\"stopped\""));
    assert_int_equal(stand_state(&stand, message, 1), STATE_RETRACTED);
    assert_int_equal(stand_state(&stand, message, 2), STATE_RETRACTED);
    assert_true(store_message_get(stand.keeper->store, message, &row));
    assert_false(row.has_key);
    object = ask_about(&stand, "{\"do\":\"retract\",\"recipient\":\"b@portal.test\",", message);
    assert_string_equal(text(object, "outcome"), "over");
    json_decref(object);
    stand_close(&stand);
}

static void test_retraction_table(void **state)
{
    (void)state;
    assert_int_equal(retraction_for(STATE_PLANNED, METHOD_TLS, false), RETRACT_STOPPED);
    assert_int_equal(retraction_for(STATE_PLANNED, METHOD_TLS, true), RETRACT_SENDING);
    assert_int_equal(retraction_for(STATE_PLANNED, METHOD_PORTAL, true), RETRACT_STOPPED);
    assert_int_equal(retraction_for(STATE_NOTIFYING, METHOD_PORTAL, false), RETRACT_STOPPED);
    assert_int_equal(retraction_for(STATE_NOTIFIED, METHOD_PORTAL, false), RETRACT_STOPPED);
    assert_int_equal(retraction_for(STATE_REVEALED, METHOD_PORTAL, false), RETRACT_ENDED);
    assert_int_equal(retraction_for(STATE_DELIVERED, METHOD_TLS, false), RETRACT_CANNOT);
    assert_int_equal(retraction_for(STATE_EXPIRED, METHOD_PORTAL, false), RETRACT_OVER);
    assert_int_equal(retraction_for(STATE_RETRACTED, METHOD_PORTAL, false), RETRACT_OVER);
}

/* With what the last test of the domain found: the row of the table at each host. */
static void check_explained_hosts(struct stand *stand)
{
    static const struct {
        const char *rule_cstr, *demands_cstr;
        unsigned row;
    } hosts[] = {{"secure-dane", "dane", 2},
                 {"secure-tlsa-unknown", NULL, 2},
                 {"secure", "verified", 2}};
    struct store_board board = {
        .name_cstr = "good.test",
        .tested_ms = 1000,
        .found = S("{\"mx_secure\":true,\"hosts\":["
                   "{\"mx\":\"a.test\",\"dane\":\"usable\",\"tlsa\":\"3 1 1 "
                   "00\",\"mx_proof\":\"dnssec\"},"
                   "{\"mx\":\"a.test\",\"dane\":\"usable\",\"mx_proof\":\"dnssec\"},"
                   "{\"mx\":\"b.test\",\"dane\":\"failed\",\"mx_proof\":\"dnssec\"},"
                   "{\"mx\":\"c.test\",\"dane\":\"none\",\"mx_proof\":\"dnssec\"}]}")};
    json_t *object, *found;
    struct err err;

    store_begin(stand->keeper->store);
    store_board_put(stand->keeper->store, &board);
    assert_true(store_commit(stand->keeper->store, &err));
    object = ask(stand, "{\"do\":\"explain\",\"from\":\"clerk@clinic.test\","
                        "\"to\":[\"a@good.test\"],\"subject\":\"hello\"}");
    found = json_object_get(object, "hosts");
    assert_int_equal(json_array_size(found), COUNT_OF(hosts));
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        const json_t *host = json_array_get(found, i);

        assert_string_equal(text(host, "rule"), hosts[i].rule_cstr);
        assert_int_equal(json_integer_value(json_object_get(host, "row")), hosts[i].row);
        if (hosts[i].demands_cstr != NULL)
            assert_string_equal(text(host, "demands"), hosts[i].demands_cstr);
        else
            assert_string_equal(text(host, "why"), "the TLSA look-up failed");
    }
    assert_string_equal(text(json_array_get(found, 0), "tlsa"), "3 1 1 00");
    json_decref(object);
}

static void test_explain_and_domains(void **state)
{
    struct stand stand;
    json_t *object;

    (void)state;
    stand_open(&stand, "");
    object = ask(&stand, "{\"do\":\"explain\",\"from\":\"clerk@clinic.test\","
                         "\"to\":[\"a@new.test\"],\"subject\":\"hello\"}");
    assert_string_equal(text(object, "method"), "tls");
    assert_string_equal(text(object, "tls"), "unknown");
    json_decref(object);
    object = ask(&stand, "{\"do\":\"explain\",\"from\":\"clerk@clinic.test\","
                         "\"to\":[\"a@new.test\"],\"subject\":\"hello +Encrypt+\"}");
    assert_string_equal(text(object, "method"), "portal");
    json_decref(object);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 60);
    object = ask(&stand, "{\"do\":\"domains\"}");
    assert_string_equal(text(object, "domain"), "good.test");
    assert_string_equal(text(object, "tls"), "proved");
    assert_string_equal(text(object, "mx"), "mx.example.test");
    json_decref(object);
    check_explained_hosts(&stand);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_tells_the_story),
        cmocka_unit_test(test_requests_that_are_none),
        cmocka_unit_test(test_hold_release_purge_by_domain),
        cmocka_unit_test(test_long_queues_are_walked_in_slices),
        cmocka_unit_test(test_purge_and_retry_by_message),
        cmocka_unit_test(test_a_purged_notice_ends_what_it_told_of),
        cmocka_unit_test(test_retract_is_honest),
        cmocka_unit_test(test_retraction_table),
        cmocka_unit_test(test_explain_and_domains),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
