/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/deliverer.h"

#include "deliver/directory.h"
#include "deliver/literal.h"
#include "deliver/pool.h"
#include "deliver/ruling.h"
#include "deliver/tls_outcome.h"
#include "deliver/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SESSIONS_MAX = 2,    /* hosts that are told about a message in one attempt */
    CANDIDATES_MAX = 64, /* addresses tried in one attempt: bits of failed_handshakes */
    DEFAULT_PORT = 25,
    TIDY_MS = 1000,
};

struct deliverer {
    struct loop *loop;
    struct settings *settings;
    deliverer_finished_fn *on_finished;
    deliverer_ask_host_fn *on_ask_host; /* NULL = nothing is remembered of hosts */
    void *context;
    struct resolver *resolver;
    struct directory *directory;
    struct pool *pool;
    struct contexts *contexts;
    struct spool_shelf *shelf;
    struct deliver_routes routes;
    struct settings_providers *providers;
    struct loop_timer *tidy_timer;
    struct list all;      /* every delivery inside, wherever it waits */
    struct list finished; /* to be handed out in the next turn */
    struct loop_timer *finish_timer;
    size_t count, finished_count;
    bool is_draining;
};

static void walk(struct deliverer *deliverer, struct delivery *delivery);
static void on_known(void *context, struct list_link *waiter, struct directory_entry *entry);
static void on_return(void *context, struct delivery *delivery,
                      const struct pool_return *returned);
static void on_finish_turn(void *context);
static void no_way(struct deliverer *deliverer, struct delivery *delivery,
                   enum route_failure failure, const struct err *err);
static void on_tidy(void *context);

/* ---- life ---- */

static bool make_resolver(struct deliverer *deliverer, struct err *err)
{
    const struct settings_resolver *from = &deliverer->settings->resolver;
    struct resolver_options options = {
        .forward = from->forward,
        .forward_count = from->forward_count,
        .local_data = from->local_data,
        .local_data_count = from->local_data_count,
        .trust_anchor = from->trust_anchor.bytes,
        .prefer_ipv4 = deliverer->settings->delivery.prefer_ipv4,
    };

    return resolver_new(deliverer->loop, &options, &deliverer->resolver, err);
}

static void ask_host(void *context, uint64_t ask, const char *host_cstr)
{
    struct deliverer *deliverer = context;

    deliverer->on_ask_host(deliverer->context, ask, host_cstr);
}

void deliverer_host_known(struct deliverer *deliverer, uint64_t ask, bool is_ratcheted,
                          bool wants_small_hello)
{
    directory_host_known(deliverer->directory, ask, is_ratcheted, wants_small_hello);
}

static void make_directory(struct deliverer *deliverer)
{
    struct directory_options options = {
        .resolver = deliverer->resolver,
        .own_host_cstr = deliverer->settings->hostname_cstr,
        .on_known = on_known,
        .providers = deliverer->providers,
        .ask_host = deliverer->on_ask_host != NULL ? ask_host : NULL,
        .context = deliverer,
    };

    deliverer->directory = directory_new(&options);
}

static void make_pool(struct deliverer *deliverer)
{
    const struct settings *settings = deliverer->settings;
    const struct settings_delivery *from = &settings->delivery;
    struct pool_options options = {
        .loop = deliverer->loop,
        .connect_timeout_ms = from->connect_timeout_ms,
        .command_timeout_ms = from->command_timeout_ms,
        .idle_ms = from->idle_ms,
        .connections_per_host = from->connections_per_host,
        .messages_per_connection = from->messages_per_connection,
        .contexts = deliverer->contexts,
        .shelf = deliverer->shelf,
    };

    deliverer->pool = pool_new(&options, on_return, deliverer);
}

bool deliverer_new(struct loop *loop, struct settings *settings, int spool_dir_fd,
                   const struct deliverer_handlers *handlers, void *context,
                   struct deliverer **deliverer_out, struct err *err)
{
    struct deliverer *deliverer = calloc(1, sizeof *deliverer);

