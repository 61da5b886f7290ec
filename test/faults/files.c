/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls that change files, put in front of the C library's. They go to the kernel themselves: the
 * same calls that the library makes, so that the walls of each role see no difference.
 */
#undef _FILE_OFFSET_BITS /* else open would be another name of open64 */
#undef _FORTIFY_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))
#define CREATED_MODE_BITS 07777

static bool fail(int error)
{
    errno = error;
    return false;
}

/* ---- what a descriptor or name is ---- */

struct thing {
    uint64_t inode;
    bool is_ours, is_folder, is_socket, is_pipe;
    uint64_t size;
};

static struct thing look(int fd)
{
    struct thing thing = {0};
    struct stat status;
    int kept = errno;

    if (shim_state_device != 0 && syscall(SYS_fstat, fd, &status) == 0) {
        thing.inode = status.st_ino;
        thing.is_folder = S_ISDIR(status.st_mode);
        thing.is_socket = S_ISSOCK(status.st_mode);
        thing.is_pipe = S_ISFIFO(status.st_mode);
        thing.size = (uint64_t)status.st_size;
        thing.is_ours =
            status.st_dev == shim_state_device && (S_ISREG(status.st_mode) || thing.is_folder);
    }
    errno = kept;
    return thing;
}

static const char *last_part(const char *path_cstr)
{
    const char *slash_cstr = strrchr(path_cstr, '/');

    return slash_cstr == NULL ? path_cstr : slash_cstr + 1;
}

/* The folder that a name stands in. */
static struct thing folder_of(int folder_fd, const char *path_cstr)
{
    struct thing thing = {0};
    const char *name_cstr = last_part(path_cstr);
    char parent_cstr[4096] = ".";
    struct stat status;
    int kept = errno;

    if (shim_state_device == 0)
        return thing;
    if (name_cstr > path_cstr) {
        size_t len = (size_t)(name_cstr - path_cstr);

        if (len >= sizeof parent_cstr)
            return thing;
        memcpy(parent_cstr, path_cstr, len);
        parent_cstr[len] = '\0';
    }
    if (name_cstr == path_cstr && folder_fd != AT_FDCWD)
        thing = look(folder_fd);
    else if (syscall(SYS_newfstatat, folder_fd, parent_cstr, &status, 0) == 0) {
        thing.inode = status.st_ino;
        thing.is_folder = true;
        thing.is_ours = status.st_dev == shim_state_device;
    }
    errno = kept;
    return thing;
}

static bool exists(int folder_fd, const char *path_cstr)
{
    struct stat status;
    int kept = errno;
    bool found =
        syscall(SYS_newfstatat, folder_fd, path_cstr, &status, AT_SYMLINK_NOFOLLOW) == 0;

    errno = kept;
    return found;
}

/* ---- open ---- */

static void truncated_by_open(int fd)
{
    struct thing thing = look(fd);

    shim_end(shim_begin(RECORD_TRUNCATE, thing.inode, 0, NULL, 0), 0);
}

static int open_any(int folder_fd, const char *path_cstr, int flags, mode_t mode)
{
    struct shim_fate fate = shim_ask(CALL_OPEN_ANY);
    struct thing folder = folder_of(folder_fd, path_cstr);
    struct shim_record *record = NULL;
    bool was_there = true;
    int fd;

    if (fate.error != 0)
        return (int)fail(fate.error) - 1;
    if (folder.is_ours) {
        fate = shim_ask(CALL_OPEN);
        if (fate.error != 0)
            return (int)fail(fate.error) - 1;
        was_there = (flags & O_CREAT) == 0 || exists(folder_fd, path_cstr);
    }
    if (folder.is_ours && !was_there) {
        const char *name_cstr = last_part(path_cstr);

        record = shim_begin(RECORD_CREATE, 0, 0, name_cstr, strlen(name_cstr));
    }
    fd = (int)syscall(SYS_openat, folder_fd, path_cstr, flags, mode & CREATED_MODE_BITS);
    if (record != NULL) {
        record->other = folder.inode;
        record->flags = FLAG_NEW;
        record->inode = fd >= 0 ? look(fd).inode : 0;
        shim_end(record, fd);
    }
    if (fd >= 0 && folder.is_ours && was_there && (flags & O_TRUNC) != 0)
        truncated_by_open(fd);
    if (fate.dies_after)
        shim_die();
    return fd;
}

