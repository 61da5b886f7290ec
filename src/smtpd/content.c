/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content on its way in: DATA and BDAT, through the line-end check, the header pass, into the
 * spool; at its end the keeper is asked to take it, and only the keeper's word becomes a 250.
 * Once something is wrong the content is read on to its end, so that the refusal stands where
 * the client expects it.
 */
#include "smtpd/session.h"

#include "base/log.h"
#include "base/stats.h"
#include "smtpd/sender_rules.h"

#include <string.h>

void content_init(struct content *content)
{
    buffer_init(&content->header, 0);
    header_facts_init(&content->facts);
}

void content_deinit(struct content *content)
{
    buffer_wipe(&content->header);
    header_facts_deinit(&content->facts);
    spool_message_abort(&content->spool);
}

static void content_begin(struct session *session, bool is_chunk)
{
    struct content *content = &session->transaction->content;

    smtp_dots_init(&content->dots, SESSION_LINE_MAX, is_chunk);
    buffer_init(&content->header, session->settings->limits.header_bytes);
    session->transaction->message = id_next(session->server->ids, clock_unix_ms());
}

/* The message will be refused with this; the first reason counts. */
static void content_fail(struct content *content, const struct err *why)
{
    if (content->has_failed)
        return;
    content->has_failed = true;
    content->failure = *why;
    buffer_wipe(&content->header);
    spool_message_abort(&content->spool);
}

static void content_store(struct session *session, struct slice bytes)
{
    struct content *content = &session->transaction->content;
    struct err err = {0};

    if (bytes.len == 0 || content->has_failed)
        return;
    if (session->transaction->kind == KIND_BOUNCE)
        bounce_watch_body(&content->bounce, bytes);
    if (!spool_message_write(content->spool, bytes, &err)) {
        if (err.smtp_code == 0)
            FAIL_SMTP(&err, ERR_TEMP, 452, "4.3.1", "cannot store it now; try again later");
        content_fail(content, &err);
    }
}

/* ---- the header ---- */

static bool author_is_allowed(struct session *session, struct err *err)
{
    if (session->account == NULL ||
        sender_is_allowed(session->settings, session->account, session->user,
                          &session->transaction->content.facts.from))
        return true;
    return FAIL_SMTP(err, ERR_REFUSED, 550, "5.7.1", "you may not send as the address in From");
}

static bool is_own_domain(const void *context, struct slice domain)
{
    return settings_domain_find(context, domain) != NULL;
}

/* The header is whole: rewrite it and start storing. What is no header goes on as body. */
static void header_take(struct session *session, struct slice header)
{
    struct content *content = &session->transaction->content;
    struct buffer *out = &session->server->scratch;
    int64_t now_ms = clock_unix_ms();
    struct header_rules rules = {
        .source = session->account != NULL ? HEADER_SUBMITTED : HEADER_STRANGER,
        .message = session->transaction->message,
        .hostname_cstr = session->settings->hostname_cstr,
        .now_ms = now_ms,
        .is_own_domain = is_own_domain,
        .context = session->settings,
    };
    struct err err = {0};
    size_t body_at = 0;

    if (session->account != NULL)
        rules.triggers =
            (struct header_triggers){slice_from_cstr(session->account->encrypt_trigger_cstr),
                                     slice_from_cstr(session->account->opt_out_trigger_cstr)};
    content->header_is_done = true;
    buffer_clear(out);
    if (!trace_write(session, now_ms, out) ||
        (session->account == NULL && session->settings->transport_header &&
         !trace_transport(session, out))) {
        FAIL_SMTP(&err, ERR_TEMP, 451, "4.3.0", "cannot write the trace");
        content_fail(content, &err);
    } else if (!header_pass(header, &rules, out, &content->facts, &body_at, &err) ||
               !author_is_allowed(session, &err)) {
        content_fail(content, &err);
    } else {
        bounce_watch_header(&content->bounce, slice_head(header, body_at));
        content->spool = spool_message_begin(session->server->spool);
        content_store(session, buffer_view(out));
        content_store(session, slice_from(header, body_at));
    }
    buffer_clear(out);
}

static void header_too_large(struct session *session)
{
    struct err err;

    FAIL_SMTP(&err, ERR_PERM, 552, "5.3.4", "the header is larger than %u bytes, our limit",
              session->settings->limits.header_bytes);
    content_fail(&session->transaction->content, &err);
}

