/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

/* The slot of a statement text: found by its address, prepared at its first use. */
static struct statement *find_statement(struct store *store, const char *sql_cstr)
{
    size_t at = ((uintptr_t)sql_cstr >> 3) * 0x9E3779B1U % STATEMENT_SLOTS;

    for (size_t tries = 0; tries < STATEMENT_SLOTS; tries++) {
        struct statement *slot = &store->statements[at];

        if (slot->sql_cstr == sql_cstr || slot->sql_cstr == NULL)
            return slot;
        at = (at + 1) % STATEMENT_SLOTS;
    }
    must_never("more statements than slots");
    return NULL;
}

static void bind_values(sqlite3_stmt *handle, const struct value *values, size_t count)
{
    for (int i = 0; i < (int)count; i++) {
        const struct value *value = &values[i];
        const char *bytes = value->bytes.at == NULL ? "" : (const char *)value->bytes.at;
        int got = SQLITE_OK;

        switch (value->kind) {
        case VALUE_NULL:
            got = sqlite3_bind_null(handle, i + 1);
            break;
        case VALUE_NUMBER:
            got = sqlite3_bind_int64(handle, i + 1, value->number);
            break;
        case VALUE_BLOB:
            got = sqlite3_bind_blob(handle, i + 1, bytes, (int)value->bytes.len, SQLITE_STATIC);
            break;
        case VALUE_TEXT:
            got = sqlite3_bind_text(handle, i + 1, bytes, (int)value->bytes.len, SQLITE_STATIC);
            break;
        }
        must(got == SQLITE_OK);
    }
}

sqlite3_stmt *store__query(struct store *store, const char *sql_cstr,
                           const struct value *values, size_t count)
{
    struct statement *slot;

    if (store->is_open && store->is_troubled)
        return NULL;
    if (store->db == NULL)
        store_begin(store);
    if (store->db == NULL)
        return NULL;
    slot = find_statement(store, sql_cstr);
    if (slot->handle == NULL) {
        if (sqlite3_prepare_v3(store->db, sql_cstr, -1, SQLITE_PREPARE_PERSISTENT,
                               &slot->handle, NULL) != SQLITE_OK) {
            store__fail(store, sql_cstr);
            return NULL;
        }
        slot->sql_cstr = sql_cstr;
        must((size_t)sqlite3_bind_parameter_count(slot->handle) == count);
    }
    /* A statement left in the middle (a query inside its own loop) would be a bug. */
    must(!sqlite3_stmt_busy(slot->handle));
    bind_values(slot->handle, values, count);
    return slot->handle;
}

bool store__step(struct store *store, sqlite3_stmt *query)
{
    int got;

    if (query == NULL)
        return false;
    got = sqlite3_step(query);
    if (got == SQLITE_ROW)
        return true;
    if (got != SQLITE_DONE) {
        store_begin(store); /* so that the trouble is asked about */
        store__fail(store, "the database");
    }
    sqlite3_reset(query);
    return false;
}

void store__end(sqlite3_stmt *query)
{
    if (query != NULL)
        sqlite3_reset(query);
}

void store__run(struct store *store, const char *sql_cstr, const struct value *values,
                size_t count)
{
    sqlite3_stmt *query;

    store_begin(store);
    query = store__query(store, sql_cstr, values, count);
    if (store__step(store, query))
        store__end(query);
}

bool store__number(struct store *store, const char *sql_cstr, const struct value *values,
                   size_t count, int64_t *number_out)
{
    sqlite3_stmt *query = store__query(store, sql_cstr, values, count);

    if (!store__step(store, query))
        return false;
    *number_out = sqlite3_column_int64(query, 0);
    store__end(query);
    return true;
}

struct slice store__column_blob(sqlite3_stmt *query, int at)
{
    const void *bytes = sqlite3_column_blob(query, at);

    return slice_of(bytes, bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(query, at));
}

/* ---- several texts in one column ---- */

enum { PACK_VERSION = 1, LONG_TEXT = 255 };

void store__pack_start(struct store *store)
{
    buffer_clear(&store->packed);
    must(buffer_append_byte(&store->packed, PACK_VERSION));
}

void store__pack(struct store *store, struct slice text)
{
    uint8_t head[5] = {(uint8_t)text.len};
    size_t head_len = 1;

    if (buffer_room(&store->packed) < text.len + sizeof head)
        text.len = 0; /* over a mebibyte in one row: nobody we talk to may send that */
    if (text.len >= LONG_TEXT) {
        head[0] = LONG_TEXT;
        for (int i = 0; i < 4; i++)
            head[1 + i] = (uint8_t)(text.len >> (8 * i));
        head_len = sizeof head;
    } else {
        head[0] = (uint8_t)text.len;
    }
    must(buffer_append(&store->packed, slice_of(head, head_len)));
    must(buffer_append(&store->packed, text));
}

void store__pack_number(struct store *store, uint64_t number)
{
    uint8_t bytes[8];
    size_t len = 0;

    for (; number != 0; number >>= 8)
        bytes[len++] = (uint8_t)number;
    store__pack(store, slice_of(bytes, len));
}

struct slice store__pack_seal(struct store *store, enum seal_column column, uint64_t id,
                              uint64_t number)
{
    size_t len = buffer_len(&store->packed) + SEAL_OVERHEAD;
    uint8_t *to;

    buffer_clear(&store->sealed);
    to = buffer_reserve(&store->sealed, len);
    must(to != NULL);
    seal_close(store->seal, column, id, number, buffer_view(&store->packed), to);
    buffer_commit(&store->sealed, len);
    return buffer_view(&store->sealed);
}

bool store__unpack(struct store *store, enum seal_column column, uint64_t id, uint64_t number,
                   struct slice sealed, struct slice *cursor_out)
{
    struct buffer *opened = &store->opened[column];
    uint8_t *to;

    *cursor_out = slice_of(NULL, 0);
    buffer_clear(opened);
    if (sealed.len <= SEAL_OVERHEAD)
        return false;
    to = buffer_reserve(opened, sealed.len - SEAL_OVERHEAD);
    if (to == NULL || !seal_open(store, column, id, number, sealed, to))
        return false;
    buffer_commit(opened, sealed.len - SEAL_OVERHEAD);
    if (to[0] != PACK_VERSION)
        return false;
    *cursor_out = slice_from(buffer_view(opened), 1);
    return true;
}

struct slice store__unpack_next(struct slice *cursor)
{
    size_t len, head_len = 1;
    struct slice text;

    if (cursor->len == 0)
        return slice_of("", 0);
    len = cursor->at[0];
    if (len == LONG_TEXT && cursor->len >= 5) {
        len = 0;
        for (int i = 0; i < 4; i++)
            len |= (size_t)cursor->at[1 + i] << (8 * i);
        head_len = 5;
    }
    if (len > cursor->len - head_len)
        len = cursor->len - head_len;
    text = slice_of(cursor->at + head_len, len);
    *cursor = slice_from(*cursor, head_len + len);
    return text;
}

uint64_t store__unpack_number(struct slice *cursor)
{
    struct slice text = store__unpack_next(cursor);
    uint64_t number = 0;

    for (size_t i = 0; i < text.len && i < 8; i++)
        number |= (uint64_t)text.at[i] << (8 * i);
    return number;
}
