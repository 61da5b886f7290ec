/* SPDX-License-Identifier: Apache-2.0 */
/* Hold, release, retry, purge. */
#include "keeper/queue.h"

#include "keeper/internal.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"
#include "keeper/silence.h"
#include "keeper/story.h"

#include <stdlib.h>

/* One recipient; false: nothing to change about it. */
typedef bool change_fn(struct keeper *keeper, const struct store_message *message,
                       struct store_recipient *row);

static bool hold_row(struct keeper *keeper, const struct store_message *message,
                     struct store_recipient *row)
{
    (void)message;
    if (row->is_held || !queue_is_waiting(row) || row->owes != 0)
        return false;
    row->is_held = true;
    row->due_ms = RECIPIENT_NOT_DUE;
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_HELD, NULL, 0);
    store_recipient_update(keeper->store, row);
    results_settle(keeper, row);
    return true;
}

static bool release_row(struct keeper *keeper, const struct store_message *message,
                        struct store_recipient *row)
{
    (void)message;
    if (!row->is_held)
        return false;
    row->is_held = false;
    row->due_ms = schedule_stamp(keeper, clock_unix_ms());
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_RELEASED, NULL, 0);
    store_recipient_update(keeper->store, row);
    results_settle(keeper, row);
    return true;
}

static bool retry_row(struct keeper *keeper, const struct store_message *message,
                      struct store_recipient *row)
{
    struct domain *domain;

    (void)message;
    /* What is due already is on its way. */
    if (row->is_held || !queue_is_waiting(row) || row->due_ms <= clock_unix_ms())
        return false;
    row->due_ms = schedule_stamp(keeper, clock_unix_ms());
    store_recipient_update(keeper->store, row);
    results_settle(keeper, row);
    domain = domain_get(keeper, row->domain);
    if (domain != NULL)
        for (struct lane *lane = domain->provider->lanes; lane != NULL; lane = lane->next)
            silence_end(&lane->circuit, slice_from_cstr(domain->row.name_cstr));
    return true;
}

static bool purge_row(struct keeper *keeper, const struct store_message *message,
                      struct store_recipient *row)
{
    struct story_message story = story_message_of(message);

    if (!queue_is_waiting(row))
        return false;
    row->is_held = false;
    row->due_ms = RECIPIENT_NOT_DUE;
    row->owes = 0;
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_PURGED, NULL, 0);
    if (!story_move(keeper, &story, row, MOVE_PURGE))
        return false;
    retractions_note(keeper, row->message, row->number, STATE_DELETED);
    results_settle(keeper, row);
    /* Nobody will come for what a purged notice told of: its sender hears so. */
    if (message->kind == KIND_NOTICE)
        portal_notice_bounced(keeper, message->parent, message->parent_number, message->id);
    return true;
}

static bool change_one(struct keeper *keeper, uint64_t message_id, uint64_t number,
                       change_fn *change)
{
    struct store_message message;
    struct store_recipient row;

    /* What a courier has in hand now will be as its answer says. */
    if (schedule_is_working(keeper, message_id, number) ||
        !store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row))
        return false;
    return change(keeper, &message, &row);
}

static uint64_t change_message(struct keeper *keeper, uint64_t id, change_fn *change)
{
    struct store_message message;
    uint64_t changed = 0, count = 0;

    if (store_message_get(keeper->store, id, &message))
        count = message.recipients;
    for (uint64_t number = 0; number < count; number++)
        changed += change_one(keeper, id, number, change) ? 1 : 0;
    return changed;
}

/* ---- a whole domain, batch by batch ---- */

static const struct verb {
    const char *name_cstr;
    change_fn *change;
    bool walks_due, walks_held; /* which rows it is about */
} verbs[] = {
    {"hold", hold_row, true, false},
    {"release", release_row, false, true},
    {"retry", retry_row, true, false},
    /* A purge takes what is put aside as well. */
    {"purge", purge_row, true, true},
};

struct domain_change {
    struct list_link link;
    uint64_t id, peer, ask;
    const struct verb *verb;
    struct queue_filter filter;
    struct store_due after;
    bool is_held, is_done;
    uint64_t changed;
};

void queue_changes_deinit(struct queue_changes *changes)
{
    struct list_link *link;

    while ((link = list_take_first(&changes->all)) != NULL)
        free(LIST_ELEMENT(link, struct domain_change, link));
}

static struct domain_change *find_change(struct keeper *keeper, uint64_t id)
{
    struct list *all = &keeper->queue_changes.all;

    for (struct list_link *link = list_first(all); link != NULL; link = list_next(all, link))
        if (LIST_ELEMENT(link, struct domain_change, link)->id == id)
            return LIST_ELEMENT(link, struct domain_change, link);
    return NULL;
}

static void finish(struct keeper *keeper, struct domain_change *change, bool is_whole)
{
    struct control_output output = {.keeper = keeper, .peer = change->peer, .ask = change->ask};

    control_begin(&output);
    if (is_whole)
        control_line(&output, json_pack("{s:I}", "changed", (json_int_t)change->changed));
    else
        control_error(&output, "only a part was changed: the database cannot be written now");
    control_end(&output);
    list_remove(&change->link);
    free(change);
}

