/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tls_report.h"

#include "store/internal.h"

enum { KEY_BYTES = 16 };

/* Copy text columns into `texts`; views of it. */
static void keep_texts(sqlite3_stmt *query, int first, size_t count, struct slice **out,
                       struct buffer *texts)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += store__column_blob(query, first + (int)i).len;
    buffer_clear(texts);
    must(buffer_reserve(texts, total + 1) != NULL); /* so that views stay where they are */
    for (size_t i = 0; i < count; i++) {
        struct slice text = store__column_blob(query, first + (int)i);
        size_t before = buffer_len(texts);

        must(buffer_append(texts, text));
        *out[i] = slice_from(buffer_view(texts), before);
    }
}

static void keep_domain(sqlite3_stmt *query, int column, char domain_cstr[STORE_DOMAIN_SIZE])
{
    if (!slice_to_cstr(store__column_blob(query, column), domain_cstr, STORE_DOMAIN_SIZE))
        domain_cstr[0] = '\0';
}

/* ---- what we saw ---- */

static struct slice key_of(const struct store_tls_count *row, uint8_t key[KEY_BYTES])
{
    for (int i = 0; i < 8; i++) {
        key[i] = (uint8_t)(row->policy_key >> (56 - 8 * i));
        key[8 + i] = (uint8_t)(row->detail_key >> (56 - 8 * i));
    }
    return slice_of(key, KEY_BYTES);
}

