/* SPDX-License-Identifier: Apache-2.0 */
#include "store/key.h"

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "store/internal.h"
#include "store/master.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX_BYTES = 4096, KEY_NAME_SIZE = 64, KEY_AAD_SIZE = KEY_NAME_SIZE + 32 };

#define NAME_COLUMN "column"
#define NAME_INDEX "index"
#define NAME_BOUNCE "bounce"
#define NAME_PAIR "pair"

struct store_keys {
    uint64_t column_id;
    struct secret column, index, bounce;
    struct recipient_key *pairs[STORE_PAIRS_MAX]; /* newest first */
    size_t pair_count;
};

static struct aead_box *row_box(const struct secret *master_key)
{
    struct secret key;
    struct aead_box *box;

    hkdf_secret(master_key, S("postern key row"), &key);
    box = aead_box_new(&key);
    secret_wipe(&key);
    return box;
}

static struct slice row_aad(const char *name_cstr, int64_t id, char text_out[KEY_AAD_SIZE])
{
    snprintf(text_out, KEY_AAD_SIZE, "%s %lld", name_cstr, (long long)id);
    return slice_from_cstr(text_out);
}

/* Seal a key into its row; inserts or replaces. */
static void put_row(struct store *store, const struct master_key *master, int64_t id,
                    const char *name_cstr, struct slice plain, struct slice certificate)
{
    static const char sql[] =
        "INSERT INTO key(id, name, generation, wrapped, certificate) VALUES(?1,?2,?3,?4,?5)"
        " ON CONFLICT(id) DO UPDATE SET generation=?3, wrapped=?4";
    uint8_t box_bytes[KEY_MAX_BYTES + AEAD_BOX_OVERHEAD];
    char aad_text[KEY_AAD_SIZE];
    struct aead_box *box = row_box(&master->key);

    must(plain.len <= KEY_MAX_BYTES);
    aead_box_seal(box, row_aad(name_cstr, id, aad_text), plain, box_bytes);
    aead_box_free(&box);
    store__run(store, sql,
               VALUES(NUMBER(id), value_text(slice_from_cstr(name_cstr)),
                      NUMBER(master->generation),
                      value_blob(slice_of(box_bytes, plain.len + AEAD_BOX_OVERHEAD)),
                      value_blob(certificate)));
}

static int64_t next_id(struct store *store)
{
    static const char sql[] = "SELECT coalesce(max(id), 0) + 1 FROM key";
    int64_t id = 1;

    return store__number(store, sql, NULL, 0, &id) ? id : 1;
}

static void make_secret(struct store *store, const struct master *master, const char *name_cstr)
{
    struct secret key;

    random_secret(&key);
    put_row(store, &master->keys[0], next_id(store), name_cstr,
            slice_of(key.bytes, SECRET_BYTES), slice_of(NULL, 0));
    secret_wipe(&key);
}

static bool make_pair(struct store *store, const struct master *master, struct err *err)
{
    struct recipient_key *key = NULL;
    struct buffer private_der, certificate_der;
    bool made = false;

    buffer_init(&private_der, KEY_MAX_BYTES);
    buffer_init(&certificate_der, KEY_MAX_BYTES);
    if (recipient_key_generate("Postern keeper", &key, err)) {
        made =
            recipient_key_write_der(key, &private_der) &&
            recipient_certificate_write_der(recipient_key_certificate(key), &certificate_der);
        if (made)
            put_row(store, &master->keys[0], next_id(store), NAME_PAIR,
                    buffer_view(&private_der), buffer_view(&certificate_der));
        else
            FAIL(err, ERR_TEMP, "cannot write the new key pair");
    }
    recipient_key_free(&key);
    buffer_wipe(&private_der);
    buffer_deinit(&certificate_der);
    return made;
}

struct key_row {
    int64_t id;
    char name_cstr[KEY_NAME_SIZE];
    uint64_t generation;
    uint8_t plain[KEY_MAX_BYTES];
    size_t plain_len;
    uint8_t certificate[KEY_MAX_BYTES];
    size_t certificate_len;
};

