/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the scribe share. */
#ifndef SCRIBE_INTERNAL_H
#define SCRIBE_INTERNAL_H

#include "base/list.h"
#include "protect/dkim_sign.h"
#include "protect/mail_face.h"
#include "scribe/scribe.h"
#include "spool/writer.h"

/* The loaded keys of one domain, in the order of settings->domains. */
struct domain_keys {
    struct dkim_key *keys;
    size_t count;
};

/* A question that waits, as the frame it came in. */
struct slow_job {
    struct list_link link;
    struct buffer frame;
};

struct slow_queue {
    struct list jobs;
    size_t count;
};

/*
 * Work on one message, a piece at a time: one that is larger than a piece takes turns with everything else, so that
 * a gigabyte holds up nobody.
 */
enum {
    PIECE_BYTES = 1 << 20,
    PIECEWORK_MAX = 3 /* under way at a time; each may hold some MiB */
};

struct piecework {
    struct list_link link;
    void *context; /* what it stands in */
    /* Read about so many bytes more. True: all is done and answered, free it. */
    bool (*step)(struct scribe *scribe, struct piecework *work, uint64_t max_bytes);
    void (*free)(struct piecework *work);
};

enum turn { TURN_PEOPLE, TURN_COPY, TURN_PIECE, TURN_COUNT };

struct scribe {
    struct scribe_options options;
    struct settings *settings;
    struct domain_keys *domain_keys; /* one per domain of settings */
    struct mail_templates templates;
    struct spool_writer *queue, *portal;
    struct slow_queue people, copies, large;
    struct list pieces; /* piecework under way */
    size_t piece_count;
    enum turn last_turn;
    /* Answers that tell of content which is not durable yet: whole frames, in order. */
    struct buffer held;
    size_t held_count;
};

/* Answer at once. */
void scribe__answer(struct scribe *scribe, enum ipc_type type, const void *message);
/* Answer when what was stored for it is durable, together with all others of this turn. */
void scribe__answer_stored(struct scribe *scribe, enum ipc_type type, const void *message);

/* Do the first piece at once; if that was not all, it goes on in scribe_work. */
void scribe__begin(struct scribe *scribe, struct piecework *work);

/* keys.c: load those of `settings`; keys_out has settings->domain_count entries. */
MUST_CHECK bool scribe__keys_load(const struct settings *settings,
                                  struct domain_keys **keys_out, struct err *err);
void scribe__keys_free(struct domain_keys **keys, size_t count);

/* Handlers: each answers exactly once, some of them later. */
void scribe__sign(struct scribe *scribe, const struct ipc_sign *question);
void scribe__make_portal_copy(struct scribe *scribe,
                              const struct ipc_make_portal_copy *question);
void scribe__make_mail(struct scribe *scribe, const struct ipc_make_mail *question);
void scribe__make_tls_report(struct scribe *scribe, const struct ipc_make_tls_report *question);
void scribe__read_tls_report(struct scribe *scribe, const struct ipc_read_tls_report *question);
void scribe__password_verify(struct scribe *scribe, const struct ipc_password_verify *question);
void scribe__hash_answer(struct scribe *scribe, const struct ipc_hash_answer *question);
/* Too many wait: the answer is "not now". */
void scribe__refuse(struct scribe *scribe, enum ipc_type type, const union ipc_any *message);

/* Seal a whole mail into the queue. Errors: ERR_TEMP as the spool's. */
MUST_CHECK bool scribe__seal_mail(struct scribe *scribe, struct slice mail,
                                  struct content_ref *ref_out, struct err *err);
/* In whose name an account writes; "" = the server itself. */
void scribe__face(const struct scribe *scribe, struct slice account,
                  struct mail_face *face_out);

#endif
