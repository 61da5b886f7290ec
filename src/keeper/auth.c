/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/auth.h"

#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "keeper/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    GOOD_MS = 5 * 60 * 1000,
    FAIL_WINDOW_MS = 5 * 60 * 1000,
    CLIENT_FAILS = 20,
    NAME_FAILS = 20,
    NAME_MAX_BYTES = 320,
    PASSWORD_LIMIT_BYTES = 1024,
};

/* Checked for names that do not exist: as costly as a real one, and nobody has its password. */
static const char nobody_hash_cstr[] = "$argon2id$v=19$m=65536,t=2,p=1$bm9ib2R5IGF0IGFsbCBoYQ$"
                                       "c2goAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

struct auth_pending {
    uint64_t peer, ask;
    uint64_t client_hash, name_hash;
    char name_cstr[NAME_MAX_BYTES];
    uint8_t mac[AUTH_MAC_BYTES];
    bool exists;
};

void auth_init(struct auth *auth)
{
    memset(auth, 0, sizeof *auth);
    random_secret(&auth->key);
    map_init(&auth->pending);
}

void auth_deinit(struct auth *auth)
{
    size_t position = 0;
    uint64_t id;
    struct auth_pending *pending;

    while ((pending = map_next(&auth->pending, &position, &id)) != NULL)
        free(pending);
    map_deinit(&auth->pending);
    secret_wipe(&auth->key);
}

static void answer(struct keeper *keeper, uint64_t peer, uint64_t ask,
                   const struct settings_user *user, bool is_problem)
{
    struct ipc_auth_result result = {.ask = ask, .ok = user != NULL, .problem = is_problem};

    if (user != NULL) {
        result.account = slice_from_cstr(user->account_cstr);
        result.user = slice_from_cstr(user->name_cstr);
    }
    (void)peer_send(keeper, peer, IPC_AUTH_RESULT, &result);
}

/* Keyed hash of name, stored hash and password. */
static void mac_of(const struct auth *auth, const struct settings_user *user,
                   struct slice password, uint8_t mac_out[AUTH_MAC_BYTES])
{
    uint8_t hashed[SHA256_BYTES];
    struct buffer text;

    buffer_init(&text, 1 << 16);
    hmac_sha256(slice_of(auth->key.bytes, SECRET_BYTES), password, hashed);
    must(buffer_append(&text, slice_from_cstr(user->name_cstr)) &&
         buffer_append_byte(&text, 0) &&
         buffer_append(&text, slice_from_cstr(user->password_hash_cstr)) &&
         buffer_append_byte(&text, 0) && buffer_append(&text, slice_of(hashed, sizeof hashed)));
    hmac_sha256(slice_of(auth->key.bytes, SECRET_BYTES), buffer_view(&text), mac_out);
    buffer_wipe(&text);
}

static struct auth_good *slot_of(struct auth *auth, const uint8_t mac[AUTH_MAC_BYTES])
{
    return &auth->good[(mac[0] | (unsigned)mac[1] << 8) % AUTH_CACHE_SLOTS];
}

static bool is_remembered(struct auth *auth, const uint8_t mac[AUTH_MAC_BYTES])
{
    const struct auth_good *slot = slot_of(auth, mac);

    return slot->until_ms > loop_now_ms() &&
           bytes_equal_constant_time(slot->mac, mac, AUTH_MAC_BYTES);
}

static void on_verified(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                        const union ipc_any *message)
{
    struct auth *auth = &keeper->auth;
    struct auth_pending *pending = map_take(&auth->pending, ask->a);
    const struct settings_user *user;
    bool is_problem, is_good;

    if (pending == NULL)
        return;
    is_problem = message == NULL || type != IPC_PASSWORD_VERIFIED ||
                 message->password_verified.overloaded;
    is_good = !is_problem && pending->exists && message->password_verified.ok;
    /* The user may have gone from the settings meanwhile. */
    user = is_good ? settings_user_find(keeper->settings, slice_from_cstr(pending->name_cstr))
                   : NULL;
    if (user != NULL) {
        struct auth_good *slot = slot_of(auth, pending->mac);

        memcpy(slot->mac, pending->mac, AUTH_MAC_BYTES);
        slot->until_ms = loop_now_ms() + GOOD_MS;
        throttle_forget(&auth->by_name, pending->name_hash);
    } else if (!is_problem) {
        throttle_count(&auth->by_client, pending->client_hash, FAIL_WINDOW_MS, loop_now_ms());
        throttle_count(&auth->by_name, pending->name_hash, FAIL_WINDOW_MS, loop_now_ms());
        LOG(LOG_INFO, "keeper.auth_refused", log_u64("smtpd", pending->peer));
    }
    answer(keeper, pending->peer, pending->ask, user, is_problem);
    free(pending);
}

static bool must_wait(const struct auth *auth, uint64_t client_hash, uint64_t name_hash)
{
    int64_t now_ms = loop_now_ms();

    return throttle_wait_ms(&auth->by_client, client_hash, CLIENT_FAILS, FAIL_WINDOW_MS,
                            now_ms) > 0 ||
           throttle_wait_ms(&auth->by_name, name_hash, NAME_FAILS, FAIL_WINDOW_MS, now_ms) > 0;
}

static void ask_scribe(struct keeper *keeper, uint64_t peer, const struct ipc_auth_check *check,
                       const struct settings_user *user, const uint8_t *mac)
{
    struct auth *auth = &keeper->auth;
    struct auth_pending *pending = calloc(1, sizeof *pending);
    struct ask ask = {.on_answer = on_verified, .a = ++auth->last_pending};
    struct ipc_password_verify question = {
        .hash = slice_from_cstr(user != NULL ? user->password_hash_cstr : nobody_hash_cstr),
        .password = check->password};

    must(pending != NULL);
    pending->peer = peer;
    pending->ask = check->ask;
    pending->exists = user != NULL;
    pending->client_hash = domain_hash(&keeper->domains, check->client);
    pending->name_hash = domain_hash(&keeper->domains, check->name);
    if (!slice_to_cstr(check->name, pending->name_cstr, NAME_MAX_BYTES))
        pending->name_cstr[0] = '\0';
    if (mac != NULL)
        memcpy(pending->mac, mac, AUTH_MAC_BYTES);
    map_put(&auth->pending, ask.a, pending);
    if (!asks_have_room_for_people(keeper) ||
        !asks_put(keeper, &ask, IPC_PASSWORD_VERIFY, &question)) {
        map_take(&auth->pending, ask.a);
        free(pending);
        answer(keeper, peer, check->ask, NULL, true);
    }
}

void auth_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
               const union ipc_any *message)
{
    const struct ipc_auth_check *check = &message->auth_check;
    const struct settings_user *user = settings_user_find(keeper->settings, check->name);
    uint8_t mac[AUTH_MAC_BYTES] = {0};

    (void)type;
    if (check->password.len > PASSWORD_LIMIT_BYTES || check->name.len >= NAME_MAX_BYTES) {
        answer(keeper, peer->id, check->ask, NULL, false);
        return;
    }
    if (must_wait(&keeper->auth, domain_hash(&keeper->domains, check->client),
                  domain_hash(&keeper->domains, check->name))) {
        LOG(LOG_WARN, "keeper.auth_throttled", log_u64("peer", peer->id));
        answer(keeper, peer->id, check->ask, NULL, true);
        return;
    }
    if (user != NULL) {
        mac_of(&keeper->auth, user, check->password, mac);
        if (is_remembered(&keeper->auth, mac)) {
            answer(keeper, peer->id, check->ask, user, false);
            return;
        }
    }
    ask_scribe(keeper, peer->id, check, user, mac);
}
