/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/supervisor.h"

#include "os/process.h"
#include "postern/child.h"
#include "postern/commands.h"
#include "postern/inspect.h"
#include "role/report.h"
#include "role/role.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHILDREN_MAX = 80,
    PATH_SIZE = 4096,
    DRAIN_LIMIT_MS = 10000,
    WATCH_MS = 2000,
    WATCH_LATE_MS = 5000,
    CENSUS_MAX_BYTES = 64 << 10,
    END_LIMIT_MS = 3000,  /* roles that lost the keeper have this long to go */
    YOUNG_DEATHS_MAX = 4, /* before the first time that all were ready: give up then */
};

struct supervisor {
    struct loop *loop;
    const char *program_cstr;
    char path_cstr[PATH_SIZE];
    struct settings *settings;
    struct slice text;          /* of the settings in force; owned, wiped */
    struct slice certificate;   /* the keeper's; owned */
    struct tls_tickets tickets; /* of the smtpd processes */
    struct prepared prepared;
    struct child children[CHILDREN_MAX]; /* the keeper is the first */
    size_t child_count;
    struct loop_signal *signals[4];
    struct loop_timer *end_limit, *watch;
    int64_t watched_ms;   /* loop clock */
    struct report report; /* what we use ourselves */
    struct buffer census;
    bool has_served;  /* all were ready once */
    bool is_draining; /* told to end */
    bool is_keeper_draining;
    int exit_code;
};

static void start_child(struct child *child);
static void send_census(struct supervisor *supervisor);
static bool configure_child(struct child *child);
static void on_child_end(struct child *child);

static void text_free(struct slice *text)
{
    if (text->at != NULL)
        explicit_bzero((void *)(uintptr_t)text->at, text->len);
    free((void *)(uintptr_t)text->at);
    *text = (struct slice){NULL, 0};
}

static void child_log(enum log_level level, const char *event_cstr, const struct child *child,
                      const char *detail_cstr)
{
    LOG(level, event_cstr, log_cstr("name", role_name(child->kind)),
        log_u64("index", child->index), log_i64("process", child->pid),
        log_cstr("detail", detail_cstr));
}

static void signal_all(struct supervisor *supervisor, int number)
{
    for (size_t i = 0; i < supervisor->child_count; i++) {
        if (supervisor->children[i].pid > 0 && !supervisor->children[i].has_ended)
            (void)kill(supervisor->children[i].pid, number);
    }
}

static bool is_anyone_left(const struct supervisor *supervisor, bool with_keeper)
{
    for (size_t i = with_keeper ? 0 : 1; i < supervisor->child_count; i++) {
        if (supervisor->children[i].pid > 0)
            return true;
    }
    return false;
}

/* End at once: it never began to serve, or somebody insists. */
static void give_up(struct supervisor *supervisor, int exit_code)
{
    supervisor->is_draining = supervisor->is_keeper_draining = true;
    supervisor->exit_code = exit_code;
    signal_all(supervisor, SIGKILL);
    if (!is_anyone_left(supervisor, true))
        loop_stop(supervisor->loop);
}

/* ---- start ---- */

/* For `systemctl status`; also the end of a reload. */
static void notify_ready(const struct supervisor *supervisor, const char *what_cstr)
{
    char text_cstr[160];

    if (!supervisor->has_served)
        return;
    (void)snprintf(text_cstr, sizeof text_cstr, "READY=1\nSTATUS=%s with %zu roles", what_cstr,
                   supervisor->child_count);
    process_notify(text_cstr);
}

static void note_when_all_serve(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->child_count; i++) {
        if (!supervisor->children[i].is_ready)
            return;
    }
    if (!supervisor->has_served) {
        supervisor->has_served = true;
        notify_ready(supervisor, "Serving");
    }
    LOG(LOG_INFO, "supervisor.serving", log_u64("roles", supervisor->child_count));
}

