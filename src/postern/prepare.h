/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor makes before any role starts, perhaps as root: the state folders, the lock, and
 * every listening socket. Roles get theirs as open descriptors; they cannot make any.
 */
#ifndef POSTERN_PREPARE_H
#define POSTERN_PREPARE_H

#include "ipc/messages.h"
#include "settings/settings.h"

enum { PREPARED_LISTENERS_MAX = 64 };

struct prepared {
    int lock_fd;
    int office_fds[2]; /* the control socket; that of metrics, or -1 */
    size_t listener_count, smtpd_count, portal_count;
    int *smtpd_fds;  /* smtpd_count times listener_count */
    int *portal_fds; /* portal_count */
};

/* All or nothing. Errors: those of os/bind.h. */
MUST_CHECK bool prepare(const struct settings *settings, struct prepared *prepared_out,
                        struct err *err);
/* The sockets that a role listens on, for its descriptors 5.. */
const int *prepared_fds(const struct prepared *prepared, enum ipc_role kind, unsigned index,
                        size_t *count_out);
/* Close everything and remove the control socket. */
void prepared_close(struct prepared *prepared, const struct settings *settings);

#endif
