/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/portal_copy.h"

#include "base/log.h"
#include "keeper/accept.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/results.h"
#include "store/portal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST_MS = 5000 };

#define EXPIRE_DEFAULT_MS (INT64_C(30) * 24 * 3600 * 1000)

/* ---- choices ---- */

void portal_choose_proof(const struct settings_account *account, struct slice address,
                         unsigned asked, struct slice question, struct slice answer,
                         struct portal_proof *proof_out)
{
    const struct settings_recipient *own =
        account == NULL ? NULL : settings_recipient_find(account, address);

    *proof_out = (struct portal_proof){.question = question, .answer = answer};
    if (asked > 0 && asked <= READER_PROOF_LINK + 1)
        proof_out->proof = (enum reader_proof)(asked - 1);
    else if (answer.len > 0)
        proof_out->proof = READER_PROOF_ANSWER;
    else if (own != NULL && own->has_proof)
        proof_out->proof = own->proof;
    else if (account != NULL)
        proof_out->proof = account->reader_proof;
    if (proof_out->proof != READER_PROOF_ANSWER)
        return;
    if (answer.len == 0 && own != NULL) {
        proof_out->question = slice_from_cstr(own->question_cstr);
        proof_out->answer = slice_from_cstr(own->answer_cstr);
    }
    /* An answer that nobody set protects nothing: a code does. */
    if (proof_out->answer.len == 0)
        proof_out->proof = READER_PROOF_CODE;
}

int64_t portal_choose_expiry(const struct settings_account *account, int64_t asked_ms,
                             int64_t now_ms)
{
    int64_t lifetime_ms = account != NULL && account->portal_expire_ms > 0
                              ? account->portal_expire_ms
                              : EXPIRE_DEFAULT_MS;

    if (asked_ms > 0 && account != NULL) {
        lifetime_ms = asked_ms - now_ms;
        if (lifetime_ms < account->portal_expire_min_ms)
            lifetime_ms = account->portal_expire_min_ms;
        if (account->portal_expire_max_ms > 0 && lifetime_ms > account->portal_expire_max_ms)
            lifetime_ms = account->portal_expire_max_ms;
    }
    return now_ms + lifetime_ms;
}

/* ---- asking for the copy ---- */

/* What the answer needs; the task owns it. */
struct copy_wish {
    uint64_t message, number, notice;
    enum reader_proof proof;
    int64_t expires_ms;
};

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer);

static void fill_question(struct keeper *keeper, const struct store_message *message,
                          const struct store_recipient *row, struct portal_proof *proof_out,
                          struct ipc_make_portal_copy *question_out)
{
    const struct settings_account *account = plan_account(keeper, message->account);
    int64_t now_ms = clock_unix_ms();

    portal_choose_proof(account, question_out->recipient,
                        message_flag_bits(message->flags, MESSAGE_PROOF_SHIFT, 3),
                        message->question, message->answer, proof_out);
    question_out->message = message->id;
    question_out->account = message->account;
    question_out->proof = proof_out->proof;
    question_out->question = proof_out->question;
    question_out->answer = proof_out->answer;
    question_out->expires_ms = portal_choose_expiry(account, message->expires_ms, now_ms);
    question_out->content = message->content;
    (void)row;
}

/* ERR_PERM: never; ERR_TEMP: no scribe now. */
static bool ask_for_copy(struct keeper *keeper, const struct store_message *message,
                         const struct store_recipient *row, struct err *err)
{
    struct ask ask = {.on_answer = on_made, .message = message->id, .number = row->number};
    struct ipc_make_portal_copy question = {.notice_message = keeper_next_id(keeper)};
    struct portal_proof proof;
    char sender_cstr[ADDRESS_MAX_BYTES + 1], recipient_cstr[ADDRESS_MAX_BYTES + 1];
    bool asked;

    if (!slice_to_cstr(store_address_get(keeper->store, message->sender), sender_cstr,
                       sizeof sender_cstr) ||
        !slice_to_cstr(store_address_get(keeper->store, row->address), recipient_cstr,
                       sizeof recipient_cstr))
        return FAIL(err, ERR_PERM, "an address cannot be read");
    question.sender = slice_from_cstr(sender_cstr);
    question.recipient = slice_from_cstr(recipient_cstr);
    fill_question(keeper, message, row, &proof, &question);
    if (!message->has_key)
        return FAIL(err, ERR_PERM, "the content's key is destroyed");
    if (!spool_keyring_open(keeper->ring, &message->content, &question.data_key, err))
        return false;
    ask.a = question.notice_message;
    ask.b = (uint64_t)question.expires_ms;
    ask.key[0] = (uint8_t)proof.proof;
    asked = asks_put(keeper, &ask, IPC_MAKE_PORTAL_COPY, &question);
    secret_wipe(&question.data_key);
    return asked || FAIL(err, ERR_TEMP, "no scribe");
}

