/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to a scribe or the scout that wait for their answer. Each has an id (the `ask` of the message) and
 * numbers of its own that say what it was about; whatever else is needed is looked up again when the
 * answer comes. Who dies has its questions answered with NULL.
 */
#ifndef KEEPER_ASKS_H
#define KEEPER_ASKS_H

#include "base/map.h"
#include "base/secret.h"
#include "ipc/pack.h"

struct keeper;
struct ask;

/* answer: NULL when it will never come. The ask is freed afterwards. */
typedef void ask_fn(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer);

struct ask {
    uint64_t id;
    uint64_t peer; /* who was asked */
    ask_fn *on_answer;
    uint64_t message, number; /* what it is about */
    uint64_t a, b;            /* the room's own */
    uint8_t key[SECRET_BYTES];
    bool is_scouts; /* set by asks_put_scout */
};

struct asks {
    struct map by_id;
    uint64_t last_id;
    size_t scouts; /* questions to the scout among them */
};

enum {
    ASKS_PER_SCRIBE = 48,
    ASKS_OF_PEOPLE = 64 /* more, for people: copies and mails never shut them out */
};

void asks_init(struct asks *asks);
void asks_deinit(struct asks *asks);
/* True when a scribe may be asked now: one is there and not overloaded. */
bool asks_have_room(struct keeper *keeper);
/* The same for what somebody has typed and waits for; a scribe does that before anything else. */
bool asks_have_room_for_people(struct keeper *keeper);
/*
 * Ask a scribe. `message` is the struct of `type`, whose first field `ask` is set here. The ask is copied.
 * False: no scribe now; on_answer is not called.
 */
bool asks_put(struct keeper *keeper, const struct ask *ask, enum ipc_type type, void *message);
/* The same for the scout, which keeps its own order when there are many. */
bool asks_put_scout(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    void *message);
/* Questions to scribes: the scout's need not be waited for, they are asked again. */
size_t asks_of_scribes(const struct keeper *keeper);
/* An answer came from a peer; false when nobody waits for it. */
bool asks_answer(struct keeper *keeper, uint64_t peer, uint64_t id, enum ipc_type type,
                 const union ipc_any *answer);
void asks_peer_lost(struct keeper *keeper, uint64_t peer);

#endif
