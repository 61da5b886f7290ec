/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delivery wing's door: give it deliveries, get them back with an outcome for every recipient. It finds the hosts,
 * walks over them in order [RFC 5321 §5.1], and decides what it means when one host says no:
 *
 *   a host refuses some recipients for now    the next host is asked about those
 *   nobody there, greeting refused            next address, next host; none left: TEMPORARY
 *   the TLS that is required is not reached   next host; none left and none reached it: NOT_PROVED
 *   TLS fails for ordinary mail               next host; none left: in the clear if allowed by now, else TEMPORARY
 *   lost after the end of the content         TEMPORARY at once: another host could deliver it twice
 *
 * One deliverer lives with one snapshot of the settings; on a reload a new one is made and the old one runs out.
 */
#ifndef DELIVER_DELIVERER_H
#define DELIVER_DELIVERER_H

#include "deliver/delivery.h"
#include "os/loop.h"
#include "settings/settings.h"

struct deliverer;

/* Every recipient is DONE. The handler owns the delivery. */
typedef void deliverer_finished_fn(void *context, struct delivery *delivery);
/* What is remembered of this host? To be answered by deliverer_host_known with the same ask, not before this returns. */
typedef void deliverer_ask_host_fn(void *context, uint64_t ask, const char *host_cstr);

struct deliverer_handlers {
    deliverer_finished_fn *on_finished;
    deliverer_ask_host_fn *on_ask_host; /* NULL = nothing is remembered */
};

/*
 * Takes a reference to the settings. spool_dir_fd: folder of queue segments, borrowed.
 * ERR_PERM: resolver settings or trusted roots cannot be used.
 */
MUST_CHECK bool deliverer_new(struct loop *loop, struct settings *settings, int spool_dir_fd,
                              const struct deliverer_handlers *handlers, void *context,
                              struct deliverer **deliverer_out, struct err *err);
/* Deliveries inside are freed without an outcome. Clears *deliverer. */
void deliverer_free(struct deliverer **deliverer);

/* Owns the delivery until on_finished, which never comes before this returns. */
void deliverer_submit(struct deliverer *deliverer, struct delivery *delivery);

/* An answer that nobody waits for is fine. */
void deliverer_host_known(struct deliverer *deliverer, uint64_t ask, bool is_ratcheted,
                          bool wants_small_hello);

/* Begin nothing new: what waits stays where it is, what a host is being told about is finished. */
void deliverer_drain(struct deliverer *deliverer);

/* Deliveries inside; those of them that a host is being told about right now, or whose answer is not handed out yet. */
size_t deliverer_count(const struct deliverer *deliverer);
size_t deliverer_in_transit(const struct deliverer *deliverer);
/* Connections opened since the start. */
uint64_t deliverer_connections_opened(const struct deliverer *deliverer);

#endif
