/* SPDX-License-Identifier: Apache-2.0 */
#include "store/domain.h"

#include "store/internal.h"

#include <stdio.h>

#define SQL_COLUMNS                                                                            \
    "SELECT id, name, hold, level, checked_ms, lacking_ms, sealed, mx_proof FROM domain "

static void read_row(sqlite3_stmt *query, struct store_domain *domain_out)
{
    int64_t level = store__column(query, 3), mx_proof = store__column(query, 7);

    *domain_out = (struct store_domain){
        .id = (uint64_t)store__column(query, 0),
        .is_held = store__column(query, 2) != 0,
        .level = level > 0 && level < PROOF_COUNT ? (enum proof_level)level : PROOF_NONE,
        .checked_ms = store__column(query, 4),
        .lacking_ms = store__column(query, 5),
        .mx_proof =
            mx_proof > 0 && mx_proof < MX_PROOF_COUNT ? (enum mx_proof)mx_proof : MX_PROOF_NONE,
    };
    if (!slice_to_cstr(store__column_blob(query, 1), domain_out->name_cstr, STORE_DOMAIN_SIZE))
        domain_out->name_cstr[0] = '\0';
}

bool store_domain_find(struct store *store, struct slice name, struct store_domain *domain_out)
{
    static const char sql[] = SQL_COLUMNS "WHERE name = ?1";
    sqlite3_stmt *query = store__query(store, sql, VALUES(value_text(name)));

    if (!store__step(store, query))
        return false;
    read_row(query, domain_out);
    store__end(query);
    return true;
}

bool store_domain_get(struct store *store, uint64_t id, struct store_domain *domain_out)
{
    static const char sql[] = SQL_COLUMNS "WHERE id = ?1";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(id)));

    if (!store__step(store, query))
        return false;
    read_row(query, domain_out);
    store__end(query);
    return true;
}

bool store_domain_put(struct store *store, struct slice name, struct store_domain *domain_out)
{
    static const char sql[] = "INSERT INTO domain(name) VALUES(?1)";

    if (name.len >= STORE_DOMAIN_SIZE)
        return false;
    if (store_domain_find(store, name, domain_out))
        return true;
    store__run(store, sql, VALUES(value_text(name)));
    return store_domain_find(store, name, domain_out);
}

void store_domain_learn(struct store *store, const struct store_domain *domain, struct slice mx,
                        struct slice detail)
{
    static const char sql[] = "UPDATE domain SET level = ?2, checked_ms = ?3, lacking_ms = ?4,"
                              " sealed = ?5, mx_proof = ?6 WHERE id = ?1";

    store__pack_start(store);
    store__pack(store, slice_head(mx, STORE_DOMAIN_SIZE - 1));
    store__pack(store, slice_head(detail, STORE_DOMAIN_TEXT_SIZE - 1));
    store__run(store, sql,
               VALUES(NUMBER(domain->id), NUMBER(domain->level), NUMBER(domain->checked_ms),
                      NUMBER(domain->lacking_ms),
                      value_blob(store__pack_seal(store, SEAL_DOMAIN, domain->id, 0)),
                      NUMBER(domain->mx_proof)));
}

void store_domain_hold(struct store *store, uint64_t id, bool is_held)
{
    static const char sql[] = "UPDATE domain SET hold = ?2 WHERE id = ?1";

    store__run(store, sql, VALUES(NUMBER(id), NUMBER(is_held)));
}

static void copy_text(struct slice text, char *out_cstr, size_t size)
{
    if (!slice_to_cstr(slice_head(text, size - 1), out_cstr, size))
        out_cstr[0] = '\0';
}

bool store_domain_next(struct store *store, const char *after_cstr,
                       struct store_domain *domain_out, char mx_out_cstr[STORE_DOMAIN_SIZE],
                       char detail_out_cstr[STORE_DOMAIN_TEXT_SIZE])
{
    static const char sql[] = SQL_COLUMNS "WHERE name > ?1 ORDER BY name LIMIT 1";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(value_text(slice_from_cstr(after_cstr))));
    struct slice cursor = {NULL, 0};

    if (!store__step(store, query))
        return false;
    read_row(query, domain_out);
    if (!store__unpack(store, SEAL_DOMAIN, domain_out->id, 0, store__column_blob(query, 6),
                       &cursor))
        cursor = slice_of(NULL, 0);
    copy_text(store__unpack_next(&cursor), mx_out_cstr, STORE_DOMAIN_SIZE);
    copy_text(store__unpack_next(&cursor), detail_out_cstr, STORE_DOMAIN_TEXT_SIZE);
    store__end(query);
    return true;
}
