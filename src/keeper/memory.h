/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What connections taught about the TLS of hosts and of domains: the ratchet (who was seen with TLS again and again
 * is not sent clear text because it is gone today) and small ClientHellos. Rows are written when something changes,
 * which for a busy host is a few times a day; memory holds those that were asked for.
 */
#ifndef KEEPER_MEMORY_H
#define KEEPER_MEMORY_H

#include "base/map.h"
#include "keeper/peers.h"
#include "store/memory.h"

struct keeper;
struct domain;

/*
 * A host that needed a small ClientHello gets one at first for so long, then it has its next chance. REST: for so long after that
 * it is not believed again, as couriers keep what they know of a host for 10 minutes.
 */
enum { MEMORY_SMALL_HELLO_MS = 24 * 3600 * 1000, MEMORY_SMALL_HELLO_REST_MS = 15 * 60 * 1000 };

struct memories {
    struct map by_name; /* struct memory_entry, by a hash of kind and name */
};

void memories_init(struct memories *memories);
void memories_deinit(struct memories *memories);
/* The batch did not happen: what it taught is forgotten. */
void memories_on_rollback(struct keeper *keeper);

/* Inside of a batch: TLS came about with this host of the domain, for mail or in a test. */
void memory_note_tls(struct keeper *keeper, struct slice domain, struct slice host,
                     bool needs_small_hello);
/*
 * Inside of a batch: mail for the domain waits because its TLS is gone. The first time since it was there
 * this is an alarm: a warning in the log, and `postern status` and the metrics tell it until TLS is back.
 */
void memory_note_lost(struct keeper *keeper, struct slice domain);
/* Seen with TLS as often as the settings want, within 30 days. */
bool memory_is_ratcheted(struct keeper *keeper, enum memory_kind kind, struct slice name);
/* A courier's host_ask. */
void memory_take_ask(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                     const union ipc_any *message);
/* For the metrics: how many domains' TLS is gone. */
void memory_count(struct keeper *keeper);

#endif
