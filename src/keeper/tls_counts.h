/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How TLS went with others, counted for their daily reports [RFC 8460]: by UTC day, domain, policy and way of failing.
 * A session costs one look-up in memory; what has come together is written every few seconds, in company of whatever
 * else is committed. A crash loses what was counted since then, an orderly end loses nothing.
 *
 * Not counted: reports of our own (else reports about broken TLS would make reports), mail without a sender (answers
 * to such mail, for the same reason), mail to a host that our settings name, and anything while no reports are sent.
 * Strangers choose what there is to be told apart: a domain gets TLS_COUNT_ROWS_MAX rows a day, and behind them one for
 * each kind of result.
 */
#ifndef KEEPER_TLS_COUNTS_H
#define KEEPER_TLS_COUNTS_H

#include "base/map.h"
#include "keeper/deliver.h"

enum {
    TLS_COUNT_ROWS_MAX = 100,       /* of a domain and day */
    TLS_COUNT_ALL_MAX = 1000000,    /* rows altogether; beyond, nothing new is told apart */
    TLS_COUNT_PENDING_MAX = 16384,  /* in memory */
    TLS_COUNT_PENDING_WRITE = 2048, /* so many are written at once, without waiting */
    TLS_COUNT_WRITE_MS = 5000,
};

struct tls_counts {
    struct map pending; /* struct tls_seen by the hash of what it is */
    struct loop_timer *timer;
    bool is_timed, is_put; /* the timer runs; the task is in the inbox */
    uint64_t rows;         /* in the table */
    bool has_rows, is_full;
};

void tls_counts_init(struct keeper *keeper);
/* What was not written is lost. */
void tls_counts_deinit(struct keeper *keeper);
/* A courier's answer for this job. */
void tls_counts_take(struct keeper *keeper, const struct job *job,
                     const struct ipc_delivered *delivered);
/* Put what is pending into the inbox now: before the last flush. */
void tls_counts_write(struct keeper *keeper);
/* So many rows were forgotten. */
void tls_counts_forgotten(struct keeper *keeper, size_t count);

/* Does this server send reports? */
bool tls_reports_are_sent(const struct keeper *keeper);
/* The UTC day, counted from 1970. */
int64_t tls_day(int64_t unix_ms);

#endif