/* The content is damaged or the like: back to the sender. */
static void run_broken(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    struct store_message message;
    struct store_recipient row;
    struct story_message story;
    struct slice texts[13];

    (void)unused;
    if (!store_message_get(keeper->store, task->a, &message) ||
        !store_recipient_get(keeper->store, task->a, task->b, &row)) {
        results_forget(keeper, task->a, task->b);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        texts[i] = S("");
    texts[10] = S("5.3.0");
    texts[11] = S("the stored content cannot be opened");
    story_tell(keeper, row.message, (int64_t)row.number, EVENT_FAILED, texts, COUNT_OF(texts));
    if (results_reports(&row, message.sender != 0 && message.kind == KIND_SUBMITTED,
                        OWES_FAILURE))
        row.owes |= OWES_FAILURE;
    row.due_ms = row.owes != 0 ? schedule_stamp(keeper, clock_unix_ms()) : RECIPIENT_NOT_DUE;
    story = story_message_of(&message);
    story_move(keeper, &story, &row, MOVE_FAIL);
    results_settle(keeper, &row);
}

static const struct task_kind kind_broken = {
    .name_cstr = "copy_broken", .is_lazy = true, .run = run_broken};

void portal_copy_work(struct keeper *keeper, struct item *item,
                      const struct store_message *message)
{
    struct store_recipient row;
    struct err err = {0};

    if (!asks_have_room(keeper)) {
        schedule_wait_for_scribe(keeper, item);
        return;
    }
    if (!store_recipient_get(keeper->store, item->message, item->number, &row)) {
        schedule_rest(keeper, item->message, item->number, REST_MS);
        return;
    }
    if (ask_for_copy(keeper, message, &row, &err))
        return;
    LOG(LOG_WARN, "keeper.copy_not_asked", log_id("message", item->message),
        log_cstr("why", err.text_cstr));
    if (err.class == ERR_PERM)
        inbox_put_own(keeper, &kind_broken, IPC_NONE, NULL, NULL, item->message, item->number,
                      0);
    else
        schedule_rest(keeper, item->message, item->number, REST_MS);
}

/* ---- the copy is made ---- */

static bool prepare(struct keeper *keeper, struct task *task, const union ipc_any *answer,
                    struct err *err)
{
    const struct ipc_portal_copy_made *made = &answer->portal_copy_made;

    (void)task;
    if (made->lookup.len != PORTAL_LOOKUP_BYTES || made->wrapped.len != KEYWRAP_BYTES)
        return FAIL(err, ERR_PEER, "the scribe's copy lacks a part");
    return spool_check(keeper->portal_checker, &made->copy, err) &&
           spool_check(keeper->queue_checker, &made->notice, err);
}

static void write_copy(struct keeper *keeper, const struct copy_wish *wish,
                       const struct ipc_portal_copy_made *made)
{
    struct store_portal_copy copy = {.message = wish->message,
                                     .number = wish->number,
                                     .proof = (unsigned)wish->proof,
                                     .expires_ms = wish->expires_ms,
                                     .copy = made->copy,
                                     .share = made->share};

    memcpy(copy.lookup, made->lookup.at, PORTAL_LOOKUP_BYTES);
    memcpy(copy.wrapped, made->wrapped.at, KEYWRAP_BYTES);
    copy.has_answer = made->salt.len == PORTAL_SALT_BYTES && made->verifier.len == SECRET_BYTES;
    if (copy.has_answer) {
        memcpy(copy.salt, made->salt.at, PORTAL_SALT_BYTES);
        memcpy(copy.verifier, made->verifier.at, SECRET_BYTES);
    }
    store_portal_put(keeper->store, &copy);
    inbox_count_segment(keeper, SPOOL_PORTAL, made->copy.segment, 1);
    explicit_bzero(&copy, sizeof copy);
}

static void tell_sealed(struct keeper *keeper, const struct copy_wish *wish)
{
    static const char *const proofs[] = {"code", "answer", "link"};
    char id_text[ID_TEXT_SIZE], expires_cstr[24];
    struct slice texts[3];

    id_write(wish->notice, id_text);
    snprintf(expires_cstr, sizeof expires_cstr, "%lld", (long long)wish->expires_ms);
    texts[0] = slice_from_cstr(id_text);
    texts[1] = slice_from_cstr(proofs[wish->proof]);
    texts[2] = slice_from_cstr(expires_cstr);
    story_tell(keeper, wish->message, (int64_t)wish->number, EVENT_NOTICE_ACCEPTED, texts, 3);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *answer)
{
    const struct copy_wish *wish = task->context;
    struct store_message message;
    struct store_recipient row;
    struct story_message story;
    char to_cstr[ADDRESS_MAX_BYTES + 1];

    if (!store_message_get(keeper->store, wish->message, &message) ||
        !store_recipient_get(keeper->store, wish->message, wish->number, &row) ||
        state_after((enum recipient_state)row.state, MOVE_COPY) == STATE_NONE ||
        !slice_to_cstr(store_address_get(keeper->store, row.address), to_cstr,
                       sizeof to_cstr)) {
        /* Retracted or purged meanwhile: the copy is garbage. */
        results_forget(keeper, wish->message, wish->number);
        return;
    }
    write_copy(keeper, wish, &answer->portal_copy_made);
    accept_write_own(keeper,
                     &(struct accept_own){.message = wish->notice,
                                          .kind = KIND_NOTICE,
                                          .account = message.account,
                                          .sender = message.sender,
                                          .to = slice_from_cstr(to_cstr),
                                          .content = &answer->portal_copy_made.notice,
                                          .tls_required_no = (row.flags & RECIPIENT_UNMET) != 0,
                                          .parent = wish->message,
                                          .parent_number = wish->number});
    tell_sealed(keeper, wish);
    row.due_ms = RECIPIENT_NOT_DUE;
    story = story_message_of(&message);
    if (message.live <= 1 && message.answer.len > 0)
        store_message_forget_answer(keeper->store, &message);
    story_move(keeper, &story, &row, MOVE_COPY);
    results_settle(keeper, &row);
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *answer,
                   const struct err *why)
{
    const struct copy_wish *wish = task->context;

    (void)answer;
    LOG(LOG_WARN, "keeper.copy_not_kept", log_id("message", wish->message),
        log_cstr("why", why->text_cstr));
    schedule_rest(keeper, wish->message, wish->number, REST_MS);
}

static const struct task_kind kind_copy = {.name_cstr = "copy",
                                           .is_lazy = true,
                                           .prepare = prepare,
                                           .run = run,
                                           .refuse = refuse,
                                           .release = inbox_free_context};

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer)
{
    struct copy_wish *wish;

    if (answer == NULL || type != IPC_PORTAL_COPY_MADE || !answer->portal_copy_made.ok) {
        LOG(LOG_WARN, "keeper.copy_not_made", log_id("message", ask->message),
            log_text("why", answer == NULL || type != IPC_PORTAL_COPY_MADE
                                ? S("the scribe has gone")
                                : answer->portal_copy_made.text));
        schedule_rest(keeper, ask->message, ask->number, REST_MS);
        return;
    }
    wish = malloc(sizeof *wish);
    must(wish != NULL);
    *wish = (struct copy_wish){.message = ask->message,
                               .number = ask->number,
                               .notice = ask->a,
                               .proof = (enum reader_proof)ask->key[0],
                               .expires_ms = (int64_t)ask->b};
    inbox_put_own(keeper, &kind_copy, type, answer, wish, 0, 0, 0);
}