    must(deliverer != NULL);
    deliverer->loop = loop;
    deliverer->settings = settings_ref(settings);
    deliver_routes_init(&deliverer->routes, settings);
    deliverer->providers = settings_providers_new(settings);
    deliverer->shelf = spool_shelf_new(spool_dir_fd);
    deliverer->tidy_timer = loop_timer_new(loop, on_tidy, deliverer);
    deliverer->on_finished = handlers->on_finished;
    deliverer->on_ask_host = handlers->on_ask_host;
    deliverer->context = context;
    list_init(&deliverer->all);
    list_init(&deliverer->finished);
    deliverer->finish_timer = loop_timer_new(loop, on_finish_turn, deliverer);
    *deliverer_out = deliverer;
    if (!make_resolver(deliverer, err) ||
        !contexts_new(settings->trusted_roots.bytes, &deliverer->contexts, err)) {
        deliverer_free(deliverer_out);
        return false;
    }
    make_directory(deliverer);
    make_pool(deliverer);
    return true;
}

void deliverer_free(struct deliverer **deliverer_pointer)
{
    struct deliverer *deliverer = *deliverer_pointer;

    if (deliverer == NULL)
        return;
    pool_free(&deliverer->pool);
    directory_free(&deliverer->directory);
    resolver_free(&deliverer->resolver);
    for (struct list_link *link; (link = list_first(&deliverer->all)) != NULL;) {
        struct delivery *delivery = LIST_ELEMENT(link, struct delivery, all);

        delivery_free(&delivery);
    }
    spool_shelf_free(&deliverer->shelf);
    loop_timer_free(&deliverer->tidy_timer);
    loop_timer_free(&deliverer->finish_timer);
    contexts_free(&deliverer->contexts);
    deliver_routes_deinit(&deliverer->routes);
    settings_providers_free(&deliverer->providers);
    settings_unref(&deliverer->settings);
    free(deliverer);
    *deliverer_pointer = NULL;
}

/* As long as there is work, or what it has left open. */
static void on_tidy(void *context)
{
    struct deliverer *deliverer = context;

    if (spool_shelf_tidy(deliverer->shelf) || deliverer->count > 0)
        loop_timer_set(deliverer->tidy_timer, TIDY_MS);
}

void deliverer_drain(struct deliverer *deliverer)
{
    deliverer->is_draining = true;
    pool_drain(deliverer->pool);
}

size_t deliverer_count(const struct deliverer *deliverer)
{
    return deliverer->count;
}

size_t deliverer_in_transit(const struct deliverer *deliverer)
{
    return pool_in_transit(deliverer->pool) + deliverer->finished_count;
}

uint64_t deliverer_connections_opened(const struct deliverer *deliverer)
{
    return pool_connections_opened(deliverer->pool);
}

/* ---- the end of a delivery ---- */

/* In the next turn: the pool is in the middle of its work when it hands a delivery back. */
static void finish(struct deliverer *deliverer, struct delivery *delivery)
{
    must(delivery_is_settled(delivery));
    list_push_back(&deliverer->finished, &delivery->link);
    deliverer->finished_count++;
    if (!loop_timer_is_set(deliverer->finish_timer))
        loop_timer_set(deliverer->finish_timer, 0);
}

static void on_finish_turn(void *context)
{
    struct deliverer *deliverer = context;
    struct list_link *link;

    while ((link = list_take_first(&deliverer->finished)) != NULL) {
        struct delivery *delivery = LIST_ELEMENT(link, struct delivery, link);

        list_remove(&delivery->all);
        deliverer->count--;
        deliverer->finished_count--;
        deliverer->on_finished(deliverer->context, delivery);
    }
}

static void settle(struct deliverer *deliverer, struct delivery *delivery,
                   enum delivery_outcome outcome, const char *enhanced_cstr,
                   const char *text_cstr)
{
    delivery_settle(delivery, outcome, 0, enhanced_cstr, text_cstr);
    finish(deliverer, delivery);
}

/* ---- hosts ---- */

/* The fixed next hop, or the domain when it is a literal; NULL = ask for MX. */
static const char *fixed_host(const struct delivery *delivery)
{
    if (delivery->host_cstr[0] != '\0')
        return delivery->host_cstr;
    return literal_is(delivery->domain_cstr) ? delivery->domain_cstr : NULL;
}

static size_t host_count(const struct delivery *delivery)
{
    return fixed_host(delivery) != NULL ? 1 : delivery->walk.hosts->count;
}

