/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other calls that can fail: sockets, reads, memory, processes. Here, too, an acknowledgement is
 * seen before it leaves, in clear or on its way into TLS.
 */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

ssize_t shim_write_here(int fd, const void *bytes, size_t len, bool *is_ours_out);

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* ---- acknowledgements ---- */

static void note_acknowledgements(const void *bytes, size_t len)
{
    static const char words[] = "250 2.0.0 Accepted as ";
    const uint8_t *at = bytes, *end = at + len;
    enum { ID_BYTES = 13 };

    if (shim_role != SHIM_SMTPD || shim_control == NULL)
        return;
    while ((size_t)(end - at) >= sizeof words - 1 + ID_BYTES) {
        const uint8_t *found = memmem(at, (size_t)(end - at), words, sizeof words - 1);

        if (found == NULL || (size_t)(end - found) < sizeof words - 1 + ID_BYTES)
            return;
        at = found + sizeof words - 1;
        shim_end(shim_begin(RECORD_ACK, 0, 0, at, ID_BYTES), 0);
    }
}

int SSL_write_ex(void *ssl, const void *bytes, size_t len, size_t *written_out);
SHOWN int SSL_write_ex(void *ssl, const void *bytes, size_t len, size_t *written_out)
{
    static int (*real)(void *, const void *, size_t, size_t *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "SSL_write_ex");
    note_acknowledgements(bytes, len);
    return real(ssl, bytes, len, written_out);
}

/* ---- sockets ---- */

static bool is_socket(int fd)
{
    struct stat status;

    return syscall(SYS_fstat, fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

SHOWN ssize_t write(int fd, const void *bytes, size_t len)
{
    struct shim_fate fate = {0};
    bool is_ours = false;
    ssize_t got;

    if (shim_control == NULL)
        return syscall(SYS_write, fd, bytes, len);
    got = shim_write_here(fd, bytes, len, &is_ours);
    if (is_ours)
        return got;
    if (is_socket(fd)) {
        fate = shim_ask(CALL_SEND);
        if (fate.error != 0)
            return refuse(fate.error);
        if (fate.is_short && len > 1)
            len /= 2;
        note_acknowledgements(bytes, len);
    }
    got = syscall(SYS_write, fd, bytes, len);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct shim_fate fate = {0};
    ssize_t total = 0;

    if (shim_control != NULL && is_socket(fd)) {
        fate = shim_ask(CALL_SEND);
        if (fate.error != 0)
            return refuse(fate.error);
        for (int i = 0; i < count; i++)
            note_acknowledgements(parts[i].iov_base, parts[i].iov_len);
        return syscall(SYS_writev, fd, parts, count);
    }
    if (shim_control == NULL)
        return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++) {
        ssize_t got = write(fd, parts[i].iov_base, parts[i].iov_len);

        if (got < 0)
            return total > 0 ? total : -1;
        total += got;
        if ((size_t)got < parts[i].iov_len)
            break;
    }
    return total;
}

static ssize_t send_any(int fd, const void *bytes, size_t len, int flags, const void *to,
                        socklen_t to_len)
{
    struct shim_fate fate = shim_ask(CALL_SEND);
    ssize_t got;

    if (fate.error != 0)
        return refuse(fate.error);
    if (fate.is_short && len > 1)
        len /= 2;
    note_acknowledgements(bytes, len);
    got = syscall(SYS_sendto, fd, bytes, len, flags, to, to_len);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    return send_any(fd, bytes, len, flags, NULL, 0);
}

SHOWN ssize_t sendto(int fd, const void *bytes, size_t len, int flags, __CONST_SOCKADDR_ARG to,
                     socklen_t to_len)
{
    return send_any(fd, bytes, len, flags, to.__sockaddr__, to_len);
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct shim_fate fate = shim_ask(CALL_SEND);
    ssize_t got;

    if (fate.error != 0)
        return refuse(fate.error);
    for (size_t i = 0; i < message->msg_iovlen; i++)
        note_acknowledgements(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    got = syscall(SYS_sendmsg, fd, message, flags);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    struct shim_fate fate = shim_ask(CALL_RECV);

    return fate.error != 0 ? refuse(fate.error)
                           : syscall(SYS_recvfrom, fd, bytes, len, flags, NULL, NULL);
}

SHOWN ssize_t recvfrom(int fd, void *bytes, size_t len, int flags, __SOCKADDR_ARG from,
                       socklen_t *from_len)
{
    struct shim_fate fate = shim_ask(CALL_RECV);

    return fate.error != 0
               ? refuse(fate.error)
               : syscall(SYS_recvfrom, fd, bytes, len, flags, from.__sockaddr__, from_len);
}

SHOWN ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    struct shim_fate fate = shim_ask(CALL_RECV);

    return fate.error != 0 ? refuse(fate.error) : syscall(SYS_recvmsg, fd, message, flags);
}

SHOWN ssize_t read(int fd, void *bytes, size_t len)
{
    struct shim_fate fate = {0};

    if (shim_control != NULL && atomic_load(&shim_control->is_armed))
        fate = shim_ask(is_socket(fd) ? CALL_RECV : CALL_READ);
    return fate.error != 0 ? refuse(fate.error) : syscall(SYS_read, fd, bytes, len);
}

static ssize_t read_at(int fd, void *bytes, size_t len, off_t offset)
{
    struct shim_fate fate = shim_ask(CALL_READ);

    return fate.error != 0 ? refuse(fate.error) : syscall(SYS_pread64, fd, bytes, len, offset);
}

SHOWN ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    return read_at(fd, bytes, len, offset);
}

