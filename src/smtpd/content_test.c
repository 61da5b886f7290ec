/* SPDX-License-Identifier: Apache-2.0 */
/* DATA and BDAT: what is stored, what is refused, what the keeper is told, what a 250 means. */
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

/* The stored content must end with this; before it stands our Received field. */
static void expect_stored(const char *end_cstr)
{
    struct slice content = buffer_view(&bed.content);
    struct slice want = slice_from_cstr(end_cstr);

    assert_true(slice_starts_with(content, S("Received: from ")));
    if (content.len < want.len ||
        !slice_equal(slice_from(content, content.len - want.len), want))
        fail_msg("stored:\n%.*s", SLICE_ARGS(content));
}

static bool content_holds(const char *text_cstr)
{
    struct slice content = buffer_view(&bed.content);

    return slice_find_nocase(content, slice_from_cstr(text_cstr)) < content.len;
}

static void test_a_submission_from_end_to_end(void **state)
{
    struct client client;

    (void)state;
    client_submitter(&client, &bed);
    client_ask(&client, "MAIL FROM:<ann@clinic.test> BODY=8BITMIME REQUIRETLS\r\n", "250");
    client_ask(&client, "RCPT TO:<bob@far.test>\r\n", "250");
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client,
               BED_HEADER "Bcc: hidden@far.test\r\nSubject: +encrypt+ Result\r\n"
                          "X-Postern-Question: Who?\r\nX-Postern-Answer: Me\r\n"
                          "X-Postern-Proof: answer\r\n\r\n..dot\r\nlast\r\n.\r\n",
               "250 2.0.0 Accepted as ");
    expect_stored("\r\n" BED_HEADER "Subject: Result\r\n\r\n.dot\r\nlast\r\n");
    assert_true(content_holds("by mail.clinic.test (Postern) with ESMTPSA id "));
    assert_true(content_holds("\r\n\ttls TLS_AES_"));
    assert_true(content_holds(" group ") && content_holds("\r\n\t(TLSv1.3, "));
    assert_true(content_holds(" bits);\r\n\t"));
    /* Nothing tells where the sender sits. */
    assert_false(content_holds("127.0.0"));
    assert_false(content_holds("hidden"));
    assert_false(content_holds("ann-pc"));
    assert_true(slice_starts_with(
        buffer_view(&bed.texts),
        S("clinic|ann@clinic.test|ann@clinic.test|m@x|Who?|Me||ESMTPSA TLSv1.3 TLS_")));
    assert_true(slice_ends_with_nocase(buffer_view(&bed.texts), S(" from 127.0.0.1")));
    assert_int_equal(bed.seen.kind, KIND_SUBMITTED);
    assert_int_equal(bed.seen.encrypt, HEADER_ENCRYPT_ESCALATE);
    assert_int_equal(bed.seen.proof, 2);
    assert_true(bed.seen.requiretls && bed.seen.body_8bit && !bed.seen.smtputf8);
    assert_true(bed.seen.message != 0);
    /* And the next one in the same session. */
    client_envelope(&client);
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client, BED_HEADER "\r\nagain\r\n.\r\n", "250 2.0.0");
    assert_int_equal(bed.seen.encrypt, HEADER_ENCRYPT_UNSET);
    assert_int_equal(bed.accepts, 2);
    client_end(&client);
    assert_int_equal(bed.server->held_bytes, 0);
}

