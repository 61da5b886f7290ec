/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_ready(void *context, int ready);

static struct connection *connection_new(struct loop *loop, int fd,
                                         struct connection_limits limits,
                                         const struct connection_handlers *handlers,
                                         void *context)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int on = 1;

    must(connection != NULL);
    connection->loop = loop;
    connection->fd = fd;
    connection->handlers = handlers;
    connection->context = context;
    connection->read_enabled = true;
    buffer_init(&connection->in, limits.in_max_bytes);
    buffer_init(&connection->out, limits.out_max_bytes);
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    /* Without it a reply in two parts waits 40 ms for the peer's delayed acknowledgement. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connection->watch = loop_watch_new(loop, fd, on_ready, connection);
    return connection;
}

static void destroy(struct connection *connection)
{
    loop_leftover_remove(&connection->leftover);
    tls_session_free(&connection->tls);
    loop_timer_free(&connection->timer);
    loop_watch_free(&connection->watch);
    close(connection->fd);
    /* Plaintext passes through here. */
    buffer_wipe(&connection->in);
    buffer_wipe(&connection->out);
    free(connection);
}

/* Watch for what the present state needs. */
static void update_watch(struct connection *connection)
{
    int wanted = 0;

    switch (connection->state) {
    case STATE_CONNECTING:
        wanted = LOOP_WRITE;
        break;
    case STATE_HANDSHAKE:
        wanted = connection->tls_wants_write ? LOOP_WRITE : LOOP_READ;
        break;
    case STATE_OPEN:
        if (connection->read_enabled && buffer_room(&connection->in) > 0)
            wanted |= LOOP_READ;
        if (buffer_len(&connection->out) > 0 || connection->tls_wants_write)
            wanted |= LOOP_WRITE;
        break;
    case STATE_FINISHING:
        wanted = LOOP_WRITE;
        break;
    case STATE_LINGERING:
        wanted = LOOP_READ;
        break;
    case STATE_CLOSED:
        break;
    }
    loop_watch_set(connection->watch, wanted);
}

struct connection *connection_accept(struct loop *loop, int fd, struct connection_limits limits,
                                     const struct connection_handlers *handlers, void *context)
{
    struct connection *connection = connection_new(loop, fd, limits, handlers, context);
    socklen_t len = sizeof connection->peer;

    connection->state = STATE_OPEN;
    if (getpeername(fd, (struct sockaddr *)&connection->peer, &len) != 0)
        connection->peer.ss_family = AF_UNSPEC;
    update_watch(connection);
    return connection;
}

struct connection *connection_connect_from(struct loop *loop, struct connection_source source,
                                           const struct sockaddr *address,
                                           socklen_t address_len,
                                           struct connection_limits limits,
                                           const struct connection_handlers *handlers,
                                           void *context, struct err *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct connection *connection;

    if (fd < 0) {
        FAIL(err, ERR_TEMP, "cannot make a socket: %s", strerror(errno));
        return NULL;
    }
    if (!net__bind_source(fd, source, err)) {
        close(fd);
        return NULL;
    }
    if (connect(fd, address, address_len) != 0 && errno != EINPROGRESS) {
        FAIL(err, ERR_TEMP, "cannot connect: %s", strerror(errno));
        close(fd);
        return NULL;
    }
    connection = connection_new(loop, fd, limits, handlers, context);
    must(address_len <= sizeof connection->peer);
    memcpy(&connection->peer, address, address_len);
    connection->state = STATE_CONNECTING;
    update_watch(connection);
    return connection;
}

struct connection *connection_connect(struct loop *loop, const struct sockaddr *address,
                                      socklen_t address_len, struct connection_limits limits,
                                      const struct connection_handlers *handlers, void *context,
                                      struct err *err)
{
    return connection_connect_from(loop, (struct connection_source){0}, address, address_len,
                                   limits, handlers, context, err);
}

void connection_free(struct connection **connection)
{
    if (*connection == NULL)
        return;
    if ((*connection)->is_handling)
        (*connection)->is_freed = true;
    else
        destroy(*connection);
    *connection = NULL;
}

/* The connection is over: tell the owner once. */
static void report_closed(struct connection *connection, const struct err *why)
{
    if (connection->state == STATE_CLOSED || connection->is_freed)
        return;
    connection->state = STATE_CLOSED;
    if (connection->timer != NULL)
        loop_timer_clear(connection->timer);
    connection->handlers->on_closed(connection->context, why);
}