/* Collect until the empty line; most headers come whole and are never copied. */
static void header_collect(struct session *session, struct slice piece)
{
    struct content *content = &session->transaction->content;
    struct slice before = buffer_view(&content->header);
    struct slice header;
    size_t end = before.len == 0 ? header_find_end(piece, 0) : 0;

    if (end > session->settings->limits.header_bytes) {
        header_too_large(session);
        return;
    }
    if (end > 0) {
        header_take(session, slice_head(piece, end));
        content_store(session, slice_from(piece, end));
        return;
    }
    /* Never keep more than the ceiling: the end may be in the part that fits. */
    header = slice_head(piece, buffer_room(&content->header));
    if (!transaction_hold(session, header.len) || !buffer_append(&content->header, header)) {
        struct err err;

        FAIL_SMTP(&err, ERR_TEMP, 452, "4.3.1", "too much memory in use; try again later");
        content_fail(content, &err);
        return;
    }
    end = header_find_end(buffer_view(&content->header), content->searched);
    content->searched = buffer_len(&content->header);
    if (end == 0) {
        if (header.len < piece.len)
            header_too_large(session);
        return;
    }
    header_take(session, slice_head(buffer_view(&content->header), end));
    content_store(session, slice_from(buffer_view(&content->header), end));
    content_store(session, slice_from(piece, header.len));
    buffer_wipe(&content->header);
}

/* ---- pieces ---- */

static void content_take(struct session *session, struct slice piece)
{
    struct content *content = &session->transaction->content;
    uint64_t max = session->settings->limits.message_bytes;
    struct err err;

    content->bytes += piece.len;
    if (content->has_failed || piece.len == 0)
        return;
    if (content->bytes > max) {
        FAIL_SMTP(&err, ERR_PERM, 552, "5.3.4", "larger than %llu bytes, our limit",
                  (unsigned long long)max);
        content_fail(content, &err);
    } else if (content->header_is_done)
        content_store(session, piece);
    else
        header_collect(session, piece);
}

/* Line ends first: whoever tries to send two messages as one hears that, whatever else is wrong. */
static void content_check_lines(struct session *session)
{
    struct content *content = &session->transaction->content;
    struct err err;

    if (content->dots.has_bare_end || content->dots.has_nul) {
        FAIL_SMTP(&err, ERR_PEER, 550, "5.6.0", "%s",
                  content->dots.has_bare_end ? "a line ends with a bare CR or LF"
                                             : "there is a NUL in the content");
        content->has_failed = false;
        content_fail(content, &err);
    } else if (content->dots.has_long_line) {
        FAIL_SMTP(&err, ERR_PEER, 550, "5.6.0", "a line is longer than %d bytes",
                  SESSION_LINE_MAX);
        content_fail(content, &err);
    }
}

/* ---- the end ---- */

static void end_transaction(struct session *session)
{
    transaction_end(session);
    session->state = AT_HELLO;
    session->mode = MODE_COMMAND;
}

static void measure_answer(const struct session *session)
{
    int64_t ended_us = session->transaction->content.ended_us;

    if (ended_us != 0) /* a chunk that is not the last may be refused as well */
        STAT_MEASURE(SMTP_ANSWER, stats_now_us() - ended_us);
}

static void count_refusal(unsigned code)
{
    if (code < 500)
        STAT_ADD(SMTP_REFUSED_LATER, 1);
    else
        STAT_ADD(SMTP_REFUSED_NEVER, 1);
}

static void answer_failure(struct session *session, const struct err *err)
{
    struct err why = *err;

    measure_answer(session);
    end_transaction(session);
    count_refusal(why.smtp_code != 0 ? why.smtp_code : why.class == ERR_TEMP ? 451 : 550);
    LOG(LOG_INFO, "smtpd.refused", log_id("session", session->id),
        log_u64("code", why.smtp_code), log_cstr("why", why.text_cstr));
    session_reply_err(session, &why);
}

