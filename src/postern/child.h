/* SPDX-License-Identifier: Apache-2.0 */
/* One role process as the supervisor sees it, and how it is started. */
#ifndef POSTERN_CHILD_H
#define POSTERN_CHILD_H

#include "crypto/tls_tickets.h"
#include "ipc/channel.h"
#include "postern/prepare.h"

#include <sys/types.h>

struct supervisor;

struct child {
    struct supervisor *supervisor;
    enum ipc_role kind;
    unsigned index;
    pid_t pid;                   /* 0 = does not run */
    struct ipc_channel *channel; /* NULL when it does not run or closed it */
    struct loop_timer *restart;
    int64_t started_ms;
    unsigned young_deaths; /* in a row */
    unsigned starts;
    int64_t started_unix_ms;
    int64_t heard_ms; /* the keeper's last sign of life, loop clock */
    bool is_ready;
    bool has_ended; /* collected; its last messages may still wait in the channel */
    int status;     /* has_ended: how, as waitpid says */
};

/*
 * Start the process. keeper_fd_out: the keeper's end of their channel (-1 for the keeper itself); owned by the
 * caller. channel_fd_out: our end. ERR_TEMP: no descriptors or processes left.
 */
MUST_CHECK bool child_start(struct child *child, const char *program_cstr,
                            const struct prepared *prepared, int *channel_fd_out,
                            int *keeper_fd_out, struct err *err);
/* Its configure message: the text and the files that such a role may know. False: the channel is full. */
MUST_CHECK bool child_configure(struct child *child, struct settings *settings,
                                struct slice text, const char *path_cstr,
                                struct slice certificate, const struct tls_tickets *tickets);
/* How long to wait before the next start, by how it lived until now. */
int64_t child_restart_delay(struct child *child, int64_t now_ms);

#endif
