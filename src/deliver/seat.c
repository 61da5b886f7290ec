/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/pool_internal.h"

#include "base/stats.h"
#include "deliver/ruling.h"
#include "deliver/tls_outcome.h"

#include <stdlib.h>
#include <string.h>

static void on_ready(void *context, struct deliver_client *client);
static void on_step(void *context, struct deliver_client *client, struct delivery *delivery,
                    enum client_step step, const struct err *why);
static void on_failed(void *context, struct deliver_client *client, enum client_failure failure,
                      const struct err *why);

static const struct deliver_client_handlers handlers = {
    .on_ready = on_ready,
    .on_step = on_step,
    .on_failed = on_failed,
};

bool class_covers(enum tls_class seat, enum tls_class wanted)
{
    static const bool covers[CLASS_COUNT][CLASS_COUNT] = {
        [CLASS_CLEAR] = {[CLASS_CLEAR] = true},
        [CLASS_OPEN] = {[CLASS_OPEN] = true},
        [CLASS_OPEN_1_3] = {[CLASS_OPEN] = true, [CLASS_OPEN_1_3] = true},
        [CLASS_VERIFIED] = {[CLASS_OPEN] = true, [CLASS_VERIFIED] = true},
        [CLASS_VERIFIED_1_3] = {[CLASS_OPEN] = true,
                                [CLASS_OPEN_1_3] = true,
                                [CLASS_VERIFIED] = true,
                                [CLASS_VERIFIED_1_3] = true},
        /* These stand at sites of their own. */
        [CLASS_DANE] = {[CLASS_DANE] = true},
        [CLASS_DANE_1_3] = {[CLASS_DANE] = true, [CLASS_DANE_1_3] = true},
    };

    return covers[seat][wanted];
}

/* What a connection of this class insists on. */
static const struct class_needs {
    enum tls_trust trust;
    bool is_enforced, is_1_3;
} class_needs[CLASS_COUNT] = {
    [CLASS_OPEN] = {TLS_TRUST_NOBODY, false, false},
    [CLASS_OPEN_1_3] = {TLS_TRUST_NOBODY, false, true},
    [CLASS_VERIFIED] = {TLS_TRUST_WEBPKI, true, false},
    [CLASS_VERIFIED_1_3] = {TLS_TRUST_WEBPKI, true, true},
    [CLASS_DANE] = {TLS_TRUST_DANE, true, false},
    [CLASS_DANE_1_3] = {TLS_TRUST_DANE, true, true},
};

/* TLS and who may be behind it. */
static void choose_tls(struct site *site, enum tls_class class,
                       struct deliver_client_options *options)
{
    const struct class_needs *needs = &class_needs[class];

    if (class == CLASS_CLEAR)
        return;
    options->tls = contexts_get(site->pool->options.contexts, needs->trust, site->is_small);
    options->is_enforced = needs->is_enforced;
    options->small_hello = site->is_small;
    options->least = needs->is_1_3 ? TLS_VERSION_1_3 : TLS_VERSION_NONE;
    options->resumption = site->resumption[class];
    if (needs->trust != TLS_TRUST_DANE)
        return;
    must(site->entry != NULL);
    options->tlsa = site->entry->tlsa;
    options->names_cstr[0] = site->entry->base_cstr;
    if (site->domain_cstr[0] != '\0')
        options->names_cstr[1] = site->domain_cstr;
}

bool seat_open(struct site *site, enum tls_class class, struct err *err)
{
    const struct pool_options *pool = &site->pool->options;
    struct deliver_client_options options = {
        .loop = pool->loop,
        .host_cstr = site->host_cstr,
        .address = site->address,
        .address_len = site->address_len,
        .helo_cstr = site->route->helo_cstr,
        .is_tls_first = site->route->is_tls_first,
        .user = site->route->user,
        .password = site->route->password,
        .connect_timeout_ms = pool->connect_timeout_ms,
        .command_timeout_ms = pool->command_timeout_ms,
        .idle_ms = pool->idle_ms,
        .shelf = pool->shelf,
        .scratch = &site->pool->scratch,
    };
    struct seat *seat = calloc(1, sizeof *seat);

    must(seat != NULL);
    choose_tls(site, class, &options);
    /* The deliverer asks no route for an address that it cannot connect to. */
    must(deliver_route_source(site->route, site->address.ss_family, &options.source));
    seat->site = site;
    seat->class = class;
    seat->is_small = options.small_hello;
    seat->client = deliver_client_open(&options, &handlers, seat, err);
    if (seat->client == NULL) {
        free(seat);
        return false;
    }
    list_push_back(&site->seats, &seat->link);
    site->seat_count++;
    site->opening[class]++;
    site->pool->seat_count++;
    site->pool->opened++;
    crowd_opened(site->crowd, stats_now_us());
    return true;
}

