/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/child.h"

#include "os/process.h"
#include "role/role.h"
#include "settings/mask.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    YOUNG_MS = 3000, /* who dies within this time may do so again and again */
    DELAY_FIRST_MS = 100,
    DELAY_MAX_MS = 5000,
    FILES_MAX_BYTES = 12 << 20,
};

/* Which files a role may know: bits of enum settings_file_kind. */
static const unsigned may_know[ROLE_COUNT] = {
    [ROLE_KEEPER] = 1U << SETTINGS_FILE_MASTER_KEY | 1U << SETTINGS_FILE_DOMAINS |
                    1U << SETTINGS_FILE_PROVIDERS,
    [ROLE_SMTPD] = 1U << SETTINGS_FILE_SMTP_TLS | 1U << SETTINGS_FILE_CLIENT_ROOTS,
    [ROLE_COURIER] = 1U << SETTINGS_FILE_ROOTS | 1U << SETTINGS_FILE_TRUST_ANCHOR |
                     1U << SETTINGS_FILE_PASSWORD | 1U << SETTINGS_FILE_PROVIDERS,
    [ROLE_SCOUT] = 1U << SETTINGS_FILE_ROOTS | 1U << SETTINGS_FILE_TRUST_ANCHOR,
    [ROLE_SCRIBE] = 1U << SETTINGS_FILE_DKIM_KEY,
    [ROLE_PORTAL] = 1U << SETTINGS_FILE_PORTAL_TLS,
};

/* fds_out: supervisor's and keeper's channel, then the sockets. */
static size_t collect_fds(const struct child *child, const struct prepared *prepared,
                          int channel_fd, int keeper_fd, int *fds_out)
{
    size_t listeners, count = 0;
    const int *sockets = prepared_fds(prepared, child->kind, child->index, &listeners);

    fds_out[count++] = channel_fd;
    if (keeper_fd >= 0)
        fds_out[count++] = keeper_fd;
    for (size_t i = 0; i < listeners; i++)
        fds_out[count++] = sockets[i];
    return count;
}

bool child_start(struct child *child, const char *program_cstr, const struct prepared *prepared,
                 int *channel_fd_out, int *keeper_fd_out, struct err *err)
{
    char index_cstr[16];
    char *arguments[] = {(char *)(uintptr_t) "postern", (char *)(uintptr_t) "role",
                         (char *)(uintptr_t)role_name(child->kind), index_cstr, NULL};
    int channel[2] = {-1, -1}, keeper[2] = {-1, -1}, fds[PROCESS_FDS_MAX];
    bool started = false;

    (void)snprintf(index_cstr, sizeof index_cstr, "%u", child->index);
    if (process_socket_pair(channel, err) &&
        (child->kind == ROLE_KEEPER || process_socket_pair(keeper, err)))
        started = process_start(program_cstr, arguments, fds,
                                collect_fds(child, prepared, channel[1], keeper[1], fds),
                                &child->pid, err);
    if (channel[1] >= 0)
        close(channel[1]);
    if (keeper[1] >= 0)
        close(keeper[1]);
    if (!started) {
        child->pid = 0;
        if (channel[0] >= 0)
            close(channel[0]);
        if (keeper[0] >= 0)
            close(keeper[0]);
        return false;
    }
    child->started_ms = child->heard_ms = loop_now_ms();
    child->started_unix_ms = clock_unix_ms();
    child->starts++;
    child->is_ready = child->has_ended = false;
    *channel_fd_out = channel[0];
    *keeper_fd_out = keeper[0];
    return true;
}

bool child_configure(struct child *child, struct settings *settings, struct slice text,
                     const char *path_cstr, struct slice certificate,
                     const struct tls_tickets *tickets)
{
    struct ipc_configure configure = {.path = slice_from_cstr(path_cstr), .text = text};
    struct settings_file *file;
    enum settings_file_kind kind;
    struct buffer files, masked;
    size_t position = 0;
    bool sent = true;

    buffer_init(&files, FILES_MAX_BYTES);
    /* Only the keeper judges passwords and answers: nobody else needs to hold them. */
    buffer_init(&masked, text.len);
    if (child->kind != ROLE_KEEPER) {
        sent = settings_mask(text, child->kind == ROLE_COURIER, &masked);
        configure.text = buffer_view(&masked);
    }
    while (sent && (file = settings_file_next(settings, &position, &kind)) != NULL) {
        struct ipc_file item = {slice_from_cstr(file->path_cstr), file->bytes};

        if ((may_know[child->kind] & 1U << kind) != 0)
            sent = ipc_list_append(&files, IPC_FILE, &item);
    }
    configure.files = buffer_view(&files);
    if (child->kind != ROLE_KEEPER)
        configure.certificate = certificate;
    if (child->kind == ROLE_SMTPD) {
        configure.tickets = tickets->secret;
        configure.tickets_period = tickets->period;
    }
    sent = sent && ipc_send(child->channel, IPC_CONFIGURE, &configure);
    secret_wipe(&configure.tickets);
    buffer_wipe(&files);
    buffer_deinit(&masked);
    return sent;
}

int64_t child_restart_delay(struct child *child, int64_t now_ms)
{
    int64_t delay_ms = DELAY_FIRST_MS;

    if (now_ms - child->started_ms >= YOUNG_MS) {
        child->young_deaths = 0;
        return 0;
    }
    if (++child->young_deaths == 1)
        return 0;
    for (unsigned i = 2; i < child->young_deaths && delay_ms < DELAY_MAX_MS; i++)
        delay_ms *= 2;
    return delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
}
