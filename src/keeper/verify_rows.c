/* SPDX-License-Identifier: Apache-2.0 */
/* The check's walk over messages, recipients, events and portal copies, side by side by message. */
#include "keeper/state.h"
#include "keeper/story.h"
#include "keeper/verify_internal.h"
#include "ipc/messages.h"

#include <stdlib.h>

/* What is remembered of each recipient while its message is looked at. */
struct seen {
    int64_t state;
    enum method method;
    uint64_t kinds; /* bits: kinds of its events */
    bool has_copy, has_copy_keys;
};

/* The four walks, each with the row that it stands at. */
struct rows {
    struct verify *verify;
    struct walked_message message;
    struct walked_recipient recipient;
    struct walked_event event;
    struct walked_copy copy;
    bool has_message, has_recipient, has_event, has_copy;
    struct seen *seen; /* recipients 0.. of the present message */
    size_t seen_count, seen_cap;
    int64_t open, live;
};

#define KIND(kind) (UINT64_C(1) << (kind))

/* Events of which one says that a recipient came to this state. */
static const uint64_t story_of[STATE_COUNT] = {
    [STATE_NOTIFYING] = KIND(EVENT_NOTICE_ACCEPTED),
    [STATE_NOTIFIED] = KIND(EVENT_NOTIFIED),
    [STATE_REVEALED] = KIND(EVENT_REVEALED),
    [STATE_DELIVERED] = KIND(EVENT_DELIVERED),
    [STATE_FAILED] = KIND(EVENT_FAILED) | KIND(EVENT_BOUNCED),
    [STATE_DROPPED] = KIND(EVENT_DROPPED) | KIND(EVENT_PLANNED),
    [STATE_EXPIRED] = KIND(EVENT_EXPIRED),
    [STATE_RETRACTED] = KIND(EVENT_RETRACTED),
    [STATE_DELETED] = KIND(EVENT_PURGED),
};

/* ---- one recipient ---- */

static bool method_fits(enum recipient_state state, enum method method)
{
    switch (state) {
    case STATE_PLANNED:
    case STATE_DEFERRED:
        return method == METHOD_REGULAR || method == METHOD_TLS || method == METHOD_PORTAL;
    case STATE_NOTIFYING:
    case STATE_NOTIFIED:
    case STATE_REVEALED:
    case STATE_EXPIRED:
        return method == METHOD_PORTAL;
    case STATE_DELIVERED:
        return method == METHOD_REGULAR || method == METHOD_TLS;
    case STATE_DROPPED:
        return method == METHOD_DROP;
    case STATE_NONE:
    case STATE_ACCEPTED:
    case STATE_FAILED:
    case STATE_RETRACTED:
    case STATE_DELETED:
    case STATE_COUNT:
        break;
    }
    return true;
}

static void check_legal(struct verify *verify, const struct walked_recipient *row)
{
    const char *wrong_cstr = NULL;

    if (row->state <= STATE_NONE || row->state >= STATE_COUNT)
        wrong_cstr = "there is no such state";
    else if (row->method < METHOD_NONE || row->method >= METHOD_COUNT ||
             row->method == METHOD_OPENPGP || row->method == METHOD_SMIME)
        wrong_cstr = "there is no such method";
    else if (!method_fits((enum recipient_state)row->state, (enum method)row->method))
        wrong_cstr = "its method cannot lead to its state";
    else if (!row->is_requirement_legal)
        wrong_cstr = "its TLS requirement was never written by us";
    else if (row->method == METHOD_TLS && row->requirement.least == PROOF_NONE)
        wrong_cstr = "it goes by proved TLS, but nothing is to be proved";
    else if (!store_has_address(verify->store, row->address))
        wrong_cstr = "its address has no row";
    else if (!store_has_domain(verify->store, row->domain))
        wrong_cstr = "its domain has no row";
    if (wrong_cstr != NULL)
        verify__tell(verify, VERIFY_STATE, row->message, (int64_t)row->number, 0,
                     "%s (state %lld, method %lld)", wrong_cstr, (long long)row->state,
                     (long long)row->method);
}

