/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All SMTP sessions of one process: takes connections, counts them, carries the sessions'
 * questions to the keeper and its answers back, reloads, drains. What a session says is in
 * session.h.
 */
#ifndef SMTPD_SERVER_H
#define SMTPD_SERVER_H

#include "base/id.h"
#include "crypto/tls_tickets.h"
#include "ipc/channel.h"
#include "os/loop.h"
#include "settings/settings.h"
#include "spool/writer.h"

struct smtpd;

struct smtpd_options {
    struct loop *loop;
    struct ipc_channel *keeper; /* borrowed; its messages are given to smtpd_on_message */
    struct id_maker *ids;       /* borrowed */
    struct spool_writer *spool; /* borrowed; must outlive the server */
    int spool_dir_fd;           /* its folder, duplicated: free space is looked at */
    /* Borrowed, looked at by each smtpd_configure; NULL = tickets of this process only. */
    const struct tls_tickets *tickets;
};

struct smtpd *smtpd_new(const struct smtpd_options *options);
/* Breaks off every session. */
void smtpd_free(struct smtpd **smtpd);
/*
 * New settings for new sessions; those that run keep theirs. Takes a reference. Errors:
 * ERR_PERM: the certificate or its key cannot be used; then the old settings stay.
 */
MUST_CHECK bool smtpd_configure(struct smtpd *smtpd, struct settings *settings,
                                struct err *err);
/*
 * A connection has come. fd is owned from now on. listener: a row of the settings in force,
 * copied.
 */
void smtpd_accept(struct smtpd *smtpd, int fd, const struct settings_listener *listener);
/* auth_result and accept_result; everything else is passed over. */
void smtpd_on_message(struct smtpd *smtpd, enum ipc_type type, const union ipc_any *message);

typedef void smtpd_done_fn(void *context);
/* Send idle sessions away, let the others finish what they are in; done when the last one is
 * gone. */
void smtpd_drain(struct smtpd *smtpd, smtpd_done_fn *done, void *context);
/* The keeper is gone: 421 to everybody. */
void smtpd_keeper_lost(struct smtpd *smtpd);
size_t smtpd_session_count(const struct smtpd *smtpd);

#endif
