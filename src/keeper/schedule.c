/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/schedule.h"

#include "base/log.h"
#include "keeper/internal.h"

#include <stdlib.h>

enum {
    PAGE_ROWS = 1000,
    PAGES_AT_ONCE = 20,
    PAGE_EVERY_MS = 100,
    SPARES = 400, /* items of silent lanes put off each SPARES_MS: a bounded part of our time */
    SPARES_MS = 100,
    SPARES_INBOX_MAX = 2000, /* tasks that wait to be committed: enough for now */
    BLOCKED_MAX = 256,       /* lanes looked at in vain before others are let on */
    WAITING_CHECK_MS = 1000,
    RESTS_MS = 200,        /* how often those that rest are looked at */
    DOMAIN_BITS = 40,      /* of an id, beside a flow in one number */
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
    list_init(&schedule->sleepers);
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

/* ---- places ---- */

uint64_t schedule_place_write(struct schedule_place place)
{
    must(place.domain >> DOMAIN_BITS == 0);
    return place.domain | (uint64_t)place.flow << DOMAIN_BITS;
}

struct schedule_place schedule_place_read(uint64_t number)
{
    return (struct schedule_place){number & ((UINT64_C(1) << DOMAIN_BITS) - 1),
                                   (unsigned)(number >> DOMAIN_BITS)};
}

struct schedule_place schedule_place_of(uint64_t domain, uint64_t flags, uint64_t attempts)
{
    unsigned flow =
        (unsigned)(flags >> RECIPIENT_FLOW_SHIFT) & ((1U << RECIPIENT_FLOW_BITS) - 1);

    return (struct schedule_place){domain,
                                   attempts > 0 ? flow_with_class(flow, LANE_RETRY) : flow};
}

/* ---- turns ---- */

static void join_turns(struct schedule *schedule, struct lane *lane)
{
    list_push_back(lane->circuit.is_suspect ? &schedule->suspects : &schedule->turns,
                   &lane->turn);
}

static void leave_turns(struct lane *lane)
{
    if (lane->ready == 0) {
        list_remove(&lane->turn);
        lane->is_asleep = false;
    }
}

static void set_lane(struct item *item, struct lane *lane)
{
    if (item->lane != NULL)
        item->lane->provider->count--;
    item->lane = lane;
    lane->provider->count++;
}

static void make_ready(struct keeper *keeper, struct item *item, bool in_front)
{
    /* Its domain may have found its provider meanwhile. */
    if (item->lane->provider == item->domain->own)
        set_lane(item, lane_of(keeper, item->domain, item->lane->route));
    item->place = ITEM_READY;
    if (list_is_linked(&item->domain->sts.parked)) {
        list_push_back(&item->domain->parked, &item->link);
        return;
    }
    lane_put(&keeper->lanes, item, in_front);
    if (!list_is_linked(&item->lane->turn))
        join_turns(&keeper->schedule, item->lane);
}

void schedule_ready(struct keeper *keeper, struct item *item)
{
    make_ready(keeper, item, false);
}

void schedule_sleep(struct keeper *keeper, struct lane *lane, int64_t until_ms)
{
    lane->sleeps_until_ms = until_ms;
    if (lane->ready == 0 || lane->is_asleep)
        return;
    list_remove(&lane->turn);
    list_push_back(&keeper->schedule.sleepers, &lane->turn);
    lane->is_asleep = true;
}

static void insert(struct keeper *keeper, uint64_t message, uint64_t number,
                   struct domain *domain, unsigned flow)
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
    item->flow = flow;
    set_lane(item, lane_of(keeper, domain, routes_guess(keeper, flow, message)));
    make_ready(keeper, item, false);
}

/* From disk no provider gets more, so that one that is slow does not fill the window. */
static size_t provider_items_max(const struct schedule *schedule)
{
    return schedule->items_max / 3;
}

