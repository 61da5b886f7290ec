/* SPDX-License-Identifier: Apache-2.0 */
#include "store/walk.h"

#include "base/number.h"
#include "store/internal.h"
#include "store/portal.h"

#include <stdlib.h>
#include <string.h>

enum { BLIND_BYTES = 16, FINDINGS_MAX = 100 };

enum table {
    TABLE_MESSAGE,
    TABLE_RECIPIENT,
    TABLE_EVENT,
    TABLE_COPY,
    TABLE_SEGMENT,
    TABLE_ADDRESS,
    TABLE_DOMAIN,
    TABLE_COUNT
};

struct store_walk {
    struct store *store;
    sqlite3_stmt *queries[TABLE_COUNT]; /* NULL before the first row and after the last */
    bool has_ended[TABLE_COUNT];
};

static const char sql_message[] =
    "SELECT id, kind, sender, parent, parent_number, recipients, open, live, segment, offset,"
    " sealed_bytes, plain_bytes, wrapped_key, sealed FROM message ORDER BY id";
static const char sql_recipient[] =
    "SELECT message, number, address, domain, state, method, owes, requirement,"
    " due_ms IS NOT NULL, held, sealed FROM recipient ORDER BY message, number";
static const char sql_event[] =
    "SELECT message, id, number, kind, sealed FROM event ORDER BY message, id";
static const char sql_copy[] =
    "SELECT id, message, number, segment, offset, sealed_bytes, plain_bytes, sealed,"
    " length(lookup) FROM portal_copy ORDER BY message, number";
static const char sql_segment[] = "SELECT id, kind, live FROM segment ORDER BY id";
static const char sql_address[] = "SELECT id, blind, sealed FROM address ORDER BY id";
static const char sql_domain[] = "SELECT id, length(name), sealed FROM domain ORDER BY id";

static const char *const texts[TABLE_COUNT] = {
    [TABLE_MESSAGE] = sql_message, [TABLE_RECIPIENT] = sql_recipient,
    [TABLE_EVENT] = sql_event,     [TABLE_COPY] = sql_copy,
    [TABLE_SEGMENT] = sql_segment, [TABLE_ADDRESS] = sql_address,
    [TABLE_DOMAIN] = sql_domain,
};

struct store_walk *store_walk_new(struct store *store)
{
    struct store_walk *walk = calloc(1, sizeof *walk);

    must(walk != NULL);
    walk->store = store;
    return walk;
}

void store_walk_free(struct store_walk **walk)
{
    if (*walk == NULL)
        return;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        store__end((*walk)->queries[i]);
    free(*walk);
    *walk = NULL;
}

/* The next row of a table; NULL at its end. */
static sqlite3_stmt *next_row(struct store_walk *walk, enum table table)
{
    if (walk->has_ended[table])
        return NULL;
    if (walk->queries[table] == NULL)
        walk->queries[table] = store__query(walk->store, texts[table], NULL, 0);
    if (store__step(walk->store, walk->queries[table]))
        return walk->queries[table];
    walk->queries[table] = NULL;
    walk->has_ended[table] = true;
    return NULL;
}

static bool is_whole(struct store_walk *walk, enum seal_column column, uint64_t id,
                     uint64_t number, sqlite3_stmt *query, int at)
{
    struct slice cursor;

    return walk->store->keys == NULL || store__unpack(walk->store, column, id, number,
                                                      store__column_blob(query, at), &cursor);
}

static struct content_ref content_at(sqlite3_stmt *query, int at)
{
    return (struct content_ref){.segment = (uint64_t)store__column(query, at),
                                .offset = (uint64_t)store__column(query, at + 1),
                                .sealed_bytes = (uint64_t)store__column(query, at + 2),
                                .plain_bytes = (uint64_t)store__column(query, at + 3)};
}

bool store_walk_message(struct store_walk *walk, struct walked_message *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_MESSAGE);
    struct slice key;

    if (query == NULL)
        return false;
    key = store__column_blob(query, 12);
    *row_out = (struct walked_message){.id = (uint64_t)store__column(query, 0),
                                       .kind = (uint64_t)store__column(query, 1),
                                       .sender = (uint64_t)store__column(query, 2),
                                       .parent = (uint64_t)store__column(query, 3),
                                       .parent_number = (uint64_t)store__column(query, 4),
                                       .recipients = store__column(query, 5),
                                       .open = store__column(query, 6),
                                       .live = store__column(query, 7),
                                       .content = content_at(query, 8),
                                       .key_bytes = key.len};
    if (key.len == KEYWRAP_BYTES)
        memcpy(row_out->content.wrapped_key, key.at, KEYWRAP_BYTES);
    row_out->is_whole = is_whole(walk, SEAL_MESSAGE, row_out->id, 0, query, 13);
    return true;
}

bool store_walk_recipient(struct store_walk *walk, struct walked_recipient *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_RECIPIENT);

    if (query == NULL)
        return false;
    *row_out = (struct walked_recipient){.message = (uint64_t)store__column(query, 0),
                                         .number = (uint64_t)store__column(query, 1),
                                         .address = (uint64_t)store__column(query, 2),
                                         .domain = (uint64_t)store__column(query, 3),
                                         .state = store__column(query, 4),
                                         .method = store__column(query, 5),
                                         .owes = store__column(query, 6),
                                         .is_due = store__column(query, 8) != 0,
                                         .is_held = store__column(query, 9) != 0};
    row_out->is_requirement_legal =
        store__requirement_read(store__column(query, 7), &row_out->requirement);
    row_out->is_whole =
        is_whole(walk, SEAL_RECIPIENT, row_out->message, row_out->number, query, 10);
    return true;
}

