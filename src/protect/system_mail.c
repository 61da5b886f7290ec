/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/system_mail.h"

#include "crypto/random.h"
#include "format/mime/address.h"
#include "format/mime/date.h"
#include "format/mime/utf8.h"

enum { LINE_MAX_BYTES = 900, ENHANCED_SIZE = 12 };

static const struct kind {
    enum mail_template template;
    bool is_dsn;
    struct slice subject, action, status;
} kinds[] = {
    [SYSTEM_MAIL_CODE] =
        {MAIL_CODE_TEXT, false, SLICE_INIT("Your one-time code"), {NULL, 0}, {NULL, 0}},
    [SYSTEM_MAIL_RECEIPT] = {MAIL_RECEIPT_TEXT,
                             false,
                             SLICE_INIT("Your secure message was read"),
                             {NULL, 0},
                             {NULL, 0}},
    [SYSTEM_MAIL_FAILURE] = {MAIL_DSN_TEXT, true,
                             SLICE_INIT("Your message could not be delivered"),
                             SLICE_INIT("failed"), SLICE_INIT("5.0.0")},
    [SYSTEM_MAIL_DELAY] = {MAIL_DSN_TEXT, true, SLICE_INIT("Your message is delayed"),
                           SLICE_INIT("delayed"), SLICE_INIT("4.0.0")},
    [SYSTEM_MAIL_SUCCESS] = {MAIL_DSN_TEXT, true, SLICE_INIT("Your message was passed on"),
                             SLICE_INIT("relayed"), SLICE_INIT("2.0.0")},
};

/* ---- message/delivery-status [RFC 3464 §2] ---- */

/* "5.1.1": a class digit, subject and detail of one to three digits. [RFC 3463 §2] */
static bool is_enhanced(struct slice text)
{
    size_t parts = 0;

    while (text.len > 0) {
        struct slice part = slice_cut(&text, '.');

        for (size_t i = 0; i < part.len; i++)
            if (!byte_is_digit(part.at[i]))
                return false;
        if (part.len == 0 || part.len > (parts == 0 ? 1U : 3U))
            return false;
        parts++;
    }
    return parts == 3;
}

/* `name: type; text`, the text as printable ASCII on one line (other bytes as "?"). */
static void write_typed(struct mime_writer *writer, struct slice name, struct slice type,
                        struct slice text)
{
    struct buffer value;

    if (text.len == 0)
        return;
    buffer_init(&value, LINE_MAX_BYTES + 200);
    must(buffer_append(&value, type));
    text = slice_head(slice_trim(text), LINE_MAX_BYTES);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];

        must(buffer_append_byte(&value, byte < ' ' ? ' ' : byte > '~' ? '?' : byte));
    }
    mime_write_field(writer, name, buffer_view(&value));
    buffer_wipe(&value);
}

static void write_time(struct mime_writer *writer, struct slice name, int64_t unix_ms)
{
    struct buffer date;

    buffer_init(&date, 100);
    if (unix_ms > 0 && mime_date_append(&date, unix_ms / 1000))
        mime_write_field(writer, name, buffer_view(&date));
    buffer_deinit(&date);
}

/* A reply of the other side, and not our own words? */
static bool is_smtp_reply(struct slice text)
{
    return text.len > 3 && byte_is_digit(text.at[0]) && byte_is_digit(text.at[1]) &&
           byte_is_digit(text.at[2]);
}

static void write_delivery_status(struct mime_writer *writer, const struct system_mail *mail)
{
    const struct kind *kind = &kinds[mail->kind];

    mime_write_raw(writer, S("Content-Type: message/delivery-status\r\n\r\n"));
    write_typed(writer, S("Original-Envelope-Id"), S(""), mail->envid);
    write_typed(writer, S("Reporting-MTA"), S("dns; "), mail->face.hostname);
    write_time(writer, S("Arrival-Date"), mail->original_ms);
    mime_write_raw(writer, S("\r\n"));
    /* orcpt comes with its own type: "rfc822;bob@x.org". [RFC 3461 §4.2] */
    write_typed(writer, S("Original-Recipient"), S(""), mail->orcpt);
    write_typed(writer, S("Final-Recipient"), S("rfc822; "), mail->about);
    mime_write_field(writer, S("Action"), kind->action);
    mime_write_field(writer, S("Status"),
                     is_enhanced(mail->enhanced) ? mail->enhanced : kind->status);
    write_typed(writer, S("Remote-MTA"), S("dns; "), mail->mx);
    write_typed(writer, S("Diagnostic-Code"),
                is_smtp_reply(mail->detail) ? S("smtp; ") : S("x-postern; "), mail->detail);
    write_time(writer, S("Last-Attempt-Date"), mail->at_ms);
    if (mail->kind == SYSTEM_MAIL_DELAY)
        write_time(writer, S("Will-Retry-Until"), mail->until_ms);
}

