/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/prepare.h"

#include "os/bind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4352 };

static bool prepare_folders(const struct settings *settings, struct owner owner,
                            struct prepared *prepared, struct err *err)
{
    static const char *const names[] = {"queue", "portal"};
    char path_cstr[PATH_SIZE];

    if (!folder_make(settings->state_dir_cstr, owner, err))
        return false;
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/lock", settings->state_dir_cstr);
    if (!lock_take(path_cstr, &prepared->lock_fd, err))
        return false;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s", settings->state_dir_cstr,
                       names[i]);
        if (!folder_make(path_cstr, owner, err))
            return false;
    }
    return true;
}

/* fds: one for each of `count` processes, `stride` apart. */
static bool listen_for(const struct sockaddr_storage *address, socklen_t len, size_t count,
                       size_t stride, int *fds, struct err *err)
{
    int made[PREPARED_LISTENERS_MAX];

    must(count <= COUNT_OF(made));
    if (!sockets_listen((const struct sockaddr *)address, len, count, made, err))
        return false;
    for (size_t i = 0; i < count; i++)
        fds[i * stride] = made[i];
    return true;
}

static int *fds_new(size_t count)
{
    int *fds = calloc(count + 1, sizeof *fds);

    must(fds != NULL);
    for (size_t i = 0; i < count; i++)
        fds[i] = -1;
    return fds;
}

static bool prepare_sockets(const struct settings *settings, struct owner owner,
                            struct prepared *prepared, struct err *err)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (!listen_for(&settings->listeners[i].address, settings->listeners[i].address_len,
                        prepared->smtpd_count, prepared->listener_count,
                        prepared->smtpd_fds + i, err))
            return false;
    }
    if (prepared->portal_count > 0 &&
        !listen_for(&settings->portal.address, settings->portal.address_len,
                    prepared->portal_count, 1, prepared->portal_fds, err))
        return false;
    if (settings->metrics.enabled &&
        !listen_for(&settings->metrics.address, settings->metrics.address_len, 1, 1,
                    &prepared->office_fds[1], err))
        return false;
    return socket_listen_unix(settings->control_path_cstr, owner, &prepared->office_fds[0],
                              err);
}

bool prepare(const struct settings *settings, struct prepared *prepared_out, struct err *err)
{
    struct owner owner = NO_OWNER;

    *prepared_out = (struct prepared){
        .lock_fd = -1,
        .office_fds = {-1, -1},
        .listener_count = settings->listener_count,
        .smtpd_count = settings->smtpd_processes,
        .portal_count = settings->portal.listens ? settings->portal_processes : 0};
    prepared_out->smtpd_fds = fds_new(prepared_out->smtpd_count * settings->listener_count);
    prepared_out->portal_fds = fds_new(prepared_out->portal_count);
    if (geteuid() == 0 && !owner_find(settings->user_cstr, &owner))
        LOG(LOG_WARN, "supervisor.no_user", log_cstr("run_as", settings->user_cstr),
            log_cstr("detail", "there is no such user: roles stay root"));
    if (prepare_folders(settings, owner, prepared_out, err) &&
        prepare_sockets(settings, owner, prepared_out, err))
        return true;
    prepared_close(prepared_out, settings);
    return false;
}

const int *prepared_fds(const struct prepared *prepared, enum ipc_role kind, unsigned index,
                        size_t *count_out)
{
    *count_out = 0;
    if (kind == ROLE_SMTPD) {
        *count_out = prepared->listener_count;
        return prepared->smtpd_fds + index * prepared->listener_count;
    }
    if (kind == ROLE_PORTAL) {
        *count_out = 1;
        return prepared->portal_fds + index;
    }
    if (kind == ROLE_OFFICE) {
        *count_out = prepared->office_fds[1] >= 0 ? 2 : 1;
        return prepared->office_fds;
    }
    return NULL;
}

static void close_all(int **fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((*fds)[i] >= 0)
            close((*fds)[i]);
    }
    free(*fds);
    *fds = NULL;
}

void prepared_close(struct prepared *prepared, const struct settings *settings)
{
    close_all(&prepared->smtpd_fds, prepared->smtpd_count * prepared->listener_count);
    close_all(&prepared->portal_fds, prepared->portal_count);
    if (prepared->office_fds[0] >= 0) {
        (void)unlink(settings->control_path_cstr);
        close(prepared->office_fds[0]);
    }
    if (prepared->office_fds[1] >= 0)
        close(prepared->office_fds[1]);
    if (prepared->lock_fd >= 0)
        close(prepared->lock_fd);
    prepared->office_fds[0] = prepared->office_fds[1] = prepared->lock_fd = -1;
}
