/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms of this wing share: the connection, cached statements, typed values for them, the
 * packing of several texts into one sealed column.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include "base/buffer.h"
#include "base/secret.h"
#include "store/address.h"
#include "store/key.h"
#include "store/ledger.h"
#include "store/seal.h"
#include "store/store.h"

#include <sqlite3.h>

enum { STATEMENT_SLOTS = 256, STORE_SEALED_MAX_BYTES = 1 << 20 };

struct statement {
    const char *sql_cstr; /* compared by address: each text is one static string */
    sqlite3_stmt *handle;
};

struct store {
    uint64_t purged; /* see store_message_purge */
    char *dir_cstr;
    int lock_fd;
    sqlite3 *db;
    bool is_reading, is_blank; /* opened by store_open_to_read; without any table */
    bool is_open;              /* a batch is begun */
    bool is_troubled;
    bool must_reopen;
    bool must_settle; /* the log may hold more than was committed: see store_begin */
    struct err trouble;
    int log_pages;
    bool has_logged; /* the last commit wrote something */
    struct statement statements[STATEMENT_SLOTS];
    struct seal *seal;
    struct address_cache *addresses;
    struct store_keys *keys;
    struct store_snapshot *snapshot;         /* under way; its owner frees it */
    struct ledger *ledger;                   /* NULL before the keys are open */
    struct buffer packed, sealed;            /* scratch of one call */
    struct buffer board_found;               /* what store_board_get hands out */
    struct buffer opened[SEAL_COLUMN_COUNT]; /* what the last read of each room hands out */
};

enum value_kind { VALUE_NULL, VALUE_NUMBER, VALUE_BLOB, VALUE_TEXT };
struct value {
    enum value_kind kind;
    int64_t number;
    struct slice bytes;
};
static inline struct value value_number(int64_t number)
{
    return (struct value){VALUE_NUMBER, number, {NULL, 0}};
}
/* NULL when `is_set` is false. */
static inline struct value value_optional(bool is_set, int64_t number)
{
    return (struct value){is_set ? VALUE_NUMBER : VALUE_NULL, number, {NULL, 0}};
}
/* A slice without address is NULL. The bytes must live until the statement has run. */
static inline struct value value_blob(struct slice bytes)
{
    return (struct value){bytes.at == NULL ? VALUE_NULL : VALUE_BLOB, 0, bytes};
}
static inline struct value value_text(struct slice bytes)
{
    return (struct value){VALUE_TEXT, 0, bytes};
}
#define NUMBER(x) value_number((int64_t)(x))
#define VALUES(...)                                                                            \
    (const struct value[]){__VA_ARGS__},                                                       \
        sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value)

/* Remember trouble (the first counts); returns false. */
bool store__fail(struct store *store, const char *doing_cstr);
/* Begin a batch and run a statement that gives no rows: store__run(store, SQL, VALUES(…)). */
void store__run(struct store *store, const char *sql_cstr, const struct value *values,
                size_t count);
/*
 * Start a query: then store__step until it is false (the end, or trouble). A statement that is not
 * run to its end must be ended with store__end.
 */
sqlite3_stmt *store__query(struct store *store, const char *sql_cstr,
                           const struct value *values, size_t count);
bool store__step(struct store *store, sqlite3_stmt *query);
void store__end(sqlite3_stmt *query);
/* The first column of the first row; false when there is none. */
bool store__number(struct store *store, const char *sql_cstr, const struct value *values,
                   size_t count, int64_t *number_out);
/* A number column, and a blob column as a view that dies at the next step. */
static inline int64_t store__column(sqlite3_stmt *query, int at)
{
    return sqlite3_column_int64(query, at);
}
struct slice store__column_blob(sqlite3_stmt *query, int at);

/* The recipients of a message are about to be removed: those that still wait are counted no more. */
void store__recipients_leave(struct store *store, uint64_t message);

/* Run text without parameters at once (schema, pragmas). */
bool store__execute(struct store *store, const char *sql_cstr);
/* Bring the schema to the present version. */
bool store__migrate(struct store *store, struct err *err);
/* The version of the schema that lies there; -1: troubled. Which is the present one. */
int64_t store__schema_version(struct store *store);
extern const int64_t store__schema_present;

/* A store that is not opened yet, and one whose lock and database failed. */
struct store *store__new(const char *dir_cstr);
void store__close_database(struct store *store);
/* The connection goes: a snapshot under way ends. */
void store__snapshot_lose(struct store *store);

/* The requirement in one number. False: no such number was ever written; *out is then the strictest. */
struct tls_requirement;
bool store__requirement_read(int64_t number, struct tls_requirement *requirement_out);

/* Several texts in one sealed column: pack_start, pack each, then pack_seal gives the column. */
void store__pack_start(struct store *store);
void store__pack(struct store *store, struct slice text);
void store__pack_number(struct store *store, uint64_t number);
struct slice store__pack_seal(struct store *store, enum seal_column column, uint64_t id,
                              uint64_t number);
/* Open such a column: a cursor over its texts, valid until the next of that column. False: damaged. */
bool store__unpack(struct store *store, enum seal_column column, uint64_t id, uint64_t number,
                   struct slice sealed, struct slice *cursor_out);
/* The next text; empty after the last, so that older rows lack newer texts without harm. */
struct slice store__unpack_next(struct slice *cursor);
uint64_t store__unpack_number(struct slice *cursor);

#endif
