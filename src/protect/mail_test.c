/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/notice.h"
#include "protect/system_mail.h"

#include "format/mime/reader.h"

#include "kit/kit.h"

#include <string.h>

static struct mail_templates templates;

static const struct mail_face face = {
    .organisation = SLICE_INIT("The Clinic & Co"),
    .from = SLICE_INIT("Clinic secure mail <secure@clinic.test>"),
    .hostname = SLICE_INIT("gate.clinic.test"),
    .to = SLICE_INIT("bob@x.test"),
    .id = 0x123456789abcdef,
    .now_s = 1795416759,
};

static bool holds(const struct buffer *mail, struct slice words)
{
    return slice_find_nocase(buffer_view(mail), words) < buffer_len(mail);
}

/* All lines end in CRLF, none is too long, nothing is outside ASCII. */
static void assert_is_wire_form(struct slice mail)
{
    while (mail.len > 0) {
        struct slice line = slice_cut(&mail, '\n');

        assert_true(line.len > 0 && line.at[line.len - 1] == '\r' && line.len < 999);
        assert_int_equal(slice_find_byte(slice_head(line, line.len - 1), '\r'), line.len - 1);
        for (size_t i = 0; i < line.len; i++)
            assert_true(line.at[i] < 0x80);
    }
}

/* Every part of the mail decoded, as a reader's program would see it. */
struct decoding {
    struct buffer *out;
    struct mime_decoder decoder;
};

static bool decode_part(void *context, const struct mime_part *part, struct err *err)
{
    struct decoding *decoding = context;
    struct mime_field field;

    (void)err;
    mime_decoder_init(&decoding->decoder, MIME_IDENTITY);
    if (mime_field_find(part->header, S("Content-Transfer-Encoding"), &field))
        mime_decoder_init(&decoding->decoder, mime_encoding_parse(field.value));
    return buffer_append(decoding->out, part->header);
}

static bool decode_body(void *context, int index, struct slice raw, struct err *err)
{
    struct decoding *decoding = context;

    (void)index;
    (void)err;
    return mime_decode(&decoding->decoder, raw, decoding->out);
}

static void decode(const struct buffer *mail, struct buffer *out)
{
    struct decoding decoding = {.out = out};
    const struct mime_handler handler = {&decoding, decode_part, decode_body, NULL};
    struct mime_reader *reader = mime_reader_new(&handler);
    struct err err;

    buffer_clear(out);
    assert_true(mime_reader_push(reader, buffer_view(mail), &err));
    assert_true(mime_reader_end(reader, &err));
    mime_reader_free(&reader);
}

static struct notice make_notice(void)
{
    return (struct notice){
        .face = face,
        .subject = S("A message from the clinic"),
        .sender = S("ann@clinic.test"),
        .link = S("https://portal.clinic.test/m/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        .expires_ms = 1798008759000,
        .by_code = true,
    };
}

static void test_the_notice_says_what_it_may(void **state)
{
    struct notice notice = make_notice();
    struct buffer out, id, seen;
    struct err err;

    (void)state;
    buffer_init(&out, MAIL_BYTES_MAX);
    buffer_init(&seen, MAIL_BYTES_MAX);
    buffer_init(&id, 300);
    assert_true(notice_write(&templates, &notice, &out, &id, &err));
    assert_is_wire_form(buffer_view(&out));
    decode(&out, &seen);
    assert_true(slice_starts_with(buffer_view(&out),
                                  S("From: \"Clinic secure mail\" <secure@clinic.test>\r\n"
                                    "To: <bob@x.test>\r\nSubject: A message from the clinic\r\n"
                                    "Date: Mon, 23 Nov 2026 06:52:39 +0000\r\nMessage-ID: <")));
    assert_true(holds(&out, S("Auto-Submitted: auto-generated\r\n")));
    assert_true(holds(
        &out,
        S("\r\nhttps://portal.clinic.test/m/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n")));
    assert_true(holds(&seen, S("The Clinic & Co has sent you")));
    assert_true(holds(&seen, S("The Clinic &amp; Co has sent you")));
    assert_true(holds(&seen, S("until 23 December 2026, 06:52 UTC")));
    assert_true(holds(&seen, S("one-time code")));
    assert_false(holds(&seen, S("question")));
    assert_false(holds(&seen, S("<img")));
    assert_true(slice_ends_with_nocase(buffer_view(&id), S("@clinic.test")));
    assert_true(holds(&out, buffer_view(&id)));
    assert_true(holds(&seen, S("From: ann@clinic.test")));
    /* A report or receipt that had to be sealed comes from nobody. */
    notice.sender = S("");
    buffer_clear(&out);
    buffer_clear(&seen);
    assert_true(notice_write(&templates, &notice, &out, &id, &err));
    decode(&out, &seen);
    assert_false(holds(&seen, S("From: \r\n")) || holds(&seen, S("From: </p>")));

    buffer_clear(&out);
    notice.by_code = false;
    notice.by_answer = true;
    notice.subject = S("");
    assert_true(notice_write(&templates, &notice, &out, &id, &err));
    assert_true(holds(&out, S("Subject: You have a secure message\r\n")));
    assert_true(holds(&out, S("question whose answer you know")));
    assert_false(holds(&out, S("one-time")));
    buffer_deinit(&out);
    buffer_deinit(&seen);
    buffer_deinit(&id);
}

static void test_bad_notices_are_refused(void **state)
{
    static const struct slice links[] = {
        SLICE_INIT(""),
        SLICE_INIT("http://x/m/a"),
        SLICE_INIT("javascript:x"),
        SLICE_INIT("https://x/m/a b"),
        SLICE_INIT("https://x/\r\nX: y"),
    };
    static const struct slice addresses[] = {
        SLICE_INIT(""),
        SLICE_INIT("bob"),
        SLICE_INIT("bob@x\r\nBcc: eve@y"),
        SLICE_INIT("bob@x, eve@y"),
        SLICE_INIT("Bob <bob@x>"),
    };
    struct buffer out, id;
    struct err err;

    (void)state;
    buffer_init(&out, MAIL_BYTES_MAX);
    buffer_init(&id, 300);
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        struct notice notice = make_notice();

        err_clear(&err);
        notice.link = links[i];
        assert_false(notice_write(&templates, &notice, &out, &id, &err));
        assert_int_equal(err.class, ERR_PERM);
    }
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        struct notice notice = make_notice();

