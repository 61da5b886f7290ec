/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daily reports about TLS that we send [RFC 8460]. When a UTC day is over, each domain with counts of it gets a row
 * that is due at some time within tls_reports.spread. Then the scout is asked where the domain wants reports; for each place a
 * scribe writes the report, and it leaves as a mail of our own or through the scout by HTTPS. What fails for a while is
 * tried for a day, less and less often; then, and for domains that want none, the counts are forgotten.
 */
#ifndef KEEPER_TLS_REPORTS_H
#define KEEPER_TLS_REPORTS_H

#include "os/loop.h"
#include "store/tls_report.h"

struct keeper;

enum {
    TLS_REPORTS_AT_ONCE = 8,
    TLS_REPORT_TRY_MS = 24 * 3600 * 1000, /* [RFC 8460 §5.5] */
    TLS_REPORT_AGAIN_MS = 5 * 60 * 1000,  /* the first pause; doubles */
    TLS_REPORT_AGAIN_MAX_MS = 4 * 3600 * 1000,
    TLS_REPORT_DAYS = 3, /* older days are not told any more */
};

/* One report under way. */
struct tls_report_work {
    uint64_t id; /* 0 = free */
    int64_t day;
    char domain_cstr[STORE_DOMAIN_SIZE];
    char place_cstr[520]; /* the URI that it goes to now */
};

struct tls_reports {
    struct loop_timer *timer;
    struct tls_report_work work[TLS_REPORTS_AT_ONCE];
    uint64_t last_id;
    int64_t planned_day;          /* all days before it have their rows */
    int64_t cursor_day, next_day; /* planned up to there; when the batch is committed */
    char cursor_cstr[STORE_DOMAIN_SIZE], next_cstr[STORE_DOMAIN_SIZE];
    bool is_planning; /* its task is in the inbox */
};

void tls_reports_init(struct keeper *keeper);
void tls_reports_deinit(struct keeper *keeper);

#endif
