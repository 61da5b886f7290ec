/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `recipient`: one row for each recipient of each message, numbered 0.. within it. due_ms says
 * when the keeper must look at the row again; a partial index over it is the whole queue, however
 * long: what is not due stays on disk.
 */
#ifndef STORE_RECIPIENT_H
#define STORE_RECIPIENT_H

#include "policy/verdict.h"
#include "store/store.h"

enum { RECIPIENT_NOT_DUE = -1 };

/* Bits of owes: mails that we still have to write about this recipient. */
enum recipient_owes {
    OWES_FAILURE = 1,
    OWES_DELAY = 2,
    OWES_SUCCESS = 4,
    OWES_RECEIPT = 8,
};

/* Bits of flags. */
enum recipient_flag {
    RECIPIENT_SECURE = 1,     /* marked secure: never in the clear */
    RECIPIENT_DELAY_SAID = 2, /* the delay notice went out */
    RECIPIENT_RELEASED = 4,   /* needs the content no more */
    RECIPIENT_REPLANNED = 8,  /* the proof was lost: TLS is out of the question */
    RECIPIENT_RATCHET_LIFTED =
        16, /* its domain has lost its TLS, and that was waited for long enough */
    RECIPIENT_UNMET =
        32, /* ordinary mail whose way stayed barred: to the portal; its notice goes past what barred it */
    RECIPIENT_FORWARDED = 64, /* it came by an address of ours: see via */
    RECIPIENT_BOUNCED = 128,  /* it went on, was taken there, and came back */
};

/* The bits above hold a number of the keeper's: whose mail it is, and how urgent, for fair turns. */
enum { RECIPIENT_FLOW_SHIFT = 8, RECIPIENT_FLOW_BITS = 24 };

struct store_recipient {
    uint64_t message, number;
    uint64_t address, domain; /* ids */
    uint64_t
        written;    /* id of the address that the sender wrote, if mail to it goes on; else 0 */
    unsigned state; /* enum recipient_state of the keeper */
    enum method method;
    struct tls_requirement requirement;
    unsigned notify, attempts, owes, flags;
    int64_t unproved_ms; /* when TLS was first the reason that it did not leave; 0 = not */
    int64_t due_ms;      /* RECIPIENT_NOT_DUE = nothing to do */
    bool is_held;
    /* Sealed; views that die with the next read of this room. */
    struct slice spelled; /* the address as this sender wrote it, when it differs */
    struct slice orcpt;
    struct slice reasons; /* why this method, in words */
    /* Empty, or by which of our addresses it came here, a line each, the one that the sender wrote first. */
    struct slice via;
    /* As what the row was counted when it was last read or written: this wing's own; {0} = not at all. */
    struct recipient_counted {
        uint8_t state;
        bool is_due, is_held;
    } counted;
};

/* Insert, or replace the whole row. */
void store_recipient_put(struct store *store, struct store_recipient *recipient);
/* Change what changes with each attempt, without the sealed texts. */
void store_recipient_update(struct store *store, struct store_recipient *recipient);
/* False: no such row (or trouble). */
MUST_CHECK bool store_recipient_get(struct store *store, uint64_t message, uint64_t number,
                                    struct store_recipient *recipient_out);

/* A row of the queue: what a list in memory needs. */
struct store_due {
    int64_t due_ms;
    uint64_t message, number, domain;
    uint64_t attempts, flags;
};
/* Rows behind `after` (in the order due_ms, message, number) and due until until_ms, at most max. */
size_t store_recipient_due(struct store *store, const struct store_due *after, int64_t until_ms,
                           struct store_due *due_out, size_t max);
/* The soonest due time after `after_ms`; RECIPIENT_NOT_DUE when there is none. */
int64_t store_recipient_next_due(struct store *store, int64_t after_ms);
/* Rows that are due some time; rows put aside; those of both in one state. Known without looking. */
uint64_t store_recipient_count(struct store *store);
uint64_t store_recipient_held_count(struct store *store);
uint64_t store_recipient_state_count(struct store *store, unsigned state);

/* Walk the rows put aside, in the order message, number. */
size_t store_recipient_held(struct store *store, const struct store_due *after,
                            struct store_due *due_out, size_t max);
/* Messages that went to an address, or were written to it and went on, newest first, ids below `before`. */
size_t store_recipient_by_address(struct store *store, uint64_t address, uint64_t before,
                                  uint64_t *messages_out, size_t max);

#endif
