/* SPDX-License-Identifier: Apache-2.0 */
#include "scribe/scribe.h"

#include "base/log.h"
#include "base/stats.h"
#include "scribe/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELD_MAX_BYTES = 2 * (IPC_FRAME_MAX_BYTES + IPC_FRAME_HEAD_BYTES) };

/* ---- life ---- */

static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    must(copy >= 0);
    return copy;
}

bool scribe_new(const struct scribe_options *options, struct scribe **scribe_out,
                struct err *err)
{
    struct scribe *scribe = calloc(1, sizeof *scribe);

    must(scribe != NULL);
    if (!mail_templates_init(&scribe->templates, err)) {
        free(scribe);
        return false;
    }
    scribe->options = *options;
    scribe->options.queue_fd = duplicate(options->queue_fd);
    scribe->options.portal_fd = duplicate(options->portal_fd);
    scribe->queue = spool_writer_open(options->queue_fd, SPOOL_QUEUE, options->ids,
                                      options->certificate, NULL);
    scribe->portal = spool_writer_open(options->portal_fd, SPOOL_PORTAL, options->ids,
                                       options->certificate, NULL);
    buffer_init(&scribe->held, HELD_MAX_BYTES);
    list_init(&scribe->people.jobs);
    list_init(&scribe->copies.jobs);
    list_init(&scribe->large.jobs);
    list_init(&scribe->pieces);
    scribe->last_turn = TURN_PIECE; /* people first */
    *scribe_out = scribe;
    return true;
}

static void job_free(struct slow_job *job)
{
    buffer_wipe(&job->frame);
    free(job);
}

static void queue_clear(struct slow_queue *queue)
{
    struct list_link *link = list_first(&queue->jobs), *next;

    for (; link != NULL; link = next) {
        next = list_next(&queue->jobs, link);
        job_free(LIST_ELEMENT(link, struct slow_job, link));
    }
    list_init(&queue->jobs);
    queue->count = 0;
}

static void piece_end(struct scribe *scribe, struct piecework *work)
{
    list_remove(&work->link);
    scribe->piece_count--;
    work->free(work);
}

void scribe_free(struct scribe **scribe)
{
    struct scribe *it = *scribe;
    struct list_link *link;

    if (it == NULL)
        return;
    queue_clear(&it->people);
    queue_clear(&it->copies);
    queue_clear(&it->large);
    buffer_wipe(&it->held);
    while ((link = list_first(&it->pieces)) != NULL)
        piece_end(it, LIST_ELEMENT(link, struct piecework, link));
    if (it->settings != NULL)
        scribe__keys_free(&it->domain_keys, it->settings->domain_count);
    settings_unref(&it->settings);
    mail_templates_deinit(&it->templates);
    spool_writer_close(&it->queue);
    spool_writer_close(&it->portal);
    close(it->options.queue_fd);
    close(it->options.portal_fd);
    free(it);
    *scribe = NULL;
}

bool scribe_configure(struct scribe *scribe, struct settings *settings, struct err *err)
{
    struct domain_keys *keys;

    if (!scribe__keys_load(settings, &keys, err))
        return false;
    if (scribe->settings != NULL)
        scribe__keys_free(&scribe->domain_keys, scribe->settings->domain_count);
    settings_unref(&scribe->settings);
    scribe->settings = settings_ref(settings);
    scribe->domain_keys = keys;
    return true;
}

void scribe_tick(struct scribe *scribe, int64_t now_ms)
{
    spool_writer_tick(scribe->queue, now_ms);
    spool_writer_tick(scribe->portal, now_ms);
}

static void count(enum ipc_type type, const void *message)
{
    bool done = true;

    if (type == IPC_SIGNATURE) {
        const struct ipc_signature *answer = message;

        done = answer->ok;
        STAT_ADD(SCRIBE_SIGNATURES, done && answer->prefix.len > 0 ? 1 : 0);
    } else if (type == IPC_PORTAL_COPY_MADE) {
        done = ((const struct ipc_portal_copy_made *)message)->ok;
        STAT_ADD(SCRIBE_COPIES, done ? 1 : 0);
    } else if (type == IPC_MAIL_MADE) {
        done = ((const struct ipc_mail_made *)message)->ok;
        STAT_ADD(SCRIBE_MAILS, done ? 1 : 0);
    } else if (type == IPC_TLS_REPORT_MADE) {
        done = ((const struct ipc_tls_report_made *)message)->ok;
        STAT_ADD(SCRIBE_MAILS, done ? 1 : 0);
    } else if (type == IPC_TLS_REPORT_READ) {
        done = ((const struct ipc_tls_report_read *)message)->ok;
    } else {
        STAT_ADD(SCRIBE_PROOFS, 1);
    }
    STAT_ADD(SCRIBE_FAILED, done ? 0 : 1);
}

