/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this process uses: time, memory, descriptors. The files of /proc are opened once, before a process
 * confines itself, and read again and again.
 */
#ifndef OS_USAGE_H
#define OS_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct usage_probe {
    int statm_fd, smaps_fd, fds_fd; /* -1: not to be had */
};

struct usage {
    uint64_t cpu_us;      /* user and system time since its start */
    uint64_t rss_bytes;   /* resident memory; 0 = not known, as below */
    uint64_t pss_bytes;   /* with pages shared by n processes counted as one n-th */
    uint64_t descriptors; /* open ones */
};

/* Open what there is. */
void usage_open(struct usage_probe *probe_out);
/* Safe to call twice. */
void usage_close(struct usage_probe *probe);
/* thoroughly: pss_bytes and descriptors too, which the kernel has to count; else they stay as they are. */
void usage_read(const struct usage_probe *probe, bool thoroughly, struct usage *usage);

#endif
