/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/overview.h"

#include "base/log.h"
#include "keeper/internal.h"
#include "keeper/state.h"
#include "store/message.h"
#include "store/recipient.h"

#include <string.h>
#include <sys/statvfs.h>

/* A tick that comes so late says that we stood still, not that the others did. */
enum { LATE_TICK_MS = 3000 };

/* ---- what comes in ---- */

static void keep_trouble(struct overview *overview, struct slice text)
{
    struct overview_trouble *at =
        &overview->troubles[overview->trouble_count % OVERVIEW_TROUBLES];

    if (text.len == 0 || text.len > sizeof at->text)
        return;
    memcpy(at->text, text.at, text.len);
    at->len = text.len;
    overview->trouble_count++;
}

void overview_take_stats(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                         const union ipc_any *message)
{
    const struct ipc_stats *report = &message->stats;
    struct stats now = peer->counted;
    struct slice rest = report->changes;
    struct ipc_stat item;

    (void)type;
    while (ipc_list_next(&rest, IPC_STAT, &item) == PROGRESS_DONE)
        if (item.slot < STATS_SLOTS)
            ((uint64_t *)&now)[item.slot] = item.value;
    stats_add_new(&keeper->overview.past, &now, &peer->counted);
    peer->counted = now;
    peer->pid = report->pid;
    peer->started_ms = report->started_ms;
    peer->usage = (struct usage){report->cpu_us, report->rss_bytes, report->pss_bytes,
                                 report->descriptors};
    peer->heard_ms = loop_now_ms();
    keep_trouble(&keeper->overview, report->trouble);
}

void keeper_census(struct keeper *keeper, struct slice members)
{
    struct overview *overview = &keeper->overview;

    overview->member_count = 0;
    while (overview->member_count < OVERVIEW_MEMBERS &&
           ipc_list_next(&members, IPC_MEMBER, &overview->members[overview->member_count]) ==
               PROGRESS_DONE)
        overview->member_count++;
}

/* ---- every second ---- */

static void take_sample(struct keeper *keeper, int64_t now_ms)
{
    struct overview *overview = &keeper->overview;
    struct overview_sample *at = &overview->samples[overview->next_sample];

    at->at_ms = now_ms;
    at->counts[RATE_ACCEPTED] = overview->past.numbers[STAT_SMTP_ACCEPTED];
    at->counts[RATE_DELIVERED] = stats.numbers[STAT_OUTCOME_DELIVERED];
    at->counts[RATE_DEFERRED] = stats.numbers[STAT_RETRIES];
    at->counts[RATE_FAILED] = stats.numbers[STAT_OUTCOME_PERMANENT];
    overview->next_sample = (overview->next_sample + 1) % OVERVIEW_SAMPLES;
    if (overview->sample_count < OVERVIEW_SAMPLES)
        overview->sample_count++;
}

static const struct overview_sample *newest(const struct overview *overview, size_t back)
{
    return &overview->samples[(overview->next_sample + OVERVIEW_SAMPLES - 1 - back) %
                              OVERVIEW_SAMPLES];
}

static void look_for_silent(struct keeper *keeper, int64_t now_ms, bool was_away,
                            keeper_silent_fn *on_silent, void *context)
{
    for (size_t i = 0; i < keeper->peers.count; i++) {
        struct peer *peer = keeper->peers.all[i];
        int64_t silent_ms = now_ms - peer->heard_ms;
        struct ipc_silent who = {.role = peer->role, .index = peer->index, .pid = peer->pid};

        if (was_away)
            peer->heard_ms = now_ms;
        if (was_away || silent_ms < keeper->settings->watchdog_ms)
            continue;
        who.silent_ms = silent_ms;
        peer->heard_ms = now_ms; /* said once */
        STAT_ADD(ROLES_SILENT, 1);
        on_silent(context, &who);
    }
}

void keeper_tick(struct keeper *keeper, const struct usage *usage, keeper_silent_fn *on_silent,
                 void *context)
{
    struct overview *overview = &keeper->overview;
    int64_t now_ms = loop_now_ms();
    bool was_away = overview->ticked_ms != 0 && now_ms - overview->ticked_ms > LATE_TICK_MS;

    overview->usage = *usage;
    keep_trouble(overview, log_take_trouble());
    if (overview->sample_count == 0 ||
        now_ms - newest(overview, 0)->at_ms >= OVERVIEW_SAMPLE_MS)
        take_sample(keeper, now_ms);
    look_for_silent(keeper, now_ms, was_away, on_silent, context);
    overview->ticked_ms = now_ms;
}

/* ---- what is asked ---- */

