/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/schedule.h"

#include "base/log.h"
#include "keeper/internal.h"
#include "keeper/silence.h"

#include <stdlib.h>

enum {
    PAGE_ROWS = 1000,
    PAGES_AT_ONCE = 20,
    PAGE_EVERY_MS = 100,
    SPARES =
        400, /* items of silent domains put off each SPARES_MS: a bounded part of our time */
    SPARES_MS = 100,
    SPARES_INBOX_MAX = 2000, /* tasks that wait to be committed: enough for now */
    BLOCKED_MAX = 256,       /* domains looked at in vain before others are let on */
    WAITING_CHECK_MS = 1000,
    RESTS_MS = 200,        /* how often those that rest are looked at */
    IDLE_CHECK_MS = 60000, /* the wall clock may jump: look at least so often */
    MARK_AHEAD_MS = 1000,  /* a burst of stamps runs ahead of the clock by less */
};

static void on_timer(void *context);

void schedule_init(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;

    *schedule = (struct schedule){.items_max = ITEMS_MAX, .items_new_max = ITEMS_NEW_MAX};
    map_init(&schedule->items);
    list_init(&schedule->turns);
    list_init(&schedule->suspects);
    list_init(&schedule->waiting);
    list_init(&schedule->resting);
    schedule->timer = loop_timer_new(keeper->loop, on_timer, keeper);
    loop_timer_set(schedule->timer, 0);
}

void schedule_deinit(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    size_t position = 0;
    uint64_t key;
    struct item *item, *next;

    while ((item = map_next(&schedule->items, &position, &key)) != NULL)
        for (; item != NULL; item = next) {
            next = item->next_same;
            free(item);
        }
    map_deinit(&schedule->items);
    loop_timer_free(&schedule->timer);
}

/* ---- the window ---- */

static uint64_t key_of(uint64_t message, uint64_t number)
{
    uint64_t key = message + number * UINT64_C(0x9E3779B97F4A7C15);

    return key == 0 ? 1 : key;
}

struct item *schedule_find(struct keeper *keeper, uint64_t message, uint64_t number)
{
    struct item *item = map_get(&keeper->schedule.items, key_of(message, number));

    while (item != NULL && (item->message != message || item->number != number))
        item = item->next_same;
    return item;
}

bool schedule_is_working(struct keeper *keeper, uint64_t message, uint64_t number)
{
    struct item *item = schedule_find(keeper, message, number);

    return item != NULL && item->place == ITEM_WORKING;
}

static struct list *turns_of(struct schedule *schedule, const struct domain *domain)
{
    return domain->is_suspect ? &schedule->suspects : &schedule->turns;
}

static void make_ready(struct schedule *schedule, struct item *item, bool in_front)
{
    item->place = ITEM_READY;
    if (in_front)
        list_push_front(&item->domain->ready, &item->link);
    else
        list_push_back(&item->domain->ready, &item->link);
    if (!list_is_linked(&item->domain->turn) && !list_is_linked(&item->domain->sts.parked))
        list_push_back(turns_of(schedule, item->domain), &item->domain->turn);
}

static void insert(struct keeper *keeper, uint64_t message, uint64_t number,
                   struct domain *domain)
{
    struct schedule *schedule = &keeper->schedule;
    uint64_t key = key_of(message, number);
    struct item *item = calloc(1, sizeof *item);

    must(item != NULL);
    item->message = message;
    item->number = number;
    item->domain = domain;
    item->next_same = map_get(&schedule->items, key);
    map_put(&schedule->items, key, item);
    schedule->count++;
    domain->count++;
    make_ready(schedule, item, false);
}

/* From disk no domain gets more, so that one that is slow does not fill the window. */
static size_t domain_items_max(const struct schedule *schedule)
{
    return schedule->items_max / 3;
}

static void leave_turns(struct domain *domain)
{
    if (list_is_empty(&domain->ready))
        list_remove(&domain->turn);
}

