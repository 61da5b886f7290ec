/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS contexts that delivery needs: one for each kind of trust, each with a full and a small ClientHello. Those that all
 * mail uses are made at once, the others when first needed: one that knows the system's authorities costs 40 ms.
 */
#ifndef DELIVER_CONTEXTS_H
#define DELIVER_CONTEXTS_H

#include "crypto/tls.h"

struct contexts;

/* roots_pem: trusted authorities, borrowed; empty = nothing can be verified. ERR_PERM: they cannot be read. */
MUST_CHECK bool contexts_new(struct slice roots_pem, struct contexts **contexts_out,
                             struct err *err);
/* Clears *contexts; NULL inside is fine. */
void contexts_free(struct contexts **contexts);

/* Borrowed. NULL: TLS_TRUST_WEBPKI without trusted authorities. */
struct tls_context *contexts_get(struct contexts *contexts, enum tls_trust trust,
                                 bool small_hello);

#endif
