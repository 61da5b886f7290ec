/* SPDX-License-Identifier: Apache-2.0 */
#include "role/role.h"

#include "role/confine.h"
#include "role/report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, LAST_WORDS_MS = 500, LINGER_MS = 30, EXIT_KEEPER_LOST = 3 };

/* `role` is what the hooks see, and stands first: a pointer to it is one to the process. */
struct process {
    struct role role;
    const struct role_hooks *hooks;
    struct loop_timer *drain_limit, *report_timer;
    struct report report;
    bool is_configured;
    bool is_finished; /* role_finished was called */
    int exit_code;
    char name_cstr[24]; /* "smtpd-1", for the log */
};

/* Who is who: names on the command line and in the log, and disjoint ranges of id makers (0..63). */
static const struct row {
    const char *name_cstr;
    uint8_t first_maker, makers;
} rows[ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = {"supervisor", 0, 0}, [ROLE_KEEPER] = {"keeper", 0, 1},
    [ROLE_OFFICE] = {"office", 1, 1},         [ROLE_SMTPD] = {"smtpd", 2, 24},
    [ROLE_SCRIBE] = {"scribe", 26, 16},       [ROLE_PORTAL] = {"portal", 42, 8},
    [ROLE_COURIER] = {"courier", 50, 14},     [ROLE_SCOUT] = {"scout", 0, 0},
};

const char *role_name(enum ipc_role kind)
{
    return rows[kind].name_cstr;
}

enum ipc_role role_parse(struct slice name)
{
    enum ipc_role kind = ROLE_KEEPER;

    while (kind < ROLE_COUNT && !slice_equal(slice_from_cstr(rows[kind].name_cstr), name))
        kind++;
    return kind;
}

uint8_t role_id_maker(const struct role *role)
{
    const struct row *row = &rows[role->kind];

    must(role->index < row->makers);
    return (uint8_t)(row->first_maker + role->index);
}

void role_spool_path(const struct role *role, const char *kind_cstr, char *path_out,
                     size_t size)
{
    int len = snprintf(path_out, size, "%s/%s", role->settings->state_dir_cstr, kind_cstr);

    must(len > 0 && (size_t)len < size);
}

void role_finished(struct role *role)
{
    struct process *process = (struct process *)(void *)role;

    process->is_finished = true;
    /* Connections that are closing get a moment to say so. */
    loop_timer_set(process->drain_limit, LINGER_MS);
}

void role_set_certificate(struct role *role, struct slice certificate)
{
    uint8_t *copy = malloc(certificate.len + 1);

    must(copy != NULL);
    if (certificate.len > 0)
        memcpy(copy, certificate.at, certificate.len);
    free((void *)(uintptr_t)role->certificate.at);
    role->certificate = slice_of(copy, certificate.len);
}

static void on_keeper_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    struct process *process = context;

    (void)channel;
    if (!process->role.is_draining)
        LOG(LOG_WARN, "role.keeper_lost", log_cstr("why", why->text_cstr));
    if (process->hooks->on_keeper_lost != NULL)
        process->hooks->on_keeper_lost(&process->role);
    process->exit_code = process->role.is_draining ? EXIT_SUCCESS : EXIT_KEEPER_LOST;
    loop_stop(process->role.loop);
}

/* ---- signs of life ---- */

/* Nobody but the supervisor watches the keeper. One that does not read will notice the silence. */
static void send_pulse(struct process *process)
{
    struct ipc_pulse pulse = {.pid = (uint64_t)getpid()};

    (void)!ipc_send(process->role.supervisor, IPC_PULSE, &pulse);
}

static void on_report(void *context)
{
    struct process *process = context;

    report_look(&process->report);
    if (process->hooks->on_report != NULL)
        process->hooks->on_report(&process->role);
    if (process->role.keeper != NULL)
        report_send(&process->report, process->role.keeper);
    else
        send_pulse(process);
    loop_timer_set(process->report_timer, REPORT_EVERY_MS);
}

/* ---- configure ---- */

static void answer_ready(struct process *process, const struct err *problem)
{
    struct ipc_ready ready = {.ok = problem == NULL,
                              .problem =
                                  slice_from_cstr(problem == NULL ? "" : problem->text_cstr)};

    if (process->role.kind == ROLE_KEEPER)
        ready.certificate = process->role.certificate;
    if (!ipc_send(process->role.supervisor, IPC_READY, &ready))
        loop_stop(process->role.loop);
}

static bool put_files(struct settings *settings, struct slice files, struct err *err)
{
    struct ipc_file file;
    enum progress got;

    while ((got = ipc_list_next(&files, IPC_FILE, &file)) == PROGRESS_DONE)
        settings_file_put(settings, file.path, file.bytes);
    return got == PROGRESS_WAIT ||
           FAIL(err, ERR_PERM, "the supervisor sent a broken file list");
}

/* Put the new settings in force, or leave the old ones and say why. */
static bool configure(struct process *process, const struct ipc_configure *message,
                      struct err *err)
{
    struct role *role = &process->role;
    struct settings *old = role->settings, *fresh = NULL;
    char path_cstr[PATH_SIZE];
    bool done;

