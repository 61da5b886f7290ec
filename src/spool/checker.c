/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/checker.h"

#include "spool/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_SEGMENTS = 32 };

struct seen {
    uint64_t segment; /* 0 = empty place */
    int fd;
    uint64_t bytes; /* it was so long at least */
    uint64_t used;  /* when, by the checker's counter */
};

struct spool_checker {
    int dir_fd;
    uint64_t counter;
    struct seen open[OPEN_SEGMENTS];
};

struct spool_checker *spool_checker_new(int dir_fd)
{
    struct spool_checker *checker = calloc(1, sizeof *checker);

    must(checker != NULL);
    checker->dir_fd = spool__dup(dir_fd);
    return checker;
}

static void seen_close(struct seen *seen)
{
    if (seen->segment != 0)
        close(seen->fd);
    *seen = (struct seen){0};
}

void spool_checker_free(struct spool_checker **checker)
{
    if (*checker == NULL)
        return;
    for (size_t i = 0; i < OPEN_SEGMENTS; i++)
        seen_close(&(*checker)->open[i]);
    close((*checker)->dir_fd);
    free(*checker);
    *checker = NULL;
}

/* The place of this segment, or the one to use for it: empty, or unused for the longest time. */
static struct seen *place_of(struct spool_checker *checker, uint64_t segment)
{
    struct seen *best = &checker->open[0];

    for (size_t i = 0; i < OPEN_SEGMENTS; i++) {
        struct seen *at = &checker->open[i];

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

static bool open_segment(struct spool_checker *checker, struct seen *place, uint64_t segment,
                         struct err *err)
{
    char name_cstr[SPOOL_NAME_SIZE];
    int fd;

    spool_segment_name(segment, name_cstr);
    fd = openat(checker->dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail(err, "cannot open a segment", errno);
    seen_close(place);
    *place = (struct seen){.segment = segment, .fd = fd};
    return true;
}

static bool look(struct seen *place, struct err *err)
{
    struct stat status;

    if (fstat(place->fd, &status) != 0)
        return fail(err, "cannot look at a segment", errno);
    if (status.st_nlink == 0)
        return fail(err, "a segment was removed", ENOENT);
    place->bytes = (uint64_t)status.st_size;
    return true;
}

bool spool_check(struct spool_checker *checker, const struct content_ref *ref, struct err *err)
{
    struct seen *place;
    uint64_t end;

    if (ref->segment == 0 || __builtin_add_overflow(ref->offset, ref->sealed_bytes, &end))
        return fail(err, "not a place in a segment", EINVAL);
    place = place_of(checker, ref->segment);
    if (place->segment != ref->segment && !open_segment(checker, place, ref->segment, err))
        return false;
    place->used = ++checker->counter;
    if (end > place->bytes && !look(place, err)) {
        seen_close(place);
        return false;
    }
    if (end > place->bytes)
        return fail(err, "a segment is shorter than its writer said", ENODATA);
    return true;
}

void spool_checker_forget(struct spool_checker *checker, uint64_t segment)
{
    for (size_t i = 0; i < OPEN_SEGMENTS; i++)
        if (checker->open[i].segment == segment)
            seen_close(&checker->open[i]);
}
