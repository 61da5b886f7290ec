/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "keeper/keeper.h"
#include "role/role.h"

/* What the role's hooks share. */
struct main {
    struct keeper *keeper;
};

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    struct main *main_part = role->context;

    if (!is_first)
        return keeper_configure(main_part->keeper, role->settings, err);
    if (!keeper_open(role->loop, role->settings, role_id_maker(role), &main_part->keeper, err))
        return false;
    /* Goes to the supervisor in `ready`, and from there to every role that seals. */
    role_set_certificate(role, keeper_certificate(main_part->keeper));
    return true;
}

static void on_attach(struct role *role, enum ipc_role kind, unsigned index, int fd)
{
    struct main *main_part = role->context;

    keeper_attach(main_part->keeper, kind, index, fd);
}

static void on_silent(void *context, const struct ipc_silent *who)
{
    struct role *role = context;

    LOG(LOG_ERROR, "keeper.role_silent", log_cstr("name", role_name((enum ipc_role)who->role)),
        log_u64("index", who->index), log_u64("process", who->pid),
        log_i64("silent_ms", who->silent_ms));
    if (!ipc_send(role->supervisor, IPC_SILENT, who))
        LOG(LOG_ERROR, "keeper.supervisor_does_not_read", log_u64("index", who->index));
}

static void on_report(struct role *role)
{
    struct main *main_part = role->context;

    keeper_tick(main_part->keeper, role->usage, on_silent, role);
}

static void on_census(struct role *role, struct slice members)
{
    struct main *main_part = role->context;

    keeper_census(main_part->keeper, members);
}

static void on_drained(void *context)
{
    role_finished(context);
}

static void on_drain(struct role *role)
{
    struct main *main_part = role->context;

    keeper_drain(main_part->keeper, 10000, on_drained, role);
}

static void on_end(struct role *role)
{
    struct main *main_part = role->context;

    keeper_close(&main_part->keeper);
}

int keeper_main(unsigned index)
{
    static const struct role_hooks hooks = {.on_configure = on_configure,
                                            .on_drain = on_drain,
                                            .on_end = on_end,
                                            .on_attach = on_attach,
                                            .on_report = on_report,
                                            .on_census = on_census};
    struct main main_part = {0};

    return role_run(ROLE_KEEPER, index, &hooks, &main_part);
}