static bool open_row(const struct master *master, sqlite3_stmt *query, struct key_row *row_out,
                     struct err *err)
{
    struct slice sealed = store__column_blob(query, 3),
                 certificate = store__column_blob(query, 4);
    const struct secret *key;
    char aad_text[KEY_AAD_SIZE];
    struct aead_box *box;
    bool opened;

    row_out->id = store__column(query, 0);
    row_out->generation = (uint64_t)store__column(query, 2);
    key = master_find(master, row_out->generation);
    if (key == NULL)
        return FAIL(
            err, ERR_PERM,
            "the keys in the database are sealed by master key generation %llu, which is "
            "not in the master key file: put it back",
            (unsigned long long)row_out->generation);
    if (!slice_to_cstr(store__column_blob(query, 1), row_out->name_cstr,
                       sizeof row_out->name_cstr) ||
        sealed.len < AEAD_BOX_OVERHEAD || sealed.len > KEY_MAX_BYTES + AEAD_BOX_OVERHEAD ||
        certificate.len > KEY_MAX_BYTES)
        return FAIL(err, ERR_PERM, "a row of table key is damaged");
    box = row_box(key);
    opened = aead_box_open(box, row_aad(row_out->name_cstr, row_out->id, aad_text), sealed,
                           row_out->plain);
    aead_box_free(&box);
    if (!opened)
        return FAIL(err, ERR_PERM,
                    "master key generation %llu does not open this database: it belongs to "
                    "another one",
                    (unsigned long long)row_out->generation);
    row_out->plain_len = sealed.len - AEAD_BOX_OVERHEAD;
    row_out->certificate_len = certificate.len;
    if (certificate.len > 0)
        memcpy(row_out->certificate, certificate.at, certificate.len);
    return true;
}

static void take_secret(const struct key_row *row, struct secret *secret_out)
{
    if (row->plain_len == SECRET_BYTES)
        memcpy(secret_out->bytes, row->plain, SECRET_BYTES);
}

/* Keep what the row holds; rows come newest first. */
static bool take_row(struct store_keys *keys, const struct key_row *row, struct err *err)
{
    if (strcmp(row->name_cstr, NAME_COLUMN) == 0) {
        take_secret(row, &keys->column);
        keys->column_id = (uint64_t)row->id;
    } else if (strcmp(row->name_cstr, NAME_INDEX) == 0) {
        take_secret(row, &keys->index);
    } else if (strcmp(row->name_cstr, NAME_BOUNCE) == 0) {
        take_secret(row, &keys->bounce);
    } else if (strcmp(row->name_cstr, NAME_PAIR) == 0 && keys->pair_count < STORE_PAIRS_MAX) {
        if (!recipient_key_parse(slice_of(row->plain, row->plain_len),
                                 slice_of(row->certificate, row->certificate_len),
                                 &keys->pairs[keys->pair_count], err))
            return false;
        keys->pair_count++;
    }
    return true;
}

#define SQL_ALL_ROWS "SELECT id, name, generation, wrapped, certificate FROM key"

static bool load_rows(struct store *store, const struct master *master, struct store_keys *keys,
                      struct err *err)
{
    static const char sql[] = SQL_ALL_ROWS " ORDER BY id DESC";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);
    struct key_row row = {0};
    bool loaded = true;

    while (loaded && store__step(store, query)) {
        loaded = open_row(master, query, &row, err) && take_row(keys, &row, err);
        explicit_bzero(&row, sizeof row);
    }
    if (!loaded)
        store__end(query);
    return loaded;
}

/* Rows sealed by an older generation are sealed anew by the newest. */
static bool rewrap_rows(struct store *store, const struct master *master, struct err *err)
{
    static const char sql[] = SQL_ALL_ROWS " WHERE generation <> ?1 LIMIT 1";
    struct key_row row = {0};
    unsigned count = 0;

    for (;;) {
        sqlite3_stmt *query =
            store__query(store, sql, VALUES(NUMBER(master->keys[0].generation)));
        bool opened;

        if (!store__step(store, query))
            break;
        opened = open_row(master, query, &row, err);
        store__end(query);
        if (opened)
            put_row(store, &master->keys[0], row.id, row.name_cstr,
                    slice_of(row.plain, row.plain_len), slice_of(NULL, 0));
        explicit_bzero(&row, sizeof row);
        if (!opened)
            return false;
        count++;
    }
    if (count > 0)
        LOG(LOG_INFO, "store.keys_rewrapped", log_u64("rows", count),
            log_u64("generation", master->keys[0].generation));
    return true;
}

