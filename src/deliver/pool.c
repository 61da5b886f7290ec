/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/pool_internal.h"

#include "crypto/random.h"
#include "base/stats.h"
#include "deliver/key.h"
#include "deliver/ruling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SITE_KIND = 3 };

static void on_sweep(void *context);
static void on_crowd_timer(void *context);

enum tls_class tls_class_of(const struct delivery *delivery)
{
    bool needs_1_3 = delivery->requirement.tls_1_3_only;

    if (delivery->walk.policy.demand.least >= PROOF_DANE)
        return needs_1_3 ? CLASS_DANE_1_3 : CLASS_DANE;
    if (delivery->walk.policy.demand.least >= PROOF_VERIFIED)
        return needs_1_3 ? CLASS_VERIFIED_1_3 : CLASS_VERIFIED;
    if (delivery->walk.is_last_resort)
        return CLASS_CLEAR;
    return needs_1_3 ? CLASS_OPEN_1_3 : CLASS_OPEN;
}

struct pool *pool_new(const struct pool_options *options, pool_return_fn *on_return,
                      void *context)
{
    struct pool *pool = calloc(1, sizeof *pool);

    must(pool != NULL && options->contexts != NULL);
    pool->options = *options;
    if (pool->options.connections_max == 0)
        pool->options.connections_max = CONNECTIONS_MAX;
    if (pool->options.connections_per_host == 0)
        pool->options.connections_per_host = 1;
    pool->on_return = on_return;
    pool->context = context;
    random_secret(&pool->salt);
    map_init(&pool->sites);
    buffer_init(&pool->scratch, CLIENT_SCRATCH_BYTES);
    list_init(&pool->crowds);
    pool->crowd_timer = loop_timer_new(options->loop, on_crowd_timer, pool);
    pool->sweep_timer = loop_timer_new(options->loop, on_sweep, pool);
    loop_timer_set(pool->sweep_timer, SWEEP_MS);
    return pool;
}

static void site_free(struct site *site)
{
    for (size_t class = 0; class < CLASS_COUNT; class ++)
        tls_resumption_unref(&site->resumption[class]);
    map_take(&site->pool->sites, site->id);
    directory_entry_unref(&site->entry);
    free(site);
}

void pool_free(struct pool **pool_pointer)
{
    struct pool *pool = *pool_pointer;
    struct site *site;
    uint64_t id;

    if (pool == NULL)
        return;
    pool->is_closing = true;
    for (size_t at = 0; (site = map_next(&pool->sites, &at, &id)) != NULL; at = 0) {
        while (!list_is_empty(&site->seats))
            seat_forget(LIST_ELEMENT(list_first(&site->seats), struct seat, link));
        for (enum tls_class class = 0; class < CLASS_COUNT; class ++)
            while (site->waiting_count[class] > 0) {
                struct delivery *delivery = site_take(site, class);

                delivery_free(&delivery);
            }
        site_free(site);
    }
    loop_timer_free(&pool->sweep_timer);
    loop_timer_free(&pool->crowd_timer);
    crowds_free(&pool->crowds);
    map_deinit(&pool->sites);
    buffer_wipe(&pool->scratch);
    secret_wipe(&pool->salt);
    free(pool);
    *pool_pointer = NULL;
}

void pool_drain(struct pool *pool)
{
    pool->is_closing = true;
}

size_t pool_in_transit(const struct pool *pool)
{
    return pool->in_transit;
}

size_t pool_connections(const struct pool *pool)
{
    return pool->seat_count;
}

uint64_t pool_connections_opened(const struct pool *pool)
{
    return pool->opened;
}

/* ---- sites ---- */

/* Under usable TLSA records: the records, kept alive, and the names that go with them. */
static void take_policy(struct site *site, const struct delivery *delivery)
{
    const struct host_policy *policy = &delivery->walk.policy;

    if (policy->tlsa == NULL)
        return;
    site->entry = directory_entry_ref(delivery->walk.addresses);
    if (policy->names_cstr[1] != NULL)
        snprintf(site->domain_cstr, sizeof site->domain_cstr, "%s", policy->names_cstr[1]);
}

/* A site is of one host, address, policy and route; routes live as long as the pool. */
static uint64_t site_id(const struct pool *pool, const char *host_cstr,
                        const struct sockaddr_storage *address, socklen_t address_len,
                        const struct delivery *delivery)
{
    uintptr_t route = (uintptr_t)delivery->route;
    uint8_t key[DELIVERY_HOST_SIZE + sizeof *address + SHA256_BYTES + sizeof route];
    size_t len = strlen(host_cstr) + 1;

    memcpy(key, host_cstr, len);
    memcpy(key + len, address, address_len);
    len += address_len;
    memcpy(key + len, delivery->walk.policy.key, SHA256_BYTES);
    len += SHA256_BYTES;
    memcpy(key + len, &route, sizeof route);
    return key_id(&pool->salt, SITE_KIND, slice_of(key, len + sizeof route));
}