#define MODE_ARGUMENT(flags, mode)                                                             \
    do {                                                                                       \
        if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                          \
            va_list list;                                                                      \
            va_start(list, flags);                                                             \
            (mode) = va_arg(list, mode_t);                                                     \
            va_end(list);                                                                      \
        }                                                                                      \
    } while (0)

SHOWN int open(const char *path_cstr, int flags, ...)
{
    mode_t mode = 0;

    MODE_ARGUMENT(flags, mode);
    return open_any(AT_FDCWD, path_cstr, flags, mode);
}

SHOWN int open64(const char *path_cstr, int flags, ...)
{
    mode_t mode = 0;

    MODE_ARGUMENT(flags, mode);
    return open_any(AT_FDCWD, path_cstr, flags, mode);
}

SHOWN int openat(int folder_fd, const char *path_cstr, int flags, ...)
{
    mode_t mode = 0;

    MODE_ARGUMENT(flags, mode);
    return open_any(folder_fd, path_cstr, flags, mode);
}

SHOWN int openat64(int folder_fd, const char *path_cstr, int flags, ...)
{
    mode_t mode = 0;

    MODE_ARGUMENT(flags, mode);
    return open_any(folder_fd, path_cstr, flags, mode);
}

/* What the library calls when it checks sizes. */
int __open_2(const char *path_cstr, int flags);
int __open64_2(const char *path_cstr, int flags);
int __openat_2(int folder_fd, const char *path_cstr, int flags);
int __openat64_2(int folder_fd, const char *path_cstr, int flags);

SHOWN int __open_2(const char *path_cstr, int flags)
{
    return open_any(AT_FDCWD, path_cstr, flags, 0);
}

SHOWN int __open64_2(const char *path_cstr, int flags)
{
    return open_any(AT_FDCWD, path_cstr, flags, 0);
}

SHOWN int __openat_2(int folder_fd, const char *path_cstr, int flags)
{
    return open_any(folder_fd, path_cstr, flags, 0);
}

SHOWN int __openat64_2(int folder_fd, const char *path_cstr, int flags)
{
    return open_any(folder_fd, path_cstr, flags, 0);
}

/* ---- write ---- */

static bool is_synchronous(int fd, int flags)
{
    int kept = errno;
    long got = syscall(SYS_fcntl, fd, F_GETFL);

    errno = kept;
    return (flags & (RWF_DSYNC | RWF_SYNC)) != 0 || (got >= 0 && (got & O_DSYNC) != 0);
}

static ssize_t write_at(int fd, const void *bytes, size_t len, off_t offset, int flags)
{
    struct thing thing = look(fd);
    struct shim_record *record;
    struct shim_fate fate;
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    ssize_t got;

    if (!thing.is_ours)
        return flags == 0 ? syscall(SYS_pwrite64, fd, bytes, len, offset)
                          : syscall(SYS_pwritev2, fd, &part, 1, offset, 0, flags);
    fate = shim_ask(CALL_WRITE);
    if (fate.error != 0)
        return (ssize_t)fail(fate.error) - 1;
    if (fate.is_short && len > 1)
        part.iov_len = len = len / 2;
    record = shim_begin(RECORD_WRITE, thing.inode, (uint64_t)offset, bytes, len);
    got = flags == 0 ? syscall(SYS_pwrite64, fd, bytes, len, offset)
                     : syscall(SYS_pwritev2, fd, &part, 1, offset, 0, flags);
    if (record != NULL && is_synchronous(fd, flags))
        record->flags |= FLAG_SYNCED;
    shim_end(record, got);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return write_at(fd, bytes, len, offset, 0);
}

SHOWN ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
    return write_at(fd, bytes, len, offset, 0);
}

/* Several pieces: one record each; the kernel may do fewer than asked, and so may we. */
static ssize_t write_pieces(int fd, const struct iovec *parts, int count, off_t offset,
                            int flags)
{
    ssize_t total = 0;

    for (int i = 0; i < count; i++) {
        ssize_t got = write_at(fd, parts[i].iov_base, parts[i].iov_len, offset + total, flags);

        if (got < 0)
            return total > 0 ? total : -1;
        total += got;
        if ((size_t)got < parts[i].iov_len)
            break;
    }
    return total;
}

