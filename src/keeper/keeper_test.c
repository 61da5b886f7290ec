/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/silence.h"
#include "keeper/stand.h"
#include "kit/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static void test_accept_deliver_done(void **state)
{
    struct stand stand;
    uint64_t message;
    struct store_message row;

    (void)state;
    stand_open(&stand, "");
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "bob@good.test"});
    stand_wait(&stand, &stand.accepted, 1);
    assert_int_equal(stand.accepted, 1);
    stand_wait(&stand, &stand.delivered, 1);
    assert_string_equal(stand.last_to_cstr, "bob@good.test");
    assert_string_equal(stand.last_from_cstr, "clerk@clinic.test");
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    assert_true(store_message_get(stand.keeper->store, message, &row));
    assert_int_equal(row.live, 0);
    assert_int_equal(row.open, 0);
    assert_false(row.has_key);
    stand_close(&stand);
}

static void test_one_message_leaves_in_two_forms(void **state)
{
    struct stand stand;
    struct store_message row;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "plain.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    message = stand_submit(
        &stand, &(struct stand_mail){.to_cstr = "a@good.test b@good.test c@plain.test"});
    stand_wait(&stand, &stand.delivered, 4); /* two, the missed proof, the notice */
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    assert_int_equal(stand_state(&stand, message, 1), STATE_DELIVERED);
    assert_int_equal(stand.copies, 1);
    assert_true(store_message_get(stand.keeper->store, message, &row));
    /* The copy is made: the server can open the content no more. */
    assert_int_equal(row.live, 0);
    assert_false(row.has_key);
    assert_int_equal(row.open, 1);
    /* The next one to that domain goes to the portal without trying. */
    stand.outcome_count = 0;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "d@plain.test"});
    stand_run(&stand, 100);
    assert_int_equal(stand.copies, 2);
    stand_close(&stand);
}

static void test_a_proved_domain_gets_time_to_come_back(void **state)
{
    struct stand stand;
    struct store_recipient row;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 60);
    stand_outcome(&stand, "good.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DEFERRED);
    assert_int_equal(stand.copies, 0);
    assert_true(store_recipient_get(stand.keeper->store, message, 0, &row));
    assert_true(row.unproved_ms > 0 && row.method == METHOD_TLS);
    stand_close(&stand);
}

static void test_failure_reports(void **state)
{
    struct stand stand;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "bad.test", OUTCOME_PERMANENT, PROOF_VERIFIED);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@bad.test"});
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_FAILED);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    assert_string_equal(stand.mail_to_cstr, "clerk@clinic.test");
    assert_string_equal(stand.mail_detail_cstr, "550 as the stand says");
    assert_string_equal(stand.last_to_cstr, "clerk@clinic.test");
    assert_string_equal(stand.last_from_cstr, "");
    /* The original was secure, so its report is. */
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    /* Nobody asked, nobody to tell. */
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@bad.test", .notify = 1});
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@bad.test", .notify = 2});
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@bad.test", .from_cstr = ""});
    stand_run(&stand, 150);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test", .notify = 2});
    stand_run(&stand, 100);
    assert_int_equal(stand.kinds_made[KIND_DSN_SUCCESS], 1);
    stand_close(&stand);
}

/* Reports about REQUIRETLS mail are as careful [RFC 8689 §5], but for strangers, who get the redacted one that all of ours are. */
static void test_reports_about_requiretls(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "bad.test", OUTCOME_PERMANENT, PROOF_VERIFIED);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@bad.test", .requiretls = true});
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    assert_string_equal(stand.last_to_cstr, "clerk@clinic.test");
    assert_string_equal(stand.last_from_cstr, "");
    assert_true(stand.last_job.requirement.requiretls &&
                stand.last_job.requirement.requiretls_relaxed);
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    /* From outside, to our own next hop, which refuses it. */
    stand_outcome(&stand, "clinic.test", OUTCOME_PERMANENT, PROOF_VERIFIED);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "ann@clinic.test",
                                              .kind = KIND_INBOUND,
                                              .from_cstr = "x@sender.test",
                                              .requiretls = true});
    stand_wait(&stand, &stand.delivered, 4);
    stand_run(&stand, 60);
    assert_string_equal(stand.last_to_cstr, "x@sender.test");
    assert_false(stand.last_job.requirement.requiretls);
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    /* Without it the report is a stranger's ordinary mail. */
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "ann@clinic.test",
                                              .kind = KIND_INBOUND,
                                              .from_cstr = "y@other.test"});
    stand_wait(&stand, &stand.delivered, 6);
    stand_run(&stand, 60);
    assert_string_equal(stand.last_to_cstr, "y@other.test");
    assert_int_equal(stand.last_job.requirement.least, PROOF_NONE);
    stand_close(&stand);
}

