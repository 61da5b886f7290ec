/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/tls_report.h"

#include "policy/tls_report.h"
#include "protect/gzip.h"

#include "kit/kit.h"
#include "kit/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct buffer *lines, struct ipc_tls_line line)
{
    assert_true(ipc_list_append(lines, IPC_TLS_LINE, &line));
}

static struct ipc_tls_line line_at(const struct tls_report_read *read, size_t number)
{
    struct slice rest = buffer_view(&read->lines);
    struct ipc_tls_line line;

    do
        assert_int_equal(ipc_list_next(&rest, IPC_TLS_LINE, &line), PROGRESS_DONE);
    while (number-- > 0);
    return line;
}

static size_t count_lines(const struct tls_report_read *read)
{
    struct slice rest = buffer_view(&read->lines);
    struct ipc_tls_line line;
    size_t count = 0;

    while (ipc_list_next(&rest, IPC_TLS_LINE, &line) == PROGRESS_DONE)
        count++;
    return count;
}

static void assert_text(struct slice text, const char *want_cstr)
{
    if (!slice_equal(text, slice_from_cstr(want_cstr)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARGS(text), want_cstr);
}

static bool parse(const char *json_cstr, struct tls_report_read *read, struct err *err)
{
    tls_report_read_init(read);
    return tls_report_parse(slice_from_cstr(json_cstr), read, err);
}

/* ---- written, and read again ---- */

#define STS_TEXT "version: STSv1\nmode: enforce\nmx: *.mail.y.test\nmax_age: 86400\n"

static void fill_lines(struct buffer *lines)
{
    struct ipc_tls_line sts = {.policy = REPORT_STS,
                               .policy_domain = S("y.test"),
                               .policy_text = S(STS_TEXT),
                               .policy_mx = S("*.mail.y.test\n"),
                               .sessions = 5326};
    struct ipc_tls_line tlsa = {.policy = REPORT_TLSA,
                                .policy_domain = S("mx.y.test"),
                                .policy_text = S("3 1 1 aa\n3 1 1 bb"),
                                .sessions = 7};

    add(lines, sts);
    sts.result = S("certificate-expired");
    sts.sessions = 100;
    sts.mx = S("mx1.mail.y.test");
    sts.source = S("2001:db8::1");
    add(lines, sts);
    sts.result = S("starttls-not-supported");
    sts.sessions = 3;
    sts.address = S("203.0.113.56");
    sts.reason = S("no \"STARTTLS\"\xff");
    add(lines, sts);
    add(lines, tlsa);
}

static void test_what_is_written_reads_back(void **state)
{
    struct tls_report report = {.organisation = S("Clinic Süd"),
                                .contact = S("tls@x.test"),
                                .report_id = S("abc@x.test"),
                                .begin_s = 1459468800,
                                .end_s = 1459468800 + 86400};
    struct tls_report_read read;
    struct buffer lines, json;
    struct err err = {0};

    (void)state;
    buffer_init(&lines, 10000);
    buffer_init(&json, 10000);
    fill_lines(&lines);
    report.lines = buffer_view(&lines);
    assert_true(tls_report_write(&report, &json, &err));
    assert_true(slice_starts_with(
        buffer_view(&json),
        S("{\"organization-name\":\"Clinic Süd\",\"date-range\":{\"start-datetime\":"
          "\"2016-04-01T00:00:00Z\",\"end-datetime\":\"2016-04-01T23:59:59Z\"},")));
    tls_report_read_init(&read);
    if (!tls_report_parse(buffer_view(&json), &read, &err))
        fail_msg("%s", err.text_cstr);
    assert_text(buffer_view(&read.organisation), "Clinic Süd");
    assert_text(buffer_view(&read.contact), "tls@x.test");
    assert_text(buffer_view(&read.report_id), "abc@x.test");
    assert_int_equal(read.begin_s, report.begin_s);
    assert_int_equal(read.end_s, report.end_s - 1);
    assert_int_equal(count_lines(&read), 4);
    assert_text(line_at(&read, 0).policy_text, STS_TEXT);
    assert_text(line_at(&read, 0).policy_mx, "*.mail.y.test\n");
    assert_int_equal(line_at(&read, 0).sessions, 5326);
    assert_text(line_at(&read, 1).result, "certificate-expired");
    assert_text(line_at(&read, 1).source, "2001:db8::1");
    assert_text(line_at(&read, 2).reason, "no \"STARTTLS\"?");
    assert_int_equal(line_at(&read, 2).sessions, 3);
    assert_int_equal(line_at(&read, 3).policy, REPORT_TLSA);
    assert_text(line_at(&read, 3).policy_domain, "mx.y.test");
    assert_int_equal(line_at(&read, 3).sessions, 7);
    tls_report_read_deinit(&read);
    report.lines = S("\x01");
    assert_false(tls_report_write(&report, &json, &err));
    buffer_deinit(&lines);
    buffer_deinit(&json);
}

static void read_sample(char json_cstr[8192])
{
    char path_cstr[4096];
    FILE *file;
    size_t len;

    if (getenv("VECTORS") == NULL)
        skip();
    snprintf(path_cstr, sizeof path_cstr, "%s/tls-report/appendix-b.json", getenv("VECTORS"));
    file = fopen(path_cstr, "rb");
    assert_non_null(file);
    len = fread(json_cstr, 1, 8191, file);
    json_cstr[len] = '\0';
    fclose(file);
}

static void test_the_sample_of_the_rfc(void **state)
{
    char json_cstr[8192];
    struct tls_report_read read;
    struct err err = {0};

    (void)state;
    read_sample(json_cstr);
    assert_true(parse(json_cstr, &read, &err));
    assert_text(buffer_view(&read.organisation), "Company-X");
    assert_int_equal(read.begin_s, 1459468800);
    assert_int_equal(count_lines(&read), 4);
    assert_int_equal(line_at(&read, 0).policy, REPORT_STS);
    assert_int_equal(line_at(&read, 0).sessions, 5326);
    assert_text(line_at(&read, 2).result, "starttls-not-supported");
    assert_text(line_at(&read, 2).mx, "mx2.mail.company-y.example");
    assert_int_equal(line_at(&read, 2).sessions, 200);
    assert_text(line_at(&read, 3).reason, "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
    tls_report_read_deinit(&read);
}

/* ---- refusals ---- */

#define RANGE                                                                                  \
    "\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\",\"end-datetime\":"            \
    "\"2016-04-01T23:59:59Z\"}"
#define HEAD "{\"organization-name\":\"X\",\"report-id\":\"1\"," RANGE ","
#define POLICY(summary, failures)                                                              \
    HEAD "\"policies\":[{\"policy\":{\"policy-type\":\"sts\"},\"summary\":" summary            \
         ",\"failure-details\":" failures "}]}"

static const struct {
    const char *json_cstr;
    int lines; /* -1: refused */
} cases[] = {
    {"", -1},
    {"null", -1},
    {"[]", -1},
    {"{}", -1},
    {"{", -1},
    {HEAD "\"policies\":[]}", -1},
    {HEAD "\"policies\":{}}", -1},
    {HEAD "\"policies\":[1]}", -1},
    {HEAD "\"policies\":[{\"policy\":{},\"summary\":{}}]}", 1},
    {HEAD "\"policies\":[{\"policy\":{}}]}", -1},
    {"{\"report-id\":\"1\"," RANGE ",\"policies\":[{\"policy\":{},\"summary\":{}}]}", -1},
    {"{\"organization-name\":\"X\"," RANGE ",\"policies\":[{\"policy\":{},\"summary\":{}}]}",
     -1},
    {"{\"organization-name\":\"X\",\"report-id\":\"1\",\"policies\":[{\"policy\":{},"
     "\"summary\":{}}]}",
     -1},
    {POLICY("{\"total-successful-session-count\":-1}", "[]"), -1},
    {POLICY("{\"total-successful-session-count\":1.5}", "[]"), -1},
    {POLICY("{\"total-successful-session-count\":\"1\"}", "[]"), -1},
    {POLICY("{\"total-successful-session-count\":99999999999999999999}", "[]"), -1},
    {POLICY("{\"total-failure-session-count\":2}", "[]"), 2},
    {POLICY("{}", "[{}]"), -1},
    {POLICY("{}", "[{\"result-type\":\"\"}]"), -1},
    {POLICY("{}", "[{\"result-type\":7,\"failed-session-count\":1}]"), -1},
    {POLICY("{}", "[{\"result-type\":\"x\",\"failed-session-count\":1}]"), 2},
    {POLICY("{}", "[{\"result-type\":\"x\",\"failed-session-count\":0}]"), 1},
    {POLICY("{}", "null"), 1},
};

static void test_refusals(void **state)
{
    struct tls_report_read read;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool is_read = parse(cases[i].json_cstr, &read, &err);

        if (is_read != (cases[i].lines >= 0) ||
            (is_read && (int)count_lines(&read) != cases[i].lines))
            fail_msg("case %zu: %s", i, is_read ? "read" : err.text_cstr);
        assert_true(is_read || err.class == ERR_PEER);
        tls_report_read_deinit(&read);
    }
}

static void test_times(void **state)
{
    static const struct {
        const char *text_cstr;
        int64_t seconds; /* -1: refused */
    } times[] = {
        {"2016-04-01T00:00:00Z", 1459468800},
        {"2016-04-01T00:00:00.123z", 1459468800},
        {"2016-04-01T02:00:00+02:00", 1459468800},
        {"2016-03-31T22:30:00-01:30", 1459468800},
        {"2016-04-01T00:00:00", 1459468800},
        {"2016-04-01", -1},
        {"2016-04-01T00:00:00+0200", -1},
        {"2016-04-01T00:00:00Zx", -1},
        {"1899-04-01T00:00:00Z", -1},
        {"yesterday", -1},
    };
    char json_cstr[1024];
    struct tls_report_read read;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        bool is_read;

        snprintf(json_cstr, sizeof json_cstr,
                 "{\"organization-name\":\"X\",\"report-id\":\"1\",\"date-range\":{\"start-"
                 "datetime\":\"%s\",\"end-datetime\":\"2030-01-01T00:00:00Z\"},\"policies\":[{"
                 "\"policy\":{},\"summary\":{}}]}",
                 times[i].text_cstr);
        is_read = parse(json_cstr, &read, &err);
        if (is_read != (times[i].seconds >= 0) || (is_read && read.begin_s != times[i].seconds))
            fail_msg("%s: %lld", times[i].text_cstr, (long long)read.begin_s);
        tls_report_read_deinit(&read);
    }
}

