/* SPDX-License-Identifier: Apache-2.0 */
/* The table, TLS, AUTH, who may send what to whom, and everything strangers try. */
#include "smtpd/test_bed.h"

#include "base/log.h"

static struct bed bed;

static int start(void **state)
{
    (void)state;
    bed_start(&bed, "limits { recipients = 1000 message = 1M header = 20K }\n");
    return 0;
}

static int end(void **state)
{
    (void)state;
    bed_end(&bed);
    return 0;
}

/* ---- the table ---- */

/* Lines that lead from a fresh EHLO to a state. */
static const struct {
    enum session_state state;
    const char *lines_cstr[4];
} ways[] = {
    {AT_HELLO, {NULL}},
    {AT_MAIL, {"MAIL FROM:<ann@clinic.test>\r\n", NULL}},
    {AT_RCPT, {"MAIL FROM:<ann@clinic.test>\r\n", "RCPT TO:<bob@far.test>\r\n", NULL}},
    {AT_CHUNKS,
     {"MAIL FROM:<ann@clinic.test>\r\n", "RCPT TO:<bob@far.test>\r\n", "BDAT 0\r\n", NULL}},
};

/* What each command answers at START, HELLO, MAIL, RCPT, CHUNKS. */
static const struct {
    enum smtp_verb verb;
    const char *line_cstr;
    const char *answers_cstr[5];
} expected[] = {
    {SMTP_VERB_EHLO, "EHLO x\r\n", {"250", "250", "250", "250", "250"}},
    {SMTP_VERB_HELO, "HELO x\r\n", {"250", "250", "250", "250", "250"}},
    {SMTP_VERB_STARTTLS, "STARTTLS\r\n", {"503", "220", "503", "503", "503"}},
    {SMTP_VERB_AUTH, "AUTH PLAIN\r\n", {"503", "502", "503", "503", "503"}},
    {SMTP_VERB_MAIL, "MAIL FROM:<>\r\n", {"503", "250", "503", "503", "503"}},
    {SMTP_VERB_RCPT, "RCPT TO:<a@far.test>\r\n", {"503", "503", "250", "250", "503"}},
    {SMTP_VERB_DATA, "DATA\r\n", {"503", "503", "503", "354", "503"}},
    {SMTP_VERB_BDAT, "BDAT 0\r\n", {"503", "503", "503", "250", "250"}},
    {SMTP_VERB_RSET, "RSET\r\n", {"250", "250", "250", "250", "250"}},
    {SMTP_VERB_NOOP, "NOOP\r\n", {"250", "250", "250", "250", "250"}},
    {SMTP_VERB_VRFY, "VRFY a\r\n", {"252", "252", "252", "252", "252"}},
    {SMTP_VERB_EXPN, "EXPN a\r\n", {"502", "502", "502", "502", "502"}},
    {SMTP_VERB_HELP, "HELP\r\n", {"214", "214", "214", "214", "214"}},
    {SMTP_VERB_QUIT, "QUIT\r\n", {"221", "221", "221", "221", "221"}},
};

static void test_every_row_in_every_state(void **state)
{
    (void)state;
    for (unsigned verb = SMTP_VERB_EHLO; verb < SMTP_VERB_COUNT; verb++)
        assert_non_null(command_find((enum smtp_verb)verb));
    assert_null(command_find(SMTP_VERB_UNKNOWN));
    assert_null(command_find(SMTP_VERB_FOREIGN));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        for (size_t j = 0; j <= COUNT_OF(ways); j++) {
            struct client client;

            client_connect(&client, &bed, LISTENER_MX, "127.0.0.1");
            client_expect(&client, "220 ");
            if (j > 0)
                client_ask(&client, "EHLO relay.clinic.test\r\n", "250-");
            for (size_t k = 0; j > 0 && ways[j - 1].lines_cstr[k] != NULL; k++)
                client_ask(&client, ways[j - 1].lines_cstr[k], "250 ");
            client_ask(&client, expected[i].line_cstr, expected[i].answers_cstr[j]);
            client_end(&client);
        }
    }
    assert_int_equal(smtpd_session_count(bed.server), 0);
    assert_int_equal(bed.server->held_bytes, 0);
}

