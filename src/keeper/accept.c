/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/accept.h"

#include "keeper/bounce.h"
#include "keeper/forward_expand.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/story.h"

#include <stdlib.h>

enum { RECIPIENTS_MAX = 100000 };

/* ---- check ---- */

static bool check_recipients(const struct ipc_accept *accept, struct err *err)
{
    struct slice rest = accept->recipients;
    struct ipc_recipient item;
    enum progress got;
    size_t count = 0;

    while ((got = ipc_list_next(&rest, IPC_RECIPIENT, &item)) == PROGRESS_DONE) {
        if (address_domain(item.address).len == 0 ||
            address_domain(item.address).len >= STORE_DOMAIN_SIZE ||
            item.address.len > ADDRESS_MAX_BYTES || ++count > RECIPIENTS_MAX)
            return FAIL_SMTP(err, ERR_PERM, 553, "5.1.3", "a recipient is no address");
    }
    if (got == PROGRESS_FAIL || count == 0)
        return FAIL_SMTP(err, ERR_TEMP, 451, "4.3.0", "the list of recipients is broken");
    return true;
}

/* The content came along: into our own segment with it; the task remembers where. */
static bool place(struct keeper *keeper, struct task *task, const struct ipc_accept *accept,
                  struct err *err)
{
    struct spool_parcel parcel = {accept->sealed, accept->content.plain_bytes,
                                  accept->data_key};
    struct content_ref *ref = malloc(sizeof *ref);
    bool is_placed;

    must(ref != NULL);
    task->context = ref;
    is_placed = spool_writer_place(keeper->queue_writer, &parcel, ref, err);
    task->is_placed = is_placed;
    secret_wipe(&parcel.data_key);
    return is_placed;
}

static bool prepare(struct keeper *keeper, struct task *task, const union ipc_any *message,
                    struct err *err)
{
    const struct ipc_accept *accept = &message->accept;

    /* What others make is asked for and written in accept_write_own: nobody may bring it. */
    if (accept->message == 0 || accept->message > INT64_MAX ||
        (accept->kind > KIND_BOUNCE && accept->kind != KIND_TLS_REPORTED))
        return FAIL_SMTP(err, ERR_TEMP, 451, "4.3.0", "the message has no id or no such kind");
    if (keeper->is_draining)
        return FAIL_SMTP(err, ERR_TEMP, 451, "4.3.2", "the server is going down");
    if (!check_recipients(accept, err))
        return false;
    if (accept->kind == KIND_BOUNCE)
        return bounce_check(keeper, accept, err);
    if (accept->content.segment == 0)
        return place(keeper, task, accept, err);
    return spool_check(keeper->queue_checker, &accept->content, err);
}

/* ---- write ---- */

static uint64_t flags_of(const struct ipc_accept *accept)
{
    return (accept->body_8bit ? MESSAGE_8BIT : 0U) |
           (accept->smtputf8 ? MESSAGE_SMTPUTF8 : 0U) |
           (accept->requiretls ? MESSAGE_REQUIRETLS : 0U) |
           (accept->tls_required_no ? MESSAGE_TLS_REQUIRED_NO : 0U) |
           (accept->ret & 3) << MESSAGE_RET_SHIFT |
           (accept->encrypt & 3) << MESSAGE_ENCRYPT_SHIFT |
           (accept->proof & 7) << MESSAGE_PROOF_SHIFT |
           (accept->receipt & 3) << MESSAGE_RECEIPT_SHIFT;
}

/* Where the verdict sends it: the row's first state. */
static void apply_verdict(const struct verdict *verdict, bool reports_failure,
                          struct store_recipient *recipient)
{
    plan_count(verdict->method);
    recipient->method = verdict->method;
    recipient->requirement = verdict->requirement;
    recipient->reasons = slice_from_cstr(verdict->reasons_cstr);
    recipient->flags |= verdict->is_secure ? RECIPIENT_SECURE : 0U;
    recipient->state = STATE_PLANNED;
    if (verdict->method == METHOD_DROP) {
        recipient->state = STATE_DROPPED;
        recipient->due_ms = RECIPIENT_NOT_DUE;
    } else if (verdict->method == METHOD_FAIL) {
        recipient->state = STATE_FAILED;
        recipient->owes = reports_failure ? OWES_FAILURE : 0U;
        if (!reports_failure)
            recipient->due_ms = RECIPIENT_NOT_DUE;
    }
}