static void test_bounds(void **state)
{
    struct tls_report_read read;
    struct buffer json;
    struct err err = {0};

    (void)state;
    buffer_init(&json, TLS_REPORT_JSON_MAX + 10);
    tls_report_read_init(&read);
    for (size_t i = 0; i < TLS_REPORT_DEPTH_MAX + 1; i++)
        assert_true(buffer_append(&json, S("[")));
    assert_false(tls_report_parse(buffer_view(&json), &read, &err));
    assert_string_equal(err.text_cstr, "the report holds too much");
    buffer_clear(&json);
    while (buffer_len(&json) < (size_t)2 * TLS_REPORT_VALUES_MAX + 2)
        assert_true(buffer_append(&json, S("1,")));
    assert_false(tls_report_parse(buffer_view(&json), &read, &err));
    assert_string_equal(err.text_cstr, "the report holds too much");
    /* Marks inside a text are text. */
    buffer_clear(&json);
    assert_true(buffer_append(&json, S("{\"organization-name\":\"\\\"")));
    for (size_t i = 0; i < TLS_REPORT_VALUES_MAX; i++)
        assert_true(buffer_append(&json, S("[{,")));
    assert_true(buffer_append(&json, S("\"}")));
    assert_false(tls_report_parse(buffer_view(&json), &read, &err));
    assert_string_equal(err.text_cstr, "the report names no organization or has no id");
    tls_report_read_deinit(&read);
    buffer_deinit(&json);
}

