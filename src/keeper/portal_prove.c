/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/portal_prove.h"

#include "keeper/internal.h"
#include "keeper/portal_code.h"
#include "keeper/portal_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENT_FAILS = 50, TYPED_MAX_BYTES = 1024, OPENINGS_PER_SESSION_TIME = 200 };

/* ---- answers ---- */

static void answer(struct keeper *keeper, uint64_t peer, uint64_t ask,
                   enum portal_status status, int64_t locked_ms, unsigned tries_left)
{
    struct ipc_portal_opened opened = {
        .ask = ask, .status = status, .locked_ms = locked_ms, .tries_left = tries_left};

    inbox_answer(keeper, peer, IPC_PORTAL_OPENED, &opened);
}

static uint64_t hash_of_link(const struct keeper *keeper, const struct portal_link *link)
{
    return domain_hash(&keeper->domains, slice_of(link->copy.lookup, PORTAL_LOOKUP_BYTES));
}

/* Sessions and events are for all readers: one with a right to open may not use them up. */
static int64_t opening_wait_ms(struct keeper *keeper, const struct portal_link *link)
{
    return throttle_wait_ms(&keeper->sessions.by_link, hash_of_link(keeper, link),
                            OPENINGS_PER_SESSION_TIME, keeper->settings->portal.session_ms,
                            loop_now_ms());
}

static void open_link(struct keeper *keeper, uint64_t peer, uint64_t ask,
                      struct portal_link *link, const struct secret *answer_key,
                      struct slice client)
{
    static const char *const proofs[] = {"code", "answer", "link"};
    const struct session *session =
        session_new(&keeper->sessions, link->copy.lookup, answer_key,
                    loop_now_ms() + keeper->settings->portal.session_ms);
    struct slice texts[2] = {client, slice_from_cstr(proofs[link->copy.proof % 3])};

    link->copy.tries = 0;
    link->copy.locked_ms = 0;
    link->copy.has_code = false; /* good once */
    store_portal_update(keeper->store, &link->copy);
    if (session == NULL) {
        answer(keeper, peer, ask, PORTAL_BUSY, 0, 0);
        return;
    }
    throttle_count(&keeper->sessions.by_link, hash_of_link(keeper, link),
                   keeper->settings->portal.session_ms, loop_now_ms());
    story_tell(keeper, link->copy.message, (int64_t)link->copy.number, EVENT_PROVED, texts, 2);
    portal_send_opened(keeper, peer, ask, link, session, inbox_answer);
}

/* Count a try; at the limit lock the link and throw the code away. */
static void count_try(struct keeper *keeper, struct portal_link *link)
{
    link->copy.tries++;
    if (link->copy.tries >= keeper->settings->portal.attempts) {
        link->copy.tries = 0;
        link->copy.locked_ms = clock_unix_ms() + keeper->settings->portal.lock_ms;
        link->copy.has_code = false;
    }
    store_portal_update(keeper->store, &link->copy);
}

/* The try was wrong (and is counted). */
static void answer_wrong(struct keeper *keeper, uint64_t peer, uint64_t ask,
                         const struct portal_link *link, struct slice client)
{
    int64_t locked_ms = link->copy.locked_ms - clock_unix_ms();
    unsigned left = keeper->settings->portal.attempts - link->copy.tries;
    struct slice texts[2] = {client, {NULL, 0}};
    char left_cstr[16];

    throttle_count(&keeper->sessions.by_client, domain_hash(&keeper->domains, client),
                   keeper->settings->portal.lock_ms, loop_now_ms());
    snprintf(left_cstr, sizeof left_cstr, "%u", locked_ms > 0 ? 0 : left);
    texts[1] = slice_from_cstr(left_cstr);
    story_tell(keeper, link->copy.message, (int64_t)link->copy.number, EVENT_WRONG, texts, 2);
    if (locked_ms > 0) {
        story_tell(keeper, link->copy.message, (int64_t)link->copy.number, EVENT_LOCKED, texts,
                   1);
        answer(keeper, peer, ask, PORTAL_LOCKED, locked_ms, 0);
    } else {
        answer(keeper, peer, ask, PORTAL_WRONG, 0, left);
    }
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *message,
                   const struct err *why)
{
    struct ipc_portal_opened opened = {.ask = message->portal_prove.ask, .status = PORTAL_BUSY};

    (void)why;
    (void)peer_send(keeper, task->peer, IPC_PORTAL_OPENED, &opened);
}

/* ---- an answer to the question ---- */

/* What is remembered while the scribe hashes. */
struct typed_answer {
    uint64_t peer, ask;
    uint8_t lookup[PORTAL_LOOKUP_BYTES];
    char client_cstr[128];
    struct secret key;
    uint8_t verifier[SECRET_BYTES];
    bool is_hashed;
};

static void run_hashed(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    const struct typed_answer *typed = task->context;
    struct slice client = slice_from_cstr(typed->client_cstr);
    struct portal_link link;

    (void)unused;
    if (!portal_link_find(keeper, slice_of(typed->lookup, PORTAL_LOOKUP_BYTES), &link))
        answer(keeper, typed->peer, typed->ask, PORTAL_ABSENT, 0, 0);
    else if (!typed->is_hashed)
        answer(keeper, typed->peer, typed->ask, PORTAL_BUSY, 0, 0);
    else if (bytes_equal_constant_time(typed->verifier, link.copy.verifier, SECRET_BYTES))
        open_link(keeper, typed->peer, typed->ask, &link, &typed->key, client);
    else
        answer_wrong(keeper, typed->peer, typed->ask, &link, client);
    portal_link_wipe(&link);
}

