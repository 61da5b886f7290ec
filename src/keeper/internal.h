/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper's rooms share: the keeper itself. Each room keeps its part in a struct of its own. */
#ifndef KEEPER_INTERNAL_H
#define KEEPER_INTERNAL_H

#include "base/id.h"
#include "keeper/asks.h"
#include "keeper/auth.h"
#include "keeper/clock.h"
#include "keeper/backup.h"
#include "keeper/board.h"
#include "keeper/deliver.h"
#include "keeper/domains.h"
#include "keeper/forward.h"
#include "keeper/inbox.h"
#include "keeper/keeper.h"
#include "keeper/memory.h"
#include "keeper/overview.h"
#include "keeper/peers.h"
#include "keeper/queue.h"
#include "keeper/restored.h"
#include "keeper/retractions.h"
#include "keeper/routes.h"
#include "keeper/schedule.h"
#include "keeper/sessions.h"
#include "keeper/tls_counts.h"
#include "keeper/tls_reports.h"
#include "policy/domain_list.h"
#include "spool/keyring.h"
#include "spool/checker.h"
#include "spool/writer.h"
#include "store/address.h"
#include "store/key.h"
#include "store/store.h"

struct keeper {
    struct loop *loop;
    struct settings *settings;
    struct store *store;
    struct id_maker ids;
    struct buffer certificate;
    int queue_fd, portal_fd; /* folders of segments */
    struct spool_checker *queue_checker, *portal_checker;
    struct spool_writer *queue_writer; /* small content that comes with its question */
    struct spool_keyring *ring;
    struct domain_list forced; /* the system-wide list */
    struct inbox inbox;
    struct peers peers;
    struct asks asks;
    struct domains domains;
    struct lanes lanes;
    struct memories memories;
    struct board board;
    struct forwards forwards;
    struct schedule schedule;
    struct sts sts;
    struct clock_watch clock;
    struct deliveries deliveries;
    struct routes routes;
    struct sessions sessions;
    struct auth auth;
    struct overview overview;
    struct tls_counts tls_counts;
    struct tls_reports tls_reports;
    struct backup backup;
    struct retractions retractions;
    struct restored restored;
    struct queue_changes queue_changes;
    struct list walks; /* struct control_walk: answers that are given in slices */
    struct loop_timer *housekeeping;
    int64_t swept_ms; /* the loop's clock */
    unsigned sweeps;
    int64_t started_ms;
    bool is_draining;
    struct loop_timer *drain_timer;
    int64_t drain_until_ms; /* loop_now_ms clock */
    void (*on_drained)(void *context);
    void *drained_context;
};

static inline uint64_t keeper_next_id(struct keeper *keeper)
{
    return id_next(&keeper->ids, clock_unix_ms());
}

/* Remove segments that nothing needs, rows that are old, sessions that ended; sets its own timer. */
void keeper_housekeeping(void *context);
/* Remove segments that nothing needs, now. Outside of a batch; store_commit afterwards. */
void keeper_sweep_segments(struct keeper *keeper);

#endif