SHOWN ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_pieces(fd, parts, count, offset, 0);
}

SHOWN ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
    return write_pieces(fd, parts, count, offset, 0);
}

SHOWN ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    return write_pieces(fd, parts, count, offset, flags);
}

SHOWN ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset,
                          int flags);
SHOWN ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off_t offset, int flags)
{
    return write_pieces(fd, parts, count, offset, flags);
}

/* At the file's own place: for write() on a file of ours. */
ssize_t shim_write_here(int fd, const void *bytes, size_t len, bool *is_ours_out);
ssize_t shim_write_here(int fd, const void *bytes, size_t len, bool *is_ours_out)
{
    struct thing thing = look(fd);
    long flags, at;
    ssize_t got;

    *is_ours_out = thing.is_ours;
    if (!thing.is_ours)
        return -1;
    flags = syscall(SYS_fcntl, fd, F_GETFL);
    at = flags >= 0 && (flags & O_APPEND) != 0 ? (long)thing.size
                                               : syscall(SYS_lseek, fd, 0, SEEK_CUR);
    got = write_at(fd, bytes, len, at, 0);
    if (got > 0)
        syscall(SYS_lseek, fd, at + got, SEEK_SET);
    return got;
}

/* ---- length ---- */

static int truncate_to(int fd, off_t bytes)
{
    struct thing thing = look(fd);
    struct shim_record *record = NULL;
    struct shim_fate fate = {0};
    int got;

    if (thing.is_ours) {
        fate = shim_ask(CALL_TRUNCATE);
        if (fate.error != 0)
            return (int)fail(fate.error) - 1;
        record = shim_begin(RECORD_TRUNCATE, thing.inode, (uint64_t)bytes, NULL, 0);
    }
    got = (int)syscall(SYS_ftruncate, fd, bytes);
    shim_end(record, got);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN int ftruncate(int fd, off_t bytes)
{
    return truncate_to(fd, bytes);
}

SHOWN int ftruncate64(int fd, off_t bytes)
{
    return truncate_to(fd, bytes);
}

static int allocate(int fd, int mode, off_t offset, off_t len)
{
    struct thing thing = look(fd);
    struct shim_record *record = NULL;
    int got;

    if (thing.is_ours) {
        struct shim_fate fate = shim_ask(CALL_WRITE);

        if (fate.error != 0)
            return (int)fail(fate.error) - 1;
        if ((mode & FALLOC_FL_KEEP_SIZE) == 0)
            record = shim_begin(RECORD_EXTEND, thing.inode, (uint64_t)(offset + len), NULL, 0);
    }
    got = (int)syscall(SYS_fallocate, fd, mode, offset, len);
    shim_end(record, got);
    return got;
}

SHOWN int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return allocate(fd, mode, offset, len);
}

SHOWN int fallocate64(int fd, int mode, off_t offset, off_t len)
{
    return allocate(fd, mode, offset, len);
}

