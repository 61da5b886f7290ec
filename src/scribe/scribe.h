/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scribe's work, without its process: each question of the keeper is answered exactly once.
 * Signing, copying and writing mail are done at once for messages up to a MiB; larger ones are worked on a MiB at
 * a time by scribe_work, a few of them in turn. What is slow on purpose (argon2id) waits in two
 * queues and is done there too, so that signing goes on between pieces. Questions of people who wait (passwords,
 * answers) are refused as "overloaded" when more than SCRIBE_PEOPLE_MAX wait; copies whose reader is asked a
 * question always wait their turn. What tells of stored content is answered only when scribe_work has made it
 * durable, for all of a turn together.
 */
#ifndef SCRIBE_SCRIBE_H
#define SCRIBE_SCRIBE_H

#include "base/id.h"
#include "crypto/password.h"
#include "crypto/recipient_key.h"
#include "ipc/pack.h"
#include "settings/settings.h"

enum { SCRIBE_PEOPLE_MAX = 64 };

struct scribe;

/* One answer; `message` is the struct of that type and dies when the function returns. */
typedef void scribe_answer_fn(void *context, enum ipc_type type, const void *message);

struct scribe_options {
    int queue_fd, portal_fd;                         /* folders of segments, duplicated */
    struct id_maker *ids;                            /* borrowed */
    const struct recipient_certificate *certificate; /* borrowed: the keeper's, for sealing */
    struct password_cost cost;                       /* of answers to questions */
    scribe_answer_fn *answer;
    void *context;
};

/* ERR_PERM: a mail template of ours is malformed. */
MUST_CHECK bool scribe_new(const struct scribe_options *options, struct scribe **scribe_out,
                           struct err *err);
/* Questions that still wait, or are worked on, are forgotten and wiped. */
void scribe_free(struct scribe **scribe);

/*
 * New settings (a reference is taken) and the DKIM keys in them.
 * ERR_PERM: a key is not readable; the old settings stay in force.
 */
MUST_CHECK bool scribe_configure(struct scribe *scribe, struct settings *settings,
                                 struct err *err);

/* A question of the keeper. Types that are none of the scribe's are logged and dropped. */
void scribe_on_message(struct scribe *scribe, enum ipc_type type, const union ipc_any *message);
/* Does slow work wait, or an answer for the disk? */
bool scribe_has_work(const struct scribe *scribe);
/* Settle the answers that wait, then do one piece of slow work (at most about 60 ms), if there is any. */
void scribe_work(struct scribe *scribe);
/* Once in a while: see spool_writer_tick. */
void scribe_tick(struct scribe *scribe, int64_t now_ms);

#endif
