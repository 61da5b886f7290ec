/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"
#include "keeper/retract.h"
#include "store/portal.h"

#include <stdio.h>
#include <string.h>

/* One row for each state: what taking back means there, honestly. */
enum retraction retraction_for(enum recipient_state state, enum method method, bool is_working)
{
    switch (state) {
    case STATE_ACCEPTED:
    case STATE_PLANNED:
    case STATE_DEFERRED:
        /* A courier has it in hand: it may be at the other side already. A copy that a scribe makes
         * is ours and is thrown away. */
        return is_working && method != METHOD_PORTAL ? RETRACT_SENDING : RETRACT_STOPPED;
    case STATE_NOTIFYING:
    case STATE_NOTIFIED:
        return RETRACT_STOPPED;
    case STATE_REVEALED:
        return RETRACT_ENDED;
    case STATE_DELIVERED:
        return RETRACT_CANNOT;
    case STATE_NONE:
    case STATE_FAILED:
    case STATE_DROPPED:
    case STATE_EXPIRED:
    case STATE_RETRACTED:
    case STATE_DELETED:
    case STATE_COUNT:
        break;
    }
    return RETRACT_OVER;
}

static const char *outcome_name(enum retraction retraction)
{
    static const char *const names[] = {"stopped", "ended", "cannot", "cannot", "over"};

    return names[retraction];
}

/* What the outcome does not say already. */
static void write_words(enum retraction retraction, const struct store_recipient *row,
                        char *out_cstr, size_t size)
{
    switch (retraction) {
    case RETRACT_STOPPED:
    case RETRACT_ENDED:
        out_cstr[0] = 0;
        break;
    case RETRACT_CANNOT:
        snprintf(out_cstr, size, "it left by %s", method_name(row->method));
        break;
    case RETRACT_SENDING:
        snprintf(out_cstr, size, "it is being sent by %s right now", method_name(row->method));
        break;
    case RETRACT_OVER:
        snprintf(out_cstr, size, "%s", state_name((enum recipient_state)row->state));
        break;
    }
}

static void take_back(struct keeper *keeper, const struct store_message *message,
                      struct store_recipient *row, const char *outcome_cstr)
{
    struct story_message story = story_message_of(message);
    struct slice text = slice_from_cstr(outcome_cstr);

    portal_shred(keeper, row->message, row->number);
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_RETRACTED, &text, 1);
    retractions_note(keeper, row->message, row->number, STATE_RETRACTED);
    row->is_held = false;
    /* A receipt that is still owed is true, whatever came after. */
    row->owes &= OWES_RECEIPT;
    row->due_ms = row->owes != 0 ? schedule_stamp(keeper, clock_unix_ms()) : RECIPIENT_NOT_DUE;
    if (story_move(keeper, &story, row, MOVE_RETRACT) &&
        !schedule_is_working(keeper, row->message, row->number))
        results_settle(keeper, row);
}

static void retract_one(struct control_output *output, const struct store_message *message,
                        struct store_recipient *row)
{
    struct keeper *keeper = output->keeper;
    enum retraction retraction =
        retraction_for((enum recipient_state)row->state, row->method,
                       schedule_is_working(keeper, row->message, row->number));
    struct store_portal_copy copy;
    char words_cstr[200];
    json_t *object;

    write_words(retraction, row, words_cstr, sizeof words_cstr);
    object = json_pack("{s:o,s:s,s:s}", "address",
                       control_text(store_address_get(keeper->store, row->address)), "outcome",
                       outcome_name(retraction), "text", words_cstr);
    if (row->method == METHOD_PORTAL &&
        store_portal_get(keeper->store, row->message, row->number, &copy)) {
        control_set_number(object, "read_ms", copy.revealed_ms);
        explicit_bzero(&copy, sizeof copy);
    }
    if (retraction == RETRACT_STOPPED || retraction == RETRACT_ENDED)
        take_back(keeper, message, row, outcome_name(retraction));
    control_line(output, object);
}

void retract_answer(struct control_output *output, const json_t *request)
{
    struct keeper *keeper = output->keeper;
    struct slice only = control_member(request, "recipient");
    uint64_t id = control_find_message(output, request);
    struct store_message message;
    struct store_recipient row;
    bool found = false;

    if (id == 0 || !store_message_get(keeper->store, id, &message))
        return;
    for (uint64_t number = 0; number < message.recipients; number++) {
        if (!store_recipient_get(keeper->store, id, number, &row) ||
            (only.len > 0 &&
             !slice_equal_nocase(store_address_get(keeper->store, row.address), only)))
            continue;
        retract_one(output, &message, &row);
        found = true;
    }
    if (!found)
        control_error(output, "the message has no such recipient");
}