/* Fill domain, address and verdict of a recipient row; false: troubled. */
static bool plan_recipient(struct keeper *keeper, const struct plan_question *asked,
                           bool reports_failure, struct store_recipient *recipient,
                           struct verdict *verdict)
{
    struct plan_question question = *asked;
    struct domain *domain = domain_put(keeper, address_domain(asked->address));
    struct slice kept;

    recipient->address = store_address_put(keeper->store, asked->address);
    if (domain == NULL || recipient->address == 0)
        return false;
    kept = store_address_get(keeper->store, recipient->address);
    recipient->spelled = slice_equal(kept, asked->address) ? slice_of("", 0) : asked->address;
    recipient->domain = domain->row.id;
    question.domain = domain;
    plan_ask(keeper, &question, verdict);
    apply_verdict(verdict, reports_failure, recipient);
    if (domain->row.is_held && recipient->owes == 0 &&
        !state_is_end((enum recipient_state)recipient->state)) {
        recipient->is_held = true;
        recipient->due_ms = RECIPIENT_NOT_DUE;
    }
    return true;
}

static void count_row(struct store_message *row, const struct store_recipient *recipient)
{
    row->recipients++;
    row->open += state_is_end((enum recipient_state)recipient->state) ? 0 : 1;
    row->live += state_needs_content((enum recipient_state)recipient->state) ? 1 : 0;
}

static void schedule_after(struct keeper *keeper, uint64_t message, uint64_t number,
                           uint64_t place)
{
    schedule_add(keeper, message, number, schedule_place_read(place));
}

static void put_recipient(struct keeper *keeper, struct store_recipient *recipient)
{
    store_recipient_put(keeper->store, recipient);
    if (recipient->state == STATE_DROPPED)
        story_tell(keeper, recipient->message, (int64_t)recipient->number, EVENT_DROPPED,
                   &recipient->reasons, 1);
    if (recipient->due_ms != RECIPIENT_NOT_DUE)
        inbox_after(
            keeper, schedule_after, recipient->message, recipient->number,
            schedule_place_write(schedule_place_of(recipient->domain, recipient->flags, 0)));
}

/* Who sends in our own mails gets reports; strangers' null senders and our own robots do not. */
static bool reports_failure(uint64_t kind, uint64_t sender, unsigned notify)
{
    return (kind == KIND_SUBMITTED || kind == KIND_INBOUND) && sender != 0 &&
           (notify == 0 || (notify & 4) != 0);
}

/* Somebody waits for a message to a few; what goes to many is bulk. */
static bool has_many(struct slice recipients)
{
    struct ipc_recipient item;
    unsigned count = 0;

    while (count <= LANE_FEW &&
           ipc_list_next(&recipients, IPC_RECIPIENT, &item) == PROGRESS_DONE)
        count++;
    return count > LANE_FEW;
}

static unsigned flow_flags(struct slice account, bool is_bulk)
{
    return flow_number(account, is_bulk ? LANE_BULK : LANE_INTERACTIVE) << RECIPIENT_FLOW_SHIFT;
}

/* What is written for all recipients of a message. */
struct writing {
    struct keeper *keeper;
    const struct ipc_accept *accept;
    struct store_message *row;
    int64_t due_ms;
    unsigned flow;   /* as flags of a row */
    struct map seen; /* addresses' ids; used when there are forwards */
};

/* The same address again, by whichever way, gets the message once. */
static bool is_double(struct writing *w, struct slice address)
{
    uint64_t id =
        w->keeper->forwards.count == 0 ? 0 : store_address_put(w->keeper->store, address);
    bool is_seen = id != 0 && map_get(&w->seen, id) != NULL;

    if (id != 0)
        map_put(&w->seen, id, w);
    return is_seen;
}

