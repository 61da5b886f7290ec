/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "keeper/internal.h"
#include "keeper/tls_reported.h"
#include "store/message.h"
#include "store/segment.h"

#include <stdlib.h>

enum {
    EVERY_MS = 10000,
    DEAD_PAGE = 256,
    PURGE_PAGE = 500,
    PURGE_AGAIN_MS = 200, /* when there is more: a part of our time, and more than comes in */
    GARBAGE_ROUNDS = 6,   /* files without a row: not in each round */
    /* A file without a row is garbage only when no message in it can still be on its way to us. */
    GARBAGE_AGE_MS = 60 * 60 * 1000,
};

/* The oldest id of that time: ids sort by time. */
static uint64_t id_at(int64_t at_ms)
{
    struct id_maker maker = {0};

    return id_next(&maker, at_ms);
}

/* ---- segments ---- */

struct folder {
    enum spool_kind kind;
    int fd;
    struct spool_checker *checker;
};

static bool remove_segment(struct keeper *keeper, const struct folder *folder, uint64_t segment)
{
    struct err err = {0};

    spool_checker_forget(folder->checker, segment);
    switch (spool_segment_remove(folder->fd, segment, &err)) {
    case SPOOL_REMOVED:
        break;
    case SPOOL_IN_USE:
        return false;
    case SPOOL_REMOVAL_FAILED:
        LOG(LOG_WARN, "keeper.segment_not_removed", log_id("segment", segment),
            log_cstr("why", err.text_cstr));
        return false;
    }
    if (folder->kind == SPOOL_QUEUE)
        spool_keyring_forget(keeper->ring, segment);
    return true;
}

static void sweep_dead(struct keeper *keeper, const struct folder *folder)
{
    uint64_t dead[DEAD_PAGE];
    size_t count = store_segment_dead(keeper->store, folder->kind, 0, dead, DEAD_PAGE);

    for (size_t i = 0; i < count; i++)
        if (remove_segment(keeper, folder, dead[i]))
            store_segment_forget(keeper->store, dead[i]);
}

/* Files that no row names: content that was never acknowledged. */
static void sweep_garbage(struct keeper *keeper, const struct folder *folder)
{
    struct spool_segment_info *list = NULL;
    size_t count = 0;
    struct err err = {0};

    if (!spool_segment_list(folder->fd, &list, &count, &err)) {
        LOG(LOG_WARN, "keeper.segments_not_listed", log_cstr("why", err.text_cstr));
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (id_time_ms(list[i].segment) < clock_unix_ms() - GARBAGE_AGE_MS &&
            !store_segment_exists(keeper->store, list[i].segment))
            remove_segment(keeper, folder, list[i].segment);
    free(list);
}

static void sweep(struct keeper *keeper, bool with_garbage)
{
    struct folder folders[] = {{SPOOL_QUEUE, keeper->queue_fd, keeper->queue_checker},
                               {SPOOL_PORTAL, keeper->portal_fd, keeper->portal_checker}};

    if (backup_is_under_way(keeper))
        return; /* the snapshot may still need them */
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        sweep_dead(keeper, &folders[i]);
        if (with_garbage)
            sweep_garbage(keeper, &folders[i]);
    }
}

void keeper_sweep_segments(struct keeper *keeper)
{
    sweep(keeper, true);
}

/* ---- the round ---- */

/*
 * Files go only by what is committed: a segment that this batch would have emptied is still needed
 * when the commit fails.
 */
static void after_commit(struct keeper *keeper, uint64_t a, uint64_t b, uint64_t c)
{
    struct err err = {0};

    (void)a;
    (void)b;
    (void)c;
    keeper->swept_ms = loop_now_ms();
    sweep(keeper, keeper->sweeps++ % GARBAGE_ROUNDS == 0);
    if (!store_commit(keeper->store, &err))
        LOG(LOG_WARN, "keeper.sweep_not_recorded", log_cstr("why", err.text_cstr));
}

static void purge_old(struct keeper *keeper, int64_t before_ms)
{
    store_message_purge(keeper->store, id_at(before_ms), PURGE_PAGE);
    if (keeper->sweeps % GARBAGE_ROUNDS == 0)
        tls_reported_purge(keeper);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    int64_t before_ms = clock_unix_ms() - keeper->settings->story_keep_ms;

    (void)task;
    (void)unused;
    if (clock_doubt_ms(keeper) == 0)
        purge_old(keeper, before_ms);
    (void)clock_bring_near(keeper);
    if (loop_now_ms() - keeper->swept_ms >= EVERY_MS)
        inbox_after(keeper, after_commit, 0, 0, 0);
}

static const struct task_kind kind_housekeeping = {
    .name_cstr = "housekeeping", .is_lazy = true, .run = run};

void keeper_housekeeping(void *context)
{
    struct keeper *keeper = context;

    spool_writer_tick(keeper->queue_writer, clock_unix_ms());
    sessions_sweep(&keeper->sessions, loop_now_ms());
    if (!keeper->inbox.is_failing)
        inbox_put_own(keeper, &kind_housekeeping, IPC_NONE, NULL, NULL, 0, 0, 0);
    loop_timer_set(keeper->housekeeping,
                   store_message_purge_goes_on(keeper->store) || keeper->clock.is_walking
                       ? PURGE_AGAIN_MS
                       : EVERY_MS);
}