static void test_mail_from_strangers(void **state)
{
    struct client client;

    (void)state;
    client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
    client_expect(&client, "220 ");
    client_ask(&client, "EHLO mx.far.test\r\n", "250-");
    client_ask(&client, "MAIL FROM:<x@far.test>\r\n", "250");
    client_ask(&client, "RCPT TO:<ann@clinic.test>\r\n", "250");
    client_ask(&client, "DATA\r\n", "354");
    client_ask(
        &client,
        "Subject: +noencrypt+ x\r\nX-Postern-Encrypt: no\r\nBcc: z\r\n\r\nhello\r\n.\r\n",
        "250");
    expect_stored("\r\nSubject: +noencrypt+ x\r\nBcc: z\r\n\r\nhello\r\n");
    assert_true(content_holds("Received: from mx.far.test ([127.0.0.2])"));
    assert_int_equal(bed.seen.kind, KIND_INBOUND);
    assert_int_equal(bed.seen.encrypt, HEADER_ENCRYPT_UNSET);
    assert_true(slice_starts_with(buffer_view(&bed.texts), S("||x@far.test|||||ESMTP from")));
    client_ask(&client, "MAIL FROM:<>\r\n", "250");
    client_ask(&client, "RCPT TO:<bounce+1@clinic.test>\r\n", "250");
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client, "\r\n.\r\n", "250");
    assert_int_equal(bed.seen.kind, KIND_BOUNCE);
    client_end(&client);
}

/* Ours says how it came; what others say of that goes, whether ours is wanted or not. */
static void test_how_it_came(void **state)
{
    static const char *const settings[] = {"transport_header = yes\n", ""};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(settings); i++) {
        struct client client;

        bed_end(&bed);
        bed_start(&bed, settings[i]);
        for (int with_tls = 0; with_tls < 2; with_tls++) {
            client_connect(&client, &bed, LISTENER_MX, "127.0.0.2");
            client_expect(&client, "220 ");
            client_ask(&client, "EHLO mx.far.test\r\n", "250-");
            if (with_tls) {
                client_ask(&client, "STARTTLS\r\n", "220");
                client_handshake(&client);
                client_ask(&client, "EHLO mx.far.test\r\n", "250-");
            }
            client_ask(&client, "MAIL FROM:<x@far.test>\r\n", "250");
            client_ask(&client, "RCPT TO:<ann@clinic.test>\r\n", "250");
            client_ask(&client, "DATA\r\n", "354");
            client_ask(&client,
                       "X-Postern-Transport: mail.clinic.test; tls=forged\r\nSubject: x\r\n"
                       "x-postern-transport: again forged\r\n\r\nhello\r\n.\r\n",
                       "250");
            assert_false(content_holds("forged"));
            assert_int_equal(content_holds("\r\nX-Postern-Transport: mail.clinic.test; tls="),
                             i == 0);
            assert_int_equal(content_holds("; tls=none\r\nSubject: x"), i == 0 && !with_tls);
            assert_int_equal(content_holds("; tls=TLSv1.3 cipher=TLS_AES_"),
                             i == 0 && with_tls);
            assert_int_equal(content_holds(" client=unasked\r\nSubject: x"),
                             i == 0 && with_tls);
            client_end(&client);
        }
    }
}

/* ---- smuggling ---- */

