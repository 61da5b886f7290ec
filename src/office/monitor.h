/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watches us from outside: plain HTTP on the address of `metrics` in the settings. /metrics is Prometheus'
 * text, /health says whether the keeper answers, /ready whether mail is taken and carried. The keeper makes
 * the answers; who does not get one in time is told 503. No names, no addresses, no domains.
 */
#ifndef OFFICE_MONITOR_H
#define OFFICE_MONITOR_H

#include "base/err.h"
#include "base/slice.h"
#include "os/loop.h"

struct monitor;

struct monitor_options {
    struct loop *loop;
    int listen_fd; /* borrowed */
    /* Put a request to the keeper: its number, 0 = it cannot be asked now. */
    uint64_t (*ask)(void *context, struct slice request);
    void *context;
};

/* ERR_TEMP: no descriptors or no memory. */
MUST_CHECK bool monitor_open(const struct monitor_options *options,
                             struct monitor **monitor_out, struct err *err);
/* A piece of an answer; numbers that are not ours are passed over. NULL inside is fine. */
void monitor_on_answer(struct monitor *monitor, uint64_t ask, struct slice piece, bool more);
/* Who waits is told 503. */
void monitor_close(struct monitor **monitor);

#endif