SHOWN ssize_t pread64(int fd, void *bytes, size_t len, off_t offset)
{
    return read_at(fd, bytes, len, offset);
}

SHOWN int accept4(int fd, __SOCKADDR_ARG from, socklen_t *from_len, int flags)
{
    struct shim_fate fate = shim_ask(CALL_ACCEPT);

    return fate.error != 0 ? refuse(fate.error)
                           : (int)syscall(SYS_accept4, fd, from.__sockaddr__, from_len, flags);
}

SHOWN int accept(int fd, __SOCKADDR_ARG from, socklen_t *from_len)
{
    return accept4(fd, from, from_len, 0);
}

SHOWN int socket(int family, int kind, int protocol)
{
    struct shim_fate fate = shim_ask(CALL_SOCKET);

    return fate.error != 0 ? refuse(fate.error)
                           : (int)syscall(SYS_socket, family, kind, protocol);
}

SHOWN int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t to_len)
{
    struct shim_fate fate = shim_ask(CALL_CONNECT);

    return fate.error != 0 ? refuse(fate.error)
                           : (int)syscall(SYS_connect, fd, to.__sockaddr__, to_len);
}

/* ---- processes and memory ---- */

SHOWN pid_t fork(void)
{
    static pid_t (*real)(void);
    struct shim_fate fate = shim_ask(CALL_FORK);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "fork");
    return fate.error != 0 ? refuse(fate.error) : real();
}

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

static bool memory_fails(void)
{
    if (shim_control == NULL || !atomic_load(&shim_control->is_alloc_armed) ||
        shim_ask(CALL_ALLOC).error == 0)
        return false;
    errno = ENOMEM;
    return true;
}

SHOWN void *malloc(size_t bytes)
{
    return memory_fails() ? NULL : __libc_malloc(bytes);
}

SHOWN void *calloc(size_t count, size_t bytes)
{
    return memory_fails() ? NULL : __libc_calloc(count, bytes);
}

SHOWN void *realloc(void *old, size_t bytes)
{
    return memory_fails() ? NULL : __libc_realloc(old, bytes);
}

/* ---- the database's log ---- */

typedef int log_grown_fn(void *context, void *database, const char *name_cstr, int pages);
static log_grown_fn *log_grown;

static int on_log_grown(void *context, void *database, const char *name_cstr, int pages)
{
    return log_grown(context, database, name_cstr,
                     pages * (int)shim_control->checkpoint_factor);
}

/* Checkpoints come sooner than after 32 MiB, so that small recordings hold many. */
void *sqlite3_wal_hook(void *database, log_grown_fn *fn, void *context);
SHOWN void *sqlite3_wal_hook(void *database, log_grown_fn *fn, void *context)
{
    static void *(*real)(void *, log_grown_fn *, void *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_wal_hook");
    if (shim_control == NULL || shim_control->checkpoint_factor == 0)
        return real(database, fn, context);
    log_grown = fn;
    return real(database, on_log_grown, context);
}
