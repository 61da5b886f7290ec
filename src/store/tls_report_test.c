/* SPDX-License-Identifier: Apache-2.0 */
#include "store/tls_report.h"

#include "kit/kit.h"

#include "kit/run.h"
#include "store/internal.h"

#include <stdlib.h>

struct scene {
    char folder_cstr[64];
    struct store *store;
    struct buffer texts[2];
};

static int begin(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    struct err err = {0};

    kit_make_folder(scene->folder_cstr);
    assert_true(store_open(scene->folder_cstr, &scene->store, &err));
    buffer_init(&scene->texts[0], 100000);
    buffer_init(&scene->texts[1], 100000);
    *state = scene;
    return 0;
}

static int end(void **state)
{
    struct scene *scene = *state;

    store_close(&scene->store);
    buffer_deinit(&scene->texts[0]);
    buffer_deinit(&scene->texts[1]);
    kit_remove_folder(scene->folder_cstr);
    free(scene);
    return 0;
}

static void put_count(struct store *store, int64_t day, const char *domain_cstr,
                      uint64_t policy, uint64_t detail, uint64_t sessions)
{
    struct store_tls_count row = {.day = day,
                                  .domain = slice_from_cstr(domain_cstr),
                                  .policy_key = policy,
                                  .detail_key = detail,
                                  .policy = REPORT_STS,
                                  .result =
                                      detail == 0 ? REPORT_SUCCESS : REPORT_CERTIFICATE_EXPIRED,
                                  .sessions = sessions,
                                  .texts = {S("a"), S("bb"), S(""), S("dddd")}};

    if (!store_tls_count_grow(store, &row))
        store_tls_count_put(store, &row);
}

static void test_counts_grow_and_are_walked(void **state)
{
    struct scene *scene = *state;
    struct store *store = scene->store;
    struct store_tls_count row = {.day = 5, .domain = S("x.test")};
    char domain_cstr[STORE_DOMAIN_SIZE] = "";
    int64_t day = 0;

    put_count(store, 5, "x.test", 2, 7, 1);
    put_count(store, 5, "x.test", 2, 0, 10);
    put_count(store, 5, "x.test", UINT64_C(1) << 63, 0, 3);
    put_count(store, 5, "x.test", 2, 7, 4);
    put_count(store, 5, "y.test", 2, 0, 1);
    put_count(store, 6, "x.test", 2, 0, 1);
    assert_int_equal(store_tls_counts(store, 5, S("x.test")), 3);
    assert_int_equal(store_tls_count_all(store), 5);
    /* The policy, then what failed under it, then the next one. */
    assert_true(store_tls_count_next(store, true, &row, &scene->texts[0]));
    assert_int_equal(row.policy_key, 2);
    assert_int_equal(row.detail_key, 0);
    assert_int_equal(row.sessions, 10);
    assert_true(slice_equal(row.texts[1], S("bb")) && slice_equal(row.texts[3], S("dddd")));
    assert_true(store_tls_count_next(store, false, &row, &scene->texts[0]));
    assert_int_equal(row.detail_key, 7);
    assert_int_equal(row.sessions, 5);
    assert_int_equal(row.result, REPORT_CERTIFICATE_EXPIRED);
    assert_true(store_tls_count_next(store, false, &row, &scene->texts[0]));
    assert_true(row.policy_key == UINT64_C(1) << 63 && row.sessions == 3);
    assert_false(store_tls_count_next(store, false, &row, &scene->texts[0]));
    /* Days that are over, domain by domain. */
    assert_true(store_tls_count_domain(store, 6, &day, domain_cstr));
    assert_true(day == 5);
    assert_string_equal(domain_cstr, "x.test");
    assert_true(store_tls_count_domain(store, 6, &day, domain_cstr));
    assert_string_equal(domain_cstr, "y.test");
    assert_false(store_tls_count_domain(store, 6, &day, domain_cstr));
    assert_int_equal(store_tls_count_forget(store, 5, S("x.test")), 3);
    assert_int_equal(store_tls_count_forget(store, 5, S("x.test")), 0);
    assert_int_equal(store_tls_count_all(store), 2);
}

