/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/asks.h"

#include "keeper/internal.h"

#include <stdlib.h>
#include <string.h>

void asks_init(struct asks *asks)
{
    map_init(&asks->by_id);
    asks->last_id = 0;
}

static void free_ask(struct ask *ask)
{
    explicit_bzero(ask, sizeof *ask);
    free(ask);
}

void asks_deinit(struct asks *asks)
{
    size_t position = 0;
    uint64_t id;
    struct ask *ask;

    while ((ask = map_next(&asks->by_id, &position, &id)) != NULL)
        free_ask(ask);
    map_deinit(&asks->by_id);
}

static bool have_room(struct keeper *keeper, size_t most)
{
    struct peer *peer = peer_idlest(keeper, ROLE_SCRIBE);

    return peer != NULL && peer->working < most;
}

bool asks_have_room(struct keeper *keeper)
{
    return have_room(keeper, ASKS_PER_SCRIBE);
}

bool asks_have_room_for_people(struct keeper *keeper)
{
    return have_room(keeper, ASKS_PER_SCRIBE + ASKS_OF_PEOPLE);
}

static bool put(struct keeper *keeper, enum ipc_role role, const struct ask *ask,
                enum ipc_type type, void *message)
{
    struct peer *peer = peer_idlest(keeper, role);
    struct ask *kept;

    if (peer == NULL)
        return false;
    /* Every question's struct begins with its ask. */
    *(uint64_t *)message = ++keeper->asks.last_id;
    if (!ipc_send(peer->channel, type, message))
        return false;
    kept = malloc(sizeof *kept);
    must(kept != NULL);
    *kept = *ask;
    kept->id = keeper->asks.last_id;
    kept->peer = peer->id;
    kept->is_scouts = role == ROLE_SCOUT;
    map_put(&keeper->asks.by_id, kept->id, kept);
    peer->working++;
    keeper->asks.scouts += role == ROLE_SCOUT ? 1 : 0;
    return true;
}

bool asks_put(struct keeper *keeper, const struct ask *ask, enum ipc_type type, void *message)
{
    return put(keeper, ROLE_SCRIBE, ask, type, message);
}

bool asks_put_scout(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    void *message)
{
    return put(keeper, ROLE_SCOUT, ask, type, message);
}

size_t asks_of_scribes(const struct keeper *keeper)
{
    return keeper->asks.by_id.count - keeper->asks.scouts;
}

static void end(struct keeper *keeper, struct ask *ask, enum ipc_type type,
                const union ipc_any *answer)
{
    struct peer *peer = peer_find(keeper, ask->peer);

    map_take(&keeper->asks.by_id, ask->id);
    if (peer != NULL && peer->working > 0)
        peer->working--;
    keeper->asks.scouts -= ask->is_scouts ? 1 : 0;
    ask->on_answer(keeper, ask, type, answer);
    free_ask(ask);
}

bool asks_answer(struct keeper *keeper, uint64_t peer, uint64_t id, enum ipc_type type,
                 const union ipc_any *answer)
{
    struct ask *ask = map_get(&keeper->asks.by_id, id);

    if (ask == NULL || ask->peer != peer)
        return false;
    end(keeper, ask, type, answer);
    schedule_wake(keeper);
    return true;
}

void asks_peer_lost(struct keeper *keeper, uint64_t peer)
{
    size_t position = 0;
    uint64_t id;
    struct ask *ask;

    while ((ask = map_next(&keeper->asks.by_id, &position, &id)) != NULL)
        if (ask->peer == peer) {
            end(keeper, ask, IPC_NONE, NULL);
            position = 0; /* taking out changes the order */
        }
}
