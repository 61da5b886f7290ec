/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/syncer.h"

#include "base/log.h"
#include "base/map.h"
#include "base/stats.h"
#include "spool/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_SEGMENTS = 32 };

struct synced {
    uint64_t segment; /* 0 = empty place */
    int fd;
    uint64_t bytes; /* so many are on disk */
    uint64_t used;  /* when, by the syncer's counter */
};

struct spool_syncer {
    int dir_fd;
    uint64_t counter;
    struct synced open[OPEN_SEGMENTS];
    struct map failed; /* segments that can never be trusted again */
};

struct spool_syncer *spool_syncer_new(int dir_fd)
{
    struct spool_syncer *syncer = calloc(1, sizeof *syncer);

    must(syncer != NULL);
    syncer->dir_fd = spool__dup(dir_fd);
    map_init(&syncer->failed);
    return syncer;
}

static void synced_close(struct synced *synced)
{
    if (synced->segment != 0)
        close(synced->fd);
    *synced = (struct synced){0};
}

void spool_syncer_free(struct spool_syncer **syncer)
{
    if (*syncer == NULL)
        return;
    for (size_t i = 0; i < OPEN_SEGMENTS; i++)
        synced_close(&(*syncer)->open[i]);
    map_deinit(&(*syncer)->failed);
    close((*syncer)->dir_fd);
    free(*syncer);
    *syncer = NULL;
}

/* The place of this segment, or the one to use for it: empty, or unused for the longest time. */
static struct synced *place_of(struct spool_syncer *syncer, uint64_t segment)
{
    struct synced *best = &syncer->open[0];

    for (size_t i = 0; i < OPEN_SEGMENTS; i++) {
        struct synced *at = &syncer->open[i];

        if (at->segment == segment)
            return at;
        if (at->used < best->used)
            best = at;
    }
    return best;
}

static bool fail(struct err *err, const char *what_cstr, int error)
{
    return FAIL_SMTP(err, ERR_TEMP, 452, "4.3.1", "%s: %s", what_cstr, strerror(error));
}

/* After this nobody believes the segment, whatever the kernel says later. */
static bool condemn(struct spool_syncer *syncer, uint64_t segment, struct err *err, int error)
{
    map_put(&syncer->failed, segment, syncer);
    return fail(err, "a segment could not be made durable", error);
}

static bool open_segment(struct spool_syncer *syncer, struct synced *place, uint64_t segment,
                         struct err *err)
{
    char name_cstr[SPOOL_NAME_SIZE];
    int fd;

    spool_segment_name(segment, name_cstr);
    fd = openat(syncer->dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail(err, "cannot open a segment", errno);
    /* The name must be as durable as the bytes. */
    if (fsync(syncer->dir_fd) != 0) {
        int error = errno;

        close(fd);
        return condemn(syncer, segment, err, error);
    }
    synced_close(place);
    *place = (struct synced){.segment = segment, .fd = fd};
    return true;
}

static int sync_measured(int fd)
{
    int64_t began_us = stats_now_us(), took_us;
    int got = fdatasync(fd), error = errno;

    took_us = stats_now_us() - began_us;
    STAT_MEASURE(KEEPER_SYNC, took_us);
    log_slow("segment sync", took_us);
    errno = error;
    return got;
}

/* Put all that the file has now on disk. */
static bool sync_now(struct spool_syncer *syncer, struct synced *place, struct err *err)
{
    struct stat status;

    if (fstat(place->fd, &status) != 0)
        return fail(err, "cannot look at a segment", errno);
    if (status.st_nlink == 0)
        return fail(err, "a segment was removed", ENOENT);
    if (sync_measured(place->fd) != 0)
        return condemn(syncer, place->segment, err, errno);
    place->bytes = (uint64_t)status.st_size;
    return true;
}

bool spool_sync(struct spool_syncer *syncer, const struct content_ref *ref, struct err *err)
{
    struct synced *place;
    uint64_t end;

    if (ref->segment == 0 || __builtin_add_overflow(ref->offset, ref->sealed_bytes, &end))
        return fail(err, "not a place in a segment", EINVAL);
    if (map_get(&syncer->failed, ref->segment) != NULL)
        return fail(err, "a segment could not be made durable before", EIO);
    place = place_of(syncer, ref->segment);
    if (place->segment != ref->segment && !open_segment(syncer, place, ref->segment, err))
        return false;
    place->used = ++syncer->counter;
    if (end > place->bytes && !sync_now(syncer, place, err)) {
        synced_close(place);
        return false;
    }
    if (end > place->bytes)
        return fail(err, "a segment is shorter than its writer said", ENODATA);
    return true;
}

void spool_syncer_forget(struct spool_syncer *syncer, uint64_t segment)
{
    for (size_t i = 0; i < OPEN_SEGMENTS; i++)
        if (syncer->open[i].segment == segment)
            synced_close(&syncer->open[i]);
}
