/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts for the planner: what the settings, the message and earlier connections say about one
 * recipient. Live mail and `postern explain` both come through here.
 */
#ifndef KEEPER_PLAN_H
#define KEEPER_PLAN_H

#include "keeper/domains.h"
#include "policy/domain_list.h"
#include "policy/plan.h"
#include "settings/settings.h"

struct keeper;

struct plan_question {
    uint64_t kind; /* enum message_kind */
    struct slice account;
    struct slice address;        /* the recipient */
    struct slice via;            /* as recipient.via: by which of our addresses it came */
    struct slice sender, user;   /* who sent it; empty = our own mail, nobody */
    const struct domain *domain; /* NULL: nothing is known of it */
    unsigned encrypt;            /* as ipc accept.encrypt */
    bool requiretls, tls_required_no;
    const char *refusal_cstr; /* why it cannot go anywhere: the verdict stands; else NULL */
    bool about_secure;        /* a DSN or receipt about a protected message */
    bool is_replan;
    bool is_unmet; /* ordinary mail that was held for too long, see policy/plan.h */
};

/* Gather the facts and judge. */
void plan_ask(struct keeper *keeper, const struct plan_question *question,
              struct verdict *verdict_out);

/* Bring the forced list up to date with the settings. ERR_PERM: the file's line is no domain. */
MUST_CHECK bool plan_configure(struct keeper *keeper, const struct settings *settings,
                               struct err *err);
/* The account of this name; NULL: gone from the settings (then defaults that protect are used). */
const struct settings_account *plan_account(const struct keeper *keeper, struct slice name);
/* What stands behind the last '@'; empty when there is none. */
struct slice address_domain(struct slice address);

/* For the statistics: somebody's mail goes this way. */
void plan_count(enum method method);

#endif
