/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/stand.h"
#include "kit/run.h"

static void test_accept_deliver_done(void **state)
{
    struct stand stand;
    uint64_t message;
    struct store_message row;

    (void)state;
    stand_open(&stand, "");
    message = stand_submit(&stand, &(struct stand_mail){.to_cstr = "bob@good.test"});
    stand_wait(&stand, &stand.accepted, 1);
    assert_int_equal(stand.accepted, 1);
    stand_wait(&stand, &stand.delivered, 1);
    assert_string_equal(stand.last_to_cstr, "bob@good.test");
    assert_string_equal(stand.last_from_cstr, "clerk@clinic.test");
    assert_int_equal(stand.last_job.requirement.least, PROOF_VERIFIED);
    stand_run(&stand, 100);
    assert_int_equal(stand_state(&stand, message, 0), STATE_DELIVERED);
    assert_true(store_message_get(stand.keeper->store, message, &row));
    assert_int_equal(row.live, 0);
    assert_int_equal(row.open, 0);
    assert_false(row.has_key);
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_deliver_done),
    };

    log_open("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
