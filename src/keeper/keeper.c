/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

#include "base/log.h"
#include "crypto/random.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/silence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CERTIFICATE_MAX_BYTES = 4096, PATH_BYTES = 4096, DRAIN_CHECK_MS = 20 };

static void on_drain_timer(void *context);

/* Make the folder if need be and open it. */
static int open_folder(const char *state_cstr, const char *name_cstr, struct err *err)
{
    char path_cstr[PATH_BYTES];
    int fd;

    snprintf(path_cstr, sizeof path_cstr, "%s%s%s", state_cstr, name_cstr[0] == '\0' ? "" : "/",
             name_cstr);
    if (mkdir(path_cstr, 0700) != 0 && errno != EEXIST) {
        FAIL(err, ERR_TEMP, "cannot make the folder %s: %s", path_cstr, strerror(errno));
        return -1;
    }
    fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        FAIL(err, ERR_TEMP, "cannot open the folder %s: %s", path_cstr, strerror(errno));
    return fd;
}

static bool open_state(struct keeper *keeper, struct err *err)
{
    const char *state_cstr = keeper->settings->state_dir_cstr;
    int state_fd = open_folder(state_cstr, "", err);

    if (state_fd < 0)
        return false;
    close(state_fd);
    keeper->queue_fd = open_folder(state_cstr, "queue", err);
    keeper->portal_fd = keeper->queue_fd < 0 ? -1 : open_folder(state_cstr, "portal", err);
    return keeper->portal_fd >= 0 && store_open(state_cstr, &keeper->store, err) &&
           store_keys_open(keeper->store, keeper->settings->master_key.bytes, err);
}

static bool open_spool(struct keeper *keeper, struct err *err)
{
    const struct recipient_key *pair;

    backup_clean(keeper);
    keeper->queue_checker = spool_checker_new(keeper->queue_fd);
    keeper->portal_checker = spool_checker_new(keeper->portal_fd);
    keeper->queue_writer =
        spool_writer_open(keeper->queue_fd, SPOOL_QUEUE, &keeper->ids,
                          recipient_key_certificate(store_key_pair(keeper->store, 0)), NULL);
    keeper->ring = spool_keyring_new(keeper->queue_fd);
    for (size_t i = 0; (pair = store_key_pair(keeper->store, i)) != NULL; i++)
        spool_keyring_add(keeper->ring, pair);
    if (!recipient_certificate_write_der(
            recipient_key_certificate(store_key_pair(keeper->store, 0)), &keeper->certificate))
        return FAIL(err, ERR_TEMP, "cannot write the certificate");
    return true;
}

static void open_rooms(struct keeper *keeper)
{
    inbox_init(&keeper->inbox, keeper);
    peers_init(&keeper->peers);
    asks_init(&keeper->asks);
    domains_init(&keeper->domains);
    lanes_init(&keeper->lanes);
    lanes_configure(keeper);
    memories_init(&keeper->memories);
    forwards_init(&keeper->forwards);
    deliver_init(&keeper->deliveries);
    sessions_init(&keeper->sessions);
    auth_init(&keeper->auth);
    list_init(&keeper->queue_changes.all);
    list_init(&keeper->walks);
    clock_watch_init(&keeper->clock);
    schedule_init(keeper);
    sts_init(keeper);
    board_init(keeper);
    routes_init(keeper);
    backup_init(keeper);
    retractions_init(keeper);
    tls_counts_init(keeper);
    tls_reports_init(keeper);
    keeper->housekeeping = loop_timer_new(keeper->loop, keeper_housekeeping, keeper);
    keeper->drain_timer = loop_timer_new(keeper->loop, on_drain_timer, keeper);
    loop_timer_set(keeper->housekeeping, 1000);
}

bool keeper_open(struct loop *loop, struct settings *settings, uint8_t id_maker,
                 struct keeper **keeper_out, struct err *err)
{
    struct keeper *keeper = calloc(1, sizeof *keeper);

