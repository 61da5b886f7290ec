/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scout: answers the keeper's questions about what other domains publish and offer. It keeps nothing and sees
 * no mail. See README.md.
 */
#include "base/log.h"
#include "role/role.h"

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    (void)role;
    (void)is_first;
    (void)err;
    return true;
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    (void)context;
    (void)channel;
    (void)message;
    LOG(LOG_ERROR, "scout.unexpected_message", log_cstr("type", ipc_type_name(type)));
}

/* Nothing that it does must be finished: the keeper asks the next one. */
static void on_drain(struct role *role)
{
    role_finished(role);
}

int scout_main(unsigned index)
{
    static const struct role_hooks hooks = {
        .on_configure = on_configure,
        .on_keeper_message = on_keeper_message,
        .on_drain = on_drain,
    };

    return role_run(ROLE_SCOUT, index, &hooks, NULL);
}
