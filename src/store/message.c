/* SPDX-License-Identifier: Apache-2.0 */
#include "store/message.h"

#include "store/internal.h"

#include <string.h>

static struct slice seal_texts(struct store *store, const struct store_message *message,
                               struct slice answer)
{
    store__pack_start(store);
    store__pack(store, message->account);
    store__pack(store, message->user);
    store__pack(store, message->envid);
    store__pack(store, message->received_by);
    store__pack(store, message->header_id);
    store__pack(store, message->question);
    store__pack(store, answer);
    return store__pack_seal(store, SEAL_MESSAGE, message->id, 0);
}

void store_message_put(struct store *store, const struct store_message *message)
{
    static const char sql[] =
        "INSERT INTO message(id, kind, sender, flags, hops, accepted_ms, expires_ms, parent,"
        " parent_number, recipients, open, live, segment, offset, sealed_bytes, plain_bytes,"
        " wrapped_key, sealed) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,"
        "?17,?18)";
    const struct content_ref *content = &message->content;

    store_begin(store);
    store__run(
        store, sql,
        VALUES(NUMBER(message->id), NUMBER(message->kind), NUMBER(message->sender),
               NUMBER(message->flags), NUMBER(message->hops), NUMBER(message->accepted_ms),
               NUMBER(message->expires_ms), NUMBER(message->parent),
               NUMBER(message->parent_number), NUMBER(message->recipients),
               NUMBER(message->open), NUMBER(message->live), NUMBER(content->segment),
               NUMBER(content->offset), NUMBER(content->sealed_bytes),
               NUMBER(content->plain_bytes),
               value_blob(message->live == 0 ? slice_of(NULL, 0)
                                             : slice_of(content->wrapped_key, KEYWRAP_BYTES)),
               value_blob(seal_texts(store, message, message->answer))));
    ledger_put_header(store->ledger, message->header_id, message->id);
    ledger_add(store->ledger, LEDGER_OPEN, message->open > 0 ? 1 : 0);
}

static void read_content(sqlite3_stmt *query, struct store_message *message_out)
{
    struct slice key = store__column_blob(query, 15);

    message_out->content.segment = (uint64_t)store__column(query, 11);
    message_out->content.offset = (uint64_t)store__column(query, 12);
    message_out->content.sealed_bytes = (uint64_t)store__column(query, 13);
    message_out->content.plain_bytes = (uint64_t)store__column(query, 14);
    message_out->has_key = key.len == KEYWRAP_BYTES;
    if (message_out->has_key)
        memcpy(message_out->content.wrapped_key, key.at, KEYWRAP_BYTES);
}

bool store_message_get(struct store *store, uint64_t id, struct store_message *message_out)
{
    static const char sql[] =
        "SELECT kind, sender, flags, hops, accepted_ms, expires_ms, parent, parent_number,"
        " recipients, open, live, segment, offset, sealed_bytes, plain_bytes, wrapped_key, "
        "sealed"
        " FROM message WHERE id = ?1";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(id)));
    struct slice cursor;

    if (!store__step(store, query))
        return false;
    *message_out = (struct store_message){
        .id = id,
        .kind = (uint64_t)store__column(query, 0),
        .sender = (uint64_t)store__column(query, 1),
        .flags = (uint64_t)store__column(query, 2),
        .hops = (uint64_t)store__column(query, 3),
        .accepted_ms = store__column(query, 4),
        .expires_ms = store__column(query, 5),
        .parent = (uint64_t)store__column(query, 6),
        .parent_number = (uint64_t)store__column(query, 7),
        .recipients = (uint64_t)store__column(query, 8),
        .open = (uint64_t)store__column(query, 9),
        .live = (uint64_t)store__column(query, 10),
    };
    read_content(query, message_out);
    if (!store__unpack(store, SEAL_MESSAGE, id, 0, store__column_blob(query, 16), &cursor)) {
        store__end(query);
        return false;
    }
    message_out->account = store__unpack_next(&cursor);
    message_out->user = store__unpack_next(&cursor);
    message_out->envid = store__unpack_next(&cursor);
    message_out->received_by = store__unpack_next(&cursor);
    message_out->header_id = store__unpack_next(&cursor);
    message_out->question = store__unpack_next(&cursor);
    message_out->answer = store__unpack_next(&cursor);
    store__end(query);
    return true;
}

bool store_message_exists(struct store *store, uint64_t id)
{
    static const char sql[] = "SELECT 1 FROM message WHERE id = ?1";
    int64_t one;

    return store__number(store, sql, VALUES(NUMBER(id)), &one);
}