static void test_too_many_details(void **state)
{
    struct tls_report_read read;
    struct buffer json;
    struct err err = {0};

    (void)state;
    buffer_init(&json, TLS_REPORT_JSON_MAX);
    assert_true(buffer_append(&json, S(HEAD "\"policies\":[{\"policy\":{},\"summary\":{},"
                                            "\"failure-details\":[")));
    for (size_t i = 0; i < TLS_REPORT_LINES_MAX; i++)
        assert_true(
            buffer_append(&json, S("{\"result-type\":\"x\",\"failed-session-count\":1},")));
    buffer_truncate(&json, buffer_len(&json) - 1);
    assert_true(buffer_append(&json, S("]}]}")));
    tls_report_read_init(&read);
    assert_false(tls_report_parse(buffer_view(&json), &read, &err));
    assert_string_equal(err.text_cstr, "the report has more than 2000 details");
    tls_report_read_deinit(&read);
    buffer_deinit(&json);
}

/* ---- gzip ---- */

static void test_gzip(void **state)
{
    struct buffer plain, packed, back, small;
    struct err err = {0};

    (void)state;
    buffer_init(&plain, 64 << 20);
    buffer_init(&packed, 1 << 20);
    buffer_init(&back, 64 << 20);
    buffer_init(&small, 5);
    assert_true(gzip_pack(S("hello hello hello"), &packed, &err));
    assert_true(gzip_unpack(buffer_view(&packed), &back, &err));
    assert_text(buffer_view(&back), "hello hello hello");
    assert_false(gzip_unpack(buffer_view(&packed), &small, &err));
    assert_int_equal(err.class, ERR_PEER);
    for (size_t len = 0; len < buffer_len(&packed); len++)
        assert_false(gzip_unpack(slice_head(buffer_view(&packed), len), &back, &err));
    assert_false(gzip_unpack(S("{}"), &back, &err));
    /* A bomb: far more than its bytes let expect. */
    while (buffer_len(&plain) < 8 << 20)
        assert_true(buffer_append(&plain, S("0123456789abcdef0123456789abcdef")));
    buffer_clear(&packed);
    buffer_clear(&back);
    assert_true(gzip_pack(buffer_view(&plain), &packed, &err));
    assert_true(buffer_len(&packed) < 40000);
    assert_false(gzip_unpack(buffer_view(&packed), &back, &err));
    assert_true(buffer_len(&back) < 8 << 20);
    buffer_deinit(&plain);
    buffer_deinit(&packed);
    buffer_deinit(&back);
    buffer_deinit(&small);
}

