/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other processes: start a program with descriptors in fixed places, learn of its end, and what this
 * process asks of the kernel about itself.
 */
#ifndef OS_PROCESS_H
#define OS_PROCESS_H

#include "base/err.h"

#include <stddef.h>
#include <sys/types.h>

enum { PROCESS_FIRST_FD = 3, PROCESS_FDS_MAX = 80 };

/*
 * Start `program_cstr` with `arguments` (ends with NULL). fds[i] (borrowed) becomes its descriptor 3 + i; it
 * inherits 0-2 and nothing else. It is killed when this process ends. Signals have their defaults. ERR_TEMP: no
 * process could be made; a program that cannot be executed is a child that ends with 127.
 */
MUST_CHECK bool process_start(const char *program_cstr, char *const arguments[], const int *fds,
                              size_t fd_count, pid_t *pid_out, struct err *err);
/* Collect one child that has ended: false when none has. status as waitpid gives it. */
MUST_CHECK bool process_reap(pid_t *pid_out, int *status_out);
/* "exit code 1", "signal 9 (Killed)". */
void process_describe(int status, char *text_out, size_t size);
/* A stream socket pair, close-on-exec. */
MUST_CHECK bool process_socket_pair(int fds_out[2], struct err *err);
/* Allow as many descriptors as the kernel gives us. */
void process_raise_fd_limit(void);
/* No core dump and no debugger of the same user: keys are in memory. */
MUST_CHECK bool process_forbid_dumps(void);
/*
 * Give up every capability, for good, also for programs started from here. A service manager may have lent
 * us ports below 1024. Root keeps its own: it changes users later. ERR_TEMP: the kernel refused.
 */
MUST_CHECK bool process_drop_capabilities(struct err *err);
/*
 * Tell the service manager, when there is one, lines of VARIABLE=value [sd_notify(3)]: "READY=1", "STOPPING=1",
 * "STATUS=words for people". One datagram to the UNIX socket that $NOTIFY_SOCKET names; nobody answers.
 */
void process_notify(const char *state_cstr);
/* Tell it that the settings are being read again; "READY=1" ends that. */
void process_notify_reloading(void);

#endif
