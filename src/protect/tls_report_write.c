/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/tls_report.h"

#include "base/encode.h"
#include "crypto/random.h"
#include "policy/tls_report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- JSON ---- */

/* What is no UTF-8 becomes question marks: a report is not lost for one odd name. */
static json_t *text_of(struct slice text)
{
    json_t *string = json_stringn((const char *)text.at, text.len);
    struct buffer clean;

    if (string != NULL)
        return string;
    buffer_init(&clean, text.len);
    for (size_t i = 0; i < text.len; i++)
        must(buffer_append_byte(&clean,
                                text.at[i] < 0x80 && text.at[i] != 0 ? text.at[i] : '?'));
    string = json_stringn((const char *)buffer_view(&clean).at, buffer_len(&clean));
    buffer_deinit(&clean);
    must(string != NULL);
    return string;
}

static void set_text(json_t *object, const char *key_cstr, struct slice text)
{
    if (text.len > 0)
        (void)json_object_set_new(object, key_cstr, text_of(text));
}

static void set_lines(json_t *object, const char *key_cstr, struct slice text)
{
    json_t *array = json_array();

    while (text.len > 0) {
        struct slice line = slice_trim(slice_cut(&text, '\n'));

        if (line.len > 0)
            (void)json_array_append_new(array, text_of(line));
    }
    if (json_array_size(array) > 0)
        (void)json_object_set_new(object, key_cstr, array);
    else
        json_decref(array);
}

/* "2026-11-22T00:00:00Z" [RFC 3339 §5.6] */
static json_t *time_of(int64_t unix_s)
{
    time_t seconds = (time_t)unix_s;
    char text_cstr[32];
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text_cstr, sizeof text_cstr, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return json_string("");
    return json_string(text_cstr);
}

static bool same_policy(const struct ipc_tls_line *a, const struct ipc_tls_line *b)
{
    return a->policy == b->policy && slice_equal(a->policy_domain, b->policy_domain) &&
           slice_equal(a->policy_text, b->policy_text) &&
           slice_equal(a->policy_mx, b->policy_mx);
}

static json_t *policy_of(const struct ipc_tls_line *line)
{
    json_t *policy = json_object();

    (void)json_object_set_new(
        policy, "policy-type",
        json_string(tls_report_policy_name((enum tls_report_policy)line->policy)));
    set_lines(policy, "policy-string", line->policy_text);
    set_text(policy, "policy-domain", line->policy_domain);
    set_lines(policy, "mx-host", line->policy_mx);
    return policy;
}

static json_t *failure_of(const struct ipc_tls_line *line)
{
    json_t *failure = json_object();

    set_text(failure, "result-type", line->result);
    set_text(failure, "sending-mta-ip", line->source);
    set_text(failure, "receiving-mx-hostname", line->mx);
    set_text(failure, "receiving-ip", line->address);
    (void)json_object_set_new(failure, "failed-session-count",
                              json_integer((json_int_t)line->sessions));
    set_text(failure, "failure-reason-code", line->reason);
    return failure;
}

/* What belongs to one policy, while its lines come. */
struct group {
    struct ipc_tls_line first;
    json_int_t well, badly;
    json_t *failures;
};

static void group_end(struct group *group, json_t *policies)
{
    json_t *entry = json_object(), *summary = json_object();

    if (group->failures == NULL) { /* no group was begun */
        json_decref(entry);
        json_decref(summary);
        return;
    }
    (void)json_object_set_new(entry, "policy", policy_of(&group->first));
    (void)json_object_set_new(summary, "total-successful-session-count",
                              json_integer(group->well));
    (void)json_object_set_new(summary, "total-failure-session-count",
                              json_integer(group->badly));
    (void)json_object_set_new(entry, "summary", summary);
    if (json_array_size(group->failures) > 0)
        (void)json_object_set_new(entry, "failure-details", group->failures);
    else
        json_decref(group->failures);
    (void)json_array_append_new(policies, entry);
    *group = (struct group){.failures = NULL};
}

static bool add_policies(struct slice lines, json_t *policies)
{
    struct group group = {.failures = NULL};
    struct ipc_tls_line line;
    enum progress got;

    while ((got = ipc_list_next(&lines, IPC_TLS_LINE, &line)) == PROGRESS_DONE) {
        if (group.failures != NULL && !same_policy(&group.first, &line))
            group_end(&group, policies);
        if (group.failures == NULL)
            group = (struct group){.first = line, .failures = json_array()};
        if (line.result.len == 0) {
            group.well += (json_int_t)line.sessions;
        } else {
            group.badly += (json_int_t)line.sessions;
            (void)json_array_append_new(group.failures, failure_of(&line));
        }
    }
    group_end(&group, policies);
    return got != PROGRESS_FAIL;
}

