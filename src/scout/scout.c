/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scout: answers the keeper's questions about what other domains publish and offer. It keeps nothing and sees
 * no mail. See README.md.
 */
#include "scout/scout.h"

#include "base/log.h"
#include "base/stats.h"
#include "role/role.h"
#include "scout/probe.h"
#include "scout/report.h"
#include "scout/sts.h"

/* The kinds of questions, one room each. */
static const struct scout_kind *const kinds[] = {
    &scout_sts, &scout_rua, &scout_report, &scout_probe, NULL,
};

struct scout_process {
    struct role *role;
    struct scout *scout;
};

static bool send_answer(void *context, enum ipc_type type, const void *message)
{
    struct scout_process *process = context;

    return ipc_send(process->role->keeper, type, message);
}

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    struct scout_process *process = role->context;

    if (is_first) {
        process->role = role;
        process->scout = scout_new(&(struct scout_options){
            .loop = role->loop, .kinds = kinds, .send = send_answer, .context = process});
    }
    if (scout_configure(process->scout, role->settings, err))
        return true;
    if (is_first)
        scout_free(&process->scout);
    return false;
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct role *role = context;
    struct scout_process *process = role->context;

    (void)channel;
    /* Draining: what is not begun is not answered; the keeper asks the next scout. */
    if (!role->is_draining && !scout_take(process->scout, type, message))
        LOG(LOG_ERROR, "scout.unexpected_message", log_cstr("type", ipc_type_name(type)));
}

static void on_report(struct role *role)
{
    struct scout_process *process = role->context;

    STAT_SET(SCOUT_WAITING, scout_count(process->scout));
}

/* Nothing that it does must be finished: the keeper asks the next one. */
static void on_drain(struct role *role)
{
    role_finished(role);
}

static void on_end(struct role *role)
{
    struct scout_process *process = role->context;

    scout_free(&process->scout);
}

int scout_main(unsigned index)
{
    static const struct role_hooks hooks = {
        .on_configure = on_configure,
        .on_keeper_message = on_keeper_message,
        .on_drain = on_drain,
        .on_end = on_end,
        .on_report = on_report,
    };
    struct scout_process process = {0};

    return role_run(ROLE_SCOUT, index, &hooks, &process);
}
