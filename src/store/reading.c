/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a database that nobody writes, for reading alone. */
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, URI_BYTES = 3 * PATH_BYTES + 32 };

static bool take_lock(struct store *store, struct err *err)
{
    char path_cstr[PATH_BYTES];

    snprintf(path_cstr, sizeof path_cstr, "%s/keeper.lock", store->dir_cstr);
    store->lock_fd = open(path_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (store->lock_fd < 0 && errno == ENOENT)
        return true; /* a backup, or no server was ever here */
    if (store->lock_fd < 0)
        return FAIL(err, ERR_TEMP, "cannot open %s: %s", path_cstr, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return FAIL(err, ERR_REFUSED, "a server runs on %s: stop it first", store->dir_cstr);
    return true;
}

/* file:PATH?immutable=1 with everything in PATH that means something in a URI written as %XX. */
static void write_uri(const char *path_cstr, char uri_out[URI_BYTES])
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    size_t at = (size_t)snprintf(uri_out, URI_BYTES, "file:");

    for (const char *from = path_cstr; *from != '\0' && at < URI_BYTES - 20; from++) {
        if (strchr(plain, *from) != NULL)
            uri_out[at++] = *from;
        else
            at += (size_t)snprintf(uri_out + at, 4, "%%%02X", (unsigned char)*from);
    }
    snprintf(uri_out + at, URI_BYTES - at, "?immutable=1");
}

static bool has_file(const char *path_cstr, const char *suffix_cstr)
{
    char name_cstr[PATH_BYTES + 16];
    struct stat status;

    snprintf(name_cstr, sizeof name_cstr, "%s%s", path_cstr, suffix_cstr);
    return stat(name_cstr, &status) == 0 && status.st_size > 0;
}

static bool configure(struct store *store, bool needs_recovery)
{
    /* Exclusive: the index of the log lies in memory, and no file is made for it. */
    static const char pragmas[] = "PRAGMA locking_mode=EXCLUSIVE;"
                                  "PRAGMA temp_store=MEMORY;"
                                  "PRAGMA mmap_size=0;"
                                  "PRAGMA trusted_schema=OFF;"
                                  "PRAGMA cache_size=-65536;"
                                  "PRAGMA wal_autocheckpoint=0;"
                                  "PRAGMA query_only=ON;";

    sqlite3_extended_result_codes(store->db, 1);
    /* What stands in the log stays there: the server moves it into the database, not we. */
    if (needs_recovery &&
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK)
        return false;
    return sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) == SQLITE_OK;
}

/* Without a log the file is all there is, and is opened without a lock or a write, even on a read-only disk. */
static bool open_file(struct store *store, const char *file_cstr, struct err *err)
{
    char path_cstr[PATH_BYTES], uri_cstr[URI_BYTES];
    bool needs_recovery;
    int got;

    snprintf(path_cstr, sizeof path_cstr, "%s/%s", store->dir_cstr, file_cstr);
    needs_recovery = has_file(path_cstr, "-wal") || has_file(path_cstr, "-journal");
    write_uri(path_cstr, uri_cstr);
    got = needs_recovery
              ? sqlite3_open_v2(path_cstr, &store->db,
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)
              : sqlite3_open_v2(uri_cstr, &store->db,
                                SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI,
                                NULL);
    if (got != SQLITE_OK || !configure(store, needs_recovery)) {
        FAIL(err, ERR_TEMP, "cannot open %s: %s", path_cstr,
             store->db == NULL ? "no memory" : sqlite3_errmsg(store->db));
        sqlite3_close(store->db);
        store->db = NULL;
        return false;
    }
    return true;
}

static bool check_version(struct store *store, struct err *err)
{
    int64_t version = store__schema_version(store);
    struct err why = {0};

    if (store_is_troubled(store, &why))
        return FAIL(err, ERR_PERM, "%s is no database that can be read: %s", store->dir_cstr,
                    why.text_cstr);
    store->is_blank = version == 0;
    if (version == 0 || version == store__schema_present)
        return true;
    return FAIL(err, ERR_PERM,
                "the database has schema version %lld, this program knows %lld: %s",
                (long long)version, (long long)store__schema_present,
                version < store__schema_present && version > 0
                    ? "start the server once, it brings it up to date"
                    : "it was made by a later version of Postern");
}

bool store_open_to_read(const char *dir_cstr, const char *file_cstr, struct store **store_out,
                        struct err *err)
{
    struct store *store = store__new(dir_cstr);

    store->is_reading = true;
    if (!take_lock(store, err) || !open_file(store, file_cstr, err) ||
        !check_version(store, err)) {
        store_close(&store);
        return false;
    }
    *store_out = store;
    return true;
}

bool store_is_blank(const struct store *store)
{
    return store->is_blank;
}
