/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of others' TLS: rows come back, also after the store was closed. */
#include "kit/kit.h"

#include "kit/run.h"
#include "store/board.h"
#include "store/domain.h"
#include "store/key.h"
#include "store/memory.h"

#define KEY "postern-master-key-1 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

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

static void commit_and_open_again(struct scene *scene)
{
    struct err err = {0};

    if (!store_commit(scene->store, &err))
        fail_msg("%s", err.text_cstr);
    store_close(&scene->store);
    open_scene(scene);
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

static void test_memory(void **state)
{
    struct scene *scene = *state;
    struct store_memory host = {.kind = MEMORY_HOST,
                                .name_cstr = "mx.x.test",
                                .seen = {20000, UINT64_C(0xF000000000000003), 9},
                                .first_ms = 5,
                                .last_ms = 6,
                                .small_until_ms = 7};
    struct store_memory domain = {
        .kind = MEMORY_DOMAIN, .name_cstr = "mx.x.test", .lost_ms = 8};
    struct store_memory got;

    assert_false(store_memory_get(scene->store, MEMORY_HOST, S("mx.x.test"), &got));
    store_memory_put(scene->store, &host);
    store_memory_put(scene->store, &domain);
    host.seen.low++;
    store_memory_put(scene->store, &host);
    commit_and_open_again(scene);
    assert_true(store_memory_get(scene->store, MEMORY_HOST, S("mx.x.test"), &got));
    assert_memory_equal(&got, &host, sizeof got);
    assert_true(store_memory_get(scene->store, MEMORY_DOMAIN, S("mx.x.test"), &got));
    assert_int_equal(got.lost_ms, 8);
    assert_int_equal(store_memory_lost_count(scene->store), 1);
    assert_true(store_memory_next_lost(scene->store, "", &got));
    assert_string_equal(got.name_cstr, "mx.x.test");
    assert_false(store_memory_next_lost(scene->store, "mx.x.test", &got));
    domain.lost_ms = 0;
    store_memory_put(scene->store, &domain);
    assert_int_equal(store_memory_lost_count(scene->store), 0);
}

static void test_board(void **state)
{
    struct scene *scene = *state;
    struct store_board row = {.name_cstr = "x.test",
                              .used_ms = 1,
                              .tested_ms = 2,
                              .due_ms = 300,
                              .verdict = BOARD_VERIFIED,
                              .since_ms = 4,
                              .worse_ms = 5,
                              .features = BOARD_HAS_STARTTLS | BOARD_IS_MIXED,
                              .mx_proof = MX_PROOF_STS,
                              .found = S("{\"hosts\":[]}")};
    struct store_board got, due[3];
    struct board_count count;

    store_board_put(scene->store, &row);
    store_board_use(scene->store, S("new.test"), 50, 100);
    store_board_use(scene->store, S("x.test"), 60, 0);
    commit_and_open_again(scene);
    assert_true(store_board_get(scene->store, S("x.test"), &got));
    assert_true(slice_equal(got.found, row.found));
    assert_true(got.used_ms == 60 && got.due_ms == 300 && got.verdict == BOARD_VERIFIED &&
                got.mx_proof == MX_PROOF_STS && got.worse_ms == 5 && got.tested_ms == 2);
    assert_int_equal(store_board_due(scene->store, 99, due, 3), 0);
    assert_int_equal(store_board_due(scene->store, 300, due, 3), 2);
    assert_string_equal(due[0].name_cstr, "new.test");
    assert_int_equal(store_board_due(scene->store, 300, due, 1), 1);
    store_board_set_due(scene->store, S("new.test"), 0);
    assert_int_equal(store_board_due(scene->store, 300, due, 3), 1);
    assert_true(store_board_next(scene->store, "", &got) && got.used_ms == 50);
    assert_true(store_board_next(scene->store, "new.test", &got));
    assert_string_equal(got.name_cstr, "x.test");
    assert_false(store_board_next(scene->store, "x.test", &got));
    store_board_count(scene->store, &count);
    assert_true(count.domains == 2 && count.verdicts[BOARD_VERIFIED] == 1 &&
                count.never_tested == 1 && count.features[0] == 1 && count.features[8] == 1 &&
                count.features[1] == 0);
    assert_false(store_board_get(scene->store, S("y.test"), &got));
}

static void test_changes_are_bounded(void **state)
{
    struct scene *scene = *state;
    static struct store_board_change got[STORE_BOARD_CHANGES + 50];
    struct store_board_change change = {.before = BOARD_VERIFIED, .after = BOARD_CLEAR};

    for (int i = 1; i <= STORE_BOARD_CHANGES + 20; i++) {
        change.at_ms = i * 1000;
        (void)snprintf(change.why_cstr, sizeof change.why_cstr, "why %d", i);
        store_board_change_put(scene->store, S("x.test"), &change);
    }
    store_board_change_put(scene->store, S("y.test"), &change);
    commit_and_open_again(scene);
    assert_int_equal(store_board_changes(scene->store, S("x.test"), got, COUNT_OF(got)),
                     STORE_BOARD_CHANGES);
    assert_int_equal(got[0].at_ms, (STORE_BOARD_CHANGES + 20) * 1000);
    assert_string_equal(got[0].why_cstr, "why 70");
    assert_int_equal(got[0].after, BOARD_CLEAR);
    assert_int_equal(store_board_changes(scene->store, S("y.test"), got, 1), 1);
}

static void test_domain_keeps_what_proved_its_host(void **state)
{
    struct scene *scene = *state;
    struct store_domain row;

    assert_true(store_domain_put(scene->store, S("x.test"), &row));
    assert_int_equal(row.mx_proof, MX_PROOF_NONE);
    row.level = PROOF_DANE;
    row.mx_proof = MX_PROOF_DNSSEC;
    store_domain_learn(scene->store, &row, S("mx.x.test"), S(""));
    commit_and_open_again(scene);
    assert_true(store_domain_find(scene->store, S("x.test"), &row));
    assert_int_equal(row.mx_proof, MX_PROOF_DNSSEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory, begin, end),
        cmocka_unit_test_setup_teardown(test_board, begin, end),
        cmocka_unit_test_setup_teardown(test_changes_are_bounded, begin, end),
        cmocka_unit_test_setup_teardown(test_domain_keeps_what_proved_its_host, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
