/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/stand.h"
#include "store/tls_report.h"

#include <stdio.h>
#include <string.h>

#define REPORTS                                                                                \
    "domain \"rep.test\" { account = clinic dkim \"s\" { key = \"/d.pem\" } }\n"               \
    "tls_reports { from = \"tls@rep.test\" receive = \"tlsrpt@clinic.test\" spread = 0 }\n"

static void add_result(struct stand *stand, struct ipc_tls_result result)
{
    stand->tells_tls = true;
    must(ipc_list_append(&stand->tls_results, IPC_TLS_RESULT, &result));
}

static struct ipc_tls_result failure(const char *mx_cstr)
{
    return (struct ipc_tls_result){.policy = REPORT_NO_POLICY,
                                   .result = REPORT_STARTTLS_NOT_SUPPORTED,
                                   .mx = slice_from_cstr(mx_cstr),
                                   .address = S("192.0.2.1"),
                                   .source = S("192.0.2.9"),
                                   .detail = S("not offered")};
}

static void flush(struct stand *stand)
{
    tls_counts_write(stand->keeper);
    inbox_flush(stand->keeper);
}

/* The day's rows of a domain as "policy/result/sessions" words. */
static const char *counted(struct stand *stand, const char *domain_cstr)
{
    static char text_cstr[4096];
    struct store_tls_count row = {.day = tls_day(clock_unix_ms()),
                                  .domain = slice_from_cstr(domain_cstr)};
    struct buffer texts;
    bool is_first = true;

    buffer_init(&texts, 1 << 16);
    text_cstr[0] = '\0';
    flush(stand);
    for (; store_tls_count_next(stand->keeper->store, is_first, &row, &texts);
         is_first = false) {
        size_t len = strlen(text_cstr);

        snprintf(text_cstr + len, sizeof text_cstr - len, "%u/%u/%llu ", (unsigned)row.policy,
                 (unsigned)row.result, (unsigned long long)row.sessions);
    }
    buffer_deinit(&texts);
    return text_cstr;
}

static void deliver(struct stand *stand, const struct stand_mail *mail)
{
    uint64_t before = stand->delivered;

    stand_submit(stand, mail);
    stand_wait(stand, &stand->delivered, before + 1);
    stand_run(stand, 30);
}