static void forget(struct keeper *keeper, struct item *item)
{
    struct schedule *schedule = &keeper->schedule;
    uint64_t key = key_of(item->message, item->number);
    struct item *first = map_get(&schedule->items, key), *before = first;

    if (first == item) {
        if (item->next_same != NULL)
            map_put(&schedule->items, key, item->next_same);
        else
            map_take(&schedule->items, key);
    } else {
        while (before->next_same != item)
            before = before->next_same;
        before->next_same = item->next_same;
    }
    list_remove(&item->link);
    leave_turns(item->domain);
    schedule->count--;
    if (--item->domain->count < domain_items_max(schedule) / 2 && item->domain->is_left) {
        item->domain->is_left = false;
        schedule->has_left = true;
    }
    free(item);
}

/* The clock was set back: what is behind the mark must be looked for again. */
static bool is_mark_ahead(const struct schedule *schedule, int64_t now_ms)
{
    return schedule->loaded.due_ms > now_ms + MARK_AHEAD_MS;
}

int64_t schedule_stamp(const struct keeper *keeper, int64_t now_ms)
{
    int64_t loaded_ms = keeper->schedule.loaded.due_ms;

    if (now_ms > loaded_ms || is_mark_ahead(&keeper->schedule, now_ms))
        return now_ms;
    return loaded_ms + 1;
}

void schedule_add(struct keeper *keeper, uint64_t message, uint64_t number, uint64_t domain_id)
{
    struct schedule *schedule = &keeper->schedule;
    struct item *item = schedule_find(keeper, message, number);
    struct domain *domain;

    if (item != NULL) {
        if (item->place == ITEM_WORKING)
            make_ready(schedule, item, false);
    } else if (schedule->count >= schedule->items_max + schedule->items_new_max) {
        schedule->is_all_loaded = false;
    } else if ((domain = domain_get(keeper, domain_id)) != NULL) {
        insert(keeper, message, number, domain);
    }
    schedule_wake(keeper);
}

void schedule_note_due(struct keeper *keeper, int64_t due_ms)
{
    struct schedule *schedule = &keeper->schedule;

    if (due_ms == RECIPIENT_NOT_DUE)
        return;
    if (schedule->next_due_ms == RECIPIENT_NOT_DUE || due_ms < schedule->next_due_ms) {
        schedule->next_due_ms = due_ms;
        schedule_wake(keeper);
    }
}

void schedule_done(struct keeper *keeper, uint64_t message, uint64_t number)
{
    struct item *item = schedule_find(keeper, message, number);

    if (item != NULL)
        forget(keeper, item);
}

void schedule_back(struct keeper *keeper, struct item *item)
{
    make_ready(&keeper->schedule, item, true);
    schedule_wake(keeper);
}

void schedule_unpark(struct keeper *keeper, struct domain *domain)
{
    if (!list_is_empty(&domain->ready) && !list_is_linked(&domain->turn))
        list_push_back(turns_of(&keeper->schedule, domain), &domain->turn);
    schedule_wake(keeper);
}

void schedule_wait_for_scribe(struct keeper *keeper, struct item *item)
{
    item->place = ITEM_WAITING;
    item->rests_until_ms = 0;
    list_push_back(&keeper->schedule.waiting, &item->link);
}

void schedule_rest(struct keeper *keeper, uint64_t message, uint64_t number, int64_t rest_ms)
{
    struct item *item = schedule_find(keeper, message, number);

    if (item == NULL || item->place != ITEM_WORKING)
        return;
    item->place = ITEM_WAITING;
    item->rests_until_ms = loop_now_ms() + rest_ms;
    list_push_back(&keeper->schedule.resting, &item->link);
    schedule_wake(keeper);
}

/* ---- paging ---- */

static void take_row(struct keeper *keeper, struct domain *domain, const struct store_due *row)
{
    if (domain->count >= domain_items_max(&keeper->schedule)) {
        domain->is_left = true;
        return;
    }
    if (row->attempts > 0)
        silence_suspect(domain);
    insert(keeper, row->message, row->number, domain);
}

