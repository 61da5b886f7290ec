/* SPDX-License-Identifier: Apache-2.0 */
/* What one broken handshake may teach about a host, and for how long. */
#include "keeper/stand.h"
#include "kit/kit.h"

static const struct slice host = SLICE_INIT("mx.x.test");

/* Begin with a memory that ends at this moment, have a small ClientHello work, and see when it ends then. */
static int64_t note(struct stand *stand, int64_t until_ms)
{
    struct store *store = stand->keeper->store;
    struct store_memory row = {.kind = MEMORY_HOST, .small_until_ms = until_ms};
    struct err err = {0};

    must(slice_to_cstr(host, row.name_cstr, sizeof row.name_cstr));
    memories_on_rollback(stand->keeper);
    store_begin(store);
    store_memory_put(store, &row);
    memory_note_tls(stand->keeper, S(""), host, true);
    must(store_commit(store, &err));
    must(store_memory_get(store, MEMORY_HOST, host, &row));
    return row.small_until_ms;
}

static void test_a_small_hello_is_not_for_ever(void **state)
{
    enum { MINUTE = 60 * 1000 };
    int64_t now_ms = clock_unix_ms();
    struct stand stand;

    (void)state;
    stand_open(&stand, "");
    assert_true(note(&stand, 0) >= now_ms + MEMORY_SMALL_HELLO_MS);
    /* Used because it is remembered: that keeps nothing alive, and what couriers still believe does neither. */
    assert_int_equal(note(&stand, now_ms + MINUTE), now_ms + MINUTE);
    assert_int_equal(note(&stand, now_ms - 10 * MINUTE), now_ms - 10 * MINUTE);
    /* It had its chance. */
    assert_true(note(&stand, now_ms - 20 * MINUTE) >= now_ms + MEMORY_SMALL_HELLO_MS);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_small_hello_is_not_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
