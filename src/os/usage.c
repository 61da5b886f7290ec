/* SPDX-License-Identifier: Apache-2.0 */
#include "os/usage.h"

#include "base/slice.h"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 4096 };

void usage_open(struct usage_probe *probe_out)
{
    probe_out->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    probe_out->smaps_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    probe_out->fds_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void usage_close(struct usage_probe *probe)
{
    close_one(&probe->statm_fd);
    close_one(&probe->smaps_fd);
    close_one(&probe->fds_fd);
}

static struct slice read_text(int fd, char *to)
{
    ssize_t got = fd < 0 ? -1 : pread(fd, to, TEXT_BYTES, 0);

    return slice_of(to, got < 0 ? 0 : (size_t)got);
}

/* The second number of statm: resident pages. */
static uint64_t read_rss(int fd)
{
    char bytes[TEXT_BYTES];
    struct slice text = read_text(fd, bytes);
    uint64_t pages = 0;

    (void)slice_cut(&text, ' ');
    if (!slice_parse_u64(slice_cut(&text, ' '), &pages))
        return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The line "Pss:  1234 kB". */
static uint64_t read_pss(int fd)
{
    char bytes[TEXT_BYTES];
    struct slice text = read_text(fd, bytes);
    uint64_t kib = 0;

    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        if (!slice_starts_with(line, S("Pss:")))
            continue;
        line = slice_trim(slice_from(line, 4));
        return slice_parse_u64(slice_cut(&line, ' '), &kib) ? kib * 1024 : 0;
    }
    return 0;
}

static uint64_t count_descriptors(int fd)
{
    int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;
    uint64_t count = 0;

    if (folder == NULL) {
        if (copy >= 0)
            close(copy);
        return 0;
    }
    rewinddir(folder);
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.' ? 1 : 0;
    closedir(folder);
    return count > 0 ? count - 1 : 0; /* the copy itself */
}

void usage_read(const struct usage_probe *probe, bool thoroughly, struct usage *usage)
{
    struct timespec used = {0};

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0)
        usage->cpu_us = (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
    usage->rss_bytes = read_rss(probe->statm_fd);
    if (!thoroughly)
        return;
    usage->pss_bytes = read_pss(probe->smaps_fd);
    usage->descriptors = count_descriptors(probe->fds_fd);
}
