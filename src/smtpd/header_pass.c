/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/header_pass.h"

#include "format/mime/address.h"
#include "format/mime/date.h"
#include "format/mime/header.h"

#include <string.h>

/* One run of the pass. Kept fields are copied in runs: `kept` grows until something is left
 * out. */
struct pass {
    const struct header_rules *rules;
    struct buffer *out;
    struct header_facts *facts;
    struct err *err;
    struct slice kept;
    unsigned fields, authors;
    bool has_date, has_id;
};

enum fate { FATE_KEEP, FATE_DROP, FATE_FAIL };

typedef enum fate field_fn(struct pass *pass, const struct mime_field *field);

void header_facts_init(struct header_facts *facts)
{
    facts->hops = 0;
    facts->tls_required = facts->tls_required_no = 0;
    facts->from.local_len = facts->from.domain_len = 0;
    facts->from.has_domain = false;
    buffer_init(&facts->message_id, HEADER_ID_MAX);
    buffer_init(&facts->delivered_to, HEADER_DELIVERED_MAX);
    header_wishes_init(&facts->wishes);
}

void header_facts_deinit(struct header_facts *facts)
{
    buffer_deinit(&facts->message_id);
    buffer_deinit(&facts->delivered_to);
    header_wishes_deinit(&facts->wishes);
}

bool header_tls_required_no(const struct header_facts *facts)
{
    return facts->tls_required == 1 && facts->tls_required_no == 1;
}

size_t header_find_end(struct slice content, size_t searched)
{
    size_t from = searched > 3 ? searched - 3 : 0;
    const uint8_t *end;

    if (slice_starts_with(content, S("\r\n")))
        return 2;
    if (content.len <= from)
        return 0;
    end = memmem(content.at + from, content.len - from, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - content.at) + 4;
}

static enum fate field_fail(struct pass *pass, const char *why_cstr)
{
    FAIL_SMTP(pass->err, ERR_PEER, 550, "5.6.0", "%s", why_cstr);
    return FATE_FAIL;
}

static enum fate on_received(struct pass *pass, const struct mime_field *field)
{
    (void)field;
    if (++pass->facts->hops < HEADER_HOPS_MAX)
        return FATE_KEEP;
    FAIL_SMTP(pass->err, ERR_PEER, 554, "5.4.6",
              "too many hops: this message goes in a circle");
    return FATE_FAIL;
}

static enum fate on_hidden(struct pass *pass, const struct mime_field *field)
{
    (void)field;
    return pass->rules->source == HEADER_SUBMITTED ? FATE_DROP : FATE_KEEP;
}

static enum fate on_date(struct pass *pass, const struct mime_field *field)
{
    (void)field;
    pass->has_date = true;
    return FATE_KEEP;
}

static enum fate on_message_id(struct pass *pass, const struct mime_field *field)
{
    struct slice value = slice_trim(field->value);
    struct slice id = slice_from(value, slice_find_byte(value, '<') + 1);

    if (pass->has_id)
        return FATE_KEEP;
    pass->has_id = true;
    id = slice_head(id, slice_find_byte(id, '>'));
    for (size_t i = 0; i < id.len; i++)
        if (id.at[i] <= 32 || id.at[i] == 127)
            return FATE_KEEP;
    /* One that is too long is just not recorded. */
    if (!buffer_append(&pass->facts->message_id, id))
        buffer_clear(&pass->facts->message_id);
    return FATE_KEEP;
}

static enum fate on_from(struct pass *pass, const struct mime_field *field)
{
    struct address_reader reader;
    unsigned count = 0;
    bool is_fine = true;

    if (pass->rules->source != HEADER_SUBMITTED)
        return FATE_KEEP;
    if (++pass->authors > 1)
        return field_fail(pass, "there is more than one From field");
    address_reader_init(&reader, field->value);
    while (is_fine && address_next(&reader))
        is_fine = ++count == 1 &&
                  smtp_address_parse(buffer_view(&reader.address), &pass->facts->from, NULL);
    address_reader_deinit(&reader);
    if (!is_fine || count != 1)
        return field_fail(pass, "the From field must name one author with a mail address");
    return FATE_KEEP;
}

/* Others' are of no use to us, and could be any number. */
static enum fate on_delivered_to(struct pass *pass, const struct mime_field *field)
{
    struct buffer *list = &pass->facts->delivered_to;
    struct slice value = slice_trim(field->value);
    size_t before = buffer_len(list);
    struct smtp_path path;

    if (pass->rules->is_own_domain == NULL || !smtp_address_parse(value, &path, NULL) ||
        !pass->rules->is_own_domain(pass->rules->context, smtp_path_domain(&path)))
        return FATE_KEEP;
    if (!smtp_path_write(&path, list) || !buffer_append_byte(list, '\n'))
        buffer_truncate(list, before);
    return FATE_KEEP;
}

static enum fate on_tls_required(struct pass *pass, const struct mime_field *field)
{
    pass->facts->tls_required++;
    if (slice_equal_nocase(slice_trim(field->value), S("No")))
        pass->facts->tls_required_no++;
    return FATE_KEEP;
}

static bool keep_so_far(struct pass *pass)
{
    bool fits = buffer_append(pass->out, pass->kept);

    pass->kept = slice_from(pass->kept, pass->kept.len);
    return fits;
}

static enum fate on_subject(struct pass *pass, const struct mime_field *field)
{
    struct buffer subject;
    enum fate fate = FATE_KEEP;

