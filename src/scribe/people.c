/* SPDX-License-Identifier: Apache-2.0 */
/* What people type and wait for: passwords and answers. */
#include "scribe/internal.h"

#include "protect/portal_key.h"

#include <string.h>

void scribe__password_verify(struct scribe *scribe, const struct ipc_password_verify *question)
{
    struct ipc_password_verified answer = {.ask = question->ask};
    char hash_cstr[PASSWORD_HASH_SIZE];

    /* A name that nobody has takes as long as one that somebody has. */
    if (question->hash.len == 0 || !slice_to_cstr(question->hash, hash_cstr, sizeof hash_cstr))
        password_verify_nobody(question->password, PASSWORD_COST_DEFAULT);
    else
        answer.ok = password_verify(question->password, hash_cstr);
    scribe__answer(scribe, IPC_PASSWORD_VERIFIED, &answer);
}

void scribe__hash_answer(struct scribe *scribe, const struct ipc_hash_answer *question)
{
    struct ipc_answer_hashed answer = {.ask = question->ask};
    struct portal_answer derived;
    struct err err = {0};

    memset(&derived, 0, sizeof derived);
    if (question->salt.len == PASSWORD_SALT_BYTES) {
        answer.ok = portal_answer_derive(question->answer, question->salt.at,
                                         scribe->options.cost, &derived, &err);
        /* Nothing typed, or a novel: not what it should be, like any wrong answer. */
        answer.ok = answer.ok || err.class == ERR_PERM;
    }
    answer.key = derived.key;
    answer.verifier = slice_of(derived.verifier, sizeof derived.verifier);
    scribe__answer(scribe, IPC_ANSWER_HASHED, &answer);
    secret_wipe(&answer.key);
    explicit_bzero(&derived, sizeof derived);
}

void scribe__refuse(struct scribe *scribe, enum ipc_type type, const union ipc_any *message)
{
    if (type == IPC_PASSWORD_VERIFY) {
        struct ipc_password_verified answer = {.ask = message->password_verify.ask,
                                               .overloaded = true};

        scribe__answer(scribe, IPC_PASSWORD_VERIFIED, &answer);
    } else {
        struct ipc_answer_hashed answer = {.ask = message->hash_answer.ask};

        scribe__answer(scribe, IPC_ANSWER_HASHED, &answer);
    }
}
