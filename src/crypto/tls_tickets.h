/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret behind session tickets: the same in all processes that share a port, so that a ticket made by one is taken
 * by the other, and another one each day, made from the last by a step that cannot be undone: who finds today's opens no
 * ticket of yesterday's.
 */
#ifndef CRYPTO_TLS_TICKETS_H
#define CRYPTO_TLS_TICKETS_H

#include "base/secret.h"

struct tls_tickets {
    struct secret secret;
    uint64_t period; /* days since 1970; 0 = there is no secret */
};

/* Draw a secret for today. now_s: unix seconds. */
void tls_tickets_init(struct tls_tickets *tickets, int64_t now_s);
/* Go on to today's; false: it is that already. Never goes back. Whoever starts from the same gets to the same. */
bool tls_tickets_advance(struct tls_tickets *tickets, int64_t now_s);
/* Today's keys, as OpenSSL wants them. */
enum { TLS_TICKETS_KEYS_BYTES = 80 };
void tls_tickets_keys(const struct tls_tickets *tickets,
                      uint8_t keys_out[TLS_TICKETS_KEYS_BYTES]);

#endif
