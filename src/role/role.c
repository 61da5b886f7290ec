/* SPDX-License-Identifier: Apache-2.0 */
#include "role/role.h"

#include "base/log.h"
#include "os/sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLUSH_MS = 1000, MAKERS_OF_A_KIND = 8 };

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = "supervisor", [ROLE_KEEPER] = "keeper", [ROLE_SMTPD] = "smtpd",
    [ROLE_COURIER] = "courier",       [ROLE_SCRIBE] = "scribe", [ROLE_PORTAL] = "portal",
    [ROLE_OFFICE] = "office",
};

const char *role_name(enum ipc_role kind)
{
    must((unsigned)kind < ROLE_COUNT);
    return role_names[kind];
}

/* What role_run keeps besides the public part. */
struct running {
    struct role role; /* first: handlers get the role and find the rest behind it */
    const struct role_hooks *hooks;
    struct buffer certificate;
    bool is_configured;
    int exit_code;
};

static struct running *running_of(struct role *role)
{
    return (struct running *)(void *)role;
}

/* Settings text and files of a configure message become a snapshot. */
static bool read_configure(const struct ipc_configure *configure,
                           struct settings **settings_out, struct err *err)
{
    char path_cstr[4096];
    struct slice rest = configure->files;
    struct ipc_file file;

    if (!slice_to_cstr(configure->path, path_cstr, sizeof path_cstr))
        return FAIL(err, ERR_PERM, "the settings path is too long");
    if (!settings_parse(configure->text, path_cstr, settings_out, err))
        return false;
    while (ipc_list_next(&rest, IPC_FILE, &file) == PROGRESS_DONE)
        settings_file_put(*settings_out, file.path, file.bytes);
    return true;
}

static bool sandbox_enter_for(const struct role *role, struct err *err)
{
    struct sandbox_plan plan = {
        .state_dir_cstr = role->settings->state_dir_cstr,
        .user_cstr = role->settings->user_cstr,
    };

    switch (role->kind) {
    case ROLE_KEEPER:
        plan.state = SANDBOX_READ | SANDBOX_WRITE;
        plan.queue = plan.portal = SANDBOX_READ | SANDBOX_WRITE;
        break;
    case ROLE_SMTPD:
        plan.queue = SANDBOX_WRITE;
        plan.may_accept = true;
        break;
    case ROLE_COURIER:
        plan.queue = SANDBOX_READ;
        plan.may_connect = true;
        break;
    case ROLE_SCRIBE:
        plan.queue = plan.portal = SANDBOX_READ | SANDBOX_WRITE;
        break;
    case ROLE_PORTAL:
        plan.portal = SANDBOX_READ;
        plan.queue = SANDBOX_WRITE;
        plan.may_accept = true;
        break;
    case ROLE_OFFICE:
        plan.may_accept = true;
        break;
    case ROLE_SUPERVISOR:
    case ROLE_COUNT:
        must_never("no role process");
    }
    return sandbox_enter(&plan, err);
}

/* Put new settings in force; on failure the old ones (if any) stay. */
static bool apply_configure(struct running *running, const struct ipc_configure *configure,
                            struct err *err)
{
    struct role *role = &running->role;
    struct settings *old = role->settings, *fresh = NULL;
    bool is_first = !running->is_configured;

    if (!read_configure(configure, &fresh, err)) {
        settings_unref(&fresh);
        return false;
    }
    role->settings = fresh;
    if (configure->certificate.len > 0) {
        buffer_clear(&running->certificate);
        if (!buffer_append(&running->certificate, configure->certificate))
            return FAIL(err, ERR_PERM, "the keeper's certificate is too large");
        role->certificate = buffer_view(&running->certificate);
    }
    log_open(role_name(role->kind), fresh->log_level);
    if (!running->hooks->on_configure(role, is_first, err) ||
        (is_first && !sandbox_enter_for(role, err))) {
        role->settings = old;
        settings_unref(&fresh);
        return false;
    }
    settings_unref(&old);
    running->is_configured = true;
    return true;
}

