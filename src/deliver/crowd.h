/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All connections by one route to one large provider, whatever the host: how many at once, how many new ones a minute.
 * The keeper sends all of a provider's mail to one courier, so that this holds over all of them.
 */
#ifndef DELIVER_CROWD_H
#define DELIVER_CROWD_H

#include "base/bucket.h"
#include "base/list.h"
#include "deliver/route.h"
#include "settings/providers.h"

struct crowd {
    struct list_link link; /* of the pool's */
    const struct settings_provider *rule;
    const struct deliver_route *route;
    size_t seats;
    struct bucket opened;
};

/* The one of this rule and route, made when it is new; NULL without a rule. */
struct crowd *crowd_get(struct list *crowds, const struct settings_provider *rule,
                        const struct deliver_route *route);
void crowds_free(struct list *crowds);
/* May one more connection be opened? again_us_out: if not, when to ask again (stats_now_us clock); 0 = when one closes. */
bool crowd_may_open(const struct crowd *crowd, int64_t now_us, int64_t *again_us_out);
void crowd_opened(struct crowd *crowd, int64_t now_us);
void crowd_closed(struct crowd *crowd);
/* The lower of a limit of ours (0 = none) and the provider's. */
unsigned crowd_least(unsigned ours, uint32_t theirs);

#endif