static const char *present_host(const struct delivery *delivery)
{
    const char *fixed_cstr = fixed_host(delivery);

    return fixed_cstr != NULL ? fixed_cstr
                              : delivery->walk.hosts->hosts[delivery->walk.host].host_cstr;
}

static void next_host(struct delivery *delivery)
{
    directory_entry_unref(&delivery->walk.addresses);
    delivery->walk.address = 0;
    delivery->walk.host++;
}

/* What the MX look-up says, when it says no. True: there are hosts. */
static bool check_hosts(struct deliverer *deliverer, struct delivery *delivery)
{
    const struct directory_entry *hosts = delivery->walk.hosts;

    switch (hosts->outcome) {
    case RESOLVER_FOUND:
    case RESOLVER_NO_DATA:
        break;
    case RESOLVER_NO_DOMAIN:
        settle(deliverer, delivery, OUTCOME_PERMANENT, "5.1.2", "the domain does not exist");
        return false;
    case RESOLVER_NULL_MX:
        settle(deliverer, delivery, OUTCOME_PERMANENT, "5.1.10",
               "the domain says that it takes no mail (null MX)");
        return false;
    case RESOLVER_TRY_LATER:
        delivery_lookups(delivery, hosts);
        delivery->walk.is_unreached = true;
        settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.4.3", hosts->text_cstr);
        return false;
    }
    if (hosts->is_loop) {
        settle(deliverer, delivery, OUTCOME_PERMANENT, "5.4.6",
               "mail for the domain would come back to this host (MX loop)");
        return false;
    }
    return true;
}

static bool find_hosts(struct deliverer *deliverer, struct delivery *delivery)
{
    if (fixed_host(delivery) != NULL)
        return true;
    if (delivery->walk.hosts == NULL &&
        directory_hosts(deliverer->directory, delivery->domain_cstr, &delivery->link,
                        &delivery->walk.hosts) != PROGRESS_DONE)
        return false;
    return check_hosts(deliverer, delivery);
}

static uint16_t port_of(const struct deliverer *deliverer, const struct delivery *delivery)
{
    uint16_t port = delivery->port != 0 ? delivery->port : deliverer->settings->delivery.port;

    return port != 0 ? port : DEFAULT_PORT;
}

static void note_no_address(struct delivery *delivery, const struct directory_entry *addresses)
{
    const char *why_cstr = addresses->outcome == RESOLVER_TRY_LATER ? addresses->text_cstr
                                                                    : "the host has no address";

    if (addresses->outcome == RESOLVER_TRY_LATER)
        delivery->walk.dns_failed = true;
    delivery_lookups(delivery, addresses);
    delivery_trail(delivery, present_host(delivery), "", why_cstr);
    snprintf(delivery->walk.last_why_cstr, sizeof delivery->walk.last_why_cstr, "%s: %s",
             present_host(delivery), why_cstr);
}

/* DONE: *address_out is the present candidate. WAIT: the DNS is asked. FAIL: no hosts are left. */
static enum progress find_address(struct deliverer *deliverer, struct delivery *delivery,
                                  struct dns_address *address_out)
{
    struct delivery_walk *at = &delivery->walk;

    for (; at->host < host_count(delivery); next_host(delivery)) {
        if (literal_is(present_host(delivery))) {
            if (at->address == 0 && literal_parse(present_host(delivery), address_out))
                return PROGRESS_DONE;
            continue;
        }
        if (at->addresses == NULL &&
            directory_addresses(deliverer->directory, present_host(delivery),
                                port_of(deliverer, delivery), &delivery->link,
                                &at->addresses) != PROGRESS_DONE)
            return PROGRESS_WAIT;
        if (at->addresses->count == 0)
            note_no_address(delivery, at->addresses);
        if (at->address < at->addresses->count) {
            *address_out = at->addresses->addresses[at->address];
            return PROGRESS_DONE;
        }
    }
    return PROGRESS_FAIL;
}

/* ---- the walk ---- */

/*
 * TLS failed somewhere, everywhere else nobody was found: look again at those hosts as the last resort. The table says for
 * each of them whether that means cleartext by now; only those whose row allows it at all are in failed_handshakes.
 */
static bool has_last_resort(const struct delivery *delivery)
{
    return !delivery->walk.is_last_resort && delivery->walk.failed_handshakes != 0;
}

