/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/concurrency.h"

#include "kit/kit.h"

static void test_grows_by_cohorts(void **state)
{
    struct concurrency c;

    (void)state;
    concurrency_init(&c, 8);
    assert_int_equal(c.limit, CONCURRENCY_FIRST);
    for (int i = 0; i < 4; i++)
        concurrency_succeeded(&c);
    assert_int_equal(c.limit, 5);
    concurrency_succeeded(&c);
    assert_int_equal(c.limit, 6);
    for (int i = 0; i < 100; i++)
        concurrency_succeeded(&c);
    assert_int_equal(c.limit, 8);
    concurrency_init(&c, 2);
    assert_int_equal(c.limit, 2);
    concurrency_init(&c, 0);
    assert_int_equal(c.limit, 1);
}

static void test_shrinks_by_cohorts_and_dies(void **state)
{
    struct concurrency c;
    int failures = 0;

    (void)state;
    concurrency_init(&c, 8);
    /* One failure in each cohort of successes: nothing happens but growth. */
    for (int i = 0; i < 50; i++) {
        assert_false(concurrency_failed(&c));
        for (unsigned j = 0; j < 8; j++)
            concurrency_succeeded(&c);
    }
    assert_int_equal(c.limit, 8);
    for (int i = 0; i < 8; i++)
        assert_false(concurrency_failed(&c));
    assert_int_equal(c.limit, 7);
    concurrency_succeeded(&c);
    while (!concurrency_failed(&c))
        failures++;
    assert_int_equal(failures + 1, 7 + 6 + 5);
    assert_int_equal(c.limit, 4);
    concurrency_cap(&c, 3);
    assert_int_equal(c.limit, 3);
    concurrency_cap(&c, 0);
    assert_int_equal(c.limit, 1);
    concurrency_cap(&c, 99);
    assert_int_equal(c.limit, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_by_cohorts),
        cmocka_unit_test(test_shrinks_by_cohorts_and_dies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