/* place: where the content lies; sealed: the content itself, if it lies nowhere yet. */
static bool send_accept(struct session *session, const struct content_ref *place,
                        const struct spool_parcel *parcel)
{
    const struct transaction *transaction = session->transaction;
    const struct header_facts *facts = &transaction->content.facts;
    struct buffer *story = &session->server->scratch;
    struct ipc_accept accept = {
        .message = transaction->message,
        .kind = transaction->kind,
        .mail_from = buffer_view(&transaction->from),
        .envid = slice_of(transaction->params.envid, transaction->params.envid_len),
        .ret = transaction->params.ret,
        .body_8bit = transaction->params.body == SMTP_BODY_8BITMIME,
        .smtputf8 = transaction->params.smtputf8,
        .requiretls = transaction->params.requiretls,
        .tls_required_no = header_tls_required_no(facts) && !transaction->params.requiretls,
        .hops = facts->hops,
        .header_id = buffer_view(&facts->message_id),
        .encrypt = header_wishes_encrypt(&facts->wishes),
        .proof = facts->wishes.proof,
        .question = buffer_view(&facts->wishes.question),
        .answer = buffer_view(&facts->wishes.answer),
        .expires_ms = facts->wishes.expires_ms,
        .receipt = facts->wishes.receipt,
        .ask = session->ask,
        .content = *place,
        .delivered_to = buffer_view(&facts->delivered_to),
        .recipients = buffer_view(&transaction->recipients),
    };

    if (parcel != NULL) {
        accept.data_key = parcel->data_key;
        accept.sealed = parcel->sealed;
    }
    buffer_clear(story);
    if (!trace_story(session, story))
        buffer_clear(story);
    accept.received_by = buffer_view(story);
    if (session->account != NULL)
        accept.account = slice_from_cstr(session->account->name_cstr);
    if (session->user != NULL)
        accept.user = slice_from_cstr(session->user->name_cstr);
    if (ipc_send(session->server->keeper, IPC_ACCEPT, &accept)) {
        secret_wipe(&accept.data_key);
        return true;
    }
    secret_wipe(&accept.data_key);
    return false;
}

/* Ask the keeper to take it; the session waits for the answer. */
static void offer(struct session *session, const struct content_ref *place,
                  const struct spool_parcel *parcel)
{
    struct err err;

    session_ask(session);
    if (send_accept(session, place, parcel))
        return;
    session_unask(session);
    FAIL_SMTP(&err, ERR_TEMP, 451, "4.3.2", "too busy; try again later");
    answer_failure(session, &err);
}

/* Small content goes along with the question: the keeper puts all that has gathered on disk at once. */
static void offer_small(struct session *session)
{
    struct spool_parcel parcel;
    struct content_ref nowhere = {0};

    spool_message_seal(&session->transaction->content.spool, &parcel);
    nowhere.plain_bytes = parcel.plain_bytes;
    nowhere.sealed_bytes = parcel.sealed.len;
    offer(session, &nowhere, &parcel);
    secret_wipe(&parcel.data_key);
}

/* Large content has a segment of its own, and the disk has it when finish returns. */
static void offer_large(struct session *session)
{
    struct content_ref place;
    struct err err = {0};

    if (spool_message_finish(&session->transaction->content.spool, &place, &err))
        offer(session, &place, NULL);
    else
        answer_failure(session, &err);
}

/* Taken and forgotten: nothing bounced, and nobody waits for it. */
static void answer_no_bounce(struct session *session)
{
    end_transaction(session);
    LOG(LOG_INFO, "smtpd.no_bounce", log_id("session", session->id));
    session_reply(session, 250, "2.0.0", "Taken; it says of no failure");
}

static void content_end(struct session *session)
{
    struct content *content = &session->transaction->content;

    session->idle_commands = 0;
    content->ended_us = stats_now_us();
    content_check_lines(session);
    if (!content->has_failed && !content->header_is_done) {
        /* No empty line: all of it is header. */
        header_take(session, buffer_view(&content->header));
        buffer_wipe(&content->header);
    }
    if (content->has_failed) {
        answer_failure(session, &content->failure);
        return;
    }
    if (session->transaction->kind == KIND_BOUNCE &&
        !bounce_watch_is_failure(&content->bounce)) {
        answer_no_bounce(session);
        return;
    }
    if (spool_message_is_small(content->spool))
        offer_small(session);
    else
        offer_large(session);
}

