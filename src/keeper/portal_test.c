/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/portal_copy.h"
#include "keeper/portal_read.h"
#include "keeper/stand.h"
#include "kit/run.h"

/* A stand with one message that waits in the portal. */
static uint64_t open_with_copy(struct stand *stand, const char *to_cstr)
{
    uint64_t message;

    stand_open(stand, "");
    stand_outcome(stand, "portal.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    message = stand_submit(stand, &(struct stand_mail){.to_cstr = to_cstr});
    stand_wait(stand, &stand->delivered, 1); /* the job that was not proved */
    /* The notice goes to the same domain, as regular mail. */
    stand->outcome_count = 0;
    for (int i = 0; i < 2000 && stand_state(stand, message, 0) != STATE_NOTIFIED; i++)
        stand_run(stand, 1);
    assert_int_equal(stand->copies, 1);
    assert_int_equal(stand_state(stand, message, 0), STATE_NOTIFIED);
    return message;
}

static void look(struct stand *stand, const uint8_t *lookup)
{
    struct ipc_portal_look question = {.ask = 3, .lookup = slice_of(lookup, 32)};
    unsigned before = stand->views;

    must(ipc_send(stand->portal, IPC_PORTAL_LOOK, &question));
    for (int i = 0; i < 2000 && stand->views == before; i++)
        stand_run(stand, 1);
}

static void prove(struct stand *stand, const char *typed_cstr)
{
    struct ipc_portal_prove question = {.ask = 4,
                                        .lookup = slice_of(stand->lookup, 32),
                                        .client = S("192.0.2.0/24"),
                                        .typed = slice_from_cstr(typed_cstr)};
    unsigned before = stand->openings;

    must(ipc_send(stand->portal, IPC_PORTAL_PROVE, &question));
    for (int i = 0; i < 2000 && stand->openings == before; i++)
        stand_run(stand, 1);
}

static void send_event(struct stand *stand, enum portal_event event)
{
    struct ipc_portal_event question = {.ask = 5,
                                        .lookup = slice_of(stand->lookup, 32),
                                        .session = slice_of(stand->session, 32),
                                        .event = event,
                                        .client = S("192.0.2.0/24")};
    unsigned before = stand->dones;

    must(ipc_send(stand->portal, IPC_PORTAL_EVENT, &question));
    for (int i = 0; i < 2000 && stand->dones == before; i++)
        stand_run(stand, 1);
}

static void send_code(struct stand *stand)
{
    struct ipc_portal_send_code question = {
        .ask = 6, .lookup = slice_of(stand->lookup, 32), .client = S("192.0.2.0/24")};
    unsigned before = stand->dones;

    must(ipc_send(stand->portal, IPC_PORTAL_SEND_CODE, &question));
    for (int i = 0; i < 2000 && stand->dones == before; i++)
        stand_run(stand, 1);
    stand_run(stand, 60);
}

static void test_a_notice_bounces_to_us_and_fails_the_recipient(void **state)
{
    struct stand stand;
    uint64_t message;
    char to_cstr[256];

    (void)state;
    message = open_with_copy(&stand, "bob@portal.test");
    assert_non_null(strstr(stand.last_from_cstr, "bounce+"));
    assert_non_null(strstr(stand.last_from_cstr, "@clinic.test"));
    snprintf(to_cstr, sizeof to_cstr, "%s", stand.last_from_cstr);
    /* A wrong code in the address is no address of ours. */
    to_cstr[25] = to_cstr[25] == 'a' ? 'b' : 'a';
    stand_submit(
        &stand, &(struct stand_mail){.to_cstr = to_cstr, .kind = KIND_BOUNCE, .from_cstr = ""});
    stand_wait(&stand, &stand.refused, 1);
    assert_int_equal(stand.last_code, 550);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = stand.last_from_cstr,
                                              .kind = KIND_BOUNCE,
                                              .from_cstr = ""});
    stand_run(&stand, 150);
    assert_int_equal(stand_state(&stand, message, 0), STATE_FAILED);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    assert_string_equal(stand.mail_to_cstr, "clerk@clinic.test");
    look(&stand, stand.lookup);
    assert_false(stand.view.found);
    stand_close(&stand);
}