/* The original's header, as far as it tells nothing: which one, and when. */
static void write_original_header(struct mime_writer *writer, const struct system_mail *mail)
{
    mime_write_raw(writer, S("Content-Type: text/rfc822-headers\r\n\r\n"));
    write_time(writer, S("Date"), mail->original_ms);
    if (mail->header_id.len > 0) {
        mime_write_raw(writer, S("Message-ID: <"));
        mime_write_raw(writer, mail->header_id);
        mime_write_raw(writer, S(">\r\n"));
    }
    mime_write_field(writer, S("Subject"), S("[...]"));
}

static void write_report(struct mime_writer *writer, const struct system_mail *mail,
                         struct slice text)
{
    uint8_t random[MIME_BOUNDARY_RANDOM];
    struct mime_boundary boundary;

    random_bytes(random, sizeof random);
    mime_boundary_init(&boundary, random);
    mime_write_multipart(writer, S("report"), &boundary, S("; report-type=delivery-status"));
    mime_write_boundary(writer, &boundary);
    mime_write_text_part(writer, S("plain"), text);
    mime_write_boundary(writer, &boundary);
    write_delivery_status(writer, mail);
    mime_write_boundary(writer, &boundary);
    write_original_header(writer, mail);
    mime_write_boundary_end(writer, &boundary);
}

/* ---- the mail ---- */

/* A Message-ID as it may stand between <>: from a stranger's header, so looked at again. */
static bool is_header_id(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.at[i] <= ' ' || id.at[i] >= 0x7F || id.at[i] == '<' || id.at[i] == '>')
            return false;
    return id.len <= LINE_MAX_BYTES;
}

static void write_threading(struct mime_writer *writer, struct slice header_id)
{
    struct buffer value;

    if (header_id.len == 0)
        return;
    buffer_init(&value, LINE_MAX_BYTES + 2);
    if (!buffer_append(&value, S("<")) || !buffer_append(&value, header_id) ||
        !buffer_append(&value, S(">")))
        writer->failed = true;
    mime_write_field(writer, S("In-Reply-To"), buffer_view(&value));
    mime_write_field(writer, S("References"), buffer_view(&value));
    buffer_deinit(&value);
}

static bool fill_text(const struct mail_templates *templates, const struct system_mail *mail,
                      struct buffer *text_out, struct err *err)
{
    char at_cstr[MAIL_TIME_SIZE], sent_cstr[MAIL_TIME_SIZE], until_cstr[MAIL_TIME_SIZE];
    char reference_cstr[ID_TEXT_SIZE];

    mail_time_write(mail->at_ms, at_cstr);
    mail_time_write(mail->original_ms, sent_cstr);
    mail_time_write(mail->until_ms, until_cstr);
    id_write(mail->original, reference_cstr);
    const struct template_value values[] = {
        template_text("organisation", mail->face.organisation),
        template_text("code", mail->detail),
        template_text("detail", mail->detail),
        template_text("reader", mail->about),
        template_text("recipient", mail->about),
        template_text("mx", mail->mx),
        template_text("message_id", mail->header_id),
        template_text("reference", slice_from_cstr(reference_cstr)),
        template_text("at", slice_from_cstr(at_cstr)),
        template_text("sent", slice_from_cstr(sent_cstr)),
        template_text("accepted", slice_from_cstr(sent_cstr)),
        template_text("until", slice_from_cstr(until_cstr)),
        template_bool("failed", mail->kind == SYSTEM_MAIL_FAILURE),
        template_bool("delayed", mail->kind == SYSTEM_MAIL_DELAY),
        template_bool("delivered", mail->kind == SYSTEM_MAIL_SUCCESS),
    };
    const struct template_scope scope = {values, COUNT_OF(values)};

    return mail_fill(templates, kinds[mail->kind].template, &scope, text_out, err);
}

bool system_mail_write(const struct mail_templates *templates, const struct system_mail *mail,
                       struct buffer *out, struct buffer *header_id_out, struct err *err)
{
    const struct kind *kind = &kinds[mail->kind];
    struct system_mail clean = *mail;
    struct mime_writer writer;
    struct buffer text;
    bool filled;

    if (!is_header_id(clean.header_id))
        clean.header_id = S("");
    buffer_init(&text, MAIL_TEXT_MAX);
    mime_writer_init(&writer, out);
    filled = fill_text(templates, &clean, &text, err);
    if (filled) {
        mail_write_header(&writer, &clean.face, kind->subject, kind->is_dsn, header_id_out);
        if (clean.kind != SYSTEM_MAIL_CODE)
            write_threading(&writer, clean.header_id);
        if (kind->is_dsn) {
            write_report(&writer, &clean, buffer_view(&text));
        } else {
            mime_write_raw(&writer, S("MIME-Version: 1.0\r\n"));
            mime_write_text_part(&writer, S("plain"), buffer_view(&text));
        }
    }
    buffer_wipe(&text);
    return filled && (mime_writer_ended_well(&writer) ||
                      FAIL(err, ERR_PERM, "a mail could not be written: an address is none"));
}
