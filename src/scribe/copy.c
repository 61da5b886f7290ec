/* SPDX-License-Identifier: Apache-2.0 */
/* The sealed portal copy for one recipient, and the notice that carries its link. */
#include "scribe/internal.h"

#include "base/log.h"
#include "crypto/random.h"
#include "protect/notice.h"
#include "protect/portal_copy.h"
#include "protect/portal_key.h"

#include <stdlib.h>
#include <string.h>

enum { LINK_MAX = 2048 };

/* Everything that is made for one copy; wiped at the end. */
struct making {
    struct piecework work;
    uint64_t ask, message;
    struct spool_reader *reader;
    struct spool_message *sealed;
    struct portal_copier *copier;
    struct buffer mail; /* the notice, until it is sealed */
    struct secret token, share, content_key;
    struct portal_answer answer;
    bool has_answer;
    uint8_t salt[PASSWORD_SALT_BYTES];
    uint8_t lookup[PORTAL_LOOKUP_BYTES];
    uint8_t wrapped[KEYWRAP_BYTES];
    struct content_ref copy, notice; /* when all is done */
};

static bool make_keys(struct scribe *scribe, const struct ipc_make_portal_copy *question,
                      struct making *making, struct err *err)
{
    random_secret(&making->token);
    random_secret(&making->share);
    random_secret(&making->content_key);
    making->has_answer = question->proof == READER_PROOF_ANSWER;
    if (making->has_answer) {
        random_bytes(making->salt, sizeof making->salt);
        if (!portal_answer_derive(question->answer, making->salt, scribe->options.cost,
                                  &making->answer, err))
            return false;
    }
    portal_token_lookup(&making->token, making->lookup);
    portal_key_wrap(&making->token, &making->share,
                    making->has_answer ? &making->answer.key : NULL, &making->content_key,
                    making->wrapped);
    return true;
}

static bool write_sealed(void *context, struct slice bytes, struct err *err)
{
    return spool_message_write(context, bytes, err);
}

/* Composed before the copy is made: what cannot be told to the reader need not be sealed. */
static bool compose_notice(struct scribe *scribe, const struct ipc_make_portal_copy *question,
                           struct making *making, struct err *err)
{
    const struct settings_account *account =
        settings_account_find(scribe->settings, question->account);
    struct notice notice = {
        .subject = slice_from_cstr(account->notice_subject_cstr),
        .sender = question->sender,
        .expires_ms = question->expires_ms,
        .by_code = question->proof == READER_PROOF_CODE,
        .by_answer = making->has_answer,
    };
    struct buffer link, header_id;
    bool made;

    buffer_init(&link, LINK_MAX);
    buffer_init(&header_id, 512);
    scribe__face(scribe, question->account, &notice.face);
    notice.face.to = question->recipient;
    notice.face.id = question->notice_message;
    made = (buffer_append(&link, slice_from_cstr(scribe->settings->portal.url_cstr)) &&
            buffer_append(&link, S("/m/")) && portal_token_write(&making->token, &link)) ||
           FAIL(err, ERR_PERM, "the portal's url is too long");
    notice.link = buffer_view(&link);
    made = made && notice_write(&scribe->templates, &notice, &making->mail, &header_id, err);
    buffer_wipe(&link);
    buffer_deinit(&header_id);
    return made;
}

/* The message goes into a portal segment, under the content key that only `wrapped` holds. */
static bool open_copy(struct scribe *scribe, const struct ipc_make_portal_copy *question,
                      struct making *making, struct err *err)
{
    struct content_source source;
    struct copy_sink sink;

    if (!spool_reader_open(scribe->options.queue_fd, &question->content, &question->data_key,
                           &making->reader, err))
        return false;
    making->sealed = spool_message_begin(scribe->portal);
    spool_message_set_key(making->sealed, &making->content_key);
    source = source_of_spool(making->reader);
    sink = (struct copy_sink){making->sealed, write_sealed};
    making->copier = portal_copier_new(&source, &sink);
    return true;
}

static bool prepare(struct scribe *scribe, const struct ipc_make_portal_copy *question,
                    struct making *making, struct err *err)
{
    if (settings_account_find(scribe->settings, question->account) == NULL)
        return FAIL(err, ERR_TEMP, "the account is not in the settings");
    if (question->proof > READER_PROOF_LINK)
        return FAIL(err, ERR_PERM, "no such proof of the reader");
    return make_keys(scribe, question, making, err) &&
           compose_notice(scribe, question, making, err) &&
           open_copy(scribe, question, making, err);
}

static void making_free(struct piecework *work)
{
    struct making *making = work->context;

    portal_copier_free(&making->copier);
    spool_message_abort(&making->sealed);
    spool_reader_close(&making->reader);
    buffer_wipe(&making->mail);
    explicit_bzero(making, sizeof *making);
    free(making);
}

static void answer_made(struct scribe *scribe, const struct making *making)
{
    struct ipc_portal_copy_made answer = {
        .ask = making->ask,
        .ok = true,
        .lookup = slice_of(making->lookup, sizeof making->lookup),
        .share = making->share,
        .wrapped = slice_of(making->wrapped, sizeof making->wrapped),
        .copy = making->copy,
        .notice = making->notice,
    };

    if (making->has_answer) {
        answer.salt = slice_of(making->salt, sizeof making->salt);
        answer.verifier = slice_of(making->answer.verifier, sizeof making->answer.verifier);
    }
    scribe__answer_stored(scribe, IPC_PORTAL_COPY_MADE, &answer);
    secret_wipe(&answer.share);
}

static void answer_not_made(struct scribe *scribe, const struct making *making,
                            const struct err *err)
{
    struct ipc_portal_copy_made answer = {.ask = making->ask,
                                          .text = slice_from_cstr(err->text_cstr)};

    LOG(LOG_WARN, "scribe.no_copy", log_id("message", making->message),
        log_cstr("why", err->text_cstr));
    scribe__answer(scribe, IPC_PORTAL_COPY_MADE, &answer);
}

static bool making_step(struct scribe *scribe, struct piecework *work, uint64_t max_bytes)
{
    struct making *making = work->context;
    struct err err = {0};
    enum progress got = portal_copier_step(making->copier, max_bytes, &err);

    if (got == PROGRESS_WAIT)
        return false;
    if (got == PROGRESS_DONE && spool_message_finish(&making->sealed, &making->copy, &err) &&
        scribe__seal_mail(scribe, buffer_view(&making->mail), &making->notice, &err))
        answer_made(scribe, making);
    else
        answer_not_made(scribe, making, &err);
    return true;
}

void scribe__make_portal_copy(struct scribe *scribe,
                              const struct ipc_make_portal_copy *question)
{
    struct making *making = calloc(1, sizeof *making);
    struct err err = {0};

    must(making != NULL);
    making->work =
        (struct piecework){.context = making, .step = making_step, .free = making_free};
    making->ask = question->ask;
    making->message = question->message;
    buffer_init(&making->mail, MAIL_BYTES_MAX);
    if (prepare(scribe, question, making, &err)) {
        scribe__begin(scribe, &making->work);
        return;
    }
    answer_not_made(scribe, making, &err);
    making_free(&making->work);
}
