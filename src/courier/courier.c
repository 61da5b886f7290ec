/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The courier: takes `deliver` jobs from the keeper, carries them, answers each with exactly one `delivered`. It keeps
 * nothing: a job that it still has when it ends is put back by the keeper.
 */
#include "base/list.h"
#include "base/log.h"
#include "base/stats.h"
#include "deliver/deliverer.h"
#include "role/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, RESULTS_MAX_BYTES = 64 << 20, DRAIN_LOOK_MS = 20, TALLY_MS = 60000 };

/* One set of settings with what was made of it. The newest takes new jobs, the others run out. */
struct epoch {
    struct list_link link;
    struct courier *courier;
    struct deliverer *deliverer;
};

struct courier {
    struct role *role;
    int spool_dir_fd;
    struct list epochs; /* the newest first */
    struct buffer results;
    struct loop_timer *drain_timer;
    struct loop_timer *tally_timer;
    uint64_t delivered, temporary, permanent,
        not_proved; /* recipients, since the last log line */
};

static void epoch_free(struct epoch *epoch)
{
    list_remove(&epoch->link);
    deliverer_free(&epoch->deliverer);
    free(epoch);
}

/* ---- answers ---- */

static void tally(struct courier *courier, const struct delivery *delivery)
{
    uint64_t *const counters[OUTCOME_COUNT] = {
        [OUTCOME_DELIVERED] = &courier->delivered,
        [OUTCOME_TEMPORARY] = &courier->temporary,
        [OUTCOME_PERMANENT] = &courier->permanent,
        [OUTCOME_NOT_PROVED] = &courier->not_proved,
    };

    for (size_t i = 0; i < delivery->recipient_count; i++)
        ++*counters[delivery->recipients[i].outcome];
}

static void send_report(struct courier *courier, const struct delivery *delivery)
{
    struct ipc_delivered report;

    buffer_clear(&courier->results);
    if (delivery_report(delivery, &courier->results, &report) &&
        ipc_send(courier->role->keeper, IPC_DELIVERED, &report))
        return;
    /* A job without its answer would stay under way for ever: end, and all of them are put back. */
    LOG(LOG_ERROR, "courier.keeper_does_not_read", log_u64("job", delivery->job));
    loop_stop(courier->role->loop);
}

static void log_outcome(const struct delivery *delivery)
{
    const struct delivery_recipient *first = &delivery->recipients[0];

    if (delivery->is_probe || first->outcome == OUTCOME_DELIVERED)
        return;
    LOG(LOG_DEBUG, "courier.not_delivered", log_id("message", delivery->message),
        log_cstr("domain", delivery->domain_cstr), log_u64("outcome", first->outcome),
        log_cstr("mx", delivery->evidence.mx_cstr), log_u64("code", first->code));
}

static void on_finished(void *context, struct delivery *delivery)
{
    struct epoch *epoch = context;

    STAT_MEASURE(COURIER_DELIVERY, stats_now_us() - delivery->began_us);
    tally(epoch->courier, delivery);
    log_outcome(delivery);
    send_report(epoch->courier, delivery);
    delivery_free(&delivery);
}

/* ---- hosts ---- */

static void on_ask_host(void *context, uint64_t ask, const char *host_cstr)
{
    struct epoch *epoch = context;
    struct courier *courier = epoch->courier;
    struct ipc_host_ask question = {.ask = ask, .host = slice_from_cstr(host_cstr)};

    if (!ipc_send(courier->role->keeper, IPC_HOST_ASK, &question))
        loop_stop(courier->role->loop);
}

/* Whichever epoch has asked. */
static void take_host(struct courier *courier, const struct ipc_host_known *known)
{
    struct list_link *link = list_first(&courier->epochs);

    for (; link != NULL; link = list_next(&courier->epochs, link))
        deliverer_host_known(LIST_ELEMENT(link, struct epoch, link)->deliverer, known->ask,
                             known->ratcheted, known->small_hello);
}

/* What was counted since the last line, if anything. */
static void on_tally(void *context)
{
    struct courier *courier = context;

    if (courier->delivered + courier->temporary + courier->permanent + courier->not_proved > 0)
        LOG(LOG_INFO, "courier.tally", log_u64("delivered", courier->delivered),
            log_u64("temporary", courier->temporary), log_u64("permanent", courier->permanent),
            log_u64("not_proved", courier->not_proved));
    courier->delivered = courier->temporary = courier->permanent = courier->not_proved = 0;
    loop_timer_set(courier->tally_timer, TALLY_MS);
}

/* ---- jobs ---- */