static uint64_t number_of(const uint8_t bytes[8])
{
    uint64_t number = 0;

    for (int i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return number;
}

bool store_tls_count_grow(struct store *store, const struct store_tls_count *row)
{
    static const char sql_find[] =
        "SELECT 1 FROM tls_count WHERE day = ?1 AND domain = ?2 AND key = ?3";
    static const char sql_grow[] = "UPDATE tls_count SET sessions = sessions + ?4"
                                   " WHERE day = ?1 AND domain = ?2 AND key = ?3";
    uint8_t key[KEY_BYTES];
    struct slice bytes = key_of(row, key);
    int64_t one;

    if (!store__number(store, sql_find,
                       VALUES(NUMBER(row->day), value_text(row->domain), value_blob(bytes)),
                       &one))
        return false;
    store__run(store, sql_grow,
               VALUES(NUMBER(row->day), value_text(row->domain), value_blob(bytes),
                      NUMBER(row->sessions)));
    return true;
}

void store_tls_count_put(struct store *store, const struct store_tls_count *row)
{
    static const char sql[] =
        "INSERT INTO tls_count(day, domain, key, policy, result, sessions, a, b, c, d)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT(day, domain, key)"
        " DO UPDATE SET sessions = sessions + excluded.sessions";
    uint8_t key[KEY_BYTES];

    store__run(store, sql,
               VALUES(NUMBER(row->day), value_text(row->domain), value_blob(key_of(row, key)),
                      NUMBER(row->policy), NUMBER(row->result), NUMBER(row->sessions),
                      value_text(row->texts[0]), value_text(row->texts[1]),
                      value_text(row->texts[2]), value_text(row->texts[3])));
}

size_t store_tls_counts(struct store *store, int64_t day, struct slice domain)
{
    static const char sql[] = "SELECT count(*) FROM tls_count WHERE day = ?1 AND domain = ?2";
    int64_t count = 0;

    return store__number(store, sql, VALUES(NUMBER(day), value_text(domain)), &count)
               ? (size_t)count
               : 0;
}

uint64_t store_tls_count_all(struct store *store)
{
    static const char sql[] = "SELECT count(*) FROM tls_count";
    int64_t count = 0;

    return store__number(store, sql, NULL, 0, &count) ? (uint64_t)count : 0;
}

bool store_tls_count_next(struct store *store, bool is_first, struct store_tls_count *row,
                          struct buffer *texts)
{
    static const char sql[] =
        "SELECT key, policy, result, sessions, a, b, c, d FROM tls_count"
        " WHERE day = ?1 AND domain = ?2 AND key > ?3 ORDER BY key LIMIT 1";
    struct slice *out[TLS_COUNT_TEXTS] = {&row->texts[0], &row->texts[1], &row->texts[2],
                                          &row->texts[3]};
    uint8_t key[KEY_BYTES];
    struct slice after = is_first ? slice_of("", 0) : key_of(row, key), found;
    sqlite3_stmt *query = store__query(
        store, sql, VALUES(NUMBER(row->day), value_text(row->domain), value_blob(after)));
    int64_t policy, result;

    if (!store__step(store, query))
        return false;
    found = store__column_blob(query, 0);
    policy = store__column(query, 1);
    result = store__column(query, 2);
    row->policy_key = found.len == KEY_BYTES ? number_of(found.at) : UINT64_MAX;
    row->detail_key = found.len == KEY_BYTES ? number_of(found.at + 8) : UINT64_MAX;
    row->policy = policy >= 0 && policy < REPORT_POLICY_COUNT ? (enum tls_report_policy)policy
                                                              : REPORT_NO_POLICY;
    row->result = result >= 0 && result < REPORT_RESULT_COUNT ? (enum tls_report_result)result
                                                              : REPORT_VALIDATION_FAILURE;
    row->sessions = (uint64_t)store__column(query, 3);
    keep_texts(query, 4, TLS_COUNT_TEXTS, out, texts);
    store__end(query);
    return true;
}

bool store_tls_count_domain(struct store *store, int64_t before_day, int64_t *day,
                            char domain_cstr[STORE_DOMAIN_SIZE])
{
    static const char sql[] = "SELECT day, domain FROM tls_count"
                              " WHERE (day, domain) > (?1, ?2) AND day < ?3"
                              " ORDER BY day, domain LIMIT 1";
    sqlite3_stmt *query = store__query(
        store, sql,
        VALUES(NUMBER(*day), value_text(slice_from_cstr(domain_cstr)), NUMBER(before_day)));

    if (!store__step(store, query))
        return false;
    *day = store__column(query, 0);
    keep_domain(query, 1, domain_cstr);
    store__end(query);
    return true;
}

size_t store_tls_count_forget(struct store *store, int64_t day, struct slice domain)
{
    static const char sql[] = "DELETE FROM tls_count WHERE day = ?1 AND domain = ?2";
    size_t count = store_tls_counts(store, day, domain);

    if (count > 0)
        store__run(store, sql, VALUES(NUMBER(day), value_text(domain)));
    return count;
}

/* ---- what is to be told ---- */

void store_tls_report_put(struct store *store, const struct store_tls_report *row)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO tls_report(day, domain, due_ms, since_ms, attempts, asked,"
        " places) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";

    store__run(store, sql,
               VALUES(NUMBER(row->day), value_text(slice_from_cstr(row->domain_cstr)),
                      NUMBER(row->due_ms), NUMBER(row->since_ms), NUMBER(row->attempts),
                      NUMBER(row->has_places), value_text(row->places)));
}

#define SQL_REPORT                                                                             \
    "SELECT day, domain, due_ms, since_ms, attempts, asked, places FROM tls_report"

static void read_report(sqlite3_stmt *query, struct store_tls_report *row_out)
{
    *row_out = (struct store_tls_report){.day = store__column(query, 0),
                                         .due_ms = store__column(query, 2),
                                         .since_ms = store__column(query, 3),
                                         .attempts = (unsigned)store__column(query, 4),
                                         .has_places = store__column(query, 5) != 0};
    keep_domain(query, 1, row_out->domain_cstr);
}

bool store_tls_report_get(struct store *store, int64_t day, struct slice domain,
                          struct store_tls_report *row_out, struct buffer *texts)
{
    static const char sql[] = SQL_REPORT " WHERE day = ?1 AND domain = ?2";
    struct slice *out[] = {&row_out->places};
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(day), value_text(domain)));

    if (!store__step(store, query))
        return false;
    read_report(query, row_out);
    keep_texts(query, 6, 1, out, texts);
    store__end(query);
    return true;
}

size_t store_tls_report_due(struct store *store, int64_t now_ms, struct store_tls_report *rows,
                            size_t max)
{
    static const char sql[] = SQL_REPORT " WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(now_ms), NUMBER(max)));
    size_t count = 0;

    while (count < max && store__step(store, query))
        read_report(query, &rows[count++]);
    store__end(query);
    return count;
}

void store_tls_report_forget(struct store *store, int64_t day, struct slice domain)
{
    static const char sql[] = "DELETE FROM tls_report WHERE day = ?1 AND domain = ?2";

    store__run(store, sql, VALUES(NUMBER(day), value_text(domain)));
}

/* ---- what others say ---- */

bool store_tls_reported_put(struct store *store, const struct store_tls_reported *row)
{
    static const char sql_find[] = "SELECT 1 FROM tls_reported WHERE organisation = ?1"
                                   " AND report_id = ?2 AND is_read = 1";
    static const char sql_put[] =
        "INSERT OR IGNORE INTO tls_reported(id, received_ms, begin_s, end_s, is_read, domain,"
        " organisation, report_id, signer, why) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
        " ?10)";
    int64_t one;

    if (row->is_read &&
        store__number(store, sql_find,
                      VALUES(value_text(row->organisation), value_text(row->report_id)), &one))
        return false;
    store__run(store, sql_put,
               VALUES(NUMBER(row->id), NUMBER(row->received_ms), NUMBER(row->begin_s),
                      NUMBER(row->end_s), NUMBER(row->is_read), value_text(row->domain),
                      value_text(row->organisation), value_text(row->report_id),
                      value_text(row->signer), value_text(row->why)));
    return true;
}

