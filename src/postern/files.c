/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH_SIZE = 4352 };

bool files_read(const char *path_cstr, size_t max_bytes, struct buffer *bytes_out,
                struct err *err)
{
    int fd = open(path_cstr, O_RDONLY | O_CLOEXEC);
    ssize_t got = 0;
    uint8_t *to;

    if (fd < 0)
        return FAIL(err, ERR_TEMP, "cannot read %s: %s", path_cstr, strerror(errno));
    while ((to = buffer_reserve(bytes_out, max_bytes - buffer_len(bytes_out))) != NULL &&
           buffer_len(bytes_out) < max_bytes &&
           (got = read(fd, to, max_bytes - buffer_len(bytes_out))) > 0)
        buffer_commit(bytes_out, (size_t)got);
    close(fd);
    if (got < 0)
        return FAIL(err, ERR_TEMP, "cannot read %s: %s", path_cstr, strerror(errno));
    return buffer_len(bytes_out) < max_bytes ||
           FAIL(err, ERR_PERM, "%s is longer than such a file can be", path_cstr);
}

bool files_lock_stopped(const char *state_cstr, int *fd_out, struct err *err)
{
    char path_cstr[PATH_SIZE];

    (void)snprintf(path_cstr, sizeof path_cstr, "%s/lock", state_cstr);
    *fd_out = open(path_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd_out < 0 && errno == ENOENT)
        return true;
    if (*fd_out < 0)
        return FAIL(err, ERR_TEMP, "cannot open %s: %s", path_cstr, strerror(errno));
    if (flock(*fd_out, LOCK_EX | LOCK_NB) == 0)
        return true;
    close(*fd_out);
    *fd_out = -1;
    return FAIL(err, ERR_REFUSED, "a server runs on %s: stop it first", state_cstr);
}
