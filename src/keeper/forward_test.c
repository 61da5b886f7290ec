/* SPDX-License-Identifier: Apache-2.0 */
/* Aliases and forwards, with and without forward_tls_only. "shop.test" has no next hop, "clinic.test" has. */
#include "kit/kit.h"

#include "keeper/bounce.h"
#include "keeper/forward_expand.h"
#include "keeper/plan.h"
#include "keeper/stand.h"

#include <stdlib.h>
#include <string.h>

#define SHOP "domain \"shop.test\" { account = clinic }\n"
#define QUICK "delivery { retry_first = 100ms retry_max = 100ms }\n"
#define SALES                                                                                  \
    SHOP QUICK "alias \"sales@shop.test\" { to = {\"ann@clinic.test\", \"bob@far.test\"} }\n"
#define SWITCH "forward_tls_only = yes\n"

static void expect_text(const char *text_cstr, const char *part_cstr)
{
    if (strstr(text_cstr, part_cstr) == NULL)
        fail_msg("no \"%s\" in %s", part_cstr, text_cstr);
}

static const char *jobs(struct stand *stand)
{
    must(buffer_append_byte(&stand->jobs, '\0'));
    return (const char *)buffer_view(&stand->jobs).at;
}

static uint64_t inbound(struct stand *stand, const char *to_cstr)
{
    return stand_submit(stand, &(struct stand_mail){.to_cstr = to_cstr,
                                                    .kind = KIND_INBOUND,
                                                    .from_cstr = "x@sender.test"});
}

static void test_mail_goes_on(void **state)
{
    struct stand stand;
    struct store_recipient row;
    uint64_t message;
    const char *text_cstr;

    (void)state;
    stand_open(&stand, SALES);
    assert_int_equal(stand_check(&stand, "Sales@SHOP.test"), 250);
    assert_int_equal(stand_check(&stand, "other@shop.test"), 550);
    message = inbound(&stand, "Sales@shop.test");
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    assert_int_equal(stand_state(&stand, message, 1), STATE_DELIVERED);
    assert_false(store_recipient_get(stand.keeper->store, message, 2, &row));
    /* At home it keeps its sender and goes over proved TLS; elsewhere it leaves in our name, as ordinary mail. */
    text_cstr = jobs(&stand);
    expect_text(text_cstr, "x@sender.test ann@clinic.test 2 Delivered-To: Sales@shop.test  |");
    expect_text(text_cstr, "bounce+");
    expect_text(text_cstr, "@shop.test bob@far.test 0 Delivered-To: Sales@shop.test  |");
    text_cstr = stand_control(&stand, "{\"do\":\"trace\",\"to\":\"sales@shop.test\"}");
    expect_text(text_cstr, "\"via\":[\"Sales@shop.test\"]");
    expect_text(text_cstr, "bob@far.test");
    stand_close(&stand);
}

static void test_nobody_gets_it_twice(void **state)
{
    struct stand stand;
    struct store_recipient row;
    uint64_t message;

    (void)state;
    stand_open(&stand,
               SALES "alias \"all@shop.test\" { to = {\"sales@shop.test\", \"bob@far.test\", "
                     "\"cy@far.test\"} }\n");
    message = stand_submit(
        &stand, &(struct stand_mail){.to_cstr = "all@shop.test BOB@far.test sales@shop.test"});
    stand_wait(&stand, &stand.delivered, 3);
    stand_run(&stand, 60);
    assert_int_equal(stand.delivered, 3);
    assert_false(store_recipient_get(stand.keeper->store, message, 3, &row));
    /* He was written to himself: that is what counts. */
    assert_true(store_recipient_get(stand.keeper->store, message, 0, &row));
    assert_int_equal(row.via.len, 0);
    assert_true(slice_equal_nocase(store_address_get(stand.keeper->store, row.address),
                                   S("bob@far.test")));
    assert_true(store_recipient_get(stand.keeper->store, message, 1, &row));
    assert_true(slice_equal(row.via, S("all@shop.test\nsales@shop.test")));
    stand_close(&stand);
}