static void conclude(struct deliverer *deliverer, struct delivery *delivery)
{
    struct delivery_walk *at = &delivery->walk;
    const char *why_cstr = at->last_why_cstr;

    at->is_unreached =
        !at->was_reached && !at->had_no_source && !deliver_route_is_smart(delivery->route);
    delivery->route_failure = deliver_route_failure(delivery);
    if (delivery->route_failure != ROUTE_WORKS)
        settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.4.1", why_cstr);
    else if (at->was_not_proved && !at->was_proved)
        settle(deliverer, delivery, OUTCOME_NOT_PROVED,
               delivery->requirement.requiretls ? "5.7.30" : "5.7.10", why_cstr);
    else if (!at->had_address && !at->dns_failed)
        settle(deliverer, delivery, OUTCOME_PERMANENT,
               at->hosts != NULL && at->hosts->is_implicit ? "5.1.2" : "5.4.4",
               "no host of the domain has an address");
    else if (!at->had_address)
        settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.4.3", why_cstr);
    else
        /* 4.7.10: TLS holds it, not the way there. */
        settle(deliverer, delivery, OUTCOME_TEMPORARY,
               at->was_held && !at->was_proved ? "4.7.10" : "4.4.1", why_cstr);
}

static void start_last_resort(struct delivery *delivery)
{
    directory_entry_unref(&delivery->walk.addresses);
    delivery->walk.is_last_resort = true;
    delivery->walk.host = delivery->walk.address = 0;
    delivery->walk.candidate = 0;
}

static void next_address(struct delivery *delivery)
{
    delivery->walk.address++;
    delivery->walk.candidate++;
}

static bool is_enough(const struct delivery *delivery)
{
    return delivery->walk.sessions >= SESSIONS_MAX ||
           delivery->walk.candidate >= CANDIDATES_MAX;
}

/* In the last round only those are asked again whose TLS failed in the first. */
static bool is_skipped(const struct delivery *delivery)
{
    const struct delivery_walk *at = &delivery->walk;

    return at->is_last_resort && (at->failed_handshakes >> at->candidate & 1) == 0;
}

/* As find_address, over those that count in this round. */
static enum progress find_candidate(struct deliverer *deliverer, struct delivery *delivery,
                                    struct dns_address *address_out)
{
    while (!is_enough(delivery)) {
        enum progress got = find_address(deliverer, delivery, address_out);

        if (got != PROGRESS_DONE ||
            (!is_skipped(delivery) &&
             !deliver_route_lacks_source(delivery, present_host(delivery), address_out)))
            return got;
        next_address(delivery);
    }
    return PROGRESS_FAIL;
}

static void walk(struct deliverer *deliverer, struct delivery *delivery)
{
    struct dns_address address;
    struct sockaddr_storage to;
    socklen_t to_len;

    if (!find_hosts(deliverer, delivery))
        return;
    if (deliver_route_is_misplaced(delivery)) {
        settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.3.0", "another courier's provider");
        return;
    }
    for (;;) {
        enum progress got = find_candidate(deliverer, delivery, &address);

        if (got == PROGRESS_WAIT)
            return;
        if (got == PROGRESS_DONE) {
            delivery->walk.had_address = true;
            to_len = literal_socket_address(&address, port_of(deliverer, delivery), &to);
            trail_begin(delivery, present_host(delivery), &to);
            ruling_begin(delivery, present_host(delivery), fixed_host(delivery) != NULL);
            if (!delivery->walk.policy.demand.is_skipped)
                break;
            ruling_skip(delivery);
            next_host(delivery);
            continue;
        }
        if (!has_last_resort(delivery)) {
            conclude(deliverer, delivery);
            return;
        }
        start_last_resort(delivery);
    }
    if (deliverer->is_draining)
        return; /* it stays in the list of all, unanswered */
    pool_submit(deliverer->pool, present_host(delivery), &to, to_len, delivery);
}

void deliverer_submit(struct deliverer *deliverer, struct delivery *delivery)
{
    enum route_failure failure;
    struct err err = {0};

    list_push_back(&deliverer->all, &delivery->all);
    deliverer->count++;
    if (!loop_timer_is_set(deliverer->tidy_timer))
        loop_timer_set(deliverer->tidy_timer, TIDY_MS);
    failure = deliver_route_take(&deliverer->routes, delivery, &err);
    if (failure != ROUTE_WORKS)
        no_way(deliverer, delivery, failure, &err);
    else if (delivery->is_probe && delivery->host_cstr[0] == '\0')
        finish(deliverer, delivery);
    else
        walk(deliverer, delivery);
}

