/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshot.h"

#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct store_snapshot {
    struct store *store; /* NULL: the connection was closed under it */
    sqlite3 *to;
    sqlite3_backup *backup;
    uint64_t done, all;
};

/* The copy is thrown away when anything goes wrong: it needs no journal and no sync. */
static bool open_target(struct store_snapshot *snapshot, const char *path_cstr, struct err *err)
{
    int fd = open(path_cstr, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return FAIL(err, ERR_TEMP, "cannot make %s: %s", path_cstr, strerror(errno));
    close(fd);
    if (sqlite3_open_v2(path_cstr, &snapshot->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK &&
        sqlite3_exec(snapshot->to,
                     "PRAGMA locking_mode=EXCLUSIVE;PRAGMA journal_mode=OFF;"
                     "PRAGMA synchronous=OFF;PRAGMA cache_size=-4096;",
                     NULL, NULL, NULL) == SQLITE_OK)
        return true;
    return FAIL(err, ERR_TEMP, "cannot write to %s: %s", path_cstr,
                snapshot->to == NULL ? "no memory" : sqlite3_errmsg(snapshot->to));
}

bool store_snapshot_begin(struct store *store, const char *path_cstr,
                          struct store_snapshot **snapshot_out, struct err *err)
{
    struct store_snapshot *snapshot;

    if (store->snapshot != NULL)
        return FAIL(err, ERR_TEMP, "a copy is being made already");
    if (store->db == NULL) { /* closed after trouble */
        store_begin(store);
        store_rollback(store);
    }
    if (store->db == NULL)
        return FAIL(err, ERR_TEMP, "the database cannot be opened now");
    snapshot = calloc(1, sizeof *snapshot);
    must(snapshot != NULL);
    if (open_target(snapshot, path_cstr, err)) {
        snapshot->backup = sqlite3_backup_init(snapshot->to, "main", store->db, "main");
        if (snapshot->backup == NULL)
            FAIL(err, ERR_TEMP, "cannot copy the database: %s", sqlite3_errmsg(snapshot->to));
    }
    if (snapshot->backup == NULL) {
        store_snapshot_free(&snapshot);
        return false;
    }
    snapshot->store = store;
    store->snapshot = snapshot;
    *snapshot_out = snapshot;
    return true;
}

static bool finish(struct store_snapshot *snapshot, struct err *err)
{
    int got = sqlite3_backup_finish(snapshot->backup);

    snapshot->backup = NULL;
    if (got == SQLITE_OK)
        got = sqlite3_close(snapshot->to);
    if (got == SQLITE_OK)
        snapshot->to = NULL;
    return got == SQLITE_OK ||
           FAIL(err, ERR_TEMP, "cannot copy the database: %s", sqlite3_errstr(got));
}

enum progress store_snapshot_step(struct store_snapshot *snapshot, unsigned pages,
                                  struct err *err)
{
    int got;

    if (snapshot->store == NULL || snapshot->backup == NULL) {
        FAIL(err, ERR_TEMP, "the database had to be opened anew");
        return PROGRESS_FAIL;
    }
    got = sqlite3_backup_step(snapshot->backup, (int)pages);
    snapshot->all = (uint64_t)sqlite3_backup_pagecount(snapshot->backup);
    snapshot->done = snapshot->all - (uint64_t)sqlite3_backup_remaining(snapshot->backup);
    if (got == SQLITE_OK || got == SQLITE_BUSY || got == SQLITE_LOCKED)
        return PROGRESS_WAIT;
    if (got == SQLITE_DONE)
        return finish(snapshot, err) ? PROGRESS_DONE : PROGRESS_FAIL;
    FAIL(err, ERR_TEMP, "cannot copy the database: %s", sqlite3_errstr(got));
    return PROGRESS_FAIL;
}

void store_snapshot_progress(const struct store_snapshot *snapshot, uint64_t *done_out,
                             uint64_t *all_out)
{
    *done_out = snapshot->done;
    *all_out = snapshot->all;
}

void store__snapshot_lose(struct store *store)
{
    struct store_snapshot *snapshot = store->snapshot;

    if (snapshot == NULL)
        return;
    sqlite3_backup_finish(snapshot->backup);
    snapshot->backup = NULL;
    snapshot->store = NULL;
    store->snapshot = NULL;
}

void store_snapshot_free(struct store_snapshot **snapshot)
{
    struct store_snapshot *gone = *snapshot;

    if (gone == NULL)
        return;
    if (gone->store != NULL)
        store__snapshot_lose(gone->store);
    sqlite3_close(gone->to);
    free(gone);
    *snapshot = NULL;
}

uint64_t store_snapshot_bytes(struct store *store)
{
    static const char sql_pages[] = "PRAGMA page_count";
    static const char sql_size[] = "PRAGMA page_size";
    int64_t pages = 0, size = 0;

    if (!store__number(store, sql_pages, NULL, 0, &pages) ||
        !store__number(store, sql_size, NULL, 0, &size))
        return 0;
    return (uint64_t)pages * (uint64_t)size;
}