static void test_sessions_are_counted(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, REPORTS);
    add_result(&stand, failure("mx1.good.test"));
    add_result(&stand, (struct ipc_tls_result){.policy = REPORT_NO_POLICY,
                                               .result = REPORT_SUCCESS,
                                               .mx = S("mx2.good.test")});
    for (int i = 0; i < 3; i++)
        deliver(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    assert_string_equal(counted(&stand, "good.test"), "0/0/3 0/1/3 ");
    deliver(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    assert_string_equal(counted(&stand, "good.test"), "0/0/4 0/1/4 ");
    /* Not: mail without a sender, mail to where the settings say. */
    deliver(&stand, &(struct stand_mail){.to_cstr = "a@null.test", .from_cstr = ""});
    deliver(&stand, &(struct stand_mail){.to_cstr = "a@clinic.test"});
    assert_string_equal(counted(&stand, "null.test"), "");
    assert_string_equal(counted(&stand, "clinic.test"), "");
    /* An orderly end loses nothing. */
    deliver(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_restart(&stand, false);
    assert_string_equal(counted(&stand, "good.test"), "0/0/5 0/1/5 ");
    stand_close(&stand);
}

static void test_nothing_is_counted_while_none_are_sent(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    add_result(&stand, failure("mx1.good.test"));
    deliver(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    assert_string_equal(counted(&stand, "good.test"), "");
    assert_int_equal(stand.keeper->tls_counts.pending.count, 0);
    stand_close(&stand);
}

/* Who has a thousand hosts, or names for them, gets no thousand rows. */
static void test_rows_of_a_domain_are_bounded(void **state)
{
    struct stand stand;
    size_t rows;

    (void)state;
    stand_open(&stand, REPORTS);
    for (unsigned i = 0; i < 1000; i++) {
        char mx_cstr[64];

        snprintf(mx_cstr, sizeof mx_cstr, "mx%u.evil.test", i);
        add_result(&stand, (struct ipc_tls_result){.policy = i % 2 == 0 ? REPORT_TLSA
                                                                        : REPORT_NO_POLICY,
                                                   .result = REPORT_VALIDATION_FAILURE,
                                                   .mx = slice_from_cstr(mx_cstr),
                                                   .policy_text = S("3 1 1 00")});
    }
    deliver(&stand, &(struct stand_mail){.to_cstr = "a@evil.test"});
    flush(&stand);
    rows = store_tls_counts(stand.keeper->store, tls_day(clock_unix_ms()), S("evil.test"));
    assert_in_range(rows, TLS_COUNT_ROWS_MAX, TLS_COUNT_ROWS_MAX + 40);
    assert_int_equal(stand.keeper->tls_counts.pending.count, 0);
    stand_close(&stand);
}

/* ---- reports ---- */

/* As if it had been seen yesterday. */
static void put_yesterday(struct stand *stand, const char *domain_cstr)
{
    struct store_tls_count row = {
        .day = tls_day(clock_unix_ms()) - 1,
        .domain = slice_from_cstr(domain_cstr),
        .policy_key = 5,
        .policy = REPORT_STS,
        .sessions = 10,
        .texts = {row.domain, S("version: STSv1\n"), S("*.x\n"), S("")}};
    struct err err = {0};

    store_tls_count_put(stand->keeper->store, &row);
    row.detail_key = 7;
    row.result = REPORT_CERTIFICATE_EXPIRED;
    row.sessions = 2;
    row.texts[0] = S("mx.x");
    store_tls_count_put(stand->keeper->store, &row);
    assert_true(store_commit(stand->keeper->store, &err));
}

static size_t rows_left(struct stand *stand)
{
    struct store_tls_report due[4];

    return (size_t)store_tls_count_all(stand->keeper->store) +
           store_tls_report_due(stand->keeper->store, INT64_MAX, due, 4);
}

static struct ipc_tls_line line_at(const struct stand *stand, size_t number)
{
    struct slice rest = buffer_view(&stand->report_lines);
    struct ipc_tls_line line;

    do
        assert_int_equal(ipc_list_next(&rest, IPC_TLS_LINE, &line), PROGRESS_DONE);
    while (number-- > 0);
    return line;
}

static void test_a_report_goes_by_mail(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, REPORTS);
    put_yesterday(&stand, "x.test");
    add_result(&stand, failure("mx.rua.test"));
    stand.rua = (struct ipc_rua_found){.ok = true, .uris = S("mailto:rua@rua.test\n")};
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 100);
    assert_string_equal(stand.report_to_cstr, "rua@rua.test");
    assert_string_equal(stand.last_to_cstr, "rua@rua.test");
    assert_true(slice_starts_with(slice_from_cstr(stand.last_from_cstr), S("bounce+")));
    assert_true(slice_ends_with_nocase(slice_from_cstr(stand.last_from_cstr), S("@rep.test")));
    assert_true(slice_ends_with_nocase(slice_from_cstr(stand.report_id_cstr), S("@rep.test")));
    assert_true(stand.last_job.requirement.tls_not_required);
    assert_true(stand.last_job.requirement.cleartext_allowed);
    assert_int_equal(stand.last_job.requirement.least, PROOF_NONE);
    assert_true(slice_equal(line_at(&stand, 0).policy_text, S("version: STSv1\n")));
    assert_int_equal(line_at(&stand, 0).sessions, 10);
    assert_true(slice_equal(line_at(&stand, 1).policy_text, S("version: STSv1\n")));
    assert_true(slice_equal(line_at(&stand, 1).result, S("certificate-expired")));
    assert_true(slice_equal(line_at(&stand, 1).mx, S("mx.x")));
    /* It is told, and forgotten; and the mail that told it is not counted. */
    assert_int_equal(rows_left(&stand), 0);
    assert_string_equal(counted(&stand, "rua.test"), "");
    assert_int_equal(stand.reports_made, 1);
    assert_int_equal(stand.rua_asked, 1);
    stand_close(&stand);
}

static void test_a_report_that_fails_makes_no_noise(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, REPORTS);
    put_yesterday(&stand, "x.test");
    stand_outcome(&stand, "rua.test", OUTCOME_PERMANENT, PROOF_NONE);
    add_result(&stand, failure("mx.rua.test"));
    stand.rua = (struct ipc_rua_found){.ok = true, .uris = S("mailto:rua@rua.test\n")};
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 200);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++)
        assert_int_equal(stand.kinds_made[kind], 0);
    assert_int_equal(store_message_count(stand.keeper->store), 0);
    assert_int_equal(rows_left(&stand), 0);
    stand_close(&stand);
}

