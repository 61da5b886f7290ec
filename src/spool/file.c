/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/internal.h"

#include "base/log.h"
#include "base/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int64_t spool__now_ms(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int spool__dup(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    must(copy >= 0);
    return copy;
}

static bool fail_full(struct err *err, const char *what_cstr, int error)
{
    return FAIL_SMTP(err, ERR_TEMP, 452, "4.3.1", "%s: %s", what_cstr, strerror(error));
}

/* Lock it against removal. False when the keeper was faster and took it for garbage. */
static bool claim(int fd)
{
    struct stat status;

    return flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &status) == 0 && status.st_nlink == 1;
}

bool spool__file_create(int dir_fd, const struct spool_header *header,
                        struct spool_file *file_out, struct err *err)
{
    char name_cstr[SPOOL_NAME_SIZE];
    uint8_t bytes[SPOOL_HEADER_BYTES];
    struct spool_file file = {.fd = -1, .id = header->id, .created_ms = header->created_ms};

    spool_segment_name(header->id, name_cstr);
    file.fd =
        openat(dir_fd, name_cstr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file.fd < 0)
        return fail_full(err, "cannot create a segment", errno);
    spool_header_write(header, bytes);
    if (!claim(file.fd)) {
        spool__file_discard(dir_fd, &file);
        return fail_full(err, "cannot lock a new segment", EAGAIN);
    }
    if (!spool__file_append(&file, slice_of(bytes, sizeof bytes), err)) {
        spool__file_discard(dir_fd, &file);
        return false;
    }
    *file_out = file;
    return true;
}

bool spool__file_append(struct spool_file *file, struct slice bytes, struct err *err)
{
    uint64_t end = file->end;

    while (bytes.len > 0) {
        ssize_t written = pwrite(file->fd, bytes.at, bytes.len, (off_t)end);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            int error = written < 0 ? errno : ENOSPC;

            /* Give back what a full disk can use; if that fails too, it is only unused bytes. */
            if (ftruncate(file->fd, (off_t)file->end) != 0)
                error = errno;
            return fail_full(err, "cannot write to a segment", error);
        }
        end += (uint64_t)written;
        bytes = slice_from(bytes, (size_t)written);
    }
    file->end = end;
    return true;
}

bool spool__file_sync(int dir_fd, struct spool_file *file, struct err *err)
{
    int64_t began_us, took_us;

    if (file->synced == file->end)
        return true;
    began_us = stats_now_us();
    if (fdatasync(file->fd) != 0 || (file->synced == 0 && fsync(dir_fd) != 0))
        return fail_full(err, "a segment could not be made durable", errno);
    file->synced = file->end;
    took_us = stats_now_us() - began_us;
    STAT_MEASURE(CONTENT_SYNC, took_us);
    log_slow("segment sync", took_us);
    return true;
}

/* True when nothing was lost; a file system that cannot push at all loses nothing. */
static bool push_range(const struct spool_file *file, uint64_t from, uint64_t to,
                       unsigned flags)
{
    return from == to ||
           sync_file_range(file->fd, (off_t)from, (off_t)(to - from), flags) == 0 ||
           errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP || errno == ESPIPE;
}

bool spool__file_push(struct spool_file *file, struct err *err)
{
    if (!push_range(file, file->pushed, file->begun, SYNC_FILE_RANGE_WAIT_BEFORE) ||
        !push_range(file, file->begun, file->end, SYNC_FILE_RANGE_WRITE))
        return fail_full(err, "a segment could not be made durable", errno);
    file->pushed = file->begun;
    file->begun = file->end;
    return true;
}

void spool__file_close(struct spool_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

void spool__file_discard(int dir_fd, struct spool_file *file)
{
    char name_cstr[SPOOL_NAME_SIZE];

    if (file->fd < 0)
        return;
    spool_segment_name(file->id, name_cstr);
    /* A confined role may not remove; then the keeper does, later, and the room is free now. */
    if (unlinkat(dir_fd, name_cstr, 0) != 0 && ftruncate(file->fd, 0) != 0)
        LOG(LOG_WARN, "spool.not_discarded", log_id("segment", file->id));
    spool__file_close(file);
}