static uint64_t hash_of(uint64_t message, uint64_t number)
{
    uint64_t hash =
        (message ^ (number + 1) * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xD6E8FEB86659FD93);

    hash ^= hash >> 32;
    return hash == 0 ? 1 : hash;
}

static const char awaits_notice, is_notice;

/* Whichever of the two comes first waits for the other: a clock set back turns their ids round. */
static void meet(struct verify *verify, uint64_t hash, const char *who)
{
    const char *other = map_take(&verify->awaited, hash);

    verify->awaited_count -= other == &awaits_notice ? 1 : 0;
    if (other != NULL && other != who)
        return;
    verify->awaited_count += who == &awaits_notice ? 1 : 0;
    map_put(&verify->awaited, hash, (void *)(uintptr_t)who);
}

/* A recipient that nothing looks at any more must have come to its end, or wait for somebody else. */
static void check_stranded(struct verify *verify, const struct walked_recipient *row)
{
    enum recipient_state state = (enum recipient_state)row->state;

    if (row->is_due)
        return;
    if (row->owes != 0)
        verify__tell(verify, VERIFY_STRANDED, row->message, (int64_t)row->number, 0,
                     "a report is owed and never made");
    else if (state == STATE_NOTIFYING)
        meet(verify, hash_of(row->message, row->number), &awaits_notice);
    else if (!state_is_end(state) && !row->is_held)
        verify__tell(verify, VERIFY_STRANDED, row->message, (int64_t)row->number, 0,
                     "it is %s, not held, and not due", state_name(state));
}

/* A notice under way: who waits for it is not stranded. */
static void note_notice(struct verify *verify, const struct walked_message *row)
{
    if (row->kind == KIND_NOTICE && row->open > 0)
        meet(verify, hash_of(row->parent, row->parent_number), &is_notice);
}

static void remember(struct rows *rows, const struct walked_recipient *row)
{
    if (rows->seen_count == rows->seen_cap) {
        rows->seen_cap = rows->seen_cap == 0 ? 64 : rows->seen_cap * 2;
        rows->seen = reallocarray(rows->seen, rows->seen_cap, sizeof *rows->seen);
        must(rows->seen != NULL);
    }
    rows->seen[rows->seen_count++] =
        (struct seen){.state = row->state, .method = (enum method)row->method};
}

static void take_recipient(struct rows *rows)
{
    struct verify *verify = rows->verify;
    const struct walked_recipient *row = &rows->recipient;

    verify->report->recipients++;
    if (row->number != rows->seen_count)
        verify__tell(verify, VERIFY_COUNTS, row->message, (int64_t)row->number, 0,
                     "recipients are not numbered one after the other");
    if (!row->is_whole)
        verify__tell(verify, VERIFY_SEALED, row->message, (int64_t)row->number, 0,
                     "the recipient's row");
    check_legal(verify, row);
    check_stranded(verify, row);
    if (!state_is_end((enum recipient_state)row->state)) {
        verify->report->open_recipients++;
        rows->open++;
    }
    if (row->is_due || row->is_held)
        verify->counts[LEDGER_STATE + (uint64_t)row->state % LEDGER_STATES]++;
    verify->counts[LEDGER_DUE] += row->is_due ? 1 : 0;
    verify->counts[LEDGER_HELD] += row->is_held ? 1 : 0;
    rows->live += state_needs_content((enum recipient_state)row->state) ? 1 : 0;
    verify->report->held_recipients += row->is_held ? 1 : 0;
    remember(rows, row);
}

/* ---- events and copies ---- */

static void take_event(struct rows *rows)
{
    struct verify *verify = rows->verify;
    const struct walked_event *row = &rows->event;

    verify->report->events++;
    if (!row->is_whole)
        verify__tell(verify, VERIFY_SEALED, row->message, row->number, 0, "an event");
    if (row->kind <= EVENT_NONE || row->kind >= EVENT_KIND_COUNT ||
        row->number < EVENT_WHOLE_MESSAGE || row->number >= (int64_t)rows->seen_count)
        verify__tell(verify, VERIFY_STATE, row->message, row->number, 0,
                     "an event of no kind or of no recipient");
    else if (row->number >= 0)
        rows->seen[row->number].kinds |= KIND(row->kind);
}

