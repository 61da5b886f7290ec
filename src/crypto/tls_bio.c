/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL's own socket BIO writes with write(), which raises SIGPIPE when the peer has gone. This one
 * uses send() with MSG_NOSIGNAL.
 */
#include "crypto/tls_internal.h"

#include <openssl/bio.h>

#include <errno.h>
#include <sys/socket.h>

static int fd_of(BIO *bio)
{
    return (int)(intptr_t)BIO_get_data(bio);
}

static bool is_retry(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int bio_write(BIO *bio, const char *at, size_t len, size_t *len_out)
{
    ssize_t sent = send(fd_of(bio), at, len, MSG_NOSIGNAL);

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
    ssize_t got = recv(fd_of(bio), at, max, 0);

    BIO_clear_retry_flags(bio);
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

static BIO_METHOD *method_make(void)
{
    BIO_METHOD *method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");

    must(method != NULL && BIO_meth_set_write_ex(method, bio_write) == 1 &&
         BIO_meth_set_read_ex(method, bio_read) == 1 &&
         BIO_meth_set_ctrl(method, bio_ctrl) == 1);
    return method;
}

BIO *tls__bio_new(int fd)
{
    static BIO_METHOD *method;
    BIO *bio;

    if (method == NULL)
        method = method_make();
    bio = BIO_new(method);
    must(bio != NULL);
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    return bio;
}
