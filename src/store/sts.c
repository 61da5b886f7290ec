/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sts.h"

#include "store/internal.h"

#define SQL_COLUMNS                                                                            \
    "s.domain, s.id, s.mode, s.max_age_s, s.fetched_ms, s.expires_ms, s.checked_ms,"           \
    " s.refresh_ms, s.used_ms, s.gone_ms, s.failing_ms, s.announced, s.why, s.mx, s.policy"
/* Another one is announced, or this one could not be had anew for long. */
#define SQL_FAILING "failing_ms <> 0 AND (announced <> '' OR failing_ms < ?2)"

enum { COLUMN_COUNT = 15 };

/* What is empty may have no address; a text column takes no NULL. */
static struct value text_of(struct slice text)
{
    return value_text(text.at == NULL ? S("") : text);
}

void store_sts_put(struct store *store, const struct store_sts *row)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO sts(domain, id, mode, max_age_s, fetched_ms, expires_ms,"
        " checked_ms, refresh_ms, used_ms, gone_ms, failing_ms, announced, why, mx, policy)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

    store__run(store, sql,
               VALUES(NUMBER(row->domain), value_text(slice_from_cstr(row->id_cstr)),
                      NUMBER(row->mode), NUMBER(row->max_age_s), NUMBER(row->fetched_ms),
                      NUMBER(row->expires_ms), NUMBER(row->checked_ms), NUMBER(row->refresh_ms),
                      NUMBER(row->used_ms), NUMBER(row->gone_ms), NUMBER(row->failing_ms),
                      value_text(slice_from_cstr(row->announced_cstr)),
                      value_text(slice_from_cstr(row->why_cstr)), text_of(row->mx),
                      text_of(row->text)));
}

void store_sts_use(struct store *store, uint64_t domain, int64_t used_ms)
{
    static const char sql[] = "UPDATE sts SET used_ms = ?2 WHERE domain = ?1";

    store__run(store, sql, VALUES(NUMBER(domain), NUMBER(used_ms)));
}

static void copy_text(sqlite3_stmt *query, int column, char *out_cstr, size_t size)
{
    struct slice text = store__column_blob(query, column);

    if (!slice_to_cstr(slice_head(text, size - 1), out_cstr, size))
        out_cstr[0] = '\0';
}

/* A mode that was never written is the strictest: who can change our disk has won already, but not by a flip of a bit. */
static enum sts_state mode_of(int64_t number)
{
    return number == STS_NONE || number == STS_TESTING ? (enum sts_state)number : STS_ENFORCE;
}

static void read_row(sqlite3_stmt *query, struct store_sts *row_out, struct buffer *texts)
{
    struct slice mx = store__column_blob(query, 13), text = store__column_blob(query, 14);

    *row_out = (struct store_sts){
        .domain = (uint64_t)store__column(query, 0),
        .mode = mode_of(store__column(query, 2)),
        .max_age_s = (uint64_t)store__column(query, 3),
        .fetched_ms = store__column(query, 4),
        .expires_ms = store__column(query, 5),
        .checked_ms = store__column(query, 6),
        .refresh_ms = store__column(query, 7),
        .used_ms = store__column(query, 8),
        .gone_ms = store__column(query, 9),
        .failing_ms = store__column(query, 10),
    };
    copy_text(query, 1, row_out->id_cstr, sizeof row_out->id_cstr);
    copy_text(query, 11, row_out->announced_cstr, sizeof row_out->announced_cstr);
    copy_text(query, 12, row_out->why_cstr, sizeof row_out->why_cstr);
    buffer_clear(texts);
    if (!buffer_append(texts, mx) || !buffer_append(texts, text))
        buffer_clear(texts);
    row_out->mx = slice_head(buffer_view(texts), mx.len);
    row_out->text = slice_from(buffer_view(texts), mx.len);
}

bool store_sts_get(struct store *store, uint64_t domain, struct store_sts *row_out,
                   struct buffer *texts)
{
    static const char sql[] = "SELECT " SQL_COLUMNS " FROM sts s WHERE s.domain = ?1";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(domain)));

    if (!store__step(store, query))
        return false;
    read_row(query, row_out, texts);
    store__end(query);
    return true;
}

size_t store_sts_due(struct store *store, int64_t now_ms, int64_t used_since_ms,
                     uint64_t *domains_out, size_t max)
{
    static const char sql[] = "SELECT domain FROM sts WHERE refresh_ms <= ?1 AND"
                              " expires_ms > ?1 AND used_ms >= ?2 ORDER BY refresh_ms LIMIT ?3";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(now_ms), NUMBER(used_since_ms), NUMBER(max)));
    size_t count = 0;

    while (store__step(store, query))
        if (count < max)
            domains_out[count++] = (uint64_t)store__column(query, 0);
    return count;
}

void store_sts_purge(struct store *store, int64_t before_ms)
{
    static const char sql[] = "DELETE FROM sts WHERE expires_ms < ?1";

    store__run(store, sql, VALUES(NUMBER(before_ms)));
}

void store_sts_count(struct store *store, int64_t now_ms, int64_t failing_before_ms,
                     uint64_t *policies_out, uint64_t *failing_out)
{
    static const char sql[] = "SELECT COUNT(*), COALESCE(SUM(" SQL_FAILING "), 0) FROM sts"
                              " WHERE expires_ms > ?1";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(now_ms), NUMBER(failing_before_ms)));

    *policies_out = *failing_out = 0;
    if (!store__step(store, query))
        return;
    *policies_out = (uint64_t)store__column(query, 0);
    *failing_out = (uint64_t)store__column(query, 1);
    store__end(query);
}

size_t store_sts_failing(struct store *store, int64_t now_ms, int64_t failing_before_ms,
                         uint64_t *domains_out, size_t max)
{
    static const char sql[] = "SELECT domain FROM sts WHERE expires_ms > ?1 AND " SQL_FAILING
                              " ORDER BY domain LIMIT ?3";
    sqlite3_stmt *query = store__query(
        store, sql, VALUES(NUMBER(now_ms), NUMBER(failing_before_ms), NUMBER(max)));
    size_t count = 0;

    while (store__step(store, query))
        if (count < max)
            domains_out[count++] = (uint64_t)store__column(query, 0);
    return count;
}

bool store_sts_next(struct store *store, const char *after_cstr,
                    char name_out_cstr[STORE_DOMAIN_SIZE], struct store_sts *row_out,
                    struct buffer *texts)
{
    static const char sql[] = "SELECT " SQL_COLUMNS ", d.name FROM domain d JOIN sts s ON"
                              " s.domain = d.id WHERE d.name > ?1 ORDER BY d.name LIMIT 1";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(value_text(slice_from_cstr(after_cstr))));

    if (!store__step(store, query))
        return false;
    read_row(query, row_out, texts);
    copy_text(query, COLUMN_COUNT, name_out_cstr, STORE_DOMAIN_SIZE);
    store__end(query);
    return true;
}