static void test_submission_needs_tls_and_a_login(void **state)
{
    static const char *const before_tls[] = {"MAIL FROM:<ann@clinic.test>\r\n",
                                             "AUTH PLAIN AGEAYg==\r\n", "AUTH LOGIN\r\n"};
    struct client client;

    (void)state;
    client_connect(&client, &bed, LISTENER_SUBMISSION, "127.0.0.1");
    client_expect(&client, "220 mail.clinic.test ESMTP");
    client_ask(&client, "EHLO pc\r\n", "250-");
    assert_null(strstr(client.reply_cstr, "AUTH"));
    assert_null(strstr(client.reply_cstr, "REQUIRETLS"));
    assert_non_null(strstr(client.reply_cstr, "STARTTLS"));
    for (size_t i = 0; i < COUNT_OF(before_tls); i++)
        client_ask(&client, before_tls[i], "530 5.7.0");
    client_ask(&client, "STARTTLS now\r\n", "501 ");
    client_ask(&client, "STARTTLS\r\n", "220 ");
    client_handshake(&client);
    /* What was said before is forgotten. */
    client_ask(&client, "MAIL FROM:<ann@clinic.test>\r\n", "503 ");
    client_ask(&client, "EHLO pc\r\n", "250-");
    assert_non_null(strstr(client.reply_cstr, "AUTH PLAIN LOGIN"));
    assert_non_null(strstr(client.reply_cstr, "REQUIRETLS"));
    assert_null(strstr(client.reply_cstr, "STARTTLS"));
    client_ask(&client, "STARTTLS\r\n", "503 ");
    client_ask(&client, "MAIL FROM:<ann@clinic.test>\r\n", "530 5.7.0");
    client_ask(&client, "AUTH PLAIN AGFubkBjbGluaWMudGVzdABzZWNyZXQ=\r\n", "235 ");
    client_ask(&client, "AUTH PLAIN\r\n", "503 ");
    client_ask(&client, "MAIL FROM:<ann@clinic.test> REQUIRETLS\r\n", "250 ");
    client_ask(&client, "QUIT\r\n", "221 ");
    client_expect_end(&client);
    client_end(&client);
}

/* ---- strangers' tricks ---- */

static void test_bytes_behind_starttls_end_the_session(void **state)
{
    static const char *const injections[] = {"STARTTLS\r\nEHLO evil\r\n",
                                             "STARTTLS\r\nMAIL FROM:<ann@clinic.test>\r\n",
                                             "STARTTLS\r\n\n", "STARTTLS\r\nX"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(injections); i++) {
        struct client client;

        client_connect(&client, &bed, LISTENER_SUBMISSION, "127.0.0.1");
        client_expect(&client, "220 ");
        client_ask(&client, "EHLO pc\r\n", "250-");
        client_ask(&client, injections[i], "554 5.5.0");
        client_expect_end(&client);
        client_end(&client);
    }
}

static void test_other_protocols_are_hung_up_on(void **state)
{
    static const struct slice hellos[] = {
        SLICE_INIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        SLICE_INIT("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nEHLO x\r\n"),
        SLICE_INIT("SSH-2.0-OpenSSH\r\n"),
        SLICE_INIT("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
        SLICE_INIT("\x03\0\0\x13\x0e\xe0\0\0"),
        SLICE_INIT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hellos); i++) {
        struct client client;

        client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
        client_expect(&client, "220 ");
        client_send(&client, hellos[i]);
        client_expect(&client, "421 ");
        client_expect_end(&client);
        client_end(&client);
    }
    /* And the other way: plain text to the port that speaks TLS at once. */
    struct client client;
    client_connect(&client, &bed, LISTENER_SUBMISSIONS, "127.0.0.1");
    client_send(&client, S("EHLO pc\r\nEHLO pc\r\n"));
    client_wait(&client);
    client_expect_end(&client);
    client_end(&client);
}