/* ---- mails ---- */

static bool read_mail(struct slice mail, size_t piece, struct tls_report_read *read,
                      struct err *err)
{
    struct tls_report_reader *reader;
    bool is_read;

    tls_report_read_init(read);
    reader = tls_report_reader_new(read);
    for (; mail.len > 0; mail = slice_from(mail, piece))
        tls_report_reader_push(reader, slice_head(mail, piece));
    is_read = tls_report_reader_finish(reader, err);
    tls_report_reader_free(&reader);
    return is_read;
}

static void make_mail(struct buffer *mail)
{
    struct tls_report report = {.organisation = S("Clinic"),
                                .contact = S("tls@x.test"),
                                .report_id = S("abc-1@x.test"),
                                .begin_s = 1459468800,
                                .end_s = 1459468800 + 86400};
    struct tls_report_mail letter = {.face = {.organisation = S("Clinic"),
                                              .from = S("TLS reports <tls@x.test>"),
                                              .hostname = S("mail.x.test"),
                                              .to = S("rua@y.test"),
                                              .id = 77,
                                              .now_s = 1459560000},
                                     .domain = S("y.test"),
                                     .submitter = S("x.test"),
                                     .report_id = report.report_id,
                                     .begin_s = report.begin_s,
                                     .end_s = report.end_s};
    struct buffer lines, json, packed, header_id;
    struct err err = {0};

    buffer_init(&lines, 10000);
    buffer_init(&json, 10000);
    buffer_init(&packed, 10000);
    buffer_init(&header_id, 400);
    fill_lines(&lines);
    report.lines = buffer_view(&lines);
    assert_true(tls_report_write(&report, &json, &err));
    assert_true(gzip_pack(buffer_view(&json), &packed, &err));
    letter.packed = buffer_view(&packed);
    if (!tls_report_mail_write(&letter, mail, &header_id, &err))
        fail_msg("%s", err.text_cstr);
    assert_true(slice_ends_with_nocase(buffer_view(&header_id), S("@x.test")));
    buffer_deinit(&lines);
    buffer_deinit(&json);
    buffer_deinit(&packed);
    buffer_deinit(&header_id);
}

static bool holds(const struct buffer *mail, const char *words_cstr)
{
    struct slice words = slice_from_cstr(words_cstr);

    return slice_find_nocase(buffer_view(mail), words) < buffer_len(mail);
}