/* TLS-Required: No is kept with the message, and counts for ordinary mail alone [RFC 8689 §3]. */
static void test_tls_required_no(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "account \"loose\" { organisation = L mode = none notice_from = \"L "
                       "<l@loose.test>\" }\n"
                       "domain \"shop.test\" { account = loose }\n"
                       "alias \"sales@shop.test\" { to = {\"bob@far.test\"} }\n");
    stand_submit(&stand,
                 &(struct stand_mail){.to_cstr = "a@good.test", .tls_required_no = true});
    stand_wait(&stand, &stand.delivered, 1);
    assert_false(stand.last_job.requirement.tls_not_required);
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    stand_run(&stand, 60);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "sales@shop.test",
                                              .kind = KIND_INBOUND,
                                              .from_cstr = "x@sender.test",
                                              .tls_required_no = true});
    stand_wait(&stand, &stand.delivered, 2);
    assert_true(stand.last_job.requirement.tls_not_required);
    assert_int_equal(stand.last_job.requirement.least, PROOF_NONE);
    stand_close(&stand);
}

static void test_a_report_that_fails_makes_no_report(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "bad.test", OUTCOME_PERMANENT, PROOF_VERIFIED);
    stand_outcome(&stand, "clinic.test", OUTCOME_PERMANENT, PROOF_VERIFIED);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@bad.test"});
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 150);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    assert_int_equal(store_message_count(stand.keeper->store), 0);
    stand_close(&stand);
}

/* A process that was taken over: what it sends costs only itself. */
static void test_bad_messages_stop_nobody_else(void **state)
{
    struct stand stand;
    struct ipc_accept bad = {.ask = 1, .mail_from = S("x@clinic.test"), .account = S("clinic")};
    struct buffer list;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.accepted, 1);
    buffer_init(&list, 1000);
    must(ipc_list_append(&list, IPC_RECIPIENT,
                         &(struct ipc_recipient){.address = S("evil@good.test")}));
    bad.recipients = buffer_view(&list);
    bad.content = stand_content(&stand, SPOOL_QUEUE, S("Subject: x\r\n\r\nx\r\n"));
    /* An id that is there already, together with an honest message. */
    bad.message = message;
    must(ipc_send(stand.smtpd, IPC_ACCEPT, &bad));
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_wait(&stand, &stand.accepted, 2);
    assert_int_equal(stand.accepted, 2);
    assert_int_equal(stand.refused, 1);
    /* Kinds that only the keeper itself makes. */
    for (bad.kind = KIND_NOTICE; bad.kind <= KIND_COUNT; bad.kind++) {
        if (bad.kind == KIND_TLS_REPORTED)
            continue;
        bad.message = message + 1000 + bad.kind;
        must(ipc_send(stand.smtpd, IPC_ACCEPT, &bad));
    }
    stand_wait(&stand, &stand.refused, 1 + KIND_COUNT - KIND_NOTICE);
    assert_int_equal(stand.refused, 1 + KIND_COUNT - KIND_NOTICE);
    assert_int_equal(stand.accepted, 2);
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    buffer_deinit(&list);
    stand_close(&stand);
}

/* The disk as the tests want it: the linker finds this before the C library's. */
static int syncs_to_fail;

int fdatasync(int fd)
{
    if (syncs_to_fail == 0)
        return fsync(fd);
    syncs_to_fail--;
    errno = EIO;
    return -1;
}

