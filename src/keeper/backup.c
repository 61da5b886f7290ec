/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/backup.h"

#include "base/log.h"
#include "keeper/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4352,
    LEASE_MS = 60000,
    SLICE_PAGES = 64, /* about a quarter of a millisecond */
    SLICE_EVERY_MS = 4,
    IDLE_CHECK_MS = 1000,
};

static void write_path(const struct keeper *keeper, char path_out_cstr[PATH_BYTES])
{
    (void)snprintf(path_out_cstr, PATH_BYTES, "%s/" BACKUP_SNAPSHOT_NAME,
                   keeper->settings->state_dir_cstr);
}

static void remove_file(const struct keeper *keeper)
{
    char path_cstr[PATH_BYTES];

    write_path(keeper, path_cstr);
    if (unlink(path_cstr) != 0 && errno != ENOENT)
        LOG(LOG_WARN, "keeper.snapshot_not_removed", log_cstr("why", strerror(errno)));
}

static void end(struct backup *backup)
{
    if (backup->id == 0)
        return;
    store_snapshot_free(&backup->snapshot);
    loop_timer_clear(backup->timer);
    remove_file(backup->keeper);
    backup->id = 0;
    backup->is_done = false;
    backup->trouble_cstr[0] = '\0';
}

bool backup_is_under_way(const struct keeper *keeper)
{
    return keeper->backup.id != 0;
}

static void step(struct backup *backup)
{
    struct err err = {0};

    switch (store_snapshot_step(backup->snapshot, SLICE_PAGES, &err)) {
    case PROGRESS_WAIT:
        return;
    case PROGRESS_DONE:
        backup->is_done = true;
        break;
    case PROGRESS_FAIL:
        (void)snprintf(backup->trouble_cstr, sizeof backup->trouble_cstr, "%s", err.text_cstr);
        LOG(LOG_WARN, "keeper.snapshot_failed", log_cstr("why", err.text_cstr));
        break;
    }
    store_snapshot_free(&backup->snapshot);
}

static void on_timer(void *context)
{
    struct backup *backup = context;

    if (backup->id == 0)
        return;
    if (loop_now_ms() >= backup->until_ms) {
        LOG(LOG_WARN, "keeper.backup_given_up", log_id("backup", backup->id));
        end(backup);
        return;
    }
    if (backup->snapshot != NULL)
        step(backup);
    loop_timer_set(backup->timer, backup->snapshot != NULL ? SLICE_EVERY_MS : IDLE_CHECK_MS);
}

void backup_init(struct keeper *keeper)
{
    keeper->backup = (struct backup){.keeper = keeper};
    keeper->backup.timer = loop_timer_new(keeper->loop, on_timer, &keeper->backup);
}

void backup_clean(const struct keeper *keeper)
{
    remove_file(keeper);
}

void backup_deinit(struct keeper *keeper)
{
    end(&keeper->backup);
    loop_timer_free(&keeper->backup.timer);
}

/* ---- requests ---- */

static void begin(struct control_output *output)
{
    struct keeper *keeper = output->keeper;
    struct backup *backup = &keeper->backup;
    char path_cstr[PATH_BYTES];
    struct err err = {0};

    if (backup->id != 0) {
        control_error(output, "a backup is under way already");
        return;
    }
    if (!store_has_room(keeper->store, keeper->settings->limits.disk_reserve_bytes +
                                           store_snapshot_bytes(keeper->store))) {
        control_error(output,
                      "there is no room for a copy of the database in the state folder");
        return;
    }
    remove_file(keeper);
    write_path(keeper, path_cstr);
    if (!store_snapshot_begin(keeper->store, path_cstr, &backup->snapshot, &err)) {
        remove_file(keeper);
        control_error(output, err.text_cstr);
        return;
    }
    backup->id = keeper_next_id(keeper);
    backup->until_ms = loop_now_ms() + LEASE_MS;
    loop_timer_set(backup->timer, 0);
    LOG(LOG_INFO, "keeper.backup_begun", log_id("backup", backup->id));
    control_line(output, json_pack("{s:o}", "backup", control_id(backup->id)));
}

static void look(struct control_output *output)
{
    struct backup *backup = &output->keeper->backup;
    uint64_t done = 0, all = 0;

    if (backup->trouble_cstr[0] != '\0') {
        control_error(output, backup->trouble_cstr);
        end(backup);
        return;
    }
    backup->until_ms = loop_now_ms() + LEASE_MS;
    if (backup->snapshot != NULL)
        store_snapshot_progress(backup->snapshot, &done, &all);
    control_line(output, json_pack("{s:o,s:b,s:I,s:I}", "backup", control_id(backup->id),
                                   "done", (int)backup->is_done, "pages", (json_int_t)done,
                                   "of", (json_int_t)all));
}

void backup_answer(struct control_output *output, const json_t *request)
{
    struct backup *backup = &output->keeper->backup;
    struct slice what = control_member(request, "what");
    uint64_t id = 0;

    if (slice_equal(what, S("begin"))) {
        begin(output);
        return;
    }
    if (!id_parse(control_member(request, "backup"), &id) || id == 0 || id != backup->id) {
        control_error(output, "this backup is not under way any more: the server started anew, "
                              "or waited for too long; begin again");
        return;
    }
    if (slice_equal(what, S("look"))) {
        look(output);
    } else if (slice_equal(what, S("end"))) {
        LOG(LOG_INFO, "keeper.backup_ended", log_id("backup", backup->id));
        end(backup);
        control_line(output, json_pack("{s:b}", "ended", 1));
    } else {
        control_error(output, "a backup can begin, be looked at, and end");
    }
}
