/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue as the operator sees and changes it. Whatever would walk through all of it does so in slices,
 * a loop turn or a batch each, so that mail goes on between them; rows that change meanwhile may be
 * listed twice or not at all.
 */
#ifndef KEEPER_QUEUE_H
#define KEEPER_QUEUE_H

#include "keeper/control.h"
#include "store/recipient.h"

enum { QUEUE_SLICE = 500 };

struct queue_filter {
    uint64_t domain, message; /* 0 = any */
};

/* False: the request names something that does not exist; the error is written. */
bool queue_read_filter(struct control_output *output, const json_t *request,
                       struct queue_filter *filter_out);
bool queue_fits(const struct queue_filter *filter, const struct store_due *due);
/* The row carries mail (and does not wait for a reader). */
bool queue_is_waiting(const struct store_recipient *row);

/* All of the domain's mail that was put off is due now. */
void queue_retry_domain(struct keeper *keeper, uint64_t domain);
/* The changes that are under way; freed with the keeper. */
struct queue_changes {
    struct list all;
    uint64_t last_id;
};
void queue_changes_deinit(struct queue_changes *changes);

#endif