static void on_known(void *context, struct list_link *waiter, struct directory_entry *entry)
{
    struct delivery *delivery = LIST_ELEMENT(waiter, struct delivery, link);

    /* Walking on finds it in the directory. */
    (void)entry;
    walk(context, delivery);
}

/* ---- what a host has to say ---- */

static void settle_by(struct deliverer *deliverer, struct delivery *delivery,
                      const struct err *err)
{
    bool is_final = err->class == ERR_PERM;
    const char *enhanced_cstr = err->enhanced_cstr[0] != '\0' ? err->enhanced_cstr
                                : is_final                    ? "5.3.0"
                                                              : "4.3.0";

    trail_say(delivery, err->text_cstr);
    settle(deliverer, delivery, is_final ? OUTCOME_PERMANENT : OUTCOME_TEMPORARY, enhanced_cstr,
           err->text_cstr);
}

static bool has_delivered(const struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->recipient_count; i++)
        if (delivery->recipients[i].state == RECIPIENT_DONE &&
            delivery->recipients[i].outcome == OUTCOME_DELIVERED)
            return true;
    return false;
}

static void go_on(struct deliverer *deliverer, struct delivery *delivery)
{
    if (delivery_is_settled(delivery)) {
        finish(deliverer, delivery);
        return;
    }
    /* The evidence is of one connection: another host's must not stand for what this one was told, in the clear perhaps. */
    if (has_delivered(delivery)) {
        settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.3.0",
               "the host took the message, and not for this recipient");
        return;
    }
    if (delivery->is_unsure) {
        settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.4.2",
               "the connection was lost after the end of the message; it may have arrived");
        return;
    }
    next_address(delivery);
    walk(deliverer, delivery);
}

/* It is our own way out that fails: no other host would help. */
static void no_way(struct deliverer *deliverer, struct delivery *delivery,
                   enum route_failure failure, const struct err *err)
{
    delivery_trail(delivery, delivery->route->name_cstr, "", err->text_cstr);
    delivery->route_failure = failure;
    settle(deliverer, delivery, OUTCOME_TEMPORARY, "4.4.1", err->text_cstr);
}

static void on_return(void *context, struct delivery *delivery,
                      const struct pool_return *returned)
{
    struct deliverer *deliverer = context;

    if (returned->result == POOL_NO_WAY && delivery->walk.sessions == 0) {
        no_way(deliverer, delivery, returned->is_login ? ROUTE_NO_LOGIN : ROUTE_NO_SOURCE,
               &returned->err);
        return;
    }
    if (returned->result == POOL_PARKED && delivery->walk.sessions == 0) {
        delivery->is_parked = true;
        settle_by(deliverer, delivery, &returned->err);
        return;
    }
    if (returned->result != POOL_UNREACHABLE && returned->result != POOL_PARKED)
        delivery->walk.was_reached = true;
    switch (returned->result) {
    case POOL_ENDED:
        trail_say_replies(delivery);
        delivery->walk.was_proved = true;
        delivery->walk.sessions++;
        break;
    case POOL_LOST:
        trail_say(delivery, returned->err.text_cstr);
        delivery->walk.was_proved = true;
        delivery->walk.sessions++;
        break;
    case POOL_NO_WAY:
    case POOL_PARKED:
    case POOL_UNREACHABLE:
        delivery->walk.route_failure = ROUTE_NOT_REACHED;
        trail_say(delivery, returned->err.text_cstr);
        break;
    case POOL_TLS:
        delivery->walk.route_failure = ROUTE_NO_TLS;
        ruling_refuse(delivery, &returned->decision, &returned->err);
        if (returned->is_counted)
            tls_outcome_refused(delivery, returned->has_failed_handshake);
        if (returned->has_failed_handshake && ruling_allows_last_resort(delivery))
            delivery->walk.failed_handshakes |= UINT64_C(1) << delivery->walk.candidate;
        break;
    case POOL_REFUSED:
        settle_by(deliverer, delivery, &returned->err);
        return;
    }
    go_on(deliverer, delivery);
}
