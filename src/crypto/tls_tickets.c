/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tls_tickets.h"

#include "crypto/digest.h"
#include "crypto/random.h"

#include <string.h>

enum {
    PERIOD_S = 86400,
    STEPS_MAX = 4000 /* eleven years; a clock that is wrong by more costs no more */
};

static uint64_t period_at(int64_t now_s)
{
    return now_s < PERIOD_S ? 1 : (uint64_t)now_s / PERIOD_S;
}

void tls_tickets_init(struct tls_tickets *tickets, int64_t now_s)
{
    random_secret(&tickets->secret);
    tickets->period = period_at(now_s);
}

static struct slice secret_view(const struct tls_tickets *tickets)
{
    return slice_of(tickets->secret.bytes, SECRET_BYTES);
}

bool tls_tickets_advance(struct tls_tickets *tickets, int64_t now_s)
{
    uint64_t period = period_at(now_s);
    struct secret next;

    must(tickets->period > 0);
    if (period <= tickets->period)
        return false;
    for (int step = 0; step < STEPS_MAX && tickets->period < period; step++) {
        hkdf_sha256(secret_view(tickets), (struct slice){NULL, 0}, S("postern tls ticket step"),
                    next.bytes, sizeof next.bytes);
        tickets->secret = next;
        tickets->period++;
    }
    tickets->period = period;
    secret_wipe(&next);
    return true;
}

void tls_tickets_keys(const struct tls_tickets *tickets,
                      uint8_t keys_out[TLS_TICKETS_KEYS_BYTES])
{
    hkdf_sha256(secret_view(tickets), (struct slice){NULL, 0}, S("postern tls ticket keys"),
                keys_out, TLS_TICKETS_KEYS_BYTES);
}