static void refuse_hashed(struct keeper *keeper, struct task *task, const union ipc_any *unused,
                          const struct err *why)
{
    const struct typed_answer *typed = task->context;
    struct ipc_portal_opened opened = {.ask = typed->ask, .status = PORTAL_BUSY};

    (void)unused;
    (void)why;
    (void)peer_send(keeper, typed->peer, IPC_PORTAL_OPENED, &opened);
}

static void release_hashed(struct keeper *keeper, struct task *task)
{
    (void)keeper;
    explicit_bzero(task->context, sizeof(struct typed_answer));
    free(task->context);
}

static const struct task_kind kind_hashed = {.name_cstr = "answer_hashed",
                                             .run = run_hashed,
                                             .refuse = refuse_hashed,
                                             .release = release_hashed};

static void on_hashed(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                      const union ipc_any *message)
{
    struct typed_answer *typed =
        (struct typed_answer *)map_take(&keeper->sessions.typed, ask->a);

    if (typed == NULL)
        return;
    typed->is_hashed = message != NULL && type == IPC_ANSWER_HASHED &&
                       message->answer_hashed.ok &&
                       message->answer_hashed.verifier.len == SECRET_BYTES;
    if (typed->is_hashed) {
        typed->key = message->answer_hashed.key;
        memcpy(typed->verifier, message->answer_hashed.verifier.at, SECRET_BYTES);
    }
    inbox_put_own(keeper, &kind_hashed, IPC_NONE, NULL, typed, 0, 0, 0);
}

static void ask_for_hash(struct keeper *keeper, uint64_t peer,
                         const struct ipc_portal_prove *prove, const struct portal_link *link)
{
    struct typed_answer *typed = calloc(1, sizeof *typed);
    struct ask ask = {.on_answer = on_hashed, .a = ++keeper->sessions.last_typed};
    struct ipc_hash_answer question = {.salt = slice_of(link->copy.salt, PORTAL_SALT_BYTES),
                                       .answer = prove->typed};

    must(typed != NULL);
    typed->peer = peer;
    typed->ask = prove->ask;
    memcpy(typed->lookup, link->copy.lookup, PORTAL_LOOKUP_BYTES);
    if (!slice_to_cstr(slice_head(prove->client, sizeof typed->client_cstr - 1),
                       typed->client_cstr, sizeof typed->client_cstr))
        typed->client_cstr[0] = '\0';
    map_put(&keeper->sessions.typed, ask.a, typed);
    if (!asks_have_room_for_people(keeper) ||
        !asks_put(keeper, &ask, IPC_HASH_ANSWER, &question)) {
        map_take(&keeper->sessions.typed, ask.a);
        free(typed);
        answer(keeper, peer, prove->ask, PORTAL_BUSY, 0, 0);
    }
}

/* ---- the request ---- */

static bool is_code_right(struct keeper *keeper, const struct portal_link *link,
                          struct slice typed)
{
    uint8_t hash[PORTAL_CODE_BYTES];
    struct slice code = slice_trim(typed);

    if (code.len != CODE_DIGITS)
        return false;
    portal_code_hash(keeper, link->copy.lookup, code, hash);
    return link->copy.has_code && link->copy.code_ms > clock_unix_ms() &&
           bytes_equal_constant_time(hash, link->copy.code, PORTAL_CODE_BYTES);
}

static void prove(struct keeper *keeper, uint64_t peer, const struct ipc_portal_prove *prove,
                  struct portal_link *link)
{
    switch ((enum reader_proof)link->copy.proof) {
    case READER_PROOF_LINK:
        open_link(keeper, peer, prove->ask, link, NULL, prove->client);
        return;
    case READER_PROOF_CODE:
        if (is_code_right(keeper, link, prove->typed)) {
            open_link(keeper, peer, prove->ask, link, NULL, prove->client);
            return;
        }
        count_try(keeper, link);
        answer_wrong(keeper, peer, prove->ask, link, prove->client);
        return;
    case READER_PROOF_ANSWER:
        /* Counted now, taken back when it is right: answers tried side by side all count. */
        count_try(keeper, link);
        ask_for_hash(keeper, peer, prove, link);
        return;
    }
    answer(keeper, peer, prove->ask, PORTAL_ABSENT, 0, 0);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct ipc_portal_prove *request = &message->portal_prove;
    int64_t now_ms = clock_unix_ms();
    int64_t wait_ms = throttle_wait_ms(
        &keeper->sessions.by_client, domain_hash(&keeper->domains, request->client),
        CLIENT_FAILS, keeper->settings->portal.lock_ms, loop_now_ms());
    struct portal_link link;

    if (!portal_link_find(keeper, request->lookup, &link) ||
        request->typed.len > TYPED_MAX_BYTES)
        answer(keeper, task->peer, request->ask, PORTAL_ABSENT, 0, 0);
    else if (link.copy.locked_ms > now_ms)
        answer(keeper, task->peer, request->ask, PORTAL_LOCKED, link.copy.locked_ms - now_ms,
               0);
    else if (wait_ms > 0 || (wait_ms = opening_wait_ms(keeper, &link)) > 0)
        answer(keeper, task->peer, request->ask, PORTAL_LOCKED, wait_ms, 0);
    else
        prove(keeper, task->peer, request, &link);
    portal_link_wipe(&link);
}

static const struct task_kind kind_prove = {
    .name_cstr = "portal_prove", .run = run, .refuse = refuse};

void portal_take_prove(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                       const union ipc_any *message)
{
    inbox_put(keeper, &kind_prove, peer->id, type, message);
}