static void test_a_report_goes_by_https_and_mail(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, REPORTS);
    put_yesterday(&stand, "x.test");
    stand.rua = (struct ipc_rua_found){.ok = true,
                                       .uris = S("https://r.test/tls\nmailto:rua@rua.test\n")};
    stand.posted.ok = true;
    stand_wait(&stand, &stand.delivered, 1);
    stand_run(&stand, 100);
    assert_int_equal(stand.posts, 1);
    assert_string_equal(stand.posted_cstr, "https://r.test/tls");
    assert_int_equal(stand.reports_made, 2);
    assert_int_equal(rows_left(&stand), 0);
    stand_close(&stand);
}

static void test_what_fails_for_a_while_is_tried_again(void **state)
{
    struct store_tls_report due[2];
    struct stand stand;
    struct buffer texts;
    struct err err = {0};

    (void)state;
    buffer_init(&texts, 10000);
    stand_open(&stand, REPORTS);
    put_yesterday(&stand, "x.test");
    stand.rua = (struct ipc_rua_found){.ok = true, .uris = S("https://r.test/tls\n")};
    stand.posted = (struct ipc_report_posted){.temporary = true, .why = S("busy")};
    stand_wait(&stand, &stand.posts, 1);
    stand_run(&stand, 100);
    assert_int_equal(store_tls_report_due(stand.keeper->store, clock_unix_ms(), due, 2), 0);
    assert_int_equal(store_tls_report_due(stand.keeper->store, INT64_MAX, due, 2), 1);
    assert_int_equal(due[0].attempts, 1);
    assert_in_range(due[0].due_ms - clock_unix_ms(), TLS_REPORT_AGAIN_MS / 2,
                    2 * TLS_REPORT_AGAIN_MS);
    /* After a day it is given up; a restart has not forgotten since when. */
    assert_true(
        store_tls_report_get(stand.keeper->store, due[0].day, S("x.test"), &due[0], &texts));
    due[0].since_ms -= TLS_REPORT_TRY_MS + 60000;
    due[0].due_ms = 1;
    store_tls_report_put(stand.keeper->store, &due[0]);
    assert_true(store_commit(stand.keeper->store, &err));
    stand_restart(&stand, false);
    stand_run(&stand, 2500);
    assert_int_equal(stand.posts, 1);
    assert_int_equal(rows_left(&stand), 0);
    stand_close(&stand);
    buffer_deinit(&texts);
}

static void test_who_wants_none_gets_none(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, REPORTS);
    put_yesterday(&stand, "x.test");
    put_yesterday(&stand, "y.test");
    stand.rua = (struct ipc_rua_found){.ok = true};
    stand_wait(&stand, &stand.rua_asked, 2);
    stand_run(&stand, 100);
    assert_int_equal(stand.reports_made, 0);
    assert_int_equal(rows_left(&stand), 0);
    /* A DNS that fails is no answer. */
    put_yesterday(&stand, "z.test");
    stand.rua = (struct ipc_rua_found){.ok = false, .why = S("timeout")};
    stand_restart(&stand, false);
    stand_wait(&stand, &stand.rua_asked, 3);
    stand_run(&stand, 100);
    assert_int_equal(rows_left(&stand), 3);
    stand_close(&stand);
}

/* A report that was refused for good is not tried again. */
static void test_a_refusal_is_final(void **state)
{
    struct stand stand;

    (void)state;
    stand_open(&stand, REPORTS);
    put_yesterday(&stand, "x.test");
    stand.rua = (struct ipc_rua_found){.ok = true, .uris = S("https://r.test/tls\n")};
    stand.posted = (struct ipc_report_posted){.why = S("404")};
    stand_wait(&stand, &stand.posts, 1);
    stand_run(&stand, 100);
    assert_int_equal(rows_left(&stand), 0);
    stand_close(&stand);
}

/* ---- reports of others ---- */

static void read_lines(struct buffer *lines, const char *domain_cstr)
{
    struct ipc_tls_line line = {
        .policy = REPORT_STS, .policy_domain = slice_from_cstr(domain_cstr), .sessions = 5326};

    buffer_clear(lines);
    must(ipc_list_append(lines, IPC_TLS_LINE, &line));
    line.result = S("certificate-expired");
    line.mx = S("mx1.clinic.test");
    line.sessions = 100;
    must(ipc_list_append(lines, IPC_TLS_LINE, &line));
    line.address = S("192.0.2.7"); /* told apart there, not here */
    must(ipc_list_append(lines, IPC_TLS_LINE, &line));
}

