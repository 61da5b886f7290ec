/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/story.h"

#include "base/log.h"
#include "keeper/internal.h"

#define EVIDENCE                                                                               \
    "mx", "address", "tls", "cipher", "certificate", "names", "level", "unverified_why",       \
        "reused", "code", "enhanced", "reply", "trail"
/* Behind again_ms, so that stories that were written before can still be read. */
#define RULING "row", "rule", "mx_proof", "policy", "lookups", "small_hello", "requiretls"

static const struct event_words words[EVENT_KIND_COUNT] = {
    [EVENT_NONE] = {"none", {NULL}},
    [EVENT_PLANNED] = {"planned", {"method", "reasons", NULL}},
    [EVENT_DELIVERED] = {"delivered", {EVIDENCE, "again_ms", RULING, NULL}},
    [EVENT_DEFERRED] = {"deferred", {EVIDENCE, "again_ms", RULING, NULL}},
    [EVENT_FAILED] = {"failed", {EVIDENCE, "again_ms", RULING, NULL}},
    [EVENT_NOT_PROVED] = {"not_proved", {EVIDENCE, "again_ms", RULING, NULL}},
    [EVENT_NOTICE_ACCEPTED] = {"sealed", {"notice", "proof", "expires_ms", NULL}},
    [EVENT_NOTIFIED] = {"notified", {"notice", NULL}},
    [EVENT_LINK_FETCHED] = {"link_fetched", {"client", NULL}},
    [EVENT_CODE_SENT] = {"code_sent", {"client", NULL}},
    [EVENT_WRONG] = {"wrong_answer", {"client", "tries_left", NULL}},
    [EVENT_LOCKED] = {"locked", {"client", NULL}},
    [EVENT_PROVED] = {"proved", {"client", "proof", NULL}},
    [EVENT_REVEALED] = {"revealed", {"client", NULL}},
    [EVENT_ATTACHMENT_TAKEN] = {"attachment_taken", {"client", "part", NULL}},
    [EVENT_REPLIED] = {"replied", {"client", "reply", NULL}},
    [EVENT_MAIL_MADE] = {"mail_made", {"kind", "mail", NULL}},
    [EVENT_RETRACTED] = {"retracted", {"answer", NULL}},
    [EVENT_EXPIRED] = {"expired", {NULL}},
    [EVENT_BOUNCED] = {"bounced", {"notice", NULL}},
    [EVENT_HELD] = {"held", {NULL}},
    [EVENT_RELEASED] = {"released", {NULL}},
    [EVENT_PURGED] = {"purged", {NULL}},
    [EVENT_DROPPED] = {"dropped", {"why", NULL}},
    [EVENT_NOT_SIGNED] = {"not_signed", {"why", NULL}},
};

const struct event_words *event_words(unsigned kind)
{
    return kind > EVENT_NONE && kind < EVENT_KIND_COUNT ? &words[kind] : NULL;
}

static void count(enum event_kind kind)
{
    if (kind == EVENT_NOTICE_ACCEPTED)
        STAT_ADD(PORTAL_COPIES, 1);
    else if (kind == EVENT_NOTIFIED)
        STAT_ADD(PORTAL_NOTIFIED, 1);
    else if (kind == EVENT_WRONG)
        STAT_ADD(PORTAL_WRONG, 1);
}

void story_tell(struct keeper *keeper, uint64_t message, int64_t number, enum event_kind kind,
                const struct slice *texts, size_t text_count)
{
    struct store_event event = {.message = message,
                                .id = keeper_next_id(keeper),
                                .number = number,
                                .kind = (unsigned)kind,
                                .text_count = text_count};

    must(text_count <= EVENT_TEXTS_MAX);
    count(kind);
    for (size_t i = 0; i < text_count; i++)
        event.texts[i] = texts[i];
    store_event_put(keeper->store, &event);
}

static void release(struct keeper *keeper, const struct story_message *message, bool needs_less,
                    bool has_ended)
{
    bool is_shredded;

    if (message->recipients == 1 && needs_less && has_ended) {
        store_message_end(keeper->store, message->id);
        is_shredded = true;
    } else {
        is_shredded = store_message_release(keeper->store, message->id, needs_less ? 1 : 0,
                                            has_ended ? 1 : 0);
    }
    if (is_shredded)
        inbox_count_segment(keeper, SPOOL_QUEUE, message->segment, -1);
}

bool story_move(struct keeper *keeper, const struct story_message *message,
                struct store_recipient *recipient, enum recipient_move move)
{
    enum recipient_state before = (enum recipient_state)recipient->state,
                         after = state_after(before, move);
    bool needs_less, has_ended;

    if (after == STATE_NONE) {
        LOG(LOG_ERROR, "keeper.move_not_allowed", log_id("message", message->id),
            log_cstr("state", state_name(before)), log_u64("move", (uint64_t)move));
        return false;
    }
    recipient->state = (unsigned)after;
    store_recipient_update(keeper->store, recipient);
    needs_less = state_needs_content(before) && !state_needs_content(after);
    has_ended = !state_is_end(before) && state_is_end(after);
    if (needs_less || has_ended)
        release(keeper, message, needs_less, has_ended);
    return true;
}