        err_clear(&err);
        notice.face.to = addresses[i];
        assert_false(notice_write(&templates, &notice, &out, &id, &err));
        assert_int_equal(err.class, ERR_PERM);
    }
    buffer_deinit(&out);
    buffer_deinit(&id);
}

/* What a sender writes can at most be words in the text. */
static void test_values_stay_in_their_place(void **state)
{
    struct notice notice = make_notice();
    struct buffer out, id, seen;
    struct mime_field field;
    struct err err;

    (void)state;
    buffer_init(&seen, MAIL_BYTES_MAX);
    notice.face.organisation = S("<script>x</script>\r\nX-Evil: 1\r\n\r\n{{link}}");
    notice.sender = S("a\"><b@c>.test");
    notice.subject = S("x\r\nBcc: eve@y.test");
    buffer_init(&out, MAIL_BYTES_MAX);
    buffer_init(&id, 300);
    assert_true(notice_write(&templates, &notice, &out, &id, &err));
    assert_is_wire_form(buffer_view(&out));
    assert_true(holds(&out, S("Subject: x Bcc: eve@y.test\r\n")));
    assert_false(mime_field_find(buffer_view(&out), S("X-Evil"), &field));
    assert_false(mime_field_find(buffer_view(&out), S("Bcc"), &field));
    decode(&out, &seen);
    assert_true(holds(&seen, S("&lt;script&gt;")));
    assert_true(holds(&seen, S("{{link}}")));
    assert_true(holds(&seen, S("From: a&quot;&gt;&lt;b@c&gt;.test")));
    buffer_deinit(&seen);
    buffer_deinit(&out);
    buffer_deinit(&id);
}

static struct system_mail make_mail(enum system_mail_kind kind)
{
    return (struct system_mail){
        .kind = kind,
        .face = face,
        .original = 77,
        .about = S("reader@y.test"),
        .detail = S("123456"),
        .enhanced = S("5.1.1"),
        .mx = S("mx.y.test"),
        .header_id = S("orig@clinic.test"),
        .envid = S("QQ314159"),
        .orcpt = S("rfc822;reader@y.test"),
        .at_ms = 1795416759000,
        .original_ms = 1795413159000,
        .until_ms = 1795503159000,
    };
}

