/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection_internal.h"

#include <errno.h>
#include <string.h>

uint8_t net__scratch[SCRATCH_BYTES];

static ssize_t read_once(struct connection *connection, uint8_t *at, size_t max,
                         struct err *err)
{
    size_t len = 0;

    if (connection->tls == NULL) {
        ssize_t got = recv(connection->fd, at, max, MSG_DONTWAIT);

        if (got > 0)
            return got;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
            return 0;
        if (got < 0)
            FAIL(err, ERR_TEMP, "connection lost: %s", strerror(errno));
        return -1;
    }
    connection->tls_wants_write = false;
    switch (tls_session_read(connection->tls, at, max, &len, err)) {
    case TLS_DONE:
        return (ssize_t)len;
    case TLS_WANT_READ:
        return 0;
    case TLS_WANT_WRITE:
        connection->tls_wants_write = true;
        return 0;
    case TLS_CLOSED:
    case TLS_FAILED:
        break;
    }
    return -1;
}

/* TLS gives one record a call. */
bool net__fill_scratch(struct connection *connection, size_t *len_out, bool *more_out,
                       struct err *err)
{
    size_t max = buffer_room(&connection->in);
    size_t len = 0;

    if (max > SCRATCH_BYTES)
        max = SCRATCH_BYTES;
    *more_out = false;
    while (len < max) {
        ssize_t got = read_once(connection, net__scratch + len, max - len, err);

        if (got < 0) {
            *len_out = len;
            return false;
        }
        if (got == 0)
            break;
        len += (size_t)got;
        if (connection->tls == NULL) {
            /* A short read has emptied the socket: do not ask it again for nothing. */
            *more_out = len == max;
            break;
        }
        *more_out = len == max;
    }
    *len_out = len;
    return true;
}

static ssize_t write_once(struct connection *connection, struct slice bytes, struct err *err)
{
    size_t len = 0;

    if (connection->tls == NULL) {
        ssize_t sent = send(connection->fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent >= 0)
            return sent;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return 0;
        FAIL(err, ERR_TEMP, "connection lost: %s", strerror(errno));
        return -1;
    }
    switch (tls_session_write(connection->tls, bytes, &len, err)) {
    case TLS_DONE:
        return (ssize_t)len;
    case TLS_WANT_READ:
    case TLS_WANT_WRITE:
        return 0;
    case TLS_CLOSED:
    case TLS_FAILED:
        break;
    }
    return -1;
}

bool net__flush(struct connection *connection, struct err *err)
{
    connection->is_flush_due = false;
    while (buffer_len(&connection->out) > 0) {
        ssize_t sent = write_once(connection, buffer_view(&connection->out), err);

        if (sent < 0)
            return false;
        if (sent == 0)
            return true;
        buffer_consume(&connection->out, (size_t)sent);
    }
    buffer_release_if_empty(&connection->out);
    return true;
}