void seat_forget(struct seat *seat)
{
    struct site *site = seat->site;

    deliver_client_free(&seat->client);
    list_remove(&seat->link);
    site->seat_count--;
    if (!seat->is_ready)
        site->opening[seat->class]--;
    site->pool->seat_count--;
    crowd_closed(site->crowd);
    site->used_ms = loop_now_ms();
    free(seat);
}

void seat_retire(struct seat *seat)
{
    deliver_client_quit(&seat->client);
    seat_forget(seat);
}

/* Idle seats stand in front, busy ones behind. */
static void move(struct seat *seat, bool is_idle)
{
    list_remove(&seat->link);
    if (is_idle)
        list_push_front(&seat->site->seats, &seat->link);
    else
        list_push_back(&seat->site->seats, &seat->link);
}

/* Try one delivery on a ready connection: true when it is under way, else it has been given back. */
static bool try_delivery(struct seat *seat, struct delivery *delivery)
{
    struct site *site = seat->site;
    struct pool_return why = {.result = POOL_TLS};
    enum tls_handshake handshake = HANDSHAKE_NOT_TRIED;

    if (deliver_client_proof(seat->client).is_tls)
        handshake = HANDSHAKE_DONE;
    else if (seat->class == CLASS_CLEAR)
        handshake = HANDSHAKE_FAILED;
    why.decision = ruling_decide(delivery, seat->client, handshake, false);
    if (delivery->is_probe && why.decision.action == TLS_ACT_ENCRYPTED)
        why.result = POOL_ENDED;
    else if (why.decision.action == TLS_ACT_ENCRYPTED || why.decision.action == TLS_ACT_CLEAR) {
        delivery->told_us = stats_now_us();
        if (deliver_client_send(seat->client, delivery, &why.err)) {
            tls_outcome_used(delivery);
            site->pool->in_transit++;
            return true;
        }
        why.result = POOL_REFUSED;
    }
    delivery->evidence = *deliver_client_evidence(seat->client);
    why.is_counted = deliver_client_messages(seat->client) == 0;
    site_return(site, delivery, &why);
    return false;
}

/* It has carried all that one connection shall carry. */
static bool is_spent(const struct seat *seat)
{
    const struct crowd *crowd = seat->site->crowd;
    unsigned most = crowd_least(seat->site->pool->options.messages_per_connection,
                                crowd == NULL ? 0 : crowd->rule->messages_per_connection);

    return most > 0 && deliver_client_messages(seat->client) >= most;
}

bool seat_feed(struct seat *seat)
{
    struct site *site = seat->site;

    if (site->pool->is_closing || is_spent(seat))
        return false;
    /* The strictest first: fewer connections can carry them. */
    for (size_t class = CLASS_COUNT; class -- > 0;) {
        struct delivery *delivery;

        if (!class_covers(seat->class, (enum tls_class) class))
            continue;
        while ((delivery = site_take(site, (enum tls_class) class)) != NULL)
            if (try_delivery(seat, delivery)) {
                move(seat, false);
                return true;
            }
    }
    return false;
}

static bool is_useless(const struct seat *seat)
{
    return class_needs[seat->class].is_enforced && !deliver_client_proof(seat->client).is_tls;
}

static bool has_opening(const struct site *site)
{
    for (size_t class = 0; class < CLASS_COUNT; class ++)
        if (site->opening[class] > 0)
            return true;
    return false;
}

static void work_when_ready(struct seat *seat)
{
    struct site *site = seat->site;
    bool is_ahead = deliver_client_is_ahead(seat->client);

    /* Connections are being opened for those who wait, or a round trip is nothing: do not stand behind a message. */
    if (is_ahead && (has_opening(site) || site->took_us > CROWDED_US))
        return;
    if (!is_ahead)
        move(seat, true);
    if (seat_feed(seat) || is_ahead)
        return;
    /* Without TLS it was good for this one look: the next secure message shall look again. */
    if (is_spent(seat) || is_useless(seat)) {
        seat_retire(seat);
        site_work(site);
    }
}

static void on_ready(void *context, struct deliver_client *client)
{
    struct seat *seat = context;
    struct site *site = seat->site;

    (void)client;
    if (!seat->is_ready) {
        seat->is_ready = true;
        site->opening[seat->class]--;
        site->down_until_ms = 0;
    }
    site_enter(site);
    work_when_ready(seat);
    site_leave(site);
}

static void keep_resumption(struct seat *seat)
{
    struct tls_resumption **kept = &seat->site->resumption[seat->class];

    if (*kept == NULL)
        *kept = deliver_client_resumption(seat->client);
}

