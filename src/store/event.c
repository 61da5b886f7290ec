/* SPDX-License-Identifier: Apache-2.0 */
#include "store/event.h"

#include "store/internal.h"

void store_event_put(struct store *store, const struct store_event *event)
{
    static const char sql[] =
        "INSERT INTO event(message, id, number, kind, sealed) VALUES(?1,?2,?3,?4,?5)";
    struct slice sealed = {NULL, 0};

    store_begin(store);
    if (event->text_count > 0) {
        store__pack_start(store);
        for (size_t i = 0; i < event->text_count; i++)
            store__pack(store, event->texts[i]);
        sealed = store__pack_seal(store, SEAL_EVENT, event->message, event->id);
    }
    store__run(store, sql,
               VALUES(NUMBER(event->message), NUMBER(event->id), NUMBER(event->number),
                      NUMBER(event->kind), value_blob(sealed)));
}

/* Take the row that `query` finds, if any. */
static bool take_row(struct store *store, sqlite3_stmt *query, uint64_t message,
                     struct store_event *event_out)
{
    struct slice cursor = {NULL, 0};

    if (!store__step(store, query))
        return false;
    *event_out = (struct store_event){.message = message,
                                      .id = (uint64_t)store__column(query, 0),
                                      .number = store__column(query, 1),
                                      .kind = (unsigned)store__column(query, 2),
                                      .text_count = EVENT_TEXTS_MAX};
    if (!store__unpack(store, SEAL_EVENT, message, event_out->id, store__column_blob(query, 3),
                       &cursor))
        cursor = slice_of(NULL, 0);
    for (size_t i = 0; i < EVENT_TEXTS_MAX; i++)
        event_out->texts[i] = store__unpack_next(&cursor);
    store__end(query);
    return true;
}

bool store_event_next(struct store *store, uint64_t message, uint64_t after,
                      struct store_event *event_out)
{
    static const char sql[] =
        "SELECT id, number, kind, sealed FROM event WHERE message = ?1 AND"
        " id > ?2 ORDER BY id LIMIT 1";

    return take_row(store, store__query(store, sql, VALUES(NUMBER(message), NUMBER(after))),
                    message, event_out);
}

bool store_event_last(struct store *store, uint64_t message, int64_t number, uint64_t kinds,
                      struct store_event *event_out)
{
    static const char sql[] =
        "SELECT id, number, kind, sealed FROM event WHERE message = ?1 AND number = ?2 AND"
        " (?3 >> kind & 1) = 1 ORDER BY id DESC LIMIT 1";

    return take_row(
        store, store__query(store, sql, VALUES(NUMBER(message), NUMBER(number), NUMBER(kinds))),
        message, event_out);
}
