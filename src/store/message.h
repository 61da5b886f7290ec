/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `message`: one row for each message accepted. It counts recipients that still need the
 * content (live) and those not at their end (open). When live reaches 0 the wrapped key is destroyed
 * in the same statement, and with it the content.
 */
#ifndef STORE_MESSAGE_H
#define STORE_MESSAGE_H

#include "spool/content.h"
#include "store/store.h"

/* Bits of flags; the numbers in it by message_flag_*: never change their places. */
enum message_flag {
    MESSAGE_8BIT = 1,
    MESSAGE_SMTPUTF8 = 2,
    MESSAGE_REQUIRETLS = 4,
    MESSAGE_RET_SHIFT = 4,          /* 2 bits: 0 unset, 1 FULL, 2 HDRS */
    MESSAGE_ENCRYPT_SHIFT = 6,      /* 2 bits, as ipc accept.encrypt */
    MESSAGE_PROOF_SHIFT = 8,        /* 3 bits */
    MESSAGE_RECEIPT_SHIFT = 11,     /* 2 bits */
    MESSAGE_ABOUT_SECURE = 1 << 13, /* a DSN or receipt about a protected message */
    MESSAGE_TLS_REQUIRED_NO = 1 << 14,
};

struct store_message {
    uint64_t id;
    uint64_t kind;   /* enum message_kind */
    uint64_t sender; /* address id, 0 = null sender */
    uint64_t flags;
    uint64_t hops;
    int64_t accepted_ms;
    int64_t expires_ms; /* asked by the sender; 0 = not */
    uint64_t parent,
        parent_number; /* what a notice, code, receipt or DSN is about; 0 = nothing */
    uint64_t recipients, open, live;
    struct content_ref content;
    bool has_key; /* false: the content is shredded */
    /* Sealed; views that die with the next read of this room. */
    struct slice account, user, envid, received_by, header_id, question, answer;
};

static inline unsigned message_flag_bits(uint64_t flags, unsigned shift, unsigned bits)
{
    return (unsigned)(flags >> shift) & ((1U << bits) - 1);
}

/* Insert; an id that is taken is trouble. */
void store_message_put(struct store *store, const struct store_message *message);
/* False: no such message (or trouble). */
MUST_CHECK bool store_message_get(struct store *store, uint64_t id,
                                  struct store_message *message_out);
/* True when the id is taken. */
bool store_message_exists(struct store *store, uint64_t id);
/*
 * So many recipients need the content no more, and so many are at their end. True: the last one that
 * needed the content; its key is now destroyed.
 */
bool store_message_release(struct store *store, uint64_t id, uint64_t live, uint64_t ended);
/* The same for a message of one recipient, whose only one is at its end. */
void store_message_end(struct store *store, uint64_t id);
/* A message that says it was accepted after `limit_ms` was accepted at now_ms. */
void store_message_accepted_before(struct store *store, uint64_t id, int64_t limit_ms,
                                   int64_t now_ms);
/* The question and answer are of no use any more: seal the row anew without the answer. */
void store_message_forget_answer(struct store *store, const struct store_message *message);

/* Ids of messages in [from, to), newest first, at most max. For stories by time. */
size_t store_message_list(struct store *store, uint64_t from, uint64_t to, uint64_t *ids_out,
                          size_t max);
/*
 * Look at the next `max` messages (at most STORE_PURGE_MAX) with ids below `before`, remove those that have ended, with
 * their rows; how many. The walk goes on where the last call ended, and begins anew behind the last message.
 */
enum { STORE_PURGE_MAX = 1000 };
size_t store_message_purge(struct store *store, uint64_t before, size_t max);
/* The walk is not through. */
bool store_message_purge_goes_on(const struct store *store);
/* The newest message below `before` that came with this Message-ID (without <>); 0: none. */
uint64_t store_message_find(struct store *store, struct slice header_id, uint64_t before);
/* Number of messages that have recipients not at their end; known without looking. */
uint64_t store_message_count(struct store *store);

#endif
