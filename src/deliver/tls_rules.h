/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS decision for one message at one host, as a table, and the last gate before a message may leave. Pure.
 * The rows carry the numbers of the decision table in doc/tls.md; the first row that fits decides. Those that
 * need DANE, MTA-STS or TLS-Required have their place in the table and wait for somebody who finds such a policy
 * (enum host_policy).
 *
 * The gate (deliver_may_send) does not look at the table: it compares what was proved on the live connection with
 * what the message requires. Two rooms would have to fail before a secret leaves in the clear.
 */
#ifndef DELIVER_TLS_RULES_H
#define DELIVER_TLS_RULES_H

#include "crypto/tls.h"
#include "policy/verdict.h"

/* What the recipient's side has published about its TLS. */
enum host_policy {
    HOST_POLICY_NONE,
    HOST_POLICY_REQUIRETLS_PATH,  /* row 1: each hop must promise REQUIRETLS */
    HOST_POLICY_DANE,             /* row 3 */
    HOST_POLICY_DANE_UNUSABLE,    /* row 4 */
    HOST_POLICY_DANE_UNKNOWN,     /* row 5 */
    HOST_POLICY_DANE_UNSIGNED_MX, /* row 6 */
    HOST_POLICY_STS_ENFORCE,      /* row 7 */
    HOST_POLICY_STS_TESTING,      /* row 8 */
    HOST_POLICY_STS_STALE,        /* row 9 */
    HOST_POLICY_TLS_NOT_REQUIRED, /* row 12, of the message */
};

enum starttls_offer { STARTTLS_ABSENT, STARTTLS_OFFERED };
enum tls_handshake { HANDSHAKE_NOT_TRIED, HANDSHAKE_DONE, HANDSHAKE_FAILED };

/* What has been seen on one connection. */
struct connection_proof {
    bool is_tls;
    bool is_enforced;       /* the TLS context itself refuses what does not verify */
    enum proof_level level; /* PROOF_NONE in the clear */
    enum tls_version version;
};

struct tls_facts {
    const struct tls_requirement *requirement;
    enum host_policy policy;
    enum starttls_offer offer;
    enum tls_handshake handshake; /* on this connection, or the one before it to this host */
    struct connection_proof proof;
    int64_t age_ms;      /* of the message, since it was accepted */
    bool is_last_resort; /* every host has been tried with TLS before */
};

enum tls_action {
    TLS_ACT_START,      /* say STARTTLS */
    TLS_ACT_ENCRYPTED,  /* send over this TLS connection */
    TLS_ACT_CLEAR,      /* send in the clear */
    TLS_ACT_NOT_PROVED, /* not at this host: next one; none left: OUTCOME_NOT_PROVED */
    TLS_ACT_LATER,      /* not at this host: next one; none left: try again later */
};

struct tls_decision {
    unsigned row;
    enum tls_action action;
    const char *why_cstr; /* for NOT_PROVED and LATER: words for a person, else "" */
};

/* The first row that fits. Never fails: where none does, the answer is LATER. */
struct tls_decision deliver_tls_decide(const struct tls_facts *facts);

/*
 * May a message with this requirement be sent over a connection of which this is proved? Secure mail: only over
 * TLS at the level required or better; with PROOF_VERIFIED only where the context itself refuses anything less.
 */
MUST_CHECK bool deliver_may_send(const struct connection_proof *proof,
                                 const struct tls_requirement *requirement);

#endif
