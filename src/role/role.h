/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every role process has in common: it is started by the supervisor with its descriptors in
 * fixed places, waits for its first `configure`, confines itself (user, Landlock, seccomp), then lives
 * on one loop between the supervisor's channel and the keeper's, until it is told to drain or the
 * keeper is lost. A role only writes its hooks; role_run does the rest and never returns before the end.
 *
 * Descriptors: 0-2 as inherited, 3 = supervisor, 4 = keeper (not in the keeper itself), 5.. = listening
 * sockets, in the order of settings->listeners for smtpd, the portal's socket for the portal, the
 * control socket for the office.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "crypto/tls_tickets.h"
#include "ipc/channel.h"
#include "os/usage.h"
#include "settings/settings.h"

enum { ROLE_FD_SUPERVISOR = 3, ROLE_FD_KEEPER = 4, ROLE_FD_LISTENERS = 5 };

struct role {
    enum ipc_role kind;
    unsigned index; /* 0.. among its kind; id makers use kind and index */
    struct loop *loop;
    struct settings *settings; /* the snapshot now in force; take a reference to keep one */
    struct slice
        certificate; /* DER of the keeper's certificate, for sealing (empty in the keeper) */
    struct tls_tickets tickets; /* of all processes of this kind, where they have such */
    struct ipc_channel *supervisor, *keeper; /* keeper: NULL in the keeper */
    const struct usage *usage;               /* this process's, looked at every second */
    bool is_draining;
    void *context; /* given to role_run */
};

struct role_hooks {
    /*
     * New settings are in role->settings (the first time: before confinement, so files may be opened
     * here). False: the old ones stay in force and err goes to the operator; the first time the role ends.
     */
    bool (*on_configure)(struct role *role, bool is_first, struct err *err);
    /* A message from the keeper (in the keeper: unused). */
    ipc_message_fn *on_keeper_message; /* context = role */
    /* Stop accepting work; call role_finished when the last piece is done. */
    void (*on_drain)(struct role *role);
    /* The keeper is gone: say 421 or the like to whoever waits. role_run then ends the process. */
    void (*on_keeper_lost)(struct role *role);
    /*
     * The loop has ended, but it and the channels still exist: free what hangs on them (after role_run
     * they are gone). Not called when the first on_configure failed. NULL: nothing does.
     */
    void (*on_end)(struct role *role);
    /* In the keeper: a new channel to another role (owned by the hook). Else NULL. */
    void (*on_attach)(struct role *role, enum ipc_role kind, unsigned index, int fd);
    /* Every second, before a report leaves: set the gauges of base/stats.h. NULL: there are none. */
    void (*on_report)(struct role *role);
    /* In the keeper: who runs (items: ipc_member). Else NULL. */
    void (*on_census)(struct role *role, struct slice members);
};

/* Run the role to its end; the process's exit code. */
int role_run(enum ipc_role kind, unsigned index, const struct role_hooks *hooks, void *context);
/* In the keeper's first on_configure: its certificate (copied), for its `ready` and so for everybody. */
void role_set_certificate(struct role *role, struct slice certificate);
/* Everything that on_drain asked for is done: leave the loop. */
void role_finished(struct role *role);
/* "keeper", "smtpd", …; ROLE_COUNT when there is none of that name. */
const char *role_name(enum ipc_role kind);
enum ipc_role role_parse(struct slice name);
/* A number 0..63 that no other process uses now: for base/id makers. */
uint8_t role_id_maker(const struct role *role);
/* The folder of segments: "STATE/queue" or "STATE/portal". */
void role_spool_path(const struct role *role, const char *kind_cstr, char *path_out,
                     size_t size);

/* The roles' own entry points, called by postern/main.c: `postern role NAME INDEX`. */
int keeper_main(unsigned index);
int smtpd_main(unsigned index);
int courier_main(unsigned index);
int scribe_main(unsigned index);
int scout_main(unsigned index);
int portal_main(unsigned index);
int office_main(unsigned index);

#endif
