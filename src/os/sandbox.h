/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confinement of a role process: it gives up root, then everything it does not need. Whoever takes the
 * process over has what it has open and nothing else. Three walls: an ordinary user without supplementary
 * groups; Landlock for files (the kernel's ABI is asked; without Landlock a line in the log says so); seccomp for
 * system calls that no role needs (exec, ptrace, mount, io_uring …) and for sockets by role.
 * In sanitizer builds only the user is changed: leak detection needs ptrace and /proc.
 */
#ifndef OS_SANDBOX_H
#define OS_SANDBOX_H

#include "base/err.h"

enum {
    SANDBOX_READ = 1,
    SANDBOX_WRITE = 2
}; /* write: also create; both: also remove and rename */

struct sandbox_plan {
    const char *state_dir_cstr; /* holds queue/ and portal/ */
    const char *user_cstr;      /* changed to when started as root and it exists; "" = stay */
    int state, queue, portal;   /* SANDBOX_ bits */
    bool may_accept;            /* take connections from listening sockets */
    bool may_connect;           /* open connections, ask the DNS */
};

/* Enter, for ever. ERR_PERM: the user cannot be changed to; anything else that is missing is logged. */
MUST_CHECK bool sandbox_enter(const struct sandbox_plan *plan, struct err *err);

#endif
