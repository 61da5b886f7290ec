/* SPDX-License-Identifier: Apache-2.0 */
#include "store/memory.h"

#include "store/internal.h"

#define SQL_COLUMNS                                                                            \
    "SELECT kind, name, day, low, high, first_ms, last_ms, small_until_ms, lost_ms"            \
    " FROM tls_memory "

static bool read_row(struct store *store, sqlite3_stmt *query, struct store_memory *memory_out)
{
    if (!store__step(store, query))
        return false;
    *memory_out = (struct store_memory){
        .kind = store__column(query, 0) == MEMORY_HOST ? MEMORY_HOST : MEMORY_DOMAIN,
        .seen = {store__column(query, 2), (uint64_t)store__column(query, 3),
                 (uint64_t)store__column(query, 4)},
        .first_ms = store__column(query, 5),
        .last_ms = store__column(query, 6),
        .small_until_ms = store__column(query, 7),
        .lost_ms = store__column(query, 8),
    };
    if (!slice_to_cstr(store__column_blob(query, 1), memory_out->name_cstr,
                       STORE_MEMORY_NAME_SIZE))
        memory_out->name_cstr[0] = '\0';
    store__end(query);
    return true;
}

bool store_memory_get(struct store *store, enum memory_kind kind, struct slice name,
                      struct store_memory *memory_out)
{
    static const char sql[] = SQL_COLUMNS "WHERE kind = ?1 AND name = ?2";

    return read_row(store, store__query(store, sql, VALUES(NUMBER(kind), value_text(name))),
                    memory_out);
}

void store_memory_put(struct store *store, const struct store_memory *memory)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO tls_memory(kind, name, day, low, high, first_ms, last_ms,"
        " small_until_ms, lost_ms) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)";

    store__run(store, sql,
               VALUES(NUMBER(memory->kind), value_text(slice_from_cstr(memory->name_cstr)),
                      NUMBER(memory->seen.day), NUMBER(memory->seen.low),
                      NUMBER(memory->seen.high), NUMBER(memory->first_ms),
                      NUMBER(memory->last_ms), NUMBER(memory->small_until_ms),
                      NUMBER(memory->lost_ms)));
}

bool store_memory_next_lost(struct store *store, const char *after_cstr,
                            struct store_memory *memory_out)
{
    static const char sql[] =
        SQL_COLUMNS "WHERE kind = 2 AND name > ?1 AND lost_ms <> 0 ORDER BY name LIMIT 1";

    return read_row(store,
                    store__query(store, sql, VALUES(value_text(slice_from_cstr(after_cstr)))),
                    memory_out);
}

uint64_t store_memory_lost_count(struct store *store)
{
    static const char sql[] = "SELECT count(*) FROM tls_memory WHERE lost_ms <> 0 AND kind = 2";
    int64_t count = 0;

    return store__number(store, sql, NULL, 0, &count) ? (uint64_t)count : 0;
}
