/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipient domains in memory: the row's id, what is known of its TLS, and the list of work that is
 * ready for it. A domain stays once it was seen; a hundred thousand of them cost 40 MB.
 */
#ifndef KEEPER_DOMAINS_H
#define KEEPER_DOMAINS_H

#include "keeper/lanes.h"
#include "keeper/sts.h"
#include "settings/settings.h"
#include "store/domain.h"

struct keeper;

struct domain {
    struct store_domain row;   /* row.id 0: not in the database yet */
    struct domain *next_same;  /* another name with the same hash */
    struct provider *provider; /* whose hosts take its mail; never NULL */
    struct provider *own;      /* before that was known */
    struct list parked; /* items that wait for what the domain publishes (sts_must_wait) */
    unsigned moves;     /* times in a row that a courier found its provider to be another */
    size_t working;     /* jobs under way */
    size_t count;       /* items in the window */
    uint64_t delivered, deferred; /* recipients' attempts since the start */
    struct domain_sts sts;
    int64_t used_day;  /* when the board was told last that it is used */
    int64_t wanted_ms; /* when a test was asked for last, the loop's clock; 0 = never */
    bool is_missed;    /* what must prove its TLS to go on did not get it last time */
    bool is_fresh;     /* its row is of the batch that runs */
    struct domain *next_fresh;
};

struct domains {
    struct map by_name, by_id;
    uint64_t seed;
    struct domain *fresh;
};

void domains_init(struct domains *domains);
void domains_deinit(struct domains *domains);
/* The domain of this name, its row made when it is new (so: inside of a batch). NULL: troubled. */
struct domain *domain_put(struct keeper *keeper, struct slice name);
/* The domain of a row; NULL: no such row. */
struct domain *domain_get(struct keeper *keeper, uint64_t id);
/* The domain of this name when it is known. */
struct domain *domain_find(struct keeper *keeper, struct slice name);
void domains_on_commit(struct keeper *keeper);
void domains_on_rollback(struct keeper *keeper);

/* What an account needs before it sends secure mail over TLS alone. */
struct domain_need {
    enum proof_level level;
    bool mx_proved; /* the host's name, too */
};
/* How the planner sees it at this time under this account's rule. */
enum domain_tls domain_tls_state(const struct domain *domain, struct domain_need need,
                                 int64_t now_ms);
/* What a connection taught. */
struct domain_lesson {
    enum proof_level level;
    enum mx_proof mx_proof;
    bool is_lacking;         /* a required proof was missed */
    struct slice mx, detail; /* for the operator's table */
};
/* Inside of a batch. Rows are written only when the judgement changes or is old. */
void domain_learn(struct keeper *keeper, struct domain *domain,
                  const struct domain_lesson *lesson);
/*
 * Inside of a batch: a test without mail reached this. It gives a domain that was missed a moment ago its next chance, but
 * does not call it proved: that is for a connection that carries mail.
 */
void domain_learn_tested(struct keeper *keeper, struct domain *domain,
                         const struct domain_lesson *lesson);
/* A hash that stays the same for a name as long as the process lives. */
uint64_t domain_hash(const struct domains *domains, struct slice name);

#endif