static void on_ready(struct child *child, const struct ipc_ready *ready)
{
    struct supervisor *supervisor = child->supervisor;
    char problem_cstr[256] = "";

    if (!ready->ok) {
        if (!slice_to_cstr(slice_head(ready->problem, sizeof problem_cstr - 1), problem_cstr,
                           sizeof problem_cstr))
            problem_cstr[0] = 0;
        child_log(LOG_ERROR, "supervisor.role_refuses", child, problem_cstr);
        if (!supervisor->has_served) {
            (void)fprintf(stderr, "postern: %s: %s\n", role_name(child->kind), problem_cstr);
            give_up(supervisor, EXIT_FAILURE);
        }
        return;
    }
    if (child->is_ready)
        return; /* a reload */
    child->is_ready = true;
    child->heard_ms = loop_now_ms();
    if (child->kind == ROLE_KEEPER) {
        uint8_t *copy = malloc(ready->certificate.len + 1);

        must(copy != NULL);
        if (ready->certificate.len > 0)
            memcpy(copy, ready->certificate.at, ready->certificate.len);
        text_free(&supervisor->certificate);
        supervisor->certificate = slice_of(copy, ready->certificate.len);
        for (size_t i = 1; i < supervisor->child_count; i++)
            start_child(&supervisor->children[i]);
    }
    note_when_all_serve(supervisor);
    send_census(supervisor);
}

/* ---- signs of life ---- */

static bool append_member(struct buffer *list, struct ipc_member member)
{
    return ipc_list_append(list, IPC_MEMBER, &member);
}

/* The keeper tells operators; it is the only one who hears of everybody. */
static void send_census(struct supervisor *supervisor)
{
    struct child *keeper = &supervisor->children[0];
    const struct usage *usage = &supervisor->report.usage;
    struct ipc_census census;
    bool fits;

    if (keeper->channel == NULL || !keeper->is_ready)
        return;
    buffer_clear(&supervisor->census);
    fits = append_member(&supervisor->census,
                         (struct ipc_member){.role = ROLE_SUPERVISOR,
                                             .pid = (uint64_t)getpid(),
                                             .started_ms = supervisor->report.started_ms,
                                             .cpu_us = usage->cpu_us,
                                             .rss_bytes = usage->rss_bytes,
                                             .pss_bytes = usage->pss_bytes,
                                             .descriptors = usage->descriptors});
    for (size_t i = 0; i < supervisor->child_count && fits; i++) {
        const struct child *child = &supervisor->children[i];

        fits = append_member(
            &supervisor->census,
            (struct ipc_member){.role = child->kind,
                                .index = child->index,
                                .pid = (uint64_t)child->pid,
                                .restarts = child->starts > 0 ? child->starts - 1 : 0,
                                .started_ms = child->started_unix_ms});
    }
    census.members = buffer_view(&supervisor->census);
    if (fits && !ipc_send(keeper->channel, IPC_CENSUS, &census))
        child_log(LOG_WARN, "supervisor.keeper_does_not_read", keeper, "");
}

static void end_silent(struct child *child, int64_t silent_ms)
{
    char detail_cstr[64];

    (void)snprintf(detail_cstr, sizeof detail_cstr, "no sign of life for %lld ms",
                   (long long)silent_ms);
    child_log(LOG_ERROR, "supervisor.role_silent", child, detail_cstr);
    (void)kill(child->pid, SIGKILL); /* its end is noticed like any other */
}

static void on_silent(struct supervisor *supervisor, const struct ipc_silent *silent)
{
    for (size_t i = 1; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];

        /* Its successor has done nothing. */
        if (child->kind == silent->role && child->index == silent->index && child->pid > 0 &&
            !child->has_ended && !supervisor->is_draining &&
            (silent->pid == 0 || silent->pid == (uint64_t)child->pid))
            end_silent(child, silent->silent_ms);
    }
}

static void on_watch(void *context)
{
    struct supervisor *supervisor = context;
    struct child *keeper = &supervisor->children[0];
    int64_t now_ms = loop_now_ms();
    bool was_away = now_ms - supervisor->watched_ms > WATCH_LATE_MS;

    supervisor->watched_ms = now_ms;
    if (was_away) /* then its signs of life wait to be read */
        keeper->heard_ms = now_ms;
    if (keeper->is_ready && keeper->pid > 0 && !keeper->has_ended && !supervisor->is_draining &&
        now_ms - keeper->heard_ms > supervisor->settings->watchdog_ms) {
        end_silent(keeper, now_ms - keeper->heard_ms);
        keeper->heard_ms = now_ms;
    }
    report_look(&supervisor->report);
    send_census(supervisor);
    loop_timer_set(supervisor->watch, WATCH_MS);
}

