/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/restored.h"

#include "base/log.h"
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"
#include "keeper/retractions.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4352 };

#define TEXT_HOLD "postern-restored 1 hold\n"
#define TEXT_GO "postern-restored 1 go\n"

struct slice restored_text(bool holds)
{
    return holds ? S(TEXT_HOLD) : S(TEXT_GO);
}

bool restored_parse(struct slice text, bool *holds_out)
{
    *holds_out = slice_equal(text, S(TEXT_HOLD));
    return *holds_out || slice_equal(text, S(TEXT_GO));
}

static void write_path(const struct keeper *keeper, const char *name_cstr,
                       char path_out_cstr[PATH_BYTES])
{
    (void)snprintf(path_out_cstr, PATH_BYTES, "%s/%s", keeper->settings->state_dir_cstr,
                   name_cstr);
}

/* ---- what was taken back ---- */

/* True: it had come back, and is gone again. */
static bool take_back(struct keeper *keeper, const struct retraction_line *line)
{
    bool is_purge = line->state == STATE_DELETED;
    enum recipient_move move = is_purge ? MOVE_PURGE : MOVE_RETRACT;
    struct slice text = S("stopped");
    struct store_message message;
    struct store_recipient row;
    struct story_message story;

    if (!store_message_get(keeper->store, line->message, &message) ||
        !store_recipient_get(keeper->store, line->message, line->number, &row) ||
        state_after((enum recipient_state)row.state, move) == STATE_NONE)
        return false;
    story = story_message_of(&message);
    if (row.state == STATE_REVEALED)
        text = S("ended");
    portal_shred(keeper, row.message, row.number);
    story_tell(keeper, row.message, (int64_t)row.number,
               is_purge ? EVENT_PURGED : EVENT_RETRACTED, &text, is_purge ? 0 : 1);
    row.is_held = false;
    row.owes = 0;
    row.due_ms = RECIPIENT_NOT_DUE;
    if (!story_move(keeper, &story, &row, move))
        return false;
    /* Nobody will come for what a purged notice told of. */
    if (is_purge && message.kind == KIND_NOTICE)
        portal_notice_bounced(keeper, message.parent, message.parent_number, message.id);
    return true;
}

struct tally {
    uint64_t lines, again, bad;
};

static void take_back_all(struct keeper *keeper, FILE *file, struct tally *tally)
{
    struct retraction_line line;
    struct secret key;
    char *text_cstr = NULL;
    size_t size = 0;
    ssize_t got;

    retraction_key(store_key_index(keeper->store), &key);
    while ((got = getline(&text_cstr, &size, file)) > 0) {
        tally->lines++;
        if (!retraction_parse(&key, slice_trim(slice_of(text_cstr, (size_t)got)), &line))
            tally->bad++;
        else if (take_back(keeper, &line))
            tally->again++;
        if (store_is_troubled(keeper->store, NULL))
            break;
    }
    secret_wipe(&key);
    free(text_cstr);
}

/* ---- the task ---- */

static void after_commit(struct keeper *keeper, uint64_t again, uint64_t bad, uint64_t held)
{
    char path_cstr[PATH_BYTES];

    write_path(keeper, RESTORED_NAME, path_cstr);
    if (unlink(path_cstr) != 0) {
        LOG(LOG_ERROR, "keeper.restored_not_removed", log_cstr("why", strerror(errno)));
        return;
    }
    keeper->restored.is_waiting = false;
    LOG(bad > 0 ? LOG_WARN : LOG_INFO, "keeper.restored", log_u64("taken_back_again", again),
        log_u64("lines_not_ours", bad), log_u64("held", held));
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    char path_cstr[PATH_BYTES];
    struct tally tally = {0};
    uint64_t held = 0;
    FILE *file;

    (void)task;
    (void)unused;
    write_path(keeper, RETRACTIONS_NAME, path_cstr);
    file = fopen(path_cstr, "re");
    if (file != NULL) {
        take_back_all(keeper, file, &tally);
        (void)fclose(file);
    }
    if (keeper->restored.holds)
        held = queue_hold_all(keeper);
    inbox_after(keeper, after_commit, tally.again, tally.bad, held);
}

static const struct task_kind kind_restored = {.name_cstr = "restored", .run = run};

static bool read_file(const char *path_cstr, bool *is_there_out, bool *holds_out,
                      struct err *err)
{
    char text[RESTORED_MAX_BYTES];
    int fd = open(path_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t got;

    *is_there_out = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ||
               FAIL(err, ERR_TEMP, "cannot open %s: %s", path_cstr, strerror(errno));
    got = read(fd, text, sizeof text);
    close(fd);
    if (got < 0)
        return FAIL(err, ERR_TEMP, "cannot read %s: %s", path_cstr, strerror(errno));
    return restored_parse(slice_of(text, (size_t)got), holds_out) ||
           FAIL(err, ERR_PERM, "%s is damaged: restore the backup again", path_cstr);
}

bool restored_settle(struct keeper *keeper, struct err *err)
{
    char path_cstr[PATH_BYTES];

    write_path(keeper, RESTORED_NAME, path_cstr);
    if (!read_file(path_cstr, &keeper->restored.is_waiting, &keeper->restored.holds, err))
        return false;
    if (!keeper->restored.is_waiting)
        return true;
    inbox_put_own(keeper, &kind_restored, IPC_NONE, NULL, NULL, 0, 0, 0);
    inbox_flush(keeper);
    return !keeper->restored.is_waiting ||
           FAIL(err, ERR_TEMP,
                "the restored state could not be settled: see the log, then start again");
}