void accept_result(struct session *session, const struct ipc_accept_result *result)
{
    char id_cstr[ID_TEXT_SIZE], enhanced_cstr[12], text_cstr[200];
    uint64_t message = session->transaction->message;
    uint64_t bytes = session->transaction->content.bytes;
    uint32_t count = session->transaction->count;

    id_write(message, id_cstr);
    measure_answer(session);
    end_transaction(session);
    if (result->ok) {
        STAT_ADD(SMTP_ACCEPTED, 1);
        STAT_ADD(SMTP_RECIPIENTS, count);
        STAT_ADD(SMTP_BYTES, bytes);
        LOG(LOG_INFO, "smtpd.accepted", log_id("session", session->id),
            log_id("message", message), log_u64("bytes", bytes), log_u64("recipients", count),
            log_u64("unheard", session->is_gone));
        session_reply(session, 250, "2.0.0", "Accepted as %s", id_cstr);
        return;
    }
    count_refusal((unsigned)result->code);
    LOG(LOG_WARN, "smtpd.not_accepted", log_id("session", session->id),
        log_id("message", message), log_u64("code", result->code));
    if (result->code < 400 || result->code > 599 ||
        !slice_to_cstr(result->enhanced, enhanced_cstr, sizeof enhanced_cstr) ||
        !slice_to_cstr(slice_head(result->text, sizeof text_cstr - 1), text_cstr,
                       sizeof text_cstr))
        session_reply(session, 451, "4.3.0", "Cannot take it now");
    else
        session_reply(session, (unsigned)result->code, enhanced_cstr, "%s", text_cstr);
}

/* ---- commands and input ---- */

void on_data(struct session *session, struct slice args)
{
    (void)args;
    content_begin(session, false);
    session->mode = MODE_DATA;
    session_reply(session, 354, "", "Go on, end with CR LF . CR LF");
}

static void data_input(struct session *session, struct slice *input)
{
    struct content *content = &session->transaction->content;
    enum progress got = PROGRESS_WAIT;

    while (got == PROGRESS_WAIT && input->len > 0) {
        struct slice piece;

        got = smtp_dots_push(&content->dots, input, &piece);
        content_take(session, piece);
    }
    if (got == PROGRESS_DONE)
        content_end(session);
    else
        content_check_lines(session);
}

static void chunk_end(struct session *session)
{
    struct content *content;
    struct slice rest;

    session->mode = MODE_COMMAND;
    if (session->transaction == NULL || session->state != AT_CHUNKS) {
        session_reply(session, 503, "5.5.1", "No message for this chunk");
        return;
    }
    content = &session->transaction->content;
    content_check_lines(session);
    if (session->is_last_chunk) {
        smtp_dots_finish_chunks(&content->dots, &rest);
        content_take(session, rest);
        content_end(session);
    } else if (content->has_failed)
        answer_failure(session, &content->failure);
    else
        session_reply(session, 250, "2.0.0", "Chunk received");
}

void on_bdat(struct session *session, struct slice args)
{
    uint64_t size;

    if (!smtp_bdat_parse(args, &size, &session->is_last_chunk)) {
        /* Where the chunk ends is not known: nothing behind it can be trusted. */
        session_reply(session, 501, "5.5.4", "BDAT size [LAST]");
        session_close(session, 421, "4.7.0", "Lost in the chunks");
        return;
    }
    if (size > session->settings->limits.message_bytes) {
        session_reply(session, 552, "5.3.4", "Chunk larger than a message may be");
        session_close(session, 421, "4.7.0", "Lost in the chunks");
        return;
    }
    if (session->state == AT_RCPT) {
        content_begin(session, true);
        session->state = AT_CHUNKS;
    }
    session->chunk_left = size;
    session->mode = MODE_CHUNK;
    if (size == 0)
        chunk_end(session);
}

static void chunk_input(struct session *session, struct slice *input)
{
    struct slice bytes = slice_head(
        *input, session->chunk_left < input->len ? (size_t)session->chunk_left : input->len);

    *input = slice_from(*input, bytes.len);
    session->chunk_left -= bytes.len;
    if (session->state == AT_CHUNKS) {
        struct content *content = &session->transaction->content;
        enum progress got = PROGRESS_WAIT;

        while (got == PROGRESS_WAIT && bytes.len > 0) {
            struct slice piece;

            got = smtp_dots_push(&content->dots, &bytes, &piece);
            content_take(session, piece);
        }
    }
    if (session->chunk_left == 0)
        chunk_end(session);
}

void content_input(struct session *session, struct slice *input)
{
    if (session->mode == MODE_DATA)
        data_input(session, input);
    else
        chunk_input(session, input);
}