static size_t take_page(struct keeper *keeper, int64_t until_ms)
{
    struct schedule *schedule = &keeper->schedule;
    struct store_due page[PAGE_ROWS];
    size_t count =
        store_recipient_due(keeper->store, &schedule->loaded, until_ms, page, PAGE_ROWS);

    for (size_t i = 0; i < count; i++) {
        struct domain *domain = domain_get(keeper, page[i].domain);

        if (domain != NULL && schedule_find(keeper, page[i].message, page[i].number) == NULL)
            take_row(keeper, domain, &page[i]);
        schedule->loaded = page[i];
    }
    return count;
}

/* Bring what is due into the window, as far as there is room. */
static void page_in(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    int64_t now_ms = clock_unix_ms();
    unsigned pages = 0;

    if (is_mark_ahead(schedule, now_ms)) {
        LOG(LOG_WARN, "keeper.clock_set_back",
            log_i64("by_ms", schedule->loaded.due_ms - now_ms));
        schedule->loaded = (struct store_due){0};
    }
    if (schedule->is_all_loaded && schedule->has_left)
        schedule->loaded = (struct store_due){0};
    if (schedule->is_all_loaded)
        schedule->has_left = false;
    schedule->is_all_loaded = false;
    while (schedule->count < schedule->items_max && !schedule->is_all_loaded &&
           pages++ < PAGES_AT_ONCE) {
        struct store_due before = schedule->loaded;

        schedule->is_all_loaded = take_page(keeper, now_ms) < PAGE_ROWS;
        if (store_is_troubled(keeper->store, NULL)) {
            /* What could not be read is not loaded. */
            schedule->loaded = before;
            schedule->is_all_loaded = false;
            break;
        }
    }
    if (!schedule->is_all_loaded)
        return;
    if (schedule->loaded.due_ms < now_ms)
        schedule->loaded = (struct store_due){.due_ms = now_ms};
    schedule->next_due_ms = store_recipient_next_due(keeper->store, schedule->loaded.due_ms);
}

static bool is_paging_due(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    int64_t now_ms = loop_now_ms();

    if (now_ms - schedule->paged_ms < PAGE_EVERY_MS && schedule->paged_ms != 0)
        return false;
    if (schedule->paged_ms == 0)
        return true;
    if (!schedule->is_all_loaded)
        return schedule->count < schedule->items_max / 2;
    if (schedule->has_left || is_mark_ahead(schedule, clock_unix_ms()))
        return true;
    return schedule->next_due_ms != RECIPIENT_NOT_DUE &&
           schedule->next_due_ms <= clock_unix_ms();
}

/* ---- giving work out ---- */

/* Take the first item and those behind it of the same message. */
static size_t take_items(struct domain *domain, struct item **items_out)
{
    size_t count = 0;

    while (count < ITEMS_PER_JOB) {
        struct list_link *link = list_first(&domain->ready);
        struct item *item;

        if (link == NULL)
            break;
        item = LIST_ELEMENT(link, struct item, link);
        if (count > 0 && item->message != items_out[0]->message)
            break;
        list_remove(link);
        item->place = ITEM_WORKING;
        items_out[count++] = item;
    }
    leave_turns(domain);
    return count;
}

/* Work on what a domain has next; false: it must wait for a place. */
static bool give_one(struct keeper *keeper, struct domain *domain)
{
    struct schedule *schedule = &keeper->schedule;
    struct item *items[ITEMS_PER_JOB];
    bool rests = silence_rests(domain, loop_now_ms());
    size_t count;

    if (!rests && sts_must_wait(keeper, domain))
        return true; /* off the turns: others go on */
    if (rests ? schedule->spares == 0 : !deliver_has_place(keeper, domain))
        return false;
    count = take_items(domain, items);
    if (rests)
        schedule->spares -= count < schedule->spares ? count : schedule->spares;
    if (!list_is_empty(&domain->ready))
        list_push_back(turns_of(schedule, domain), &domain->turn);
    if (count > 0)
        deliver_work(keeper, domain, items, count);
    return true;
}

/*
 * Go round the domains until none can go on. Those that must wait go to the end, so that the next look
 * begins with others; it may be in vain for so many only.
 */
