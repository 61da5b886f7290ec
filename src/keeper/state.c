/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/state.h"

struct row {
    const char *name_cstr;
    bool is_end, needs_content;
    enum recipient_state after[MOVE_COUNT]; /* absent = not allowed */
};

/* What can happen to a recipient whose mail is still to be carried. */
#define WORKABLE                                                                               \
    {                                                                                          \
        [MOVE_PLAN] = STATE_PLANNED, [MOVE_DROP] = STATE_DROPPED,                              \
        [MOVE_SENT] = STATE_DELIVERED, [MOVE_LATER] = STATE_DEFERRED,                          \
        [MOVE_FAIL] = STATE_FAILED, [MOVE_COPY] = STATE_NOTIFYING,                             \
        [MOVE_RETRACT] = STATE_RETRACTED, [MOVE_PURGE] = STATE_DELETED,                        \
    }

static const struct row rows[STATE_COUNT] = {
    [STATE_NONE] = {"none", false, false, {STATE_NONE}},
    [STATE_ACCEPTED] = {"accepted",
                        false,
                        true,
                        {[MOVE_PLAN] = STATE_PLANNED,
                         [MOVE_DROP] = STATE_DROPPED,
                         [MOVE_FAIL] = STATE_FAILED,
                         [MOVE_RETRACT] = STATE_RETRACTED,
                         [MOVE_PURGE] = STATE_DELETED}},
    [STATE_PLANNED] = {"planned", false, true, WORKABLE},
    [STATE_DEFERRED] = {"deferred", false, true, WORKABLE},
    [STATE_NOTIFYING] = {"notifying",
                         false,
                         false,
                         {[MOVE_NOTICE_SENT] = STATE_NOTIFIED,
                          [MOVE_NOTICE_FAIL] = STATE_FAILED,
                          /* The notice may be read before its delivery is recorded. */
                          [MOVE_REVEAL] = STATE_REVEALED,
                          [MOVE_EXPIRE] = STATE_EXPIRED,
                          [MOVE_RETRACT] = STATE_RETRACTED,
                          [MOVE_PURGE] = STATE_DELETED}},
    [STATE_NOTIFIED] = {"notified",
                        false,
                        false,
                        {[MOVE_NOTICE_FAIL] = STATE_FAILED,
                         [MOVE_REVEAL] = STATE_REVEALED,
                         [MOVE_EXPIRE] = STATE_EXPIRED,
                         [MOVE_RETRACT] = STATE_RETRACTED,
                         [MOVE_PURGE] = STATE_DELETED}},
    /* Who has read it has had the notice: a late bounce changes nothing. */
    [STATE_REVEALED] = {"revealed",
                        false,
                        false,
                        {[MOVE_REVEAL] = STATE_REVEALED,
                         [MOVE_EXPIRE] = STATE_EXPIRED,
                         [MOVE_RETRACT] = STATE_RETRACTED,
                         [MOVE_PURGE] = STATE_DELETED}},
    [STATE_DELIVERED] = {"delivered", true, false, {STATE_NONE}},
    [STATE_FAILED] = {"failed", true, false, {STATE_NONE}},
    [STATE_DROPPED] = {"dropped", true, false, {STATE_NONE}},
    [STATE_EXPIRED] = {"expired", true, false, {STATE_NONE}},
    [STATE_RETRACTED] = {"retracted", true, false, {STATE_NONE}},
    [STATE_DELETED] = {"deleted", true, false, {STATE_NONE}},
};

static const struct row *row_of(enum recipient_state state)
{
    return (unsigned)state < STATE_COUNT ? &rows[state] : &rows[STATE_NONE];
}

enum recipient_state state_after(enum recipient_state state, enum recipient_move move)
{
    must((unsigned)move < MOVE_COUNT);
    return row_of(state)->after[move];
}

bool state_is_end(enum recipient_state state)
{
    return row_of(state)->is_end;
}

bool state_needs_content(enum recipient_state state)
{
    return row_of(state)->needs_content;
}

bool state_is_in_portal(enum recipient_state state)
{
    return state == STATE_NOTIFYING || state == STATE_NOTIFIED || state == STATE_REVEALED;
}

const char *state_name(enum recipient_state state)
{
    return row_of(state)->name_cstr;
}
