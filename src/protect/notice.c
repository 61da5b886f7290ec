/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/notice.h"

#include "crypto/random.h"
#include "format/html/sanitise.h"

static void write_alternatives(struct mime_writer *writer, struct slice text, struct slice html)
{
    uint8_t random[MIME_BOUNDARY_RANDOM];
    struct mime_boundary boundary;

    random_bytes(random, sizeof random);
    mime_boundary_init(&boundary, random);
    mime_write_multipart(writer, S("alternative"), &boundary, S(""));
    mime_write_boundary(writer, &boundary);
    mime_write_text_part(writer, S("plain"), text);
    mime_write_boundary(writer, &boundary);
    mime_write_text_part(writer, S("html"), html);
    mime_write_boundary_end(writer, &boundary);
}

bool notice_write(const struct mail_templates *templates, const struct notice *notice,
                  struct buffer *out, struct buffer *header_id_out, struct err *err)
{
    char until_cstr[MAIL_TIME_SIZE];
    struct slice subject =
        notice->subject.len > 0 ? notice->subject : S("You have a secure message");
    struct mime_writer writer;
    struct buffer text, html;
    bool filled;

    if (!html_link_is_allowed(notice->link) ||
        !slice_starts_with_nocase(notice->link, S("https://")))
        return FAIL(err, ERR_PERM, "the portal's url does not make a link");
    mail_time_write(notice->expires_ms, until_cstr);
    const struct template_value values[] = {
        template_text("organisation", notice->face.organisation),
        template_text("subject", subject),
        template_text("sender", notice->sender),
        template_text("link", notice->link),
        template_text("until", slice_from_cstr(until_cstr)),
        template_bool("by_code", notice->by_code),
        template_bool("by_answer", notice->by_answer),
    };
    const struct template_scope scope = {values, COUNT_OF(values)};

    buffer_init(&text, MAIL_TEXT_MAX);
    buffer_init(&html, MAIL_TEXT_MAX);
    mime_writer_init(&writer, out);
    filled = mail_fill(templates, MAIL_NOTICE_TEXT, &scope, &text, err) &&
             mail_fill(templates, MAIL_NOTICE_HTML, &scope, &html, err);
    if (filled) {
        mail_write_header(&writer, &notice->face, subject, false, header_id_out);
        write_alternatives(&writer, buffer_view(&text), buffer_view(&html));
    }
    /* The link in it opens the message. */
    buffer_wipe(&text);
    buffer_wipe(&html);
    return filled &&
           (mime_writer_ended_well(&writer) ||
            FAIL(err, ERR_PERM, "the notice could not be written: an address is none"));
}
