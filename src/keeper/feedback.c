/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/feedback.h"

#include "keeper/internal.h"

bool feedback_is_by_smart_host(struct keeper *keeper, const struct job *job)
{
    const struct outbound *route = routes_find(keeper, job->deliver.route);

    return route != NULL && route->is_smart;
}

size_t feedback_window_after(size_t window, const struct ipc_delivered *delivered)
{
    struct slice rest = delivered->results;
    struct ipc_result item;
    bool is_heard = false;

    while (ipc_list_next(&rest, IPC_RESULT, &item) == PROGRESS_DONE)
        is_heard = is_heard || item.code != 0 || item.outcome == OUTCOME_DELIVERED;
    if (window == 0)
        window = DOMAIN_JOBS_FIRST;
    window = !is_heard ? window / 2 : delivered->crowded ? window - 1 : window + 2;
    if (window > DOMAIN_JOBS_MAX)
        return DOMAIN_JOBS_MAX;
    return window < DOMAIN_JOBS_LEAST ? DOMAIN_JOBS_LEAST : window;
}

/* Another route, as far as there is one, for what no host has heard of. */
static void take_route_failure(struct keeper *keeper, struct job *job,
                               const struct ipc_delivered *delivered)
{
    struct outbound *route = routes_find(keeper, job->deliver.route);

    if (route != NULL)
        routes_failed(keeper, route, (enum route_failure)delivered->route_failure,
                      delivered->trail, job->began_ms);
    deliver_reroute(keeper, job, delivered);
}

/* The lane that the job would be in now. */
static struct lane *learn_provider(struct keeper *keeper, struct job *job,
                                   const struct ipc_delivered *delivered)
{
    if (job->deliver.host.len > 0 || feedback_is_by_smart_host(keeper, job))
        return job->lane;
    lanes_learn(keeper, job->domain, delivered->mx_set);
    return lane_of(keeper, job->domain, job->lane->route);
}

bool feedback_take(struct keeper *keeper, struct job *job,
                   const struct ipc_delivered *delivered)
{
    struct lane *lane = learn_provider(keeper, job, delivered);

    if (delivered->parked) {
        schedule_sleep(keeper, lane, loop_now_ms() + PARKED_MS);
        deliver_give_back(keeper, job);
        return true;
    }
    if (delivered->route_failure != ROUTE_WORKS) {
        take_route_failure(keeper, job, delivered);
        return job->count == 0;
    }
    lane->window = feedback_window_after(lane->window, delivered);
    silence_note(&lane->circuit, job->deliver.domain, delivered, loop_now_ms(),
                 keeper->settings->delivery.retry_first_ms);
    return false;
}
