/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/replan.h"

#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/results.h"

static enum recipient_move move_for(enum method method)
{
    switch (method) {
    case METHOD_DROP:
        return MOVE_DROP;
    case METHOD_FAIL:
        return MOVE_FAIL;
    case METHOD_NONE:
    case METHOD_REGULAR:
    case METHOD_TLS:
    case METHOD_OPENPGP:
    case METHOD_SMIME:
    case METHOD_PORTAL:
    case METHOD_COUNT:
        break;
    }
    return MOVE_PLAN;
}

/* row, message: as read. */
static void ask(struct keeper *keeper, const struct store_message *message,
                const struct store_recipient *row, struct verdict *verdict_out)
{
    char sender_cstr[ADDRESS_MAX_BYTES + 1];

    if (!slice_to_cstr(store_address_get(keeper->store, message->sender), sender_cstr,
                       sizeof sender_cstr))
        sender_cstr[0] = '\0';
    plan_ask(keeper,
             &(struct plan_question){
                 .kind = message->kind,
                 .account = message->account,
                 .via = row->via,
                 .address = store_address_get(keeper->store, row->address),
                 .sender = slice_from_cstr(sender_cstr),
                 .user = message->user,
                 .domain = domain_get(keeper, row->domain),
                 .encrypt = message_flag_bits(message->flags, MESSAGE_ENCRYPT_SHIFT, 2),
                 .requiretls = (message->flags & MESSAGE_REQUIRETLS) != 0,
                 .tls_required_no = (message->flags & MESSAGE_TLS_REQUIRED_NO) != 0,
                 .about_secure = (message->flags & MESSAGE_ABOUT_SECURE) != 0,
                 .is_replan = row->unproved_ms != 0,
                 .is_unmet = (row->flags & RECIPIENT_UNMET) != 0},
             verdict_out);
}

static bool is_lacking(struct keeper *keeper, const struct store_recipient *row)
{
    const struct domain *domain = domain_get(keeper, row->domain);

    return domain != NULL && domain->row.lacking_ms != 0;
}

bool replan_is_vain(struct keeper *keeper, uint64_t message_id, uint64_t number)
{
    struct store_message message;
    struct store_recipient row;
    struct verdict verdict;

    if (!store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row))
        return false;
    if (message.kind == KIND_INBOUND)
        return true;
    row.unproved_ms = 1;
    ask(keeper, &message, &row, &verdict);
    return verdict.method == METHOD_TLS;
}

void replan_write(struct keeper *keeper, struct store_recipient *row)
{
    struct store_message message;
    struct story_message story;
    struct verdict verdict;
    struct slice texts[2];
    bool has_sender;

    if (!store_message_get(keeper->store, row->message, &message) ||
        !store_recipient_get(keeper->store, row->message, row->number, row))
        return;
    story = story_message_of(&message);
    ask(keeper, &message, row, &verdict);
    has_sender =
        message.sender != 0 && (message.kind == KIND_SUBMITTED || message.kind == KIND_INBOUND);
    plan_count(verdict.method);
    row->method = verdict.method;
    row->requirement = verdict.requirement;
    row->reasons = slice_from_cstr(verdict.reasons_cstr);
    row->attempts = 0;
    /* TLS again: no other way is left, so that the next connection is the test and not the next look at the table. */
    row->unproved_ms =
        verdict.method == METHOD_TLS && is_lacking(keeper, row) ? clock_unix_ms() : 0;
    row->flags |= RECIPIENT_REPLANNED | (verdict.is_secure ? RECIPIENT_SECURE : 0U);
    if (verdict.method == METHOD_FAIL && results_reports(row, has_sender, OWES_FAILURE))
        row->owes |= OWES_FAILURE;
    row->due_ms =
        verdict.method == METHOD_DROP || (verdict.method == METHOD_FAIL && row->owes == 0)
            ? RECIPIENT_NOT_DUE
            : schedule_stamp(keeper, clock_unix_ms());
    store_recipient_put(keeper->store, row);
    texts[0] = slice_from_cstr(method_name(verdict.method));
    texts[1] = row->reasons;
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_PLANNED, texts, 2);
    story_move(keeper, &story, row, move_for(verdict.method));
    row->reasons = row->via = slice_of("", 0);
}
