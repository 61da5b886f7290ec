/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One delivery under the decision table: what the table says about it at the host where it stands, before connecting and on
 * a connection, written down as evidence. What is asked of the table is asked here.
 */
#ifndef DELIVER_RULING_H
#define DELIVER_RULING_H

#include "deliver/client.h"

/*
 * Before connecting: find what is published about this host and what must be proved there, into delivery->walk.policy and
 * delivery->ruling. is_fixed: our own settings name it, or it is an address literal.
 */
void ruling_begin(struct delivery *delivery, const char *host_cstr, bool is_fixed);

/*
 * On a connection: client is ready, or NULL after one on which TLS did not come about; handshake says how it went.
 * may_be_the_hello: it failed as it would if our ClientHello were too large.
 */
struct tls_decision ruling_decide(struct delivery *delivery,
                                  const struct deliver_client *client,
                                  enum tls_handshake handshake, bool may_be_the_hello);

/* TLS has failed here: might the message go in the clear to this host, once it has been tried everywhere? */
bool ruling_allows_last_resort(const struct delivery *delivery);

/* The table does not let it use a connection: in the trail, and for the end of the walk. why: of the connection. */
void ruling_refuse(struct delivery *delivery, const struct tls_decision *decision,
                   const struct err *why);
/* The table said no before connecting (demand.is_skipped): the same for the whole host, with all its addresses. */
void ruling_skip(struct delivery *delivery);

#endif