bool store_walk_event(struct store_walk *walk, struct walked_event *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_EVENT);

    if (query == NULL)
        return false;
    *row_out = (struct walked_event){.message = (uint64_t)store__column(query, 0),
                                     .id = (uint64_t)store__column(query, 1),
                                     .number = store__column(query, 2),
                                     .kind = store__column(query, 3)};
    /* An event without words has no sealed column. */
    row_out->is_whole = sqlite3_column_type(query, 4) == SQLITE_NULL ||
                        is_whole(walk, SEAL_EVENT, row_out->message, row_out->id, query, 4);
    return true;
}

bool store_walk_copy(struct store_walk *walk, struct walked_copy *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_COPY);
    struct slice cursor, share, wrapped;

    if (query == NULL)
        return false;
    *row_out = (struct walked_copy){.id = (uint64_t)store__column(query, 0),
                                    .message = (uint64_t)store__column(query, 1),
                                    .number = (uint64_t)store__column(query, 2),
                                    .copy = content_at(query, 3),
                                    .has_keys = sqlite3_column_type(query, 7) != SQLITE_NULL,
                                    .is_whole = store__column(query, 8) == PORTAL_LOOKUP_BYTES};
    if (!row_out->has_keys || walk->store->keys == NULL)
        return true;
    if (!store__unpack(walk->store, SEAL_PORTAL, row_out->id, 0, store__column_blob(query, 7),
                       &cursor)) {
        row_out->is_whole = false;
        return true;
    }
    share = store__unpack_next(&cursor);
    wrapped = store__unpack_next(&cursor);
    if (share.len != SECRET_BYTES || wrapped.len != KEYWRAP_BYTES)
        row_out->is_whole = false;
    buffer_clear_wiped(&walk->store->opened[SEAL_PORTAL]);
    return true;
}

bool store_walk_segment(struct store_walk *walk, struct walked_segment *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_SEGMENT);

    if (query == NULL)
        return false;
    *row_out = (struct walked_segment){(uint64_t)store__column(query, 0),
                                       store__column(query, 1), store__column(query, 2)};
    return true;
}

bool store_walk_address(struct store_walk *walk, struct walked_name *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_ADDRESS);

    if (query == NULL)
        return false;
    row_out->id = (uint64_t)store__column(query, 0);
    row_out->is_whole = store__column_blob(query, 1).len == BLIND_BYTES &&
                        is_whole(walk, SEAL_ADDRESS, row_out->id, 0, query, 2);
    return true;
}

bool store_walk_domain(struct store_walk *walk, struct walked_name *row_out)
{
    sqlite3_stmt *query = next_row(walk, TABLE_DOMAIN);

    if (query == NULL)
        return false;
    row_out->id = (uint64_t)store__column(query, 0);
    row_out->is_whole =
        store__column(query, 1) > 0 && (sqlite3_column_type(query, 2) == SQLITE_NULL ||
                                        is_whole(walk, SEAL_DOMAIN, row_out->id, 0, query, 2));
    return true;
}

bool store_has_address(struct store *store, uint64_t id)
{
    static const char sql[] = "SELECT 1 FROM address WHERE id = ?1";
    int64_t one;

    return store__number(store, sql, VALUES(NUMBER(id)), &one);
}

bool store_has_domain(struct store *store, uint64_t id)
{
    static const char sql[] = "SELECT 1 FROM domain WHERE id = ?1";
    int64_t one;

    return store__number(store, sql, VALUES(NUMBER(id)), &one);
}

bool store_walk_counts(struct store *store, int64_t counts_out[LEDGER_COUNTS])
{
    static const char sql[] = "SELECT counts FROM batch ORDER BY id DESC LIMIT 1";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);
    struct slice counts;

    if (!store__step(store, query))
        return false;
    counts = store__column_blob(query, 0);
    for (size_t i = 0; i < LEDGER_COUNTS; i++)
        counts_out[i] =
            (i + 1) * 8 <= counts.len ? (int64_t)number_get_little(counts.at + i * 8, 8) : 0;
    store__end(query);
    return true;
}

bool store_check_file(struct store *store, bool is_quick,
                      void (*on_finding)(void *context, const char *words_cstr), void *context)
{
    sqlite3_stmt *query = NULL;
    unsigned count = 0;
    int got;

    got = sqlite3_prepare_v2(
        store->db, is_quick ? "PRAGMA quick_check(100)" : "PRAGMA integrity_check(100)", -1,
        &query, NULL);
    while (got == SQLITE_OK && (got = sqlite3_step(query)) == SQLITE_ROW) {
        const char *words_cstr = (const char *)sqlite3_column_text(query, 0);

        got = SQLITE_OK;
        if (words_cstr != NULL && strcmp(words_cstr, "ok") == 0)
            continue;
        if (count++ < FINDINGS_MAX)
            on_finding(context, words_cstr == NULL ? "damaged" : words_cstr);
    }
    if (got != SQLITE_DONE) {
        on_finding(context, sqlite3_errmsg(store->db));
        count++;
    }
    sqlite3_finalize(query);
    return count == 0;
}