/* Content that came along and is not on disk was never taken; a second later all is well. */
static void test_content_that_cannot_be_placed(void **state)
{
    struct ipc_accept bad = {
        .ask = 1, .message = 77, .mail_from = S("x@clinic.test"), .account = S("clinic")};
    struct stand stand;
    struct buffer list;

    (void)state;
    stand_open(&stand, "");
    buffer_init(&list, 1000);
    must(ipc_list_append(&list, IPC_RECIPIENT,
                         &(struct ipc_recipient){.address = S("evil@good.test")}));
    bad.recipients = buffer_view(&list);
    /* Not what it says it is. */
    stand_parcel(&stand, S("content"), &bad);
    bad.content.plain_bytes++;
    must(ipc_send(stand.smtpd, IPC_ACCEPT, &bad));
    stand_wait(&stand, &stand.refused, 1);
    assert_int_equal(stand.refused, 1);
    syncs_to_fail = 1;
    for (int i = 0; i < 3; i++)
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.refused, 4);
    assert_int_equal(syncs_to_fail, 0);
    assert_int_equal(stand.refused, 4);
    assert_int_equal(stand.last_code, 452);
    assert_int_equal(store_message_count(stand.keeper->store), 0);
    stand_run(&stand, 1100);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    assert_int_equal(stand.accepted, 1);
    assert_int_equal(stand.delivered, 1);
    buffer_deinit(&list);
    stand_close(&stand);
}

static void test_delay_report_and_giving_up(void **state)
{
    struct stand stand;
    uint64_t message;

    (void)state;
    stand_open(&stand, "delivery { retry_first = 1s retry_max = 1s expire = 3s"
                       " delay_notice = 1s }\n");
    stand_outcome(&stand, "slow.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@slow.test"});
    stand_run(&stand, 3000);
    assert_int_equal(stand.kinds_made[KIND_DSN_DELAY], 1);
    stand_run(&stand, 2000);
    assert_int_equal(stand_state(&stand, message, 0), STATE_FAILED);
    assert_int_equal(stand.kinds_made[KIND_DSN_DELAY], 1);
    assert_int_equal(stand.kinds_made[KIND_DSN_FAILURE], 1);
    stand_close(&stand);
}

static void test_a_courier_dies_and_another_comes(void **state)
{
    struct stand stand;
    struct ipc_channel *first;
    int fds[2];

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "good.test", OUTCOME_DELIVERED, PROOF_VERIFIED);
    stand.outcomes[0].is_silent = true;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.accepted, 1);
    stand_run(&stand, 30);
    assert_int_equal(stand.keeper->deliveries.jobs.count, 1);
    first = stand.courier;
    ipc_channel_free(&first);
    stand_run(&stand, 30);
    assert_int_equal(stand.keeper->deliveries.jobs.count, 0);
    stand.outcome_count = 0;
    stand_play_courier(&stand, fds);
    stand_wait(&stand, &stand.delivered, 1);
    assert_int_equal(stand.delivered, 1);
    stand_close(&stand);
}

static void test_everything_due_comes_after_a_restart(void **state)
{
    enum { MANY = 2500 };
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.keeper->schedule.is_paused = true;
    for (unsigned i = 0; i < MANY; i++) {
        char to_cstr[64];

        snprintf(to_cstr, sizeof to_cstr, "r%u@d%u.test", i, i % 7);
        stand_submit(&stand, &(struct stand_mail){.to_cstr = to_cstr});
        if (i % 100 == 0)
            stand_run(&stand, 0);
    }
    stand_wait(&stand, &stand.accepted, MANY);
    assert_int_equal(stand.accepted, MANY);
    assert_int_equal(stand.delivered, 0);
    stand_restart(&stand, true);
    for (int i = 0; i < 10 && stand.delivered < MANY; i++)
        stand_wait(&stand, &stand.delivered, MANY);
    stand_run(&stand, 100);
    assert_int_equal(stand.delivered, MANY);
    assert_int_equal(store_message_count(stand.keeper->store), 0);
    stand_close(&stand);
}

