/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to exist before the roles start: folders, the lock, sockets that listen. Done once, by the
 * supervisor, perhaps as root; `owner` is who will use them (NO_OWNER: whoever we are).
 */
#ifndef OS_BIND_H
#define OS_BIND_H

#include "base/err.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct owner {
    uid_t user;
    gid_t group;
};
#define NO_OWNER ((struct owner){(uid_t)-1, (gid_t)-1})

/* The ids of a user. False when there is no such user. */
MUST_CHECK bool owner_find(const char *user_cstr, struct owner *owner_out);

/* A folder that only its owner may enter (0700); made when it is absent, parents are not. ERR_PERM with errno. */
MUST_CHECK bool folder_make(const char *path_cstr, struct owner owner, struct err *err);
/* Hold `path` locked as long as *fd_out is open. ERR_REFUSED: another process holds it. */
MUST_CHECK bool lock_take(const char *path_cstr, int *fd_out, struct err *err);

/*
 * `count` sockets that listen on one address, each with its own queue: the kernel spreads connections
 * (SO_REUSEPORT). ERR_PERM: address in use by others, not ours, or the port needs root.
 */
MUST_CHECK bool sockets_listen(const struct sockaddr *address, socklen_t len, size_t count,
                               int *fds_out, struct err *err);
/* A UNIX socket at `path` (one that lies there is replaced), mode 0660. */
MUST_CHECK bool socket_listen_unix(const char *path_cstr, struct owner owner, int *fd_out,
                                   struct err *err);

#endif