static void test_bad_lines(void **state)
{
    static const struct {
        struct slice line;
        const char *answer_cstr;
    } cases[] = {
        {SLICE_INIT("NOOP\n"), "500 5.5.2"},
        {SLICE_INIT("NO\rOP\r\n"), "500 5.5.2"},
        {SLICE_INIT("NO\0OP\r\n"), "500 5.5.2"},
        {SLICE_INIT("XYZZY\r\n"), "500 5.5.1"},
        {SLICE_INIT("\r\n"), "500 5.5.1"},
        {SLICE_INIT("EHLO\r\n"), "501 5.5.4"},
        {SLICE_INIT("EHLO a'\"b\r\n"), "501 5.5.4"},
        {SLICE_INIT("MAIL FROM:<\"a\nRCPT TO:<x>\"@clinic.test>\r\n"), "500 5.5.2"},
        {SLICE_INIT("MAIL TO:<ann@clinic.test>\r\n"), "503"},
        {SLICE_INIT("QUIT now\r\n"), "501 5.5.4"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client client;

        client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
        client_expect(&client, "220 ");
        client_send(&client, cases[i].line);
        client_expect(&client, cases[i].answer_cstr);
        client_end(&client);
    }
}

static void test_lines_without_end(void **state)
{
    static const size_t sizes[] = {1024, 2048, 2049, 12 * 1024, 200 * 1024};
    struct client client;
    struct buffer line;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
        client_expect(&client, "220 ");
        buffer_init(&line, 2 << 20);
        assert_true(buffer_append(&line, S("EHLO ")));
        while (buffer_len(&line) < sizes[i])
            assert_true(buffer_append_byte(&line, 'x'));
        assert_true(buffer_append(&line, S("\r\n")));
        client_send(&client, buffer_view(&line));
        client_expect(&client, sizes[i] <= 2048 ? "501 5.5.4" : "500 5.5.2");
        client_ask(&client, "NOOP\r\n", "250 ");
        client_end(&client);
        buffer_deinit(&line);
    }
    client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
    client_expect(&client, "220 ");
    buffer_init(&line, 2 << 20);
    while (buffer_len(&line) < 1 << 20)
        assert_true(buffer_append(&line, S("EHLO EHLO EHLO EHLO ")));
    client_send(&client, buffer_view(&line));
    client_expect(&client, "421 ");
    client_end(&client);
    buffer_deinit(&line);
}

static void test_errors_and_idle_chatter_have_an_end(void **state)
{
    struct client client;

    (void)state;
    client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
    client_expect(&client, "220 ");
    for (int i = 0; i < SESSION_ERRORS_MAX; i++)
        client_ask(&client, "XYZZY\r\n", "500 ");
    client_expect(&client, "421 4.7.0");
    client_expect_end(&client);
    client_end(&client);
    client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
    client_expect(&client, "220 ");
    for (int i = 0; i < SESSION_IDLE_COMMANDS_MAX; i++)
        client_ask(&client, "NOOP\r\n", "250 ");
    client_ask(&client, "NOOP\r\n", "421 ");
    client_end(&client);
}

/* ---- AUTH ---- */

static void client_to_auth(struct client *client)
{
    client_connect(client, &bed, LISTENER_SUBMISSIONS, "127.0.0.1");
    client_handshake(client);
    client_expect(client, "220 ");
    client_ask(client, "EHLO pc\r\n", "250-");
}

