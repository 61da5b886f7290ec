/* SPDX-License-Identifier: Apache-2.0 */
#include "scribe/scribe.h"

#include "base/log.h"
#include "scribe/internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    list_init(&scribe->people.jobs);
    list_init(&scribe->copies.jobs);
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

void scribe_free(struct scribe **scribe)
{
    struct scribe *it = *scribe;

    if (it == NULL)
        return;
    queue_clear(&it->people);
    queue_clear(&it->copies);
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

void scribe__answer(struct scribe *scribe, enum ipc_type type, const void *message)
{
    scribe->options.answer(scribe->options.context, type, message);
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
    return scribe->people.count + scribe->copies.count > 0;
}

/* People and copies take turns when both wait. */
static struct slow_queue *choose_queue(struct scribe *scribe)
{
    bool people = scribe->people.count > 0 &&
                  (scribe->copies.count == 0 || !scribe->people_had_their_turn);

    scribe->people_had_their_turn = people;
    return people ? &scribe->people : &scribe->copies;
}

void scribe_work(struct scribe *scribe)
{
    struct slow_queue *queue = choose_queue(scribe);
    struct list_link *link = list_take_first(&queue->jobs);
    struct slow_job *job;
    union ipc_any message;
    enum ipc_type type;
    struct err err;
    size_t len;

    if (link == NULL)
        return;
    queue->count--;
    job = LIST_ELEMENT(link, struct slow_job, link);
    must(ipc_unpack(buffer_view(&job->frame), &type, &message, &len, &err) == PROGRESS_DONE);
    if (type == IPC_PASSWORD_VERIFY)
        scribe__password_verify(scribe, &message.password_verify);
    else if (type == IPC_HASH_ANSWER)
        scribe__hash_answer(scribe, &message.hash_answer);
    else
        scribe__make_portal_copy(scribe, &message.make_portal_copy);
    explicit_bzero(&message, sizeof message);
    job_free(job);
}

/* ---- questions ---- */

static void on_people(struct scribe *scribe, enum ipc_type type, const union ipc_any *message)
{
    if (scribe->people.count < SCRIBE_PEOPLE_MAX)
        put_off(&scribe->people, type, message);
    else
        scribe__refuse(scribe, type, message);
}

void scribe_on_message(struct scribe *scribe, enum ipc_type type, const union ipc_any *message)
{
    if (type == IPC_SIGN)
        scribe__sign(scribe, &message->sign);
    else if (type == IPC_MAKE_MAIL)
        scribe__make_mail(scribe, &message->make_mail);
    else if (type == IPC_PASSWORD_VERIFY || type == IPC_HASH_ANSWER)
        on_people(scribe, type, message);
    else if (type == IPC_MAKE_PORTAL_COPY &&
             message->make_portal_copy.proof == READER_PROOF_ANSWER)
        put_off(&scribe->copies, type, message);
    else if (type == IPC_MAKE_PORTAL_COPY)
        scribe__make_portal_copy(scribe, &message->make_portal_copy);
    else
        LOG(LOG_ERROR, "scribe.unexpected_message", log_cstr("type", ipc_type_name(type)));
}
