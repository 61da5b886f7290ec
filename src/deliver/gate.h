/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last gate before a message may leave. It does not look at the decision table (policy/tls_table.h): it compares what
 * is proved on the live connection with what the message requires and the recipient's side demands. Two rooms would have
 * to fail before a secret leaves in the clear. Pure.
 */
#ifndef DELIVER_GATE_H
#define DELIVER_GATE_H

#include "crypto/tls.h"
#include "policy/tls_table.h"

/* What has been seen on one connection. */
struct connection_proof {
    bool is_tls;
    bool is_enforced;       /* the TLS context itself refuses what does not verify */
    enum proof_level level; /* PROOF_NONE in the clear */
    enum tls_version version;
    bool offers_requiretls; /* in the answer to EHLO under TLS */
};

/* What a message needs at one host. */
struct send_need {
    const struct tls_requirement *requirement;
    enum mx_proof mx; /* how the host's name is proved */
    /* What the recipient's side demands at least: DANE with usable TLSA records, VERIFIED with MTA-STS in force … */
    enum proof_level published;
};

/*
 * What is published in force, as a level; NONE where the sender said that TLS is not required; COUNT, which no connection
 * reaches, where an MTA-STS policy does not name the host. Computed from the facts alone, without the table.
 */
enum proof_level deliver_published(const struct tls_requirement *requirement,
                                   const struct tls_host_facts *facts);

/*
 * May a message with this need be sent over a connection of which this is proved? From PROOF_VERIFIED on only where
 * the context itself refuses anything less; REQUIRETLS only to a proved host that promises to go on with it.
 */
MUST_CHECK bool deliver_may_send(const struct connection_proof *proof,
                                 const struct send_need *need);

#endif