static void test_logins(void **state)
{
    /* Each is a conversation: line, answer, line, answer. */
    static const char *const talks[][7] = {
        {"AUTH PLAIN AGFubkBjbGluaWMudGVzdABzZWNyZXQ=\r\n", "235 2.7.0", NULL},
        {"auth plain\r\n", "334 ", "AGFubkBjbGluaWMudGVzdABzZWNyZXQ=\r\n", "235", NULL},
        {"AUTH LOGIN\r\n", "334 VXNlcm5hbWU6", "YW5uQGNsaW5pYy50ZXN0\r\n", "334 UGFzc3dvcmQ6",
         "c2VjcmV0\r\n", "235", NULL},
        {"AUTH LOGIN YW5uQGNsaW5pYy50ZXN0\r\n", "334 UGFzc3dvcmQ6", "c2VjcmV0\r\n", "235",
         NULL},
        {"AUTH LOGIN YW5uQGNsaW5pYy50ZXN0\r\n", "334", "*\r\n", "501 5.7.0", NULL},
        {"AUTH PLAIN\r\n", "334", "*\r\n", "501 5.7.0", NULL},
        {"AUTH PLAIN\r\n", "334", "NOOP=\r\n", "501 5.5.2", NULL},
        {"AUTH PLAIN AGFubkBjbGluaWMudGVzdABzZWNyZXQ\r\n", "501 5.5.2", NULL},
        {"AUTH PLAIN =\r\n", "535 5.7.8", NULL},
        {"AUTH PLAIN AGFubkBjbGluaWMudGVzdAB3cm9uZw==\r\n", "535 5.7.8", NULL},
        {"AUTH PLAIN AGFubkBjbGluaWMudGVzdAA=\r\n", "535 5.7.8", NULL}, /* empty password */
        {"AUTH PLAIN AABzZWNyZXQ=\r\n", "535 5.7.8", NULL},             /* empty name */
        {"AUTH PLAIN AGFubkBjbGluaWMudGVzdABzZWNyZXQAeA==\r\n", "535",
         NULL}, /* a NUL too many */
        {"AUTH PLAIN Ym9iAGFubkBjbGluaWMudGVzdABzZWNyZXQ=\r\n", "535", NULL}, /* as another */
        {"AUTH PLAIN AGJyb2tlbgB4\r\n", "454 4.7.0", NULL},
        {"AUTH CRAM-MD5\r\n", "504 5.5.4", NULL},
        {"AUTH\r\n", "504 5.5.4", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(talks); i++) {
        struct client client;

        client_to_auth(&client);
        for (size_t j = 0; talks[i][j] != NULL; j += 2)
            client_ask(&client, talks[i][j], talks[i][j + 1]);
        if (strncmp(client.reply_cstr, "235", 3) != 0)
            client_ask(&client, "MAIL FROM:<ann@clinic.test>\r\n", "530");
        else
            client_ask(&client, "MAIL FROM:<ann@clinic.test>\r\n", "250");
        client_end(&client);
    }
}

static void test_login_responses_of_any_length(void **state)
{
    (void)state;
    for (size_t len = 0; len < 70; len++) {
        struct client client;
        struct buffer line;

        client_to_auth(&client);
        buffer_init(&line, 100 << 10);
        assert_true(buffer_append(&line, S("AUTH PLAIN ")));
        for (size_t i = 0; i < (len < 68 ? len : len * 1000); i++)
            assert_true(buffer_append_byte(&line, 'A'));
        assert_true(buffer_append(&line, S("\r\n")));
        client_send(&client, buffer_view(&line));
        assert_true(client_wait(&client));
        assert_true(client.reply_cstr[0] == '5' || strncmp(client.reply_cstr, "334", 3) == 0 ||
                    strncmp(client.reply_cstr, "454", 3) == 0);
        client_end(&client);
        buffer_deinit(&line);
    }
}

static void test_guessing_ends(void **state)
{
    struct client client;

    (void)state;
    client_to_auth(&client);
    for (int i = 1; i < SESSION_AUTH_FAILURES_MAX; i++)
        client_ask(&client, "AUTH PLAIN AGEAYg==\r\n", "535 ");
    client_ask(&client, "AUTH PLAIN AGEAYg==\r\n", "421 4.7.0");
    client_expect_end(&client);
    client_end(&client);
}

static void test_a_network_that_guesses_is_locked(void **state)
{
    struct client client;

    (void)state;
    for (int i = 0; i < 30; i++) {
        client_to_auth(&client);
        client_send(&client, S("AUTH PLAIN AGEAYg==\r\n"));
        assert_true(client_wait(&client));
        client_end(&client);
    }
    client_to_auth(&client);
    client_ask(&client, "AUTH PLAIN AGFubkBjbGluaWMudGVzdABzZWNyZXQ=\r\n", "454 4.7.0");
    client_end(&client);
}

/* ---- who may send what to whom ---- */

static void test_envelopes(void **state)
{
    static const struct {
        const char *from_host_cstr; /* 127.0.0.1 relay, 127.0.0.2 stranger, NULL = logged in */
        const char *lines_cstr[5];  /* line, answer, line, answer */
    } cases[] = {
        {"127.0.0.1",
         {"MAIL FROM:<x@clinic.test>\r\n", "250", "RCPT TO:<a@far.test>\r\n", "250"}},
        {"127.0.0.1", {"MAIL FROM:<>\r\n", "250", "RCPT TO:<a@far.test>\r\n", "250"}},
        {"127.0.0.1", {"MAIL FROM:<x@other.test>\r\n", "550 5.7.1"}},
        {"127.0.0.1", {"MAIL FROM:<x@clinic.test> SIZE=1048577\r\n", "552 5.3.4"}},
        {"127.0.0.1", {"MAIL FROM:<x@clinic.test> BODY=BINARYMIME\r\n", "501 5.5.4"}},
        {"127.0.0.1", {"MAIL FROM:<x@clinic.test> REQUIRETLS\r\n", "555 5.5.4"}},
        {"127.0.0.1", {"MAIL FROM:<x@clinic.test> XODD=1\r\n", "555 5.5.4"}},
        {"127.0.0.1", {"MAIL FROM:<x@clinic.test> ENVID=a+0Ab\r\n", "501 5.5.4"}},
        {"127.0.0.1", {"MAIL FROM:x@clinic.test\r\n", "501 5.1.7"}},
        {"127.0.0.1", {"MAIL FROM:<j\xc3\xb6@clinic.test>\r\n", "553 5.6.7"}},
        {"127.0.0.1",
         {"MAIL FROM:<x@clinic.test>\r\n", "250", "RCPT TO:<a@[127.0.0.1]>\r\n", "550 5.1.2"}},
        {"127.0.0.1",
         {"MAIL FROM:<x@clinic.test>\r\n", "250", "RCPT TO:<postmaster>\r\n", "550"}},
        {"127.0.0.1",
         {"MAIL FROM:<x@clinic.test>\r\n", "250", "RCPT TO:<\"x@evil y\"@far.test>\r\n",
          "250"}},
        {"127.0.0.1",
         {"MAIL FROM:<x@clinic.test>\r\n", "250", "RCPT TO:<;sleep 5;@far.test>\r\n", "501"}},
        {"127.0.0.1",
         {"MAIL FROM:<x@clinic.test> SMTPUTF8\r\n", "250",
          "RCPT TO:<j\xc3\xb6@b\xc3\xbc.test>\r\n", "250"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<ann@clinic.test>\r\n", "250"}},
        {"127.0.0.2", {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<postmaster>\r\n", "250"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<a@far.test>\r\n", "550 5.7.1"}},
        {"127.0.0.2",
         {"MAIL FROM:<ann@clinic.test>\r\n", "250", "RCPT TO:<a@far.test>\r\n", "550 5.7.1"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<ann@sub.clinic.test>\r\n",
          "550 5.1.1"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<sales@sub.clinic.test>\r\n",
          "250 2.1.5"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<odd@sub.clinic.test>\r\n",
          "451 4.3.0"}},
        {"127.0.0.2",
         {"MAIL FROM:<>\r\n", "250", "RCPT TO:<bounce+1-x@sub.clinic.test>\r\n", "250"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<TLSRPT@sub.Clinic.test>\r\n", "250"}},
        {"127.0.0.2", {"MAIL FROM:<>\r\n", "250", "RCPT TO:<tlsrpt@clinic.test>\r\n", "250"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<tlsrpt2@sub.clinic.test>\r\n",
          "550 5.1.1"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<bounce+1-x@clinic.test>\r\n",
          "550 5.7.1"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<@clinic.test:a@far.test>\r\n",
          "550 5.7.1"}},
        {"127.0.0.2",
         {"MAIL FROM:<x@far.test>\r\n", "250", "RCPT TO:<\"a@far.test\"@clinic.test>\r\n",
          "250"}},
        {"127.0.0.2", {"AUTH PLAIN AGEAYg==\r\n", "502"}},
        {NULL, {"MAIL FROM:<ann@clinic.test>\r\n", "250", "RCPT TO:<a@far.test>\r\n", "250"}},
        {NULL, {"MAIL FROM:<Ann@Clinic.TEST>\r\n", "250"}},
        {NULL, {"MAIL FROM:<>\r\n", "250"}},
        {NULL, {"MAIL FROM:<bob@clinic.test>\r\n", "550 5.7.1"}},
        {NULL, {"MAIL FROM:<ann@other.test>\r\n", "550 5.7.1"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client client;

        if (cases[i].from_host_cstr == NULL)
            client_submitter(&client, &bed);
        else {
            client_connect(&client, &bed, LISTENER_MX, cases[i].from_host_cstr);
            client_expect(&client, "220 ");
            client_ask(&client, "EHLO x\r\n", "250-");
        }
        for (size_t j = 0; j < 4 && cases[i].lines_cstr[j] != NULL; j += 2)
            client_ask(&client, cases[i].lines_cstr[j], cases[i].lines_cstr[j + 1]);
        client_end(&client);
    }
}

/* Everything in one push: each answer in its place, though some had to be asked for. */
static void test_recipients_that_only_the_keeper_knows(void **state)
{
    struct client client;

    (void)state;
    client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
    client_expect(&client, "220 ");
    client_ask(&client, "EHLO x\r\n", "250-");
    client_send(&client, S("MAIL FROM:<x@far.test>\r\nRCPT TO:<sales@sub.clinic.test> "
                           "NOTIFY=NEVER\r\nRCPT TO:<nobody@sub.clinic.test>\r\n"
                           "RCPT TO:<ann@clinic.test>\r\nRCPT TO:<sales@sub.clinic.test>\r\n"
                           "DATA\r\n"));
    client_expect(&client, "250 2.1.0");
    client_expect(&client, "250 2.1.5");
    client_expect(&client, "550 5.1.1");
    client_expect(&client, "250 2.1.5");
    client_expect(&client, "250 2.1.5");
    client_expect(&client, "354");
    client_ask(&client,
               "Delivered-To: sales@sub.clinic.test\r\nDelivered-To: x@far.test\r\n" BED_HEADER
               "\r\n.\r\n",
               "250 2.0.0");
    assert_int_equal(bed.checks, 3);
    assert_true(slice_equal(buffer_view(&bed.rcpts),
                            S("sales@sub.clinic.test 1 \nann@clinic.test 0 \n")));
    client_end(&client);
}

static void test_bounces_and_mail_do_not_mix(void **state)
{
    struct client client;

    (void)state;
    client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
    client_expect(&client, "220 ");
    client_ask(&client, "EHLO x\r\n", "250-");
    client_ask(&client, "MAIL FROM:<>\r\n", "250");
    client_ask(&client, "RCPT TO:<bounce+1@clinic.test>\r\n", "250");
    client_ask(&client, "RCPT TO:<ann@clinic.test>\r\n", "452 4.5.3");
    client_ask(&client, "RCPT TO:<tlsrpt@sub.clinic.test>\r\n", "452 4.5.3");
    client_ask(&client, "RCPT TO:<bounce+2@clinic.test>\r\n", "250");
    client_end(&client);
}

static void test_ten_thousand_recipients(void **state)
{
    struct client client;
    struct buffer lines;
    char line_cstr[64];

    (void)state;
    client_relay(&client, &bed);
    buffer_init(&lines, 1 << 20);
    assert_true(buffer_append(&lines, S("MAIL FROM:<ann@clinic.test>\r\n")));
    for (int i = 0; i < 10000; i++) {
        snprintf(line_cstr, sizeof line_cstr, "RCPT TO:<r%d@far.test>\r\n", i);
        assert_true(buffer_append(&lines, slice_from_cstr(line_cstr)));
    }
    assert_true(buffer_append(&lines, S("DATA\r\n")));
    client_send(&client, buffer_view(&lines));
    client_expect(&client, "250 2.1.0");
    for (int i = 0; i < 10000; i++)
        client_expect(&client, i < 1000 ? "250 2.1.5" : "452 4.5.3");
    client_expect(&client, "354");
    client_ask(&client, BED_HEADER "\r\n.\r\n", "250 2.0.0");
    assert_true(slice_starts_with(buffer_view(&bed.rcpts), S("r0@far.test 0 \n")));
    assert_true(slice_ends_with_nocase(buffer_view(&bed.rcpts), S("r999@far.test 0 \n")));
    client_end(&client);
    buffer_deinit(&lines);
}

static void test_the_same_recipient_twice_gets_one(void **state)
{
    struct client client;

    (void)state;
    client_relay(&client, &bed);
    client_ask(&client, "MAIL FROM:<ann@clinic.test> ENVID=q+2B1 RET=HDRS\r\n", "250");
    client_ask(&client, "RCPT TO:<Bob@Far.test> NOTIFY=NEVER ORCPT=rfc822;b+2Bx@y\r\n", "250");
    client_ask(&client, "RCPT TO:<carl@far.test>\r\n", "250");
    client_ask(&client, "RCPT TO:<Bob@far.TEST>\r\n", "250");
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client, BED_HEADER "\r\n.\r\n", "250");
    assert_true(slice_equal(buffer_view(&bed.rcpts),
                            S("Bob@far.test 1 rfc822;b+x@y\ncarl@far.test 0 \n")));
    assert_int_equal(bed.seen.ret, SMTP_RET_HDRS);
    client_end(&client);
}

static void test_disk_full(void **state)
{
    struct client client;

    (void)state;
    client_relay(&client, &bed);
    bed.server->is_disk_full = true;
    client_ask(&client, "MAIL FROM:<ann@clinic.test>\r\n", "452 4.3.1");
    bed.server->is_disk_full = false;
    client_ask(&client, "MAIL FROM:<ann@clinic.test>\r\n", "250");
    client_end(&client);
}

static void test_too_many_sessions(void **state)
{
    struct client clients[4];
    struct bed small;

    (void)state;
    bed_start(&small, "limits { sessions_per_client = 3 }\n");
    for (int i = 0; i < 3; i++) {
        client_connect(&clients[i], &small, LISTENER_MX, "127.0.0.2");
        client_expect(&clients[i], "220 ");
    }
    client_connect(&clients[3], &small, LISTENER_MX, "127.0.0.2");
    client_expect(&clients[3], "421 4.7.0");
    client_end(&clients[3]);
    client_connect(&clients[3], &small, LISTENER_MX, "127.0.0.3");
    client_expect(&clients[3], "220 ");
    for (int i = 0; i < 4; i++)
        client_end(&clients[i]);
    assert_int_equal(small.server->clients.count, 0);
    bed_end(&small);
}

static void test_silence_and_dripping_end(void **state)
{
    struct client silent, dripping;
    struct bed hasty;
    bool is_over = false;

    (void)state;
    bed_start(&hasty, "limits { command_timeout = 1s data_timeout = 1s }\n");
    client_relay(&silent, &hasty);
    client_envelope(&silent);
    client_ask(&silent, "DATA\r\n", "354");
    client_connect(&dripping, &hasty, LISTENER_MX, "127.0.0.2");
    client_expect(&dripping, "220 ");
    /* A byte now and then is not a command. */
    for (int i = 0; i < 40 && !is_over; i++) {
        client_send(&dripping, S("N"));
        usleep(50 * 1000);
        for (int j = 0; j < 5; j++)
            loop_run_once(hasty.loop);
        is_over = buffer_len(&dripping.input) > 0;
    }
    assert_true(is_over);
    client_expect(&dripping, "421 4.4.2");
    client_expect_end(&dripping);
    client_expect(&silent, "421 4.4.2");
    client_expect_end(&silent);
    client_end(&silent);
    client_end(&dripping);
    bed_end(&hasty);
}

/* Neither content nor recipients may trickle in for ever, though each byte is in time. */
static void check_trickle(struct bed *hasty, bool is_content)
{
    struct client client;
    bool is_over = false;
    int64_t began_ms;

    client_relay(&client, hasty);
    client_envelope(&client);
    if (is_content)
        client_ask(&client, "DATA\r\n", "354");
    began_ms = loop_now_ms();
    for (int i = 0; i < 600 && !is_over; i++) {
        client_send(&client, is_content ? S("X: y\r\n") : S("RCPT TO:<x@y.test>\r\n"));
        usleep(50 * 1000);
        for (int j = 0; j < 5; j++)
            loop_run_once(hasty->loop);
        while (buffer_len(&client.input) > 0 && !is_over) {
            is_over = slice_starts_with(buffer_view(&client.input), S("421"));
            if (!is_over)
                client_expect(&client, "250");
        }
    }
    assert_true(is_over);
    assert_true(loop_now_ms() - began_ms > 300);
    client_expect(&client, "421 4.4.2");
    client_expect_end(&client);
    client_end(&client);
}

static void test_trickling_ends(void **state)
{
    struct bed hasty;

    (void)state;
    bed_start(&hasty, "limits { message_timeout = 2s }\n");
    check_trickle(&hasty, true);
    check_trickle(&hasty, false);
    bed_end(&hasty);
}

/* ---- the end of everything ---- */

static void on_done(void *context)
{
    *(bool *)context = true;
}

static void test_draining_lets_a_message_finish(void **state)
{
    struct client idle, busy, late;
    bool is_done = false;

    (void)state;
    client_relay(&idle, &bed);
    client_relay(&busy, &bed);
    client_envelope(&busy);
    smtpd_drain(bed.server, on_done, &is_done);
    client_expect(&idle, "421 4.3.2");
    client_expect_end(&idle);
    client_connect(&late, &bed, LISTENER_MX, "127.0.0.1");
    client_expect(&late, "421");
    client_ask(&busy, "DATA\r\n", "354");
    client_ask(&busy, BED_HEADER "\r\n.\r\n", "250 2.0.0");
    client_expect(&busy, "421 4.3.2");
    client_expect_end(&busy);
    assert_true(is_done);
    client_end(&idle);
    client_end(&busy);
    client_end(&late);
}

/* Up to 256 KiB of content travel with the question; more has a segment of its own. */
static void test_small_and_large_content(void **state)
{
    struct client client;
    struct buffer content;

    (void)state;
    buffer_init(&content, 1 << 20);
    client_relay(&client, &bed);
    for (unsigned i = 0; i < 2; i++) {
        buffer_clear(&content);
        must(buffer_append(&content, S(BED_HEADER "\r\n")));
        for (unsigned line = 0; line < 1 + i * 6000; line++)
            must(buffer_append(&content,
                               S("a line of fifty bytes, which is what this one has\r\n")));
        must(buffer_append(&content, S(".\r\n")));
        client_envelope(&client);
        client_ask(&client, "DATA\r\n", "354");
        client_send(&client, buffer_view(&content));
        client_expect(&client, "250 2.0.0");
        assert_int_equal(bed.accepts, i + 1);
        assert_int_equal(bed.parcels, 1);
        assert_true(slice_ends_with_nocase(buffer_view(&bed.content), S("this one has\r\n")));
    }
    buffer_deinit(&content);
    client_end(&client);
}

static void test_a_lost_keeper_ends_all(void **state)
{
    struct client idle, asking;

    (void)state;
    bed.holds = true;
    client_relay(&idle, &bed);
    client_relay(&asking, &bed);
    client_envelope(&asking);
    client_ask(&asking, "DATA\r\n", "354");
    client_send(&asking, S(BED_HEADER "\r\n.\r\n"));
    while (bed.accepts == 0)
        loop_run_once(bed.loop);
    smtpd_keeper_lost(bed.server);
    client_expect(&idle, "421 4.3.2");
    client_expect(&asking, "421 4.3.2");
    client_expect_end(&asking);
    assert_int_equal(smtpd_session_count(bed.server), 0);
    client_end(&idle);
    client_end(&asking);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        CASE(test_every_row_in_every_state),
        CASE(test_submission_needs_tls_and_a_login),
        CASE(test_bytes_behind_starttls_end_the_session),
        CASE(test_other_protocols_are_hung_up_on),
        CASE(test_bad_lines),
        CASE(test_lines_without_end),
        CASE(test_errors_and_idle_chatter_have_an_end),
        CASE(test_logins),
        CASE(test_login_responses_of_any_length),
        CASE(test_guessing_ends),
        CASE(test_a_network_that_guesses_is_locked),
        CASE(test_envelopes),
        CASE(test_recipients_that_only_the_keeper_knows),
        CASE(test_bounces_and_mail_do_not_mix),
        CASE(test_ten_thousand_recipients),
        CASE(test_the_same_recipient_twice_gets_one),
        CASE(test_disk_full),
        CASE(test_too_many_sessions),
        CASE(test_silence_and_dripping_end),
        CASE(test_trickling_ends),
        CASE(test_draining_lets_a_message_finish),
        CASE(test_small_and_large_content),
        CASE(test_a_lost_keeper_ends_all),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
