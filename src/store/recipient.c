/* SPDX-License-Identifier: Apache-2.0 */
#include "store/recipient.h"

#include "store/internal.h"

/* A requirement in one number: least (8 bits), six flags, milliseconds (32 bits). */
static int64_t requirement_write(const struct tls_requirement *requirement)
{
    return (int64_t)((uint64_t)requirement->least | (uint64_t)requirement->tls_1_3_only << 8 |
                     (uint64_t)requirement->cleartext_allowed << 9 |
                     (uint64_t)requirement->requiretls << 10 |
                     (uint64_t)requirement->requiretls_relaxed << 11 |
                     (uint64_t)requirement->mx_proved << 12 |
                     (uint64_t)requirement->tls_not_required << 13 |
                     (uint64_t)requirement->cleartext_after_ms << 16);
}

bool store__requirement_read(int64_t number, struct tls_requirement *requirement_out)
{
    uint64_t bits = (uint64_t)number;
    unsigned least = bits & 0xFF;

    *requirement_out = (struct tls_requirement){
        .least = least < PROOF_COUNT ? (enum proof_level)least : PROOF_DANE,
        .tls_1_3_only = (bits >> 8 & 1) != 0,
        .cleartext_allowed = (bits >> 9 & 1) != 0,
        .requiretls = (bits >> 10 & 1) != 0,
        .requiretls_relaxed = (bits >> 11 & 1) != 0,
        .mx_proved = (bits >> 12 & 1) != 0,
        .tls_not_required = (bits >> 13 & 1) != 0,
        .cleartext_after_ms = (uint32_t)(bits >> 16),
    };
    return least < PROOF_COUNT && (bits & UINT64_C(0xFFFF00000000C000)) == 0;
}

/* ---- counts ---- */

static void count(struct store *store, const struct recipient_counted *counted, int64_t sign)
{
    if (!counted->is_due && !counted->is_held)
        return;
    ledger_add(store->ledger, LEDGER_DUE, counted->is_due ? sign : 0);
    ledger_add(store->ledger, LEDGER_HELD, counted->is_held ? sign : 0);
    ledger_add(store->ledger, LEDGER_STATE + counted->state % LEDGER_STATES, sign);
}

static struct recipient_counted counted_now(const struct store_recipient *recipient)
{
    return (struct recipient_counted){
        (uint8_t)recipient->state, recipient->due_ms != RECIPIENT_NOT_DUE, recipient->is_held};
}

static void count_change(struct store *store, struct store_recipient *recipient)
{
    count(store, &recipient->counted, -1);
    recipient->counted = counted_now(recipient);
    count(store, &recipient->counted, 1);
}

void store__recipients_leave(struct store *store, uint64_t message)
{
    static const char sql[] =
        "SELECT state, due_ms IS NOT NULL, held <> 0 FROM recipient WHERE message = ?1 AND"
        " (due_ms IS NOT NULL OR held <> 0)";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(message)));

    while (store__step(store, query)) {
        struct recipient_counted gone = {(uint8_t)store__column(query, 0),
                                         store__column(query, 1) != 0,
                                         store__column(query, 2) != 0};

        count(store, &gone, -1);
    }
}

/* ---- rows ---- */

void store_recipient_put(struct store *store, struct store_recipient *recipient)
{
    static const char sql[] =
        "INSERT OR REPLACE INTO recipient(message, number, address, domain, state, method,"
        " requirement, notify, attempts, owes, flags, unproved_ms, due_ms, held, sealed, "
        "written)"
        " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)";
    const struct store_recipient *r = recipient;

    store_begin(store);
    store__pack_start(store);
    store__pack(store, r->spelled);
    store__pack(store, r->orcpt);
    store__pack(store, r->reasons);
    store__pack(store, r->via);
    store__run(
        store, sql,
        VALUES(NUMBER(r->message), NUMBER(r->number), NUMBER(r->address), NUMBER(r->domain),
               NUMBER(r->state), NUMBER(r->method), NUMBER(requirement_write(&r->requirement)),
               NUMBER(r->notify), NUMBER(r->attempts), NUMBER(r->owes), NUMBER(r->flags),
               NUMBER(r->unproved_ms),
               value_optional(r->due_ms != RECIPIENT_NOT_DUE, r->due_ms), NUMBER(r->is_held),
               value_blob(store__pack_seal(store, SEAL_RECIPIENT, r->message, r->number)),
               NUMBER(r->written)));
    count_change(store, recipient);
}

void store_recipient_update(struct store *store, struct store_recipient *recipient)
{
    static const char sql[] =
        "UPDATE recipient SET state = ?3, attempts = ?4, owes = ?5, flags = ?6,"
        " unproved_ms = ?7, due_ms = ?8, held = ?9 WHERE message = ?1 AND number = ?2";
    const struct store_recipient *r = recipient;

    store__run(
        store, sql,
        VALUES(NUMBER(r->message), NUMBER(r->number), NUMBER(r->state), NUMBER(r->attempts),
               NUMBER(r->owes), NUMBER(r->flags), NUMBER(r->unproved_ms),
               value_optional(r->due_ms != RECIPIENT_NOT_DUE, r->due_ms), NUMBER(r->is_held)));
    count_change(store, recipient);
}