double overview_rate(struct keeper *keeper, enum overview_rate rate, int64_t window_ms)
{
    const struct overview *overview = &keeper->overview;
    const struct overview_sample *last = newest(overview, 0), *first = last;

    for (size_t back = 1; back < overview->sample_count; back++) {
        first = newest(overview, back);
        if (last->at_ms - first->at_ms >= window_ms)
            break;
    }
    if (overview->sample_count == 0 || last->at_ms <= first->at_ms)
        return 0;
    return (double)(last->counts[rate] - first->counts[rate]) * 1000.0 /
           (double)(last->at_ms - first->at_ms);
}

int64_t overview_late_ms(struct keeper *keeper)
{
    int64_t due_ms = store_recipient_next_due(keeper->store, 0), now_ms = clock_unix_ms();

    return due_ms == RECIPIENT_NOT_DUE || due_ms > now_ms ? 0 : now_ms - due_ms;
}

uint64_t overview_disk_free(const struct keeper *keeper)
{
    struct statvfs disk;

    return fstatvfs(keeper->queue_fd, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : 0;
}

/* Our own gauges, which nobody sets as things happen. */
static void set_gauges(struct keeper *keeper)
{
    static const struct {
        enum recipient_state state;
        enum stat_number number;
    } states[] = {
        {STATE_ACCEPTED, STAT_QUEUE_ACCEPTED}, {STATE_PLANNED, STAT_QUEUE_PLANNED},
        {STATE_DEFERRED, STAT_QUEUE_DEFERRED}, {STATE_NOTIFYING, STAT_QUEUE_NOTIFYING},
        {STATE_NOTIFIED, STAT_QUEUE_NOTIFIED}, {STATE_REVEALED, STAT_QUEUE_REVEALED},
    };
    uint64_t open = 0, all = store_recipient_count(keeper->store) +
                             store_recipient_held_count(keeper->store);

    for (size_t i = 0; i < COUNT_OF(states); i++) {
        uint64_t count = store_recipient_state_count(keeper->store, (unsigned)states[i].state);

        stats.numbers[states[i].number] = count;
        open += count;
    }
    /* At their end, but a report about them is still to be written. */
    STAT_SET(QUEUE_REPORTING, all > open ? all - open : 0);
    STAT_SET(QUEUE_MESSAGES, store_message_count(keeper->store));
    STAT_SET(QUEUE_HELD, store_recipient_held_count(keeper->store));
    STAT_SET(QUEUE_READY, keeper->schedule.count);
    STAT_SET(QUEUE_JOBS, keeper->deliveries.jobs.count);
    STAT_SET(QUEUE_LATE, overview_late_ms(keeper) / 1000);
    STAT_SET(PAUSED, keeper->settings->hold_all ? 1 : 0);
    STAT_SET(FAILING, keeper->inbox.is_failing ? 1 : 0);
    STAT_SET(DISK_FREE, overview_disk_free(keeper));
    STAT_SET(DISK_RESERVE, keeper->settings->limits.disk_reserve_bytes);
}

void overview_total(struct keeper *keeper, struct stats *total_out)
{
    static const struct stats none;

    set_gauges(keeper);
    *total_out = keeper->overview.past;
    stats_add_new(total_out, &stats, &none);
    stats_add_now(total_out, &stats);
    for (size_t i = 0; i < keeper->peers.count; i++)
        stats_add_now(total_out, &keeper->peers.all[i]->counted);
}

const struct ipc_member *overview_member(const struct keeper *keeper, enum ipc_role role,
                                         unsigned index)
{
    const struct overview *overview = &keeper->overview;

    for (size_t i = 0; i < overview->member_count; i++)
        if (overview->members[i].role == role && overview->members[i].index == index)
            return &overview->members[i];
    return NULL;
}

const char *overview_why_not_ready(struct keeper *keeper)
{
    const struct settings *settings = keeper->settings;

    if (keeper->is_draining)
        return "it is going down";
    if (keeper->inbox.is_failing)
        return "the database cannot be written";
    if (!store_has_room(keeper->store, settings->limits.disk_reserve_bytes))
        return "the disk's reserve is reached";
    if (peer_count(keeper, ROLE_SMTPD) == 0 && settings->listener_count > 0)
        return "no smtpd runs";
    if (peer_count(keeper, ROLE_COURIER) == 0)
        return "no courier runs";
    if (peer_count(keeper, ROLE_SCRIBE) == 0)
        return "no scribe runs";
    if (peer_count(keeper, ROLE_PORTAL) == 0 && settings->portal.listens)
        return "no portal runs";
    return NULL;
}
