/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `event`: the story of a message, one row for each thing that happened. The id holds the time.
 * What happened to accept and plan stands in the rows of message and recipient and needs no event.
 */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "store/store.h"

enum { EVENT_WHOLE_MESSAGE = -1, EVENT_TEXTS_MAX = 24 };

struct store_event {
    uint64_t message;
    uint64_t id;    /* from base/id */
    int64_t number; /* the recipient, or EVENT_WHOLE_MESSAGE */
    unsigned kind;  /* enum event_kind of the keeper */
    /* What the kind says, in the order that the kind has; sealed. */
    struct slice texts[EVENT_TEXTS_MAX];
    size_t text_count;
};

/* Write one row. */
void store_event_put(struct store *store, const struct store_event *event);
/*
 * The next event of a message with an id above `after`; its texts are views that die with the next
 * read of this room, absent ones are empty. False: no more.
 */
MUST_CHECK bool store_event_next(struct store *store, uint64_t message, uint64_t after,
                                 struct store_event *event_out);
/* The last event of a recipient whose kind is one of `kinds` (bits). Without opening the others. */
MUST_CHECK bool store_event_last(struct store *store, uint64_t message, int64_t number,
                                 uint64_t kinds, struct store_event *event_out);

#endif