bool tls_report_write(const struct tls_report *report, struct buffer *json_out, struct err *err)
{
    json_t *root = json_object(), *range = json_object(), *policies = json_array();
    char *text_cstr;
    bool done;

    set_text(root, "organization-name", report->organisation);
    (void)json_object_set_new(range, "start-datetime", time_of(report->begin_s));
    (void)json_object_set_new(range, "end-datetime", time_of(report->end_s - 1));
    (void)json_object_set_new(root, "date-range", range);
    set_text(root, "contact-info", report->contact);
    set_text(root, "report-id", report->report_id);
    done = add_policies(report->lines, policies);
    (void)json_object_set_new(root, "policies", policies);
    text_cstr = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    must(text_cstr != NULL);
    done = done && buffer_append(json_out, slice_from_cstr(text_cstr));
    free(text_cstr);
    return done || FAIL(err, ERR_PERM, "the report cannot be written");
}

/* ---- the mail ---- */

/* sender!receiver!begin!end!id.json.gz: the id may hold letters and digits only. [RFC 8460 §5.1] */
static void file_name(const struct tls_report_mail *mail, struct buffer *out)
{
    must(buffer_append_format(out, "%.*s!%.*s!%lld!%lld!", SLICE_ARGS(mail->submitter),
                              SLICE_ARGS(mail->domain), (long long)mail->begin_s,
                              (long long)(mail->end_s - 1)));
    for (size_t i = 0; i < mail->report_id.len && mail->report_id.at[i] != '@'; i++)
        if (byte_is_alpha(mail->report_id.at[i]) || byte_is_digit(mail->report_id.at[i]))
            must(buffer_append_byte(out, mail->report_id.at[i]));
    must(buffer_append(out, S(".json.gz")));
}

static void write_parts(struct mime_writer *writer, const struct tls_report_mail *mail)
{
    uint8_t random[MIME_BOUNDARY_RANDOM];
    struct mime_boundary boundary;
    struct buffer text;

    random_bytes(random, sizeof random);
    mime_boundary_init(&boundary, random);
    mime_write_multipart(writer, S("report"), &boundary, S("; report-type=tlsrpt"));
    mime_write_boundary(writer, &boundary);
    buffer_init(&text, 4096);
    must(buffer_append_format(
        &text,
        "This is an aggregate TLS report from %.*s about mail to\r\n%.*s. It is meant "
        "for programs: RFC 8460.\r\n",
        SLICE_ARGS(mail->submitter), SLICE_ARGS(mail->domain)));
    mime_write_text_part(writer, S("plain"), buffer_view(&text));
    mime_write_boundary(writer, &boundary);
    buffer_clear(&text);
    file_name(mail, &text);
    mime_write_attachment_header(writer, S("application/tlsrpt+gzip"), buffer_view(&text));
    mime_write_base64(writer, mail->packed);
    mime_write_base64_end(writer);
    mime_write_boundary_end(writer, &boundary);
    buffer_deinit(&text);
}

bool tls_report_mail_write(const struct tls_report_mail *mail, struct buffer *out,
                           struct buffer *header_id_out, struct err *err)
{
    struct mime_writer writer;
    struct buffer subject;

    if (mail->domain.len > 255 || mail->submitter.len > 255 || mail->report_id.len > 400)
        return FAIL(err, ERR_PERM, "a name in the TLS report is too long");
    buffer_init(&subject, 2048);
    must(buffer_append_format(&subject, "Report Domain: %.*s Submitter: %.*s Report-ID: <%.*s>",
                              SLICE_ARGS(mail->domain), SLICE_ARGS(mail->submitter),
                              SLICE_ARGS(mail->report_id)));
    mime_writer_init(&writer, out);
    mail_write_header(&writer, &mail->face, buffer_view(&subject), false, header_id_out);
    mime_write_field(&writer, S("TLS-Report-Domain"), mail->domain);
    mime_write_field(&writer, S("TLS-Report-Submitter"), mail->submitter);
    mime_write_raw(&writer, S("TLS-Required: No\r\n"));
    write_parts(&writer, mail);
    buffer_deinit(&subject);
    return mime_writer_ended_well(&writer) ||
           FAIL(err, ERR_PERM, "the mail of a TLS report could not be written");
}
