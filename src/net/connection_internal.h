/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a connection, shared by its two rooms: connection.c (states, and what the owner calls)
 * and connection_transfer.c (bytes through socket or TLS).
 */
#ifndef NET_CONNECTION_INTERNAL_H
#define NET_CONNECTION_INTERNAL_H

#include "net/connection.h"

enum {
    SCRATCH_BYTES = 64 << 10, /* one read */
    READS_A_TURN = 4,         /* then the others have their turn */
    DRAINS_A_TURN = 8,        /* the same for what is written */
};

enum connection_state {
    STATE_CONNECTING,
    STATE_HANDSHAKE,
    STATE_OPEN,
    STATE_FINISHING, /* the owner has let go: send what is queued, say goodbye, linger, free */
    STATE_LINGERING, /* all said; read and forget until the peer closes, so that no reset eats our last words */
    STATE_CLOSED, /* on_closed has been called */
};

struct connection {
    struct loop *loop;
    int fd;
    enum connection_state state;
    struct loop_watch *watch;
    struct loop_leftover leftover; /* once it says goodbye */
    struct loop_timer *timer;
    struct tls_session *tls;
    const struct connection_handlers *handlers;
    void *context;
    struct slice fresh; /* just read, in the scratch; only while on_input runs */
    struct buffer in, out;
    struct sockaddr_storage peer;
    bool read_enabled;
    bool want_drained;
    bool tls_wants_write; /* a read that must write first */
    bool is_flush_due;
    bool is_input_due; /* on_input is asked for although nothing new came */
    bool is_handling, is_freed;
};

/*
 * Bytes are read here and handed to the owner in place; only what it leaves is copied. One for the
 * process: a process has one loop, and reads never nest.
 */
extern uint8_t net__scratch[SCRATCH_BYTES];

/*
 * Fill the scratch, as far as the input buffer has room. False when the connection is over (err says
 * why); bytes may have come before. more_out: there is probably more.
 */
bool net__fill_scratch(struct connection *connection, size_t *len_out, bool *more_out,
                       struct err *err);
/* Hand the output to the kernel as far as it takes it. False when the connection is over. */
bool net__flush(struct connection *connection, struct err *err);

/* source.c. ERR_PERM: the address is not ours. No address: nothing is done. */
MUST_CHECK bool net__bind_source(int fd, struct connection_source source, struct err *err);

#endif
