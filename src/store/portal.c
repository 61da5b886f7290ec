/* SPDX-License-Identifier: Apache-2.0 */
#include "store/portal.h"

#include "store/internal.h"

#include <string.h>

static struct slice seal_secrets(struct store *store, const struct store_portal_copy *copy)
{
    bool has_answer = copy->has_answer;

    store__pack_start(store);
    store__pack(store, slice_of(copy->share.bytes, SECRET_BYTES));
    store__pack(store, slice_of(copy->wrapped, KEYWRAP_BYTES));
    store__pack(store, slice_of(copy->salt, has_answer ? PORTAL_SALT_BYTES : 0));
    store__pack(store, slice_of(copy->verifier, has_answer ? SECRET_BYTES : 0));
    return store__pack_seal(store, SEAL_PORTAL, copy->id, 0);
}

static struct value code_value(const struct store_portal_copy *copy)
{
    return value_blob(copy->has_code ? slice_of(copy->code, PORTAL_CODE_BYTES)
                                     : slice_of(NULL, 0));
}

void store_portal_put(struct store *store, struct store_portal_copy *copy)
{
    static const char sql_id[] = "SELECT coalesce(max(id), 0) + 1 FROM portal_copy";
    static const char sql[] =
        "INSERT INTO portal_copy(id, lookup, message, number, proof, expires_ms, revealed_ms,"
        " tries, locked_ms, code, code_ms, codes, codes_ms, segment, offset, sealed_bytes,"
        " plain_bytes, sealed) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,"
        "?17,?18)";
    int64_t id = 0;

    store_begin(store);
    if (!store__number(store, sql_id, NULL, 0, &id))
        return;
    copy->id = (uint64_t)id;
    store__run(store, sql,
               VALUES(NUMBER(id), value_blob(slice_of(copy->lookup, PORTAL_LOOKUP_BYTES)),
                      NUMBER(copy->message), NUMBER(copy->number), NUMBER(copy->proof),
                      NUMBER(copy->expires_ms), NUMBER(copy->revealed_ms), NUMBER(copy->tries),
                      NUMBER(copy->locked_ms), code_value(copy), NUMBER(copy->code_ms),
                      NUMBER(copy->codes), NUMBER(copy->codes_ms), NUMBER(copy->copy.segment),
                      NUMBER(copy->copy.offset), NUMBER(copy->copy.sealed_bytes),
                      NUMBER(copy->copy.plain_bytes), value_blob(seal_secrets(store, copy))));
}

static bool take_bytes(struct slice *cursor, uint8_t *out, size_t len)
{
    struct slice bytes = store__unpack_next(cursor);

    if (bytes.len != len)
        return false;
    memcpy(out, bytes.at, len);
    return true;
}

static void open_secrets(struct store *store, struct slice sealed,
                         struct store_portal_copy *copy_out)
{
    struct slice cursor = {NULL, 0};

    if (!store__unpack(store, SEAL_PORTAL, copy_out->id, 0, sealed, &cursor))
        return;
    copy_out->is_open = take_bytes(&cursor, copy_out->share.bytes, SECRET_BYTES) &&
                        take_bytes(&cursor, copy_out->wrapped, KEYWRAP_BYTES);
    copy_out->has_answer = take_bytes(&cursor, copy_out->salt, PORTAL_SALT_BYTES) &&
                           take_bytes(&cursor, copy_out->verifier, SECRET_BYTES);
    buffer_wipe(&store->opened[SEAL_PORTAL]);
    buffer_init(&store->opened[SEAL_PORTAL], STORE_SEALED_MAX_BYTES);
}

#define SQL_COLUMNS                                                                            \
    "SELECT id, lookup, message, number, proof, expires_ms, revealed_ms, tries, locked_ms,"    \
    " code, code_ms, codes, codes_ms, segment, offset, sealed_bytes, plain_bytes, sealed"      \
    " FROM portal_copy "

static bool read_row(struct store *store, sqlite3_stmt *query,
                     struct store_portal_copy *copy_out)
{
    struct slice lookup, code;

    *copy_out = (struct store_portal_copy){0};
    if (!store__step(store, query))
        return false;
    lookup = store__column_blob(query, 1);
    code = store__column_blob(query, 9);
    copy_out->id = (uint64_t)store__column(query, 0);
    if (lookup.len == PORTAL_LOOKUP_BYTES)
        memcpy(copy_out->lookup, lookup.at, PORTAL_LOOKUP_BYTES);
    copy_out->message = (uint64_t)store__column(query, 2);
    copy_out->number = (uint64_t)store__column(query, 3);
    copy_out->proof = (unsigned)store__column(query, 4);
    copy_out->expires_ms = store__column(query, 5);
    copy_out->revealed_ms = store__column(query, 6);
    copy_out->tries = (unsigned)store__column(query, 7);
    copy_out->locked_ms = store__column(query, 8);
    copy_out->has_code = code.len == PORTAL_CODE_BYTES;
    if (copy_out->has_code)
        memcpy(copy_out->code, code.at, PORTAL_CODE_BYTES);
    copy_out->code_ms = store__column(query, 10);
    copy_out->codes = (unsigned)store__column(query, 11);
    copy_out->codes_ms = store__column(query, 12);
    copy_out->copy.segment = (uint64_t)store__column(query, 13);
    copy_out->copy.offset = (uint64_t)store__column(query, 14);
    copy_out->copy.sealed_bytes = (uint64_t)store__column(query, 15);
    copy_out->copy.plain_bytes = (uint64_t)store__column(query, 16);
    open_secrets(store, store__column_blob(query, 17), copy_out);
    store__end(query);
    return true;
}

bool store_portal_find(struct store *store, struct slice lookup,
                       struct store_portal_copy *copy_out)
{
    static const char sql[] = SQL_COLUMNS "WHERE lookup = ?1";

    if (lookup.len != PORTAL_LOOKUP_BYTES)
        lookup = S("no link has this length");
    return read_row(store, store__query(store, sql, VALUES(value_blob(lookup))), copy_out);
}

bool store_portal_get(struct store *store, uint64_t message, uint64_t number,
                      struct store_portal_copy *copy_out)
{
    static const char sql[] = SQL_COLUMNS "WHERE message = ?1 AND number = ?2";

    return read_row(store, store__query(store, sql, VALUES(NUMBER(message), NUMBER(number))),
                    copy_out);
}

void store_portal_update(struct store *store, const struct store_portal_copy *copy)
{
    static const char sql[] =
        "UPDATE portal_copy SET revealed_ms = ?2, tries = ?3, locked_ms = ?4, code = ?5,"
        " code_ms = ?6, codes = ?7, codes_ms = ?8 WHERE id = ?1";

    store__run(store, sql,
               VALUES(NUMBER(copy->id), NUMBER(copy->revealed_ms), NUMBER(copy->tries),
                      NUMBER(copy->locked_ms), code_value(copy), NUMBER(copy->code_ms),
                      NUMBER(copy->codes), NUMBER(copy->codes_ms)));
}

void store_portal_shred(struct store *store, uint64_t id)
{
    static const char sql[] = "UPDATE portal_copy SET sealed = NULL, code = NULL WHERE id = ?1";

    store__run(store, sql, VALUES(NUMBER(id)));
}
