/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/portal_read.h"

#include "keeper/accept.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"

#include <stdio.h>
#include <string.h>

enum { MASKED_SIZE = 400 };

bool portal_link_find(struct keeper *keeper, struct slice lookup, struct portal_link *link_out)
{
    memset(link_out, 0, sizeof *link_out);
    if (!store_portal_find(keeper->store, lookup, &link_out->copy) || !link_out->copy.is_open ||
        link_out->copy.expires_ms <= clock_unix_ms())
        return false;
    return store_message_get(keeper->store, link_out->copy.message, &link_out->message) &&
           store_recipient_get(keeper->store, link_out->copy.message, link_out->copy.number,
                               &link_out->recipient) &&
           state_is_in_portal((enum recipient_state)link_out->recipient.state);
}

void portal_link_wipe(struct portal_link *link)
{
    explicit_bzero(link, sizeof *link);
}

void portal_mask_address(struct slice address, char *out_cstr, size_t size)
{
    struct slice domain = address_domain(address);
    size_t first = 1;

    /* Whole UTF-8 letter. */
    while (first < address.len && (address.at[first] & 0xC0) == 0x80)
        first++;
    snprintf(out_cstr, size, "%.*s***@%.*s", SLICE_ARGS(slice_head(address, first)),
             SLICE_ARGS(domain));
}

static const char *organisation_of(struct keeper *keeper, struct slice account_name)
{
    const struct settings_account *account = plan_account(keeper, account_name);

    return account == NULL ? "" : account->organisation_cstr;
}

/* ---- look ---- */

static void run_fetched(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    struct portal_link link;
    struct slice client = message->portal_look.client;

    (void)task;
    if (portal_link_find(keeper, message->portal_look.lookup, &link))
        story_tell(keeper, link.copy.message, (int64_t)link.copy.number, EVENT_LINK_FETCHED,
                   &client, 1);
    portal_link_wipe(&link);
}

static const struct task_kind kind_fetched = {
    .name_cstr = "fetched", .is_lazy = true, .run = run_fetched};

static struct slice question_of(struct keeper *keeper, const struct portal_link *link)
{
    struct portal_proof proof;

    if (link->copy.proof != READER_PROOF_ANSWER)
        return slice_of("", 0);
    if (link->message.question.len > 0)
        return link->message.question;
    portal_choose_proof(plan_account(keeper, link->message.account),
                        store_address_get(keeper->store, link->recipient.address), 0,
                        slice_of("", 0), slice_of("", 0), &proof);
    return proof.question;
}

void portal_take_look(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                      const union ipc_any *message)
{
    const struct ipc_portal_look *look = &message->portal_look;
    struct ipc_portal_view view = {.ask = look->ask};
    char masked_cstr[MASKED_SIZE], sender_cstr[ADDRESS_MAX_BYTES + 1];
    struct portal_link link;

    if (portal_link_find(keeper, look->lookup, &link)) {
        int64_t locked_ms = link.copy.locked_ms - clock_unix_ms();

        view.found = true;
        view.proof = link.copy.proof;
        view.organisation = slice_from_cstr(organisation_of(keeper, link.message.account));
        view.expires_ms = link.copy.expires_ms;
        view.locked_ms = locked_ms > 0 ? locked_ms : 0;
        view.question = question_of(keeper, &link);
        portal_mask_address(store_address_get(keeper->store, link.recipient.address),
                            masked_cstr, sizeof masked_cstr);
        view.masked_recipient = slice_from_cstr(masked_cstr);
        if (slice_to_cstr(store_address_get(keeper->store, link.message.sender), sender_cstr,
                          sizeof sender_cstr))
            view.sender = slice_from_cstr(sender_cstr);
        if (map_get(&keeper->sessions.fetched, link.copy.id) == NULL) {
            map_put(&keeper->sessions.fetched, link.copy.id, keeper);
            inbox_put(keeper, &kind_fetched, 0, type, message);
        }
    }
    (void)peer_send(keeper, peer->id, IPC_PORTAL_VIEW, &view);
    portal_link_wipe(&link);
}

/* ---- with a session ---- */

