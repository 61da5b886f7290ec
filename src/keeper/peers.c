/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/peers.h"

#include "base/log.h"
#include "keeper/accept.h"
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/portal_prove.h"
#include "keeper/portal_read.h"
#include "keeper/results.h"
#include "role/role.h"

#include <stdlib.h>
#include <unistd.h>

void peers_init(struct peers *peers)
{
    *peers = (struct peers){0};
    map_init(&peers->by_id);
}

void peers_deinit(struct peers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        ipc_channel_free(&peers->all[i]->channel);
        free(peers->all[i]);
    }
    map_deinit(&peers->by_id);
    peers->count = 0;
}

/* ---- who may say what, and which room takes it ---- */

typedef void message_fn(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                        const union ipc_any *message);

struct route {
    unsigned roles; /* bits of enum ipc_role */
    message_fn *take;
};

#define FROM(role) (1U << ROLE_##role)

static void take_answer(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                        const union ipc_any *message)
{
    /* Every answer's struct begins with its ask. */
    asks_answer(keeper, peer->id, message->signature.ask, type, message);
}

static const struct route routes[IPC_COUNT] = {
    [IPC_STATS] = {FROM(SMTPD) | FROM(COURIER) | FROM(SCRIBE) | FROM(PORTAL) | FROM(OFFICE) |
                       FROM(SCOUT),
                   overview_take_stats},
    [IPC_ACCEPT] = {FROM(SMTPD), accept_take},
    [IPC_RCPT_CHECK] = {FROM(SMTPD), forward_take_check},
    [IPC_AUTH_CHECK] = {FROM(SMTPD), auth_take},
    [IPC_DELIVERED] = {FROM(COURIER), results_take},
    [IPC_HOST_ASK] = {FROM(COURIER), memory_take_ask},
    [IPC_SIGNATURE] = {FROM(SCRIBE), take_answer},
    [IPC_PORTAL_COPY_MADE] = {FROM(SCRIBE), take_answer},
    [IPC_MAIL_MADE] = {FROM(SCRIBE), take_answer},
    [IPC_TLS_REPORT_MADE] = {FROM(SCRIBE), take_answer},
    [IPC_TLS_REPORT_READ] = {FROM(SCRIBE), take_answer},
    [IPC_PASSWORD_VERIFIED] = {FROM(SCRIBE), take_answer},
    [IPC_ANSWER_HASHED] = {FROM(SCRIBE), take_answer},
    [IPC_STS_FOUND] = {FROM(SCOUT), take_answer},
    [IPC_TLS_TESTED] = {FROM(SCOUT), take_answer},
    [IPC_RUA_FOUND] = {FROM(SCOUT), take_answer},
    [IPC_REPORT_POSTED] = {FROM(SCOUT), take_answer},
    [IPC_PORTAL_LOOK] = {FROM(PORTAL), portal_take_look},
    [IPC_PORTAL_SEND_CODE] = {FROM(PORTAL), portal_take_send_code},
    [IPC_PORTAL_PROVE] = {FROM(PORTAL), portal_take_prove},
    [IPC_PORTAL_RESUME] = {FROM(PORTAL), portal_take_resume},
    [IPC_PORTAL_EVENT] = {FROM(PORTAL), portal_take_event},
    [IPC_PORTAL_REPLY] = {FROM(PORTAL), portal_take_reply},
    [IPC_CONTROL] = {FROM(OFFICE), control_take},
};

static void drop(struct peer *peer)
{
    struct keeper *keeper = peer->keeper;
    struct peers *peers = &keeper->peers;
    size_t at = 0;

    while (at < peers->count && peers->all[at] != peer)
        at++;
    must(at < peers->count);
    for (peers->count--; at < peers->count; at++)
        peers->all[at] = peers->all[at + 1];
    map_take(&peers->by_id, peer->id);
    ipc_channel_free(&peer->channel);
    deliver_peer_lost(keeper, peer->id);
    asks_peer_lost(keeper, peer->id);
    free(peer);
    schedule_wake(keeper);
}