static void test_copies_and_catch_alls(void **state)
{
    struct stand stand;
    struct store_recipient row;
    uint64_t message;

    (void)state;
    stand_open(&stand, SALES "alias \"@shop.test\" { to = {\"rest@far.test\"} }\n"
                             "alias \"ann@clinic.test\" { to = {\"ann@clinic.test\", "
                             "\"assistant@far.test\"} }\n");
    assert_int_equal(stand_check(&stand, "whoever@shop.test"), 250);
    inbound(&stand, "whoever@shop.test");
    stand_wait(&stand, &stand.delivered, 1);
    assert_string_equal(stand.last_to_cstr, "rest@far.test");
    /* An alias that names itself keeps what came; the rest goes on. */
    message = inbound(&stand, "ann@clinic.test");
    stand_wait(&stand, &stand.delivered, 3);
    stand_run(&stand, 60);
    assert_true(store_recipient_get(stand.keeper->store, message, 0, &row));
    assert_int_equal(row.via.len, 0);
    assert_true(store_recipient_get(stand.keeper->store, message, 1, &row));
    assert_true(slice_equal(row.via, S("ann@clinic.test")));
    stand_close(&stand);
}

static void test_circles_are_noticed(void **state)
{
    struct stand stand;
    uint64_t message;

    (void)state;
    stand_open(&stand, SALES);
    /* It has been here before: somebody out there sends it back. */
    message =
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "sales@shop.test",
                                                  .kind = KIND_INBOUND,
                                                  .from_cstr = "x@sender.test",
                                                  .delivered_to_cstr = "SALES@shop.test\n"});
    stand_wait(&stand, &stand.accepted, 1);
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_FAILED);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    assert_string_equal(stand.mail_to_cstr, "x@sender.test");
    expect_text(stand.mail_detail_cstr, "circle");
    /* And none can be made here. */
    expect_text(stand_control(&stand,
                              "{\"do\":\"forward\",\"what\":\"add\",\"from\":\"a@shop.test\","
                              "\"to\":\"sales@shop.test\"}"),
                "\"changed\":1");
    expect_text(stand_control(
                    &stand, "{\"do\":\"forward\",\"what\":\"add\",\"from\":\"ann@clinic.test\","
                            "\"to\":\"A@shop.test\"}"),
                "in a circle");
    stand_close(&stand);
}

static void test_what_the_operator_changes(void **state)
{
    static const struct {
        const char *request_cstr, *answer_cstr;
    } talk[] = {
        {"\"what\":\"add\",\"from\":\"a@far.test\",\"to\":\"b@far.test\"", "no domain of ours"},
        {"\"what\":\"add\",\"from\":\"a b@shop.test\",\"to\":\"b@far.test\"",
         "FROM is no address"},
        {"\"what\":\"add\",\"from\":\"a@shop.test\",\"to\":\"far.test\"", "TO is no address"},
        {"\"what\":\"add\",\"from\":\"a@shop.test\",\"to\":\"b@c@far.test\"",
         "TO is no address"},
        {"\"what\":\"add\",\"from\":\"@clinic.test\",\"to\":\"b@far.test\"", "has a next hop"},
        {"\"what\":\"add\",\"from\":\"sales@shop.test\",\"to\":\"BOB@far.test\"",
         "there already"},
        {"\"what\":\"add\",\"from\":\"a@SHOP.test\",\"to\":\"b@FAR.test\"",
         "\"state\":\"active\""},
        {"\"what\":\"add\",\"from\":\"@shop.test\",\"to\":\"rest@far.test\"", "\"changed\":1"},
        {"\"what\":\"list\",\"from\":\"a@shop.test\"", "\"origin\":\"command\""},
        {"\"what\":\"disable\",\"from\":\"sales@shop.test\"", "\"changed\":2"},
        {"\"what\":\"list\",\"from\":\"sales@shop.test\"", "\"state\":\"disabled\""},
        {"\"what\":\"enable\",\"from\":\"sales@shop.test\",\"to\":\"bob@far.test\"",
         "\"changed\":1"},
        {"\"what\":\"remove\",\"from\":\"sales@shop.test\"", "written in the settings"},
        {"\"what\":\"remove\",\"from\":\"@shop.test\"", "\"changed\":1"},
        {"\"what\":\"remove\",\"from\":\"@shop.test\"", "no such forward"},
        {"\"what\":\"shred\",\"from\":\"@shop.test\"", "list, add, remove"},
        {"\"what\":\"add\"", "name the address"},
    };
    struct stand stand;
    char request_cstr[300];

    (void)state;
    stand_open(&stand, SALES);
    for (size_t i = 0; i < COUNT_OF(talk); i++) {
        snprintf(request_cstr, sizeof request_cstr, "{\"do\":\"forward\",%s}",
                 talk[i].request_cstr);
        expect_text(stand_control(&stand, request_cstr), talk[i].answer_cstr);
    }
    assert_int_equal(stand_check(&stand, "a@shop.test"), 250);
    assert_int_equal(stand_check(&stand, "sales@shop.test"), 250);
    expect_text(stand_control(&stand, "{\"do\":\"forward\",\"what\":\"disable\",\"from\":"
                                      "\"sales@shop.test\"}"),
                "\"changed\":2");
    assert_int_equal(stand_check(&stand, "sales@shop.test"), 550);
    /* All of it outlives a crash, and what is taken out of the settings goes. */
    stand_restart(&stand, true);
    assert_int_equal(stand_check(&stand, "sales@shop.test"), 550);
    assert_int_equal(stand_check(&stand, "a@shop.test"), 250);
    stand_configure(&stand, SHOP);
    assert_int_equal(stand.keeper->forwards.count, 1);
    assert_int_equal(stand_check(&stand, "a@shop.test"), 250);
    stand_close(&stand);
}