/* ---- reading ---- */

/* One read from socket or TLS into at; > 0 bytes, 0 nothing now, -1 over (err says why). */
static void keep_fresh(struct connection *connection)
{
    bool fits = buffer_append(&connection->in, connection->fresh);

    must(fits);
    connection->fresh = (struct slice){NULL, 0};
}

static void hand_over(struct connection *connection, size_t len)
{
    if (buffer_len(&connection->in) > 0) {
        bool fits = buffer_append(&connection->in, slice_of(net__scratch, len));

        must(fits);
    } else
        connection->fresh = slice_of(net__scratch, len);
    connection->handlers->on_input(connection->context);
    if (!connection->is_freed)
        keep_fresh(connection);
    explicit_bzero(net__scratch, connection->tls != NULL ? len : 0);
}

static bool may_read(const struct connection *connection)
{
    return connection->state == STATE_OPEN && !connection->is_freed &&
           connection->read_enabled && buffer_room(&connection->in) > 0;
}

static void read_some(struct connection *connection)
{
    for (int turn = 0; turn < READS_A_TURN && may_read(connection); turn++) {
        struct err err = {0};
        size_t len = 0;
        bool more = false;
        bool is_open = net__fill_scratch(connection, &len, &more, &err);

        if (len > 0)
            hand_over(connection, len);
        if (!is_open && !connection->is_freed && connection->state == STATE_OPEN)
            report_closed(connection, &err);
        if (!more)
            return;
    }
    /* Bytes may be inside the TLS session where the kernel does not see them: come back for them. */
    if (may_read(connection))
        loop_watch_activate(connection->watch, LOOP_READ);
}

/* ---- writing ---- */

static bool is_drained(const struct connection *connection)
{
    return connection->want_drained && buffer_len(&connection->out) == 0 &&
           !connection->is_freed && connection->state == STATE_OPEN;
}

static void flush_and_tell(struct connection *connection)
{
    struct err err = {0};

    if (!net__flush(connection, &err)) {
        /* The peer may have said why before it went: let that be read first. */
        if (connection->tls == NULL)
            read_some(connection);
        if (!connection->is_freed)
            report_closed(connection, &err);
        return;
    }
    for (int turn = 0; is_drained(connection); turn++) {
        if (turn == DRAINS_A_TURN) {
            /* A peer as fast as we are would keep all others waiting until the end of a large message. */
            loop_watch_activate(connection->watch, LOOP_WRITE);
            return;
        }
        connection->want_drained = false;
        connection->handlers->on_drained(connection->context);
        if (connection->is_freed || connection->state != STATE_OPEN)
            return;
        if (!net__flush(connection, &err)) {
            report_closed(connection, &err);
            return;
        }
    }
}

/* ---- states ---- */

static void connecting_step(struct connection *connection)
{
    int problem = 0;
    socklen_t len = sizeof problem;
    struct err err = {0};

    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0)
        problem = errno;
    if (problem != 0) {
        FAIL(&err, ERR_TEMP, "cannot connect: %s", strerror(problem));
        report_closed(connection, &err);
        return;
    }
    connection->state = STATE_OPEN;
    connection->handlers->on_connected(connection->context);
}

static void handshake_step(struct connection *connection)
{
    struct err err = {0};

    connection->tls_wants_write = false;
    switch (tls_session_handshake(connection->tls, &err)) {
    case TLS_DONE:
        connection->state = STATE_OPEN;
        connection->handlers->on_tls(connection->context);
        if (may_read(connection))
            loop_watch_activate(connection->watch, LOOP_READ);
        return;
    case TLS_WANT_READ:
        return;
    case TLS_WANT_WRITE:
        connection->tls_wants_write = true;
        return;
    case TLS_CLOSED:
        FAIL(&err, ERR_PEER, "the peer ended the handshake");
        break;
    case TLS_FAILED:
        break;
    }
    report_closed(connection, &err);
}

