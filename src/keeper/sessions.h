/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading sessions of the portal: 32 random bytes in a reader's cookie, in memory only. A session is
 * good for one link. With it comes the key that the reader's answer gave.
 */
#ifndef KEEPER_SESSIONS_H
#define KEEPER_SESSIONS_H

#include "base/map.h"
#include "base/secret.h"
#include "keeper/throttle.h"
#include "store/portal.h"

enum { SESSION_BYTES = 32, SESSIONS_MAX = 100000 };

struct session {
    uint8_t id[SESSION_BYTES];
    uint8_t lookup[PORTAL_LOOKUP_BYTES];
    struct secret answer_key; /* zero unless the proof was an answer */
    int64_t until_ms;         /* loop clock */
    struct session *next_same;
};

struct sessions {
    struct map by_id; /* by the first 8 bytes */
    size_t count;
    struct map fetched;        /* links that were looked at since the start, for the story */
    struct throttle by_client; /* wrong proofs */
    struct throttle by_link;   /* right ones */
    struct map typed; /* answers that a scribe hashes now, by number: see portal_prove.c */
    uint64_t last_typed;
};

void sessions_init(struct sessions *sessions);
void sessions_deinit(struct sessions *sessions);
/* A new session; NULL when there are too many. */
const struct session *session_new(struct sessions *sessions,
                                  const uint8_t lookup[PORTAL_LOOKUP_BYTES],
                                  const struct secret *answer_key, int64_t until_ms);
/* NULL unless this session exists, is for this link and is not over. */
const struct session *session_find(struct sessions *sessions, struct slice id,
                                   struct slice lookup, int64_t now_ms);
/* Forget those that are over. */
void sessions_sweep(struct sessions *sessions, int64_t now_ms);

#endif
