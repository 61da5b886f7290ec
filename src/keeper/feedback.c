/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/feedback.h"

#include "base/log.h"
#include "keeper/internal.h"

#include <stdio.h>

enum { REPLY_TEXT_SIZE = 600 };

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

/* After this answer; 0 = it says nothing of that kind. */
static int64_t pause_after(const struct settings_provider *rule, const struct ipc_result *item,
                           const char **words_out)
{
    char text_cstr[REPLY_TEXT_SIZE];
    int len = snprintf(text_cstr, sizeof text_cstr, "%u %.*s %.*s", (unsigned)item->code,
                       SLICE_ARGS(slice_head(item->enhanced, 16)),
                       SLICE_ARGS(slice_head(item->reply, REPLY_TEXT_SIZE - 64)));

    *words_out = NULL;
    return item->code < 400
               ? 0
               : settings_provider_pause_ms(rule, slice_of(text_cstr, (size_t)len), words_out);
}

/* The provider says to leave it alone: what waits is not tried, and not counted as tried. */
static void back_off(struct keeper *keeper, struct lane *lane, const struct job *job,
                     const struct ipc_delivered *delivered)
{
    const struct settings_provider *rule = lane->provider->rule;
    struct slice rest = delivered->results;
    struct ipc_result item;
    const char *words_cstr;
    int64_t pause_ms;

    if (rule == NULL || lane->sleeps_until_ms > loop_now_ms())
        return;
    while (ipc_list_next(&rest, IPC_RESULT, &item) == PROGRESS_DONE) {
        pause_ms = pause_after(rule, &item, &words_cstr);
        if (pause_ms == 0)
            continue;
        LOG(LOG_WARN, "keeper.provider_paused", log_cstr("provider", rule->name_cstr),
            log_text("route", job->deliver.route), log_cstr("words", words_cstr),
            log_i64("pause_ms", pause_ms));
        schedule_sleep(keeper, lane, loop_now_ms() + pause_ms);
        return;
    }
}

bool feedback_take(struct keeper *keeper, struct job *job,
                   const struct ipc_delivered *delivered)
{
    struct lane *lane = learn_provider(keeper, job, delivered);

    if (delivered->parked) {
        if (lane == job->lane)
            schedule_sleep(keeper, lane, loop_now_ms() + PARKED_MS);
        job->domain->moves++;
        deliver_give_back(keeper, job);
        return true;
    }
    if (delivered->route_failure != ROUTE_WORKS) {
        take_route_failure(keeper, job, delivered);
        return job->count == 0;
    }
    job->domain->moves = 0;
    back_off(keeper, lane, job, delivered);
    lane->window = feedback_window_after(lane->window, delivered);
    silence_note(&lane->circuit, job->deliver.domain, delivered, loop_now_ms(),
                 keeper->settings->delivery.retry_first_ms);
    return false;
}