    if (!slice_to_cstr(message->path, path_cstr, sizeof path_cstr))
        return FAIL(err, ERR_PERM, "the settings file's path is too long");
    if (!settings_parse(message->text, path_cstr, &fresh, err))
        return false;
    done = put_files(fresh, message->files, err);
    if (done) {
        log_open(process->name_cstr, fresh->log_level);
        log_style(fresh->log_format, fresh->log_slow_ms);
        if (role->kind != ROLE_KEEPER)
            role_set_certificate(role, message->certificate);
        role->settings = fresh;
        role->tickets = (struct tls_tickets){message->tickets, message->tickets_period};
        done = (process->is_configured || role_become(fresh, err)) &&
               process->hooks->on_configure(role, !process->is_configured, err);
    }
    if (done && !process->is_configured)
        done = role_confine(role->kind, fresh, err);
    role->settings = done ? fresh : old;
    settings_unref(done ? &old : &fresh);
    return done;
}

static void on_configure(struct process *process, const struct ipc_configure *message)
{
    struct role *role = &process->role;
    struct err err = {0};

    if (!process->is_configured && role->kind != ROLE_KEEPER)
        role->keeper =
            ipc_channel_new(role->loop, ROLE_FD_KEEPER, process->hooks->on_keeper_message,
                            on_keeper_closed, role);
    if (configure(process, message, &err)) {
        if (!process->is_configured)
            on_report(process);
        process->is_configured = true;
        answer_ready(process, NULL);
        return;
    }
    LOG(LOG_ERROR, "role.not_configured", log_cstr("problem", err.text_cstr));
    answer_ready(process, &err);
    if (!process->is_configured) {
        process->exit_code = EXIT_FAILURE;
        loop_stop(role->loop);
    }
}

/* ---- the supervisor's other words ---- */

static void on_drain_limit(void *context)
{
    struct process *process = context;

    if (!process->is_finished)
        LOG(LOG_WARN, "role.drain_cut_short", log_u64("role", process->role.kind));
    loop_stop(process->role.loop);
}

static void on_drain(struct process *process, const struct ipc_drain *message)
{
    if (process->role.is_draining)
        return;
    process->role.is_draining = true;
    loop_timer_set(process->drain_limit,
                   message->limit_ms < INT32_MAX ? (int64_t)message->limit_ms : INT32_MAX);
    if (process->hooks->on_drain != NULL && process->is_configured)
        process->hooks->on_drain(&process->role);
    else
        loop_stop(process->role.loop);
}

static void on_attach(struct process *process, const struct ipc_attach *message)
{
    int fd = ipc_channel_take_fd(process->role.supervisor);

    if (fd < 0)
        return;
    if (process->hooks->on_attach == NULL || message->role >= ROLE_COUNT) {
        close(fd);
        return;
    }
    process->hooks->on_attach(&process->role, (enum ipc_role)message->role,
                              (unsigned)message->index, fd);
}

static void on_supervisor_message(void *context, struct ipc_channel *channel,
                                  enum ipc_type type, const union ipc_any *message)
{
    struct process *process = context;

    (void)channel;
    if (type == IPC_CONFIGURE)
        on_configure(process, &message->configure);
    else if (type == IPC_DRAIN)
        on_drain(process, &message->drain);
    else if (type == IPC_ATTACH)
        on_attach(process, &message->attach);
    else if (type == IPC_CENSUS && process->hooks->on_census != NULL && process->is_configured)
        process->hooks->on_census(&process->role, message->census.members);
    else
        LOG(LOG_ERROR, "role.unexpected_message", log_cstr("type", ipc_type_name(type)));
}

static void on_supervisor_closed(void *context, struct ipc_channel *channel,
                                 const struct err *why)
{
    struct process *process = context;

    (void)channel;
    (void)why;
    process->exit_code = EXIT_FAILURE;
    loop_stop(process->role.loop);
}

/* The supervisor decides when we end: Ctrl-C and service managers signal whole groups. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT};

    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
}

static void end(struct process *process)
{
    struct role *role = &process->role;

    if (process->hooks->on_end != NULL && process->is_configured)
        process->hooks->on_end(role);
    if (role->keeper != NULL)
        ipc_channel_flush(role->keeper, LAST_WORDS_MS);
    ipc_channel_flush(role->supervisor, LAST_WORDS_MS);
    ipc_channel_free(&role->keeper);
    ipc_channel_free(&role->supervisor);
    settings_unref(&role->settings);
    free((void *)(uintptr_t)role->certificate.at);
    loop_timer_free(&process->drain_limit);
    loop_timer_free(&process->report_timer);
    report_close(&process->report);
    loop_free(&role->loop);
}

int role_run(enum ipc_role kind, unsigned index, const struct role_hooks *hooks, void *context)
{
    static struct process process; /* there is one in a process; too large for a stack */

    process = (struct process){.role = {.kind = kind, .index = index, .context = context},
                               .hooks = hooks};

    if (index < rows[kind].makers && rows[kind].makers > 1)
        (void)snprintf(process.name_cstr, sizeof process.name_cstr, "%s-%u", role_name(kind),
                       index);
    else
        (void)snprintf(process.name_cstr, sizeof process.name_cstr, "%s", role_name(kind));
    log_open(process.name_cstr, LOG_INFO);
    ignore_signals();
    process.role.loop = loop_new();
    report_open(&process.report);
    process.role.usage = &process.report.usage;
    process.report_timer = loop_timer_new(process.role.loop, on_report, &process);
    process.drain_limit = loop_timer_new(process.role.loop, on_drain_limit, &process);
    process.role.supervisor =
        ipc_channel_new(process.role.loop, ROLE_FD_SUPERVISOR, on_supervisor_message,
                        on_supervisor_closed, &process);
    loop_run(process.role.loop);
    end(&process);
    return process.exit_code;
}
