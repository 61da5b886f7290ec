/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to hosts, kept and shared. A *site* is one address of one host name on one port, by one route, under one set
 * of TLSA records (or none). Deliveries wait at their
 * site for a connection of their class; a connection that becomes free takes the next one that it may carry. Classes
 * keep apart what must not mix: only a connection whose TLS context itself refuses the unproved ever carries mail that
 * requires proof, and sessions are resumed within a class only.
 *
 * How many connections: begins with FIRST_CONNECTIONS per site, one more for each round of successes, fewer when the host
 * refuses; never above settings->delivery.connections_per_host.
 */
#ifndef DELIVER_POOL_H
#define DELIVER_POOL_H

#include "deliver/client.h"
#include "deliver/contexts.h"
#include "deliver/route.h"

enum tls_class {
    CLASS_CLEAR,    /* STARTTLS is not tried: the last resort of ordinary mail */
    CLASS_OPEN,     /* TLS where offered, with anybody */
    CLASS_OPEN_1_3, /* the same, TLS 1.3 or nothing */
    CLASS_VERIFIED, /* the certificate must verify */
    CLASS_VERIFIED_1_3,
    CLASS_DANE, /* a TLSA record must match: alone at its site */
    CLASS_DANE_1_3,
    CLASS_COUNT
};
enum tls_class tls_class_of(const struct delivery *delivery);

/* How a delivery came back from a site. */
enum pool_result {
    POOL_ENDED,       /* the host answered: see the recipients */
    POOL_LOST,        /* the connection broke in between */
    POOL_UNREACHABLE, /* nobody there, or it would not talk */
    POOL_TLS,         /* not sent: see the decision */
    POOL_PARKED,      /* not tried: many wait already for a first connection to this host */
    POOL_NO_WAY,  /* we could not connect from our own address, or the host refused our login */
    POOL_REFUSED, /* not sent: our content, or what the host lacks; err is for all recipients */
};

struct pool_return {
    enum pool_result result;
    struct tls_decision decision; /* POOL_TLS */
    bool has_failed_handshake;    /* POOL_TLS: TLS was tried and did not come about */
    bool is_counted;              /* POOL_TLS: the first to come back from this connection */
    bool may_be_the_hello;        /* … in a way that a smaller ClientHello may cure */
    const struct delivery_evidence
        *evidence;  /* of a connection that is gone; NULL = in the delivery */
    struct err err; /* why, unless POOL_ENDED */
    bool is_login;  /* POOL_NO_WAY: it was the login */
};

typedef void pool_return_fn(void *context, struct delivery *delivery,
                            const struct pool_return *returned);

struct pool_options {
    struct loop *loop;
    int64_t connect_timeout_ms, command_timeout_ms, idle_ms;
    unsigned connections_per_host, messages_per_connection;
    unsigned connections_max;  /* in all; 0 = 1000 */
    struct contexts *contexts; /* borrowed */
    struct spool_shelf *shelf; /* borrowed */
};

struct pool;
/* The strings of options must live as long as the pool. */
struct pool *pool_new(const struct pool_options *options, pool_return_fn *on_return,
                      void *context);
/* Deliveries inside are freed. Clears *pool. */
void pool_free(struct pool **pool);

/*
 * Takes the delivery, whose route is set, until on_return, which may come before this returns. address: with port.
 */
void pool_submit(struct pool *pool, const char *host_cstr,
                 const struct sockaddr_storage *address, socklen_t address_len,
                 struct delivery *delivery);
/* Begin no message and open no connection any more. */
void pool_drain(struct pool *pool);
/* Messages that are being sent right now, as opposed to waiting. */
size_t pool_in_transit(const struct pool *pool);
/* Connections open now, and opened since the start. */
size_t pool_connections(const struct pool *pool);
uint64_t pool_connections_opened(const struct pool *pool);

#endif