static bool make_missing(struct store *store, const struct master *master, struct err *err)
{
    static const char sql[] = "SELECT count(*) FROM key";
    int64_t count = 0;

    if (!store__number(store, sql, NULL, 0, &count) || count > 0)
        return true;
    make_secret(store, master, NAME_COLUMN);
    make_secret(store, master, NAME_INDEX);
    make_secret(store, master, NAME_BOUNCE);
    return make_pair(store, master, err);
}

void store_keys_free(struct store_keys **keys)
{
    if (*keys == NULL)
        return;
    for (size_t i = 0; i < (*keys)->pair_count; i++)
        recipient_key_free(&(*keys)->pairs[i]);
    explicit_bzero(*keys, sizeof **keys);
    free(*keys);
    *keys = NULL;
}

/* Take what the rows hold into store->keys. */
static bool load_keys(struct store *store, const struct master *master, struct err *err)
{
    struct store_keys *keys = calloc(1, sizeof *keys);

    must(keys != NULL);
    if (!load_rows(store, master, keys, err)) {
        store_keys_free(&keys);
        return false;
    }
    if (keys->column_id == 0 || keys->pair_count == 0) {
        store_keys_free(&keys);
        return FAIL(err, ERR_PERM, "table key lacks a row: restore the database");
    }
    store->keys = keys;
    return true;
}

static bool open_with(struct store *store, const struct master *master, struct err *err)
{
    store_begin(store);
    if (!make_missing(store, master, err) || !rewrap_rows(store, master, err)) {
        store_rollback(store);
        return false;
    }
    if (!store_commit(store, err))
        return false;
    if (store->keys != NULL)
        return true;
    if (!load_keys(store, master, err))
        return false;
    store->seal = seal_new(store, store->keys->column_id, &store->keys->column);
    return (store->seal != NULL && ledger_new(store, &store->keys->index) != NULL) ||
           FAIL(err, ERR_TEMP, "cannot write to the database");
}

bool store_keys_open(struct store *store, struct slice master_text, struct err *err)
{
    struct master master;
    bool opened = master_parse(master_text, &master, err) && open_with(store, &master, err);

    master_wipe(&master);
    return opened;
}

bool store_keys_read(struct store *store, struct slice master_text, struct err *err)
{
    struct master master;
    bool opened = master_parse(master_text, &master, err) && load_keys(store, &master, err);

    master_wipe(&master);
    if (opened)
        store->seal = seal_new_to_read(store->keys->column_id, &store->keys->column);
    return opened;
}

const struct secret *store_key_index(const struct store *store)
{
    return &store->keys->index;
}

const struct secret *store_key_bounce(const struct store *store)
{
    return &store->keys->bounce;
}

const struct recipient_key *store_key_pair(const struct store *store, size_t at)
{
    return at < store->keys->pair_count ? store->keys->pairs[at] : NULL;
}

size_t store_key_uses(struct store *store, struct store_key_use *uses_out, size_t max)
{
    static const char sql[] =
        "SELECT generation, count(*) FROM key GROUP BY generation ORDER BY generation DESC";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);
    size_t count = 0;

    while (store__step(store, query)) {
        if (count < max)
            uses_out[count++] = (struct store_key_use){(uint64_t)store__column(query, 0),
                                                       (uint64_t)store__column(query, 1)};
    }
    return count;
}

bool store_identity(struct store *store, uint8_t digest_out[SHA256_BYTES])
{
    static const char sql[] =
        "SELECT certificate FROM key WHERE name = '" NAME_PAIR "' ORDER BY id LIMIT 1";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);

    if (!store__step(store, query))
        return false;
    sha256(store__column_blob(query, 0), digest_out);
    store__end(query);
    return true;
}

bool store_key_pair_renew(struct store *store, struct slice master_text, struct err *err)
{
    struct master master;
    bool renewed = false;

    if (master_parse(master_text, &master, err)) {
        store_begin(store);
        renewed = make_pair(store, &master, err) && store_commit(store, err);
        store_rollback(store);
    }
    master_wipe(&master);
    return renewed;
}
