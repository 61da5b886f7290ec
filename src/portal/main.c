/* SPDX-License-Identifier: Apache-2.0 */
/* The portal's process: its hooks for role_run. */
#include "portal/portal.h"

#include "base/log.h"
#include "base/stats.h"
#include "crypto/certificate.h"
#include "role/role.h"

#include <fcntl.h>
#include <unistd.h>

enum { PATH_SIZE = 4352 };

struct portal_process {
    struct portal *portal;
    struct role *role;
    int copies_fd, queue_fd;
    int64_t certificate_ends_s; /* unix seconds */
};

static bool ask_keeper(void *context, enum ipc_type type, const void *message)
{
    struct portal_process *process = context;

    return ipc_send(process->role->keeper, type, message);
}

static bool open_folder(const struct role *role, const char *kind_cstr, int *fd_out,
                        struct err *err)
{
    char path_cstr[PATH_SIZE];

    role_spool_path(role, kind_cstr, path_cstr, sizeof path_cstr);
    *fd_out = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out >= 0 || FAIL(err, ERR_TEMP, "cannot open the folder %s", path_cstr);
}

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    struct portal_process *process = role->context;
    struct portal_options options = {.loop = role->loop,
                                     .settings = role->settings,
                                     .keeper_certificate = role->certificate,
                                     .id_maker = role_id_maker(role),
                                     .listen_fd = ROLE_FD_LISTENERS,
                                     .ask = ask_keeper,
                                     .context = process};

    process->certificate_ends_s = certificate_end(role->settings->portal.certificate.bytes);
    if (!is_first)
        return portal_reload(process->portal, role->settings, role->certificate, err);
    process->role = role;
    if (!open_folder(role, "portal", &process->copies_fd, err) ||
        !open_folder(role, "queue", &process->queue_fd, err))
        return false;
    options.copies_fd = process->copies_fd;
    options.queue_fd = process->queue_fd;
    return portal_new(&options, &process->portal, err);
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct portal_process *process = ((struct role *)context)->context;

    (void)channel;
    if (process->portal != NULL)
        portal_on_answer(process->portal, type, message);
}

static void on_idle(void *context)
{
    role_finished(context);
}

static void on_drain(struct role *role)
{
    struct portal_process *process = role->context;

    portal_drain(process->portal, on_idle, role);
}

static void on_keeper_lost(struct role *role)
{
    struct portal_process *process = role->context;

    portal_free(&process->portal);
}

static void on_report(struct role *role)
{
    struct portal_process *process = role->context;

    STAT_SET(PORTAL_CONNECTIONS, portal_connection_count(process->portal));
    STAT_SET(PORTAL_CERTIFICATE_ENDS, process->certificate_ends_s);
}

static void on_end(struct role *role)
{
    struct portal_process *process = role->context;

    portal_free(&process->portal);
    if (process->copies_fd >= 0)
        close(process->copies_fd);
    if (process->queue_fd >= 0)
        close(process->queue_fd);
}

int portal_main(unsigned index)
{
    static const struct role_hooks hooks = {
        .on_configure = on_configure,
        .on_keeper_message = on_keeper_message,
        .on_drain = on_drain,
        .on_keeper_lost = on_keeper_lost,
        .on_end = on_end,
        .on_report = on_report,
    };
    struct portal_process process = {.copies_fd = -1, .queue_fd = -1};

    return role_run(ROLE_PORTAL, index, &hooks, &process);
}