static void finishing_step(struct connection *connection)
{
    struct err err = {0};

    if (!net__flush(connection, &err)) {
        connection->is_freed = true;
        return;
    }
    if (buffer_len(&connection->out) > 0)
        return;
    if (connection->tls != NULL) {
        enum tls_step step = tls_session_shutdown(connection->tls, &err);

        if (step == TLS_WANT_WRITE)
            return;
    }
    shutdown(connection->fd, SHUT_WR);
    connection->state = STATE_LINGERING;
}

static void lingering_step(struct connection *connection)
{
    ssize_t got = recv(connection->fd, net__scratch, sizeof net__scratch, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        connection->is_freed = true;
}

static void open_step(struct connection *connection, int ready)
{
    if (connection->is_input_due) {
        connection->is_input_due = false;
        connection->handlers->on_input(connection->context);
        if (connection->is_freed || connection->state != STATE_OPEN)
            return;
    }
    /* A read that had to write first is tried again when the socket takes bytes. */
    if ((ready & LOOP_READ) != 0 || connection->tls_wants_write)
        read_some(connection);
    if (connection->state == STATE_OPEN && !connection->is_freed)
        flush_and_tell(connection);
}

static void on_ready(void *context, int ready)
{
    struct connection *connection = context;

    connection->is_handling = true;
    switch (connection->state) {
    case STATE_CONNECTING:
        connecting_step(connection);
        break;
    case STATE_HANDSHAKE:
        handshake_step(connection);
        break;
    case STATE_OPEN:
        open_step(connection, ready);
        break;
    case STATE_FINISHING:
        finishing_step(connection);
        break;
    case STATE_LINGERING:
        lingering_step(connection);
        break;
    case STATE_CLOSED:
        break;
    }
    /* What the handlers of a first step queued leaves in the same turn. */
    if (!connection->is_freed && connection->state == STATE_OPEN && connection->is_flush_due)
        flush_and_tell(connection);
    connection->is_handling = false;
    if (connection->is_freed)
        destroy(connection);
    else
        update_watch(connection);
}

static void on_leftover(struct loop_leftover *leftover)
{
    destroy(LIST_ELEMENT(&leftover->link, struct connection, leftover.link));
}

void connection_finish(struct connection **connection_pointer, int64_t timeout_ms)
{
    struct connection *connection = *connection_pointer;

    *connection_pointer = NULL;
    if (connection == NULL)
        return;
    if (connection->state != STATE_OPEN) {
        connection_free(&connection);
        return;
    }
    connection->state = STATE_FINISHING;
    connection->leftover.fn = on_leftover;
    loop_leftover_add(connection->loop, &connection->leftover);
    connection_timeout(connection, timeout_ms > 0 ? timeout_ms : 1);
    loop_watch_activate(connection->watch, LOOP_WRITE);
    if (!connection->is_handling)
        update_watch(connection);
}

/* ---- TLS ---- */

/* Handshake and queued plain bytes must not mix: the "220 ready" leaves now or never. */
static void flush_plain(struct connection *connection)
{
    struct err err = {0};

    if (!net__flush(connection, &err) || buffer_len(&connection->out) > 0)
        buffer_clear(&connection->out);
}

static void begin_handshake(struct connection *connection)
{
    connection->state = STATE_HANDSHAKE;
    loop_watch_activate(connection->watch, LOOP_WRITE);
    if (!connection->is_handling)
        update_watch(connection);
}

void connection_start_tls_server(struct connection *connection, struct tls_context *tls)
{
    must(connection->tls == NULL && connection->state == STATE_OPEN);
    must(connection_input(connection).len == 0);
    flush_plain(connection);
    connection->tls = tls_session_new_server(tls, connection->fd);
    begin_handshake(connection);
}

bool connection_start_tls_client(struct connection *connection, struct tls_context *tls,
                                 const struct tls_peer *peer, struct err *err)
{
    must(connection->tls == NULL && connection->state == STATE_OPEN);
    must(connection_input(connection).len == 0);
    flush_plain(connection);
    if (!tls_session_new_client(tls, connection->fd, peer, &connection->tls, err))
        return false;
    begin_handshake(connection);
    return true;
}

bool connection_is_tls(const struct connection *connection)
{
    return connection->tls != NULL && connection->state != STATE_HANDSHAKE;
}

void connection_evidence(const struct connection *connection, struct tls_evidence *evidence_out)
{
    must(connection_is_tls(connection));
    tls_session_evidence(connection->tls, evidence_out);
}

bool connection_handshake_evidence(const struct connection *connection,
                                   struct tls_evidence *evidence_out)
{
    if (connection->tls == NULL)
        return false;
    tls_session_evidence(connection->tls, evidence_out);
    return true;
}

void connection_own_address(const struct connection *connection, char *text_out, size_t size)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof address;

    text_out[0] = '\0';
    if (connection->fd >= 0 && getsockname(connection->fd, (void *)&address, &len) == 0)
        address_write((const struct sockaddr *)&address, text_out, size);
}

