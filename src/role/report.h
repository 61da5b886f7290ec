/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A role's sign of life: every second it tells the keeper what its counters have become (only those that
 * changed), what it uses, and its last warning or error. Who is silent for long is ended by the supervisor.
 */
#ifndef ROLE_REPORT_H
#define ROLE_REPORT_H

#include "base/stats.h"
#include "ipc/channel.h"
#include "os/usage.h"

enum { REPORT_EVERY_MS = 1000, REPORT_THOROUGHLY_EVERY = 15 };

struct report {
    struct usage_probe probe;
    struct usage usage;
    struct stats sent; /* as the keeper knows them */
    struct buffer changes;
    int64_t started_ms; /* unix */
    unsigned count;
};

/* Before the process is confined. */
void report_open(struct report *report);
void report_close(struct report *report);
/* Fill usage; every REPORT_THOROUGHLY_EVERYth time with what is expensive. */
void report_look(struct report *report);
/* Send what report_look saw and what has changed. What cannot be sent now is sent the next time. */
void report_send(struct report *report, struct ipc_channel *keeper);

#endif
