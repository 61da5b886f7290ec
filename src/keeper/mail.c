/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/mail.h"

#include "base/log.h"
#include "keeper/accept.h"
#include "keeper/internal.h"
#include "keeper/results.h"
#include "store/portal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REST_MS = 5000, TEXT_SIZE = 1024 };

unsigned mail_kind(enum recipient_owes what)
{
    switch (what) {
    case OWES_FAILURE:
        return KIND_DSN_FAILURE;
    case OWES_DELAY:
        return KIND_DSN_DELAY;
    case OWES_SUCCESS:
        return KIND_DSN_SUCCESS;
    case OWES_RECEIPT:
        break;
    }
    return KIND_RECEIPT;
}

static enum recipient_owes first_owed(unsigned owes)
{
    return (enum recipient_owes)(owes & (0U - owes));
}

/* ---- asking ---- */

/* What the report says: the last thing that went wrong (or right). */
struct finding {
    char reply_cstr[TEXT_SIZE], enhanced_cstr[TEXT_SIZE], mx_cstr[TEXT_SIZE];
};

static void keep(struct slice text, char out_cstr[TEXT_SIZE])
{
    if (!slice_to_cstr(slice_head(text, TEXT_SIZE - 1), out_cstr, TEXT_SIZE))
        out_cstr[0] = '\0';
}

/* As the server said it, with its code: that is what tells a report's reader that a server said it. */
static void keep_reply(struct slice code, struct slice reply, char out_cstr[TEXT_SIZE])
{
    char line_cstr[TEXT_SIZE];

    snprintf(line_cstr, sizeof line_cstr, "%.*s%s%.*s", SLICE_ARGS(code),
             code.len > 0 ? " " : "", SLICE_ARGS(slice_head(reply, TEXT_SIZE - 8)));
    keep(slice_from_cstr(line_cstr), out_cstr);
}

static void find_last(struct keeper *keeper, const struct store_recipient *row,
                      enum recipient_owes what, struct finding *finding_out)
{
    static const uint64_t kinds = 1U << EVENT_DELIVERED | 1U << EVENT_DEFERRED |
                                  1U << EVENT_FAILED | 1U << EVENT_NOT_PROVED;
    struct store_event event;

    memset(finding_out, 0, sizeof *finding_out);
    if (store_event_last(keeper->store, row->message, (int64_t)row->number, kinds, &event)) {
        keep(event.texts[0], finding_out->mx_cstr);
        keep(event.texts[10], finding_out->enhanced_cstr);
        keep_reply(event.texts[9], event.texts[11], finding_out->reply_cstr);
    } else if (what == OWES_DELAY) {
        keep(S("the notice about it waits for the recipient's server"),
             finding_out->reply_cstr);
    }
    /* Where mail went on to is nobody's business but ours. */
    if ((row->flags & RECIPIENT_FORWARDED) != 0 && finding_out->reply_cstr[0] != '\0') {
        finding_out->mx_cstr[0] = '\0';
        keep(row->state == STATE_DEFERRED && row->requirement.least >= PROOF_VERIFIED
                 ? S("it is held here: where it goes on to has no proved TLS at present")
             : (row->flags & RECIPIENT_BOUNCED) != 0
                 ? S("it went on from here to another address and came back")
                 : S("it goes on from here to another address, which did not take it"),
             finding_out->reply_cstr);
        if ((row->flags & RECIPIENT_BOUNCED) != 0)
            keep(S("5.0.0"), finding_out->enhanced_cstr);
    }
    /* Late is not lost. */
    if (what == OWES_DELAY && finding_out->enhanced_cstr[0] == '5')
        finding_out->enhanced_cstr[0] = '4';
    /* The planner found no way: its reasons are what the sender needs. */
    if (row->state == STATE_FAILED && row->method == METHOD_FAIL) {
        keep(row->reasons, finding_out->reply_cstr);
        keep(row->requirement.requiretls ? S("5.7.30") : S("5.7.1"),
             finding_out->enhanced_cstr);
    }
}

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer);

static bool ask_for_mail(struct keeper *keeper, const struct store_message *message,
                         const struct store_recipient *row, enum recipient_owes what)
{
    struct ask ask = {.on_answer = on_made,
                      .message = message->id,
                      .number = row->number,
                      .a = (uint64_t)what,
                      .b = keeper_next_id(keeper)};
    struct ipc_make_mail question = {.kind = mail_kind(what),
                                     .message = ask.b,
                                     .original = message->id,
                                     .account = message->account,
                                     .header_id = message->header_id,
                                     .envid = message->envid,
                                     .orcpt = row->orcpt,
                                     .at_ms = clock_unix_ms(),
                                     .original_ms = message->accepted_ms};
    struct store_portal_copy copy;
    struct finding finding;
    char to_cstr[ADDRESS_MAX_BYTES + 1], about_cstr[ADDRESS_MAX_BYTES + 1];

    find_last(keeper, row, what, &finding);
    if (!slice_to_cstr(store_address_get(keeper->store, message->sender), to_cstr,
                       sizeof to_cstr) ||
        !slice_to_cstr(
            store_address_get(keeper->store, row->written != 0 ? row->written : row->address),
            about_cstr, sizeof about_cstr))
        return false;
    question.to = slice_from_cstr(to_cstr);
    question.about = slice_from_cstr(about_cstr);
    question.detail = slice_from_cstr(finding.reply_cstr);
    question.enhanced = slice_from_cstr(finding.enhanced_cstr);
    question.mx = slice_from_cstr(finding.mx_cstr);
    question.until_ms = message->accepted_ms + keeper->settings->delivery.expire_ms;
    if (what == OWES_RECEIPT &&
        store_portal_get(keeper->store, message->id, row->number, &copy)) {
        question.at_ms = copy.revealed_ms;
        explicit_bzero(&copy, sizeof copy);
    }
    return asks_put(keeper, &ask, IPC_MAKE_MAIL, &question);
}