void scribe__answer(struct scribe *scribe, enum ipc_type type, const void *message)
{
    count(type, message);
    scribe->options.answer(scribe->options.context, type, message);
}

/* ---- answers that wait for the disk ---- */

/* The answer of that frame; or, when its content was lost, that there is none. */
static void answer_held(struct scribe *scribe, enum ipc_type type, const union ipc_any *message,
                        const struct err *lost)
{
    struct ipc_portal_copy_made no_copy = {.ask = message->portal_copy_made.ask};
    struct ipc_mail_made no_mail = {.ask = message->mail_made.ask};
    struct ipc_tls_report_made no_report = {.ask = message->tls_report_made.ask};

    if (lost == NULL) {
        scribe__answer(scribe, type, message);
    } else if (type == IPC_PORTAL_COPY_MADE) {
        no_copy.text = slice_from_cstr(lost->text_cstr);
        scribe__answer(scribe, type, &no_copy);
    } else if (type == IPC_TLS_REPORT_MADE) {
        no_report.text = slice_from_cstr(lost->text_cstr);
        scribe__answer(scribe, type, &no_report);
    } else {
        no_mail.text = slice_from_cstr(lost->text_cstr);
        scribe__answer(scribe, type, &no_mail);
    }
}

static void settle(struct scribe *scribe)
{
    struct slice frames = buffer_view(&scribe->held);
    struct err err = {0};
    bool synced = spool_writer_sync(scribe->portal, &err);

    synced = synced & spool_writer_sync(scribe->queue, &err);
    if (!synced)
        LOG(LOG_ERROR, "scribe.not_durable", log_cstr("why", err.text_cstr));
    while (frames.len > 0) {
        union ipc_any message;
        enum ipc_type type;
        struct err unused;
        size_t len;

        must(ipc_unpack(frames, &type, &message, &len, &unused) == PROGRESS_DONE);
        answer_held(scribe, type, &message, synced ? NULL : &err);
        explicit_bzero(&message, sizeof message);
        frames = slice_from(frames, len);
    }
    buffer_clear_wiped(&scribe->held);
    scribe->held_count = 0;
}

void scribe__answer_stored(struct scribe *scribe, enum ipc_type type, const void *message)
{
    if (buffer_len(&scribe->held) > HELD_MAX_BYTES / 2)
        settle(scribe);
    must(ipc_pack(type, message, &scribe->held));
    scribe->held_count++;
}

/* ---- work that waits ---- */

static void put_off(struct slow_queue *queue, enum ipc_type type, const void *message)
{
    struct slow_job *job = calloc(1, sizeof *job);

    must(job != NULL);
    buffer_init(&job->frame, IPC_FRAME_MAX_BYTES);
    must(ipc_pack(type, message, &job->frame));
    list_push_back(&queue->jobs, &job->link);
    queue->count++;
}

bool scribe_has_work(const struct scribe *scribe)
{
    return scribe->people.count + scribe->copies.count + scribe->large.count +
               scribe->piece_count + scribe->held_count >
           0;
}

void scribe__begin(struct scribe *scribe, struct piecework *work)
{
    if (work->step(scribe, work, PIECE_BYTES)) {
        work->free(work);
        return;
    }
    list_push_back(&scribe->pieces, &work->link);
    scribe->piece_count++;
}

static void measure(int64_t began_us)
{
    int64_t took_us = stats_now_us() - began_us;

    STAT_MEASURE(SCRIBE_JOB, took_us);
    log_slow("scribe job", took_us);
}

/* Give a question that waited its answer, or begin the work on it. */
static void do_first(struct scribe *scribe, struct slow_queue *queue)
{
    struct slow_job *job = LIST_ELEMENT(list_take_first(&queue->jobs), struct slow_job, link);
    union ipc_any message;
    enum ipc_type type;
    struct err err;
    int64_t began_us;
    size_t len;

    queue->count--;
    began_us = stats_now_us();
    must(ipc_unpack(buffer_view(&job->frame), &type, &message, &len, &err) == PROGRESS_DONE);
    if (type == IPC_PASSWORD_VERIFY)
        scribe__password_verify(scribe, &message.password_verify);
    else if (type == IPC_HASH_ANSWER)
        scribe__hash_answer(scribe, &message.hash_answer);
    else if (type == IPC_SIGN)
        scribe__sign(scribe, &message.sign);
    else if (type == IPC_READ_TLS_REPORT)
        scribe__read_tls_report(scribe, &message.read_tls_report);
    else
        scribe__make_portal_copy(scribe, &message.make_portal_copy);
    measure(began_us);
    explicit_bzero(&message, sizeof message);
    job_free(job);
}

