/* SPDX-License-Identifier: Apache-2.0 */
/* The role: sockets from the supervisor, sessions of server.c, questions to the keeper. */
#include "base/log.h"
#include "base/stats.h"
#include "crypto/random.h"
#include "crypto/certificate.h"
#include "net/listener.h"
#include "role/role.h"
#include "smtpd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One listening socket; its kind is what the settings at the start said about it. */
struct door {
    struct smtpd_role *owner;
    struct settings_listener row;
    struct listener *listener;
};

struct smtpd_role {
    struct id_maker ids;
    struct recipient_certificate *certificate;
    struct spool_writer *spool;
    struct smtpd *server;
    struct door *doors;
    size_t door_count;
    int64_t certificate_ends_s; /* unix seconds, 0 = there is none */
};

static void on_connection(void *context, int fd, const struct sockaddr *peer)
{
    struct door *door = context;

    (void)peer;
    smtpd_accept(door->owner->server, fd, &door->row);
}

static void open_doors(struct role *role, struct smtpd_role *own)
{
    size_t count = role->settings->listener_count;

    own->doors = calloc(count + 1, sizeof *own->doors);
    must(own->doors != NULL);
    own->door_count = count;
    for (size_t i = 0; i < count; i++) {
        own->doors[i].owner = own;
        own->doors[i].row = role->settings->listeners[i];
        own->doors[i].listener =
            listener_new(role->loop, ROLE_FD_LISTENERS + (int)i, on_connection, &own->doors[i]);
    }
}

static bool begin(struct role *role, struct smtpd_role *own, struct err *err)
{
    char path_cstr[4096];
    int dir_fd;

    id_maker_init(&own->ids, role_id_maker(role), random_u64());
    if (!recipient_certificate_parse(role->certificate, &own->certificate, err))
        return false;
    role_spool_path(role, "queue", path_cstr, sizeof path_cstr);
    dir_fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return FAIL(err, ERR_TEMP, "cannot open the queue folder: %s", strerror(errno));
    own->spool = spool_writer_open(dir_fd, SPOOL_QUEUE, &own->ids, own->certificate, NULL);
    own->server = smtpd_new(&(struct smtpd_options){
        .loop = role->loop,
        .keeper = role->keeper,
        .ids = &own->ids,
        .spool = own->spool,
        .spool_dir_fd = dir_fd,
        .tickets = &role->tickets,
    });
    close(dir_fd);
    return true;
}

/* When the first of all certificates ends; 0 = there is none. */
static int64_t first_end(const struct settings *settings)
{
    int64_t first_s = certificate_end(settings->tls_certificate.bytes);

    for (size_t i = 0; i < settings->certificate_count; i++) {
        int64_t end_s = certificate_end(settings->certificates[i].certificate.bytes);

        if (end_s != 0 && (first_s == 0 || end_s < first_s))
            first_s = end_s;
    }
    return first_s;
}

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    struct smtpd_role *own = role->context;

    if (is_first && !begin(role, own, err))
        return false;
    if (!smtpd_configure(own->server, role->settings, err))
        return false;
    own->certificate_ends_s = first_end(role->settings);
    if (is_first)
        open_doors(role, own);
    return true;
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct role *role = context;
    struct smtpd_role *own = role->context;

    (void)channel;
    if (own->server != NULL)
        smtpd_on_message(own->server, type, message);
}

static void on_drained(void *context)
{
    role_finished(context);
}

static void shut_doors(struct smtpd_role *own)
{
    for (size_t i = 0; i < own->door_count; i++)
        listener_free(&own->doors[i].listener);
}

static void on_drain(struct role *role)
{
    struct smtpd_role *own = role->context;

    shut_doors(own);
    smtpd_drain(own->server, on_drained, role);
}

static void on_report(struct role *role)
{
    struct smtpd_role *own = role->context;

    STAT_SET(SMTP_SESSIONS, smtpd_session_count(own->server));
    STAT_SET(SMTP_CERTIFICATE_ENDS, own->certificate_ends_s);
}

static void on_keeper_lost(struct role *role)
{
    struct smtpd_role *own = role->context;

    shut_doors(own);
    if (own->server != NULL)
        smtpd_keeper_lost(own->server);
}

static void on_end(struct role *role)
{
    struct smtpd_role *own = role->context;

    shut_doors(own);
    smtpd_free(&own->server);
    spool_writer_close(&own->spool);
    recipient_certificate_free(&own->certificate);
    free(own->doors);
    own->doors = NULL;
}

int smtpd_main(unsigned index)
{
    static const struct role_hooks hooks = {
        .on_configure = on_configure,
        .on_keeper_message = on_keeper_message,
        .on_drain = on_drain,
        .on_keeper_lost = on_keeper_lost,
        .on_end = on_end,
        .on_report = on_report,
    };
    struct smtpd_role own = {0};

    return role_run(ROLE_SMTPD, index, &hooks, &own);
}
