/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ledger.h"

#include "base/log.h"
#include "base/number.h"
#include "crypto/digest.h"
#include "store/internal.h"
#include "store/message.h"

#include <stdlib.h>
#include <string.h>

enum {
    ENTRY_BYTES = 16,
    ROW_BYTES = LEDGER_ROW_HEADERS * ENTRY_BYTES,
    FRESH_MAX_BYTES = 64 << 20,
    PAGE = 500,
    SWEEP_ROWS = 50,
    CANDIDATES_MAX = 8,
};

struct ledger {
    struct secret key;
    int64_t counts[LEDGER_COUNTS], committed[LEDGER_COUNTS];
    int64_t row;         /* the newest */
    struct buffer tail;  /* its entries */
    struct buffer fresh; /* entries of the batch under way */
    bool is_changed;
    /* What ledger_write has made of row and tail: in force after the commit. */
    int64_t next_row;
    size_t
        next_tail_bytes; /* of fresh, from its end; SIZE_MAX: all of it behind the present tail */
    int64_t swept;       /* rows up to this one have been looked at in this round */
};

static uint64_t hash_of(const struct ledger *ledger, struct slice header_id)
{
    return siphash(&ledger->key, header_id);
}

static void append_entry(struct buffer *to, uint64_t hash, uint64_t message)
{
    uint8_t *at = buffer_reserve(to, ENTRY_BYTES);

    must(at != NULL);
    number_put_little(at, hash, 8);
    number_put_little(at + 8, message, 8);
    buffer_commit(to, ENTRY_BYTES);
}

/* ---- write ---- */

int64_t ledger_get(const struct ledger *ledger, unsigned count)
{
    return ledger->counts[count];
}

void ledger_add(struct ledger *ledger, unsigned count, int64_t change)
{
    must(count < LEDGER_COUNTS);
    ledger->counts[count] += change;
    ledger->is_changed = ledger->is_changed || change != 0;
}

void ledger_put_header(struct ledger *ledger, struct slice header_id, uint64_t message)
{
    if (header_id.len == 0 || buffer_room(&ledger->fresh) < ENTRY_BYTES)
        return;
    append_entry(&ledger->fresh, hash_of(ledger, header_id), message);
    ledger->is_changed = true;
}

static void put_row(struct store *store, int64_t row, struct slice headers)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO batch(id, counts, headers) VALUES(?1, ?2, ?3)";
    const struct ledger *ledger = store->ledger;
    uint8_t counts[LEDGER_COUNTS * 8];

    for (size_t i = 0; i < LEDGER_COUNTS; i++)
        number_put_little(counts + i * 8, (uint64_t)ledger->counts[i], 8);
    store__run(store, sql,
               VALUES(NUMBER(row), value_blob(slice_of(counts, sizeof counts)),
                      value_blob(headers.len == 0 ? slice_of("", 0) : headers)));
}

void ledger_write(struct store *store)
{
    struct ledger *ledger = store->ledger;
    size_t had = ledger == NULL ? 0 : buffer_len(&ledger->tail);
    struct slice rest;

    if (ledger == NULL || !ledger->is_changed)
        return;
    rest = buffer_view(&ledger->fresh);
    ledger->next_row = ledger->row;
    ledger->next_tail_bytes = SIZE_MAX;
    if (had + rest.len <= ROW_BYTES) {
        must(buffer_append(&ledger->tail, rest));
        put_row(store, ledger->row, buffer_view(&ledger->tail));
        buffer_truncate(&ledger->tail, had); /* not before the commit */
        return;
    }
    while (rest.len > 0) {
        struct slice piece = slice_head(rest, ROW_BYTES);

        put_row(store, ++ledger->next_row, piece);
        ledger->next_tail_bytes = piece.len;
        rest = slice_from(rest, piece.len);
    }
}

void ledger_settle(struct ledger *ledger, bool is_committed)
{
    struct slice fresh;

    if (ledger == NULL || !ledger->is_changed)
        return;
    fresh = buffer_view(&ledger->fresh);
    if (!is_committed) {
        memcpy(ledger->counts, ledger->committed, sizeof ledger->counts);
    } else {
        memcpy(ledger->committed, ledger->counts, sizeof ledger->counts);
        ledger->row = ledger->next_row;
        if (ledger->next_tail_bytes != SIZE_MAX) {
            buffer_clear(&ledger->tail);
            fresh = slice_from(fresh, fresh.len - ledger->next_tail_bytes);
        }
        must(buffer_append(&ledger->tail, fresh));
    }
    buffer_clear(&ledger->fresh);
    ledger->is_changed = false;
}

/* ---- open ---- */

static bool read_newest(struct store *store, struct ledger *ledger)
{
    static const char sql[] = "SELECT id, counts, headers FROM batch ORDER BY id DESC LIMIT 1";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);
    struct slice counts, headers;

    if (!store__step(store, query))
        return false;
    ledger->row = store__column(query, 0);
    counts = store__column_blob(query, 1);
    for (size_t i = 0; i < LEDGER_COUNTS && (i + 1) * 8 <= counts.len; i++)
        ledger->counts[i] = (int64_t)number_get_little(counts.at + i * 8, 8);
    headers = store__column_blob(query, 2);
    must(buffer_append(&ledger->tail, slice_head(headers, ROW_BYTES)));
    store__end(query);
    memcpy(ledger->committed, ledger->counts, sizeof ledger->counts);
    return true;
}