static void test_only_one_ending_ends_a_message(void **state)
{
    static const struct slice endings[] = {
        SLICE_INIT("\n.\n"),       SLICE_INIT("\n.\r\n"),   SLICE_INIT("\r.\r"),
        SLICE_INIT("\r.\r\n"),     SLICE_INIT("\r\n.\n"),   SLICE_INIT("\r\n.\r"),
        SLICE_INIT("\r\n\0.\r\n"), SLICE_INIT("\r\r\n.\n"), SLICE_INIT("\n\n.\r\n"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        struct client client;
        unsigned before = bed.accepts;

        client_relay(&client, &bed);
        client_envelope(&client);
        client_ask(&client, "DATA\r\n", "354");
        client_send(&client, S(BED_HEADER "\r\nfirst"));
        client_send(&client, endings[i]);
        client_send(&client, S("MAIL FROM:<evil@clinic.test>\r\nRCPT TO:<bob@far.test>\r\n"
                               "DATA\r\n" BED_HEADER "Subject: SMUGGLED\r\n\r\n\r\n.\r\n"));
        client_expect(&client, "550 5.6.0");
        client_ask(&client, "NOOP\r\n", "250 2.0.0 Fine");
        assert_int_equal(bed.accepts, before);
        client_end(&client);
    }
}

/* ---- cuts ---- */

static const char conversation_cstr[] =
    "EHLO relay.clinic.test\r\nMAIL FROM:<ann@clinic.test>\r\nRCPT "
    "TO:<bob@far.test>\r\nDATA\r\n" BED_HEADER "X: y\r\n\r\n..a\r\nb\r\n.\r\n"
    "MAIL FROM:<ann@clinic.test>\r\nRCPT TO:<bob@far.test>\r\nBDAT 10\r\nFrom: ann@"
    "BDAT 25 LAST\r\nclinic.test\r\n\r\nbody\r\n.\r\n1"
    "NOOP\r\nQUIT\r\n";

static void check_cut(size_t cut, bool byte_by_byte)
{
    struct slice rest = slice_of(conversation_cstr, sizeof conversation_cstr - 1);
    struct client client;

    client_connect(&client, &bed, LISTENER_MX, "127.0.0.1");
    client_expect(&client, "220 ");
    while (rest.len > 0) {
        size_t len = byte_by_byte ? 1 : cut;

        client_send(&client, slice_head(rest, len));
        rest = slice_from(rest, len);
        cut = rest.len;
        for (int i = 0; i < (byte_by_byte ? 4 : 20); i++)
            loop_run_once(bed.loop);
    }
    client_expect(&client, "250-");
    client_expect(&client, "250 2.1.0");
    client_expect(&client, "250 2.1.5");
    client_expect(&client, "354");
    client_expect(&client, "250 2.0.0 Accepted");
    client_expect(&client, "250 2.1.0");
    client_expect(&client, "250 2.1.5");
    client_expect(&client, "250 2.0.0 Chunk");
    client_expect(&client, "250 2.0.0 Accepted");
    expect_stored("\r\n\r\nbody\r\n.\r\n1");
    client_expect(&client, "250 2.0.0 Fine");
    client_expect(&client, "221");
    client_expect_end(&client);
    client_end(&client);
}

static void test_a_conversation_cut_anywhere(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < sizeof conversation_cstr; cut += 3)
        check_cut(cut, false);
    check_cut(1, true);
    assert_int_equal(bed.server->held_bytes, 0);
}

static void test_peers_that_vanish_at_any_byte(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof conversation_cstr; cut += 2) {
        struct client client;

        client_connect(&client, &bed, LISTENER_MX, "127.0.0.1");
        client_send(&client, slice_of(conversation_cstr, cut));
        for (int i = 0; i < 12; i++)
            loop_run_once(bed.loop);
        client_end(&client);
    }
    for (size_t cut = 30; cut < 240; cut += 7) {
        struct client client;

        client_submitter(&client, &bed);
        client_send(&client, slice_of(conversation_cstr, cut));
        for (int i = 0; i < 12; i++)
            loop_run_once(bed.loop);
        client_end(&client);
    }
    for (int i = 0; i < 100; i++)
        loop_run_once(bed.loop);
    assert_int_equal(smtpd_session_count(bed.server), 0);
    assert_int_equal(bed.server->held_bytes, 0);
    assert_int_equal(bed.server->asks.count, 0);
}

static void test_a_message_taken_unheard(void **state)
{
    struct client client;

    (void)state;
    bed.holds = true;
    client_relay(&client, &bed);
    client_envelope(&client);
    client_ask(&client, "DATA\r\n", "354");
    client_send(&client, S(BED_HEADER "\r\n.\r\n"));
    while (bed.accepts == 0)
        loop_run_once(bed.loop);
    client_end(&client);
    assert_int_equal(smtpd_session_count(bed.server), 1);
    union ipc_any answer = {.accept_result = {bed.seen.ask, true, 0, S(""), S("")}};
    smtpd_on_message(bed.server, IPC_ACCEPT_RESULT, &answer);
    assert_int_equal(smtpd_session_count(bed.server), 0);
    /* An answer that nobody waits for is passed over. */
    smtpd_on_message(bed.server, IPC_ACCEPT_RESULT, &answer);
}

