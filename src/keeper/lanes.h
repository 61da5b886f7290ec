/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ready queues. A *lane* is one way out to one provider: all domains that share a set of MX hosts (or a smart host), by
 * one outbound route. Places, silence and turns belong to lanes, so that many domains on one dead host are one.
 * A domain of which nothing is known yet has a provider of its own; its work moves over when the set is learned, which is
 * after policy has been decided for the domain itself.
 *
 * In a lane accounts take turns (a *flow* is one account's work there), so that one account's hundred thousand do not
 * delay another's single message; whoever has nothing under way there goes first, even when the places are taken. In a flow what somebody waits for goes before bulk, and new mail before retries; now
 * and then the others have a turn, so that none starves.
 */
#ifndef KEEPER_LANES_H
#define KEEPER_LANES_H

#include "base/bucket.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"
#include "keeper/silence.h"
#include "settings/providers.h"

struct domain;
struct item;
struct keeper;

/* How urgent: two bits of an item's flow number. */
enum lane_class { LANE_INTERACTIVE, LANE_BULK, LANE_RETRY, LANE_CLASSES };

enum {
    LANE_KEY_MAX = 250,      /* bytes of a provider's name */
    LANE_SIBLINGS_MAX = 128, /* recipients of one message looked at for one job */
    LANE_FEW = 10,           /* a message for more recipients is bulk */
    PARKED_MS = 100,
};

struct flow {
    uint64_t key; /* of lane and account */
    struct lane *lane;
    struct list_link turn; /* in the lane's round */
    struct list ready[LANE_CLASSES];
    size_t count;
    size_t working; /* jobs under way */
    unsigned taken;
};

struct lane {
    uint64_t id;
    struct provider *provider;
    unsigned route;
    struct lane *next;     /* of the same provider */
    struct list flows;     /* those with something ready */
    struct list_link turn; /* in the schedule's round of lanes with something ready */
    size_t ready;
    size_t working; /* jobs under way */
    size_t window;  /* at most so many; 0 = nobody was heard yet */
    struct circuit circuit;
    struct bucket begun;     /* messages, by the provider's rate */
    int64_t sleeps_until_ms; /* loop clock: nothing goes before */
    bool is_asleep;          /* in the schedule's list of sleepers by `turn` */
};

struct provider {
    char *name_cstr; /* the MX set; "" = one domain's own */
    uint64_t hash;
    struct provider *next_same;
    const struct settings_provider
        *rule; /* what it puts up with; NULL = no limits of its own */
    struct lane *lanes;
    size_t count; /* items in the window */
    bool is_left; /* it had too many: some were left on disk */
};

struct lanes {
    struct map providers; /* those with a name, by hash */
    struct map flows;
    struct settings_providers *rules;
    uint64_t last_id;
};

void lanes_init(struct lanes *lanes);
void lanes_deinit(struct lanes *lanes);
/* Other settings: what providers put up with may have changed. */
void lanes_configure(struct keeper *keeper);
/* Has the lane's provider had its share of messages for now? Then it sleeps until the next may go. */
bool lane_is_paced(struct keeper *keeper, struct lane *lane);
/* An unnamed provider for a domain. */
struct provider *provider_new(void);
void provider_free(struct provider **provider);

/* The number that stands for account and class in a row and in an item (24 bits). */
unsigned flow_number(struct slice account, enum lane_class class);
unsigned flow_with_class(unsigned flow, enum lane_class class);

/* The lane of a domain's work by a route. */
struct lane *lane_of(struct keeper *keeper, struct domain *domain, unsigned route);
/* The domain's hosts are these (name: their set): its ready work goes over to their lanes. */
void lanes_learn(struct keeper *keeper, struct domain *domain, struct slice name);

/* A job of this flow begins (true: the account has no other under way in the lane) and ends. */
bool lane_job_begins(struct lanes *lanes, struct lane *lane, unsigned flow);
void lane_job_ends(struct lanes *lanes, struct lane *lane, unsigned flow);
/* Put an item, whose lane is set, into its account's flow. */
void lane_put(struct lanes *lanes, struct item *item, bool in_front);
/* Take it out of whatever flow it is in. */
void lane_remove(struct lanes *lanes, struct item *item);
/* Whose turn it is: NULL when nothing is ready. Stays until lane_take. */
struct item *lane_peek(struct lane *lane);
/* Take it, with those of the same message and domain. They are WORKING from now on. */
size_t lane_take(struct keeper *keeper, struct lane *lane, struct item **items_out, size_t max);

#endif
