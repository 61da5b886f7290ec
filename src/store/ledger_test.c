/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "kit/run.h"
#include "store/internal.h"
#include "store/message.h"
#include "store/recipient.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY "postern-master-key-1 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

enum { STATES = 5, MESSAGES = 700 };

struct scene {
    char folder_cstr[64];
    struct store *store;
};

static void open_scene(struct scene *scene)
{
    struct err err = {0};

    if (!store_open(scene->folder_cstr, &scene->store, &err) ||
        !store_keys_open(scene->store, S(KEY), &err))
        fail_msg("%s", err.text_cstr);
}

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    kit_make_folder(scene->folder_cstr);
    open_scene(scene);
    *state = scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;

    store_close(&scene->store);
    kit_remove_folder(scene->folder_cstr);
    free(scene);
    return 0;
}

static void commit(struct store *store)
{
    struct err err = {0};

    if (!store_commit(store, &err))
        fail_msg("%s", err.text_cstr);
}

static uint64_t rows(struct store *store, const char *sql_cstr)
{
    int64_t count = -1;

    assert_true(store__number(store, sql_cstr, NULL, 0, &count));
    return (uint64_t)count;
}

/* What the ledger says must be what is there. */
static void check_counts(struct store *store)
{
    static const char due[] = "SELECT count(*) FROM recipient WHERE due_ms IS NOT NULL";
    static const char held[] = "SELECT count(*) FROM recipient WHERE held <> 0";
    static const char open[] = "SELECT count(*) FROM message WHERE open > 0";
    static const char state_2[] = "SELECT count(*) FROM recipient WHERE state = 2 AND"
                                  " (due_ms IS NOT NULL OR held <> 0)";

    assert_int_equal(store_recipient_count(store), rows(store, due));
    assert_int_equal(store_recipient_held_count(store), rows(store, held));
    assert_int_equal(store_message_count(store), rows(store, open));
    assert_int_equal(store_recipient_state_count(store, 2), rows(store, state_2));
}

static void put_message(struct store *store, uint64_t id, const char *header_cstr)
{
    struct store_message message = {.id = id,
                                    .kind = 1,
                                    .recipients = 2,
                                    .open = 2,
                                    .live = 2,
                                    .header_id = slice_from_cstr(header_cstr)};

    for (uint64_t number = 0; number < 2; number++) {
        struct store_recipient row = {.message = id,
                                      .number = number,
                                      .state = 2,
                                      .method = METHOD_TLS,
                                      .due_ms = (int64_t)id};

        store_recipient_put(store, &row);
    }
    store_message_put(store, &message);
}

static void change(struct store *store, uint64_t id, uint64_t number, unsigned state_now,
                   int64_t due_ms, bool is_held)
{
    struct store_recipient row;

    assert_true(store_recipient_get(store, id, number, &row));
    row.state = state_now;
    row.due_ms = due_ms;
    row.is_held = is_held;
    store_recipient_update(store, &row);
}

static void test_counts_are_what_is_there(void **state)
{
    struct scene *scene = *state;
    struct store *store = scene->store;
    struct store_recipient row;

    check_counts(store);
    for (uint64_t id = 1; id <= MESSAGES; id++)
        put_message(store, id, "x@y");
    check_counts(store);
    commit(store);
    assert_int_equal(store_recipient_count(store), 2 * MESSAGES);
    assert_int_equal(store_message_count(store), MESSAGES);
    for (uint64_t id = 1; id <= MESSAGES; id++) {
        change(store, id, 0, (unsigned)(id % STATES), id % 3 == 0 ? RECIPIENT_NOT_DUE : 9,
               id % 7 == 0);
        if (id % 2 == 0)
            change(store, id, 0, 3, 10, false); /* twice in one batch */
        if (id % 11 == 0) {
            change(store, id, 0, 7, RECIPIENT_NOT_DUE, false);
            change(store, id, 1, 7, RECIPIENT_NOT_DUE, false);
            store_message_release(store, id, 2, 2);
        }
    }
    commit(store);
    check_counts(store);
    /* The whole row again: it is counted once. */
    assert_true(store_recipient_get(store, 1, 1, &row));
    row.state = 3;
    store_recipient_put(store, &row);
    row.is_held = true;
    store_recipient_update(store, &row);
    commit(store);
    check_counts(store);
    assert_int_equal(store_message_purge(store, MESSAGES + 1, STORE_PURGE_MAX), MESSAGES / 11);
    commit(store);
    check_counts(store);
}

