/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wall clock that tests can set: LD_PRELOAD this, with CLOCK_SHIM naming a file of eight bytes, the
 * nanoseconds to add (native order). The file is mapped when the process begins, so that every process sees a
 * change at once, whatever it may open by then. The monotonic clock stays as it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *added_ns;
static int (*true_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path_cstr = getenv("CLOCK_SHIM");
    int fd = path_cstr == NULL ? -1 : open(path_cstr, O_RDONLY | O_CLOEXEC);
    void *mapped = MAP_FAILED;

    true_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (fd >= 0) {
        mapped = mmap(NULL, sizeof *added_ns, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    if (mapped != MAP_FAILED)
        added_ns = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int got;

    if (true_clock == NULL)
        true_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    got = true_clock(clock, now);
    if (got == 0 && added_ns != NULL &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec + *added_ns;

        now->tv_sec = ns / 1000000000;
        now->tv_nsec = ns % 1000000000;
    }
    return got;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec exact;

    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec exact;

    if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
        return -1;
    if (out != NULL)
        *out = exact.tv_sec;
    return exact.tv_sec;
}