bool store_tls_reported_next(struct store *store, uint64_t before_id,
                             struct store_tls_reported *row_out, struct buffer *texts)
{
    static const char sql[] =
        "SELECT id, received_ms, begin_s, end_s, is_read, domain, organisation, report_id,"
        " signer, why FROM tls_reported WHERE id < ?1 ORDER BY id DESC LIMIT 1";
    struct slice *out[] = {&row_out->domain, &row_out->organisation, &row_out->report_id,
                           &row_out->signer, &row_out->why};
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(before_id)));

    if (!store__step(store, query))
        return false;
    *row_out = (struct store_tls_reported){.id = (uint64_t)store__column(query, 0),
                                           .received_ms = store__column(query, 1),
                                           .begin_s = store__column(query, 2),
                                           .end_s = store__column(query, 3),
                                           .is_read = store__column(query, 4) != 0};
    keep_texts(query, 5, COUNT_OF(out), out, texts);
    store__end(query);
    return true;
}

uint64_t store_tls_reported_count(struct store *store, int64_t since_ms)
{
    static const char sql[] = "SELECT count(*) FROM tls_reported WHERE received_ms >= ?1";
    int64_t count = 0;

    return store__number(store, sql, VALUES(NUMBER(since_ms)), &count) ? (uint64_t)count : 0;
}

size_t store_tls_sums(struct store *store, int64_t day, struct slice domain)
{
    static const char sql[] =
        "SELECT count(*) FROM tls_reported_sum WHERE day = ?1 AND domain = ?2";
    int64_t count = 0;

    return store__number(store, sql, VALUES(NUMBER(day), value_text(domain)), &count)
               ? (size_t)count
               : 0;
}

void store_tls_sum_add(struct store *store, const struct store_tls_sum *row)
{
    static const char sql[] =
        "INSERT INTO tls_reported_sum(day, domain, organisation, policy, result, mx, sessions)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        " ON CONFLICT(day, domain, organisation, policy, result, mx)"
        " DO UPDATE SET sessions = sessions + excluded.sessions";

    store__run(store, sql,
               VALUES(NUMBER(row->day), value_text(row->domain), value_text(row->organisation),
                      NUMBER(row->policy), value_text(row->result), value_text(row->mx),
                      NUMBER(row->sessions)));
}

bool store_tls_sum_next(struct store *store, bool is_first, struct slice domain,
                        struct store_tls_sum *row, struct buffer texts[2])
{
    static const char sql[] =
        "SELECT day, policy, sessions, domain, organisation, result, mx FROM tls_reported_sum"
        " WHERE (day, domain, organisation, policy, result, mx) > (?1, ?2, ?3, ?4, ?5, ?6)"
        " AND (?7 = '' OR domain = ?7)"
        " ORDER BY day, domain, organisation, policy, result, mx LIMIT 1";
    struct slice *out[] = {&row->domain, &row->organisation, &row->result, &row->mx};
    struct buffer swap = texts[0];
    sqlite3_stmt *query;

    if (is_first)
        *row = (struct store_tls_sum){.day = INT64_MIN};
    query =
        store__query(store, sql,
                     VALUES(NUMBER(row->day), value_text(row->domain),
                            value_text(row->organisation), NUMBER(row->policy),
                            value_text(row->result), value_text(row->mx), value_text(domain)));
    if (!store__step(store, query))
        return false;
    row->day = store__column(query, 0);
    row->policy = (enum tls_report_policy)(store__column(query, 1) % REPORT_POLICY_COUNT);
    row->sessions = (uint64_t)store__column(query, 2);
    texts[0] = texts[1];
    texts[1] = swap;
    keep_texts(query, 3, COUNT_OF(out), out, &texts[0]);
    store__end(query);
    return true;
}

void store_tls_reported_purge(struct store *store, int64_t before_ms)
{
    static const char sql_reports[] = "DELETE FROM tls_reported WHERE received_ms < ?1";
    static const char sql_sums[] = "DELETE FROM tls_reported_sum WHERE day < ?1";

    store__run(store, sql_reports, VALUES(NUMBER(before_ms)));
    store__run(store, sql_sums, VALUES(NUMBER(before_ms / (24 * 3600 * INT64_C(1000)))));
}