static struct ipc_tls_report_read report_with(struct buffer *lines)
{
    return (struct ipc_tls_report_read){.ok = true,
                                        .is_report = true,
                                        .organisation = S("Company-X"),
                                        .report_id = S("77"),
                                        .signer = S("x.test"),
                                        .begin_s = clock_unix_ms() / 1000 - 86400,
                                        .end_s = clock_unix_ms() / 1000,
                                        .lines = buffer_view(lines)};
}

static uint64_t receive(struct stand *stand)
{
    uint64_t before = stand->reports_read;
    uint64_t message = stand_submit(stand, &(struct stand_mail){.kind = KIND_TLS_REPORTED,
                                                                .to_cstr = "tlsrpt@clinic.test",
                                                                .from_cstr = "tls@x.test"});

    stand_wait(stand, &stand->reports_read, before + 1);
    stand_run(stand, 60);
    return message;
}

static const char *shown(struct stand *stand)
{
    return stand_control(stand, "{\"do\":\"tls\",\"what\":\"reports\"}");
}

static void test_reports_of_others(void **state)
{
    struct stand stand;
    struct buffer lines;
    uint64_t message;

    (void)state;
    buffer_init(&lines, 10000);
    read_lines(&lines, "Clinic.test");
    stand_open(&stand, REPORTS);
    stand.reported = report_with(&lines);
    add_result(&stand, failure("mx"));
    message = receive(&stand);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    assert_int_equal(stand.delivered, 0); /* no courier had it */
    assert_non_null(
        strstr(shown(&stand),
               "\"domain\":\"clinic.test\",\"organisation\":\"Company-X\","
               "\"successful\":5326,\"failed\":200,\"failures\":[{\"result\":"
               "\"certificate-expired\",\"mx\":\"mx1.clinic.test\",\"sessions\":200}]}"));
    /* The same once more changes nothing, another one adds up. */
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "\"successful\":5326,"));
    assert_non_null(strstr(shown(&stand), "the same report came before"));
    stand.reported.report_id = S("78");
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "\"successful\":10652,\"failed\":400"));
    assert_non_null(
        strstr(stand_control(
                   &stand, "{\"do\":\"tls\",\"what\":\"reports\",\"domain\":\"CLINIC.test\"}"),
               "10652"));
    assert_null(strstr(
        stand_control(&stand, "{\"do\":\"tls\",\"what\":\"reports\",\"domain\":\"x.test\"}"),
        "10652"));
    stand_close(&stand);
    buffer_deinit(&lines);
}

static void test_reports_that_do_not_count(void **state)
{
    struct stand stand;
    struct buffer lines;

    (void)state;
    buffer_init(&lines, 10000);
    stand_open(&stand, REPORTS);
    read_lines(&lines, "clinic.test");
    stand.reported = report_with(&lines);
    stand.reported.signer = S("");
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "it has no DKIM signature"));
    stand.reported = report_with(&lines);
    stand.reported.begin_s = 1000;
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "the time that it is about cannot be"));
    read_lines(&lines, "stranger.test");
    stand.reported = report_with(&lines);
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "it is about no domain of ours"));
    stand.reported = (struct ipc_tls_report_read){.ok = true, .why = S("it is soup")};
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "\"unreadable\":\"it is soup\""));
    assert_null(strstr(shown(&stand), "successful"));
    /* About a host: then the mail says whose it is. */
    read_lines(&lines, "mx.elsewhere.test");
    stand.reported = report_with(&lines);
    stand.reported.domain = S("rep.test");
    receive(&stand);
    assert_non_null(strstr(shown(&stand), "\"domain\":\"rep.test\""));
    assert_int_equal(store_message_count(stand.keeper->store), 0);
    stand_close(&stand);
    buffer_deinit(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_are_counted),
        cmocka_unit_test(test_nothing_is_counted_while_none_are_sent),
        cmocka_unit_test(test_rows_of_a_domain_are_bounded),
        cmocka_unit_test(test_a_report_goes_by_mail),
        cmocka_unit_test(test_a_report_that_fails_makes_no_noise),
        cmocka_unit_test(test_a_report_goes_by_https_and_mail),
        cmocka_unit_test(test_what_fails_for_a_while_is_tried_again),
        cmocka_unit_test(test_who_wants_none_gets_none),
        cmocka_unit_test(test_a_refusal_is_final),
        cmocka_unit_test(test_reports_of_others),
        cmocka_unit_test(test_reports_that_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