static void test_our_mail(void **state)
{
    static const char *const wanted[] = {
        "To: <rua@y.test>\r\n",
        "Subject: Report Domain: y.test Submitter: x.test Report-ID: <abc-1@x.test>\r\n",
        "TLS-Report-Domain: y.test\r\n",
        "TLS-Report-Submitter: x.test\r\n",
        "TLS-Required: No\r\n",
        "Content-Type: multipart/report; report-type=tlsrpt;\r\n",
        "Content-Type: application/tlsrpt+gzip\r\n",
        "filename=\"x.test!y.test!1459468800!1459555199!abc1.json.gz\"",
    };
    struct tls_report_read read;
    struct buffer mail;
    struct err err = {0};

    (void)state;
    buffer_init(&mail, 100000);
    make_mail(&mail);
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!holds(&mail, wanted[i]))
            fail_msg("no %s in\n%.*s", wanted[i], SLICE_ARGS(buffer_view(&mail)));
    for (size_t piece = 1; piece < 2000; piece = piece * 3 + 1) {
        if (!read_mail(buffer_view(&mail), piece, &read, &err))
            fail_msg("%s", err.text_cstr);
        assert_text(buffer_view(&read.domain), "y.test");
        assert_text(buffer_view(&read.signer), "");
        assert_int_equal(count_lines(&read), 4);
        tls_report_read_deinit(&read);
    }
    buffer_deinit(&mail);
}

#define JSON_PART(type)                                                                        \
    "Content-Type: " type "\r\n\r\n" HEAD "\"policies\":[{\"policy\":{},\"summary\":{}}]}\r\n"

static const struct {
    const char *mail_cstr, *why_cstr; /* NULL: read */
} mails[] = {
    {"Subject: x\r\n\r\nhello\r\n", "the mail holds no TLS report"},
    {"", "the mail holds no TLS report"},
    {"DKIM-Signature: v=1; a=rsa-sha256;\r\n d=X.test ; s=s\r\nTLS-Report-Domain: "
     "Y.Test\r\n" JSON_PART("application/tlsrpt+json"),
     NULL},
    {JSON_PART("application/octet-stream; name=a.json"), NULL},
    {JSON_PART("application/tlsrpt+gzip"), "the compressed data is damaged"},
    {"Content-Type: application/tlsrpt+json\r\n\r\n[]\r\n",
     "the report names no organization or has no id"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
     "application/gzip; name=\"a.json.gz\"\r\n\r\nxx\r\n--b\r\n" JSON_PART(
         "application/tlsrpt+json") "--b--\r\n",
     NULL},
};

static void test_mails_of_strangers(void **state)
{
    struct tls_report_read read;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(mails); i++) {
        bool is_read = read_mail(slice_from_cstr(mails[i].mail_cstr), 1000, &read, &err);

        if (is_read != (mails[i].why_cstr == NULL))
            fail_msg("mail %zu: %s", i, is_read ? "read" : err.text_cstr);
        if (!is_read)
            assert_string_equal(err.text_cstr, mails[i].why_cstr);
        if (i == 2) {
            assert_text(buffer_view(&read.signer), "x.test");
            assert_text(buffer_view(&read.domain), "y.test");
        }
        tls_report_read_deinit(&read);
    }
}

static void test_a_mail_that_is_too_large(void **state)
{
    struct tls_report_read read;
    struct tls_report_reader *reader;
    char block[65536];
    struct err err = {0};

    (void)state;
    memset(block, 'x', sizeof block);
    tls_report_read_init(&read);
    reader = tls_report_reader_new(&read);
    tls_report_reader_push(reader, S("Content-Type: application/tlsrpt+gzip\r\n\r\n"));
    for (size_t i = 0; i * sizeof block < TLS_REPORT_PACKED_MAX; i++)
        tls_report_reader_push(reader, slice_of(block, sizeof block));
    tls_report_reader_push(reader, S("x"));
    assert_false(tls_report_reader_finish(reader, &err));
    assert_string_equal(err.text_cstr, "the report is too large");
    tls_report_reader_free(&reader);
    tls_report_read_deinit(&read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_reads_back),
        cmocka_unit_test(test_the_sample_of_the_rfc),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_too_many_details),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_our_mail),
        cmocka_unit_test(test_mails_of_strangers),
        cmocka_unit_test(test_a_mail_that_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
