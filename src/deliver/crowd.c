/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/crowd.h"

#include <stdlib.h>

struct crowd *crowd_get(struct list *crowds, const struct settings_provider *rule,
                        const struct deliver_route *route)
{
    struct list_link *link = list_first(crowds);
    struct crowd *crowd;

    if (rule == NULL)
        return NULL;
    for (; link != NULL; link = list_next(crowds, link)) {
        crowd = LIST_ELEMENT(link, struct crowd, link);
        if (crowd->rule == rule && crowd->route == route)
            return crowd;
    }
    crowd = calloc(1, sizeof *crowd);
    must(crowd != NULL);
    crowd->rule = rule;
    crowd->route = route;
    list_push_back(crowds, &crowd->link);
    return crowd;
}

void crowds_free(struct list *crowds)
{
    struct list_link *link;

    while ((link = list_take_first(crowds)) != NULL)
        free(LIST_ELEMENT(link, struct crowd, link));
}

bool crowd_may_open(const struct crowd *crowd, int64_t now_us, int64_t *again_us_out)
{
    uint32_t rate;

    *again_us_out = 0;
    if (crowd == NULL)
        return true;
    if (crowd->rule->connections > 0 && crowd->seats >= crowd->rule->connections)
        return false;
    rate = crowd->rule->connections_per_minute;
    *again_us_out = bucket_next_us(&crowd->opened, rate, bucket_burst(rate));
    return *again_us_out <= now_us;
}

void crowd_opened(struct crowd *crowd, int64_t now_us)
{
    if (crowd == NULL)
        return;
    crowd->seats++;
    bucket_take(&crowd->opened, crowd->rule->connections_per_minute, now_us);
}

void crowd_closed(struct crowd *crowd)
{
    if (crowd != NULL)
        crowd->seats--;
}

unsigned crowd_least(unsigned ours, uint32_t theirs)
{
    return theirs > 0 && (ours == 0 || theirs < ours) ? theirs : ours;
}
