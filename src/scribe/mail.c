/* SPDX-License-Identifier: Apache-2.0 */
/* Our own mails: codes, receipts, reports. */
#include "scribe/internal.h"

#include "base/log.h"
#include "protect/system_mail.h"

#include <time.h>

bool scribe__seal_mail(struct scribe *scribe, struct slice mail, struct content_ref *ref_out,
                       struct err *err)
{
    struct spool_message *message = spool_message_begin(scribe->queue);

    if (spool_message_write(message, mail, err))
        return spool_message_finish(&message, ref_out, err);
    spool_message_abort(&message);
    return false;
}

void scribe__face(const struct scribe *scribe, struct slice account, struct mail_face *face_out)
{
    const struct settings *settings = scribe->settings;
    const struct settings_account *found = settings_account_find(settings, account);

    *face_out = (struct mail_face){
        .hostname = slice_from_cstr(settings->hostname_cstr),
        .now_s = (int64_t)time(NULL),
    };
    if (found != NULL) {
        face_out->organisation = slice_from_cstr(found->organisation_cstr);
        face_out->from = slice_from_cstr(found->notice_from_cstr);
    }
    if (face_out->organisation.len == 0)
        face_out->organisation = face_out->hostname;
}

/* Which of our mails the keeper means; false for kinds that are not written here. */
static bool choose_kind(uint64_t kind, enum system_mail_kind *kind_out)
{
    static const struct {
        enum message_kind kind;
        enum system_mail_kind mail;
    } rows[] = {
        {KIND_CODE, SYSTEM_MAIL_CODE},           {KIND_RECEIPT, SYSTEM_MAIL_RECEIPT},
        {KIND_DSN_FAILURE, SYSTEM_MAIL_FAILURE}, {KIND_DSN_DELAY, SYSTEM_MAIL_DELAY},
        {KIND_DSN_SUCCESS, SYSTEM_MAIL_SUCCESS},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].kind == kind) {
            *kind_out = rows[i].mail;
            return true;
        }
    return false;
}

static bool write_mail(struct scribe *scribe, const struct ipc_make_mail *question,
                       struct buffer *mail, struct buffer *header_id, struct err *err)
{
    struct system_mail it = {
        .original = question->original,
        .about = question->about,
        .detail = question->detail,
        .enhanced = question->enhanced,
        .mx = question->mx,
        .header_id = question->header_id,
        .envid = question->envid,
        .orcpt = question->orcpt,
        .at_ms = question->at_ms,
        .original_ms = question->original_ms,
        .until_ms = question->until_ms,
    };

    if (!choose_kind(question->kind, &it.kind))
        return FAIL(err, ERR_PERM, "no mail of that kind is written here");
    scribe__face(scribe, question->account, &it.face);
    it.face.to = question->to;
    it.face.id = question->message;
    return system_mail_write(&scribe->templates, &it, mail, header_id, err);
}

void scribe__make_mail(struct scribe *scribe, const struct ipc_make_mail *question)
{
    struct ipc_mail_made answer = {.ask = question->ask};
    struct buffer mail, header_id;
    struct err err = {0};

    buffer_init(&mail, MAIL_BYTES_MAX);
    buffer_init(&header_id, 512);
    answer.ok = write_mail(scribe, question, &mail, &header_id, &err) &&
                scribe__seal_mail(scribe, buffer_view(&mail), &answer.content, &err);
    if (!answer.ok) {
        LOG(LOG_WARN, "scribe.no_mail", log_u64("kind", question->kind),
            log_cstr("why", err.text_cstr));
        answer.text = slice_from_cstr(err.text_cstr);
    }
    answer.header_id = buffer_view(&header_id);
    scribe__answer_stored(scribe, IPC_MAIL_MADE, &answer);
    buffer_wipe(&mail);
    buffer_deinit(&header_id);
}
