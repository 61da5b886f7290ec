/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4352, CHUNK_BYTES = 1 << 20 };

bool complain(const char *format_cstr, ...)
{
    va_list args;

    va_start(args, format_cstr);
    (void)fputs("postern: ", stderr);
    (void)vfprintf(stderr, format_cstr, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return false;
}

bool complain_err(const char *where_cstr, const struct err *err)
{
    return complain("%s%s%s", where_cstr, where_cstr[0] == '\0' ? "" : ": ", err->text_cstr);
}

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

/* ---- copying ---- */

static bool write_all(int fd, struct slice bytes, uint64_t at)
{
    while (bytes.len > 0) {
        ssize_t written = pwrite(fd, bytes.at, bytes.len, (off_t)at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += (uint64_t)written;
        bytes = slice_from(bytes, (size_t)written);
    }
    return true;
}

static bool copy_chunks(const struct files_copy *copy, uint8_t *chunk,
                        struct sha256_stream *digest, struct err *err)
{
    for (uint64_t at = copy->from; at < copy->to;) {
        size_t want = copy->to - at < CHUNK_BYTES ? (size_t)(copy->to - at) : CHUNK_BYTES;
        ssize_t got = pread(copy->from_fd, chunk, want, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(err, ERR_TEMP, "cannot read: %s", strerror(errno));
        if (got == 0)
            return FAIL(err, ERR_PERM, "the file ends at byte %llu of %llu",
                        (unsigned long long)at, (unsigned long long)copy->to);
        if (copy->to_fd >= 0 && !write_all(copy->to_fd, slice_of(chunk, (size_t)got), at))
            return FAIL(err, ERR_TEMP, "cannot write: %s", strerror(errno));
        sha256_push(digest, slice_of(chunk, (size_t)got));
        at += (uint64_t)got;
        if (copy->tick != NULL)
            copy->tick(copy->context);
    }
    return true;
}

bool files_copy(const struct files_copy *copy, uint8_t digest_out[SHA256_BYTES],
                struct err *err)
{
    uint8_t *chunk = malloc(CHUNK_BYTES);
    struct sha256_stream digest;
    bool copied;

    must(chunk != NULL);
    sha256_init(&digest);
    copied = copy_chunks(copy, chunk, &digest, err);
    if (copied)
        sha256_finish(&digest, digest_out);
    sha256_deinit(&digest);
    free(chunk);
    return copied;
}

bool files_replace(int dir_fd, const char *name_cstr, struct slice bytes, struct err *err)
{
    char part_cstr[PATH_SIZE];
    bool written;
    int fd;

    (void)snprintf(part_cstr, sizeof part_cstr, "%s.part", name_cstr);
    fd = openat(dir_fd, part_cstr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return FAIL(err, ERR_TEMP, "cannot make %s: %s", part_cstr, strerror(errno));
    written = write_all(fd, bytes, 0) && fsync(fd) == 0;
    if (close(fd) != 0 || !written || renameat(dir_fd, part_cstr, dir_fd, name_cstr) != 0 ||
        fsync(dir_fd) != 0)
        return FAIL(err, ERR_TEMP, "cannot write %s: %s", name_cstr, strerror(errno));
    return true;
}

int files_folder(int at_fd, const char *path_cstr, struct err *err)
{
    int fd = -1;

    if (mkdirat(at_fd, path_cstr, 0700) == 0 || errno == EEXIST)
        fd = openat(at_fd, path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        FAIL(err, ERR_TEMP, "cannot make the folder %s: %s", path_cstr, strerror(errno));
    return fd;
}