/* What the provider puts up with; a fixed next hop is nobody's. */
static const struct settings_provider *rule_of(const struct delivery *delivery)
{
    return delivery->host_cstr[0] == '\0' && delivery->walk.hosts != NULL
               ? delivery->walk.hosts->rule
               : NULL;
}

static struct site *site_get(struct pool *pool, const char *host_cstr,
                             const struct sockaddr_storage *address, socklen_t address_len,
                             const struct delivery *delivery)
{
    size_t host_len = strlen(host_cstr) + 1;
    struct site *site;
    uint64_t id;

    must(host_len <= DELIVERY_HOST_SIZE && address_len <= sizeof *address);
    id = site_id(pool, host_cstr, address, address_len, delivery);
    site = map_get(&pool->sites, id);
    if (site != NULL) {
        must(strcmp(site->host_cstr, host_cstr) == 0);
        return site;
    }
    site = calloc(1, sizeof *site);
    must(site != NULL);
    site->pool = pool;
    site->id = id;
    memcpy(site->host_cstr, host_cstr, host_len);
    memcpy(&site->address, address, address_len);
    site->address_len = address_len;
    site->route = delivery->route;
    take_policy(site, delivery);
    site->crowd = crowd_get(&pool->crowds, rule_of(delivery), delivery->route);
    concurrency_init(&site->connections,
                     crowd_least(pool->options.connections_per_host,
                                 site->crowd == NULL ? 0 : site->crowd->rule->connections));
    list_init(&site->seats);
    for (size_t class = 0; class < CLASS_COUNT; class ++)
        list_init(&site->waiting[class]);
    map_put(&pool->sites, id, site);
    return site;
}

size_t site_waiting(const struct site *site)
{
    size_t count = 0;

    for (size_t class = 0; class < CLASS_COUNT; class ++)
        count += site->waiting_count[class];
    return count;
}

struct delivery *site_take(struct site *site, enum tls_class class)
{
    struct list_link *link = list_take_first(&site->waiting[class]);

    if (link == NULL)
        return NULL;
    site->waiting_count[class]--;
    return LIST_ELEMENT(link, struct delivery, link);
}

void site_put_first(struct site *site, struct delivery *delivery)
{
    enum tls_class class = tls_class_of(delivery);

    list_push_front(&site->waiting[class], &delivery->link);
    site->waiting_count[class]++;
}

static void site_put_last(struct site *site, struct delivery *delivery)
{
    enum tls_class class = tls_class_of(delivery);

    list_push_back(&site->waiting[class], &delivery->link);
    site->waiting_count[class]++;
}

void site_return(struct site *site, struct delivery *delivery, const struct pool_return *why)
{
    site->pool->on_return(site->pool->context, delivery, why);
}

/* Those who wait now: on_return may bring others, or the same ones in another class. */
static void take_class(struct site *site, enum tls_class class, struct list *taken)
{
    struct delivery *delivery;

    while ((delivery = site_take(site, class)) != NULL)
        list_push_back(taken, &delivery->link);
}

void site_return_all(struct site *site, enum tls_class class, const struct pool_return *why)
{
    struct list taken;
    struct list_link *link;
    bool is_first = true;

    list_init(&taken);
    for (enum tls_class each = 0; each < CLASS_COUNT; each++)
        if (class == CLASS_COUNT || class == each)
            take_class(site, each, &taken);
    while ((link = list_take_first(&taken)) != NULL) {
        struct delivery *delivery = LIST_ELEMENT(link, struct delivery, link);
        struct pool_return returned = *why;

        if (returned.result == POOL_TLS) {
            returned.decision =
                ruling_decide(delivery, NULL, HANDSHAKE_FAILED, why->may_be_the_hello);
            if (returned.decision.action == TLS_ACT_SMALLER_HELLO) {
                site_put_last(site, delivery);
                continue;
            }
            delivery->evidence = why->evidence != NULL ? *why->evidence : delivery->evidence;
            returned.is_counted = is_first;
            is_first = false;
        }
        site_return(site, delivery, &returned);
    }
}

/* ---- work ---- */

/* An idle connection stands in the way of one that is needed. */
static bool retire_useless_seat(struct site *site, enum tls_class wanted)
{
    struct list_link *link = list_first(&site->seats);

    for (; link != NULL; link = list_next(&site->seats, link)) {
        struct seat *seat = LIST_ELEMENT(link, struct seat, link);

        if (seat->is_ready && deliver_client_is_idle(seat->client) &&
            !class_covers(seat->class, wanted)) {
            seat_retire(seat);
            return true;
        }
    }
    return false;
}

/* The provider's limit is reached: look again when one may be opened, or has closed. */
static void wait_for_crowd(struct pool *pool, int64_t again_us)
{
    int64_t delay_ms = again_us == 0 ? CROWD_LOOK_MS : (again_us - stats_now_us()) / 1000 + 1;

    pool->is_starved = true;
    if (!loop_timer_is_set(pool->crowd_timer))
        loop_timer_set(pool->crowd_timer, delay_ms > 0 ? delay_ms : 1);
}

