/* SPDX-License-Identifier: Apache-2.0 */
/* What pool.c (sites and who waits there) and seat.c (connections of a site) share. */
#ifndef DELIVER_POOL_INTERNAL_H
#define DELIVER_POOL_INTERNAL_H

#include "base/map.h"
#include "deliver/concurrency.h"
#include "deliver/crowd.h"
#include "deliver/pool.h"

enum {
    CROWD_LOOK_MS = 1000,  /* when a provider's connections are all in use */
    DOWN_MS = 10000,       /* nobody there: not tried again before */
    KEEP_SITE_MS = 600000, /* unused: forgotten, with what would resume its sessions */
    SWEEP_MS = 30000,
    CROWDED_US = 100000,
    PARK_AT = 32,  /* so many may wait for a host that nobody has reached yet */
    STALE_MAX = 5, /* dead kept connections that one delivery may meet */
    CONNECTIONS_MAX = 1000,
};

struct site {
    struct pool *pool;
    uint64_t id;
    char host_cstr[DELIVERY_HOST_SIZE];
    struct sockaddr_storage address;
    socklen_t address_len;
    const struct deliver_route *route;
    struct directory_entry *entry; /* whose TLSA records its classes DANE match; else NULL */
    char domain_cstr[DELIVERY_HOST_SIZE]; /* a further name for them; "" = none */
    bool is_small;                        /* begins with a small ClientHello */
    bool is_small_known;                  /* … as is remembered of the host */
    struct list waiting[CLASS_COUNT];     /* deliveries */
    size_t waiting_count[CLASS_COUNT];
    struct list seats; /* all of them, the idle ones first */
    size_t seat_count;
    size_t opening[CLASS_COUNT];    /* of them, not ready yet */
    struct concurrency connections; /* how many are welcome */
    struct crowd *crowd;            /* all of its provider; NULL = no limits */
    unsigned depth;   /* of work on it: what is given back may come back at once */
    bool is_work_due; /* came back meanwhile: go round again */
    int64_t took_us;  /* a message, from envelope to answer, of late */
    int64_t down_until_ms;
    struct pool_return down_why;
    int64_t used_ms;
    struct tls_resumption *resumption[CLASS_COUNT];
};

/* A connection of a site. */
struct seat {
    struct list_link link;
    struct site *site;
    struct deliver_client *client;
    enum tls_class class;
    bool is_small; /* said a small ClientHello */
    bool is_ready;
};

struct pool {
    struct pool_options options;
    pool_return_fn *on_return;
    void *context;
    struct secret salt;
    struct map sites;
    struct list crowds;
    struct loop_timer *sweep_timer, *crowd_timer;
    struct buffer scratch;
    size_t seat_count, in_transit;
    uint64_t opened;
    bool is_starved; /* somebody wanted a connection when there were too many */
    bool is_closing; /* drained or being freed: nothing new is begun */
};

/* pool.c */
size_t site_waiting(const struct site *site);
struct delivery *site_take(struct site *site, enum tls_class class);
void site_put_first(struct site *site, struct delivery *delivery);
/*
 * Give everybody of a class, or (CLASS_COUNT) of all classes, back with the same words. After a failed handshake the table is
 * asked for each: those that shall try a smaller ClientHello here stay.
 */
void site_return_all(struct site *site, enum tls_class class, const struct pool_return *why);
/* The same with all of them; nobody is tried for a while. */
void site_is_down(struct site *site, const struct pool_return *why);
/* Hand waiting deliveries to idle connections and open more where that does not suffice. */
void site_work(struct site *site);
/* Between these two site_work() only makes a note: seats do not go away under our feet. */
void site_enter(struct site *site);
void site_leave(struct site *site);
/* One delivery to its end here. */
void site_return(struct site *site, struct delivery *delivery, const struct pool_return *why);

/* seat.c */
/* Has it a connection that is ready, busy or not? */
bool site_is_there(struct site *site);
/* Let those go on who wanted a connection when there were too many. */
void feed_the_starved(struct pool *pool);
/* May a connection of class `seat` carry a delivery of class `wanted`? */
bool class_covers(enum tls_class seat, enum tls_class wanted);
/* False with err: connecting failed at once. */
MUST_CHECK bool seat_open(struct site *site, enum tls_class class, struct err *err);
/* Give it something to carry; false when there is nothing for it. */
bool seat_feed(struct seat *seat);
/* Close an idle connection politely and forget it. */
void seat_retire(struct seat *seat);
/* Close at once and forget. */
void seat_forget(struct seat *seat);

#endif