static void take_copy(struct rows *rows)
{
    struct verify *verify = rows->verify;
    const struct walked_copy *row = &rows->copy;
    struct seen *seen = row->number < rows->seen_count ? &rows->seen[row->number] : NULL;

    verify->report->copies++;
    if (!row->is_whole)
        verify__tell(verify, VERIFY_SEALED, row->message, (int64_t)row->number, 0,
                     "a portal copy");
    if (seen == NULL) {
        verify__tell(verify, VERIFY_STRAY, row->message, (int64_t)row->number, 0,
                     "a portal copy of no recipient");
        return;
    }
    seen->has_copy = true;
    seen->has_copy_keys = row->has_keys;
    if (!row->has_keys)
        return;
    verify->report->open_copies++;
    verify__copy(verify, row);
}

/* ---- one message ---- */

static void check_recipient_end(struct rows *rows, size_t number)
{
    const struct seen *seen = &rows->seen[number];
    enum recipient_state state = (enum recipient_state)seen->state;
    uint64_t id = rows->message.id;

    if (seen->state <= STATE_NONE || seen->state >= STATE_COUNT)
        return; /* told */
    if (story_of[state] != 0 && (story_of[state] & seen->kinds) == 0 &&
        !(state == STATE_FAILED && seen->method == METHOD_FAIL))
        verify__tell(rows->verify, VERIFY_STORY, id, (int64_t)number, 0,
                     "it is %s, and no event says so", state_name(state));
    if (state_is_in_portal(state) && !seen->has_copy_keys)
        verify__tell(rows->verify, VERIFY_COPY, id, (int64_t)number, 0,
                     seen->has_copy ? "it waits for its reader, but its keys are destroyed"
                                    : "it waits for its reader, but has no copy");
    if (!state_is_in_portal(state) && seen->has_copy_keys)
        verify__tell(rows->verify, VERIFY_COPY, id, (int64_t)number, 0,
                     "it is %s, but its copy can still be opened", state_name(state));
}

static void check_counts(struct rows *rows)
{
    const struct walked_message *row = &rows->message;

    if (row->recipients != (int64_t)rows->seen_count || row->open != rows->open ||
        row->live != rows->live)
        verify__tell(rows->verify, VERIFY_COUNTS, row->id, VERIFY_NONE, 0,
                     "its row says %lld recipients, %lld open, %lld in need of the content; "
                     "they are %zu, %lld, %lld",
                     (long long)row->recipients, (long long)row->open, (long long)row->live,
                     rows->seen_count, (long long)rows->open, (long long)rows->live);
    if (rows->live > 0 && row->key_bytes != KEYWRAP_BYTES)
        verify__tell(rows->verify, VERIFY_KEY_PRESENCE, row->id, VERIFY_NONE, 0,
                     "its content is needed, but its key is %s",
                     row->key_bytes == 0 ? "destroyed" : "of another length");
    if (rows->live == 0 && row->key_bytes != 0)
        verify__tell(rows->verify, VERIFY_KEY_PRESENCE, row->id, VERIFY_NONE, 0,
                     "nobody needs its content, but its key is still there");
}

/* Ids that must be there, up to this one. */
static void check_accepted(struct verify *verify, uint64_t id, bool is_there)
{
    const struct verify_options *options = verify->options;

    for (; verify->accepted_at < options->accepted_count &&
           options->accepted[verify->accepted_at] <= id;
         verify->accepted_at++) {
        if (is_there && options->accepted[verify->accepted_at] == id)
            verify->report->accepted++;
        else
            verify__tell(verify, VERIFY_ACCEPTED, options->accepted[verify->accepted_at],
                         VERIFY_NONE, 0, "there is no row of it");
    }
}

static void check_message(struct rows *rows)
{
    struct verify *verify = rows->verify;
    const struct walked_message *row = &rows->message;

    verify->report->messages++;
    verify->report->open_messages += rows->open > 0 ? 1 : 0;
    verify->counts[LEDGER_OPEN] += rows->open > 0 ? 1 : 0;
    if (!row->is_whole)
        verify__tell(verify, VERIFY_SEALED, row->id, VERIFY_NONE, 0, "the message's row");
    if (row->kind >= KIND_COUNT || row->id > INT64_MAX ||
        (row->sender != 0 && !store_has_address(verify->store, row->sender)))
        verify__tell(verify, VERIFY_STATE, row->id, VERIFY_NONE, 0,
                     "its kind or sender cannot be");
    check_counts(rows);
    for (size_t i = 0; i < rows->seen_count; i++)
        check_recipient_end(rows, i);
    if (rows->live > 0)
        verify__content(verify, row);
    note_notice(verify, row);
    check_accepted(verify, row->id, true);
}

