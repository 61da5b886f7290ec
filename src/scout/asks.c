/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/scout.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { FRAME_MAX_BYTES = IPC_FRAME_MAX_BYTES + IPC_FRAME_HEAD_BYTES };

struct lane {
    struct list waiting, working; /* struct scout_ask by its link */
    size_t places_taken;
    bool is_filling;
};

struct scout {
    struct scout_options options;
    struct list epochs; /* the newest first */
    struct lane lanes[SCOUT_LANES];
    struct buffer scratch;
    struct loop_timer *tidy; /* old epochs do not go inside of an answer of theirs */
    size_t count;
};

/* The second of RFC 8461 §3.3's time limits, and what a host with many addresses may need. */
const struct scout_lane_limits scout_lane_limits[SCOUT_LANES] = {
    [SCOUT_LOOKUPS] = {500, 10 * 1000},
    [SCOUT_FETCHES] = {300, 60 * 1000},
    [SCOUT_TESTS] = {20, 5 * 60 * 1000},
};

/* ---- epochs ---- */

static void epoch_free(struct scout_epoch *epoch)
{
    list_remove(&epoch->link);
    https_free(&epoch->https);
    resolver_free(&epoch->resolver);
    contexts_free(&epoch->contexts);
    settings_unref(&epoch->settings);
    free(epoch);
}

static struct scout_epoch *newest(struct scout *scout)
{
    return LIST_ELEMENT(list_first(&scout->epochs), struct scout_epoch, link);
}

/* Epochs that have nothing left to do, but for the newest. */
static void on_tidy(void *context)
{
    struct scout *scout = context;
    struct list_link *link = list_next(&scout->epochs, list_first(&scout->epochs));

    while (link != NULL) {
        struct scout_epoch *epoch = LIST_ELEMENT(link, struct scout_epoch, link);

        link = list_next(&scout->epochs, link);
        if (epoch->asks == 0)
            epoch_free(epoch);
    }
}

bool scout_configure(struct scout *scout, struct settings *settings, struct err *err)
{
    const struct resolver_options options = {
        .forward = settings->resolver.forward,
        .forward_count = settings->resolver.forward_count,
        .local_data = settings->resolver.local_data,
        .local_data_count = settings->resolver.local_data_count,
        .trust_anchor = settings->resolver.trust_anchor.bytes,
        .prefer_ipv4 = settings->delivery.prefer_ipv4,
        .timeout_ms = scout_lane_limits[SCOUT_LOOKUPS].limit_ms,
    };
    const struct https_options fetching = {.authorities_pem = settings->trusted_roots.bytes,
                                           .allow_private = settings->sts.allow_private};
    struct scout_epoch *epoch = calloc(1, sizeof *epoch);

    must(epoch != NULL);
    if (!resolver_new(scout->options.loop, &options, &epoch->resolver, err) ||
        (fetching.authorities_pem.len > 0 &&
         !https_new(scout->options.loop, epoch->resolver, &fetching, &epoch->https, err))) {
        resolver_free(&epoch->resolver);
        free(epoch);
        return false;
    }
    epoch->settings = settings_ref(settings);
    list_push_front(&scout->epochs, &epoch->link);
    loop_timer_set(scout->tidy, 0);
    return true;
}

/* ---- lanes ---- */

static void on_time_is_up(void *context)
{
    struct scout_ask *ask = context;

    ask->kind->time_is_up(ask);
}

static void give_place(struct scout_ask *ask)
{
    struct lane *lane = &ask->scout->lanes[ask->lane];

    lane->places_taken++;
    ask->has_place = true;
    list_push_back(&lane->working, &ask->link);
    if (ask->timer == NULL)
        ask->timer = loop_timer_new(ask->scout->options.loop, on_time_is_up, ask);
    loop_timer_set(ask->timer, scout_lane_limits[ask->lane].limit_ms);
    ask->then(ask);
}

static void leave_place(struct scout_ask *ask)
{
    list_remove(&ask->link);
    if (!ask->has_place)
        return;
    ask->has_place = false;
    ask->scout->lanes[ask->lane].places_taken--;
    loop_timer_clear(ask->timer);
}

/* Those who wait get the places that are free. One that is answered while it begins makes room for the next, here. */
static void fill_lane(struct scout *scout, enum scout_lane which)
{
    struct lane *lane = &scout->lanes[which];
    struct list_link *link;

    if (lane->is_filling)
        return;
    lane->is_filling = true;
    while (lane->places_taken < scout_lane_limits[which].places &&
           (link = list_take_first(&lane->waiting)) != NULL)
        give_place(LIST_ELEMENT(link, struct scout_ask, link));
    lane->is_filling = false;
}