/* One row: the recipient as written, or (via) where its mail goes on to. refusal: why it cannot go anywhere. */
static void write_recipient(struct writing *w, const struct ipc_recipient *item,
                            struct slice address, struct slice via, const char *refusal_cstr)
{
    const struct ipc_accept *accept = w->accept;
    struct plan_question question = {.kind = accept->kind,
                                     .account = accept->account,
                                     .address = address,
                                     .via = via,
                                     .sender = accept->mail_from,
                                     .user = accept->user,
                                     .encrypt = (unsigned)accept->encrypt,
                                     .requiretls = accept->requiretls,
                                     .tls_required_no = accept->tls_required_no,
                                     .refusal_cstr = refusal_cstr};
    struct store_recipient recipient = {.message = w->row->id,
                                        .number = w->row->recipients,
                                        .notify = (unsigned)item->notify & 15,
                                        .flags = w->flow,
                                        .orcpt = item->orcpt,
                                        .via = via,
                                        .due_ms = w->due_ms};
    struct verdict verdict;

    if (is_double(w, address))
        return;
    if (via.len > 0) {
        recipient.flags |= RECIPIENT_FORWARDED;
        recipient.written = store_address_put(w->keeper->store, item->address);
    }
    if (!plan_recipient(w->keeper, &question,
                        reports_failure(accept->kind, w->row->sender, recipient.notify),
                        &recipient, &verdict))
        return;
    count_row(w->row, &recipient);
    put_recipient(w->keeper, &recipient);
}

static void write_forwarded(struct writing *w, const struct ipc_recipient *item)
{
    struct forward_expansion *expansion = malloc(sizeof *expansion);
    enum forward_answer answer;

    must(expansion != NULL);
    answer = forward_expand(w->keeper, item->address, true, w->accept->delivered_to, expansion);
    for (size_t i = 0; answer == FORWARD_ENDS && i < expansion->count; i++)
        write_recipient(w, item, expansion->ends[i].address,
                        forward_end_via(expansion, &expansion->ends[i]), NULL);
    if (answer == FORWARD_CIRCLE)
        write_recipient(w, item, item->address, slice_of("", 0),
                        "Mail to this address goes in a circle.");
    else if (answer == FORWARD_CLOSED &&
             !forward_is_at_home(w->keeper, address_domain(item->address)))
        write_recipient(w, item, item->address, slice_of("", 0),
                        "Mail to this address does not go on at present.");
    else if (answer != FORWARD_ENDS)
        write_recipient(w, item, item->address, slice_of("", 0), NULL);
    forward_expansion_deinit(expansion);
    free(expansion);
}

/* Those who were written to themselves first: where somebody is reached both ways, that is the one that counts. */
static void write_recipients(struct writing *w)
{
    bool has_forwards = false;

    for (int turn = 0; turn == 0 || (turn == 1 && has_forwards); turn++) {
        struct slice rest = w->accept->recipients;
        struct ipc_recipient item;

        while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE) {
            bool goes_on = forward_source_for(w->keeper, item.address) != NULL;

            has_forwards = has_forwards || goes_on;
            if (turn == 0 && !goes_on)
                write_recipient(w, &item, item.address, slice_of("", 0), NULL);
            else if (turn == 1 && goes_on)
                write_forwarded(w, &item);
        }
    }
}

