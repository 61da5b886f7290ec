/* SPDX-License-Identifier: Apache-2.0 */
/* The role: its folders, its channel to the keeper, a timer for slow work and one for old segments. */
#include "base/log.h"
#include "crypto/random.h"
#include "role/role.h"
#include "scribe/scribe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 10000, PATH_SIZE = 4352 };

struct scribe_role {
    struct id_maker ids;
    struct recipient_certificate *certificate;
    struct scribe *scribe;
    struct loop_timer *work, *tick;
};

static void answer_keeper(void *context, enum ipc_type type, const void *message)
{
    struct role *role = context;

    /* The keeper does not read: it is lost, or will be. Its successor asks again. */
    if (!ipc_send(role->keeper, type, message))
        LOG(LOG_ERROR, "scribe.answer_lost", log_cstr("type", ipc_type_name(type)));
}

/* One piece, then the loop sees what else has come. */
static void on_work(void *context)
{
    struct role *role = context;
    struct scribe_role *own = role->context;

    scribe_work(own->scribe);
    if (scribe_has_work(own->scribe))
        loop_timer_set(own->work, 0);
    else if (role->is_draining)
        role_finished(role);
}

static void on_tick(void *context)
{
    struct scribe_role *own = ((struct role *)context)->context;

    scribe_tick(own->scribe, clock_unix_ms());
    loop_timer_set(own->tick, TICK_MS);
}

static bool open_folder(const struct role *role, const char *kind_cstr, int *fd_out,
                        struct err *err)
{
    char path_cstr[PATH_SIZE];

    role_spool_path(role, kind_cstr, path_cstr, sizeof path_cstr);
    *fd_out = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out >= 0 ||
           FAIL(err, ERR_TEMP, "cannot open the folder %s: %s", path_cstr, strerror(errno));
}

static bool begin(struct role *role, struct scribe_role *own, struct err *err)
{
    struct scribe_options options = {.queue_fd = -1,
                                     .portal_fd = -1,
                                     .ids = &own->ids,
                                     .cost = PASSWORD_COST_DEFAULT,
                                     .answer = answer_keeper,
                                     .context = role};
    bool begun;

    id_maker_init(&own->ids, role_id_maker(role), random_u64());
    begun = recipient_certificate_parse(role->certificate, &own->certificate, err) &&
            open_folder(role, "queue", &options.queue_fd, err) &&
            open_folder(role, "portal", &options.portal_fd, err);
    options.certificate = own->certificate;
    begun = begun && scribe_new(&options, &own->scribe, err);
    if (options.queue_fd >= 0)
        close(options.queue_fd);
    if (options.portal_fd >= 0)
        close(options.portal_fd);
    if (!begun)
        return false;
    own->work = loop_timer_new(role->loop, on_work, role);
    own->tick = loop_timer_new(role->loop, on_tick, role);
    loop_timer_set(own->tick, TICK_MS);
    return true;
}

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    struct scribe_role *own = role->context;

    return (!is_first || begin(role, own, err)) &&
           scribe_configure(own->scribe, role->settings, err);
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct role *role = context;
    struct scribe_role *own = role->context;

    (void)channel;
    scribe_on_message(own->scribe, type, message);
    if (scribe_has_work(own->scribe) && !loop_timer_is_set(own->work))
        loop_timer_set(own->work, 0);
}

static void on_drain(struct role *role)
{
    struct scribe_role *own = role->context;

    if (!scribe_has_work(own->scribe))
        role_finished(role);
}

static void on_end(struct role *role)
{
    struct scribe_role *own = role->context;

    loop_timer_free(&own->work);
    loop_timer_free(&own->tick);
}

int scribe_main(unsigned index)
{
    static const struct role_hooks hooks = {
        .on_configure = on_configure,
        .on_keeper_message = on_keeper_message,
        .on_drain = on_drain,
        .on_end = on_end,
    };
    struct scribe_role own = {0};
    int code = role_run(ROLE_SCRIBE, index, &hooks, &own);

    scribe_free(&own.scribe);
    recipient_certificate_free(&own.certificate);
    return code;
}