static void test_reports_are_due_in_turn(void **state)
{
    struct scene *scene = *state;
    struct store_tls_report row = {.day = 5, .domain_cstr = "x.test", .due_ms = 1000};
    struct store_tls_report due[3];

    store_tls_report_put(scene->store, &row);
    row = (struct store_tls_report){.day = 5, .domain_cstr = "y.test", .due_ms = 500};
    store_tls_report_put(scene->store, &row);
    assert_int_equal(store_tls_report_due(scene->store, 499, due, 3), 0);
    assert_int_equal(store_tls_report_due(scene->store, 1000, due, 3), 2);
    assert_string_equal(due[0].domain_cstr, "y.test");
    assert_int_equal(store_tls_report_due(scene->store, 1000, due, 1), 1);
    row.has_places = true;
    row.places = S("mailto:a@y.test\nhttps://y.test/\n");
    row.attempts = 2;
    row.since_ms = 77;
    store_tls_report_put(scene->store, &row);
    assert_true(store_tls_report_get(scene->store, 5, S("y.test"), &row, &scene->texts[0]));
    assert_true(slice_equal(row.places, S("mailto:a@y.test\nhttps://y.test/\n")));
    assert_true(row.has_places && row.attempts == 2 && row.since_ms == 77 && row.due_ms == 500);
    store_tls_report_forget(scene->store, 5, S("y.test"));
    assert_false(store_tls_report_get(scene->store, 5, S("y.test"), &row, &scene->texts[0]));
}

static void test_what_others_say(void **state)
{
    struct scene *scene = *state;
    struct store_tls_reported row = {.id = 9,
                                     .received_ms = 1000,
                                     .begin_s = 10,
                                     .end_s = 20,
                                     .is_read = true,
                                     .domain = S("clinic.test"),
                                     .organisation = S("X"),
                                     .report_id = S("1"),
                                     .signer = S("x.test"),
                                     .why = S("")};
    struct store_tls_sum sum = {.day = 5,
                                .domain = S("clinic.test"),
                                .organisation = S("X"),
                                .policy = REPORT_STS,
                                .result = S(""),
                                .mx = S(""),
                                .sessions = 7};

    assert_true(store_tls_reported_put(scene->store, &row));
    row.id = 10;
    assert_false(store_tls_reported_put(scene->store, &row)); /* the same report again */
    row.is_read = false;
    row.why = S("no JSON");
    assert_true(store_tls_reported_put(scene->store, &row));
    assert_int_equal(store_tls_reported_count(scene->store, 1000), 2);
    assert_int_equal(store_tls_reported_count(scene->store, 1001), 0);
    assert_true(store_tls_reported_next(scene->store, INT64_MAX, &row, &scene->texts[0]));
    assert_true(row.id == 10 && !row.is_read && slice_equal(row.why, S("no JSON")));
    assert_true(store_tls_reported_next(scene->store, 10, &row, &scene->texts[0]));
    assert_true(row.id == 9 && slice_equal(row.domain, S("clinic.test")));
    assert_false(store_tls_reported_next(scene->store, 9, &row, &scene->texts[0]));

    store_tls_sum_add(scene->store, &sum);
    store_tls_sum_add(scene->store, &sum);
    sum.result = S("certificate-expired");
    sum.mx = S("mx");
    store_tls_sum_add(scene->store, &sum);
    sum.domain = S("other.test");
    store_tls_sum_add(scene->store, &sum);
    assert_int_equal(store_tls_sums(scene->store, 5, S("clinic.test")), 2);
    assert_true(store_tls_sum_next(scene->store, true, S(""), &sum, scene->texts));
    assert_true(sum.sessions == 14 && sum.result.len == 0 && sum.policy == REPORT_STS);
    assert_true(store_tls_sum_next(scene->store, false, S(""), &sum, scene->texts));
    assert_true(sum.sessions == 7 && slice_equal(sum.mx, S("mx")));
    assert_true(store_tls_sum_next(scene->store, false, S(""), &sum, scene->texts));
    assert_true(slice_equal(sum.domain, S("other.test")));
    assert_false(store_tls_sum_next(scene->store, false, S(""), &sum, scene->texts));
    assert_true(store_tls_sum_next(scene->store, true, S("other.test"), &sum, scene->texts));
    assert_false(store_tls_sum_next(scene->store, false, S("other.test"), &sum, scene->texts));
    store_tls_reported_purge(scene->store, INT64_C(6) * 24 * 3600 * 1000);
    assert_false(store_tls_sum_next(scene->store, true, S(""), &sum, scene->texts));
    assert_int_equal(store_tls_reported_count(scene->store, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_counts_grow_and_are_walked, begin, end),
        cmocka_unit_test_setup_teardown(test_reports_are_due_in_turn, begin, end),
        cmocka_unit_test_setup_teardown(test_what_others_say, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
