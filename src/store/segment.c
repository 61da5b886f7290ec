/* SPDX-License-Identifier: Apache-2.0 */
#include "store/segment.h"

#include "store/internal.h"

void store_segment_count(struct store *store, enum spool_kind kind, uint64_t segment,
                         int64_t change)
{
    static const char sql[] = "INSERT INTO segment(id, kind, live) VALUES(?1, ?2, ?3)"
                              " ON CONFLICT(id) DO UPDATE SET live = live + ?3";

    if (segment != 0)
        store__run(store, sql, VALUES(NUMBER(segment), NUMBER(kind), NUMBER(change)));
}

size_t store_segment_dead(struct store *store, enum spool_kind kind, uint64_t after,
                          uint64_t *segments_out, size_t max)
{
    static const char sql[] =
        "SELECT id FROM segment WHERE kind = ?1 AND live <= 0 AND id > ?2 ORDER BY id LIMIT ?3";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(kind), NUMBER(after), NUMBER(max)));
    size_t count = 0;

    while (store__step(store, query))
        segments_out[count++] = (uint64_t)store__column(query, 0);
    return count;
}

bool store_segment_exists(struct store *store, uint64_t segment)
{
    static const char sql[] = "SELECT 1 FROM segment WHERE id = ?1";
    int64_t one;

    return store__number(store, sql, VALUES(NUMBER(segment)), &one);
}

void store_segment_forget(struct store *store, uint64_t segment)
{
    static const char sql[] = "DELETE FROM segment WHERE id = ?1 AND live <= 0";

    store__run(store, sql, VALUES(NUMBER(segment)));
}