static void test_a_full_window_leaves_the_rest_on_disk(void **state)
{
    enum { MANY = 300 };
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.keeper->schedule.items_max = 50;
    stand.keeper->schedule.items_new_max = 0;
    for (unsigned i = 0; i < MANY; i++)
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    for (int i = 0; i < 5 && stand.delivered < MANY; i++)
        stand_wait(&stand, &stand.delivered, MANY);
    stand_run(&stand, 300);
    assert_int_equal(stand.delivered, MANY);
    assert_int_equal(stand.keeper->schedule.count, 0);
    stand_close(&stand);
}

static void test_silent_domains_do_not_hold_up_others(void **state)
{
    enum { MANY = 20 };
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    for (unsigned i = 0; i < 8; i++) {
        static const char *const silent[] = {"a.test", "b.test", "c.test", "d.test",
                                             "e.test", "f.test", "g.test", "h.test"};

        stand_outcome(&stand, silent[i], OUTCOME_DELIVERED, PROOF_VERIFIED);
        stand.outcomes[i].is_silent = true;
        for (unsigned n = 0; n < MANY; n++) {
            char to_cstr[32];

            snprintf(to_cstr, sizeof to_cstr, "u%u@%s", n, silent[i]);
            stand_submit(&stand, &(struct stand_mail){.to_cstr = to_cstr});
        }
        stand_wait(&stand, &stand.accepted, (uint64_t)(i + 1) * MANY);
    }
    stand_run(&stand, 30);
    assert_int_equal(stand.keeper->deliveries.jobs.count, 8 * DOMAIN_JOBS_FIRST);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    assert_int_equal(stand.delivered, 1);
    stand_close(&stand);
}

static void test_rows_stamped_ahead_are_brought_near(void **state)
{
    const int64_t day_ms = 24 * 3600 * 1000;
    struct stand stand;
    struct store_recipient row;
    struct store_message message;
    struct err err = {0};
    uint64_t id;

    (void)state;
    stand_open(&stand, "delivery { retry_first = 100ms }\n");
    stand_outcome(&stand, "good.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    id = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.accepted, 1);
    stand.keeper->schedule.is_paused = true;
    stand_run(&stand, 300);
    /* As if it had been written by a clock that was a day ahead. */
    assert_true(store_recipient_get(stand.keeper->store, id, 0, &row));
    row.due_ms = clock_unix_ms() + day_ms;
    store_recipient_update(stand.keeper->store, &row);
    store_message_accepted_before(stand.keeper->store, id, 0, clock_unix_ms() + day_ms);
    assert_true(store_commit(stand.keeper->store, &err));
    stand_restart(&stand, false);
    stand.outcomes[0].outcome = OUTCOME_DELIVERED;
    stand_run(&stand, 1500);
    assert_true(store_message_get(stand.keeper->store, id, &message));
    assert_true(message.accepted_ms <= clock_unix_ms());
    assert_int_equal(stand_state(&stand, id, 0), STATE_DELIVERED);
    assert_false(stand.keeper->clock.is_walking);
    stand_close(&stand);
}

static void test_new_mail_passes_a_full_window(void **state)
{
    enum { MANY = 200 };
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.keeper->schedule.items_max = 50;
    stand.keeper->schedule.items_new_max = 0;
    stand_outcome(&stand, "slow.test", OUTCOME_DELIVERED, PROOF_VERIFIED);
    stand.outcomes[0].is_silent = true;
    for (unsigned i = 0; i < MANY; i++)
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@slow.test"});
    stand_wait(&stand, &stand.accepted, MANY);
    stand_run(&stand, 300);
    stand.keeper->schedule.items_new_max = 50;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    assert_int_equal(stand.delivered, 1);
    stand_run(&stand, 100);
    /* What is on disk passes it as well: it may have a part of the window only. */
    stand_restart(&stand, true);
    stand.keeper->schedule.items_max = 48;
    stand.keeper->schedule.items_new_max = 0;
    stand_run(&stand, 300);
    assert_int_equal(stand.keeper->schedule.count, 16);
    assert_true(stand.keeper->schedule.is_all_loaded);
    stand.outcomes[0].is_silent = false;
    stand_restart(&stand, true);
    stand.keeper->schedule.items_max = 48;
    for (int i = 0; i < 10 && stand.delivered < MANY + 1; i++)
        stand_wait(&stand, &stand.delivered, MANY + 1);
    assert_int_equal(stand.delivered, MANY + 1);
    stand_close(&stand);
}

static struct circuit *dead_circuit(struct stand *stand)
{
    return &lane_of(stand->keeper, domain_find(stand->keeper, S("dead.test")), 0)->circuit;
}

static void test_one_attempt_spares_the_others(void **state)
{
    enum { MANY = 60 };
    struct stand stand;
    uint64_t last = 0;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "dead.test", OUTCOME_TEMPORARY, PROOF_NONE);
    stand.outcomes[0].is_unreached = true;
    for (unsigned i = 0; i < MANY; i++)
        last = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@dead.test"});
    stand_wait(&stand, &stand.accepted, MANY);
    stand_run(&stand, 500);
    assert_int_equal(stand_state(&stand, last, 0), STATE_DEFERRED);
    assert_int_equal(stand.keeper->schedule.count, 0);
    /* The played courier counts what it was given. */
    assert_in_range(stand.delivered, SILENCE_MISSES, SILENCE_MISSES + DOMAIN_JOBS_FIRST);
    stand.outcomes[0].is_unreached = false;
    stand.outcomes[0].outcome = OUTCOME_DELIVERED;
    /* As long as it rests nobody is asked; then the first answer ends it. */
    last = stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@dead.test"});
    stand_run(&stand, 200);
    assert_int_equal(stand_state(&stand, last, 0), STATE_DEFERRED);
    dead_circuit(&stand)->silent_until_ms = 0;
    last = stand_submit(&stand, &(struct stand_mail){.to_cstr = "c@dead.test"});
    stand_run(&stand, 200);
    assert_int_equal(stand_state(&stand, last, 0), STATE_DELIVERED);
    assert_false(dead_circuit(&stand)->is_suspect);
    stand_close(&stand);
}

