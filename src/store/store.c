/* SPDX-License-Identifier: Apache-2.0 */
#include "store/board.h"
#include "store/internal.h"

#include "base/log.h"
#include "base/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    CHECKPOINT_PAGES = 8000,
    PACKED_MAX_BYTES = STORE_SEALED_MAX_BYTES,
    PATH_BYTES = 4096,
};

static int on_log_grown(void *context, sqlite3 *db, const char *name_cstr, int pages)
{
    struct store *store = context;

    (void)db;
    (void)name_cstr;
    store->log_pages = pages;
    store->has_logged = true;
    return SQLITE_OK;
}

static bool is_there(const char *path_cstr, const char *ending_cstr)
{
    char whole_cstr[PATH_BYTES + 16];
    struct stat status;

    snprintf(whole_cstr, sizeof whole_cstr, "%s%s", path_cstr, ending_cstr);
    return stat(whole_cstr, &status) == 0 && status.st_size > 0;
}

/*
 * A power cut in the first moment of a database's life may leave it as one page of zeros, and the name of the
 * journal that would tell so lost. SQLite takes that for somebody else's file; it is one that was never begun.
 */
static void forget_blank(int fd, const char *path_cstr)
{
    static const uint8_t blank[4096];
    uint8_t page[sizeof blank];
    struct stat status;
    ssize_t got;

    if (fstat(fd, &status) != 0 || status.st_size == 0 || status.st_size > (off_t)sizeof page ||
        is_there(path_cstr, "-wal") || is_there(path_cstr, "-journal"))
        return;
    got = pread(fd, page, sizeof page, 0);
    if (got == status.st_size && memcmp(page, blank, (size_t)got) == 0 && ftruncate(fd, 0) != 0)
        LOG(LOG_WARN, "store.blank_page_stays", log_cstr("why", strerror(errno)));
}

/*
 * A process that still is root makes the file for the user that it becomes, who owns the folder: else it
 * could not open it again. SQLite gives its log to the same owner.
 */