/* A piece of the work whose turn it is; then one that waits may be begun. */
static void do_piece(struct scribe *scribe)
{
    struct list_link *link = list_first(&scribe->pieces);

    if (link != NULL) {
        struct piecework *work = LIST_ELEMENT(link, struct piecework, link);

        int64_t began_us = stats_now_us();

        list_remove(link);
        list_push_back(&scribe->pieces, link);
        if (work->step(scribe, work, PIECE_BYTES))
            piece_end(scribe, work);
        measure(began_us);
    }
    if (scribe->piece_count < PIECEWORK_MAX && scribe->large.count > 0)
        do_first(scribe, &scribe->large);
}

static bool has_turn(const struct scribe *scribe, enum turn turn)
{
    switch (turn) {
    case TURN_PEOPLE:
        return scribe->people.count > 0;
    case TURN_COPY:
        return scribe->copies.count > 0 && scribe->piece_count < PIECEWORK_MAX;
    case TURN_PIECE:
        return scribe->piece_count + scribe->large.count > 0;
    case TURN_COUNT:
        break;
    }
    return false;
}

void scribe_work(struct scribe *scribe)
{
    enum turn turn = scribe->last_turn;

    if (scribe->held_count > 0)
        settle(scribe);
    if (!scribe_has_work(scribe))
        return;
    do
        turn = (turn + 1) % TURN_COUNT;
    while (!has_turn(scribe, turn));
    scribe->last_turn = turn;
    if (turn == TURN_PIECE)
        do_piece(scribe);
    else
        do_first(scribe, turn == TURN_PEOPLE ? &scribe->people : &scribe->copies);
    if (scribe->held_count > 0)
        settle(scribe);
}

/* ---- questions ---- */

static void on_people(struct scribe *scribe, enum ipc_type type, const union ipc_any *message)
{
    if (scribe->people.count < SCRIBE_PEOPLE_MAX)
        put_off(&scribe->people, type, message);
    else
        scribe__refuse(scribe, type, message);
}

/* As many large messages are in work as may be: the next ones wait as questions, which are small. */
static bool must_wait(const struct scribe *scribe, uint64_t bytes)
{
    return bytes > PIECE_BYTES &&
           (scribe->piece_count >= PIECEWORK_MAX || scribe->large.count > 0);
}

static void on_sign(struct scribe *scribe, const union ipc_any *message)
{
    if (must_wait(scribe, message->sign.content.plain_bytes))
        put_off(&scribe->large, IPC_SIGN, message);
    else
        scribe__sign(scribe, &message->sign);
}

static void on_read_report(struct scribe *scribe, const union ipc_any *message)
{
    if (must_wait(scribe, message->read_tls_report.content.plain_bytes))
        put_off(&scribe->large, IPC_READ_TLS_REPORT, message);
    else
        scribe__read_tls_report(scribe, &message->read_tls_report);
}

static void on_copy(struct scribe *scribe, const union ipc_any *message)
{
    if (message->make_portal_copy.proof == READER_PROOF_ANSWER)
        put_off(&scribe->copies, IPC_MAKE_PORTAL_COPY, message);
    else if (must_wait(scribe, message->make_portal_copy.content.plain_bytes))
        put_off(&scribe->large, IPC_MAKE_PORTAL_COPY, message);
    else
        scribe__make_portal_copy(scribe, &message->make_portal_copy);
}

void scribe_on_message(struct scribe *scribe, enum ipc_type type, const union ipc_any *message)
{
    int64_t began_us = stats_now_us();
    size_t before = scribe->people.count + scribe->copies.count + scribe->large.count;

    if (type == IPC_SIGN)
        on_sign(scribe, message);
    else if (type == IPC_MAKE_MAIL)
        scribe__make_mail(scribe, &message->make_mail);
    else if (type == IPC_MAKE_TLS_REPORT)
        scribe__make_tls_report(scribe, &message->make_tls_report);
    else if (type == IPC_READ_TLS_REPORT)
        on_read_report(scribe, message);
    else if (type == IPC_PASSWORD_VERIFY || type == IPC_HASH_ANSWER)
        on_people(scribe, type, message);
    else if (type == IPC_MAKE_PORTAL_COPY)
        on_copy(scribe, message);
    else
        LOG(LOG_ERROR, "scribe.unexpected_message", log_cstr("type", ipc_type_name(type)));
    /* What was put off is measured when it is done. */
    if (scribe->people.count + scribe->copies.count + scribe->large.count == before)
        measure(began_us);
}
