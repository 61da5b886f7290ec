/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sessions.h"

#include "crypto/random.h"

#include <stdlib.h>
#include <string.h>

enum { FETCHED_MAX = 200000 };

void sessions_init(struct sessions *sessions)
{
    memset(sessions, 0, sizeof *sessions);
    map_init(&sessions->by_id);
    map_init(&sessions->fetched);
    map_init(&sessions->typed);
}

static void free_session(struct session *session)
{
    explicit_bzero(session, sizeof *session);
    free(session);
}

void sessions_deinit(struct sessions *sessions)
{
    size_t position = 0;
    uint64_t key;
    struct session *session, *next;
    void *typed;

    while ((session = map_next(&sessions->by_id, &position, &key)) != NULL)
        for (; session != NULL; session = next) {
            next = session->next_same;
            free_session(session);
        }
    map_deinit(&sessions->by_id);
    map_deinit(&sessions->fetched);
    position = 0;
    while ((typed = map_next(&sessions->typed, &position, &key)) != NULL)
        free(typed);
    map_deinit(&sessions->typed);
}

static uint64_t key_of(const uint8_t *id)
{
    uint64_t key;

    memcpy(&key, id, sizeof key);
    return key == 0 ? 1 : key;
}

const struct session *session_new(struct sessions *sessions,
                                  const uint8_t lookup[PORTAL_LOOKUP_BYTES],
                                  const struct secret *answer_key, int64_t until_ms)
{
    struct session *session;

    if (sessions->count >= SESSIONS_MAX)
        return NULL;
    session = calloc(1, sizeof *session);
    must(session != NULL);
    random_bytes(session->id, SESSION_BYTES);
    memcpy(session->lookup, lookup, PORTAL_LOOKUP_BYTES);
    if (answer_key != NULL)
        session->answer_key = *answer_key;
    session->until_ms = until_ms;
    session->next_same = map_get(&sessions->by_id, key_of(session->id));
    map_put(&sessions->by_id, key_of(session->id), session);
    sessions->count++;
    return session;
}

const struct session *session_find(struct sessions *sessions, struct slice id,
                                   struct slice lookup, int64_t now_ms)
{
    const struct session *session;

    if (id.len != SESSION_BYTES || lookup.len != PORTAL_LOOKUP_BYTES)
        return NULL;
    session = map_get(&sessions->by_id, key_of(id.at));
    while (session != NULL && !bytes_equal_constant_time(session->id, id.at, SESSION_BYTES))
        session = session->next_same;
    if (session == NULL || session->until_ms <= now_ms ||
        !bytes_equal_constant_time(session->lookup, lookup.at, PORTAL_LOOKUP_BYTES))
        return NULL;
    return session;
}

void sessions_sweep(struct sessions *sessions, int64_t now_ms)
{
    size_t position = 0;
    uint64_t key;
    struct session *session;

    while ((session = map_next(&sessions->by_id, &position, &key)) != NULL) {
        if (session->until_ms > now_ms)
            continue;
        map_take(&sessions->by_id, key);
        if (session->next_same != NULL)
            map_put(&sessions->by_id, key, session->next_same);
        free_session(session);
        sessions->count--;
        position = 0; /* taking out changes the order */
    }
    if (sessions->fetched.count > FETCHED_MAX) {
        map_deinit(&sessions->fetched);
        map_init(&sessions->fetched);
    }
}
