/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/lanes.h"

#include "keeper/stand.h"
#include "kit/kit.h"

enum { ITEMS = 64 };

struct yard {
    struct stand stand;
    struct item items[ITEMS];
    size_t count;
};

static void open_yard(struct yard *yard)
{
    *yard = (struct yard){0};
    stand_open(&yard->stand, "");
}

/* As the schedule would: not in its map, so that nothing of it is worked on. */
static void put(struct yard *yard, struct lane *lane, const char *account_cstr,
                enum lane_class class)
{
    struct item *item = &yard->items[yard->count++];

    *item = (struct item){.message = yard->count,
                          .lane = lane,
                          .place = ITEM_READY,
                          .flow = flow_number(slice_from_cstr(account_cstr), class)};
    lane_put(&yard->stand.keeper->lanes, item, false);
}

static uint64_t next(struct yard *yard, struct lane *lane)
{
    struct item *items[4];

    assert_int_equal(lane_take(yard->stand.keeper, lane, items, 4), 1);
    return items[0]->message;
}

static struct lane *some_lane(struct yard *yard, const char *domain_cstr)
{
    struct keeper *keeper = yard->stand.keeper;

    store_begin(keeper->store);
    return lane_of(keeper, domain_put(keeper, slice_from_cstr(domain_cstr)), 0);
}

static void test_accounts_take_turns(void **state)
{
    struct yard yard;
    struct lane *lane;

    (void)state;
    open_yard(&yard);
    lane = some_lane(&yard, "a.test");
    for (int i = 0; i < 20; i++)
        put(&yard, lane, "huge", LANE_INTERACTIVE);
    put(&yard, lane, "small", LANE_INTERACTIVE); /* number 21 */
    put(&yard, lane, "other", LANE_INTERACTIVE);
    /* Who has nothing under way goes first. */
    assert_int_equal(next(&yard, lane), 22);
    assert_int_equal(next(&yard, lane), 21);
    assert_int_equal(next(&yard, lane), 1);
    /* Then in turns. */
    assert_true(
        lane_job_begins(&yard.stand.keeper->lanes, lane, flow_number(S("small"), LANE_BULK)));
    put(&yard, lane, "small", LANE_INTERACTIVE);
    put(&yard, lane, "small", LANE_INTERACTIVE);
    assert_int_equal(next(&yard, lane), 2);
    assert_int_equal(next(&yard, lane), 23);
    assert_int_equal(next(&yard, lane), 3);
    assert_int_equal(next(&yard, lane), 24);
    assert_false(
        lane_job_begins(&yard.stand.keeper->lanes, lane, flow_number(S("small"), LANE_BULK)));
    lane_job_ends(&yard.stand.keeper->lanes, lane, flow_number(S("small"), LANE_BULK));
    lane_job_ends(&yard.stand.keeper->lanes, lane, flow_number(S("small"), LANE_BULK));
    for (uint64_t i = 4; i <= 20; i++)
        assert_int_equal(next(&yard, lane), i);
    assert_int_equal(lane->ready, 0);
    assert_null(lane_peek(lane));
    stand_close(&yard.stand);
}

static void test_what_is_waited_for_goes_first_and_nothing_starves(void **state)
{
    struct yard yard;
    struct lane *lane;
    unsigned seen[LANE_CLASSES] = {0};

    (void)state;
    open_yard(&yard);
    lane = some_lane(&yard, "a.test");
    for (int i = 0; i < 8; i++) {
        put(&yard, lane, "one", LANE_RETRY);
        put(&yard, lane, "one", LANE_BULK);
        put(&yard, lane, "one", LANE_INTERACTIVE);
    }
    for (int i = 0; i < 8; i++)
        seen[(next(&yard, lane) - 1) % 3]++;
    assert_int_equal(seen[2], 6); /* interactive */
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[0], 1);
    while (lane->ready > 0)
        (void)next(&yard, lane);
    stand_close(&yard.stand);
}

static void test_domains_of_one_provider_share(void **state)
{
    struct yard yard;
    struct keeper *keeper;
    struct domain *a, *b;

    (void)state;
    open_yard(&yard);
    keeper = yard.stand.keeper;
    (void)some_lane(&yard, "a.test");
    (void)some_lane(&yard, "b.test");
    a = domain_find(keeper, S("a.test"));
    b = domain_find(keeper, S("b.test"));
    assert_ptr_not_equal(lane_of(keeper, a, 0), lane_of(keeper, b, 0));
    lanes_learn(keeper, a, S("mx1.test mx2.test"));
    lanes_learn(keeper, b, S("mx1.test mx2.test"));
    assert_ptr_equal(lane_of(keeper, a, 0), lane_of(keeper, b, 0));
    lanes_learn(keeper, b, S("")); /* nothing new is known */
    assert_ptr_equal(lane_of(keeper, a, 0), lane_of(keeper, b, 0));
    lanes_learn(keeper, b, S("mx3.test"));
    assert_ptr_not_equal(lane_of(keeper, a, 0), lane_of(keeper, b, 0));
    stand_close(&yard.stand);
}

static void test_places_in_one_number(void **state)
{
    struct schedule_place place = {.domain = 123456,
                                   .flow = flow_number(S("Clinic"), LANE_BULK)};
    struct schedule_place back = schedule_place_read(schedule_place_write(place));

    (void)state;
    assert_int_equal(back.domain, place.domain);
    assert_int_equal(back.flow, place.flow);
    assert_int_equal(flow_number(S("clinic"), LANE_BULK), place.flow);
    assert_int_equal(schedule_place_of(7, (uint64_t)place.flow << RECIPIENT_FLOW_SHIFT, 2).flow,
                     flow_number(S("clinic"), LANE_RETRY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accounts_take_turns),
        cmocka_unit_test(test_what_is_waited_for_goes_first_and_nothing_starves),
        cmocka_unit_test(test_domains_of_one_provider_share),
        cmocka_unit_test(test_places_in_one_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
