/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit. Whatever writes rows is a task: a message from another role, copied, or a piece of
 * the keeper's own work. Tasks gather while the loop drains its channels; then the batch runs: small content
 * into the keeper's segment with one sync, one transaction, answers. Nothing waits for a timer; under load batches grow by
 * themselves. Lazy tasks (results of deliveries) wait for company, but not longer than a blink.
 *
 * When the commit fails nothing of the batch happened: tasks with somebody who waits for an answer
 * are refused, the others stay and are tried again. What a task wants to do after the commit
 * (answers, work in memory) it leaves with inbox_answer and inbox_after.
 */
#ifndef KEEPER_INBOX_H
#define KEEPER_INBOX_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"
#include "ipc/pack.h"
#include "os/loop.h"
#include "spool/segment.h"

struct keeper;
struct task;

struct task_kind {
    const char *name_cstr;
    bool is_lazy;
    /*
     * Before the transaction: check, and place content. False: refused alone with err. NULL:
     * nothing to prepare. No rows are written here.
     */
    bool (*prepare)(struct keeper *keeper, struct task *task, const union ipc_any *message,
                    struct err *err);
    /* Inside of the transaction: write rows. May run again after a failed commit. */
    void (*run)(struct keeper *keeper, struct task *task, const union ipc_any *message);
    /* Nothing happened: tell who waits. NULL: the task stays and is tried again. */
    void (*refuse)(struct keeper *keeper, struct task *task, const union ipc_any *message,
                   const struct err *why);
    /* Free `context`. NULL: nothing to free. */
    void (*release)(struct keeper *keeper, struct task *task);
};

struct task {
    struct list_link link;
    const struct task_kind *kind;
    uint64_t peer;      /* who sent it; 0 = the keeper itself */
    enum ipc_type type; /* IPC_NONE: no message */
    void *context;
    uint64_t a, b, c; /* the kind's own */
    bool
        is_placed; /* prepare has put content into the keeper's own segment: refused when its sync fails */
    size_t frame_len;
    uint8_t frame[];
};

/* What happens after the commit; not at all when it fails. */
typedef void after_fn(struct keeper *keeper, uint64_t a, uint64_t b, uint64_t c);
struct after {
    after_fn *fn;
    uint64_t a, b, c;
};
struct answer {
    uint64_t peer;
    size_t frame_len; /* in the buffer of answers */
};

enum { INBOX_SEGMENTS = 64 };
struct segment_change {
    enum spool_kind kind;
    uint64_t segment;
    int64_t change;
};

struct inbox {
    struct keeper *keeper;
    struct list tasks;
    size_t count, urgent_count;
    struct loop_timer *timer;
    bool is_running;
    struct buffer scratch, answers;
    struct answer *answer_list;
    size_t answer_count, answer_cap;
    struct after *after_list;
    size_t after_count, after_cap;
    struct segment_change changes[INBOX_SEGMENTS];
    size_t change_count;
    int64_t room_checked_ms; /* loop clock */
    bool has_room;
    bool is_failing; /* the last commit failed */
    uint64_t batches, tasks_done, last_batch, largest_batch, failures;
};

void inbox_init(struct inbox *inbox, struct keeper *keeper);
/* Tasks that still wait are lost: run inbox_flush before. */
void inbox_deinit(struct inbox *inbox);

/* Put a message from a peer in (copied). */
void inbox_put(struct keeper *keeper, const struct task_kind *kind, uint64_t peer,
               enum ipc_type type, const void *message);
/* As inbox_put, with the kind's own context and numbers. type IPC_NONE: no message. */
void inbox_put_own(struct keeper *keeper, const struct task_kind *kind, enum ipc_type type,
                   const void *message, void *context, uint64_t a, uint64_t b, uint64_t c);
/* A `release` for a context that is one malloc and holds no secret. */
void inbox_free_context(struct keeper *keeper, struct task *task);
/* Run the batch now. */
void inbox_flush(struct keeper *keeper);

/* For task_kind.run: send after the commit. */
void inbox_answer(struct keeper *keeper, uint64_t peer, enum ipc_type type,
                  const void *message);
void inbox_after(struct keeper *keeper, after_fn *fn, uint64_t a, uint64_t b, uint64_t c);
/* Count a segment's users up or down; written once per batch. */
void inbox_count_segment(struct keeper *keeper, enum spool_kind kind, uint64_t segment,
                         int64_t change);

#endif
