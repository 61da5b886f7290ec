/* SPDX-License-Identifier: Apache-2.0 */
#include "store/board.h"

#include "store/internal.h"

#include <string.h>

#define SQL_ROW                                                                                \
    "SELECT name, used_ms, tested_ms, due_ms, verdict, since_ms, worse_ms, features, mx_proof"

static enum board_verdict verdict_of(int64_t number)
{
    return number >= 0 && number < BOARD_VERDICT_COUNT ? (enum board_verdict)number
                                                       : BOARD_UNKNOWN;
}

static void read_row(sqlite3_stmt *query, struct store_board *board_out)
{
    int64_t mx_proof = store__column(query, 8);

    *board_out = (struct store_board){
        .used_ms = store__column(query, 1),
        .tested_ms = store__column(query, 2),
        .due_ms = store__column(query, 3),
        .verdict = verdict_of(store__column(query, 4)),
        .since_ms = store__column(query, 5),
        .worse_ms = store__column(query, 6),
        .features = (unsigned)store__column(query, 7),
        .mx_proof =
            mx_proof > 0 && mx_proof < MX_PROOF_COUNT ? (enum mx_proof)mx_proof : MX_PROOF_NONE,
        .found = S(""),
    };
    if (!slice_to_cstr(store__column_blob(query, 0), board_out->name_cstr,
                       STORE_BOARD_NAME_SIZE))
        board_out->name_cstr[0] = '\0';
}

bool store_board_get(struct store *store, struct slice name, struct store_board *board_out)
{
    static const char sql[] = SQL_ROW ", found FROM tls_board WHERE name = ?1";
    sqlite3_stmt *query = store__query(store, sql, VALUES(value_text(name)));

    if (!store__step(store, query))
        return false;
    read_row(query, board_out);
    buffer_clear(&store->board_found);
    if (buffer_append(&store->board_found, store__column_blob(query, 9)))
        board_out->found = buffer_view(&store->board_found);
    store__end(query);
    return true;
}

void store_board_put(struct store *store, const struct store_board *board)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO tls_board(name, used_ms, tested_ms, due_ms, verdict, since_ms,"
        " worse_ms, features, mx_proof, found) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)";
    const struct store_board *b = board;

    store__run(store, sql,
               VALUES(value_text(slice_from_cstr(b->name_cstr)), NUMBER(b->used_ms),
                      NUMBER(b->tested_ms), value_optional(b->due_ms != 0, b->due_ms),
                      NUMBER(b->verdict), NUMBER(b->since_ms), NUMBER(b->worse_ms),
                      NUMBER(b->features), NUMBER(b->mx_proof), value_blob(b->found)));
}

void store_board_use(struct store *store, struct slice name, int64_t used_ms, int64_t due_ms)
{
    static const char sql[] =
        "INSERT INTO tls_board(name, used_ms, tested_ms, due_ms, verdict, since_ms, worse_ms,"
        " features, mx_proof) VALUES(?1, ?2, 0, ?3, 0, 0, 0, 0, 0) ON CONFLICT(name) DO UPDATE"
        " SET used_ms = ?2, due_ms = coalesce(?3, due_ms)";

    store__run(store, sql,
               VALUES(value_text(name), NUMBER(used_ms), value_optional(due_ms != 0, due_ms)));
}

void store_board_set_due(struct store *store, struct slice name, int64_t due_ms)
{
    static const char sql[] = "UPDATE tls_board SET due_ms = ?2 WHERE name = ?1";

    store__run(store, sql, VALUES(value_text(name), value_optional(due_ms != 0, due_ms)));
}

bool store_board_next(struct store *store, const char *after_cstr,
                      struct store_board *board_out)
{
    static const char sql[] = SQL_ROW " FROM tls_board WHERE name > ?1 ORDER BY name LIMIT 1";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(value_text(slice_from_cstr(after_cstr))));

    if (!store__step(store, query))
        return false;
    read_row(query, board_out);
    store__end(query);
    return true;
}

size_t store_board_due(struct store *store, int64_t until_ms, struct store_board *boards_out,
                       size_t max)
{
    static const char sql[] =
        SQL_ROW " FROM tls_board WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(until_ms), NUMBER(max)));
    size_t count = 0;

    while (count < max && store__step(store, query))
        read_row(query, &boards_out[count++]);
    store__end(query);
    return count;
}

void store_board_count(struct store *store, struct board_count *count_out)
{
    static const char sql[] =
        "SELECT verdict, features, tested_ms = 0, count(*) FROM tls_board GROUP BY 1, 2, 3";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);

    memset(count_out, 0, sizeof *count_out);
    while (store__step(store, query)) {
        uint64_t domains = (uint64_t)store__column(query, 3);

        count_out->domains += domains;
        count_out->verdicts[verdict_of(store__column(query, 0))] += domains;
        count_out->never_tested += store__column(query, 2) != 0 ? domains : 0;
        for (unsigned i = 0; i < COUNT_OF(count_out->features); i++)
            if ((store__column(query, 1) >> i & 1) != 0)
                count_out->features[i] += domains;
    }
}

void store_board_change_put(struct store *store, struct slice name,
                            const struct store_board_change *change)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO tls_change(name, at_ms, before, after, why)"
        " VALUES(?1,?2,?3,?4,?5)";
    static const char sql_old[] =
        "DELETE FROM tls_change WHERE name = ?1 AND at_ms <= (SELECT at_ms FROM tls_change"
        " WHERE name = ?1 ORDER BY at_ms DESC LIMIT 1 OFFSET ?2)";

    store__run(store, sql,
               VALUES(value_text(name), NUMBER(change->at_ms), NUMBER(change->before),
                      NUMBER(change->after), value_text(slice_from_cstr(change->why_cstr))));
    store__run(store, sql_old, VALUES(value_text(name), NUMBER(STORE_BOARD_CHANGES)));
}

size_t store_board_changes(struct store *store, struct slice name,
                           struct store_board_change *changes_out, size_t max)
{
    static const char sql[] = "SELECT at_ms, before, after, why FROM tls_change WHERE name = ?1"
                              " ORDER BY at_ms DESC LIMIT ?2";
    sqlite3_stmt *query = store__query(store, sql, VALUES(value_text(name), NUMBER(max)));
    size_t count = 0;

    while (count < max && store__step(store, query)) {
        struct store_board_change *change = &changes_out[count++];

        *change = (struct store_board_change){.at_ms = store__column(query, 0),
                                              .before = verdict_of(store__column(query, 1)),
                                              .after = verdict_of(store__column(query, 2))};
        if (!slice_to_cstr(
                slice_head(store__column_blob(query, 3), sizeof change->why_cstr - 1),
                change->why_cstr, sizeof change->why_cstr))
            change->why_cstr[0] = '\0';
    }
    store__end(query);
    return count;
}