/* Would one that came now wait for a connection, long in itself and beside what the sending takes? */
static bool is_crowded(struct site *site, const struct delivery *delivery)
{
    int64_t took_us = stats_now_us() - delivery->told_us;
    int64_t wait_us = took_us * (int64_t)site_waiting(site) / (int64_t)(site->seat_count + 1);

    site->took_us = (site->took_us * 7 + took_us) / 8;
    return wait_us > CROWDED_US && wait_us > took_us / 4;
}

static void on_step(void *context, struct deliver_client *client, struct delivery *delivery,
                    enum client_step step, const struct err *why)
{
    struct seat *seat = context;
    struct site *site = seat->site;
    struct pool_return returned = {.result = POOL_ENDED, .err = *why};

    (void)client;
    site->pool->in_transit--;
    switch (step) {
    case CLIENT_STEP_ENDED:
        keep_resumption(seat);
        concurrency_succeeded(&site->connections);
        delivery->is_crowded = is_crowded(site, delivery);
        break;
    case CLIENT_STEP_LOST:
        returned.result = POOL_LOST;
        break;
    case CLIENT_STEP_STALE:
        if (delivery->walk.stale++ < STALE_MAX) {
            /* on_failed follows: there it gets another connection. */
            site_put_first(site, delivery);
            return;
        }
        returned.result = POOL_LOST;
        break;
    case CLIENT_STEP_CONTENT:
        returned.result = POOL_REFUSED;
        break;
    }
    /* Work that comes of it waits: this connection is between two messages. */
    site_enter(site);
    site_return(site, delivery, &returned);
    site->depth--;
}

static bool has_ready_seat(struct site *site, enum tls_class class)
{
    struct list_link *link = list_first(&site->seats);

    for (; link != NULL; link = list_next(&site->seats, link)) {
        struct seat *seat = LIST_ELEMENT(link, struct seat, link);

        if (seat->is_ready && (class == CLASS_COUNT || class_covers(seat->class, class)))
            return true;
    }
    return false;
}

bool site_is_there(struct site *site)
{
    return has_ready_seat(site, CLASS_COUNT);
}

/* A connection that has ended, as far as others need to know. */
struct gone {
    enum tls_class class;
    bool may_be_the_hello;
    struct delivery_evidence evidence;
};

/* What the end of a connection says about those who wait for one. */
static void judge_failure(struct site *site, const struct gone *gone,
                          enum client_failure failure, const struct err *why)
{
    struct pool_return returned = {.err = *why};
    enum tls_class class = gone->class;

    switch (failure) {
    case CLIENT_IDLE_END:
        return;
    case CLIENT_LOST:
        if (!concurrency_failed(&site->connections))
            return;
        returned.result = POOL_UNREACHABLE;
        site_is_down(site, &returned);
        return;
    case CLIENT_NO_LOGIN:
    case CLIENT_UNREACHABLE:
        if (has_ready_seat(site, CLASS_COUNT))
            break;
        (void)concurrency_failed(&site->connections);
        returned.is_login = failure == CLIENT_NO_LOGIN;
        returned.result = returned.is_login ? POOL_NO_WAY : POOL_UNREACHABLE;
        site_is_down(site, &returned);
        return;
    case CLIENT_NO_TLS:
        tls_resumption_unref(&site->resumption[class]);
        if (has_ready_seat(site, class))
            break;
        returned.result = POOL_TLS;
        returned.has_failed_handshake = true;
        returned.may_be_the_hello = gone->may_be_the_hello;
        returned.evidence = &gone->evidence;
        /* Once more with a small one; if that helps nothing, the next connection begins anew. */
        site->is_small = gone->may_be_the_hello || site->is_small_known;
        site_return_all(site, class, &returned);
        return;
    }
    /* Others are there: so many connections and no more are welcome. */
    concurrency_cap(&site->connections, (unsigned)site->seat_count);
}

void feed_the_starved(struct pool *pool)
{
    struct site *site;
    uint64_t id;
    size_t at = 0;

    if (!pool->is_starved)
        return;
    pool->is_starved = false;
    while ((site = map_next(&pool->sites, &at, &id)) != NULL && !pool->is_starved)
        if (site_waiting(site) > 0)
            site_work(site);
}

static void on_failed(void *context, struct deliver_client *client, enum client_failure failure,
                      const struct err *why)
{
    struct seat *seat = context;
    struct site *site = seat->site;
    struct gone gone = {.class = seat->class,
                        .may_be_the_hello = deliver_client_may_be_the_hello(client),
                        .evidence = *deliver_client_evidence(client)};
    struct err copy = *why;

    seat_forget(seat);
    if (site->pool->is_closing)
        return;
    site_enter(site);
    judge_failure(site, &gone, failure, &copy);
    site->is_work_due = true;
    site_leave(site);
    feed_the_starved(site->pool);
}