static void on_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                       const union ipc_any *message)
{
    struct child *child = context;

    (void)channel;
    if (type == IPC_READY)
        on_ready(child, &message->ready);
    else if (type == IPC_PULSE && child->kind == ROLE_KEEPER)
        child->heard_ms = loop_now_ms();
    else if (type == IPC_SILENT && child->kind == ROLE_KEEPER)
        on_silent(child->supervisor, &message->silent);
    else
        child_log(LOG_ERROR, "supervisor.unexpected_message", child, ipc_type_name(type));
}

/* Everything it had to say was read. One that only closed its channel notices that, and ends. */
static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    struct child *child = context;

    (void)channel;
    if (why->class != ERR_NONE)
        child_log(LOG_ERROR, "supervisor.role_talks_nonsense", child, why->text_cstr);
    ipc_channel_free(&child->channel);
    if (child->has_ended)
        on_child_end(child);
}

/* Give the keeper its end of the channel to the new process. */
static bool attach(struct child *child, int keeper_fd)
{
    struct child *keeper = &child->supervisor->children[0];
    struct ipc_attach message = {.role = child->kind, .index = child->index};

    if (child->kind == ROLE_KEEPER)
        return true;
    if (keeper->channel != NULL &&
        ipc_send_fd(keeper->channel, IPC_ATTACH, &message, keeper_fd))
        return true;
    close(keeper_fd);
    return false;
}

static void start_child(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    struct err err = {0};
    int channel_fd, keeper_fd;

    if (child->pid > 0 || supervisor->is_draining)
        return;
    if (!child_start(child, supervisor->program_cstr, &supervisor->prepared, &channel_fd,
                     &keeper_fd, &err)) {
        child_log(LOG_ERROR, "supervisor.cannot_start", child, err.text_cstr);
        child->started_ms = loop_now_ms();
        loop_timer_set(child->restart, child_restart_delay(child, child->started_ms) + 100);
        return;
    }
    child->channel =
        ipc_channel_new(supervisor->loop, channel_fd, on_message, on_closed, child);
    child_log(LOG_DEBUG, "supervisor.role_started", child, "");
    if (!attach(child, keeper_fd) || !configure_child(child))
        (void)kill(child->pid, SIGKILL); /* tried again when its end is noticed */
}

static bool configure_child(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;

    /* The running ones have gone on by themselves. */
    (void)tls_tickets_advance(&supervisor->tickets, clock_unix_ms() / 1000);
    return child_configure(child, supervisor->settings, supervisor->text, supervisor->path_cstr,
                           supervisor->certificate, &supervisor->tickets);
}

static void on_restart(void *context)
{
    struct child *child = context;

    /* Without a keeper nobody starts; its `ready` starts all. */
    if (child->kind == ROLE_KEEPER || child->supervisor->children[0].is_ready)
        start_child(child);
}

/* ---- ends ---- */

static void drain_keeper(struct supervisor *supervisor)
{
    struct ipc_drain drain = {.limit_ms = DRAIN_LIMIT_MS};
    struct child *keeper = &supervisor->children[0];

    if (supervisor->is_keeper_draining)
        return;
    supervisor->is_keeper_draining = true;
    loop_timer_set(supervisor->end_limit, DRAIN_LIMIT_MS + END_LIMIT_MS);
    if (keeper->pid > 0 &&
        (keeper->channel == NULL || !ipc_send(keeper->channel, IPC_DRAIN, &drain)))
        (void)kill(keeper->pid, SIGKILL);
}

static void go_on_draining(struct supervisor *supervisor)
{
    if (!is_anyone_left(supervisor, false))
        drain_keeper(supervisor);
    if (!is_anyone_left(supervisor, true))
        loop_stop(supervisor->loop);
}

static void on_keeper_death(struct supervisor *supervisor)
{
    /* The others see their channel end and go; who does not is ended. */
    loop_timer_set(supervisor->end_limit, END_LIMIT_MS);
}

