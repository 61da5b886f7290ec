/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From items of the schedule to jobs of couriers. For each item the row says what is to be done
 * (work_for, pure); recipients of one message and domain with one requirement become one job. If
 * the sender's domain has signing keys, a scribe is asked once for each message as long as jobs of
 * it are under way. A job is in memory only: a courier that dies gives its items back.
 */
#ifndef KEEPER_DELIVER_H
#define KEEPER_DELIVER_H

#include "base/arena.h"
#include "base/map.h"
#include "ipc/pack.h"
#include "keeper/hold.h"
#include "keeper/schedule.h"
#include "keeper/story.h"
#include "policy/plan.h"

struct keeper;

/*
 * A domain begins with a few jobs at once, gets more as its hosts answer and fewer when they are silent;
 * a quarter of each courier's places is kept for those that were heard, another for those of which
 * nothing is known. So a dead provider with any number of messages, or any number of dead domains, does
 * not hold up the others. See keeper/silence.h for what becomes of their mail.
 */
enum {
    COURIER_JOBS_MAX = 1000,
    COURIER_UNHEARD_MAX = COURIER_JOBS_MAX / 4 * 3,
    COURIER_SUSPECT_MAX = COURIER_JOBS_MAX / 2,
    DOMAIN_JOBS_MAX = 200,
    DOMAIN_JOBS_FIRST = 10,
    DOMAIN_JOBS_LEAST = 2,
    DOMAIN_JOBS_SUSPECT = 1,
    FLOW_JOBS_MORE = 4, /* above that, for accounts with nothing under way in the lane */
};

/* What a due row needs. */
enum work {
    WORK_NONE,   /* not due after all */
    WORK_CARRY,  /* a courier carries it */
    WORK_COPY,   /* a scribe seals a portal copy */
    WORK_MAIL,   /* a scribe writes the mail that is owed */
    WORK_EXPIRE, /* its time in the portal is over */
    WORK_TOO_OLD,
    WORK_REPLAN, /* the method is none any more */
    WORK_HOLD,   /* its domain is held: put it aside */
};

struct work_facts {
    int64_t now_ms;
    int64_t accepted_ms;
    int64_t give_up_ms; /* age at which carrying ends */
    enum domain_tls domain_tls;
    bool is_domain_held;
    bool is_inbound; /* to an own next hop, or onward: nothing else to plan */
    bool
        must_prove; /* forward_tls_only: nothing but TLS that is verified on the connection will do */
};
/* Pure. */
enum work work_for(const struct store_recipient *recipient, const struct work_facts *facts);

struct job {
    uint64_t id;
    uint64_t peer; /* the courier's; 0 = waits for the signature */
    struct domain *domain;
    struct lane *lane;
    unsigned flow; /* whose: see flow_number */
    struct story_message message;
    uint64_t kind, parent, parent_number;
    int64_t accepted_ms;
    bool has_sender;  /* reports about it go somewhere */
    bool is_suspect;  /* its domain was when it began */
    size_t routes;    /* the list of its account (routes_list_of) */
    int64_t began_ms; /* the loop's clock: sent */
    struct domain_need need;
    struct hold_rules rules; /* of the account; what hangs on the recipient is not in it */
    struct arena *texts;
    struct slice sender, via;   /* via: as recipient.via, of all its recipients */
    bool is_alone;              /* MAIL FROM is this recipient's own */
    struct ipc_deliver deliver; /* views into texts */
    bool is_waiting;            /* for the signature, in struct signing */
    struct job *next_waiting;
    struct store_recipient rows[ITEMS_PER_JOB]; /* without texts */
    size_t count;
};

/* The signature of one message, kept while jobs of it are under way. */
struct signing {
    uint64_t message;
    size_t users;
    bool is_asked, is_ready;
    struct buffer prefix;
    struct job *waiting;
};

struct deliveries {
    struct map jobs, signings;
    uint64_t last_id;
    size_t suspects; /* jobs of domains that may be dead */
    uint64_t sent, finished;
};

void deliver_init(struct deliveries *deliveries);
void deliver_deinit(struct deliveries *deliveries);
/* Where mail for the domain goes by the settings: "" and 0 = by its MX. */
void deliver_next_hop(struct keeper *keeper, struct slice domain, char *host_out_cstr,
                      size_t size, uint64_t *port_out);
/* True when a courier could take a job of this lane that begins with this item; for any, of those that may be dead or others. */
bool deliver_has_place(struct keeper *keeper, const struct lane *lane, const struct item *head);
bool deliver_has_any_place(struct keeper *keeper, bool is_suspect);
/* Work on items of one message and domain, which are WORKING from now on. */
void deliver_work(struct keeper *keeper, struct lane *lane, struct item **items, size_t count);
/* A job of this peer is answered: take it out (it is the caller's; job_free). NULL: unknown. */
struct job *deliver_take_job(struct keeper *keeper, uint64_t peer, uint64_t id);
void job_free(struct keeper *keeper, struct job **job);
/* The job is under way no more: its place is free. The job itself stays. */
void deliver_job_ended(struct keeper *keeper, struct job *job);
/*
 * After its route failed: recipients whom no host has said anything about go by another one, at once; the others stay in
 * the job. None goes when no other route works.
 */
void deliver_reroute(struct keeper *keeper, struct job *job,
                     const struct ipc_delivered *delivered);
/* It was not tried: its items are ready again, in front. */
void deliver_give_back(struct keeper *keeper, const struct job *job);
/* The age at which a message of this kind is given up. */
int64_t deliver_expire_ms(const struct keeper *keeper, uint64_t kind);
void deliver_peer_lost(struct keeper *keeper, uint64_t peer);

#endif