void portal_send_opened(struct keeper *keeper, uint64_t peer, uint64_t ask,
                        const struct portal_link *link, const struct session *session,
                        portal_send_fn *send)
{
    struct ipc_portal_opened opened = {
        .ask = ask,
        .status = PORTAL_OPEN,
        .session = slice_of(session->id, SESSION_BYTES),
        .message = link->copy.message,
        .account = link->message.account,
        .organisation = slice_from_cstr(organisation_of(keeper, link->message.account)),
        .expires_ms = link->copy.expires_ms,
        .share = link->copy.share,
        .answer_key = session->answer_key,
        .wrapped = slice_of(link->copy.wrapped, KEYWRAP_BYTES),
        .copy = link->copy.copy,
        .header_id = link->message.header_id};
    char sender_cstr[ADDRESS_MAX_BYTES + 1], recipient_cstr[ADDRESS_MAX_BYTES + 1];

    if (slice_to_cstr(store_address_get(keeper->store, link->message.sender), sender_cstr,
                      sizeof sender_cstr))
        opened.sender = slice_from_cstr(sender_cstr);
    if (slice_to_cstr(store_address_get(keeper->store, link->recipient.address), recipient_cstr,
                      sizeof recipient_cstr))
        opened.recipient = slice_from_cstr(recipient_cstr);
    send(keeper, peer, IPC_PORTAL_OPENED, &opened);
    secret_wipe(&opened.share);
    secret_wipe(&opened.answer_key);
}

static void send_now(struct keeper *keeper, uint64_t peer, enum ipc_type type,
                     const void *message)
{
    (void)peer_send(keeper, peer, type, message);
}

void portal_take_resume(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                        const union ipc_any *message)
{
    const struct ipc_portal_resume *resume = &message->portal_resume;
    const struct session *session =
        session_find(&keeper->sessions, resume->session, resume->lookup, loop_now_ms());
    struct ipc_portal_opened absent = {.ask = resume->ask, .status = PORTAL_ABSENT};
    struct portal_link link;

    (void)type;
    if (portal_link_find(keeper, resume->lookup, &link) && session != NULL)
        portal_send_opened(keeper, peer->id, resume->ask, &link, session, send_now);
    else
        (void)peer_send(keeper, peer->id, IPC_PORTAL_OPENED, &absent);
    portal_link_wipe(&link);
}

static void answer_done(struct keeper *keeper, uint64_t peer, uint64_t ask,
                        enum portal_status status)
{
    struct ipc_portal_done done = {.ask = ask, .status = status};

    inbox_answer(keeper, peer, IPC_PORTAL_DONE, &done);
}

/* ---- reveal, attachment ---- */

static bool wants_receipt(struct keeper *keeper, const struct store_message *message)
{
    const struct settings_account *account = plan_account(keeper, message->account);
    unsigned asked = message_flag_bits(message->flags, MESSAGE_RECEIPT_SHIFT, 2);

    if (message->kind != KIND_SUBMITTED || message->sender == 0 || asked == 2)
        return false;
    return asked == 1 || (account != NULL && account->receipts);
}

static void first_reveal(struct keeper *keeper, struct portal_link *link)
{
    struct story_message story = story_message_of(&link->message);
    int64_t now_ms = clock_unix_ms();

    STAT_ADD(PORTAL_REVEALED, 1);
    link->copy.revealed_ms = now_ms;
    store_portal_update(keeper->store, &link->copy);
    if (wants_receipt(keeper, &link->message))
        link->recipient.owes |= OWES_RECEIPT;
    link->recipient.due_ms =
        link->recipient.owes != 0 ? schedule_stamp(keeper, now_ms) : link->copy.expires_ms;
    if (story_move(keeper, &story, &link->recipient, MOVE_REVEAL))
        results_settle(keeper, &link->recipient);
}