/* A job that cannot even be read: its recipients are not known, an empty list says "none of them". */
static void refuse(struct courier *courier, const struct ipc_deliver *job,
                   const struct err *err)
{
    struct ipc_delivered report = {.job = job->job, .trail = slice_from_cstr(err->text_cstr)};

    LOG(LOG_ERROR, "courier.bad_job", log_u64("job", job->job),
        log_cstr("problem", err->text_cstr));
    if (!ipc_send(courier->role->keeper, IPC_DELIVERED, &report))
        loop_stop(courier->role->loop);
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct role *role = context;
    struct courier *courier = role->context;
    struct delivery *delivery;
    struct epoch *newest;
    struct err err;

    (void)channel;
    if (type == IPC_HOST_KNOWN) {
        take_host(courier, &message->host_known);
        return;
    }
    if (type != IPC_DELIVER) {
        LOG(LOG_ERROR, "courier.unexpected_message", log_cstr("type", ipc_type_name(type)));
        return;
    }
    /* Draining: what is not begun is not answered; the keeper puts it back when we have gone. */
    if (role->is_draining)
        return;
    if (!delivery_new(&message->deliver, &delivery, &err)) {
        refuse(courier, &message->deliver, &err);
        return;
    }
    delivery->began_us = stats_now_us();
    STAT_ADD(COURIER_JOBS, 1);
    newest = LIST_ELEMENT(list_first(&courier->epochs), struct epoch, link);
    deliverer_submit(newest->deliverer, delivery);
}

/* ---- life ---- */

static bool open_spool(struct courier *courier, struct err *err)
{
    char path_cstr[PATH_SIZE];

    role_spool_path(courier->role, "queue", path_cstr, sizeof path_cstr);
    courier->spool_dir_fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (courier->spool_dir_fd < 0)
        return FAIL(err, ERR_PERM, "cannot open the folder %s: %s", path_cstr, strerror(errno));
    return true;
}

/* Epochs that have nothing left to do, but for the newest. */
static void drop_old_epochs(struct courier *courier)
{
    struct list_link *link = list_next(&courier->epochs, list_first(&courier->epochs));

    while (link != NULL) {
        struct epoch *epoch = LIST_ELEMENT(link, struct epoch, link);

        link = list_next(&courier->epochs, link);
        if (deliverer_count(epoch->deliverer) == 0)
            epoch_free(epoch);
    }
}

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    static const struct deliverer_handlers handlers = {.on_finished = on_finished,
                                                       .on_ask_host = on_ask_host};
    struct courier *courier = role->context;
    struct epoch *epoch;

    courier->role = role;
    if (is_first && !open_spool(courier, err))
        return false;
    epoch = calloc(1, sizeof *epoch);
    must(epoch != NULL);
    epoch->courier = courier;
    if (!deliverer_new(role->loop, role->settings, courier->spool_dir_fd, &handlers, epoch,
                       &epoch->deliverer, err)) {
        free(epoch);
        return false;
    }
    if (role->settings->trusted_roots.bytes.len == 0)
        LOG(LOG_WARN, "courier.no_trusted_roots",
            log_cstr("detail",
                     "no connection can be proved: all secure mail goes to the portal"));
    list_push_front(&courier->epochs, &epoch->link);
    drop_old_epochs(courier);
    if (is_first) {
        courier->tally_timer = loop_timer_new(role->loop, on_tally, courier);
        loop_timer_set(courier->tally_timer, TALLY_MS);
    }
    return true;
}

static size_t in_transit(struct courier *courier)
{
    struct list_link *link = list_first(&courier->epochs);
    size_t count = 0;

    for (; link != NULL; link = list_next(&courier->epochs, link))
        count += deliverer_in_transit(LIST_ELEMENT(link, struct epoch, link)->deliverer);
    return count;
}

/*
 * Messages that a host is hearing right now are finished, so that none is sent twice; those that wait are
 * left: unanswered, they go back to the queue without counting as an attempt.
 */
static void on_drain_look(void *context)
{
    struct courier *courier = context;

    if (in_transit(courier) == 0)
        role_finished(courier->role);
    else
        loop_timer_set(courier->drain_timer, DRAIN_LOOK_MS);
}

static void stop_waiting_work(struct courier *courier)
{
    struct list_link *link = list_first(&courier->epochs);

    for (; link != NULL; link = list_next(&courier->epochs, link))
        deliverer_drain(LIST_ELEMENT(link, struct epoch, link)->deliverer);
}

static void on_report(struct role *role)
{
    struct courier *courier = role->context;
    struct list_link *link = list_first(&courier->epochs);
    size_t count = 0;

    for (; link != NULL; link = list_next(&courier->epochs, link))
        count += deliverer_count(LIST_ELEMENT(link, struct epoch, link)->deliverer);
    STAT_SET(COURIER_WAITING, count);
}

static void on_drain(struct role *role)
{
    struct courier *courier = role->context;

    stop_waiting_work(courier);
    courier->drain_timer = loop_timer_new(role->loop, on_drain_look, courier);
    loop_timer_set(courier->drain_timer, 1);
}

static void on_end(struct role *role)
{
    struct courier *courier = role->context;
    struct list_link *link;

    while ((link = list_first(&courier->epochs)) != NULL)
        epoch_free(LIST_ELEMENT(link, struct epoch, link));
    loop_timer_free(&courier->drain_timer);
    loop_timer_free(&courier->tally_timer);
    buffer_deinit(&courier->results);
    close(courier->spool_dir_fd);
}

int courier_main(unsigned index)
{
    static const struct role_hooks hooks = {
        .on_configure = on_configure,
        .on_keeper_message = on_keeper_message,
        .on_drain = on_drain,
        .on_end = on_end,
        .on_report = on_report,
    };
    struct courier courier = {.spool_dir_fd = -1};

    list_init(&courier.epochs);
    buffer_init(&courier.results, RESULTS_MAX_BYTES);
    return role_run(ROLE_COURIER, index, &hooks, &courier);
}