/* Never proved: barred. Proved: used. Lost: held, and let go when it is back. */
static void test_the_switch(void **state)
{
    struct stand stand;
    struct store_recipient row;
    uint64_t message;

    (void)state;
    stand_open(&stand,
               SHOP QUICK SWITCH "alias \"sales@shop.test\" { to = {\"bob@far.test\"} }\n");
    assert_int_equal(stand_check(&stand, "sales@shop.test"), 550);
    expect_text(stand_control(&stand, "{\"do\":\"forward\",\"what\":\"list\"}"), "\"barred\"");
    assert_true(domain_find(stand.keeper, S("far.test"))->wanted_ms != 0);
    /* Other mail proves it. */
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "cy@far.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 60);
    assert_int_equal(stand_check(&stand, "sales@shop.test"), 250);
    inbound(&stand, "sales@shop.test");
    stand_wait(&stand, &stand.delivered, 2);
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    assert_false(stand.last_job.requirement.cleartext_allowed);
    /* The stored verdict is not what counts: the connection is. */
    stand_outcome(&stand, "far.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    message = inbound(&stand, "sales@shop.test");
    stand_wait(&stand, &stand.delivered, 3);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    /* It is held, not turned away, and says so. */
    stand_run(&stand, 200);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    assert_true(store_recipient_get(stand.keeper->store, message, 0, &row));
    assert_true(row.method == METHOD_TLS && row.requirement.least == PROOF_VERIFIED);
    assert_int_equal(stand.copies, 0);
    stand.outcome_count = 0;
    stand_run(&stand, 500);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    stand_close(&stand);
}

/* As above, for a domain whose loss has been seen: what is held is listed so, and a restart forgets nothing. */
static void test_a_forward_that_is_held(void **state)
{
    struct stand stand;
    uint64_t message;

    (void)state;
    stand_open(&stand,
               SHOP QUICK SWITCH "alias \"sales@shop.test\" { to = {\"bob@far.test\"} }\n");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "cy@far.test"});
    stand_wait(&stand, &stand.delivered, 1);
    inbound(&stand, "sales@shop.test");
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    store_begin(stand.keeper->store);
    domain_learn(
        stand.keeper, domain_find(stand.keeper, S("far.test")),
        &(struct domain_lesson){.is_lacking = true, .mx = S("mx"), .detail = S("why")});
    stand_outcome(&stand, "far.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    expect_text(stand_control(&stand, "{\"do\":\"forward\",\"what\":\"list\"}"), "\"held\"");
    assert_int_equal(stand_check(&stand, "sales@shop.test"), 250);
    message = inbound(&stand, "sales@shop.test");
    stand_wait(&stand, &stand.delivered, 4);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    stand_restart(&stand, true);
    expect_text(stand_control(&stand, "{\"do\":\"forward\",\"what\":\"list\"}"), "\"held\"");
    stand.outcome_count = 0;
    stand_run(&stand, 600);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    expect_text(stand_control(&stand, "{\"do\":\"forward\",\"what\":\"list\"}"), "\"active\"");
    stand_close(&stand);
}

