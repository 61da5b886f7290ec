/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection over TCP, plain or TLS, with a buffer each way: what smtpd and the courier speak SMTP
 * over. STARTTLS has exact control: plain bytes that came before the handshake are seen by the caller
 * (connection_input), never carried into the encrypted part. Buffers are allocated when bytes come and
 * given back when they are gone, so an idle session costs little. Output of one turn of the loop
 * leaves in one write. Handlers may free the connection.
 */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include "base/buffer.h"
#include "crypto/tls.h"
#include "os/loop.h"

#include <sys/socket.h>

struct connection;

struct connection_handlers {
    /* New bytes are in connection_input(): consume what can be used. */
    void (*on_input)(void *context);
    /* All output has been handed to the kernel (after being asked for by connection_want_drained). */
    void (*on_drained)(void *context);
    /* The TCP connection that connection_connect began is there. */
    void (*on_connected)(void *context);
    /* The handshake is done (evidence: connection_evidence). */
    void (*on_tls)(void *context);
    /* The time set by connection_timeout passed. */
    void (*on_timeout)(void *context);
    /*
     * The connection is over: the peer closed (why->class ERR_NONE), broke off, the handshake failed, or
     * connecting failed. Input that came before may still be in connection_input. Free it now.
     */
    void (*on_closed)(void *context, const struct err *why);
};

/* in_max, out_max: ceilings of the two buffers. */
struct connection_limits {
    size_t in_max_bytes, out_max_bytes;
};

/* A connection over an accepted socket (owned from now on; made non-blocking, TCP_NODELAY). */
struct connection *connection_accept(struct loop *loop, int fd, struct connection_limits limits,
                                     const struct connection_handlers *handlers, void *context);
/* Begin to connect. NULL with err (ERR_TEMP) when that fails at once. */
struct connection *connection_connect(struct loop *loop, const struct sockaddr *address,
                                      socklen_t address_len, struct connection_limits limits,
                                      const struct connection_handlers *handlers, void *context,
                                      struct err *err);
/*
 * The same from an address of this machine (NULL: any), port 0. ERR_PERM: that address cannot be used, which says
 * nothing about the other end.
 */
struct connection_source {
    const struct sockaddr *address;
    socklen_t len;
};
struct connection *connection_connect_from(struct loop *loop, struct connection_source source,
                                           const struct sockaddr *address,
                                           socklen_t address_len,
                                           struct connection_limits limits,
                                           const struct connection_handlers *handlers,
                                           void *context, struct err *err);
/* Can connections be made from this address? A socket is bound to it and closed again. */
MUST_CHECK bool connection_source_works(struct connection_source source, struct err *err);
/* Close without ceremony and free; unsent output is lost. Clears *connection. */
void connection_free(struct connection **connection);
/* Send what is queued, say close_notify, close, free; gives up after timeout_ms. Calls no handler any more. */
void connection_finish(struct connection **connection, int64_t timeout_ms);

/* Handshake as server or client. Input must be empty and output drained or about to be: output queued
 * before is sent in the clear first. Answer: on_tls or on_closed. */
void connection_start_tls_server(struct connection *connection, struct tls_context *tls);
MUST_CHECK bool connection_start_tls_client(struct connection *connection,
                                            struct tls_context *tls,
                                            const struct tls_peer *peer, struct err *err);
bool connection_is_tls(const struct connection *connection);
/* After on_tls. */
void connection_evidence(const struct connection *connection,
                         struct tls_evidence *evidence_out);
/* In on_closed and on_timeout: what is known of a handshake that did not come about. False: none was begun. */
MUST_CHECK bool connection_handshake_evidence(const struct connection *connection,
                                              struct tls_evidence *evidence_out);
/* A new reference to what would resume this session, NULL when none. */
struct tls_resumption *connection_resumption(struct connection *connection);

/* Bytes received and not yet consumed. The view dies at the next consume or return to the loop. */
struct slice connection_input(const struct connection *connection);
void connection_consume(struct connection *connection, size_t len);
/* Stop and resume reading from the socket (back-pressure; also stops on_input). Reading is on at first. */
void connection_read_enable(struct connection *connection, bool enabled);
/* Have on_input called again from the loop although no new bytes came. */
void connection_input_again(struct connection *connection);

/* Queue bytes; false when the output ceiling would be crossed. */
MUST_CHECK bool connection_write(struct connection *connection, struct slice bytes);
/* Hand what is queued to the kernel now, as far as it takes it: before an exit, where no loop runs. */
void connection_flush(struct connection *connection);
/* Bytes queued and not yet taken by the kernel; room below the ceiling. */
size_t connection_output_waiting(const struct connection *connection);
size_t connection_output_room(const struct connection *connection);
/* Call on_drained once, when the output is empty (soon, if it is empty now). */
void connection_want_drained(struct connection *connection);

/* Call on_timeout once after delay_ms, unless set again; 0 = never. */
void connection_timeout(struct connection *connection, int64_t delay_ms);

/* Our own end's address, "192.0.2.1"; "" when it is not known any more. */
void connection_own_address(const struct connection *connection, char *text_out, size_t size);
/* The peer's address. */
const struct sockaddr *connection_peer(const struct connection *connection);
/* "192.0.2.1" or "2001:db8::1", without port. */
void address_write(const struct sockaddr *address, char *text_out, size_t size);

#endif