/* ---- side by side ---- */

static void next_recipient(struct rows *rows)
{
    rows->has_recipient = store_walk_recipient(rows->verify->walk, &rows->recipient);
}

static void next_event(struct rows *rows)
{
    rows->has_event = store_walk_event(rows->verify->walk, &rows->event);
}

static void next_copy(struct rows *rows)
{
    rows->has_copy = store_walk_copy(rows->verify->walk, &rows->copy);
}

/* Rows of messages before this one belong to none. Told once for each message and table. */
static void pass_strays(struct rows *rows, uint64_t before, bool is_last)
{
    struct verify *verify = rows->verify;
    uint64_t told = 0;

    if (store_is_troubled(verify->store, NULL))
        return;
    for (; rows->has_recipient && (is_last || rows->recipient.message < before);
         next_recipient(rows)) {
        if (rows->recipient.message != told || told == 0)
            verify__tell(verify, VERIFY_STRAY, rows->recipient.message,
                         (int64_t)rows->recipient.number, 0, "a recipient of no message");
        told = rows->recipient.message;
    }
    for (told = 0; rows->has_event && (is_last || rows->event.message < before);
         next_event(rows)) {
        if (rows->event.message != told || told == 0)
            verify__tell(verify, VERIFY_STRAY, rows->event.message, VERIFY_NONE, 0,
                         "an event of no message");
        told = rows->event.message;
    }
    for (; rows->has_copy && (is_last || rows->copy.message < before); next_copy(rows))
        verify__tell(verify, VERIFY_STRAY, rows->copy.message, (int64_t)rows->copy.number, 0,
                     "a portal copy of no message");
}

static void take_message(struct rows *rows)
{
    uint64_t id = rows->message.id;

    rows->seen_count = 0;
    rows->open = rows->live = 0;
    pass_strays(rows, id, false);
    for (; rows->has_recipient && rows->recipient.message == id; next_recipient(rows))
        take_recipient(rows);
    for (; rows->has_event && rows->event.message == id; next_event(rows))
        take_event(rows);
    for (; rows->has_copy && rows->copy.message == id; next_copy(rows))
        take_copy(rows);
    /* A table that could not be read to its end would make everybody else look wrong. */
    if (!store_is_troubled(rows->verify->store, NULL))
        check_message(rows);
}

/* The counts that are kept beside the rows, so that nobody needs to walk them. */
static void check_ledger(struct verify *verify)
{
    int64_t counts[LEDGER_COUNTS];

    if (!store_walk_counts(verify->store, counts))
        return; /* it is made at the next start */
    for (unsigned i = 0; i < LEDGER_COUNTS; i++)
        if (counts[i] != verify->counts[i])
            verify__tell(verify, VERIFY_COUNTS, 0, VERIFY_NONE, 0,
                         "table batch counts %lld (number %u), the rows say %lld",
                         (long long)counts[i], i, (long long)verify->counts[i]);
}

void verify__rows(struct verify *verify)
{
    struct rows rows = {.verify = verify};

    if (verify->walk != NULL) {
        next_recipient(&rows);
        next_event(&rows);
        next_copy(&rows);
        while (store_walk_message(verify->walk, &rows.message))
            take_message(&rows);
    }
    free(rows.seen);
    if (verify->walk != NULL && store_is_troubled(verify->store, NULL))
        return;
    if (verify->walk != NULL) {
        pass_strays(&rows, 0, true);
        check_ledger(verify);
    }
    check_accepted(verify, UINT64_MAX, false);
    if (verify->awaited_count > 0)
        verify__tell(verify, VERIFY_STRANDED, 0, VERIFY_NONE, 0,
                     "%zu recipients wait for a notice that is not under way",
                     verify->awaited_count);
}