/* ---- chunks ---- */

static void test_chunks(void **state)
{
    static const struct {
        const char *lines_cstr[8]; /* line, answer, ...; after RCPT */
        const char *stored_cstr;
    } cases[] = {
        {{"BDAT 0 LAST\r\n", "550 5.6.0"}, NULL}, /* no From */
        {{"BDAT 23 LAST\r\nFrom: ann@clinic.test\r\n", "250 2.0.0 Acc"},
         "From: ann@clinic.test\r\n"},
        {{"BDAT 23\r\nFrom: ann@clinic.test\r\n", "250 2.0.0 Chunk", "BDAT 0 LAST\r\n",
          "250 2.0.0 Acc"},
         NULL},
        {{"BDAT 32 LAST\r\nFrom: ann@clinic.test\r\n\r\na\r\n.\r\nb", "250 2.0.0 Acc"},
         "\r\n\r\na\r\n.\r\nb"},
        {{"BDAT 27 LAST\r\nFrom: ann@clinic.test\r\n\r\na\n", "550 5.6.0"}, NULL},
        {{"BDAT 27 LAST\r\nFrom: ann@clinic.test\r\n\r\na\r", "550 5.6.0"}, NULL},
        {{"BDAT 2\r\na\n", "550 5.6.0", "BDAT 1 LAST\r\nx", "503", "RSET\r\n", "250"}, NULL},
        {{"BDAT 3\r\nabc", "250", "DATA\r\n", "503", "RSET\r\n", "250", "BDAT 1 LAST\r\nx",
          "503"},
         NULL},
        {{"BDAT 3\r\nabc", "250", "RCPT TO:<a@far.test>\r\n", "503"}, NULL},
        {{"BDAT\r\n", "501", "NOOP\r\n", "421"}, NULL},
        {{"BDAT -1\r\n", "501", "NOOP\r\n", "421"}, NULL},
        {{"BDAT 99999999999\r\n", "552", "NOOP\r\n", "421"}, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct client client;

        client_relay(&client, &bed);
        client_envelope(&client);
        for (size_t j = 0; j < 8 && cases[i].lines_cstr[j] != NULL; j += 2)
            client_ask(&client, cases[i].lines_cstr[j], cases[i].lines_cstr[j + 1]);
        if (cases[i].stored_cstr != NULL)
            assert_true(content_holds(cases[i].stored_cstr));
        client_end(&client);
    }
}

/* ---- limits ---- */

/* Send header, then `count` times `line`, then the end. */
static void expect_flood(const char *header_cstr, const char *line_cstr, size_t count,
                         const char *answer_cstr)
{
    struct client client;
    struct buffer all;

    buffer_init(&all, 64 << 20);
    client_relay(&client, &bed);
    client_envelope(&client);
    client_ask(&client, "DATA\r\n", "354");
    assert_true(buffer_append(&all, slice_from_cstr(header_cstr)));
    for (size_t i = 0; i < count; i++)
        assert_true(buffer_append(&all, slice_from_cstr(line_cstr)));
    assert_true(buffer_append(&all, S("\r\n.\r\n")));
    client_send(&client, buffer_view(&all));
    client_expect(&client, answer_cstr);
    client_ask(&client, "NOOP\r\n", "250 2.0.0 Fine");
    client_end(&client);
    buffer_deinit(&all);
    assert_int_equal(bed.server->held_bytes, 0);
}

static void test_limits(void **state)
{
    (void)state;
    expect_flood(BED_HEADER "\r\n", "0123456789012345678901234567890123456789\r\n", 20000,
                 "250");
    expect_flood(BED_HEADER "\r\n", "0123456789012345678901234567890123456789\r\n", 30000,
                 "552 5.3.4");
    expect_flood(BED_HEADER, "X-Filler: 01234567890123456789\r\n", 600, "250");
    expect_flood(BED_HEADER, "X-Filler: 01234567890123456789\r\n", 700, "552 5.3.4");
    expect_flood(BED_HEADER, "X-Filler: 01234567890123456789\r\n", 10000, "552 5.3.4");
    expect_flood(BED_HEADER, "X:\r\n", 2100, "552 5.3.4");
    expect_flood(BED_HEADER, "Received: x\r\n", 50, "554 5.4.6");
    expect_flood(BED_HEADER, "Received: x\r\n", 49, "250");
    expect_flood(BED_HEADER "\r\n", "0123456789", 1600, "250");
    expect_flood(BED_HEADER "\r\n", "0123456789", 1700, "550 5.6.0");
    expect_flood("", "X: y\r\n", 3, "550 5.6.0");
    expect_flood("From: ann@clinic.test\r\n", "From: ann@clinic.test\r\n", 1, "550 5.6.0");
    expect_flood("From: boss@other.test\r\n", "X: y\r\n", 1, "550 5.7.1");
    expect_flood("From: \"ann@clinic.test\" <boss@other.test>\r\n", "X: y\r\n", 1, "550 5.7.1");
    expect_flood("From: ann@clinic.test, boss@other.test\r\n", "X: y\r\n", 1, "550 5.6.0");
    /* The worst is said first: two messages in one, whatever else it is. */
    expect_flood("From: boss@other.test\r\n\r\nx\n.\n", "X: y\r\n", 1, "550 5.6.0");
}

static void test_the_keepers_word(void **state)
{
    struct client client;

    (void)state;
    client_relay(&client, &bed);
    bed.verdict_code = 452;
    client_envelope(&client);
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client, BED_HEADER "\r\n.\r\n", "452 4.3.1 no room");
    bed.verdict_code = 99;
    client_envelope(&client);
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client, BED_HEADER "\r\n.\r\n", "451 4.3.0");
    bed.verdict_code = 0;
    client_envelope(&client);
    client_ask(&client, "DATA\r\n", "354");
    client_ask(&client, BED_HEADER "\r\n.\r\n", "250 2.0.0");
    client_end(&client);
}

