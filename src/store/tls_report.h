/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables about reports on TLS [RFC 8460]. Ours: `tls_count`, how sessions with others ended, by UTC day and domain,
 * and `tls_report`, days that are over and of which a domain is to be told. Others': `tls_reported`, reports that came,
 * and `tls_reported_sum`, what they say, summed up. All of it is about hosts and domains; no person is named.
 */
#ifndef STORE_TLS_REPORT_H
#define STORE_TLS_REPORT_H

#include "base/buffer.h"
#include "policy/tls_table.h"
#include "store/domain.h"

/* ---- what we saw ---- */

enum { TLS_COUNT_TEXTS = 4 };

/*
 * One row. detail 0: the policy itself, with the sessions that went well; texts: its domain, its text, its MX patterns.
 * Else a failure under that policy; texts: MX host, its address, ours, the reason.
 */
struct store_tls_count {
    int64_t day; /* days since 1970 */
    struct slice domain;
    uint64_t policy_key, detail_key; /* hashes of what tells them apart; rows sort by them */
    enum tls_report_policy policy;
    enum tls_report_result result;
    uint64_t sessions;
    struct slice texts[TLS_COUNT_TEXTS];
};

/* Add to the row's sessions; false: there is no such row, and nothing was done. */
bool store_tls_count_grow(struct store *store, const struct store_tls_count *row);
/* Add to the row, or make it. */
void store_tls_count_put(struct store *store, const struct store_tls_count *row);
/* Rows of one day and domain. */
size_t store_tls_counts(struct store *store, int64_t day, struct slice domain);
/* All rows. Reads the whole table: once, at the start. */
uint64_t store_tls_count_all(struct store *store);
/*
 * Walk the rows of one day and domain: start with is_first, then with the last row. A policy comes before its
 * failures. The row's texts lie in `texts`, which is filled anew.
 */
bool store_tls_count_next(struct store *store, bool is_first, struct store_tls_count *row,
                          struct buffer *texts);
/* The next day and domain behind (day, domain) of days before `before_day`; "" = from that day on. */
bool store_tls_count_domain(struct store *store, int64_t before_day, int64_t *day,
                            char domain_cstr[STORE_DOMAIN_SIZE]);
/* Forget the rows of one day and domain. Returns how many there were. */
size_t store_tls_count_forget(struct store *store, int64_t day, struct slice domain);

/* ---- what is to be told ---- */

struct store_tls_report {
    int64_t day;
    char domain_cstr[STORE_DOMAIN_SIZE];
    int64_t due_ms, since_ms; /* since_ms: first try; 0 = none yet */
    unsigned attempts;
    bool has_places;     /* the domain was asked where it wants reports */
    struct slice places; /* where it still must go, a URI a line */
};

/* Make or replace. */
void store_tls_report_put(struct store *store, const struct store_tls_report *row);
/* places lies in `texts`, which is filled anew. */
bool store_tls_report_get(struct store *store, int64_t day, struct slice domain,
                          struct store_tls_report *row_out, struct buffer *texts);
/* Those due at now_ms, at most `max`, longest due first; places are left out. Returns how many. */
size_t store_tls_report_due(struct store *store, int64_t now_ms, struct store_tls_report *rows,
                            size_t max);
void store_tls_report_forget(struct store *store, int64_t day, struct slice domain);

/* ---- what others say ---- */

struct store_tls_reported {
    uint64_t id; /* of the mail that brought it */
    int64_t received_ms, begin_s, end_s;
    bool is_read;
    struct slice domain;       /* ours that it is about; "" when it could not be read */
    struct slice organisation; /* who says so */
    struct slice report_id;
    struct slice signer; /* d= of the DKIM signature, as claimed */
    struct slice why;    /* not read: why not */
};

/* False: this organisation's report with that id is there already; nothing was done. */
bool store_tls_reported_put(struct store *store, const struct store_tls_reported *row);
/* Newest first: start with before_id INT64_MAX. The row's texts lie in `texts`. False: no more. */
bool store_tls_reported_next(struct store *store, uint64_t before_id,
                             struct store_tls_reported *row_out, struct buffer *texts);
uint64_t store_tls_reported_count(struct store *store, int64_t since_ms);

struct store_tls_sum {
    int64_t day;
    struct slice domain, organisation;
    enum tls_report_policy policy;
    struct slice result, mx; /* result "": sessions that went well; then mx is "" */
    uint64_t sessions;
};
/* Rows of one day and domain. */
size_t store_tls_sums(struct store *store, int64_t day, struct slice domain);
/* Add to the row, or make it. */
void store_tls_sum_add(struct store *store, const struct store_tls_sum *row);
/* Walk by day: a domain, or all with "". is_first, then with the last row. Its texts lie in one of two `texts` by turns. */
bool store_tls_sum_next(struct store *store, bool is_first, struct slice domain,
                        struct store_tls_sum *row, struct buffer texts[2]);
/* Forget reports and sums from before. */
void store_tls_reported_purge(struct store *store, int64_t before_ms);

#endif