static void test_a_code_opens_once_and_the_receipt_goes_once(void **state)
{
    struct stand stand;
    uint64_t message;
    char code_cstr[16];
    uint8_t nowhere[32] = {1};

    (void)state;
    message = open_with_copy(&stand, "bob@portal.test");
    look(&stand, nowhere);
    assert_false(stand.view.found);
    look(&stand, stand.lookup);
    assert_true(stand.view.found);
    assert_int_equal(stand.view.proof, READER_PROOF_CODE);
    send_code(&stand);
    assert_int_equal(stand.done.status, PORTAL_OK);
    assert_int_equal(stand.kinds_made[KIND_CODE], 1);
    assert_string_equal(stand.mail_to_cstr, "bob@portal.test");
    assert_int_equal(strlen(stand.mail_detail_cstr), 8);
    memcpy(code_cstr, stand.mail_detail_cstr, 9);
    prove(&stand, "x");
    assert_int_equal(stand.opened.status, PORTAL_WRONG);
    assert_int_equal(stand.opened.tries_left, 4);
    prove(&stand, code_cstr);
    assert_int_equal(stand.opened.status, PORTAL_OPEN);
    assert_string_equal(stand.opened_recipient_cstr, "bob@portal.test");
    assert_int_equal(stand.opened.share.bytes[0], 5);
    send_event(&stand, PORTAL_REVEALED);
    assert_int_equal(stand.done.status, PORTAL_OK);
    stand_run(&stand, 150);
    assert_int_equal(stand_state(&stand, message, 0), STATE_REVEALED);
    send_event(&stand, PORTAL_REVEALED);
    stand_run(&stand, 150);
    assert_int_equal(stand.kinds_made[KIND_RECEIPT], 1);
    /* The code was good once. */
    prove(&stand, code_cstr);
    assert_int_equal(stand.opened.status, PORTAL_WRONG);
    stand_close(&stand);
}

static void test_wrong_tries_lock(void **state)
{
    struct stand stand;
    char code_cstr[16];

    (void)state;
    open_with_copy(&stand, "bob@portal.test");
    send_code(&stand);
    memcpy(code_cstr, stand.mail_detail_cstr, 9);
    for (int i = 0; i < 4; i++) {
        prove(&stand, "00000000");
        assert_int_equal(stand.opened.status, PORTAL_WRONG);
    }
    prove(&stand, "00000000");
    assert_int_equal(stand.opened.status, PORTAL_LOCKED);
    assert_true(stand.opened.locked_ms > 0);
    /* Locked is locked, also for the right code; and no new code comes. */
    prove(&stand, code_cstr);
    assert_int_equal(stand.opened.status, PORTAL_LOCKED);
    send_code(&stand);
    assert_int_equal(stand.done.status, PORTAL_LOCKED);
    assert_int_equal(stand.kinds_made[KIND_CODE], 1);
    stand_close(&stand);
}

static void test_codes_are_limited(void **state)
{
    struct stand stand;

    (void)state;
    open_with_copy(&stand, "bob@portal.test");
    for (int i = 0; i < 5; i++) {
        send_code(&stand);
        assert_int_equal(stand.done.status, PORTAL_OK);
    }
    send_code(&stand);
    assert_int_equal(stand.done.status, PORTAL_LOCKED);
    assert_int_equal(stand.kinds_made[KIND_CODE], 5);
    stand_close(&stand);
}

static void test_the_senders_question(void **state)
{
    struct stand stand;

    (void)state;
    open_with_copy(&stand, "asked@portal.test");
    assert_int_equal(stand.proof, READER_PROOF_ANSWER);
    look(&stand, stand.lookup);
    assert_int_equal(stand.view.proof, READER_PROOF_ANSWER);
    prove(&stand, "Tom");
    assert_int_equal(stand.opened.status, PORTAL_WRONG);
    prove(&stand, "Rex");
    assert_int_equal(stand.opened.status, PORTAL_OPEN);
    stand_close(&stand);
}

static void test_a_reply_goes_to_the_sender(void **state)
{
    struct stand stand;
    struct ipc_portal_reply reply = {.ask = 8, .header_id = S("r@clinic.test")};
    unsigned before;

    (void)state;
    open_with_copy(&stand, "asked@portal.test");
    prove(&stand, "Rex");
    reply.lookup = slice_of(stand.lookup, 32);
    reply.session = slice_of(stand.session, 32);
    reply.message = id_next(&stand.ids, clock_unix_ms());
    reply.content = stand_content(&stand, SPOOL_QUEUE, S("the reply"));
    before = stand.dones;
    must(ipc_send(stand.portal, IPC_PORTAL_REPLY, &reply));
    for (int i = 0; i < 2000 && stand.dones == before; i++)
        stand_run(&stand, 1);
    assert_int_equal(stand.done.status, PORTAL_OK);
    stand_run(&stand, 100);
    assert_string_equal(stand.last_to_cstr, "clerk@clinic.test");
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    /* Without a session nobody replies. */
    reply.session = S("12345678901234567890123456789012");
    reply.message = id_next(&stand.ids, clock_unix_ms());
    before = stand.dones;
    must(ipc_send(stand.portal, IPC_PORTAL_REPLY, &reply));
    for (int i = 0; i < 2000 && stand.dones == before; i++)
        stand_run(&stand, 1);
    assert_int_equal(stand.done.status, PORTAL_ABSENT);
    stand_close(&stand);
}