static void give_round(struct keeper *keeper, bool is_suspect)
{
    struct schedule *schedule = &keeper->schedule;
    struct list *turns = is_suspect ? &schedule->suspects : &schedule->turns;
    struct list blocked;
    struct list_link *link;
    size_t blocked_count = 0;

    list_init(&blocked);
    while (blocked_count < BLOCKED_MAX && (link = list_take_first(turns)) != NULL) {
        struct domain *domain = LIST_ELEMENT(link, struct domain, turn);

        if (domain->is_suspect != is_suspect) {
            list_push_back(turns_of(schedule, domain), link);
        } else if (!give_one(keeper, domain)) {
            list_push_back(&blocked, link);
            blocked_count++;
            if (!deliver_has_any_place(keeper, is_suspect) && schedule->spares == 0)
                break;
        }
    }
    while ((link = list_take_first(&blocked)) != NULL)
        list_push_back(turns, link);
}

static void give_out(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    int64_t now_ms = loop_now_ms();

    if (now_ms - schedule->spares_ms >= SPARES_MS) {
        schedule->spares_ms = now_ms;
        schedule->spares = keeper->inbox.count < SPARES_INBOX_MAX ? SPARES : 0;
    }
    give_round(keeper, false);
    give_round(keeper, true);
}

static void end_rests(struct schedule *schedule, int64_t now_ms)
{
    struct list_link *link = list_first(&schedule->resting), *next;

    for (; link != NULL; link = next) {
        struct item *item = LIST_ELEMENT(link, struct item, link);

        next = list_next(&schedule->resting, link);
        if (item->rests_until_ms > now_ms)
            continue;
        list_remove(link);
        make_ready(schedule, item, true);
    }
}

/* Items that waited for a scribe, or have rested, come to the front of their domains. */
static void wake_waiting(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    size_t room = asks_have_room(keeper) ? ASKS_PER_SCRIBE : 0;
    int64_t now_ms = loop_now_ms();
    struct list_link *link;

    if (now_ms - schedule->rests_ms >= RESTS_MS) {
        schedule->rests_ms = now_ms;
        end_rests(schedule, now_ms);
    }
    for (; room > 0 && (link = list_take_first(&schedule->waiting)) != NULL; room--)
        make_ready(schedule, LIST_ELEMENT(link, struct item, link), true);
}

static void arm(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    int64_t delay_ms = IDLE_CHECK_MS;

    if (schedule->has_left ||
        (!schedule->is_all_loaded && schedule->count < schedule->items_max / 2)) {
        delay_ms = PAGE_EVERY_MS;
    } else if (schedule->next_due_ms != RECIPIENT_NOT_DUE) {
        delay_ms = schedule->next_due_ms - clock_unix_ms();
        if (delay_ms < PAGE_EVERY_MS)
            delay_ms = PAGE_EVERY_MS;
        if (delay_ms > IDLE_CHECK_MS)
            delay_ms = IDLE_CHECK_MS;
    }
    if ((!list_is_empty(&schedule->waiting) || !list_is_empty(&schedule->turns) ||
         !list_is_empty(&schedule->resting)) &&
        delay_ms > WAITING_CHECK_MS)
        delay_ms = WAITING_CHECK_MS;
    if (!list_is_empty(&schedule->suspects) && delay_ms > SPARES_MS)
        delay_ms = SPARES_MS;
    loop_timer_set(schedule->timer, delay_ms);
}

static void on_timer(void *context)
{
    struct keeper *keeper = context;
    struct schedule *schedule = &keeper->schedule;

    clock_look(keeper);
    if (is_paging_due(keeper)) {
        page_in(keeper);
        schedule->paged_ms = loop_now_ms();
    }
    if (!schedule->is_paused && !keeper->settings->hold_all) {
        wake_waiting(keeper);
        give_out(keeper);
    }
    arm(keeper);
}

void schedule_wake(struct keeper *keeper)
{
    loop_timer_set(keeper->schedule.timer, 0);
}
