/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An SMTP client on one connection to one address of one host [RFC 5321] [RFC 2920] [RFC 3207]: connects, greets, turns
 * on TLS where the host offers it, then carries one message after the other. A set of named states (states.c): a
 * reply moves it on. Commands are pipelined where offered; the envelope of the next message leaves together with the end
 * of the last one [RFC 2920 §3.1], so that a busy connection costs one round trip a message. Content is streamed
 * from the spool: memory is two chunks, whatever its size.
 *
 * The client decides nothing about TLS but one thing: right before MAIL FROM is queued it asks
 * deliver_may_send() about the live connection, and a "no" there is a broken promise of its owner.
 */
#ifndef DELIVER_CLIENT_H
#define DELIVER_CLIENT_H

#include "deliver/delivery.h"
#include "deliver/gate.h"
#include "format/smtp/ehlo.h"
#include "net/connection.h"
#include "spool/shelf.h"

struct deliver_client;

enum client_failure {
    CLIENT_IDLE_END,    /* a kept connection ended while nothing was going on: all is well */
    CLIENT_UNREACHABLE, /* no connection, or the host would not talk: try its next address */
    CLIENT_NO_LOGIN,    /* the host does not take our login, or offers no way to it */
    CLIENT_NO_TLS,      /* STARTTLS refused, handshake failed, or bytes injected before it */
    CLIENT_LOST,        /* broke off after it was ready */
};

enum client_step {
    CLIENT_STEP_ENDED, /* the host has answered: see the recipients */
    CLIENT_STEP_LOST, /* the connection broke in between: open recipients may go to the next host */
    CLIENT_STEP_STALE,   /* nothing was heard about it on a kept connection: use a fresh one */
    CLIENT_STEP_CONTENT, /* our own content could not be read: why says for now or for good */
};

struct deliver_client_handlers {
    /*
     * The client may be given a message now. Also called while the last one's final reply is still
     * awaited (deliver_client_is_ahead): then only give one that would have to wait otherwise.
     */
    void (*on_ready)(void *context, struct deliver_client *client);
    /* The delivery is given back. */
    void (*on_step)(void *context, struct deliver_client *client, struct delivery *delivery,
                    enum client_step step, const struct err *why);
    /* The connection is over, all deliveries were given back: free the client. */
    void (*on_failed)(void *context, struct deliver_client *client, enum client_failure failure,
                      const struct err *why);
};

struct deliver_client_options {
    struct loop *loop;
    const char
        *host_cstr; /* MX name or route host: reference identifier; "[192.0.2.1]" = literal */
    struct sockaddr_storage address; /* port set */
    socklen_t address_len;
    struct connection_source source; /* borrowed while opening */
    const char *helo_cstr;
    bool is_tls_first;           /* the handshake comes before the greeting */
    struct slice user, password; /* borrowed as long as the client lives; empty = no login */
    int64_t connect_timeout_ms, command_timeout_ms, idle_ms;
    struct tls_context *tls; /* borrowed while opening; NULL = never say STARTTLS */
    bool is_enforced;        /* that context refuses what does not verify */
    bool small_hello;        /* that context says a small ClientHello */
    /*
     * For a DANE context: the records, and the names of which a certificate must hold one, the TLSA base domain first. Borrowed
     * as long as the client lives. Else tlsa is NULL, and the host's name counts.
     */
    const struct tlsa_set *tlsa;
    const char *names_cstr[TLS_MAX_NAMES];
    enum tls_version least;
    struct tls_resumption *resumption; /* NULL, or from the same context, host and address */
    struct spool_shelf *shelf;         /* borrowed */
    struct buffer *scratch;            /* borrowed; holds plaintext only inside a call */
};
/* The scratch buffer's ceiling: two chunks with every dot doubled. */
enum { CLIENT_SCRATCH_BYTES = 2 * SPOOL_CHUNK_BYTES + 4096 };

/* NULL when connecting fails at once: ERR_TEMP, or ERR_PERM when it is our own address that cannot be used. */
struct deliver_client *deliver_client_open(const struct deliver_client_options *options,
                                           const struct deliver_client_handlers *handlers,
                                           void *context, struct err *err);
/* Without ceremony; deliveries inside are freed. Clears *client. May be called in a handler. */
void deliver_client_free(struct deliver_client **client);
/* The same with a QUIT first; only while it is ready. */
void deliver_client_quit(struct deliver_client **client);

/*
 * Carry this message: between on_ready and the next return to the loop only. True: it is under way and belongs to the
 * client until on_step. False: nothing was said about it, err has what to tell: ERR_PERM or ERR_TEMP.
 */
MUST_CHECK bool deliver_client_send(struct deliver_client *client, struct delivery *delivery,
                                    struct err *err);

/* The live connection, as deliver_may_send (deliver/gate.h) wants it. */
struct connection_proof deliver_client_proof(const struct deliver_client *client);
/* The same, with everything that is known, for a delivery that it carries or was refused for. */
const struct delivery_evidence *deliver_client_evidence(const struct deliver_client *client);
/* In on_failed with CLIENT_NO_TLS: did it break off as it would if our ClientHello were too large? */
bool deliver_client_may_be_the_hello(const struct deliver_client *client);
/* After it became ready: was STARTTLS offered in the clear? */
bool deliver_client_saw_starttls(const struct deliver_client *client);
bool deliver_client_is_ahead(const struct deliver_client *client);
/* Ready and with nothing to do. */
bool deliver_client_is_idle(const struct deliver_client *client);
/* Messages begun on it. */
unsigned deliver_client_messages(const struct deliver_client *client);
/* What would resume its TLS session, NULL when nothing. */
struct tls_resumption *deliver_client_resumption(struct deliver_client *client);
/* The name of the present state, for logs and tests. */
const char *deliver_client_state(const struct deliver_client *client);

#endif
