/* SPDX-License-Identifier: Apache-2.0 */
#include "role/report.h"

#include "base/log.h"

#include <unistd.h>

enum { CHANGES_MAX_BYTES = STATS_SLOTS * 16 };

void report_open(struct report *report)
{
    *report = (struct report){.started_ms = clock_unix_ms()};
    buffer_init(&report->changes, CHANGES_MAX_BYTES);
    usage_open(&report->probe);
}

void report_close(struct report *report)
{
    usage_close(&report->probe);
    buffer_deinit(&report->changes);
}

void report_look(struct report *report)
{
    usage_read(&report->probe, report->count % REPORT_THOROUGHLY_EVERY == 0, &report->usage);
    report->count++;
}

static void list_changes(struct report *report)
{
    const uint64_t *now = (const uint64_t *)&stats, *before = (const uint64_t *)&report->sent;

    buffer_clear(&report->changes);
    for (uint64_t i = 0; i < STATS_SLOTS; i++) {
        struct ipc_stat item = {.slot = i, .value = now[i]};

        if (now[i] != before[i])
            must(ipc_list_append(&report->changes, IPC_STAT, &item));
    }
}

void report_send(struct report *report, struct ipc_channel *keeper)
{
    struct ipc_stats message = {.pid = (uint64_t)getpid(), .started_ms = report->started_ms};

    list_changes(report);
    message.cpu_us = report->usage.cpu_us;
    message.rss_bytes = report->usage.rss_bytes;
    message.pss_bytes = report->usage.pss_bytes;
    message.descriptors = report->usage.descriptors;
    message.changes = buffer_view(&report->changes);
    message.trouble = log_take_trouble();
    if (ipc_send(keeper, IPC_STATS, &message))
        report->sent = stats;
}
