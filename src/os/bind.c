/* SPDX-License-Identifier: Apache-2.0 */
#include "os/bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

bool owner_find(const char *user_cstr, struct owner *owner_out)
{
    const struct passwd *entry = getpwnam(user_cstr);

    if (entry == NULL)
        return false;
    *owner_out = (struct owner){entry->pw_uid, entry->pw_gid};
    return true;
}

bool folder_make(const char *path_cstr, struct owner owner, struct err *err)
{
    bool done = false;
    int fd;

    if (mkdir(path_cstr, 0700) != 0 && errno != EEXIST)
        return FAIL(err, ERR_PERM, "cannot make the folder %s: %s", path_cstr, strerror(errno));
    /* By its descriptor: between two looks at a path somebody may put a link there. */
    fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return FAIL(err, ERR_PERM, "%s is not a folder (%s); move it away", path_cstr,
                    strerror(errno));
    if (owner.user != (uid_t)-1 && fchown(fd, owner.user, owner.group) != 0)
        FAIL(err, ERR_PERM, "cannot give %s to its user: %s", path_cstr, strerror(errno));
    else if (fchmod(fd, 0700) != 0)
        FAIL(err, ERR_PERM, "cannot close %s to others: %s; its owner must be us", path_cstr,
             strerror(errno));
    else
        done = true;
    close(fd);
    return done;
}

bool lock_take(const char *path_cstr, int *fd_out, struct err *err)
{
    int fd = open(path_cstr, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return FAIL(err, ERR_PERM, "cannot open %s: %s", path_cstr, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return FAIL(err, ERR_REFUSED, "%s is held: another server uses this state folder",
                    path_cstr);
    }
    *fd_out = fd;
    return true;
}

static void endpoint_write(const struct sockaddr *address, char *text_out, size_t size)
{
    char host_cstr[INET6_ADDRSTRLEN] = "?";

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)address;

        (void)inet_ntop(AF_INET, &v4->sin_addr, host_cstr, sizeof host_cstr);
        (void)snprintf(text_out, size, "%s:%u", host_cstr, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const void *)address;

        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host_cstr, sizeof host_cstr);
        (void)snprintf(text_out, size, "[%s]:%u", host_cstr, ntohs(v6->sin6_port));
    }
}

/* -1 with errno when it does not work. */
static int bind_one(const struct sockaddr *address, socklen_t len, bool is_shared)
{
    static const int on = 1;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int problem;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (!is_shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
        (address->sa_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(fd, address, len) == 0)
        return fd;
    problem = errno;
    close(fd);
    errno = problem;
    return -1;
}

static bool fail_to_listen(const struct sockaddr *address, struct err *err)
{
    char text_cstr[INET6_ADDRSTRLEN + 10];
    int problem = errno;

    endpoint_write(address, text_cstr, sizeof text_cstr);
    return FAIL(err, ERR_PERM, "cannot listen on %s: %s%s", text_cstr, strerror(problem),
                problem == EACCES       ? "; ports below 1024 need root"
                : problem == EADDRINUSE ? "; stop the other server or choose another port"
                                        : "");
}

bool sockets_listen(const struct sockaddr *address, socklen_t len, size_t count, int *fds_out,
                    struct err *err)
{
    size_t made = 0;
    /* With SO_REUSEPORT alone we would share the port with a stranger who runs as the same user. */
    int probe = bind_one(address, len, false);

    if (probe < 0)
        return fail_to_listen(address, err);
    close(probe);
    for (; made < count; made++) {
        fds_out[made] = bind_one(address, len, true);
        if (fds_out[made] < 0)
            break;
        if (listen(fds_out[made], BACKLOG) != 0) {
            close(fds_out[made]);
            break;
        }
    }
    if (made == count)
        return true;
    (void)fail_to_listen(address, err);
    while (made > 0)
        close(fds_out[--made]);
    return false;
}

bool socket_listen_unix(const char *path_cstr, struct owner owner, int *fd_out, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path_cstr) >= sizeof address.sun_path)
        return FAIL(err, ERR_PERM, "%s is too long for a socket", path_cstr);
    memcpy(address.sun_path, path_cstr, strlen(path_cstr));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return FAIL(err, ERR_TEMP, "cannot make a socket: %s", strerror(errno));
    (void)unlink(path_cstr); /* we hold the lock: nobody else listens there */
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        (owner.user == (uid_t)-1 || lchown(path_cstr, owner.user, owner.group) == 0) &&
        chmod(path_cstr, 0660) == 0 && listen(fd, 64) == 0) {
        *fd_out = fd;
        return true;
    }
    (void)FAIL(err, ERR_PERM, "cannot listen on %s: %s", path_cstr, strerror(errno));
    close(fd);
    return false;
}
