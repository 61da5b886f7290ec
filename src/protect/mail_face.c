/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/mail_face.h"

#include "format/mime/address.h"
#include "format/mime/date.h"

extern const struct template_source mail_sources[];
extern const size_t mail_sources_count;

static const struct {
    const char *file_cstr;
    enum template_escape escape;
} files[MAIL_TEMPLATE_COUNT] = {
    [MAIL_NOTICE_TEXT] = {"notice.txt", TEMPLATE_TEXT},
    [MAIL_NOTICE_HTML] = {"notice.html", TEMPLATE_HTML},
    [MAIL_CODE_TEXT] = {"code.txt", TEMPLATE_TEXT},
    [MAIL_RECEIPT_TEXT] = {"receipt.txt", TEMPLATE_TEXT},
    [MAIL_DSN_TEXT] = {"dsn.txt", TEMPLATE_TEXT},
};

bool mail_templates_init(struct mail_templates *templates, struct err *err)
{
    *templates = (struct mail_templates){0};
    for (size_t i = 0; i < MAIL_TEMPLATE_COUNT; i++) {
        templates->templates[i] =
            template_parse(mail_sources, mail_sources_count, files[i].file_cstr, err);
        if (templates->templates[i] == NULL) {
            mail_templates_deinit(templates);
            return false;
        }
    }
    return true;
}

void mail_templates_deinit(struct mail_templates *templates)
{
    for (size_t i = 0; i < MAIL_TEMPLATE_COUNT; i++)
        template_free(&templates->templates[i]);
}

bool mail_fill(const struct mail_templates *templates, enum mail_template which,
               const struct template_scope *scope, struct buffer *text_out, struct err *err)
{
    buffer_clear(text_out);
    return template_write(templates->templates[which], files[which].escape, scope, text_out,
                          err);
}

static struct slice domain_of(struct slice address)
{
    size_t at = address.len;

    while (at > 0 && address.at[at - 1] != '@')
        at--;
    return slice_from(address, at);
}

static void write_fields(struct mime_writer *writer, const struct mail_face *face,
                         struct slice subject, struct slice domain,
                         struct buffer *header_id_out)
{
    char id_cstr[ID_TEXT_SIZE];

    id_write(face->id, id_cstr);
    mime_write_mailbox(writer, S("To"), S(""), face->to);
    mime_write_text_field(writer, S("Subject"), subject);
    mime_write_date(writer, face->now_s);
    mime_write_message_id(writer, S("Message-ID"), slice_from_cstr(id_cstr), domain);
    buffer_clear(header_id_out);
    if (!buffer_append_format(header_id_out, "%s@%.*s", id_cstr, SLICE_ARGS(domain)))
        writer->failed = true;
}

void mail_write_header(struct mime_writer *writer, const struct mail_face *face,
                       struct slice subject, bool is_dsn, struct buffer *header_id_out)
{
    struct address_reader reader;
    struct buffer postmaster;
    struct slice domain = face->hostname;
    bool has_address;

    buffer_init(&postmaster, ADDRESS_BYTES_MAX);
    address_reader_init(&reader, face->from);
    has_address = address_next(&reader) && buffer_len(&reader.address) > 0;
    if (has_address)
        domain = domain_of(buffer_view(&reader.address));
    if (!buffer_append(&postmaster, S("postmaster@")) || !buffer_append(&postmaster, domain))
        writer->failed = true;
    if (is_dsn)
        mime_write_mailbox(writer, S("From"), S("Mail delivery"), buffer_view(&postmaster));
    else if (has_address)
        mime_write_mailbox(writer, S("From"), buffer_view(&reader.display),
                           buffer_view(&reader.address));
    else
        mime_write_mailbox(writer, S("From"), face->organisation, buffer_view(&postmaster));
    write_fields(writer, face, subject, domain, header_id_out);
    /* No vacation reply wanted; a report answers, the others come by themselves. [RFC 3834 §5] */
    mime_write_field(writer, S("Auto-Submitted"),
                     is_dsn ? S("auto-replied") : S("auto-generated"));
    address_reader_deinit(&reader);
    buffer_deinit(&postmaster);
}

void mail_time_write(int64_t unix_ms, char text_out[MAIL_TIME_SIZE])
{
    struct buffer text;
    int64_t day_s = unix_ms / 1000 % 86400;

    text_out[0] = 0;
    if (unix_ms <= 0)
        return;
    buffer_init(&text, MAIL_TIME_SIZE - 1);
    if (mime_day_append(&text, unix_ms / 1000) &&
        buffer_append_format(&text, ", %02d:%02d UTC", (int)(day_s / 3600),
                             (int)(day_s / 60 % 60)))
        must(slice_to_cstr(buffer_view(&text), text_out, MAIL_TIME_SIZE));
    buffer_deinit(&text);
}
