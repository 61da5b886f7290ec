/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TLS came to at one host, in the words of TLS reports [RFC 8460 §4.3]: noted with the delivery, counted by the keeper.
 * One note for each connection, not for each message: a kept connection has been noted by its first.
 */
#ifndef DELIVER_TLS_OUTCOME_H
#define DELIVER_TLS_OUTCOME_H

#include "deliver/delivery.h"

/* The host is skipped, without a connection: its TLSA records are not known, or the policy does not name it. */
void tls_outcome_skipped(struct delivery *delivery);
/* delivery->evidence is of a connection that the table let it use: over TLS, or in the clear. */
void tls_outcome_used(struct delivery *delivery);
/*
 * … of a connection that the table did not let it use, or on which TLS did not come about (has_failed_handshake).
 */
void tls_outcome_refused(struct delivery *delivery, bool has_failed_handshake);

#endif