static void test_new_settings_leave_sessions_alone(void **state)
{
    struct settings *other = NULL;
    struct client before, after;
    struct err err = {0};

    (void)state;
    client_relay(&before, &bed);
    assert_true(settings_parse(slice_from_cstr("hostname = \"new.clinic.test\"\n"
                                               "state = \"/nowhere\"\nmaster_key = \"m\"\n"
                                               "account \"other\" { organisation = \"O\" }\n"),
                               "t", &other, &err));
    assert_true(smtpd_configure(bed.server, other, &err));
    client_envelope(&before);
    client_ask(&before, "DATA\r\n", "354");
    client_ask(&before, BED_HEADER "\r\n.\r\n", "250");
    client_connect(&after, &bed, LISTENER_MX, "127.0.0.1");
    client_expect(&after, "220 new.clinic.test");
    client_ask(&after, "EHLO x\r\n", "250-");
    assert_null(strstr(after.reply_cstr, "STARTTLS"));
    client_ask(&after, "MAIL FROM:<ann@clinic.test>\r\n", "250");
    client_ask(&after, "RCPT TO:<bob@far.test>\r\n", "550 5.7.1");
    client_end(&before);
    client_end(&after);
    settings_unref(&other);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        CASE(test_a_submission_from_end_to_end),
        CASE(test_mail_from_strangers),
        CASE(test_how_it_came),
        CASE(test_only_one_ending_ends_a_message),
        CASE(test_a_conversation_cut_anywhere),
        CASE(test_peers_that_vanish_at_any_byte),
        CASE(test_a_message_taken_unheard),
        CASE(test_chunks),
        CASE(test_limits),
        CASE(test_the_keepers_word),
        CASE(test_new_settings_leave_sessions_alone),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
