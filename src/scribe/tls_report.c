/* SPDX-License-Identifier: Apache-2.0 */
/* Reports about TLS: ours as mail or compressed for HTTPS; those of strangers, read from their mails. */
#include "scribe/internal.h"

#include "base/log.h"
#include "protect/gzip.h"
#include "protect/tls_report.h"
#include "spool/reader.h"

#include <stdlib.h>
#include <time.h>

/* ---- ours ---- */

static struct slice domain_of(const char *address_cstr)
{
    struct slice domain = slice_from_cstr(address_cstr);

    (void)slice_cut(&domain, '@');
    return domain;
}

static struct slice organisation_of(const struct scribe *scribe)
{
    const struct settings_tls_reports *wish = &scribe->settings->tls_reports;
    const struct settings_domain *domain =
        settings_domain_find(scribe->settings, domain_of(wish->from_cstr));
    const struct settings_account *account =
        domain == NULL
            ? NULL
            : settings_account_find(scribe->settings, slice_from_cstr(domain->account_cstr));

    if (wish->organisation_cstr[0] != '\0')
        return slice_from_cstr(wish->organisation_cstr);
    return slice_from_cstr(account != NULL ? account->organisation_cstr
                                           : scribe->settings->hostname_cstr);
}

static bool write_packed(const struct scribe *scribe,
                         const struct ipc_make_tls_report *question, struct buffer *packed,
                         struct err *err)
{
    const struct settings_tls_reports *wish = &scribe->settings->tls_reports;
    struct tls_report report = {.organisation = organisation_of(scribe),
                                .contact = slice_from_cstr(wish->contact_cstr[0] != '\0'
                                                               ? wish->contact_cstr
                                                               : wish->from_cstr),
                                .report_id = question->report_id,
                                .begin_s = question->begin_s,
                                .end_s = question->end_s,
                                .lines = question->lines};
    struct buffer json;
    bool done;

    buffer_init(&json, TLS_REPORT_JSON_MAX);
    done = tls_report_write(&report, &json, err) && gzip_pack(buffer_view(&json), packed, err);
    buffer_deinit(&json);
    return done;
}

static bool write_mail(struct scribe *scribe, const struct ipc_make_tls_report *question,
                       struct slice packed, struct buffer *mail, struct buffer *header_id,
                       struct err *err)
{
    const char *from_cstr = scribe->settings->tls_reports.from_cstr;
    struct buffer from;
    struct tls_report_mail it = {
        .face = {.organisation = organisation_of(scribe),
                 .hostname = slice_from_cstr(scribe->settings->hostname_cstr),
                 .to = question->to,
                 .id = question->message,
                 .now_s = (int64_t)time(NULL)},
        .domain = question->domain,
        .submitter = domain_of(from_cstr),
        .report_id = question->report_id,
        .begin_s = question->begin_s,
        .end_s = question->end_s,
        .packed = packed};
    bool done;

    buffer_init(&from, 1024);
    done = buffer_append_format(&from, "TLS reports <%s>", from_cstr) ||
           FAIL(err, ERR_PERM, "the address that reports come from is too long");
    it.face.from = buffer_view(&from);
    done = done && tls_report_mail_write(&it, mail, header_id, err);
    buffer_deinit(&from);
    return done;
}

void scribe__make_tls_report(struct scribe *scribe, const struct ipc_make_tls_report *question)
{
    struct ipc_tls_report_made answer = {.ask = question->ask};
    struct buffer packed, mail, header_id;
    struct err err = {0};
    bool is_mail = question->to.len > 0;

    buffer_init(&packed, TLS_REPORT_PACKED_MAX);
    buffer_init(&mail, 2 * TLS_REPORT_PACKED_MAX);
    buffer_init(&header_id, 512);
    answer.ok = write_packed(scribe, question, &packed, &err);
    if (answer.ok && is_mail)
        answer.ok =
            write_mail(scribe, question, buffer_view(&packed), &mail, &header_id, &err) &&
            scribe__seal_mail(scribe, buffer_view(&mail), &answer.content, &err);
    if (!answer.ok) {
        LOG(LOG_WARN, "scribe.no_tls_report", log_cstr("why", err.text_cstr));
        answer.text = slice_from_cstr(err.text_cstr);
    }
    answer.header_id = buffer_view(&header_id);
    if (!is_mail)
        answer.gzip = buffer_view(&packed);
    scribe__answer_stored(scribe, IPC_TLS_REPORT_MADE, &answer);
    buffer_deinit(&packed);
    buffer_deinit(&mail);
    buffer_deinit(&header_id);
}

/* ---- those of strangers ---- */

struct reading {
    struct piecework work;
    uint64_t ask;
    struct spool_reader *content;
    struct tls_report_read read;
    struct tls_report_reader *reader;
};

static void reading_free(struct piecework *work)
{
    struct reading *reading = work->context;

    tls_report_reader_free(&reading->reader);
    tls_report_read_deinit(&reading->read);
    spool_reader_close(&reading->content);
    free(reading);
}

static void answer_unread(struct scribe *scribe, uint64_t ask, bool ok, const struct err *why)
{
    struct ipc_tls_report_read answer = {
        .ask = ask, .ok = ok, .why = slice_from_cstr(why->text_cstr)};

    scribe__answer(scribe, IPC_TLS_REPORT_READ, &answer);
}

static void answer_read(struct scribe *scribe, const struct reading *reading)
{
    const struct tls_report_read *read = &reading->read;
    struct ipc_tls_report_read answer = {.ask = reading->ask,
                                         .ok = true,
                                         .is_report = true,
                                         .organisation = buffer_view(&read->organisation),
                                         .contact = buffer_view(&read->contact),
                                         .report_id = buffer_view(&read->report_id),
                                         .domain = buffer_view(&read->domain),
                                         .signer = buffer_view(&read->signer),
                                         .begin_s = read->begin_s,
                                         .end_s = read->end_s,
                                         .lines = buffer_view(&read->lines)};

    scribe__answer(scribe, IPC_TLS_REPORT_READ, &answer);
}

static bool reading_step(struct scribe *scribe, struct piecework *work, uint64_t max_bytes)
{
    struct reading *reading = work->context;
    struct err err = {0};
    struct slice piece;
    uint64_t left = max_bytes;

    do {
        if (!spool_reader_next(reading->content, &piece, &err)) {
            /* Damaged for good: it will never be read. */
            answer_unread(scribe, reading->ask, err.class == ERR_PERM, &err);
            return true;
        }
        tls_report_reader_push(reading->reader, piece);
        source_spend(&left, piece.len);
    } while (piece.len > 0 && left > 0);
    if (piece.len > 0)
        return false;
    if (tls_report_reader_finish(reading->reader, &err))
        answer_read(scribe, reading);
    else
        answer_unread(scribe, reading->ask, true, &err);
    return true;
}

void scribe__read_tls_report(struct scribe *scribe, const struct ipc_read_tls_report *question)
{
    struct reading *reading = calloc(1, sizeof *reading);
    struct err err = {0};

    must(reading != NULL);
    reading->work =
        (struct piecework){.context = reading, .step = reading_step, .free = reading_free};
    reading->ask = question->ask;
    tls_report_read_init(&reading->read);
    reading->reader = tls_report_reader_new(&reading->read);
    if (spool_reader_open(scribe->options.queue_fd, &question->content, &question->data_key,
                          &reading->content, &err)) {
        scribe__begin(scribe, &reading->work);
        return;
    }
    answer_unread(scribe, reading->ask, err.class == ERR_PERM, &err);
    reading_free(&reading->work);
}
