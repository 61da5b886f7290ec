/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a message: sync its content, plan each recipient, write its rows, then say yes. */
#ifndef KEEPER_ACCEPT_H
#define KEEPER_ACCEPT_H

#include "ipc/pack.h"
#include "keeper/peers.h"
#include "store/message.h"

struct keeper;

/* smtpd's `accept`. */
void accept_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                 const union ipc_any *message);

/* A mail of our own (notice, code, receipt, DSN, reply) to one recipient. */
struct accept_own {
    uint64_t message; /* its id */
    uint64_t kind;
    struct slice account;
    uint64_t sender; /* address id that it is about or comes from; 0 = none */
    struct slice to;
    struct slice header_id;
    const struct content_ref *content;
    uint64_t parent, parent_number;
    bool about_secure;
    bool requiretls;      /* it is about a REQUIRETLS message */
    bool tls_required_no; /* what its recipient's domain publishes does not hold it */
};
/* Inside of a batch, content synced: write its rows. It is scheduled after the commit. */
void accept_write_own(struct keeper *keeper, const struct accept_own *own);

#endif