void scout_enter(struct scout_ask *ask, enum scout_lane lane, scout_fn *then)
{
    struct scout *scout = ask->scout;
    enum scout_lane left = ask->lane;
    bool had_place = ask->has_place;

    leave_place(ask);
    ask->lane = lane;
    ask->then = then;
    list_push_back(&scout->lanes[lane].waiting, &ask->link);
    fill_lane(scout, lane);
    if (had_place && left != lane)
        fill_lane(scout, left);
}

/* ---- asks ---- */

static void ask_free(struct scout_ask *ask)
{
    if (ask->kind->let_go != NULL)
        ask->kind->let_go(ask);
    leave_place(ask);
    loop_timer_free(&ask->timer);
    ask->scout->count--;
    free((void *)(uintptr_t)ask->question);
    free(ask->state);
    free(ask);
}

void scout_answer(struct scout_ask *ask, enum ipc_type type, void *message)
{
    struct scout *scout = ask->scout;
    enum scout_lane lane = ask->lane;

    /* Every question's and answer's struct begins with the number. */
    *(uint64_t *)message = ask->question->sts_find.ask;
    if (!scout->options.send(scout->options.context, type, message)) {
        /* An ask without its answer would wait for ever: end, and all of them are asked again. */
        LOG(LOG_ERROR, "scout.keeper_does_not_read", log_cstr("answer", ipc_type_name(type)));
        loop_stop(scout->options.loop);
    }
    if (--ask->epoch->asks == 0)
        loop_timer_set(scout->tidy, 0);
    ask_free(ask);
    fill_lane(scout, lane);
}

/* A copy of the question that lives as long as the ask. */
static struct scout_ask *ask_new(struct scout *scout, const struct scout_kind *kind,
                                 const union ipc_any *question)
{
    struct scout_ask *ask;
    union ipc_any *copy = malloc(sizeof *copy);
    enum ipc_type type;
    struct err err;

    buffer_clear(&scout->scratch);
    must(ipc_pack(kind->question, question, &scout->scratch));
    ask = calloc(1, sizeof *ask + buffer_len(&scout->scratch));
    must(ask != NULL && copy != NULL);
    memcpy(ask->frame, buffer_view(&scout->scratch).at, buffer_len(&scout->scratch));
    must(ipc_unpack(slice_of(ask->frame, buffer_len(&scout->scratch)), &type, copy,
                    &ask->frame_len, &err) == PROGRESS_DONE);
    ask->question = copy;
    ask->kind = kind;
    ask->scout = scout;
    ask->epoch = newest(scout);
    ask->epoch->asks++;
    ask->state = calloc(1, kind->state_bytes > 0 ? kind->state_bytes : 1);
    must(ask->state != NULL);
    scout->count++;
    return ask;
}

static const struct scout_kind *kind_of(const struct scout *scout, enum ipc_type question)
{
    const struct scout_kind *const *at = scout->options.kinds;

    while (*at != NULL && (*at)->question != question)
        at++;
    return *at;
}

bool scout_take(struct scout *scout, enum ipc_type type, const union ipc_any *question)
{
    const struct scout_kind *kind = kind_of(scout, type);

    if (kind == NULL)
        return false;
    scout_enter(ask_new(scout, kind, question), kind->lane, kind->begin);
    return true;
}

/* ---- life ---- */

struct scout *scout_new(const struct scout_options *options)
{
    struct scout *scout = calloc(1, sizeof *scout);

    must(scout != NULL);
    scout->options = *options;
    list_init(&scout->epochs);
    scout->tidy = loop_timer_new(options->loop, on_tidy, scout);
    for (size_t i = 0; i < SCOUT_LANES; i++) {
        list_init(&scout->lanes[i].waiting);
        list_init(&scout->lanes[i].working);
    }
    buffer_init(&scout->scratch, FRAME_MAX_BYTES);
    return scout;
}

struct loop *scout_loop(const struct scout *scout)
{
    return scout->options.loop;
}

size_t scout_count(const struct scout *scout)
{
    return scout->count;
}

static void free_asks(struct list *asks)
{
    struct list_link *link;

    while ((link = list_first(asks)) != NULL)
        ask_free(LIST_ELEMENT(link, struct scout_ask, link));
}

void scout_free(struct scout **scout_at)
{
    struct scout *scout = *scout_at;
    struct list_link *link;

    if (scout == NULL)
        return;
    for (size_t i = 0; i < SCOUT_LANES; i++) {
        free_asks(&scout->lanes[i].waiting);
        free_asks(&scout->lanes[i].working);
    }
    while ((link = list_first(&scout->epochs)) != NULL)
        epoch_free(LIST_ELEMENT(link, struct scout_epoch, link));
    loop_timer_free(&scout->tidy);
    buffer_deinit(&scout->scratch);
    free(scout);
    *scout_at = NULL;
}
