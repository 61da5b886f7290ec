/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/lanes.h"

#include "base/stats.h"
#include "keeper/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ACCOUNT_BITS = 22,
    /* Of so many that are taken from a flow one is of a lower class, if there is one. */
    BULK_EVERY = 4,
    RETRY_EVERY = 8,
};

static void free_lanes(struct provider *provider)
{
    struct lane *lane;

    while ((lane = provider->lanes) != NULL) {
        provider->lanes = lane->next;
        circuit_deinit(&lane->circuit);
        free(lane);
    }
}

struct provider *provider_new(void)
{
    struct provider *provider = calloc(1, sizeof *provider);

    must(provider != NULL);
    return provider;
}

void provider_free(struct provider **provider)
{
    if (*provider == NULL)
        return;
    free_lanes(*provider);
    free((*provider)->name_cstr);
    free(*provider);
    *provider = NULL;
}

void lanes_init(struct lanes *lanes)
{
    *lanes = (struct lanes){0};
    map_init(&lanes->providers);
    map_init(&lanes->flows);
}

/* "@google" is the provider "google" of the file. */
static const struct settings_provider *rule_of(const struct lanes *lanes,
                                               const struct provider *provider)
{
    return provider->name_cstr[0] == '@'
               ? settings_provider_find(lanes->rules, slice_from_cstr(provider->name_cstr + 1))
               : NULL;
}

void lanes_configure(struct keeper *keeper)
{
    struct lanes *lanes = &keeper->lanes;
    struct provider *provider;
    size_t position = 0;
    uint64_t hash;

    settings_providers_free(&lanes->rules);
    lanes->rules = settings_providers_new(keeper->settings);
    while ((provider = map_next(&lanes->providers, &position, &hash)) != NULL)
        for (; provider != NULL; provider = provider->next_same)
            provider->rule = rule_of(lanes, provider);
}

bool lane_is_paced(struct keeper *keeper, struct lane *lane)
{
    const struct settings_provider *rule = lane->provider->rule;
    int64_t now_us, next_us;

    if (rule == NULL || rule->messages_per_minute == 0)
        return false;
    now_us = stats_now_us();
    next_us = bucket_next_us(&lane->begun, rule->messages_per_minute,
                             bucket_burst(rule->messages_per_minute));
    if (next_us > now_us) {
        schedule_sleep(keeper, lane, loop_now_ms() + (next_us - now_us) / 1000 + 1);
        return true;
    }
    bucket_take(&lane->begun, rule->messages_per_minute, now_us);
    return false;
}

void lanes_deinit(struct lanes *lanes)
{
    struct provider *provider, *next;
    struct flow *flow;
    size_t position = 0;
    uint64_t id;

    while ((flow = map_next(&lanes->flows, &position, &id)) != NULL)
        free(flow);
    position = 0;
    while ((provider = map_next(&lanes->providers, &position, &id)) != NULL)
        for (; provider != NULL; provider = next) {
            next = provider->next_same;
            provider_free(&provider);
        }
    map_deinit(&lanes->flows);
    map_deinit(&lanes->providers);
    settings_providers_free(&lanes->rules);
}

/* ---- numbers ---- */

unsigned flow_number(struct slice account, enum lane_class class)
{
    uint32_t hash = UINT32_C(0x811c9dc5);

    for (size_t i = 0; i < account.len; i++)
        hash = (hash ^ byte_lower(account.at[i])) * UINT32_C(0x01000193);
    hash ^= hash >> ACCOUNT_BITS;
    return (hash & ((1U << ACCOUNT_BITS) - 1)) << 2 | (unsigned)class;
}

unsigned flow_with_class(unsigned flow, enum lane_class class)
{
    return (flow & ~3U) | (unsigned)class;
}

/* ---- providers and their lanes ---- */

static struct provider *provider_named(struct keeper *keeper, struct slice name)
{
    struct lanes *lanes = &keeper->lanes;
    uint64_t hash = domain_hash(&keeper->domains, name);
    struct provider *first = map_get(&lanes->providers, hash), *provider = first;

    while (provider != NULL && !slice_equal(slice_from_cstr(provider->name_cstr), name))
        provider = provider->next_same;
    if (provider != NULL)
        return provider;
    provider = provider_new();
    provider->hash = hash;
    provider->name_cstr = strndup((const char *)name.at, name.len);
    must(provider->name_cstr != NULL);
    provider->rule = rule_of(lanes, provider);
    provider->next_same = first;
    map_put(&lanes->providers, hash, provider);
    return provider;
}

static struct lane *lane_get(struct lanes *lanes, struct provider *provider, unsigned route)
{
    struct lane *lane = provider->lanes;

    while (lane != NULL && lane->route != route)
        lane = lane->next;
    if (lane != NULL)
        return lane;
    lane = calloc(1, sizeof *lane);
    must(lane != NULL);
    lane->id = ++lanes->last_id;
    lane->provider = provider;
    lane->route = route;
    list_init(&lane->flows);
    lane->next = provider->lanes;
    provider->lanes = lane;
    return lane;
}

struct lane *lane_of(struct keeper *keeper, struct domain *domain, unsigned route)
{
    struct provider *provider = domain->provider;

    if (route < keeper->routes.count && keeper->routes.all[route].is_smart) {
        char name_cstr[OUTBOUND_NAME_MAX + 16];

        snprintf(name_cstr, sizeof name_cstr, "route %s", keeper->routes.all[route].name_cstr);
        provider = provider_named(keeper, slice_from_cstr(name_cstr));
    }
    return lane_get(&keeper->lanes, provider, route);
}