static void test_sessions_survive_nothing_they_should_not(void **state)
{
    struct stand stand;
    struct ipc_portal_resume resume = {.ask = 7};
    struct portal_link link;
    uint64_t message;
    unsigned before;

    (void)state;
    message = open_with_copy(&stand, "asked@portal.test");
    prove(&stand, "Rex");
    resume.lookup = slice_of(stand.lookup, 32);
    resume.session = slice_of(stand.session, 32);
    before = stand.openings;
    must(ipc_send(stand.portal, IPC_PORTAL_RESUME, &resume));
    for (int i = 0; i < 2000 && stand.openings == before; i++)
        stand_run(&stand, 1);
    assert_int_equal(stand.opened.status, PORTAL_OPEN);
    /* The keys go, the session is worth nothing. */
    portal_shred(stand.keeper, message, 0);
    assert_true(store_commit(stand.keeper->store, &(struct err){0}));
    assert_false(portal_link_find(stand.keeper, slice_of(stand.lookup, 32), &link));
    before = stand.openings;
    must(ipc_send(stand.portal, IPC_PORTAL_RESUME, &resume));
    for (int i = 0; i < 2000 && stand.openings == before; i++)
        stand_run(&stand, 1);
    assert_int_equal(stand.opened.status, PORTAL_ABSENT);
    look(&stand, stand.lookup);
    assert_false(stand.view.found);
    stand_close(&stand);
}

/* Whoever has a link may open it again and again, but not use up all sessions there are. */
static void test_openings_are_limited(void **state)
{
    struct stand stand;

    (void)state;
    open_with_copy(&stand, "asked@portal.test");
    for (int i = 0; i < 3; i++) {
        prove(&stand, "Rex");
        assert_int_equal(stand.opened.status, PORTAL_OPEN);
    }
    for (int i = 3; i < 200; i++)
        throttle_count(&stand.keeper->sessions.by_link,
                       domain_hash(&stand.keeper->domains, slice_of(stand.lookup, 32)), 1000000,
                       loop_now_ms());
    prove(&stand, "Rex");
    assert_int_equal(stand.opened.status, PORTAL_LOCKED);
    assert_true(stand.opened.locked_ms > 0);
    assert_int_equal(stand.keeper->sessions.count, 3);
    stand_close(&stand);
}

static void test_choices(void **state)
{
    struct settings_account account = {.reader_proof = READER_PROOF_LINK,
                                       .portal_expire_ms = 1000,
                                       .portal_expire_min_ms = 100,
                                       .portal_expire_max_ms = 5000};
    struct portal_proof proof;
    char masked_cstr[64];

    (void)state;
    portal_choose_proof(&account, S("a@b.test"), 0, S(""), S(""), &proof);
    assert_int_equal(proof.proof, READER_PROOF_LINK);
    portal_choose_proof(&account, S("a@b.test"), 0, S("q"), S("a"), &proof);
    assert_int_equal(proof.proof, READER_PROOF_ANSWER);
    portal_choose_proof(&account, S("a@b.test"), READER_PROOF_ANSWER + 1, S(""), S(""), &proof);
    assert_int_equal(proof.proof, READER_PROOF_CODE);
    assert_int_equal(portal_choose_expiry(&account, 0, 50), 1050);
    assert_int_equal(portal_choose_expiry(&account, 60, 50), 150);
    assert_int_equal(portal_choose_expiry(&account, 99999, 50), 5050);
    assert_int_equal(portal_choose_expiry(&account, 2050, 50), 2050);
    portal_mask_address(S("bob@x.test"), masked_cstr, sizeof masked_cstr);
    assert_string_equal(masked_cstr, "b***@x.test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_notice_bounces_to_us_and_fails_the_recipient),
        cmocka_unit_test(test_a_code_opens_once_and_the_receipt_goes_once),
        cmocka_unit_test(test_wrong_tries_lock),
        cmocka_unit_test(test_codes_are_limited),
        cmocka_unit_test(test_the_senders_question),
        cmocka_unit_test(test_a_reply_goes_to_the_sender),
        cmocka_unit_test(test_sessions_survive_nothing_they_should_not),
        cmocka_unit_test(test_openings_are_limited),
        cmocka_unit_test(test_choices),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
