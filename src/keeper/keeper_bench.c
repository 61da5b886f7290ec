/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a message costs the keeper: pushes accepts through the whole core over socket pairs, with a
 * played courier that answers at once, and prints microseconds of CPU per message. The played peers run
 * in the same process, so their packing is in the figure.
 *
 *     keeper-bench [messages [outstanding]]
 */
#include "keeper/stand.h"
#include "kit/kit.h"
#include "kit/run.h"

#include <time.h>

static double cpu_us(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void push(struct stand *stand, struct ipc_accept *accept, unsigned at)
{
    char to_cstr[64];
    struct ipc_recipient item = {.recipient = 1};
    struct buffer list;

    snprintf(to_cstr, sizeof to_cstr, "reader%u@domain%u.test", at % 5000, at % 50);
    item.address = slice_from_cstr(to_cstr);
    buffer_init(&list, 1000);
    must(ipc_list_append(&list, IPC_RECIPIENT, &item));
    accept->message = id_next(&stand->ids, clock_unix_ms());
    accept->recipients = buffer_view(&list);
    must(ipc_send(stand->smtpd, IPC_ACCEPT, accept));
    buffer_deinit(&list);
}

static void run(const char *name_cstr, const char *more_cstr, unsigned messages,
                unsigned outstanding, bool is_delivered)
{
    struct stand stand;
    struct ipc_accept accept = {.ask = 1,
                                .kind = KIND_SUBMITTED,
                                .account = S("clinic"),
                                .user = S("clerk@clinic.test"),
                                .mail_from = S("clerk@clinic.test"),
                                .received_by = S("ESMTPSA TLSv1.3 TLS_AES_256_GCM_SHA384"),
                                .header_id = S("20261122070000.12345@clinic.test")};
    static const uint8_t content[4096];
    unsigned sent = 0;
    double began_us, used_us;
    int64_t wall_ms;

    stand_open(&stand, more_cstr);
    stand_parcel(&stand, slice_of(content, sizeof content), &accept);
    stand_run(&stand, 20);
    began_us = cpu_us();
    wall_ms = loop_now_ms();
    while (stand.accepted < messages || (is_delivered && stand.delivered < messages)) {
        while (sent < messages && sent - stand.accepted < outstanding)
            push(&stand, &accept, sent++);
        loop_run_once(stand.loop);
    }
    if (is_delivered)
        while (stand.keeper->inbox.count > 0)
            inbox_flush(stand.keeper);
    used_us = cpu_us() - began_us;
    wall_ms = loop_now_ms() - wall_ms;
    printf("%-22s %6.1f us CPU a message, %8.0f messages/s, batches of %.0f\n", name_cstr,
           used_us / messages, messages * 1000.0 / (double)(wall_ms + 1),
           (double)stand.keeper->inbox.tasks_done / (double)stand.keeper->inbox.batches);
    stand_close(&stand);
}

int main(int argc, char **argv)
{
    uint64_t messages = 50000, outstanding = 200;

    log_open("bench", LOG_ERROR);
    if ((argc > 1 && !slice_parse_u64(slice_from_cstr(argv[1]), &messages)) ||
        (argc > 2 && !slice_parse_u64(slice_from_cstr(argv[2]), &outstanding))) {
        fprintf(stderr, "usage: keeper-bench [messages [outstanding]]\n");
        return 2;
    }
    run("accept", "hold_all = true\n", (unsigned)messages, (unsigned)outstanding, false);
    run("accept and deliver", "", (unsigned)messages, (unsigned)outstanding, true);
    return 0;
}