/* Rows change while they are walked: a page is read whole, and the walk goes on behind it. */
static void run_slice(struct keeper *keeper, struct domain_change *change)
{
    struct store_due page[QUEUE_SLICE];
    size_t count =
        change->is_held
            ? store_recipient_held(keeper->store, &change->after, page, QUEUE_SLICE)
            : store_recipient_due(keeper->store, &change->after, INT64_MAX, page, QUEUE_SLICE);

    for (size_t i = 0; i < count; i++)
        if (queue_fits(&change->filter, &page[i]))
            change->changed +=
                change_one(keeper, page[i].message, page[i].number, change->verb->change) ? 1
                                                                                          : 0;
    if (count > 0) {
        change->after = page[count - 1];
    } else if (!change->is_held && change->verb->walks_held) {
        change->is_held = true;
        change->after = (struct store_due){0};
    } else {
        change->is_done = true;
    }
}

uint64_t queue_hold_all(struct keeper *keeper)
{
    struct domain_change all = {.verb = &verbs[0]};

    while (!all.is_done && !store_is_troubled(keeper->store, NULL))
        run_slice(keeper, &all);
    return all.changed;
}

static void after_slice(struct keeper *keeper, uint64_t id, uint64_t b, uint64_t c);

static void run(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    struct domain_change *change = find_change(keeper, task->a);

    (void)unused;
    if (change == NULL)
        return;
    run_slice(keeper, change);
    inbox_after(keeper, after_slice, change->id, 0, 0);
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *unused,
                   const struct err *why)
{
    struct domain_change *change = find_change(keeper, task->a);

    (void)unused;
    (void)why;
    if (change != NULL)
        finish(keeper, change, false);
}

static const struct task_kind kind_slice = {.name_cstr = "queue", .run = run, .refuse = refuse};

static void after_slice(struct keeper *keeper, uint64_t id, uint64_t b, uint64_t c)
{
    struct domain_change *change = find_change(keeper, id);

    (void)b;
    (void)c;
    if (change == NULL)
        return;
    if (change->is_done)
        finish(keeper, change, true);
    else
        inbox_put_own(keeper, &kind_slice, IPC_NONE, NULL, NULL, id, 0, 0);
}

/* After the commit of what the request itself wrote. packed: number of the verb, domain. */
static void begin_change(struct keeper *keeper, uint64_t peer, uint64_t ask, uint64_t packed)
{
    struct domain_change *change = calloc(1, sizeof *change);

    must(change != NULL);
    *change = (struct domain_change){.id = ++keeper->queue_changes.last_id,
                                     .peer = peer,
                                     .ask = ask,
                                     .verb = &verbs[packed % COUNT_OF(verbs)],
                                     .filter = {.domain = packed / COUNT_OF(verbs)}};
    change->is_held = !change->verb->walks_due;
    list_push_back(&keeper->queue_changes.all, &change->link);
    inbox_put_own(keeper, &kind_slice, IPC_NONE, NULL, NULL, change->id, 0, 0);
}

void queue_retry_domain(struct keeper *keeper, uint64_t domain)
{
    size_t verb = 0;

    while (verbs[verb].change != retry_row)
        verb++;
    begin_change(keeper, 0, 0,
                 domain * COUNT_OF(verbs) + verb); /* nobody waits for the answer */
}

static void change_domain(struct control_output *output, const struct verb *verb, uint64_t id)
{
    struct keeper *keeper = output->keeper;
    struct domain *domain = id == 0 ? NULL : domain_get(keeper, id);
    bool is_hold = verb->change == hold_row;

    if (domain != NULL && (is_hold || verb->change == release_row)) {
        domain->row.is_held = is_hold;
        store_domain_hold(keeper->store, id, is_hold);
    }
    inbox_after(keeper, begin_change, output->peer, output->ask,
                id * COUNT_OF(verbs) + (uint64_t)(verb - verbs));
    output->is_continued = true;
}

void queue_change(struct control_output *output, const json_t *request)
{
    struct slice what = control_member(request, "what");
    const struct verb *verb = NULL;
    struct queue_filter filter;

    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (slice_equal(what, slice_from_cstr(verbs[i].name_cstr)))
            verb = &verbs[i];
    if (verb == NULL) {
        control_error(output, "the queue can list, hold, release, retry and purge");
        return;
    }
    if (!queue_read_filter(output, request, &filter))
        return;
    if (filter.message != 0)
        control_line(output, json_pack("{s:I}", "changed",
                                       (json_int_t)change_message(
                                           output->keeper, filter.message, verb->change)));
    else if (
        filter.domain != 0 ||
        /* Everything may be let go at once, after a restore; not stopped or destroyed by one word. */
        (json_is_true(json_object_get(request, "all")) &&
         (verb->change == release_row || verb->change == retry_row)))
        change_domain(output, verb, filter.domain);
    else
        control_error(output, "name a domain or a message");
}