static void test_the_clock_is_set_back(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 120);
    /* As if all that was due until an hour from now had been loaded. */
    stand.keeper->schedule.loaded.due_ms += 3600 * 1000;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_wait(&stand, &stand.delivered, 2);
    assert_int_equal(stand.delivered, 2);
    stand_run(&stand, 120);
    assert_true(stand.keeper->schedule.loaded.due_ms <= clock_unix_ms());
    stand_close(&stand);
}

static void test_a_full_disk_refuses_and_recovers(void **state)
{
    struct stand stand;
    struct rlimit before, small;
    uint64_t message;

    (void)state;
    stand_open(&stand, "");
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1); /* its result still waits for company */
    signal(SIGXFSZ, SIG_IGN);
    must(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 8192; /* segments may still be written, the log may not */
    must(setrlimit(RLIMIT_FSIZE, &small) == 0);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_wait(&stand, &stand.refused, 1);
    must(setrlimit(RLIMIT_FSIZE, &before) == 0);
    assert_int_equal(stand.refused, 1);
    assert_true(stand.last_code == 451 || stand.last_code == 452);
    assert_int_equal(stand.accepted, 1);
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "c@good.test"});
    stand_wait(&stand, &stand.accepted, 2);
    assert_int_equal(stand.accepted, 2);
    /* The result that waited was not lost with the batch. */
    stand_run(&stand, 700);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    stand_close(&stand);
}

static void test_the_reserve_is_kept(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand.settings->limits.disk_reserve_bytes = UINT64_MAX;
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@good.test"});
    stand_wait(&stand, &stand.refused, 1);
    assert_int_equal(stand.last_code, 452);
    stand_close(&stand);
}

