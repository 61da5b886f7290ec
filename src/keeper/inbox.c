/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/inbox.h"

#include "base/log.h"
#include "keeper/internal.h"
#include "store/segment.h"

#include <stdlib.h>
#include <string.h>

enum {
    LAZY_MS = 20,        /* how long results of deliveries wait for company */
    RETRY_MS = 500,      /* after a failed commit, for what nobody waits for */
    LAZY_MANY = 256,     /* so many results are company enough */
    ROOM_CHECK_MS = 100, /* how often the disk is asked for its free space */
    TASK_MAX_BYTES = IPC_FRAME_MAX_BYTES + IPC_FRAME_HEAD_BYTES,
};

static void on_timer(void *context);

void inbox_init(struct inbox *inbox, struct keeper *keeper)
{
    *inbox = (struct inbox){.keeper = keeper, .has_room = true};
    list_init(&inbox->tasks);
    buffer_init(&inbox->scratch, TASK_MAX_BYTES);
    buffer_init(&inbox->answers, 256U << 20);
    inbox->timer = loop_timer_new(keeper->loop, on_timer, inbox);
}

void inbox_free_context(struct keeper *keeper, struct task *task)
{
    (void)keeper;
    free(task->context);
}

static void free_task(struct keeper *keeper, struct task *task)
{
    list_remove(&task->link);
    if (task->kind->release != NULL)
        task->kind->release(keeper, task);
    /* Passwords, answers and keys come in messages. */
    explicit_bzero(task->frame, task->frame_len);
    free(task);
}

void inbox_deinit(struct inbox *inbox)
{
    struct list_link *link;

    while ((link = list_first(&inbox->tasks)) != NULL)
        free_task(inbox->keeper, LIST_ELEMENT(link, struct task, link));
    buffer_wipe(&inbox->scratch);
    buffer_wipe(&inbox->answers);
    free(inbox->answer_list);
    free(inbox->after_list);
    loop_timer_free(&inbox->timer);
}

static void arm(struct inbox *inbox)
{
    if (inbox->is_running || inbox->count == 0)
        return;
    if (inbox->is_failing)
        loop_timer_set(inbox->timer, inbox->urgent_count > 0 ? 1 : RETRY_MS);
    else if (inbox->urgent_count > 0 || inbox->count >= LAZY_MANY)
        loop_timer_set(inbox->timer, 0);
    else if (!loop_timer_is_set(inbox->timer))
        loop_timer_set(inbox->timer, LAZY_MS);
}

static void put(struct keeper *keeper, const struct task_kind *kind, uint64_t peer,
                enum ipc_type type, const void *message, void *context, const uint64_t abc[3])
{
    struct inbox *inbox = &keeper->inbox;
    struct task *task;
    bool is_first;

    buffer_clear(&inbox->scratch);
    if (type != IPC_NONE)
        must(ipc_pack(type, message, &inbox->scratch)); /* it came in a frame of that size */
    task = malloc(sizeof *task + buffer_len(&inbox->scratch));
    must(task != NULL);
    *task = (struct task){.kind = kind,
                          .peer = peer,
                          .type = type,
                          .context = context,
                          .a = abc[0],
                          .b = abc[1],
                          .c = abc[2],
                          .frame_len = buffer_len(&inbox->scratch)};
    if (task->frame_len > 0)
        memcpy(task->frame, buffer_view(&inbox->scratch).at, task->frame_len);
    list_push_back(&inbox->tasks, &task->link);
    is_first = inbox->count == 0 || (inbox->urgent_count == 0 && !kind->is_lazy);
    inbox->count++;
    inbox->urgent_count += kind->is_lazy ? 0 : 1;
    if (is_first || inbox->count == LAZY_MANY)
        arm(inbox);
}

void inbox_put(struct keeper *keeper, const struct task_kind *kind, uint64_t peer,
               enum ipc_type type, const void *message)
{
    put(keeper, kind, peer, type, message, NULL, (const uint64_t[3]){0, 0, 0});
}

void inbox_put_own(struct keeper *keeper, const struct task_kind *kind, enum ipc_type type,
                   const void *message, void *context, uint64_t a, uint64_t b, uint64_t c)
{
    put(keeper, kind, 0, type, message, context, (const uint64_t[3]){a, b, c});
}

void inbox_answer(struct keeper *keeper, uint64_t peer, enum ipc_type type, const void *message)
{
    struct inbox *inbox = &keeper->inbox;
    size_t before = buffer_len(&inbox->answers);

    if (peer == 0)
        return;
    if (inbox->answer_count == inbox->answer_cap) {
        inbox->answer_cap = inbox->answer_cap == 0 ? 64 : inbox->answer_cap * 2;
        inbox->answer_list =
            realloc(inbox->answer_list, inbox->answer_cap * sizeof *inbox->answer_list);
        must(inbox->answer_list != NULL);
    }
    must(ipc_pack(type, message, &inbox->answers));
    inbox->answer_list[inbox->answer_count++] =
        (struct answer){peer, buffer_len(&inbox->answers) - before};
}

