/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/portal_code.h"

#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "keeper/accept.h"
#include "keeper/internal.h"
#include "keeper/portal_prove.h"
#include "keeper/portal_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CODE_RANGE = 100000000, /* 8 digits */
    CODES_PER_WINDOW = 5,
    CODES_WINDOW_MS = 60 * 60 * 1000,
};

void portal_code_hash(struct keeper *keeper, const uint8_t lookup[PORTAL_LOOKUP_BYTES],
                      struct slice code, uint8_t hash_out[PORTAL_CODE_BYTES])
{
    uint8_t text[PORTAL_LOOKUP_BYTES + CODE_DIGITS], mac[SHA256_BYTES];
    size_t len = code.len < CODE_DIGITS ? code.len : CODE_DIGITS;

    memcpy(text, lookup, PORTAL_LOOKUP_BYTES);
    memcpy(text + PORTAL_LOOKUP_BYTES, code.at, len);
    hmac_sha256(slice_of(store_key_index(keeper->store)->bytes, SECRET_BYTES),
                slice_of(text, PORTAL_LOOKUP_BYTES + len), mac);
    memcpy(hash_out, mac, PORTAL_CODE_BYTES);
    explicit_bzero(text, sizeof text);
}

/* ---- the mail with the code ---- */

static bool prepare_mail(struct keeper *keeper, struct task *task, const union ipc_any *message,
                         struct err *err)
{
    (void)task;
    return spool_check(keeper->queue_checker, &message->mail_made.content, err);
}

/* Its notice went past what barred the way: so must the code. */
static bool is_unmet(struct keeper *keeper, uint64_t message, uint64_t number)
{
    struct store_recipient row;

    return store_recipient_get(keeper->store, message, number, &row) &&
           (row.flags & RECIPIENT_UNMET) != 0;
}

static void run_mail(struct keeper *keeper, struct task *task, const union ipc_any *answer)
{
    struct store_message message;
    struct store_recipient row;
    char to_cstr[ADDRESS_MAX_BYTES + 1];

    if (!store_message_get(keeper->store, task->a, &message) ||
        !store_recipient_get(keeper->store, task->a, task->b, &row) ||
        !slice_to_cstr(store_address_get(keeper->store, row.address), to_cstr, sizeof to_cstr))
        return;
    accept_write_own(keeper,
                     &(struct accept_own){.message = task->c,
                                          .kind = KIND_CODE,
                                          .account = message.account,
                                          .sender = message.sender,
                                          .to = slice_from_cstr(to_cstr),
                                          .header_id = answer->mail_made.header_id,
                                          .content = &answer->mail_made.content,
                                          .tls_required_no = is_unmet(keeper, task->a, task->b),
                                          .parent = task->a,
                                          .parent_number = task->b});
}

/* The reader asks for another code: nothing is owed. */
static void refuse_mail(struct keeper *keeper, struct task *task, const union ipc_any *answer,
                        const struct err *why)
{
    (void)keeper;
    (void)answer;
    LOG(LOG_WARN, "keeper.code_not_kept", log_id("message", task->a),
        log_cstr("why", why->text_cstr));
}

static const struct task_kind kind_code_mail = {
    .name_cstr = "code_mail", .prepare = prepare_mail, .run = run_mail, .refuse = refuse_mail};

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer)
{
    if (answer == NULL || type != IPC_MAIL_MADE || !answer->mail_made.ok)
        LOG(LOG_WARN, "keeper.code_not_made", log_id("message", ask->message));
    else
        inbox_put_own(keeper, &kind_code_mail, type, answer, NULL, ask->message, ask->number,
                      ask->a);
}

/* After the commit: have the mail written. */
static void after_code(struct keeper *keeper, uint64_t message_id, uint64_t number,
                       uint64_t code)
{
    struct ask ask = {.on_answer = on_made,
                      .message = message_id,
                      .number = number,
                      .a = keeper_next_id(keeper)};
    struct ipc_make_mail question = {
        .kind = KIND_CODE, .message = ask.a, .original = message_id, .at_ms = clock_unix_ms()};
    struct store_message message;
    struct store_recipient row;
    char to_cstr[ADDRESS_MAX_BYTES + 1], code_cstr[CODE_DIGITS + 2];

    if (!store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row) ||
        !slice_to_cstr(store_address_get(keeper->store, row.address), to_cstr, sizeof to_cstr))
        return;
    snprintf(code_cstr, sizeof code_cstr, "%08u", (unsigned)(code % CODE_RANGE));
    question.account = message.account;
    question.to = question.about = slice_from_cstr(to_cstr);
    question.detail = slice_from_cstr(code_cstr);
    question.original_ms = message.accepted_ms;
    question.until_ms = question.at_ms + keeper->settings->portal.code_ms;
    if (!asks_put(keeper, &ask, IPC_MAKE_MAIL, &question))
        LOG(LOG_WARN, "keeper.code_not_made", log_id("message", message_id));
    explicit_bzero(code_cstr, sizeof code_cstr);
}

/* ---- the request ---- */

/* Make a code and write its hash. */
static void write_code(struct keeper *keeper, struct portal_link *link, struct slice client,
                       int64_t now_ms)
{
    uint64_t code = random_u64() % CODE_RANGE;
    char code_cstr[CODE_DIGITS + 2];

    snprintf(code_cstr, sizeof code_cstr, "%08u", (unsigned)code);
    portal_code_hash(keeper, link->copy.lookup, slice_from_cstr(code_cstr), link->copy.code);
    explicit_bzero(code_cstr, sizeof code_cstr);
    link->copy.has_code = true;
    link->copy.code_ms = now_ms + keeper->settings->portal.code_ms;
    link->copy.codes++;
    store_portal_update(keeper->store, &link->copy);
    story_tell(keeper, link->copy.message, (int64_t)link->copy.number, EVENT_CODE_SENT, &client,
               1);
    inbox_after(keeper, after_code, link->copy.message, link->copy.number, code);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct ipc_portal_send_code *wish = &message->portal_send_code;
    struct ipc_portal_done done = {.ask = wish->ask, .status = PORTAL_OK};
    int64_t now_ms = clock_unix_ms();
    struct portal_link link;

    /* A link that does not open gets the same words. */
    if (portal_link_find(keeper, wish->lookup, &link) && link.copy.proof == READER_PROOF_CODE) {
        if (now_ms - link.copy.codes_ms >= CODES_WINDOW_MS) {
            link.copy.codes_ms = now_ms;
            link.copy.codes = 0;
        }
        if (link.copy.locked_ms > now_ms) {
            done.status = PORTAL_LOCKED;
            done.locked_ms = link.copy.locked_ms - now_ms;
        } else if (link.copy.codes >= CODES_PER_WINDOW) {
            done.status = PORTAL_LOCKED;
            done.locked_ms = link.copy.codes_ms + CODES_WINDOW_MS - now_ms;
        } else {
            write_code(keeper, &link, wish->client, now_ms);
        }
    }
    inbox_answer(keeper, task->peer, IPC_PORTAL_DONE, &done);
    portal_link_wipe(&link);
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *message,
                   const struct err *why)
{
    struct ipc_portal_done done = {.ask = message->portal_send_code.ask, .status = PORTAL_BUSY};

    (void)why;
    (void)peer_send(keeper, task->peer, IPC_PORTAL_DONE, &done);
}

static const struct task_kind kind_send_code = {
    .name_cstr = "send_code", .run = run, .refuse = refuse};

void portal_take_send_code(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                           const union ipc_any *message)
{
    inbox_put(keeper, &kind_send_code, peer->id, type, message);
}