static void count_all(struct store *store, struct ledger *ledger)
{
    static const char sql[] =
        "SELECT state, total(due_ms IS NOT NULL), total(held <> 0), count(*) FROM recipient"
        " WHERE due_ms IS NOT NULL OR held <> 0 GROUP BY state";
    static const char sql_open[] = "SELECT count(*) FROM message WHERE open > 0";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);
    int64_t open = 0;

    while (store__step(store, query)) {
        ledger_add(ledger, LEDGER_DUE, store__column(query, 1));
        ledger_add(ledger, LEDGER_HELD, store__column(query, 2));
        ledger_add(ledger, LEDGER_STATE + (unsigned)store__column(query, 0) % LEDGER_STATES,
                   store__column(query, 3));
    }
    (void)store__number(store, sql_open, NULL, 0, &open);
    ledger_add(ledger, LEDGER_OPEN, open);
}

static void hash_all(struct store *store, struct ledger *ledger)
{
    uint64_t page[PAGE], to = INT64_MAX;
    size_t count, hashed = 0;

    while ((count = store_message_list(store, 0, to, page, PAGE)) > 0) {
        struct store_message message;

        for (size_t i = 0; i < count; i++)
            if (store_message_get(store, page[i], &message))
                ledger_put_header(ledger, message.header_id, page[i]);
        to = page[count - 1];
        hashed += count;
    }
    if (hashed > 0)
        LOG(LOG_INFO, "store.message_ids_hashed", log_u64("messages", hashed));
}

struct ledger *ledger_new(struct store *store, const struct secret *index_key)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    struct err err;

    must(ledger != NULL);
    hkdf_secret(index_key, S("postern message-id"), &ledger->key);
    buffer_init(&ledger->tail, ROW_BYTES);
    buffer_init(&ledger->fresh, FRESH_MAX_BYTES);
    store->ledger = ledger;
    if (!read_newest(store, ledger)) {
        store_begin(store);
        ledger->is_changed = true;
        count_all(store, ledger);
        hash_all(store, ledger);
    }
    if (store_is_troubled(store, NULL) || !store_commit(store, &err))
        ledger_free(&store->ledger);
    return store->ledger;
}

void ledger_free(struct ledger **ledger)
{
    if (*ledger == NULL)
        return;
    buffer_deinit(&(*ledger)->tail);
    buffer_deinit(&(*ledger)->fresh);
    explicit_bzero(*ledger, sizeof **ledger);
    free(*ledger);
    *ledger = NULL;
}

/* ---- find ---- */

static void look_through(struct slice headers, uint64_t hash, uint64_t before,
                         uint64_t *best_out)
{
    for (; headers.len >= ENTRY_BYTES; headers = slice_from(headers, ENTRY_BYTES)) {
        uint64_t message = number_get_little(headers.at + 8, 8);

        if (number_get_little(headers.at, 8) == hash && message < before && message > *best_out)
            *best_out = message;
    }
}

/* The newest message below `before` with this hash: perhaps of another Message-ID. */
static uint64_t find_hash(struct store *store, uint64_t hash, uint64_t before)
{
    static const char sql[] = "SELECT headers FROM batch ORDER BY id DESC";
    sqlite3_stmt *query = store__query(store, sql, NULL, 0);
    uint64_t best = 0;

    while (store__step(store, query)) {
        look_through(store__column_blob(query, 0), hash, before, &best);
        if (best != 0) {
            store__end(query);
            break;
        }
    }
    return best;
}

uint64_t ledger_find(struct store *store, struct slice header_id, uint64_t before)
{
    uint64_t hash = hash_of(store->ledger, header_id), found = before;
    struct store_message message;

    for (unsigned i = 0; i < CANDIDATES_MAX; i++) {
        found = find_hash(store, hash, found);
        if (found == 0 || (store_message_get(store, found, &message) &&
                           slice_equal(message.header_id, header_id)))
            return found;
    }
    return 0;
}

/* ---- forget ---- */

/* Entries of messages that are still there, into kept. False: one is too young to be gone. */
static bool keep_living(struct store *store, struct slice headers, uint64_t before,
                        struct buffer *kept)
{
    for (; headers.len >= ENTRY_BYTES; headers = slice_from(headers, ENTRY_BYTES)) {
        uint64_t message = number_get_little(headers.at + 8, 8);

        if (message >= before)
            return false;
        if (store_message_exists(store, message))
            must(buffer_append(kept, slice_head(headers, ENTRY_BYTES)));
    }
    return true;
}

/* One row behind `swept`; false: the round is over. */
static bool sweep_row(struct store *store, uint64_t before)
{
    static const char sql[] =
        "SELECT id, headers FROM batch WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1";
    static const char sql_keep[] = "UPDATE batch SET headers = ?2 WHERE id = ?1";
    static const char sql_drop[] = "DELETE FROM batch WHERE id = ?1";
    struct ledger *ledger = store->ledger;
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(ledger->swept), NUMBER(ledger->row)));
    struct buffer headers, kept;
    bool is_old;
    int64_t row;

    if (!store__step(store, query))
        return false;
    buffer_init(&headers, ROW_BYTES);
    buffer_init(&kept, ROW_BYTES);
    row = store__column(query, 0);
    must(buffer_append(&headers, slice_head(store__column_blob(query, 1), ROW_BYTES)));
    store__end(query);
    is_old = keep_living(store, buffer_view(&headers), before, &kept);
    if (is_old && buffer_len(&kept) == 0)
        store__run(store, sql_drop, VALUES(NUMBER(row)));
    else if (is_old && buffer_len(&kept) < buffer_len(&headers))
        store__run(store, sql_keep, VALUES(NUMBER(row), value_blob(buffer_view(&kept))));
    buffer_deinit(&headers);
    buffer_deinit(&kept);
    ledger->swept = row;
    return is_old;
}

void ledger_sweep(struct store *store, uint64_t before)
{
    for (unsigned i = 0; i < SWEEP_ROWS; i++)
        if (!sweep_row(store, before)) {
            store->ledger->swept = 0;
            return;
        }
}