static void read_row(sqlite3_stmt *query, struct store_recipient *recipient_out)
{
    int64_t method = store__column(query, 3);

    recipient_out->address = (uint64_t)store__column(query, 0);
    recipient_out->domain = (uint64_t)store__column(query, 1);
    recipient_out->state = (unsigned)store__column(query, 2);
    recipient_out->method =
        method > 0 && method < METHOD_COUNT ? (enum method)method : METHOD_NONE;
    (void)store__requirement_read(store__column(query, 4), &recipient_out->requirement);
    recipient_out->notify = (unsigned)store__column(query, 5);
    recipient_out->attempts = (unsigned)store__column(query, 6);
    recipient_out->owes = (unsigned)store__column(query, 7);
    recipient_out->flags = (unsigned)store__column(query, 8);
    recipient_out->unproved_ms = store__column(query, 9);
    recipient_out->due_ms = sqlite3_column_type(query, 10) == SQLITE_NULL
                                ? RECIPIENT_NOT_DUE
                                : store__column(query, 10);
    recipient_out->is_held = store__column(query, 11) != 0;
    recipient_out->counted = counted_now(recipient_out);
}

bool store_recipient_get(struct store *store, uint64_t message, uint64_t number,
                         struct store_recipient *recipient_out)
{
    static const char sql[] =
        "SELECT address, domain, state, method, requirement, notify, attempts, owes, flags,"
        " unproved_ms, due_ms, held, sealed, written FROM recipient WHERE message = ?1 AND"
        " number = ?2";
    sqlite3_stmt *query = store__query(store, sql, VALUES(NUMBER(message), NUMBER(number)));
    struct slice cursor = {NULL, 0};
    bool opened;

    if (!store__step(store, query))
        return false;
    *recipient_out = (struct store_recipient){.message = message, .number = number};
    read_row(query, recipient_out);
    opened = store__unpack(store, SEAL_RECIPIENT, message, number,
                           store__column_blob(query, 12), &cursor);
    recipient_out->spelled = store__unpack_next(&cursor);
    recipient_out->orcpt = store__unpack_next(&cursor);
    recipient_out->reasons = store__unpack_next(&cursor);
    recipient_out->via = store__unpack_next(&cursor);
    recipient_out->written = (uint64_t)store__column(query, 13);
    store__end(query);
    return opened;
}

static size_t take_due(struct store *store, sqlite3_stmt *query, struct store_due *due_out)
{
    size_t count = 0;

    while (store__step(store, query))
        due_out[count++] = (struct store_due){
            store__column(query, 0),           (uint64_t)store__column(query, 1),
            (uint64_t)store__column(query, 2), (uint64_t)store__column(query, 3),
            (uint64_t)store__column(query, 4), (uint64_t)store__column(query, 5)};
    return count;
}

size_t store_recipient_due(struct store *store, const struct store_due *after, int64_t until_ms,
                           struct store_due *due_out, size_t max)
{
    static const char sql[] =
        "SELECT due_ms, message, number, domain, attempts, flags FROM recipient "
        "WHERE due_ms IS NOT NULL AND"
        " due_ms <= ?4 AND (due_ms, message, number) > (?1, ?2, ?3)"
        " ORDER BY due_ms, message, number LIMIT ?5";

    return take_due(store,
                    store__query(store, sql,
                                 VALUES(NUMBER(after->due_ms), NUMBER(after->message),
                                        NUMBER(after->number), NUMBER(until_ms), NUMBER(max))),
                    due_out);
}

int64_t store_recipient_next_due(struct store *store, int64_t after_ms)
{
    static const char sql[] =
        "SELECT due_ms FROM recipient WHERE due_ms > ?1 ORDER BY due_ms LIMIT 1";
    int64_t due_ms;

    return store__number(store, sql, VALUES(NUMBER(after_ms)), &due_ms) ? due_ms
                                                                        : RECIPIENT_NOT_DUE;
}

uint64_t store_recipient_count(struct store *store)
{
    return (uint64_t)ledger_get(store->ledger, LEDGER_DUE);
}

uint64_t store_recipient_held_count(struct store *store)
{
    return (uint64_t)ledger_get(store->ledger, LEDGER_HELD);
}

uint64_t store_recipient_state_count(struct store *store, unsigned state)
{
    return (uint64_t)ledger_get(store->ledger, LEDGER_STATE + state % LEDGER_STATES);
}

size_t store_recipient_held(struct store *store, const struct store_due *after,
                            struct store_due *due_out, size_t max)
{
    static const char sql[] =
        "SELECT 0, message, number, domain, attempts, flags FROM recipient WHERE held <> 0 AND"
        " (message, number) > (?1, ?2) ORDER BY message, number LIMIT ?3";

    return take_due(
        store,
        store__query(store, sql,
                     VALUES(NUMBER(after->message), NUMBER(after->number), NUMBER(max))),
        due_out);
}

size_t store_recipient_by_address(struct store *store, uint64_t address, uint64_t before,
                                  uint64_t *messages_out, size_t max)
{
    static const char sql[] =
        "SELECT message FROM recipient WHERE address = ?1 AND message < ?2 UNION SELECT message"
        " FROM recipient WHERE written = ?1 AND written <> 0 AND message < ?2"
        " ORDER BY message DESC LIMIT ?3";
    sqlite3_stmt *query =
        store__query(store, sql, VALUES(NUMBER(address), NUMBER(before), NUMBER(max)));
    size_t count = 0;

    while (store__step(store, query))
        messages_out[count++] = (uint64_t)store__column(query, 0);
    return count;
}