static void make_file(const struct store *store, const char *path_cstr)
{
    struct stat folder;
    int fd = open(path_cstr, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return; /* SQLite says why */
    if (geteuid() == 0 && stat(store->dir_cstr, &folder) == 0 &&
        fchown(fd, folder.st_uid, folder.st_gid) != 0)
        LOG(LOG_WARN, "store.not_given_away", log_cstr("why", strerror(errno)));
    forget_blank(fd, path_cstr);
    close(fd);
}

/*
 * The names of database and log (and of the folders beside them) must be as durable as what is in them. SQLite
 * syncs the folder only with fdatasync, which need not save names, and does not look at the result.
 */
static bool sync_folder(const struct store *store, struct err *err)
{
    int fd = open(store->dir_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;

    if (!is_synced)
        FAIL_SMTP(err, ERR_TEMP, 451, "4.3.0", "cannot sync %s: %s", store->dir_cstr,
                  strerror(errno));
    if (fd >= 0)
        close(fd);
    return is_synced;
}

static bool open_database(struct store *store, struct err *err)
{
    static const char pragmas[] =
        "PRAGMA locking_mode=EXCLUSIVE;" /* also: no shared-memory file */
        "PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=FULL;"
        "PRAGMA secure_delete=ON;"
        "PRAGMA temp_store=MEMORY;"
        "PRAGMA mmap_size=0;"
        "PRAGMA trusted_schema=OFF;"
        "PRAGMA foreign_keys=OFF;"
        "PRAGMA cache_size=-65536;"
        "PRAGMA wal_autocheckpoint=0;"
        "PRAGMA user_version;"; /* a read makes the log: see sync_folder */
    char path_cstr[PATH_BYTES];
    mode_t before = umask(077);
    int got;

    snprintf(path_cstr, sizeof path_cstr, "%s/postern.db", store->dir_cstr);
    make_file(store, path_cstr);
    got =
        sqlite3_open_v2(path_cstr, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    umask(before);
    if (got != SQLITE_OK || sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) != SQLITE_OK) {
        FAIL_SMTP(err, ERR_TEMP, 451, "4.3.0", "cannot open %s: %s", path_cstr,
                  store->db == NULL ? "no memory" : sqlite3_errmsg(store->db));
        sqlite3_close(store->db);
        store->db = NULL;
        return false;
    }
    if (!sync_folder(store, err)) {
        sqlite3_close(store->db);
        store->db = NULL;
        return false;
    }
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_wal_hook(store->db, on_log_grown, store);
    return true;
}

void store__close_database(struct store *store)
{
    store__snapshot_lose(store);
    for (size_t i = 0; i < STATEMENT_SLOTS; i++)
        sqlite3_finalize(store->statements[i].handle);
    memset(store->statements, 0, sizeof store->statements);
    if (store->db != NULL)
        sqlite3_close(store->db);
    store->db = NULL;
    store->is_open = store->must_settle = false;
    store->log_pages = 0;
}

static bool take_lock(struct store *store, struct err *err)
{
    char path_cstr[PATH_BYTES];

    snprintf(path_cstr, sizeof path_cstr, "%s/keeper.lock", store->dir_cstr);
    store->lock_fd = open(path_cstr, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return FAIL(err, ERR_TEMP, "cannot open %s: %s", path_cstr, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return FAIL(err, ERR_TEMP, "another server uses %s: stop it first", store->dir_cstr);
    return true;
}

struct store *store__new(const char *dir_cstr)
{
    struct store *store = calloc(1, sizeof *store);

    must(store != NULL);
    store->dir_cstr = strdup(dir_cstr);
    must(store->dir_cstr != NULL);
    store->lock_fd = -1;
    buffer_init(&store->packed, PACKED_MAX_BYTES);
    buffer_init(&store->sealed, PACKED_MAX_BYTES + SEAL_OVERHEAD);
    buffer_init(&store->board_found, STORE_BOARD_FOUND_MAX_BYTES);
    for (size_t i = 0; i < SEAL_COLUMN_COUNT; i++)
        buffer_init(&store->opened[i], PACKED_MAX_BYTES);
    store->addresses = address_cache_new();
    return store;
}

bool store_open(const char *state_dir_cstr, struct store **store_out, struct err *err)
{
    struct store *store = store__new(state_dir_cstr);

    if (!take_lock(store, err) || !open_database(store, err) || !store__migrate(store, err)) {
        store_close(&store);
        return false;
    }
    *store_out = store;
    return true;
}

void store_close(struct store **store)
{
    struct store *gone = *store;

    if (gone == NULL)
        return;
    store_rollback(gone);
    if (gone->db != NULL && !gone->is_reading)
        sqlite3_wal_checkpoint_v2(gone->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    store__close_database(gone);
    seal_free(&gone->seal);
    ledger_free(&gone->ledger);
    store_keys_free(&gone->keys);
    address_cache_free(&gone->addresses);
    buffer_wipe(&gone->packed);
    buffer_wipe(&gone->sealed);
    buffer_deinit(&gone->board_found);
    for (size_t i = 0; i < SEAL_COLUMN_COUNT; i++)
        buffer_wipe(&gone->opened[i]);
    if (gone->lock_fd >= 0)
        close(gone->lock_fd);
    free(gone->dir_cstr);
    free(gone);
    *store = NULL;
}

/* Trouble with the file itself: only a fresh connection can tell when it is over. */
static bool needs_fresh_connection(int code)
{
    return code == SQLITE_CORRUPT || code == SQLITE_CANTOPEN || code == SQLITE_NOTADB ||
           code == SQLITE_READONLY;
}

/*
 * After a failed write or sync nobody knows what of the log is on disk, and behind its last commit may
 * stand one that was refused. Closing would leave that to be read back as committed; going on would put
 * new commits behind bytes that a power cut takes away. So this connection, which knows what is
 * committed, first moves all of it into the database and empties the log.
 */
static bool settle(struct store *store)
{
    if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK)
        return store__fail(store, "the database's log");
    store->must_settle = false;
    return true;
}

bool store__fail(struct store *store, const char *doing_cstr)
{
    int code = store->db == NULL ? SQLITE_CANTOPEN : sqlite3_extended_errcode(store->db);
    bool is_full = (code & 0xFF) == SQLITE_FULL;

    if (store->is_troubled)
        return false;
    store->is_troubled = true;
    store->must_reopen = needs_fresh_connection(code & 0xFF);
    if ((code & 0xFF) == SQLITE_IOERR)
        store->must_settle = true;
    FAIL_SMTP(&store->trouble, ERR_TEMP, is_full ? 452 : 451, is_full ? "4.3.1" : "4.3.0",
              "%s: %s (%d)", doing_cstr,
              store->db == NULL ? "the database is closed" : sqlite3_errmsg(store->db), code);
    return false;
}

bool store__execute(struct store *store, const char *sql_cstr)
{
    if (store->db == NULL || sqlite3_exec(store->db, sql_cstr, NULL, NULL, NULL) != SQLITE_OK)
        return store__fail(store, "the database");
    return true;
}

void store_begin(struct store *store)
{
    struct err err;

    if (store->is_open)
        return;
    store->is_open = true;
    store->is_troubled = false;
    if (store->is_reading)
        return;
    if (store->db == NULL && !open_database(store, &err)) {
        store->is_troubled = true;
        store->trouble = err;
        return;
    }
    if (!store->must_settle || settle(store))
        store__execute(store, "BEGIN IMMEDIATE");
}

void store_rollback(struct store *store)
{
    if (!store->is_open)
        return;
    if (store->db != NULL && sqlite3_get_autocommit(store->db) == 0)
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    ledger_settle(store->ledger, false);
    address_cache_clear(store->addresses);
    if (store->must_reopen)
        store__close_database(store);
    store->must_reopen = false;
    store->is_open = false;
    store->is_troubled = false;
}

static void commit(struct store *store)
{
    int64_t began_us = stats_now_us(), took_us;

    store->has_logged = false;
    store__execute(store, "COMMIT");
    took_us = stats_now_us() - began_us;
    if (store->has_logged) /* else there was nothing to write */
        STAT_MEASURE(KEEPER_COMMIT, took_us);
    log_slow("commit", took_us);
}

bool store_commit(struct store *store, struct err *err)
{
    if (!store->is_open)
        return true;
    if (!store->is_troubled)
        ledger_write(store);
    if (!store->is_troubled)
        commit(store);
    if (store->is_troubled) {
        *err = store->trouble;
        store_rollback(store);
        return false;
    }
    store->is_open = false;
    ledger_settle(store->ledger, true);
    return true;
}

bool store_is_troubled(const struct store *store, struct err *err_out)
{
    if (store->is_troubled && err_out != NULL)
        *err_out = store->trouble;
    return store->is_troubled;
}

void store_checkpoint_if_due(struct store *store)
{
    int64_t began_us, took_us;
    int code;

    if (store->db == NULL || store->is_open || store->log_pages < CHECKPOINT_PAGES)
        return;
    began_us = stats_now_us();
    code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    took_us = stats_now_us() - began_us;
    STAT_MEASURE(KEEPER_CHECKPOINT, took_us);
    log_slow("checkpoint", took_us);
    if (code != SQLITE_OK)
        LOG(LOG_WARN, "store.checkpoint_failed", log_cstr("why", sqlite3_errstr(code)));
    store->log_pages = 0;
}

bool store_has_room(const struct store *store, uint64_t reserve_bytes)
{
    struct statvfs disk;

    if (statvfs(store->dir_cstr, &disk) != 0)
        return true; /* the write itself will tell */
    return (uint64_t)disk.f_bavail * disk.f_frsize >= reserve_bytes;
}

void store_limit_pages(struct store *store, uint32_t pages)
{
    char sql_cstr[64];

    snprintf(sql_cstr, sizeof sql_cstr, "PRAGMA max_page_count=%u",
             pages == 0 ? 1073741823U : pages);
    store__execute(store, sql_cstr);
}