static void run_event(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct ipc_portal_event *event = &message->portal_event;
    struct slice texts[2] = {event->client, {NULL, 0}};
    struct portal_link link;
    char part_cstr[24];

    if (!portal_link_find(keeper, event->lookup, &link) ||
        session_find(&keeper->sessions, event->session, event->lookup, loop_now_ms()) == NULL) {
        answer_done(keeper, task->peer, event->ask, PORTAL_ABSENT);
    } else if (event->event == PORTAL_REVEALED) {
        story_tell(keeper, link.copy.message, (int64_t)link.copy.number, EVENT_REVEALED, texts,
                   1);
        if (link.copy.revealed_ms == 0)
            first_reveal(keeper, &link);
        answer_done(keeper, task->peer, event->ask, PORTAL_OK);
    } else {
        snprintf(part_cstr, sizeof part_cstr, "%llu", (unsigned long long)event->part);
        texts[1] = slice_from_cstr(part_cstr);
        story_tell(keeper, link.copy.message, (int64_t)link.copy.number, EVENT_ATTACHMENT_TAKEN,
                   texts, 2);
        answer_done(keeper, task->peer, event->ask, PORTAL_OK);
    }
    portal_link_wipe(&link);
}

static void refuse_event(struct keeper *keeper, struct task *task, const union ipc_any *message,
                         const struct err *why)
{
    struct ipc_portal_done done = {.ask = message->portal_event.ask, .status = PORTAL_BUSY};

    (void)why;
    (void)peer_send(keeper, task->peer, IPC_PORTAL_DONE, &done);
}

static const struct task_kind kind_event = {
    .name_cstr = "portal_event", .run = run_event, .refuse = refuse_event};

void portal_take_event(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                       const union ipc_any *message)
{
    inbox_put(keeper, &kind_event, peer->id, type, message);
}

/* ---- reply ---- */

static bool prepare_reply(struct keeper *keeper, struct task *task,
                          const union ipc_any *message, struct err *err)
{
    (void)task;
    return spool_check(keeper->queue_checker, &message->portal_reply.content, err);
}

static void run_reply(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct ipc_portal_reply *reply = &message->portal_reply;
    char to_cstr[ADDRESS_MAX_BYTES + 1], id_text[ID_TEXT_SIZE];
    struct slice texts[2];
    struct portal_link link;

    if (!portal_link_find(keeper, reply->lookup, &link) ||
        session_find(&keeper->sessions, reply->session, reply->lookup, loop_now_ms()) == NULL ||
        link.message.sender == 0 || reply->message == 0 || reply->message > INT64_MAX ||
        store_message_exists(keeper->store, reply->message) ||
        !slice_to_cstr(store_address_get(keeper->store, link.message.sender), to_cstr,
                       sizeof to_cstr)) {
        answer_done(keeper, task->peer, reply->ask, PORTAL_ABSENT);
        portal_link_wipe(&link);
        return;
    }
    accept_write_own(keeper, &(struct accept_own){.message = reply->message,
                                                  .kind = KIND_REPLY,
                                                  .account = link.message.account,
                                                  .sender = link.message.sender,
                                                  .to = slice_from_cstr(to_cstr),
                                                  .header_id = reply->header_id,
                                                  .content = &reply->content,
                                                  .parent = link.copy.message,
                                                  .parent_number = link.copy.number,
                                                  .about_secure = true});
    id_write(reply->message, id_text);
    texts[0] = reply->client;
    texts[1] = slice_from_cstr(id_text);
    story_tell(keeper, link.copy.message, (int64_t)link.copy.number, EVENT_REPLIED, texts, 2);
    answer_done(keeper, task->peer, reply->ask, PORTAL_OK);
    portal_link_wipe(&link);
}

static void refuse_reply(struct keeper *keeper, struct task *task, const union ipc_any *message,
                         const struct err *why)
{
    struct ipc_portal_done done = {.ask = message->portal_reply.ask, .status = PORTAL_BUSY};

    (void)why;
    (void)peer_send(keeper, task->peer, IPC_PORTAL_DONE, &done);
}

static const struct task_kind kind_reply = {.name_cstr = "portal_reply",
                                            .prepare = prepare_reply,
                                            .run = run_reply,
                                            .refuse = refuse_reply};

void portal_take_reply(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                       const union ipc_any *message)
{
    inbox_put(keeper, &kind_reply, peer->id, type, message);
}