static void write_message(struct keeper *keeper, const struct ipc_accept *accept,
                          const struct content_ref *content)
{
    int64_t now_ms = clock_unix_ms();
    struct store_message row = {.id = accept->message,
                                .kind = accept->kind,
                                .sender = store_address_put(keeper->store, accept->mail_from),
                                .flags = flags_of(accept),
                                .hops = accept->hops,
                                .accepted_ms = now_ms,
                                .expires_ms = accept->expires_ms,
                                .content = *content,
                                .account = accept->account,
                                .user = accept->user,
                                .envid = accept->envid,
                                .received_by = accept->received_by,
                                .header_id = accept->header_id,
                                .question = accept->question,
                                .answer = accept->answer};
    struct writing writing = {.keeper = keeper,
                              .accept = accept,
                              .row = &row,
                              .due_ms = schedule_stamp(keeper, now_ms),
                              .flow =
                                  flow_flags(accept->account, has_many(accept->recipients))};

    map_init(&writing.seen);
    write_recipients(&writing);
    map_deinit(&writing.seen);
    store_message_put(keeper->store, &row);
    if (row.live > 0)
        inbox_count_segment(keeper, SPOOL_QUEUE, row.content.segment, 1);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct ipc_accept *accept = &message->accept;
    struct ipc_accept_result result = {
        .ask = accept->ask, .ok = true, .code = 250, .enhanced = S("2.0.0")};

    if (accept->kind == KIND_BOUNCE)
        bounce_write(keeper, accept);
    else if (!store_message_exists(keeper->store, accept->message))
        write_message(keeper, accept, task->is_placed ? task->context : &accept->content);
    else
        /* The row would break the whole batch's commit, and with it everybody's mail, for ever again. */
        result = (struct ipc_accept_result){.ask = accept->ask,
                                            .code = 451,
                                            .enhanced = S("4.3.0"),
                                            .text = S("try again later")};
    inbox_answer(keeper, task->peer, IPC_ACCEPT_RESULT, &result);
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *message,
                   const struct err *why)
{
    struct ipc_accept_result result = {
        .ask = message->accept.ask,
        .code = why->smtp_code != 0 ? why->smtp_code : 451,
        .enhanced =
            slice_from_cstr(why->enhanced_cstr[0] != '\0' ? why->enhanced_cstr : "4.3.0"),
    };

    /* Words for strangers: file names and library errors stay in the log. */
    result.text = result.code == 452   ? S("not enough room now, try again later")
                  : result.code >= 500 ? slice_from_cstr(why->text_cstr)
                                       : S("cannot store the message now, try again later");
    (void)peer_send(keeper, task->peer, IPC_ACCEPT_RESULT, &result);
}

static const struct task_kind kind_accept = {
    .name_cstr = "accept",
    .prepare = prepare,
    .run = run,
    .refuse = refuse,
    .release = inbox_free_context,
};

void accept_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                 const union ipc_any *message)
{
    inbox_put(keeper, &kind_accept, peer->id, type, message);
}

void accept_write_own(struct keeper *keeper, const struct accept_own *own)
{
    int64_t now_ms = clock_unix_ms();
    struct store_message row = {.id = own->message,
                                .kind = own->kind,
                                .sender = own->sender,
                                .flags = (own->about_secure ? MESSAGE_ABOUT_SECURE : 0U) |
                                         (own->requiretls ? MESSAGE_REQUIRETLS : 0U) |
                                         (own->tls_required_no ? MESSAGE_TLS_REQUIRED_NO : 0U),
                                .accepted_ms = now_ms,
                                .parent = own->parent,
                                .parent_number = own->parent_number,
                                .content = *own->content,
                                .account = own->account,
                                .header_id = own->header_id};
    struct store_recipient recipient = {.message = row.id,
                                        .flags = flow_flags(own->account, false),
                                        .due_ms = schedule_stamp(keeper, now_ms)};
    struct plan_question question = {.kind = own->kind,
                                     .account = own->account,
                                     .address = own->to,
                                     .about_secure = own->about_secure,
                                     .requiretls = own->requiretls,
                                     .tls_required_no = own->tls_required_no};
    struct verdict verdict;

    if (!plan_recipient(keeper, &question, false, &recipient, &verdict))
        return;
    count_row(&row, &recipient);
    put_recipient(keeper, &recipient);
    store_message_put(keeper->store, &row);
    if (row.live > 0)
        inbox_count_segment(keeper, SPOOL_QUEUE, row.content.segment, 1);
}