static void test_codes_and_receipts(void **state)
{
    struct system_mail mail = make_mail(SYSTEM_MAIL_CODE);
    struct buffer out, id;
    struct err err;

    (void)state;
    buffer_init(&out, MAIL_BYTES_MAX);
    buffer_init(&id, 300);
    assert_true(system_mail_write(&templates, &mail, &out, &id, &err));
    assert_is_wire_form(buffer_view(&out));
    assert_true(holds(&out, S("\r\n    123456\r\n")));
    assert_true(holds(&out, S("Subject: Your one-time code\r\n")));
    assert_false(holds(&out, S("reader@y.test")));
    assert_false(holds(&out, S("orig@")));

    buffer_clear(&out);
    mail = make_mail(SYSTEM_MAIL_RECEIPT);
    assert_true(system_mail_write(&templates, &mail, &out, &id, &err));
    assert_is_wire_form(buffer_view(&out));
    assert_true(
        holds(&out, S("Reader:     reader@y.test\r\nFirst read: 23 November 2026, 06:52 UTC\r\n"
                      "Sent:       23 November 2026, 05:52 UTC\r\n"
                      "Message-ID: <orig@clinic.test>\r\n")));
    assert_true(holds(&out, S("In-Reply-To: <orig@clinic.test>\r\n")));
    assert_false(holds(&out, S("123456")));
    buffer_deinit(&out);
    buffer_deinit(&id);
}

static void test_reports(void **state)
{
    struct system_mail mail = make_mail(SYSTEM_MAIL_FAILURE);
    struct buffer out, id;
    struct err err;

    (void)state;
    buffer_init(&out, MAIL_BYTES_MAX);
    buffer_init(&id, 300);
    mail.detail = S("550 5.1.1 no such\r\nuser \xE9");
    assert_true(system_mail_write(&templates, &mail, &out, &id, &err));
    assert_true(holds(&out, S("From: \"Mail delivery\" <postmaster@clinic.test>\r\n")));
    assert_true(holds(
        &out, S("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=")));
    assert_true(holds(
        &out, S("Original-Envelope-Id: QQ314159\r\nReporting-MTA: dns; gate.clinic.test\r\n"
                "Arrival-Date: Mon, 23 Nov 2026 05:52:39 +0000\r\n\r\n"
                "Original-Recipient: rfc822;reader@y.test\r\n"
                "Final-Recipient: rfc822; reader@y.test\r\nAction: failed\r\n"
                "Status: 5.1.1\r\nRemote-MTA: dns; mx.y.test\r\n"
                "Diagnostic-Code: smtp; 550 5.1.1 no such  user ?\r\n")));
    assert_true(holds(&out, S("Content-Type: text/rfc822-headers\r\n\r\n"
                              "Date: Mon, 23 Nov 2026 05:52:39 +0000\r\n"
                              "Message-ID: <orig@clinic.test>\r\nSubject: [...]\r\n")));

    buffer_clear(&out);
    mail = make_mail(SYSTEM_MAIL_DELAY);
    mail.enhanced = S("9.x");
    mail.mx = mail.orcpt = mail.envid = mail.detail = S("");
    mail.header_id = S("bad id\r\nX: y");
    assert_true(system_mail_write(&templates, &mail, &out, &id, &err));
    assert_is_wire_form(buffer_view(&out));
    assert_true(holds(&out, S("Action: delayed\r\nStatus: 4.0.0\r\n")));
    assert_true(holds(&out, S("Will-Retry-Until: ")));
    assert_false(holds(&out, S("X: y")));
    assert_false(holds(&out, S("Remote-MTA")));

    buffer_clear(&out);
    mail = make_mail(SYSTEM_MAIL_SUCCESS);
    mail.detail = S("no way was left");
    assert_true(system_mail_write(&templates, &mail, &out, &id, &err));
    assert_true(holds(&out, S("Action: relayed\r\n")));
    assert_true(holds(&out, S("Diagnostic-Code: x-postern; no way was left\r\n")));
    mail.face.to = S("");
    assert_false(system_mail_write(&templates, &mail, &out, &id, &err));
    buffer_deinit(&out);
    buffer_deinit(&id);
}

static void test_a_face_without_an_address_is_the_hosts(void **state)
{
    struct system_mail mail = make_mail(SYSTEM_MAIL_CODE);
    struct buffer out, id;
    struct err err;

    (void)state;
    buffer_init(&out, MAIL_BYTES_MAX);
    buffer_init(&id, 300);
    mail.face.from = S("");
    assert_true(system_mail_write(&templates, &mail, &out, &id, &err));
    assert_true(holds(&out, S("From: \"The Clinic & Co\" <postmaster@gate.clinic.test>\r\n")));
    buffer_deinit(&out);
    buffer_deinit(&id);
}

static int set_up(void **state)
{
    struct err err;

    (void)state;
    return mail_templates_init(&templates, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    mail_templates_deinit(&templates);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_notice_says_what_it_may),
        cmocka_unit_test(test_bad_notices_are_refused),
        cmocka_unit_test(test_values_stay_in_their_place),
        cmocka_unit_test(test_codes_and_receipts),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_a_face_without_an_address_is_the_hosts),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