void inbox_after(struct keeper *keeper, after_fn *fn, uint64_t a, uint64_t b, uint64_t c)
{
    struct inbox *inbox = &keeper->inbox;

    if (inbox->after_count == inbox->after_cap) {
        inbox->after_cap = inbox->after_cap == 0 ? 64 : inbox->after_cap * 2;
        inbox->after_list =
            realloc(inbox->after_list, inbox->after_cap * sizeof *inbox->after_list);
        must(inbox->after_list != NULL);
    }
    inbox->after_list[inbox->after_count++] = (struct after){fn, a, b, c};
}

static void write_segment_counts(struct keeper *keeper)
{
    struct inbox *inbox = &keeper->inbox;

    for (size_t i = 0; i < inbox->change_count; i++)
        if (inbox->changes[i].change != 0)
            store_segment_count(keeper->store, inbox->changes[i].kind,
                                inbox->changes[i].segment, inbox->changes[i].change);
    inbox->change_count = 0;
}

void inbox_count_segment(struct keeper *keeper, enum spool_kind kind, uint64_t segment,
                         int64_t change)
{
    struct inbox *inbox = &keeper->inbox;

    for (size_t i = inbox->change_count; i-- > 0;)
        if (inbox->changes[i].segment == segment) {
            inbox->changes[i].change += change;
            return;
        }
    if (inbox->change_count == INBOX_SEGMENTS)
        write_segment_counts(keeper);
    inbox->changes[inbox->change_count++] = (struct segment_change){kind, segment, change};
}

static const union ipc_any *read_frame(const struct task *task, union ipc_any *message_out)
{
    enum ipc_type type;
    size_t len;
    struct err err;

    if (task->type == IPC_NONE)
        return NULL;
    must(ipc_unpack(slice_of(task->frame, task->frame_len), &type, message_out, &len, &err) ==
         PROGRESS_DONE);
    return message_out;
}

static void refuse(struct keeper *keeper, struct task *task, const struct err *why)
{
    union ipc_any any;

    if (task->kind->refuse != NULL)
        task->kind->refuse(keeper, task, read_frame(task, &any), why);
    explicit_bzero(&any, sizeof any);
}

/* One sync for all content that was placed; when it fails, none of it counts. */
static void sync_placed(struct keeper *keeper, struct list *batch)
{
    struct list_link *link = list_first(batch), *next;
    struct err err = {0};

    if (spool_writer_sync(keeper->queue_writer, &err))
        return;
    LOG(LOG_ERROR, "keeper.not_durable", log_cstr("why", err.text_cstr));
    for (; link != NULL; link = next) {
        struct task *task = LIST_ELEMENT(link, struct task, link);

        next = list_next(batch, link);
        if (!task->is_placed)
            continue;
        refuse(keeper, task, &err);
        free_task(keeper, task);
    }
}

/* Checks and syncs; those that fail are refused and leave the batch. */
static void prepare_all(struct keeper *keeper, struct list *batch)
{
    struct list_link *link = list_first(batch), *next;

    for (; link != NULL; link = next) {
        struct task *task = LIST_ELEMENT(link, struct task, link);
        struct err err = {0};
        union ipc_any any;

        next = list_next(batch, link);
        if (task->kind->prepare == NULL ||
            task->kind->prepare(keeper, task, read_frame(task, &any), &err))
            continue;
        LOG(LOG_WARN, "keeper.refused", log_cstr("why", err.text_cstr));
        refuse(keeper, task, &err);
        free_task(keeper, task);
    }
    sync_placed(keeper, batch);
}

static bool check_room(struct keeper *keeper, struct err *err)
{
    struct inbox *inbox = &keeper->inbox;
    int64_t now_ms = loop_now_ms();

    if (now_ms - inbox->room_checked_ms >= ROOM_CHECK_MS) {
        inbox->room_checked_ms = now_ms;
        inbox->has_room =
            store_has_room(keeper->store, keeper->settings->limits.disk_reserve_bytes);
    }
    if (inbox->has_room)
        return true;
    return FAIL_SMTP(err, ERR_TEMP, 452, "4.3.1", "the disk's reserve is reached");
}

/* With no room left only what finishes work goes on; who brings more is refused. */
static void refuse_newcomers(struct keeper *keeper, struct list *batch, const struct err *why)
{
    struct list_link *link = list_first(batch), *next;

    for (; link != NULL; link = next) {
        struct task *task = LIST_ELEMENT(link, struct task, link);

        next = list_next(batch, link);
        if (task->kind->prepare == NULL)
            continue;
        refuse(keeper, task, why);
        free_task(keeper, task);
    }
}

