/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels to the other roles. A peer has an id that is never used again, so that an answer for
 * one that has gone goes nowhere. peers.c also holds the one table that says which role may send
 * which message and which room takes it.
 */
#ifndef KEEPER_PEERS_H
#define KEEPER_PEERS_H

#include "base/map.h"
#include "base/stats.h"
#include "ipc/channel.h"
#include "os/usage.h"

struct keeper;

enum { PEERS_MAX = 64 };

struct peer {
    struct keeper *keeper;
    uint64_t id;
    enum ipc_role role;
    unsigned index;
    struct ipc_channel *channel;
    size_t working; /* jobs or questions under way */
    /* From its reports. */
    struct stats counted;
    struct usage usage;
    uint64_t pid;       /* 0: none has come yet */
    int64_t started_ms; /* unix */
    int64_t heard_ms;   /* loop clock */
};

struct peers {
    struct map by_id;
    struct peer *all[PEERS_MAX]; /* in the order of role and index */
    size_t count;
    uint64_t last_id;
};

void peers_init(struct peers *peers);
void peers_deinit(struct peers *peers);
/* Take a channel's descriptor; an older peer of the same role and index is closed. */
void peers_attach(struct keeper *keeper, enum ipc_role role, unsigned index, int fd);
struct peer *peer_find(struct keeper *keeper, uint64_t id);
/* The one of this role and index; NULL: it is not there. */
struct peer *peer_of(struct keeper *keeper, enum ipc_role role, unsigned index);
/* False when the peer has gone or cannot take more now. */
bool peer_send(struct keeper *keeper, uint64_t id, enum ipc_type type, const void *message);
/* The peer of this role for a hash, always the same one as long as the peers stay; NULL: none. */
struct peer *peer_by_hash(struct keeper *keeper, enum ipc_role role, uint64_t hash);
/* The one of this role with the least work; NULL: none. */
struct peer *peer_idlest(struct keeper *keeper, enum ipc_role role);
size_t peer_count(struct keeper *keeper, enum ipc_role role);

#endif
