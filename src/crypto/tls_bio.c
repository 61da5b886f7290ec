/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's own socket BIO writes with write(), which raises SIGPIPE when the peer has gone. This one
 * uses send() with MSG_NOSIGNAL.
 */
#include "crypto/tls_internal.h"

#include <openssl/bio.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

struct socket_state {
    int fd;
    /*
     * The last read got less than it asked for: the socket is empty, and the next one need not ask it again for nothing. The
     * one after that does: nobody depends on being told by the kernel.
     */
    bool is_empty;
    bool has_more; /* the bytes being written are not the last of this turn */
};

static bool is_retry(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int bio_write(BIO *bio, const char *at, size_t len, size_t *len_out)
{
    struct socket_state *state = BIO_get_data(bio);
    ssize_t sent = send(state->fd, at, len, MSG_NOSIGNAL | (state->has_more ? MSG_MORE : 0));

    BIO_clear_retry_flags(bio);
    if (sent < 0) {
        if (is_retry(errno))
            BIO_set_retry_write(bio);
        return 0;
    }
    *len_out = (size_t)sent;
    return 1;
}

static int bio_read(BIO *bio, char *at, size_t max, size_t *len_out)
{
    struct socket_state *state = BIO_get_data(bio);
    ssize_t got;

    BIO_clear_retry_flags(bio);
    if (state->is_empty) {
        state->is_empty = false;
        BIO_set_retry_read(bio);
        return 0;
    }
    got = recv(state->fd, at, max, 0);
    state->is_empty = got > 0 && (size_t)got < max;
    if (got > 0) {
        *len_out = (size_t)got;
        return 1;
    }
    if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    else if (is_retry(errno))
        BIO_set_retry_read(bio);
    return 0;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static int bio_destroy(BIO *bio)
{
    free(BIO_get_data(bio));
    BIO_set_data(bio, NULL);
    return 1;
}

static BIO_METHOD *method_make(void)
{
    BIO_METHOD *method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");

    must(method != NULL && BIO_meth_set_write_ex(method, bio_write) == 1 &&
         BIO_meth_set_read_ex(method, bio_read) == 1 &&
         BIO_meth_set_ctrl(method, bio_ctrl) == 1 &&
         BIO_meth_set_destroy(method, bio_destroy) == 1);
    return method;
}

BIO *tls__bio_new(int fd)
{
    static BIO_METHOD *method;
    struct socket_state *state = calloc(1, sizeof *state);
    BIO *bio;

    must(state != NULL);
    state->fd = fd;

    if (method == NULL)
        method = method_make();
    bio = BIO_new(method);
    must(bio != NULL);
    BIO_set_data(bio, state);
    BIO_set_init(bio, 1);
    return bio;
}

void tls__bio_ask_again(BIO *bio)
{
    struct socket_state *state = BIO_get_data(bio);

    state->is_empty = false;
}

void tls__bio_more(BIO *bio, bool has_more)
{
    struct socket_state *state = BIO_get_data(bio);

    state->has_more = has_more;
}