bool store_message_release(struct store *store, uint64_t id, uint64_t live, uint64_t ended)
{
    static const char sql[] =
        "UPDATE message SET open = open - ?3, live = live - ?2,"
        " wrapped_key = iif(live = ?2, NULL, wrapped_key) WHERE id = ?1 AND live >= ?2"
        " AND open >= ?3";
    static const char sql_left[] = "SELECT live, open FROM message WHERE id = ?1";
    sqlite3_stmt *query;
    int64_t live_left = 1, open_left = 1;

    store__run(store, sql, VALUES(NUMBER(id), NUMBER(live), NUMBER(ended)));
    if (store->db == NULL || sqlite3_changes(store->db) == 0)
        return false;
    query = store__query(store, sql_left, VALUES(NUMBER(id)));
    if (store__step(store, query)) {
        live_left = store__column(query, 0);
        open_left = store__column(query, 1);
        store__end(query);
    }
    ledger_add(store->ledger, LEDGER_OPEN, ended > 0 && open_left == 0 ? -1 : 0);
    return live > 0 && live_left == 0;
}

void store_message_end(struct store *store, uint64_t id)
{
    static const char sql[] =
        "UPDATE message SET open = 0, live = 0, wrapped_key = NULL WHERE id = ?1";

    store__run(store, sql, VALUES(NUMBER(id)));
    ledger_add(store->ledger, LEDGER_OPEN, -1);
}

void store_message_accepted_before(struct store *store, uint64_t id, int64_t limit_ms,
                                   int64_t now_ms)
{
    static const char sql[] =
        "UPDATE message SET accepted_ms = ?3 WHERE id = ?1 AND accepted_ms > ?2";

    store__run(store, sql, VALUES(NUMBER(id), NUMBER(limit_ms), NUMBER(now_ms)));
}

void store_message_forget_answer(struct store *store, const struct store_message *message)
{
    static const char sql[] = "UPDATE message SET sealed = ?2 WHERE id = ?1";

    store_begin(store);
    store__run(
        store, sql,
        VALUES(NUMBER(message->id), value_blob(seal_texts(store, message, slice_of("", 0)))));
}

size_t store_message_list(struct store *store, uint64_t from, uint64_t to, uint64_t *ids_out,
                          size_t max)
{
    static const char sql[] =
        "SELECT id FROM message WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(from), NUMBER(to), NUMBER(max)));
    size_t count = 0;

    while (store__step(store, query))
        ids_out[count++] = (uint64_t)store__column(query, 0);
    return count;
}

/* From where the last look ended: messages that wait long are not walked over each time. */
static size_t find_ended(struct store *store, uint64_t before, size_t rows, uint64_t *ids_out)
{
    static const char sql[] =
        "SELECT id, open FROM message WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(store->purged), NUMBER(before), NUMBER(rows)));
    size_t looked = 0, count = 0;

    for (; store__step(store, query); looked++) {
        store->purged = (uint64_t)store__column(query, 0);
        if (store__column(query, 1) == 0)
            ids_out[count++] = store->purged;
    }
    if (looked < rows)
        store->purged = 0;
    return count;
}

size_t store_message_purge(struct store *store, uint64_t before, size_t max)
{
    static const char sql_recipients[] = "DELETE FROM recipient WHERE message = ?1";
    static const char sql_events[] = "DELETE FROM event WHERE message = ?1";
    static const char sql_copies[] = "DELETE FROM portal_copy WHERE message = ?1";
    static const char sql_message[] = "DELETE FROM message WHERE id = ?1";
    uint64_t ids[STORE_PURGE_MAX];
    size_t count =
        find_ended(store, before, max < STORE_PURGE_MAX ? max : STORE_PURGE_MAX, ids);

    for (size_t i = 0; i < count && !store_is_troubled(store, NULL); i++) {
        store__recipients_leave(store, ids[i]);
        store__run(store, sql_recipients, VALUES(NUMBER(ids[i])));
        store__run(store, sql_events, VALUES(NUMBER(ids[i])));
        store__run(store, sql_copies, VALUES(NUMBER(ids[i])));
        store__run(store, sql_message, VALUES(NUMBER(ids[i])));
    }
    if (before > 0)
        ledger_sweep(store, before);
    return count;
}

bool store_message_purge_goes_on(const struct store *store)
{
    return store->purged != 0;
}

uint64_t store_message_find(struct store *store, struct slice header_id, uint64_t before)
{
    return ledger_find(store, header_id, before);
}

uint64_t store_message_count(struct store *store)
{
    return (uint64_t)ledger_get(store->ledger, LEDGER_OPEN);
}