SHOWN int posix_fallocate(int fd, off_t offset, off_t len)
{
    return allocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

SHOWN int posix_fallocate64(int fd, off_t offset, off_t len)
{
    return allocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

/* ---- sync ---- */

static int sync_with(int fd, long call)
{
    struct thing thing = look(fd);
    struct shim_record *record = NULL;
    struct shim_fate fate = {0};
    int got;

    if (thing.is_ours) {
        fate = shim_ask(CALL_SYNC);
        record = shim_begin(RECORD_SYNC, thing.inode, 0, NULL, 0);
        if (record != NULL)
            record->flags = (uint16_t)((thing.is_folder ? FLAG_FOLDER : 0) |
                                       (call == SYS_fdatasync ? FLAG_DATA : 0));
    }
    got = fate.error != 0 ? (int)fail(fate.error) - 1 : (int)syscall(call, fd);
    shim_end(record, got);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN int fsync(int fd)
{
    return sync_with(fd, SYS_fsync);
}

SHOWN int fdatasync(int fd)
{
    return sync_with(fd, SYS_fdatasync);
}

/* It makes nothing durable, but an error that it tells is told to this descriptor only once. */
SHOWN int sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
    struct thing thing = look(fd);
    struct shim_fate fate = {0};

    if (thing.is_ours)
        fate = shim_ask(CALL_PUSH);
    if (fate.error == 0)
        return (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
    errno = fate.error;
    shim_end(shim_begin(RECORD_SYNC, thing.inode, 0, NULL, 0), -1);
    return -1;
}

/* ---- names ---- */

static int unlink_any(int folder_fd, const char *path_cstr, int flags)
{
    struct thing folder = folder_of(folder_fd, path_cstr);
    struct shim_record *record = NULL;
    struct shim_fate fate = {0};
    int got;

    if (folder.is_ours) {
        const char *name_cstr = last_part(path_cstr);

        fate = shim_ask(CALL_UNLINK);
        if (fate.error != 0)
            return (int)fail(fate.error) - 1;
        record = shim_begin(RECORD_UNLINK, 0, 0, name_cstr, strlen(name_cstr));
        if (record != NULL)
            record->other = folder.inode;
    }
    got = (int)syscall(SYS_unlinkat, folder_fd, path_cstr, flags);
    shim_end(record, got);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN int unlink(const char *path_cstr)
{
    return unlink_any(AT_FDCWD, path_cstr, 0);
}

SHOWN int unlinkat(int folder_fd, const char *path_cstr, int flags)
{
    return unlink_any(folder_fd, path_cstr, flags);
}

SHOWN int rmdir(const char *path_cstr)
{
    return unlink_any(AT_FDCWD, path_cstr, AT_REMOVEDIR);
}

static int rename_any(int from_fd, const char *from_cstr, int to_fd, const char *to_cstr)
{
    struct thing from = folder_of(from_fd, from_cstr), to = folder_of(to_fd, to_cstr);
    struct shim_record *record = NULL;
    struct shim_fate fate = {0};
    char names[1024];
    int got;

    if (from.is_ours || to.is_ours) {
        const char *old_cstr = last_part(from_cstr), *new_cstr = last_part(to_cstr);
        size_t old_len = strlen(old_cstr) + 1, new_len = strlen(new_cstr);

        fate = shim_ask(CALL_RENAME);
        if (fate.error == 0 && old_len + new_len > sizeof names)
            fate.error = ENAMETOOLONG;
        if (fate.error != 0)
            return (int)fail(fate.error) - 1;
        memcpy(names, old_cstr, old_len);
        memcpy(names + old_len, new_cstr, new_len);
        record = shim_begin(RECORD_RENAME, from.inode, 0, names, old_len + new_len);
        if (record != NULL)
            record->other = to.inode;
    }
    got = (int)syscall(SYS_renameat2, from_fd, from_cstr, to_fd, to_cstr, 0);
    shim_end(record, got);
    if (fate.dies_after)
        shim_die();
    return got;
}

SHOWN int rename(const char *from_cstr, const char *to_cstr)
{
    return rename_any(AT_FDCWD, from_cstr, AT_FDCWD, to_cstr);
}

SHOWN int renameat(int from_fd, const char *from_cstr, int to_fd, const char *to_cstr)
{
    return rename_any(from_fd, from_cstr, to_fd, to_cstr);
}

SHOWN int mkdir(const char *path_cstr, mode_t mode)
{
    struct thing folder = folder_of(AT_FDCWD, path_cstr);
    struct shim_record *record = NULL;
    struct stat status;
    int got;

    if (folder.is_ours && !exists(AT_FDCWD, path_cstr)) {
        const char *name_cstr = last_part(path_cstr);
        struct shim_fate fate = shim_ask(CALL_MKDIR);

        if (fate.error != 0)
            return (int)fail(fate.error) - 1;
        record = shim_begin(RECORD_CREATE, 0, 0, name_cstr, strlen(name_cstr));
    }
    got = (int)syscall(SYS_mkdirat, AT_FDCWD, path_cstr, mode);
    if (record != NULL) {
        int kept = errno;

        record->other = folder.inode;
        record->flags = FLAG_NEW | FLAG_FOLDER;
        if (got == 0 && syscall(SYS_newfstatat, AT_FDCWD, path_cstr, &status, 0) == 0)
            record->inode = status.st_ino;
        errno = kept;
        shim_end(record, got);
    }
    return got;
}
