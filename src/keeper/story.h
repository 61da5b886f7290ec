/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story of each message: events written while things happen, and the one door through which a
 * recipient's state changes. One table says for each kind of event how it is called and what its
 * texts mean; trace.c prints by it.
 */
#ifndef KEEPER_STORY_H
#define KEEPER_STORY_H

#include "keeper/state.h"
#include "store/event.h"
#include "store/message.h"
#include "store/recipient.h"

struct keeper;

/* In the database: never renumber. */
enum event_kind {
    EVENT_NONE = 0,
    EVENT_PLANNED = 1, /* anew; the first plan stands in the recipient's row */
    EVENT_DELIVERED = 2,
    EVENT_DEFERRED = 3,
    EVENT_FAILED = 4,
    EVENT_NOT_PROVED = 5,
    EVENT_NOTICE_ACCEPTED = 6,
    EVENT_NOTIFIED = 7,
    EVENT_LINK_FETCHED = 8,
    EVENT_CODE_SENT = 9,
    EVENT_WRONG = 10,
    EVENT_LOCKED = 11,
    EVENT_PROVED = 12,
    EVENT_REVEALED = 13,
    EVENT_ATTACHMENT_TAKEN = 14,
    EVENT_REPLIED = 15,
    EVENT_MAIL_MADE = 16, /* a receipt or DSN of ours */
    EVENT_RETRACTED = 17,
    EVENT_EXPIRED = 18,
    EVENT_BOUNCED = 19,
    EVENT_HELD = 20,
    EVENT_RELEASED = 21,
    EVENT_PURGED = 22,
    EVENT_DROPPED = 23,
    EVENT_NOT_SIGNED = 24,
    EVENT_KIND_COUNT
};

struct event_words {
    const char *name_cstr;
    const char *texts_cstr[EVENT_TEXTS_MAX]; /* names of its texts, NULL after the last */
};
/* NULL for a number that is none. */
const struct event_words *event_words(unsigned kind);

/* Inside of a batch: write an event now. texts: `count` of them, in the table's order. */
void story_tell(struct keeper *keeper, uint64_t message, int64_t number, enum event_kind kind,
                const struct slice *texts, size_t count);

/* What story_move needs to know of the message. */
struct story_message {
    uint64_t id, segment, recipients;
};
static inline struct story_message story_message_of(const struct store_message *message)
{
    return (struct story_message){message->id, message->content.segment, message->recipients};
}

/*
 * Inside of a batch: move the recipient and write its row (due_ms, owes and the rest as set in it),
 * count the message's users down, destroy its key after the last. False: not allowed in its state;
 * then nothing is written.
 */
bool story_move(struct keeper *keeper, const struct story_message *message,
                struct store_recipient *recipient, enum recipient_move move);

#endif