    if (pass->rules->source != HEADER_SUBMITTED)
        return FATE_KEEP;
    buffer_init(&subject, 64 << 20);
    if (header_triggers_take(&pass->rules->triggers, field->value, &pass->facts->wishes,
                             &subject)) {
        fate = FATE_DROP;
        if (!keep_so_far(pass) || !buffer_append(pass->out, S("Subject: ")) ||
            !buffer_append(pass->out, buffer_view(&subject)) ||
            !buffer_append(pass->out, S("\r\n")))
            fate = field_fail(pass, "the header is too large");
    }
    buffer_wipe(&subject);
    return fate;
}

static enum fate on_control(struct pass *pass, const struct mime_field *field)
{
    if (pass->rules->source == HEADER_SUBMITTED &&
        !header_control_take(&pass->facts->wishes, field->name, field->value,
                             pass->rules->now_ms, pass->err))
        return FATE_FAIL;
    return FATE_DROP;
}

static const struct {
    struct slice name;
    field_fn *act;
} rows[] = {
    {SLICE_INIT("Received"), on_received},
    {SLICE_INIT("From"), on_from},
    {SLICE_INIT("Date"), on_date},
    {SLICE_INIT("Message-ID"), on_message_id},
    {SLICE_INIT("Subject"), on_subject},
    {SLICE_INIT("Bcc"), on_hidden},
    {SLICE_INIT("Resent-Bcc"), on_hidden},
    {SLICE_INIT("Return-Path"), on_hidden},
    {SLICE_INIT("TLS-Required"), on_tls_required},
    {SLICE_INIT("Delivered-To"), on_delivered_to},
};

static field_fn *row_find(struct slice name)
{
    if (header_is_control(name))
        return on_control;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (slice_equal_nocase(name, rows[i].name))
            return rows[i].act;
    return NULL;
}

/* FATE_DROP with an empty name means: the header ends here. */
static enum fate take_field(struct pass *pass, const struct mime_field *field)
{
    field_fn *act = row_find(field->name);
    enum fate fate = act == NULL ? FATE_KEEP : act(pass, field);

    if (fate == FATE_FAIL)
        return fate;
    if (++pass->fields > HEADER_FIELDS_MAX) {
        FAIL_SMTP(pass->err, ERR_PEER, 552, "5.3.4", "too many header fields");
        return FATE_FAIL;
    }
    if (fate == FATE_KEEP) {
        if (pass->kept.len == 0)
            pass->kept.at = field->raw.at;
        pass->kept.len += field->raw.len;
    } else if (!keep_so_far(pass))
        return field_fail(pass, "the header is too large");
    return fate;
}

/* A last field without its line end gets one. */
static bool end_line(struct buffer *out, size_t before)
{
    struct slice text = buffer_view(out);

    if (text.len == before || text.at[text.len - 1] == '\n')
        return true;
    return buffer_append(out, S("\r\n"));
}

static bool add_missing(struct pass *pass)
{
    const struct header_rules *rules = pass->rules;
    char id_cstr[ID_TEXT_SIZE];

    if (rules->source != HEADER_SUBMITTED)
        return true;
    if (!pass->has_date && (!buffer_append(pass->out, S("Date: ")) ||
                            !mime_date_append(pass->out, rules->now_ms / 1000) ||
                            !buffer_append(pass->out, S("\r\n"))))
        return false;
    if (pass->has_id)
        return true;
    id_write(rules->message, id_cstr);
    return buffer_append_format(pass->out, "Message-ID: <%s@%s>\r\n", id_cstr,
                                rules->hostname_cstr) &&
           buffer_append_format(&pass->facts->message_id, "%s@%s", id_cstr,
                                rules->hostname_cstr);
}

/*
 * Behind a line that is no field everything would be body: a wish to encrypt would be overlooked, a Bcc shown to
 * all. Our own people's programs can be told so; what strangers send is passed on as it came.
 */
static bool check_end(struct pass *pass, struct slice rest)
{
    if (rest.len > 0 && !slice_starts_with(rest, S("\r\n")))
        return field_fail(pass, "a line in the header is no header field") == FATE_KEEP;
    return pass->authors > 0 || field_fail(pass, "there is no From field") == FATE_KEEP;
}

bool header_pass(struct slice header, const struct header_rules *rules, struct buffer *out,
                 struct header_facts *facts, size_t *body_at, struct err *err)
{
    struct pass pass = {.rules = rules, .out = out, .facts = facts, .err = err};
    struct slice rest = header, before = header;
    struct mime_field field;
    size_t out_before = buffer_len(out);

    while (mime_field_next(&rest, &field)) {
        /* A mailbox file's first line is dropped, at the top only. */
        bool is_from_line =
            before.at == header.at && slice_starts_with_nocase(field.raw, S("From "));

        if (field.name.len == 0 && !is_from_line) {
            rest = before;
            break;
        }
        if (!is_from_line && take_field(&pass, &field) == FATE_FAIL)
            return false;
        before = rest;
    }
    *body_at = header.len - rest.len;
    if (rules->source == HEADER_SUBMITTED && !check_end(&pass, rest))
        return false;
    if (!keep_so_far(&pass) || !end_line(out, out_before) || !add_missing(&pass) ||
        !buffer_append(out, S("\r\n")))
        return FAIL_SMTP(err, ERR_PEER, 552, "5.3.4", "the header is too large");
    return true;
}
