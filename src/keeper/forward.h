/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aliases and forwards: mail to an address of ours goes on to others. They come from the settings and from `postern
 * forward add`; one table holds both, one map in memory answers from it, and is made anew from the table after each
 * change. With `forward_tls_only` nothing goes on to a domain without proved TLS: what never had it is barred, what
 * had it and lost it is held. That is looked at here for listing and for taking mail in; what is true when mail leaves
 * is decided on the connection, as its requirement says.
 */
#ifndef KEEPER_FORWARD_H
#define KEEPER_FORWARD_H

#include "base/arena.h"
#include "base/buffer.h"
#include "keeper/domains.h"
#include "keeper/peers.h"
#include "store/forward.h"
#include "store/recipient.h"

struct forward_source;

struct forward {
    struct store_forward row;
    struct forward_source *source;
    struct slice target;
    struct forward *next; /* of the same source, as they were made */
};

/* One of our addresses, or "@domain", with all that it leads to. */
struct forward_source {
    struct slice address;
    struct forward *first, *last;
    struct forward_source *next_same; /* another address with the same hash */
};

struct forwards {
    struct arena *memory; /* of all of it */
    struct map by_address;
    struct forward **all; /* in the order of their ids */
    size_t count, catch_alls;
};

enum forward_state {
    FORWARD_ACTIVE,
    FORWARD_SHUT,   /* the operator's */
    FORWARD_BARRED, /* forward_tls_only, and TLS was never proved there */
    FORWARD_HELD,   /* forward_tls_only, and TLS is lost: mail is taken and waits */
    FORWARD_IDLE,   /* a catch-all of a domain that has a next hop by now */
    FORWARD_STATE_COUNT
};
const char *forward_state_name(enum forward_state state);

void forwards_init(struct forwards *forwards);
void forwards_deinit(struct forwards *forwards);
/* At the start, no batch open: bring the table in line with the settings, then read it. */
MUST_CHECK bool forwards_open(struct keeper *keeper, struct err *err);
/* The same after other settings, as a task. */
void forwards_settle(struct keeper *keeper);
/* Inside of a batch: the table was changed; after the commit it is read again. */
void forwards_changed(struct keeper *keeper);

/* All that this address leads to; NULL: none of ours leads on. The exact address only. */
struct forward_source *forward_source_find(const struct keeper *keeper, struct slice address);
/* The same, or else the catch-all of its domain. */
struct forward_source *forward_source_for(const struct keeper *keeper, struct slice address);
/* Is it used now? *why_out: words for the list, NULL allowed. */
enum forward_state forward_judge(struct keeper *keeper, const struct forward *forward,
                                 const char **why_out);
/* Inside of a batch: mail goes on by an active one; under the switch that is remembered, see FORWARD_HELD. */
void forward_allow(struct keeper *keeper, struct forward *forward);
/* Of an address that mail goes on to: what is known of its domain's TLS, by the one rule for forwards. */
enum domain_tls forward_target_tls(struct keeper *keeper, struct slice target);
/* A connection did not prove its TLS for this recipient: note it if that is mail which must, to go on. */
void forward_missed(struct domain *domain, const struct store_recipient *row);
/* Somebody wants to know of this domain's TLS before mail goes there: the board tests it, now and then at most. */
void forward_want_test(struct keeper *keeper, struct slice target);

/* Is forward_tls_only on for any address of `via` (recipient.via)? */
bool forward_is_bound(const struct keeper *keeper, struct slice via);
/* Is this a domain of ours with a next hop, where TLS is proved in any case? */
bool forward_is_at_home(const struct keeper *keeper, struct slice domain);

/* Must mail that came by `via` prove its TLS to this domain? */
bool forward_must_prove(const struct keeper *keeper, struct slice via, const struct domain *to);

/* smtpd's `rcpt_check`. */
void forward_take_check(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                        const union ipc_any *message);

#endif