/* ---- the notice, the end ---- */

void portal_shred(struct keeper *keeper, uint64_t message, uint64_t number)
{
    struct store_portal_copy copy;

    if (store_portal_get(keeper->store, message, number, &copy) && copy.is_open) {
        store_portal_shred(keeper->store, copy.id);
        inbox_count_segment(keeper, SPOOL_PORTAL, copy.copy.segment, -1);
    }
    explicit_bzero(&copy, sizeof copy);
}

static void tell_notice(struct keeper *keeper, uint64_t message, uint64_t number,
                        enum event_kind kind, uint64_t notice)
{
    char id_text[ID_TEXT_SIZE];
    struct slice text;

    id_write(notice, id_text);
    text = slice_from_cstr(id_text);
    story_tell(keeper, message, (int64_t)number, kind, &text, 1);
}

void portal_notice_sent(struct keeper *keeper, uint64_t message_id, uint64_t number,
                        uint64_t notice)
{
    struct store_message message;
    struct store_recipient row;
    struct store_portal_copy copy;
    struct story_message story;

    if (!store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row))
        return;
    tell_notice(keeper, message_id, number, EVENT_NOTIFIED, notice);
    if (row.state != STATE_NOTIFYING ||
        !store_portal_get(keeper->store, message_id, number, &copy))
        return;
    if (results_reports(&row, message.sender != 0 && message.kind == KIND_SUBMITTED,
                        OWES_SUCCESS))
        row.owes |= OWES_SUCCESS;
    row.due_ms = row.owes != 0 ? schedule_stamp(keeper, clock_unix_ms()) : copy.expires_ms;
    explicit_bzero(&copy, sizeof copy);
    story = story_message_of(&message);
    story_move(keeper, &story, &row, MOVE_NOTICE_SENT);
    results_settle(keeper, &row);
}