/* Mail that was planned before the switch is held to it, too; of one domain alone as of all. */
static void test_the_switch_is_thrown_later(void **state)
{
    static const char *const switches[] = {
        SALES SWITCH,
        "domain \"shop.test\" { account = clinic forward_tls_only = yes }\n" QUICK
        "alias \"sales@shop.test\" { to = {\"ann@clinic.test\", \"bob@far.test\"} }\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(switches); i++) {
        struct stand stand;
        struct store_recipient row;
        uint64_t message;

        stand_open(&stand, SALES);
        stand_outcome(&stand, "far.test", OUTCOME_TEMPORARY, PROOF_NONE);
        message = inbound(&stand, "sales@shop.test");
        stand_wait(&stand, &stand.delivered, 2);
        stand_run(&stand, 20);
        assert_true(store_recipient_get(stand.keeper->store, message, 1, &row));
        assert_int_equal(row.requirement.least, PROOF_NONE);
        stand_configure(&stand, switches[i]);
        /* One of the two ways is left. */
        assert_int_equal(stand_check(&stand, "sales@shop.test"), 250);
        stand.outcome_count = 0;
        stand_run(&stand, 400);
        assert_int_equal(stand_state(&stand, message, 1), STATE_DELIVERED);
        assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
        stand_close(&stand);
    }
}

/* A host that took it gives it back: the one who wrote to us hears of it, and not where it had gone. */
static void test_what_comes_back(void **state)
{
    struct stand stand;
    char bounce_cstr[200];
    struct buffer address;
    uint64_t message;

    (void)state;
    stand_open(&stand, SALES);
    message = inbound(&stand, "sales@shop.test");
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    buffer_init(&address, 200);
    bounce_address_of(stand.keeper, message, 1, S("shop.test"), &address);
    assert_true(slice_to_cstr(buffer_view(&address), bounce_cstr, sizeof bounce_cstr));
    buffer_deinit(&address);
    expect_text(jobs(&stand), bounce_cstr);
    for (int twice = 0; twice < 2; twice++) {
        stand_submit(&stand, &(struct stand_mail){
                                 .to_cstr = bounce_cstr, .kind = KIND_BOUNCE, .from_cstr = ""});
        stand_run(&stand, 100);
    }
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    assert_string_equal(stand.mail_to_cstr, "x@sender.test");
    expect_text(stand.mail_detail_cstr, "came back");
    assert_null(strstr(stand.mail_detail_cstr, "far.test"));
    /* Nobody else's address is taken. */
    bounce_cstr[strlen("bounce+0000000000000+")] ^= 1;
    stand_submit(&stand, &(struct stand_mail){
                             .to_cstr = bounce_cstr, .kind = KIND_BOUNCE, .from_cstr = ""});
    stand_run(&stand, 60);
    assert_int_equal(stand.last_code, 550);
    stand_close(&stand);
}

/* However they are tied together: no more than so many ends, and an end. */
static void test_bounds(void **state)
{
    struct stand stand;
    struct forward_expansion *expansion = malloc(sizeof *expansion);
    char request_cstr[200];

    (void)state;
    must(expansion != NULL);
    stand_open(&stand, SHOP);
    for (int i = 0; i < 14; i++) {
        snprintf(request_cstr, sizeof request_cstr,
                 "{\"do\":\"forward\",\"what\":\"add\",\"from\":\"s%d@shop.test\",\"to\":"
                 "\"s%d@shop.test\"}",
                 i, i + 1);
        (void)stand_control(&stand, request_cstr);
    }
    /* Those that would have made it too long were refused. */
    assert_int_equal(forward_expand(stand.keeper, S("s4@shop.test"), false, S(""), expansion),
                     FORWARD_ENDS);
    assert_int_equal(expansion->count, 1);
    forward_expansion_deinit(expansion);
    for (int i = 0; i < FORWARD_ENDS_MAX + 50; i++) {
        struct store_forward row = {
            .source = store_address_put(stand.keeper->store, S("many@shop.test"))};

        snprintf(request_cstr, sizeof request_cstr, "e%d@far.test", i);
        row.target = store_address_put(stand.keeper->store, slice_from_cstr(request_cstr));
        store_forward_put(stand.keeper->store, &row);
    }
    (void)stand_control(&stand,
                        "{\"do\":\"forward\",\"what\":\"disable\",\"from\":\"s1@shop.test\"}");
    assert_int_equal(forward_expand(stand.keeper, S("many@shop.test"), false, S(""), expansion),
                     FORWARD_ENDS);
    assert_int_equal(expansion->count, FORWARD_ENDS_MAX);
    forward_expansion_deinit(expansion);
    free(expansion);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mail_goes_on),
        cmocka_unit_test(test_nobody_gets_it_twice),
        cmocka_unit_test(test_copies_and_catch_alls),
        cmocka_unit_test(test_circles_are_noticed),
        cmocka_unit_test(test_what_the_operator_changes),
        cmocka_unit_test(test_the_switch),
        cmocka_unit_test(test_a_forward_that_is_held),
        cmocka_unit_test(test_the_switch_is_thrown_later),
        cmocka_unit_test(test_what_comes_back),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