/* ---- the answer ---- */

/* When the row is looked at again once this mail is out. */
static void set_next_due(struct keeper *keeper, struct store_recipient *row)
{
    const struct settings_delivery *delivery = &keeper->settings->delivery;
    struct store_portal_copy copy;
    int64_t now_ms = clock_unix_ms();

    row->due_ms = RECIPIENT_NOT_DUE;
    if (row->owes != 0) {
        row->due_ms = schedule_stamp(keeper, now_ms);
    } else if (state_is_in_portal((enum recipient_state)row->state)) {
        if (store_portal_get(keeper->store, row->message, row->number, &copy))
            row->due_ms = copy.expires_ms;
        explicit_bzero(&copy, sizeof copy);
    } else if (row->state == STATE_DEFERRED || row->state == STATE_PLANNED) {
        row->due_ms = now_ms + retry_delay_ms(row->attempts, delivery->retry_first_ms,
                                              delivery->retry_max_ms, row->message);
    }
}

/*
 * A report about a REQUIRETLS message asks for it as well [RFC 8689 §5]. To strangers goes the redacted one that all of ours
 * are, over proved TLS: few of their domains could take the other.
 */
static bool is_requiretls(const struct store_message *message, enum recipient_owes what)
{
    return what != OWES_RECEIPT && message->kind == KIND_SUBMITTED &&
           (message->flags & MESSAGE_REQUIRETLS) != 0;
}

/*
 * Our own people's protected mail has protected reports. A stranger's was ours to protect from here on, which is no reason
 * to keep the report from a host without TLS: it tells what the stranger wrote to, and nothing else.
 */
static bool is_about_secure(const struct store_message *message,
                            const struct store_recipient *row)
{
    return (row->flags & RECIPIENT_SECURE) != 0 &&
           (message->kind != KIND_INBOUND || (message->flags & MESSAGE_REQUIRETLS) != 0);
}

static bool prepare(struct keeper *keeper, struct task *task, const union ipc_any *message,
                    struct err *err)
{
    (void)task;
    return spool_check(keeper->queue_checker, &message->mail_made.content, err);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *answer)
{
    const struct ask *ask = task->context;
    enum recipient_owes what = (enum recipient_owes)ask->a;
    struct store_message message;
    struct store_recipient row;
    char to_cstr[ADDRESS_MAX_BYTES + 1], id_text[ID_TEXT_SIZE];
    struct slice texts[2];

    if (!store_message_get(keeper->store, ask->message, &message) ||
        !store_recipient_get(keeper->store, ask->message, ask->number, &row) ||
        !slice_to_cstr(store_address_get(keeper->store, message.sender), to_cstr,
                       sizeof to_cstr)) {
        results_forget(keeper, ask->message, ask->number);
        return;
    }
    if ((row.owes & (unsigned)what) != 0) {
        accept_write_own(keeper,
                         &(struct accept_own){.message = ask->b,
                                              .kind = mail_kind(what),
                                              .account = message.account,
                                              .to = slice_from_cstr(to_cstr),
                                              .header_id = answer->mail_made.header_id,
                                              .content = &answer->mail_made.content,
                                              .parent = ask->message,
                                              .parent_number = ask->number,
                                              .about_secure = is_about_secure(&message, &row),
                                              .requiretls = is_requiretls(&message, what)});
        id_write(ask->b, id_text);
        texts[0] = slice_from_cstr(what == OWES_RECEIPT   ? "receipt"
                                   : what == OWES_FAILURE ? "failure report"
                                   : what == OWES_DELAY   ? "delay report"
                                                          : "success report");
        texts[1] = slice_from_cstr(id_text);
        story_tell(keeper, row.message, (int64_t)row.number, EVENT_MAIL_MADE, texts, 2);
        row.owes &= ~(unsigned)what;
    }
    set_next_due(keeper, &row);
    store_recipient_update(keeper->store, &row);
    results_settle(keeper, &row);
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *answer,
                   const struct err *why)
{
    const struct ask *ask = task->context;

    (void)answer;
    (void)why;
    schedule_rest(keeper, ask->message, ask->number, REST_MS);
}

static const struct task_kind kind_mail = {.name_cstr = "mail",
                                           .is_lazy = true,
                                           .prepare = prepare,
                                           .run = run,
                                           .refuse = refuse,
                                           .release = inbox_free_context};

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer)
{
    struct ask *kept;

    if (answer == NULL || type != IPC_MAIL_MADE || !answer->mail_made.ok) {
        LOG(LOG_WARN, "keeper.mail_not_made", log_id("message", ask->message));
        schedule_rest(keeper, ask->message, ask->number, REST_MS);
        return;
    }
    kept = malloc(sizeof *kept);
    must(kept != NULL);
    *kept = *ask;
    inbox_put_own(keeper, &kind_mail, type, answer, kept, 0, 0, 0);
}

void mail_work(struct keeper *keeper, struct item *item, const struct store_message *message)
{
    struct store_recipient row;

    if (!asks_have_room(keeper)) {
        schedule_wait_for_scribe(keeper, item);
        return;
    }
    if (!store_recipient_get(keeper->store, item->message, item->number, &row) ||
        !ask_for_mail(keeper, message, &row, first_owed(row.owes)))
        schedule_rest(keeper, item->message, item->number, REST_MS);
}