static void test_passwords(void **state)
{
    struct stand stand;
    struct ipc_auth_check check = {.ask = 1,
                                   .name = S("clerk@clinic.test"),
                                   .password = S("right"),
                                   .client = S("192.0.2.1")};

    (void)state;
    stand_open(&stand, "");
    for (unsigned i = 1; i <= 3; i++) {
        must(ipc_send(stand.smtpd, IPC_AUTH_CHECK, &check));
        for (int n = 0; n < 1000 && stand.auths < i; n++)
            stand_run(&stand, 1);
        assert_true(stand.auth.ok);
    }
    assert_int_equal(stand.verifications, 1); /* the other two were remembered */
    check.password = S("wrong");
    for (unsigned i = 0; i < 20; i++) {
        unsigned before = stand.auths;

        must(ipc_send(stand.smtpd, IPC_AUTH_CHECK, &check));
        for (int n = 0; n < 1000 && stand.auths == before; n++)
            stand_run(&stand, 1);
        assert_false(stand.auth.ok);
        assert_false(stand.auth.problem);
    }
    /* Too often: not even the right one, for a while. */
    check.password = S("right");
    must(ipc_send(stand.smtpd, IPC_AUTH_CHECK, &check));
    stand_run(&stand, 30);
    assert_false(stand.auth.ok);
    assert_true(stand.auth.problem);
    /* A name that does not exist costs a check as well. */
    check = (struct ipc_auth_check){
        .ask = 2, .name = S("nobody"), .password = S("right"), .client = S("192.0.2.77")};
    must(ipc_send(stand.smtpd, IPC_AUTH_CHECK, &check));
    stand_run(&stand, 30);
    assert_false(stand.auth.ok);
    assert_int_equal(stand.verifications, 22);
    stand_close(&stand);
}

/* As many copies as a scribe may have at once are under way: who logs in is not kept waiting for them. */
static void test_copies_do_not_shut_people_out(void **state)
{
    struct stand stand;
    struct ipc_auth_check check = {.ask = 1,
                                   .name = S("clerk@clinic.test"),
                                   .password = S("right"),
                                   .client = S("192.0.2.1")};
    char to_cstr[40];

    (void)state;
    stand_open(&stand, "");
    stand.holds_copies = true;
    for (unsigned i = 0; i < ASKS_PER_SCRIBE + 10; i++) {
        snprintf(to_cstr, sizeof to_cstr, "reader%u@portal.test", i);
        stand_submit(&stand, &(struct stand_mail){.to_cstr = to_cstr, .encrypt = 1});
    }
    for (int n = 0; n < 1000 && stand.copies < ASKS_PER_SCRIBE; n++)
        stand_run(&stand, 1);
    assert_int_equal(stand.copies, ASKS_PER_SCRIBE);
    must(ipc_send(stand.smtpd, IPC_AUTH_CHECK, &check));
    for (int n = 0; n < 1000 && stand.auths == 0; n++)
        stand_run(&stand, 1);
    assert_true(stand.auth.ok);
    assert_int_equal(stand.copies, ASKS_PER_SCRIBE); /* they still are */
    stand_close(&stand);
}

/* Everything below STATE but segments, as bytes. */
static bool state_holds(const struct stand *stand, const char *needle_cstr)
{
    char path_cstr[160];

    snprintf(path_cstr, sizeof path_cstr, "%s/state", stand->folder_cstr);
    return KIT_RUN("grep", "-a", "-r", "-q", "-i", needle_cstr, path_cstr);
}

static void test_nothing_at_rest_names_anybody(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "portal.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    stand_outcome(&stand, "bad.test", OUTCOME_PERMANENT, PROOF_VERIFIED);
    stand_submit(&stand,
                 &(struct stand_mail){.to_cstr = "canary1@good.test canary2@portal.test "
                                                 "canary3@bad.test",
                                      .answer_cstr = "canary-answer",
                                      .envid_cstr = "canary-envid"});
    stand_wait(&stand, &stand.delivered, 5);
    stand_run(&stand, 100);
    assert_false(state_holds(&stand, "canary"));
    assert_false(state_holds(&stand, "clerk"));
    assert_false(state_holds(&stand, "as the stand says"));
    assert_true(state_holds(&stand, "portal.test"));
    stand_restart(&stand, false);
    assert_false(state_holds(&stand, "canary"));
    assert_false(state_holds(&stand, "clerk"));
    stand_close(&stand);
}

