/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this name and password good? A scribe checks argon2id; a good result is remembered for five
 * minutes as a keyed hash of name, password and stored hash (so a changed password ends it at once).
 * Names that do not exist cost the same. Whoever fails too often, by client or by name, waits.
 */
#ifndef KEEPER_AUTH_H
#define KEEPER_AUTH_H

#include "base/map.h"
#include "keeper/peers.h"
#include "keeper/throttle.h"

enum { AUTH_CACHE_SLOTS = 1024, AUTH_MAC_BYTES = 32 };

struct auth {
    struct secret key; /* of this process */
    struct auth_good {
        uint8_t mac[AUTH_MAC_BYTES];
        int64_t until_ms; /* loop clock; 0 = free */
    } good[AUTH_CACHE_SLOTS];
    struct throttle by_client, by_name;
    struct map pending; /* struct auth_pending by number */
    uint64_t last_pending;
};

void auth_init(struct auth *auth);
void auth_deinit(struct auth *auth);
/* smtpd's `auth_check`. */
void auth_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
               const union ipc_any *message);

#endif