struct tls_resumption *connection_resumption(struct connection *connection)
{
    return connection_is_tls(connection) ? tls_session_resumption(connection->tls) : NULL;
}

/* ---- input and output, as the owner sees them ---- */

struct slice connection_input(const struct connection *connection)
{
    return buffer_len(&connection->in) > 0 ? buffer_view(&connection->in) : connection->fresh;
}

void connection_consume(struct connection *connection, size_t len)
{
    if (buffer_len(&connection->in) > 0) {
        bool was_full = buffer_room(&connection->in) == 0;

        buffer_consume(&connection->in, len);
        buffer_release_if_empty(&connection->in);
        if (was_full && len > 0 && may_read(connection))
            loop_watch_activate(connection->watch, LOOP_READ);
        return;
    }
    must(len <= connection->fresh.len);
    connection->fresh = slice_from(connection->fresh, len);
}

void connection_read_enable(struct connection *connection, bool enabled)
{
    if (connection->read_enabled == enabled)
        return;
    connection->read_enabled = enabled;
    if (enabled && may_read(connection))
        loop_watch_activate(connection->watch, LOOP_READ);
    if (!connection->is_handling)
        update_watch(connection);
}

void connection_input_again(struct connection *connection)
{
    connection->is_input_due = true;
    loop_watch_activate(connection->watch, LOOP_WRITE);
}

bool connection_write(struct connection *connection, struct slice bytes)
{
    if (connection->state == STATE_CLOSED)
        return true; /* nobody will read it; on_closed has said so */
    if (!buffer_append(&connection->out, bytes))
        return false;
    if (!connection->is_flush_due) {
        connection->is_flush_due = true;
        if (!connection->is_handling)
            loop_watch_activate(connection->watch, LOOP_WRITE);
    }
    return true;
}

void connection_flush(struct connection *connection)
{
    struct err err = {0};
    bool is_fine = connection->state != STATE_OPEN || net__flush(connection, &err);

    /* A failure shows again at the next use. */
    (void)is_fine;
}

size_t connection_output_waiting(const struct connection *connection)
{
    return buffer_len(&connection->out);
}

size_t connection_output_room(const struct connection *connection)
{
    return buffer_room(&connection->out);
}

void connection_want_drained(struct connection *connection)
{
    connection->want_drained = true;
    if (!connection->is_handling)
        loop_watch_activate(connection->watch, LOOP_WRITE);
    else
        connection->is_flush_due = true;
}

static void on_timer(void *context)
{
    struct connection *connection = context;

    if (connection->state == STATE_FINISHING || connection->state == STATE_LINGERING) {
        destroy(connection);
        return;
    }
    connection->is_handling = true;
    connection->handlers->on_timeout(connection->context);
    connection->is_handling = false;
    if (connection->is_freed) {
        destroy(connection);
        return;
    }
    if (connection->is_flush_due)
        loop_watch_activate(connection->watch, LOOP_WRITE);
    update_watch(connection);
}

void connection_timeout(struct connection *connection, int64_t delay_ms)
{
    if (connection->timer == NULL && delay_ms > 0)
        connection->timer = loop_timer_new(connection->loop, on_timer, connection);
    if (delay_ms > 0)
        loop_timer_set(connection->timer, delay_ms);
    else if (connection->timer != NULL)
        loop_timer_clear(connection->timer);
}

const struct sockaddr *connection_peer(const struct connection *connection)
{
    return (const struct sockaddr *)&connection->peer;
}

void address_write(const struct sockaddr *address, char *text_out, size_t size)
{
    const void *bytes = NULL;

    if (address->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (bytes == NULL ||
        inet_ntop(address->sa_family, bytes, text_out, (socklen_t)size) == NULL)
        snprintf(text_out, size, "unknown");
}
