/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the scout's rooms share: asks. A question of the keeper becomes an ask; the table in scout.c says
 * which room (struct scout_kind) it is for. An ask works in a lane at a time, which bounds how many do so at
 * once and for how long each may; others wait in the order in which they came. Each ask is answered
 * exactly once, by scout_answer, which frees it: whatever the room still has under way for it is let go of first.
 *
 * To add a kind of question: a room with a struct scout_kind, its row in scout.c, and in the keeper's peers.c the
 * answer's row.
 */
#ifndef SCOUT_SCOUT_H
#define SCOUT_SCOUT_H

#include "deliver/contexts.h"
#include "ipc/pack.h"
#include "net/https.h"
#include "net/resolver.h"
#include "os/loop.h"
#include "settings/settings.h"

struct scout;
struct scout_ask;

enum scout_lane {
    SCOUT_LOOKUPS, /* DNS only */
    SCOUT_FETCHES, /* one HTTPS request */
    SCOUT_TESTS,   /* a walk over hosts */
    SCOUT_LANES
};
/* How many asks work in it at once, and how long each may, from when it got its place. */
struct scout_lane_limits {
    size_t places;
    int64_t limit_ms;
};
extern const struct scout_lane_limits scout_lane_limits[SCOUT_LANES];

/* One set of settings with what was made of it. The newest takes new asks, the others run out. */
struct scout_epoch {
    struct list_link link;
    struct settings *settings;
    struct resolver *resolver;
    struct contexts *contexts; /* NULL before the first test */
    struct https *https; /* NULL: there are no trusted authorities, nothing can be fetched */
    size_t asks;
};

typedef void scout_fn(struct scout_ask *ask);

struct scout_kind {
    enum ipc_type question;
    enum scout_lane lane; /* the first one */
    size_t state_bytes;   /* of the room, zeroed at the beginning */
    scout_fn *begin;      /* it has its place in `lane` */
    scout_fn *time_is_up; /* in its lane: answer */
    /* Cancel what is under way, free what hangs on the state, also before `begin`. NULL: nothing to do. */
    scout_fn *let_go;
};

struct scout_ask {
    const struct scout_kind *kind;
    struct scout *scout;
    struct scout_epoch *epoch;
    const union ipc_any
        *question; /* as long as the ask lives; its first field is the keeper's number */
    void *state;   /* the room's */
    /* scout.c's own. */
    struct list_link link;
    enum scout_lane lane;
    bool has_place;
    scout_fn *then;
    struct loop_timer *timer;
    size_t frame_len;
    uint8_t frame[];
};

/* The process's loop, for what a room has under way. */
struct loop *scout_loop(const struct scout *scout);
/* Give up the place that it has, wait for one in `lane`, then go on with `then` (perhaps before this returns). */
void scout_enter(struct scout_ask *ask, enum scout_lane lane, scout_fn *then);
/* The answer; the ask is gone afterwards. The answer's number (its first field) is set here. */
void scout_answer(struct scout_ask *ask, enum ipc_type type, void *message);

/* ---- the scout itself, apart from how its process is started: also for tests ---- */

struct scout_options {
    struct loop *loop;
    const struct scout_kind *const *kinds; /* ends with NULL */
    /* To the keeper. False: it does not read. */
    bool (*send)(void *context, enum ipc_type type, const void *message);
    void *context;
};
struct scout *scout_new(const struct scout_options *options);
/* New asks go by these settings from now on. ERR_PERM: the resolver's options are not understood. */
MUST_CHECK bool scout_configure(struct scout *scout, struct settings *settings,
                                struct err *err);
/* A question of the keeper; false: it is of no kind that there is. */
MUST_CHECK bool scout_take(struct scout *scout, enum ipc_type type,
                           const union ipc_any *question);
/* Asks not answered yet. */
size_t scout_count(const struct scout *scout);
/* Asks that are open are forgotten. */
void scout_free(struct scout **scout);

#endif