static bool may_open(struct site *site, enum tls_class class)
{
    int64_t again_us;

    if (site->seat_count >= site->connections.limit && !retire_useless_seat(site, class))
        return false;
    if (site->pool->seat_count >= site->pool->options.connections_max) {
        site->pool->is_starved = true;
        return false;
    }
    if (!crowd_may_open(site->crowd, stats_now_us(), &again_us)) {
        wait_for_crowd(site->pool, again_us);
        return false;
    }
    return true;
}

/* Nobody gets through: do not let each of those who wait try it for itself. */
void site_is_down(struct site *site, const struct pool_return *why)
{
    site->down_until_ms = loop_now_ms() + DOWN_MS;
    site->down_why = *why;
    site_return_all(site, CLASS_COUNT, why);
}

/* One connection for each that waits, up to the limit; whoever is ready first takes the first. */
static void open_seats(struct site *site)
{
    for (enum tls_class class = 0; class < CLASS_COUNT; class ++)
        while (site->waiting_count[class] > site->opening[class] && may_open(site, class)) {
            struct pool_return why = {.result = POOL_UNREACHABLE};

            if (seat_open(site, class, &why.err))
                continue;
            if (site->seat_count > 0)
                return;
            if (why.err.class == ERR_PERM)
                why.result = POOL_NO_WAY;
            site_is_down(site, &why);
            return;
        }
}

static void feed_idle_seats(struct site *site)
{
    struct list_link *link = list_first(&site->seats);

    /* A busy seat is moved to the end: at the first that is not idle, none is left. */
    while (link != NULL && site_waiting(site) > 0) {
        struct seat *seat = LIST_ELEMENT(link, struct seat, link);

        link = list_next(&site->seats, link);
        if (!seat->is_ready || !deliver_client_is_idle(seat->client))
            return;
        (void)seat_feed(seat);
    }
}

void site_enter(struct site *site)
{
    site->depth++;
}

void site_leave(struct site *site)
{
    if (--site->depth == 0 && site->is_work_due)
        site_work(site);
}

void site_work(struct site *site)
{
    if (site->pool->is_closing)
        return;
    site->is_work_due = true;
    if (site->depth > 0)
        return;
    site->depth++;
    while (site->is_work_due) {
        site->is_work_due = false;
        feed_idle_seats(site);
        if (site_waiting(site) > 0)
            open_seats(site);
    }
    site->depth--;
}

static void note_small_hello(struct site *site, const struct delivery *delivery)
{
    const struct directory_entry *host = delivery->walk.addresses;
    bool was_known = site->is_small_known;

    site->is_small_known = host != NULL && host->wants_small_hello;
    /* Not remembered any more: its next chance, also at a site that is never idle. */
    if (site->is_small_known || was_known)
        site->is_small = site->is_small_known;
}

void pool_submit(struct pool *pool, const char *host_cstr,
                 const struct sockaddr_storage *address, socklen_t address_len,
                 struct delivery *delivery)
{
    struct site *site = site_get(pool, host_cstr, address, address_len, delivery);
    enum tls_class class = tls_class_of(delivery);

    site->used_ms = loop_now_ms();
    note_small_hello(site, delivery);
    if ((class == CLASS_VERIFIED || class == CLASS_VERIFIED_1_3) &&
        contexts_get(pool->options.contexts, TLS_TRUST_WEBPKI, false) == NULL) {
        struct tls_demand *demand = &delivery->walk.policy.demand;
        struct pool_return why = {.result = POOL_TLS};

        demand->is_skipped = true;
        demand->why_cstr = "no trusted roots are set: nothing can be verified";
        why.decision = tls_table_skip(demand);

        site_return(site, delivery, &why);
        return;
    }
    if (site->used_ms < site->down_until_ms && site->seat_count == 0 && !delivery->is_probe) {
        struct pool_return why = site->down_why;

        site_return(site, delivery, &why);
        return;
    }
    if (site_waiting(site) >= PARK_AT && !site_is_there(site) && !delivery->is_probe) {
        struct pool_return why = {.result = POOL_PARKED};

        (void)FAIL(&why.err, ERR_TEMP, "many wait for the first connection to this host");
        site_return(site, delivery, &why);
        return;
    }
    if (delivery->is_urgent)
        site_put_first(site, delivery);
    else
        site_put_last(site, delivery);
    site_work(site);
}

static void on_crowd_timer(void *context)
{
    feed_the_starved(context);
}

static void on_sweep(void *context)
{
    struct pool *pool = context;
    int64_t now_ms = loop_now_ms();
    struct site *site;
    uint64_t id;
    size_t at = 0;

    while ((site = map_next(&pool->sites, &at, &id)) != NULL) {
        if (site->seat_count > 0 || site_waiting(site) > 0 ||
            now_ms - site->used_ms < KEEP_SITE_MS)
            continue;
        site_free(site);
        at = 0;
    }
    loop_timer_set(pool->sweep_timer, SWEEP_MS);
}
