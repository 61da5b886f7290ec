/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports of others about TLS with our domains [RFC 8460]: mail to tls_reports.receive. It is accepted like any other,
 * then a scribe reads it, its sums go into a table, and its content is forgotten. What cannot be read, or does not
 * count (not signed, about no domain of ours, the same again), is remembered with the reason for as long as stories are.
 */
#ifndef KEEPER_TLS_REPORTED_H
#define KEEPER_TLS_REPORTED_H

#include "keeper/control.h"
#include "keeper/schedule.h"
#include "store/message.h"

enum {
    TLS_REPORTED_TRIES = 3,       /* of a mail whose reading ended a process */
    TLS_REPORTED_DAY_MAX = 2000,  /* reports taken in a day */
    TLS_REPORTED_ROWS_MAX = 5000, /* sums of one day and domain */
    TLS_REPORTED_SHOWN = 20,      /* unreadable ones that are listed */
};

/* Ask a scribe to read the mail of this WORKING item. */
void tls_reported_work(struct keeper *keeper, struct item *item,
                       const struct store_message *message);
/* Forget what is older than stories are kept. Inside of a batch. */
void tls_reported_purge(struct keeper *keeper);
/* `tls` with "what": "reports": what others say. */
void tls_reported_answer(struct control_output *output, const json_t *request);

#endif