    must(keeper != NULL);
    keeper->loop = loop;
    keeper->settings = settings_ref(settings);
    id_maker_init(&keeper->ids, id_maker, random_u64());
    keeper->queue_fd = keeper->portal_fd = -1;
    keeper->started_ms = clock_unix_ms();
    buffer_init(&keeper->certificate, CERTIFICATE_MAX_BYTES);
    open_rooms(keeper);
    if (!plan_configure(keeper, settings, err) || !open_state(keeper, err) ||
        !open_spool(keeper, err) || !restored_settle(keeper, err) ||
        !forwards_open(keeper, err)) {
        keeper_close(&keeper);
        return false;
    }
    memory_count(keeper);
    *keeper_out = keeper;
    return true;
}

bool keeper_configure(struct keeper *keeper, struct settings *settings, struct err *err)
{
    if (strcmp(settings->state_dir_cstr, keeper->settings->state_dir_cstr) != 0)
        return FAIL(err, ERR_PERM, "the state folder cannot change while the server runs");
    if (!store_keys_open(keeper->store, settings->master_key.bytes, err) ||
        !plan_configure(keeper, settings, err))
        return false;
    settings_unref(&keeper->settings);
    keeper->settings = settings_ref(settings);
    /* New routes, another resolver: what was dead may not be. */
    silence_end_all(keeper);
    routes_configure(keeper);
    lanes_configure(keeper);
    forwards_settle(keeper);
    schedule_wake(keeper);
    return true;
}

struct slice keeper_certificate(const struct keeper *keeper)
{
    return buffer_view(&keeper->certificate);
}

void keeper_attach(struct keeper *keeper, enum ipc_role role, unsigned index, int fd)
{
    peers_attach(keeper, role, index, fd);
    if (role == ROLE_SCOUT)
        sts_scout_came(keeper);
}

/* ---- the end ---- */

static void on_drain_timer(void *context)
{
    struct keeper *keeper = context;

    if ((keeper->inbox.count > 0 || keeper->deliveries.jobs.count > 0 ||
         asks_of_scribes(keeper) > 0) &&
        loop_now_ms() < keeper->drain_until_ms) {
        loop_timer_set(keeper->drain_timer, DRAIN_CHECK_MS);
        return;
    }
    tls_counts_write(keeper);
    inbox_flush(keeper);
    keeper->on_drained(keeper->drained_context);
}

void keeper_drain(struct keeper *keeper, int64_t limit_ms, void (*done)(void *context),
                  void *context)
{
    keeper->is_draining = true;
    keeper->schedule.is_paused = true;
    keeper->drain_until_ms = loop_now_ms() + limit_ms;
    keeper->on_drained = done;
    keeper->drained_context = context;
    loop_timer_set(keeper->drain_timer, 0);
}

void keeper_close(struct keeper **keeper)
{
    struct keeper *gone = *keeper;

    if (gone == NULL)
        return;
    if (gone->ring != NULL) {
        tls_counts_write(gone);
        inbox_flush(gone);
    }
    backup_deinit(gone);
    retractions_deinit(gone);
    peers_deinit(&gone->peers);
    asks_deinit(&gone->asks);
    inbox_deinit(&gone->inbox);
    deliver_deinit(&gone->deliveries);
    routes_deinit(gone);
    schedule_deinit(gone);
    sts_deinit(gone);
    lanes_deinit(&gone->lanes);
    domains_deinit(&gone->domains);
    memories_deinit(&gone->memories);
    board_deinit(gone);
    forwards_deinit(&gone->forwards);
    sessions_deinit(&gone->sessions);
    auth_deinit(&gone->auth);
    queue_changes_deinit(&gone->queue_changes);
    control_deinit(gone);
    tls_reports_deinit(gone);
    tls_counts_deinit(gone);
    loop_timer_free(&gone->housekeeping);
    loop_timer_free(&gone->drain_timer);
    spool_writer_close(&gone->queue_writer);
    spool_keyring_free(&gone->ring);
    spool_checker_free(&gone->queue_checker);
    spool_checker_free(&gone->portal_checker);
    store_close(&gone->store);
    if (gone->queue_fd >= 0)
        close(gone->queue_fd);
    if (gone->portal_fd >= 0)
        close(gone->portal_fd);
    buffer_deinit(&gone->certificate);
    domain_list_deinit(&gone->forced);
    settings_unref(&gone->settings);
    free(gone);
    *keeper = NULL;
}
