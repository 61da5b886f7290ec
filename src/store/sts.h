/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `sts`: the MTA-STS policies that recipient domains have published [RFC 8461], kept for as long as each says.
 * They are public: nothing of it is sealed.
 */
#ifndef STORE_STS_H
#define STORE_STS_H

#include "base/buffer.h"
#include "policy/tls_table.h"
#include "store/domain.h"

enum {
    STORE_STS_ID_SIZE = 33,
    STORE_STS_WHY_SIZE = 240,
    STORE_STS_TEXTS_MAX_BYTES = 128 << 10
};

struct store_sts {
    uint64_t domain;
    char id_cstr[STORE_STS_ID_SIZE]; /* under which it was announced when it was fetched */
    enum sts_state mode;             /* STS_NONE, STS_TESTING or STS_ENFORCE */
    uint64_t max_age_s;
    int64_t fetched_ms, expires_ms;
    int64_t checked_ms; /* last answer about the domain that changed this row */
    int64_t refresh_ms; /* fetch it anew from then on, if it is in use */
    int64_t used_ms;    /* last mail, to the day */
    int64_t gone_ms;    /* since when no record announces a policy; 0 = one does */
    int64_t failing_ms; /* since when what is announced cannot be had; 0 = it can */
    char
        announced_cstr[STORE_STS_ID_SIZE]; /* failing: the id announced, if it is another one */
    char why_cstr[STORE_STS_WHY_SIZE];     /* failing: why */
    struct slice mx;                       /* patterns in lower case, one a line */
    struct slice text;                     /* of the policy, as it was fetched */
};

/* Make or replace the domain's row. */
void store_sts_put(struct store *store, const struct store_sts *row);
/* Make the day of its last use known. */
void store_sts_use(struct store *store, uint64_t domain, int64_t used_ms);
/* mx and text are views into `texts`, which is filled anew. False: no row. */
bool store_sts_get(struct store *store, uint64_t domain, struct store_sts *row_out,
                   struct buffer *texts);
/*
 * Domains whose policy should be fetched anew: refresh_ms <= now_ms, not expired, used after used_since_ms; those that
 * wait longest first. Returns how many.
 */
size_t store_sts_due(struct store *store, int64_t now_ms, int64_t used_since_ms,
                     uint64_t *domains_out, size_t max);
/* Remove what expired before this time. */
void store_sts_purge(struct store *store, int64_t before_ms);
/* Policies in force; and those of them for which another one is announced, or was when last seen, that cannot be had. */
void store_sts_count(struct store *store, int64_t now_ms, int64_t failing_before_ms,
                     uint64_t *policies_out, uint64_t *failing_out);
/* Domains of the second count, by id. Returns how many. */
size_t store_sts_failing(struct store *store, int64_t now_ms, int64_t failing_before_ms,
                         uint64_t *domains_out, size_t max);
/* Walk by the domain's name: start with after_cstr "", then the last name; false at the end. */
bool store_sts_next(struct store *store, const char *after_cstr,
                    char name_out_cstr[STORE_DOMAIN_SIZE], struct store_sts *row_out,
                    struct buffer *texts);

#endif
