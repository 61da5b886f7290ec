/* SPDX-License-Identifier: Apache-2.0 */
#include "store/forward.h"

#include "store/internal.h"

void store_forward_put(struct store *store, struct store_forward *forward)
{
    static const char sql_insert[] =
        "INSERT INTO forward(source, target, flags, made_ms) VALUES(?1, ?2, ?3, ?4)";
    static const char sql_update[] = "UPDATE forward SET flags = ?2 WHERE id = ?1";
    static const char sql_id[] = "SELECT id FROM forward WHERE source = ?1 AND target = ?2";
    int64_t id = 0;

    if (forward->id != 0) {
        store__run(store, sql_update, VALUES(NUMBER(forward->id), NUMBER(forward->flags)));
        return;
    }
    store__run(store, sql_insert,
               VALUES(NUMBER(forward->source), NUMBER(forward->target), NUMBER(forward->flags),
                      NUMBER(forward->made_ms)));
    if (store__number(store, sql_id, VALUES(NUMBER(forward->source), NUMBER(forward->target)),
                      &id))
        forward->id = (uint64_t)id;
}

void store_forward_remove(struct store *store, uint64_t id)
{
    static const char sql[] = "DELETE FROM forward WHERE id = ?1";

    store__run(store, sql, VALUES(NUMBER(id)));
}

bool store_forward_next(struct store *store, uint64_t after, struct store_forward *forward_out)
{
    static const char sql[] = "SELECT id, source, target, flags, made_ms FROM forward"
                              " WHERE id > ?1 ORDER BY id LIMIT 1";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(after)));

    if (!store__step(store, query))
        return false;
    *forward_out = (struct store_forward){.id = (uint64_t)store__column(query, 0),
                                          .source = (uint64_t)store__column(query, 1),
                                          .target = (uint64_t)store__column(query, 2),
                                          .flags = (unsigned)store__column(query, 3),
                                          .made_ms = store__column(query, 4)};
    store__end(query);
    return true;
}