static void forget(struct keeper *keeper, struct item *item)
{
    struct schedule *schedule = &keeper->schedule;
    uint64_t key = key_of(item->message, item->number);
    struct item *first = map_get(&schedule->items, key), *before = first;
    struct provider *provider = item->lane->provider;

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
    lane_remove(&keeper->lanes, item);
    leave_turns(item->lane);
    schedule->count--;
    item->domain->count--;
    if (--provider->count < provider_items_max(schedule) / 2 && provider->is_left) {
        provider->is_left = false;
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

void schedule_add(struct keeper *keeper, uint64_t message, uint64_t number,
                  struct schedule_place place)
{
    struct schedule *schedule = &keeper->schedule;
    struct item *item = schedule_find(keeper, message, number);
    struct domain *domain;

    if (item != NULL) {
        if (item->place == ITEM_WORKING)
            make_ready(keeper, item, false);
    } else if (schedule->count >= schedule->items_max + schedule->items_new_max) {
        schedule->is_all_loaded = false;
    } else if ((domain = domain_get(keeper, place.domain)) != NULL) {
        insert(keeper, message, number, domain, place.flow);
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
    make_ready(keeper, item, true);
    schedule_wake(keeper);
}

void schedule_unpark(struct keeper *keeper, struct domain *domain)
{
    struct list waiting;
    struct list_link *link;

    list_init(&waiting);
    while ((link = list_take_first(&domain->parked)) != NULL)
        list_push_back(&waiting, link);
    while ((link = list_take_first(&waiting)) != NULL)
        make_ready(keeper, LIST_ELEMENT(link, struct item, link), false);
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
    struct schedule_place place = schedule_place_of(row->domain, row->flags, row->attempts);
    struct lane *lane = lane_of(keeper, domain, routes_guess(keeper, place.flow, row->message));

    if (lane->provider->count >= provider_items_max(&keeper->schedule)) {
        lane->provider->is_left = true;
        return;
    }
    /* Once something was heard of it, that says more. */
    if (row->attempts > 0 && lane->window == 0 && !lane->circuit.is_suspect) {
        silence_suspect(&lane->circuit);
        if (list_is_linked(&lane->turn)) {
            list_remove(&lane->turn);
            join_turns(&keeper->schedule, lane);
        }
    }
    insert(keeper, row->message, row->number, domain, place.flow);
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

/* What is next must wait, for its domain only: out of the way of the others of the lane. */
static void park_next(struct keeper *keeper, struct lane *lane)
{
    struct item *items[ITEMS_PER_JOB];
    size_t count = lane_take(keeper, lane, items, ITEMS_PER_JOB);

    for (size_t i = 0; i < count; i++) {
        items[i]->place = ITEM_READY;
        list_push_back(&items[i]->domain->parked, &items[i]->link);
    }
    if (lane->ready > 0)
        join_turns(&keeper->schedule, lane);
}

/* Work on what a lane has next; false: it must wait. */
static bool give_one(struct keeper *keeper, struct lane *lane)
{
    struct schedule *schedule = &keeper->schedule;
    struct item *items[ITEMS_PER_JOB], *head = lane_peek(lane);
    bool rests = silence_rests(&lane->circuit, loop_now_ms());
    size_t count;

    must(head != NULL);
    if (!rests && sts_must_wait(keeper, head->domain)) {
        park_next(keeper, lane);
        return true;
    }
    if (rests ? schedule->spares == 0 : !deliver_has_place(keeper, lane, head))
        return false;
    if (!rests && lane_is_paced(keeper, lane))
        return true;
    count = lane_take(keeper, lane, items, ITEMS_PER_JOB);
    if (rests)
        schedule->spares -= count < schedule->spares ? count : schedule->spares;
    if (lane->ready > 0)
        join_turns(schedule, lane);
    deliver_work(keeper, lane, items, count);
    return true;
}

/*
 * Go round the lanes until none can go on. Those that must wait go to the end, so that the next look
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
        struct lane *lane = LIST_ELEMENT(link, struct lane, turn);

        if (lane->ready == 0)
            continue;
        if (lane->sleeps_until_ms > loop_now_ms()) {
            schedule_sleep(keeper, lane, lane->sleeps_until_ms);
        } else if (lane->circuit.is_suspect != is_suspect) {
            join_turns(schedule, lane);
        } else if (!give_one(keeper, lane)) {
            list_push_back(&blocked, link);
            blocked_count++;
            if (!deliver_has_any_place(keeper, is_suspect) && schedule->spares == 0)
                break;
        }
    }
    while ((link = list_take_first(&blocked)) != NULL)
        list_push_back(turns, link);
}

/* Lanes whose time has come take turns again. Few sleep at a time: those under a limit, or whose host is full. */
static int64_t wake_sleepers(struct schedule *schedule, int64_t now_ms)
{
    struct list_link *link = list_first(&schedule->sleepers), *next;
    int64_t soonest_ms = INT64_MAX;

    for (; link != NULL; link = next) {
        struct lane *lane = LIST_ELEMENT(link, struct lane, turn);

        next = list_next(&schedule->sleepers, link);
        if (lane->sleeps_until_ms > now_ms) {
            if (lane->sleeps_until_ms < soonest_ms)
                soonest_ms = lane->sleeps_until_ms;
            continue;
        }
        list_remove(link);
        lane->is_asleep = false;
        join_turns(schedule, lane);
    }
    return soonest_ms;
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

static void end_rests(struct keeper *keeper, int64_t now_ms)
{
    struct schedule *schedule = &keeper->schedule;
    struct list_link *link = list_first(&schedule->resting), *next;

    for (; link != NULL; link = next) {
        struct item *item = LIST_ELEMENT(link, struct item, link);

        next = list_next(&schedule->resting, link);
        if (item->rests_until_ms > now_ms)
            continue;
        list_remove(link);
        make_ready(keeper, item, true);
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
        end_rests(keeper, now_ms);
    }
    for (; room > 0 && (link = list_take_first(&schedule->waiting)) != NULL; room--)
        make_ready(keeper, LIST_ELEMENT(link, struct item, link), true);
}

static void arm(struct keeper *keeper)
{
    struct schedule *schedule = &keeper->schedule;
    int64_t delay_ms = IDLE_CHECK_MS, wakes_ms = wake_sleepers(schedule, loop_now_ms());

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
    if (wakes_ms != INT64_MAX && wakes_ms - loop_now_ms() < delay_ms)
        delay_ms = wakes_ms > loop_now_ms() ? wakes_ms - loop_now_ms() : 1;
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
        (void)wake_sleepers(schedule, loop_now_ms());
        give_out(keeper);
    }
    arm(keeper);
}

void schedule_wake(struct keeper *keeper)
{
    loop_timer_set(keeper->schedule.timer, 0);
}