/* ---- flows ---- */

static uint64_t flow_key(const struct lane *lane, unsigned flow)
{
    return lane->id << (ACCOUNT_BITS + 1) | (flow >> 2) << 1 | 1;
}

static struct flow *flow_get(struct lanes *lanes, struct lane *lane, unsigned number)
{
    uint64_t key = flow_key(lane, number);
    struct flow *flow = map_get(&lanes->flows, key);

    if (flow != NULL)
        return flow;
    flow = calloc(1, sizeof *flow);
    must(flow != NULL);
    flow->key = key;
    flow->lane = lane;
    for (size_t class = 0; class < LANE_CLASSES; class ++)
        list_init(&flow->ready[class]);
    map_put(&lanes->flows, key, flow);
    return flow;
}

static void leave(struct lanes *lanes, struct flow *flow)
{
    if (flow->count > 0)
        return;
    list_remove(&flow->turn);
    if (flow->working > 0)
        return;
    map_take(&lanes->flows, flow->key);
    free(flow);
}

bool lane_job_begins(struct lanes *lanes, struct lane *lane, unsigned number)
{
    return flow_get(lanes, lane, number)->working++ == 0;
}

void lane_job_ends(struct lanes *lanes, struct lane *lane, unsigned number)
{
    struct flow *flow = map_get(&lanes->flows, flow_key(lane, number));

    must(flow != NULL && flow->working > 0);
    flow->working--;
    leave(lanes, flow);
}

void lane_put(struct lanes *lanes, struct item *item, bool in_front)
{
    struct flow *flow = flow_get(lanes, item->lane, item->flow);
    struct list *ready = &flow->ready[(item->flow & 3U) % LANE_CLASSES];

    item->in = flow;
    if (flow->count == 0 && flow->working == 0)
        list_push_front(&item->lane->flows, &flow->turn);
    else if (flow->count == 0)
        list_push_back(&item->lane->flows, &flow->turn);
    if (in_front)
        list_push_front(ready, &item->link);
    else
        list_push_back(ready, &item->link);
    flow->count++;
    item->lane->ready++;
}

void lane_remove(struct lanes *lanes, struct item *item)
{
    struct flow *flow = item->in;

    list_remove(&item->link);
    if (flow == NULL)
        return;
    item->in = NULL;
    item->lane->ready--;
    flow->count--;
    leave(lanes, flow);
}

/* In which class to look first. */
static enum lane_class class_at(unsigned taken)
{
    if (taken % RETRY_EVERY == RETRY_EVERY - 1)
        return LANE_RETRY;
    return taken % BULK_EVERY == BULK_EVERY - 1 ? LANE_BULK : LANE_INTERACTIVE;
}

struct item *lane_peek(struct lane *lane)
{
    struct list_link *turn = list_first(&lane->flows);
    struct flow *flow;
    unsigned class;

    if (turn == NULL)
        return NULL;
    flow = LIST_ELEMENT(turn, struct flow, turn);
    class = (unsigned)class_at(flow->taken);
    while (list_is_empty(&flow->ready[class]))
        class = (class + 1) % LANE_CLASSES;
    return LIST_ELEMENT(list_first(&flow->ready[class]), struct item, link);
}

static void take_one(struct lanes *lanes, struct item *item)
{
    lane_remove(lanes, item);
    item->place = ITEM_WORKING;
}

size_t lane_take(struct keeper *keeper, struct lane *lane, struct item **items_out, size_t max)
{
    struct item *head = lane_peek(lane), *sibling;
    size_t count = 0;

    if (head == NULL)
        return 0;
    /* Its account goes to the end of the round. */
    head->in->taken++;
    list_remove(&head->in->turn);
    list_push_back(&lane->flows, &head->in->turn);
    take_one(&keeper->lanes, head);
    items_out[count++] = head;
    for (uint64_t i = 1; i < LANE_SIBLINGS_MAX && count < max; i++) {
        sibling = schedule_find(keeper, head->message, head->number + i);
        if (sibling == NULL)
            break;
        if (sibling->in == NULL || sibling->domain != head->domain || sibling->lane != lane)
            continue;
        take_one(&keeper->lanes, sibling);
        items_out[count++] = sibling;
    }
    return count;
}

/* ---- learning ---- */

/* The work of an unnamed provider goes over; of one that had a name only new work does: others share its lanes. */
static void move_work(struct keeper *keeper, struct domain *domain, struct provider *from)
{
    for (struct lane *lane = from->lanes; lane != NULL; lane = lane->next) {
        struct lane *to = lane_get(&keeper->lanes, domain->provider, lane->route);
        struct item *item;

        if (to->window == 0)
            to->window = lane->window;
        while ((item = lane_peek(lane)) != NULL) {
            lane_remove(&keeper->lanes, item);
            item->lane = to;
            from->count--;
            domain->provider->count++;
            schedule_ready(keeper, item);
        }
        list_remove(&lane->turn);
    }
}

void lanes_learn(struct keeper *keeper, struct domain *domain, struct slice name)
{
    struct provider *before = domain->provider;

    if (name.len == 0 || name.len > LANE_KEY_MAX ||
        (before->name_cstr != NULL && slice_equal(slice_from_cstr(before->name_cstr), name)))
        return;
    domain->provider = provider_named(keeper, name);
    if (before->name_cstr == NULL)
        move_work(keeper, domain, before);
}