static void test_segments_go_when_nothing_needs_them(void **state)
{
    struct stand stand;
    struct spool_segment_info *list = NULL;
    size_t count = 0;
    struct err err = {0};

    (void)state;
    stand_open(&stand, "");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 60);
    keeper_sweep_segments(stand.keeper);
    assert_true(store_commit(stand.keeper->store, &err));
    assert_true(spool_segment_list(stand.queue_fd, &list, &count, &err));
    assert_int_equal(count, 1); /* still being written */
    free(list);
    spool_writer_tick(stand.keeper->queue_writer, clock_unix_ms() + 3600 * 1000);
    keeper_sweep_segments(stand.keeper);
    assert_true(store_commit(stand.keeper->store, &err));
    assert_true(spool_segment_list(stand.queue_fd, &list, &count, &err));
    assert_int_equal(count, 0);
    free(list);
    stand_close(&stand);
}

/* Open the store of a copied folder: it holds at least so many messages, all rows readable. */
static bool check_copy(const struct stand *stand, uint64_t messages)
{
    char path_cstr[160];
    uint64_t page[1000];
    struct store *store = NULL;
    struct store_message message;
    struct store_recipient recipient;
    struct err err = {0};
    size_t count, good = 0;

    snprintf(path_cstr, sizeof path_cstr, "%s/state", stand->folder_cstr);
    must(store_open(path_cstr, &store, &err) &&
         store_keys_open(store, stand->settings->master_key.bytes, &err));
    count = store_message_list(store, 0, INT64_MAX, page, COUNT_OF(page));
    for (size_t i = 0; i < count; i++)
        if (store_message_get(store, page[i], &message) &&
            store_recipient_get(store, page[i], 0, &recipient) &&
            store_recipient_get(store, page[i], 1, &recipient))
            good++;
    store_close(&store);
    return good == count && count >= messages;
}

/* A power cut: what the files held at that instant, opened by another keeper. */
static void test_a_crash_loses_nothing_acknowledged(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    for (unsigned round = 0; round < 6; round++) {
        struct stand copy;
        uint64_t acknowledged;
        char from_cstr[160], to_cstr[160];

        for (unsigned i = 0; i < 40; i++)
            stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test b@other.test"});
        stand_run(&stand, (int64_t)round * 3);
        acknowledged = stand.accepted;
        copy = stand;
        kit_make_folder(copy.folder_cstr);
        snprintf(from_cstr, sizeof from_cstr, "%s/state", stand.folder_cstr);
        snprintf(to_cstr, sizeof to_cstr, "%s/state", copy.folder_cstr);
        assert_true(KIT_RUN("cp", "-r", from_cstr, to_cstr));
        assert_true(check_copy(&copy, acknowledged));
        kit_remove_folder(copy.folder_cstr);
    }
    stand_wait(&stand, &stand.accepted, 240);
    assert_int_equal(stand.accepted, 240);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_deliver_done),
        cmocka_unit_test(test_content_that_cannot_be_placed),
        cmocka_unit_test(test_one_message_leaves_in_two_forms),
        cmocka_unit_test(test_a_proved_domain_gets_time_to_come_back),
        cmocka_unit_test(test_failure_reports),
        cmocka_unit_test(test_reports_about_requiretls),
        cmocka_unit_test(test_tls_required_no),
        cmocka_unit_test(test_a_report_that_fails_makes_no_report),
        cmocka_unit_test(test_bad_messages_stop_nobody_else),
        cmocka_unit_test(test_delay_report_and_giving_up),
        cmocka_unit_test(test_a_courier_dies_and_another_comes),
        cmocka_unit_test(test_everything_due_comes_after_a_restart),
        cmocka_unit_test(test_a_full_window_leaves_the_rest_on_disk),
        cmocka_unit_test(test_silent_domains_do_not_hold_up_others),
        cmocka_unit_test(test_new_mail_passes_a_full_window),
        cmocka_unit_test(test_rows_stamped_ahead_are_brought_near),
        cmocka_unit_test(test_one_attempt_spares_the_others),
        cmocka_unit_test(test_the_clock_is_set_back),
        cmocka_unit_test(test_a_full_disk_refuses_and_recovers),
        cmocka_unit_test(test_the_reserve_is_kept),
        cmocka_unit_test(test_passwords),
        cmocka_unit_test(test_copies_do_not_shut_people_out),
        cmocka_unit_test(test_nothing_at_rest_names_anybody),
        cmocka_unit_test(test_segments_go_when_nothing_needs_them),
        cmocka_unit_test(test_a_crash_loses_nothing_acknowledged),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