static size_t run_all(struct keeper *keeper, struct list *batch)
{
    size_t count = 0;

    for (struct list_link *link = list_first(batch); link != NULL;
         link = list_next(batch, link)) {
        struct task *task = LIST_ELEMENT(link, struct task, link);
        union ipc_any any;

        task->kind->run(keeper, task, read_frame(task, &any));
        count++;
    }
    write_segment_counts(keeper);
    return count;
}

static void drop_effects(struct inbox *inbox)
{
    inbox->answer_count = inbox->after_count = inbox->change_count = 0;
    buffer_clear(&inbox->answers);
}

/* Move the effects out first: what runs may leave new ones. */
static void run_effects(struct keeper *keeper)
{
    struct inbox *inbox = &keeper->inbox;
    struct slice frames = buffer_view(&inbox->answers);

    for (size_t i = 0; i < inbox->answer_count; i++) {
        union ipc_any any;
        enum ipc_type type;
        size_t len;
        struct err err;

        must(ipc_unpack(slice_head(frames, inbox->answer_list[i].frame_len), &type, &any, &len,
                        &err) == PROGRESS_DONE);
        peer_send(keeper, inbox->answer_list[i].peer, type, &any);
        frames = slice_from(frames, len);
    }
    inbox->answer_count = 0;
    buffer_clear_wiped(&inbox->answers);
    for (size_t i = 0; i < inbox->after_count; i++) {
        struct after after = inbox->after_list[i];

        after.fn(keeper, after.a, after.b, after.c);
    }
    inbox->after_count = 0;
}

static void give_up(struct keeper *keeper, struct list *batch, const struct err *why)
{
    struct inbox *inbox = &keeper->inbox;
    struct list_link *link;

    if (!inbox->is_failing)
        LOG(LOG_ERROR, "keeper.commit_failed", log_cstr("why", why->text_cstr));
    inbox->is_failing = true;
    inbox->failures++;
    STAT_ADD(KEEPER_COMMITS_FAILED, 1);
    drop_effects(inbox);
    domains_on_rollback(keeper);
    memories_on_rollback(keeper);
    while ((link = list_take_first(batch)) != NULL) {
        struct task *task = LIST_ELEMENT(link, struct task, link);

        if (task->kind->refuse == NULL) {
            list_push_back(&inbox->tasks, &task->link);
            inbox->count++;
            inbox->urgent_count += task->kind->is_lazy ? 0 : 1;
            continue;
        }
        refuse(keeper, task, why);
        free_task(keeper, task);
    }
}

static void finish(struct keeper *keeper, struct list *batch, size_t count)
{
    struct inbox *inbox = &keeper->inbox;
    struct list_link *link;

    if (inbox->is_failing)
        LOG(LOG_INFO, "keeper.commit_recovered", log_u64("tasks", count));
    inbox->is_failing = false;
    inbox->batches++;
    inbox->tasks_done += count;
    inbox->last_batch = count;
    STAT_MEASURE(KEEPER_BATCH, count);
    if (count > inbox->largest_batch)
        inbox->largest_batch = count;
    domains_on_commit(keeper);
    run_effects(keeper);
    while ((link = list_first(batch)) != NULL)
        free_task(keeper, LIST_ELEMENT(link, struct task, link));
}

/* Take the tasks that wait now; those that come meanwhile are the next batch. */
static void take_batch(struct inbox *inbox, struct list *batch_out)
{
    struct list_link *link;

    list_init(batch_out);
    while ((link = list_take_first(&inbox->tasks)) != NULL)
        list_push_back(batch_out, link);
    inbox->count = inbox->urgent_count = 0;
}

void inbox_flush(struct keeper *keeper)
{
    struct inbox *inbox = &keeper->inbox;
    struct list batch;
    struct err err = {0};
    size_t count;

    if (inbox->is_running || inbox->count == 0)
        return;
    inbox->is_running = true;
    loop_timer_clear(inbox->timer);
    take_batch(inbox, &batch);
    if (check_room(keeper, &err))
        prepare_all(keeper, &batch);
    else
        refuse_newcomers(keeper, &batch, &err);
    store_begin(keeper->store);
    count = run_all(keeper, &batch);
    if (store_commit(keeper->store, &err))
        finish(keeper, &batch, count);
    else
        give_up(keeper, &batch, &err);
    inbox->is_running = false;
    arm(inbox);
    store_checkpoint_if_due(keeper->store);
    schedule_wake(keeper);
}

static void on_timer(void *context)
{
    struct inbox *inbox = context;

    inbox_flush(inbox->keeper);
}