/* The process is gone and its channel read to the end. */
static void on_child_end(struct child *child)
{
    struct supervisor *supervisor = child->supervisor;
    struct child *keeper = &supervisor->children[0];
    char how_cstr[64];
    bool was_told = supervisor->is_draining;

    process_describe(child->status, how_cstr, sizeof how_cstr);
    child_log(was_told ? LOG_DEBUG : LOG_WARN, "supervisor.role_ended", child, how_cstr);
    child->pid = 0;
    child->is_ready = child->has_ended = false;
    if (supervisor->is_draining) {
        go_on_draining(supervisor);
        return;
    }
    if (child != keeper && keeper->is_ready)
        loop_timer_set(child->restart, child_restart_delay(child, loop_now_ms()));
    if (!supervisor->has_served && child->young_deaths > YOUNG_DEATHS_MAX) {
        (void)fprintf(stderr, "postern: %s ends again and again at the start (%s)\n",
                      role_name(child->kind), how_cstr);
        give_up(supervisor, EXIT_FAILURE);
        return;
    }
    if (child == keeper)
        on_keeper_death(supervisor);
    if (keeper->pid == 0 && !is_anyone_left(supervisor, true) &&
        !loop_timer_is_set(keeper->restart)) {
        loop_timer_clear(supervisor->end_limit);
        loop_timer_set(keeper->restart, child_restart_delay(keeper, loop_now_ms()));
    }
}

static void on_child_signal(void *context, int number)
{
    struct supervisor *supervisor = context;
    pid_t pid;
    int status;

    (void)number;
    while (process_reap(&pid, &status)) {
        for (size_t i = 0; i < supervisor->child_count; i++) {
            struct child *child = &supervisor->children[i];

            if (child->pid != pid)
                continue;
            child->has_ended = true;
            child->status = status;
            if (child->channel == NULL)
                on_child_end(child);
            break;
        }
    }
}

static void on_end_limit(void *context)
{
    struct supervisor *supervisor = context;

    LOG(LOG_WARN, "supervisor.ends_by_force", log_u64("roles", supervisor->child_count));
    signal_all(supervisor, SIGKILL);
}

static void on_stop_signal(void *context, int number)
{
    struct supervisor *supervisor = context;
    struct ipc_drain drain = {.limit_ms = DRAIN_LIMIT_MS};

    LOG(LOG_INFO, "supervisor.stopping", log_i64("signal", number));
    if (supervisor->is_draining) {
        signal_all(supervisor, SIGKILL);
        return;
    }
    supervisor->is_draining = true;
    process_notify("STOPPING=1\nSTATUS=Ending what runs");
    loop_timer_set(supervisor->end_limit, DRAIN_LIMIT_MS + END_LIMIT_MS);
    for (size_t i = 1; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];

        if (child->channel == NULL || !ipc_send(child->channel, IPC_DRAIN, &drain))
            if (child->pid > 0)
                (void)kill(child->pid, SIGKILL);
    }
    go_on_draining(supervisor);
}

/* ---- reload ---- */

static void on_reload_signal(void *context, int number)
{
    struct supervisor *supervisor = context;
    struct settings *fresh = NULL;
    struct slice text = {NULL, 0};
    struct err err = {0};
    const char *change_cstr = NULL;
    bool loaded;

    (void)number;
    if (supervisor->has_served)
        process_notify_reloading();
    loaded = settings_load(supervisor->path_cstr, &fresh, &text, &err) &&
             inspect_files(fresh, supervisor->path_cstr, &err);
    if (loaded)
        change_cstr = inspect_fixed_change(supervisor->settings, fresh);
    if (change_cstr != NULL)
        (void)FAIL(&err, ERR_PERM, "%s changed, which needs a restart; nothing was taken over",
                   change_cstr);
    if (!loaded || change_cstr != NULL) {
        LOG(LOG_ERROR, "supervisor.reload_refused", log_cstr("problem", err.text_cstr));
        settings_unref(&fresh);
        text_free(&text);
        notify_ready(supervisor, "New settings were refused; serving with the old ones,");
        return;
    }
    settings_unref(&supervisor->settings);
    text_free(&supervisor->text);
    supervisor->settings = fresh;
    supervisor->text = text;
    log_open("supervisor", fresh->log_level);
    log_style(fresh->log_format, fresh->log_slow_ms);
    for (size_t i = 0; i < supervisor->child_count; i++) {
        struct child *child = &supervisor->children[i];

        if (child->channel != NULL && !configure_child(child))
            child_log(LOG_ERROR, "supervisor.reload_lost", child, "its channel is full");
    }
    LOG(LOG_INFO, "supervisor.reloaded", log_u64("roles", supervisor->child_count));
    notify_ready(supervisor, "Serving");
}

/* ---- all of it ---- */

