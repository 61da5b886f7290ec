/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recipient domains publish by MTA-STS, found by the scout and kept in table `sts`. A domain's first mail
 * waits, off the schedule's turns, until the scout has said something or SAY_MAX_MS have passed; later mail
 * goes by what is known, which is looked at again behind its back: by the record's TTL when mail uses it, at half of
 * max_age and daily while the domain is in use. In memory a domain without a policy costs nothing but its struct domain_sts.
 */
#ifndef KEEPER_STS_H
#define KEEPER_STS_H

#include "base/list.h"
#include "ipc/messages.h"
#include "keeper/sts_learn.h"
#include "os/loop.h"

struct keeper;
struct domain;

enum {
    STS_WAIT_MAX_MS = 70 * 1000, /* longer than the scout takes for a fetch */
    STS_ASKS_MAX = 1000,         /* questions at the scout at once */
    STS_USED_MS =
        14 * 24 * 3600 * 1000, /* no mail for so long: not in use, its policy is let expire */
};

/* A policy in memory: its row without the text. */
struct sts_kept {
    struct store_sts row;
    char mx_cstr[];
};

/* A domain's. */
struct domain_sts {
    struct list_link turn;   /* among those to be asked about */
    struct list_link parked; /* its mail waits */
    int64_t parked_ms, look_ms,
        asked_ms;          /* the loop's clock; look_ms: ask again from then on */
    struct sts_kept *kept; /* NULL: no policy */
    unsigned failures;     /* fetches in a row */
    bool is_known; /* something was found out, or is kept, or it was waited for long enough */
    bool is_unfetched; /* announced, and nothing was ever had */
    bool is_asked;     /* a question is under way */
    bool is_doubted;   /* mail waits because the policy could not be met */
};

struct sts {
    struct list first, later; /* struct domain_sts by turn: with mail that waits; others */
    struct list parked;       /* in the order of time */
    size_t asked;
    struct loop_timer *timer;
    int64_t swept_ms, purged_ms;
    bool is_counted; /* the gauges are up to date */
};

void sts_init(struct keeper *keeper);
void sts_deinit(struct keeper *keeper);
void sts_domain_deinit(struct domain_sts *sts);
/* There is a scout to ask: what waits for one is asked at once. */
void sts_scout_came(struct keeper *keeper);
/*
 * Before mail of the domain is given out. True: it must wait, the domain is parked and comes back by
 * schedule_unpark.
 */
bool sts_must_wait(struct keeper *keeper, struct domain *domain);
/* For a job: sts, sts_id and sts_mx; views that live as long as the domain's policy does not change. */
void sts_fill(struct keeper *keeper, struct domain *domain, struct ipc_deliver *deliver);
/* The same for somebody who only wants to know: it does not count as a use. */
void sts_look(struct keeper *keeper, const struct domain *domain, struct ipc_deliver *deliver);
/*
 * A job has ended. If it was not delivered and that may be the policy's doing, is there a newer one? When there is,
 * what waits is tried at once.
 */
void sts_judge(struct domain *domain, const struct ipc_deliver *deliver, bool is_delivered);

#endif