void portal_notice_late(struct keeper *keeper, uint64_t message_id, uint64_t number)
{
    struct store_message message;
    struct store_recipient row;

    if (!store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row) ||
        row.state != STATE_NOTIFYING || (row.flags & RECIPIENT_DELAY_SAID) != 0 ||
        !results_reports(&row, message.sender != 0 && message.kind == KIND_SUBMITTED,
                         OWES_DELAY))
        return;
    row.flags |= RECIPIENT_DELAY_SAID;
    row.owes |= OWES_DELAY;
    row.due_ms = schedule_stamp(keeper, clock_unix_ms());
    store_recipient_update(keeper->store, &row);
    results_settle(keeper, &row);
}

void portal_notice_bounced(struct keeper *keeper, uint64_t message_id, uint64_t number,
                           uint64_t notice)
{
    struct store_message message;
    struct store_recipient row;
    struct story_message story;

    if (!store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row))
        return;
    tell_notice(keeper, message_id, number, EVENT_BOUNCED, notice);
    if (state_after((enum recipient_state)row.state, MOVE_NOTICE_FAIL) == STATE_NONE)
        return;
    portal_shred(keeper, message_id, number);
    if (results_reports(&row, message.sender != 0 && message.kind == KIND_SUBMITTED,
                        OWES_FAILURE))
        row.owes |= OWES_FAILURE;
    row.due_ms = row.owes != 0 ? schedule_stamp(keeper, clock_unix_ms()) : RECIPIENT_NOT_DUE;
    story = story_message_of(&message);
    story_move(keeper, &story, &row, MOVE_NOTICE_FAIL);
    results_settle(keeper, &row);
}

void portal_expire(struct keeper *keeper, const struct store_message *message,
                   struct store_recipient *row)
{
    struct story_message story = story_message_of(message);
    struct store_portal_copy copy;
    bool is_over = !store_portal_get(keeper->store, row->message, row->number, &copy) ||
                   copy.expires_ms <= clock_unix_ms();

    row->due_ms = is_over ? RECIPIENT_NOT_DUE : copy.expires_ms;
    explicit_bzero(&copy, sizeof copy);
    if (!is_over) {
        store_recipient_update(keeper->store, row);
        return;
    }
    portal_shred(keeper, row->message, row->number);
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_EXPIRED, NULL, 0);
    story_move(keeper, &story, row, MOVE_EXPIRE);
}