static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    struct peer *peer = context;

    (void)channel;
    LOG(why->class == ERR_NONE ? LOG_INFO : LOG_WARN, "keeper.peer_lost",
        log_cstr("peer", role_name(peer->role)), log_u64("index", peer->index),
        log_cstr("why", why->text_cstr));
    drop(peer);
}

static void on_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                       const union ipc_any *message)
{
    struct peer *peer = context;
    const struct route *route = &routes[type];

    (void)channel;
    if (route->take == NULL || (route->roles & 1U << peer->role) == 0) {
        LOG(LOG_WARN, "keeper.message_out_of_place", log_cstr("peer", role_name(peer->role)),
            log_cstr("type", ipc_type_name(type)));
        return;
    }
    route->take(peer->keeper, peer, type, message);
}

static struct peer *find_place(struct peers *peers, enum ipc_role role, unsigned index)
{
    for (size_t i = 0; i < peers->count; i++)
        if (peers->all[i]->role == role && peers->all[i]->index == index)
            return peers->all[i];
    return NULL;
}

static bool stands_before(const struct peer *a, const struct peer *b)
{
    return a->role != b->role ? a->role < b->role : a->index < b->index;
}

static void insert(struct peers *peers, struct peer *peer)
{
    size_t at = peers->count++;

    for (; at > 0 && stands_before(peer, peers->all[at - 1]); at--)
        peers->all[at] = peers->all[at - 1];
    peers->all[at] = peer;
    map_put(&peers->by_id, peer->id, peer);
}

void peers_attach(struct keeper *keeper, enum ipc_role role, unsigned index, int fd)
{
    struct peers *peers = &keeper->peers;
    struct peer *peer = find_place(peers, role, index);

    if (peer != NULL)
        drop(peer);
    if ((unsigned)role >= ROLE_COUNT || peers->count == PEERS_MAX) {
        LOG(LOG_ERROR, "keeper.peer_refused", log_u64("role", (uint64_t)role));
        close(fd);
        return;
    }
    peer = calloc(1, sizeof *peer);
    must(peer != NULL);
    *peer =
        (struct peer){.keeper = keeper, .id = ++peers->last_id, .role = role, .index = index};
    peer->heard_ms = loop_now_ms();
    peer->channel = ipc_channel_new(keeper->loop, fd, on_message, on_closed, peer);
    insert(peers, peer);
    LOG(LOG_DEBUG, "keeper.peer_attached", log_cstr("peer", role_name(role)),
        log_u64("index", index));
    schedule_wake(keeper);
}

struct peer *peer_find(struct keeper *keeper, uint64_t id)
{
    return map_get(&keeper->peers.by_id, id);
}

struct peer *peer_of(struct keeper *keeper, enum ipc_role role, unsigned index)
{
    return find_place(&keeper->peers, role, index);
}

bool peer_send(struct keeper *keeper, uint64_t id, enum ipc_type type, const void *message)
{
    struct peer *peer = peer_find(keeper, id);

    return peer != NULL && ipc_send(peer->channel, type, message);
}

size_t peer_count(struct keeper *keeper, enum ipc_role role)
{
    size_t count = 0;

    for (size_t i = 0; i < keeper->peers.count; i++)
        count += keeper->peers.all[i]->role == role ? 1 : 0;
    return count;
}

struct peer *peer_by_hash(struct keeper *keeper, enum ipc_role role, uint64_t hash)
{
    size_t count = peer_count(keeper, role), at = 0;

    if (count == 0)
        return NULL;
    hash %= count;
    for (size_t i = 0; i < keeper->peers.count; i++)
        if (keeper->peers.all[i]->role == role && at++ == hash)
            return keeper->peers.all[i];
    return NULL;
}

struct peer *peer_idlest(struct keeper *keeper, enum ipc_role role)
{
    struct peer *best = NULL;

    for (size_t i = 0; i < keeper->peers.count; i++) {
        struct peer *peer = keeper->peers.all[i];

        if (peer->role == role && (best == NULL || peer->working < best->working))
            best = peer;
    }
    return best;
}