static void add_children(struct supervisor *supervisor, enum ipc_role kind, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct child *child = &supervisor->children[supervisor->child_count++];

        must(supervisor->child_count <= CHILDREN_MAX);
        child->supervisor = supervisor;
        child->kind = kind;
        child->index = i;
        child->restart = loop_timer_new(supervisor->loop, on_restart, child);
    }
}

static void begin(struct supervisor *supervisor)
{
    const struct settings *settings = supervisor->settings;
    const struct {
        int number;
        loop_signal_fn *fn;
    } signals[COUNT_OF(supervisor->signals)] = {{SIGCHLD, on_child_signal},
                                                {SIGHUP, on_reload_signal},
                                                {SIGTERM, on_stop_signal},
                                                {SIGINT, on_stop_signal}};

    tls_tickets_init(&supervisor->tickets, clock_unix_ms() / 1000);
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        supervisor->signals[i] =
            loop_signal_new(supervisor->loop, signals[i].number, signals[i].fn, supervisor);
    supervisor->end_limit = loop_timer_new(supervisor->loop, on_end_limit, supervisor);
    supervisor->watch = loop_timer_new(supervisor->loop, on_watch, supervisor);
    supervisor->watched_ms = loop_now_ms();
    loop_timer_set(supervisor->watch, WATCH_MS);
    add_children(supervisor, ROLE_KEEPER, 1);
    add_children(supervisor, ROLE_SCRIBE, settings->scribe_processes);
    add_children(supervisor, ROLE_COURIER, settings->courier_processes);
    add_children(supervisor, ROLE_SMTPD, settings->smtpd_processes);
    add_children(supervisor, ROLE_PORTAL,
                 settings->portal.listens ? settings->portal_processes : 0);
    add_children(supervisor, ROLE_SCOUT, 1);
    add_children(supervisor, ROLE_OFFICE, 1);
    start_child(&supervisor->children[0]);
}

static void end(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->child_count; i++) {
        ipc_channel_free(&supervisor->children[i].channel);
        loop_timer_free(&supervisor->children[i].restart);
    }
    for (size_t i = 0; i < COUNT_OF(supervisor->signals); i++)
        loop_signal_free(&supervisor->signals[i]);
    loop_timer_free(&supervisor->end_limit);
    loop_timer_free(&supervisor->watch);
    report_close(&supervisor->report);
    buffer_deinit(&supervisor->census);
    loop_free(&supervisor->loop);
    prepared_close(&supervisor->prepared, supervisor->settings);
    settings_unref(&supervisor->settings);
    text_free(&supervisor->text);
    text_free(&supervisor->certificate);
    secret_wipe(&supervisor->tickets.secret);
}

int supervisor_run(const char *settings_path_cstr, const char *program_cstr)
{
    static struct supervisor supervisor; /* too large for the stack; there is one */
    struct err err = {0};
    bool has_settings;

    supervisor = (struct supervisor){.program_cstr = program_cstr};
    if (realpath(settings_path_cstr, supervisor.path_cstr) == NULL)
        (void)snprintf(supervisor.path_cstr, sizeof supervisor.path_cstr, "%s",
                       settings_path_cstr);
    log_open("supervisor", LOG_INFO);
    (void)signal(SIGPIPE, SIG_IGN);
    process_raise_fd_limit();
    must(process_forbid_dumps());
    has_settings =
        settings_load(supervisor.path_cstr, &supervisor.settings, &supervisor.text, &err) &&
        inspect_files(supervisor.settings, supervisor.path_cstr, &err);
    if (!has_settings || !prepare(supervisor.settings, &supervisor.prepared, &err) ||
        !process_drop_capabilities(&err)) {
        (void)fprintf(stderr, "postern: %s\n", err.text_cstr);
        settings_unref(&supervisor.settings);
        text_free(&supervisor.text);
        return has_settings ? EXIT_FAILURE : EXIT_SETTINGS;
    }
    log_open("supervisor", supervisor.settings->log_level);
    log_style(supervisor.settings->log_format, supervisor.settings->log_slow_ms);
    supervisor.loop = loop_new();
    report_open(&supervisor.report);
    report_look(&supervisor.report);
    buffer_init(&supervisor.census, CENSUS_MAX_BYTES);
    begin(&supervisor);
    loop_run(supervisor.loop);
    LOG(LOG_INFO, "supervisor.ended", log_i64("exit_code", supervisor.exit_code));
    end(&supervisor);
    return supervisor.exit_code;
}