static void on_configure(struct running *running, const struct ipc_configure *configure)
{
    struct err err = {0};
    struct ipc_ready ready = {0};

    ready.ok = apply_configure(running, configure, &err);
    ready.problem = slice_from_cstr(err.text_cstr);
    ready.certificate =
        running->role.kind == ROLE_KEEPER ? running->role.certificate : (struct slice){0};
    if (!ready.ok)
        LOG(LOG_ERROR, "role.not_configured", log_cstr("why", err.text_cstr));
    if (!ipc_send(running->role.supervisor, IPC_READY, &ready) ||
        (!ready.ok && !running->is_configured)) {
        running->exit_code = 1;
        loop_stop(running->role.loop);
    }
}

static void on_supervisor_message(void *context, struct ipc_channel *channel,
                                  enum ipc_type type, const union ipc_any *message)
{
    struct running *running = context;
    struct role *role = &running->role;

    if (type == IPC_CONFIGURE) {
        on_configure(running, &message->configure);
    } else if (type == IPC_DRAIN && !role->is_draining) {
        role->is_draining = true;
        running->hooks->on_drain(role);
    } else if (type == IPC_ATTACH && running->hooks->on_attach != NULL) {
        int fd = ipc_channel_take_fd(channel);

        if (fd >= 0)
            running->hooks->on_attach(role, (enum ipc_role)message->attach.role,
                                      (unsigned)message->attach.index, fd);
    } else {
        LOG(LOG_WARN, "role.unexpected_message", log_cstr("type", ipc_type_name(type)));
    }
}

/* Without a supervisor nobody would restart us or stop us: end. */
static void on_supervisor_closed(void *context, struct ipc_channel *channel,
                                 const struct err *why)
{
    struct running *running = context;

    (void)channel;
    (void)why;
    loop_stop(running->role.loop);
}

static void on_keeper_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    struct running *running = context;

    (void)channel;
    LOG(LOG_WARN, "role.keeper_lost", log_cstr("why", why->text_cstr));
    if (running->is_configured && running->hooks->on_keeper_lost != NULL)
        running->hooks->on_keeper_lost(&running->role);
    running->exit_code = running->role.is_draining ? 0 : 1;
    loop_stop(running->role.loop);
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct running *running = context;

    running->hooks->on_keeper_message(&running->role, channel, type, message);
}

int role_run(enum ipc_role kind, unsigned index, const struct role_hooks *hooks, void *context)
{
    struct running running = {.hooks = hooks};
    struct role *role = &running.role;

    log_open(role_name(kind), LOG_INFO);
    /* A peer that is gone is an error of write(), never a signal. */
    signal(SIGPIPE, SIG_IGN);
    /* The terminal's Ctrl-C is the supervisor's to handle. */
    signal(SIGINT, SIG_IGN);
    role->kind = kind;
    role->index = index;
    role->context = context;
    role->loop = loop_new();
    buffer_init(&running.certificate, 64 << 10);
    role->supervisor = ipc_channel_new(role->loop, ROLE_FD_SUPERVISOR, on_supervisor_message,
                                       on_supervisor_closed, &running);
    if (kind != ROLE_KEEPER)
        role->keeper = ipc_channel_new(role->loop, ROLE_FD_KEEPER, on_keeper_message,
                                       on_keeper_closed, &running);
    loop_run(role->loop);
    if (role->keeper != NULL)
        ipc_channel_flush(role->keeper, FLUSH_MS);
    ipc_channel_flush(role->supervisor, FLUSH_MS);
    ipc_channel_free(&role->keeper);
    ipc_channel_free(&role->supervisor);
    return running.exit_code;
}

void role_finished(struct role *role)
{
    loop_stop(role->loop);
}

void role_set_certificate(struct role *role, struct slice der)
{
    struct running *running = running_of(role);

    buffer_clear(&running->certificate);
    must(buffer_append(&running->certificate, der));
    role->certificate = buffer_view(&running->certificate);
}

uint8_t role_id_maker(const struct role *role)
{
    return (uint8_t)((unsigned)role->kind * MAKERS_OF_A_KIND + role->index % MAKERS_OF_A_KIND);
}

void role_spool_path(const struct role *role, const char *kind_cstr, char *path_out,
                     size_t size)
{
    int len = snprintf(path_out, size, "%s/%s", role->settings->state_dir_cstr, kind_cstr);

    must(len > 0 && (size_t)len < size);
}