static void test_counts_go_with_the_batch(void **state)
{
    struct scene *scene = *state;
    struct store *store = scene->store;
    struct err err = {0};

    put_message(store, 1, "one@y");
    commit(store);
    put_message(store, 2, "two@y");
    change(store, 1, 0, 3, RECIPIENT_NOT_DUE, true);
    store_rollback(store);
    check_counts(store);
    assert_int_equal(store_recipient_count(store), 2);
    assert_int_equal(store_message_find(store, S("two@y"), INT64_MAX), 0);
    /* An id that is taken spoils the whole batch. */
    put_message(store, 3, "three@y");
    put_message(store, 1, "again@y");
    assert_false(store_commit(store, &err));
    check_counts(store);
    assert_int_equal(store_message_find(store, S("three@y"), INT64_MAX), 0);
    assert_int_equal(store_message_find(store, S("one@y"), INT64_MAX), 1);
    put_message(store, 4, "four@y");
    commit(store);
    store_close(&scene->store);
    open_scene(scene);
    check_counts(scene->store);
    assert_int_equal(store_recipient_count(scene->store), 4);
    assert_int_equal(store_message_find(scene->store, S("four@y"), INT64_MAX), 4);
}

static void put_many(struct store *store, uint64_t from, uint64_t count, bool is_one_batch)
{
    for (uint64_t id = from; id < from + count; id++) {
        char header_cstr[40];

        snprintf(header_cstr, sizeof header_cstr, "%u@y", (unsigned)id);
        put_message(store, id, header_cstr);
        if (!is_one_batch)
            commit(store);
    }
    commit(store);
}

static void check_found(struct store *store, uint64_t from, uint64_t count)
{
    for (uint64_t id = from; id < from + count; id++) {
        char header_cstr[40];

        snprintf(header_cstr, sizeof header_cstr, "%u@y", (unsigned)id);
        assert_int_equal(store_message_find(store, slice_from_cstr(header_cstr), INT64_MAX),
                         id);
    }
}

static void test_message_ids_are_found(void **state)
{
    struct scene *scene = *state;
    struct store *store = scene->store;
    static const char count_rows[] = "SELECT count(*) FROM batch";

    put_many(store, 1, 5, false); /* into one row */
    assert_int_equal(rows(store, count_rows), 1);
    put_many(store, 6, 300, true);    /* over several */
    put_many(store, 306, 150, false); /* over the end of one */
    check_found(store, 1, 455);
    assert_true(rows(store, count_rows) < 8);
    assert_int_equal(store_message_find(store, S("9999@y"), INT64_MAX), 0);
    assert_int_equal(store_message_find(store, S(""), INT64_MAX), 0);
    put_message(store, 1000, "7@y"); /* sent again: the newest counts */
    commit(store);
    assert_int_equal(store_message_find(store, S("7@y"), INT64_MAX), 1000);
    assert_int_equal(store_message_find(store, S("7@y"), 1000), 7);
    store_close(&scene->store);
    open_scene(scene);
    check_found(scene->store, 8, 440);
}

static void test_old_message_ids_go(void **state)
{
    struct scene *scene = *state;
    struct store *store = scene->store;
    static const char count_rows[] = "SELECT count(*) FROM batch";
    uint64_t before;

    put_many(store, 1, 1000, true);
    before = rows(store, count_rows);
    for (uint64_t id = 1; id <= 900; id++)
        if (id != 5)
            store_message_release(store, id, 2, 2);
    commit(store);
    for (int i = 0; i < 20; i++) {
        store_message_purge(store, 901, 100);
        commit(store);
    }
    check_counts(store);
    check_found(store, 5, 1); /* still on its way */
    check_found(store, 901, 100);
    assert_int_equal(store_message_find(store, S("6@y"), INT64_MAX), 0);
    assert_true(rows(store, count_rows) < before - 4);
}

/* A database of the schema before: what is there is counted and hashed at the start. */
static void test_an_older_database(void **state)
{
    struct scene *scene = *state;

    put_many(scene->store, 1, 300, true);
    change(scene->store, 4, 0, 3, RECIPIENT_NOT_DUE, true);
    store_message_release(scene->store, 9, 2, 2);
    store__execute(scene->store, "DROP TABLE batch");
    store__execute(scene->store, "CREATE TABLE batch(id INTEGER PRIMARY KEY, counts BLOB NOT"
                                 " NULL, headers BLOB NOT NULL) STRICT");
    ledger_free(&scene->store->ledger); /* so that the commit writes nothing there */
    commit(scene->store);
    store_close(&scene->store);
    open_scene(scene);
    check_counts(scene->store);
    assert_int_equal(store_recipient_held_count(scene->store), 1);
    check_found(scene->store, 1, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts_are_what_is_there, begin, end),
        cmocka_unit_test_setup_teardown(test_counts_go_with_the_batch, begin, end),
        cmocka_unit_test_setup_teardown(test_message_ids_are_found, begin, end),
        cmocka_unit_test_setup_teardown(test_old_message_ids_go, begin, end),
        cmocka_unit_test_setup_teardown(test_an_older_database, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
