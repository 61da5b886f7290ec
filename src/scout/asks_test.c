/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/scout.h"

#include "kit/kit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Rooms of the test: one that answers at once, one that answers when told, one that goes on in another lane. */
struct seen {
    unsigned begun, answers, let_go, late;
    uint64_t last_ask;
    bool is_deaf;
    struct scout_ask *held[1000];
    unsigned held_count;
};
static struct seen seen;

static void answer(struct scout_ask *ask, const char *why_cstr)
{
    struct ipc_rua_found found = {.ok = true, .why = slice_from_cstr(why_cstr)};

    scout_answer(ask, IPC_RUA_FOUND, &found);
}

static void begin_quick(struct scout_ask *ask)
{
    seen.begun++;
    assert_true(slice_equal(ask->question->rua_find.domain, S("a.test")));
    answer(ask, "");
}

static void begin_slow(struct scout_ask *ask)
{
    seen.begun++;
    assert_int_equal(*(uint8_t *)ask->state, 0);
    *(uint8_t *)ask->state = 7;
    seen.held[seen.held_count++] = ask;
}

static void fetch(struct scout_ask *ask)
{
    begin_slow(ask);
}

static void begin_fetching(struct scout_ask *ask)
{
    scout_enter(ask, SCOUT_FETCHES, fetch);
}

static void time_is_up(struct scout_ask *ask)
{
    seen.late++;
    answer(ask, "late");
}

static void let_go(struct scout_ask *ask)
{
    seen.let_go++;
    (void)ask;
}

static const struct scout_kind quick = {.question = IPC_RUA_FIND,
                                        .lane = SCOUT_LOOKUPS,
                                        .begin = begin_quick,
                                        .time_is_up = time_is_up};
static const struct scout_kind slow = {.question = IPC_STS_FIND,
                                       .lane = SCOUT_LOOKUPS,
                                       .state_bytes = 8,
                                       .begin = begin_slow,
                                       .time_is_up = time_is_up,
                                       .let_go = let_go};
static const struct scout_kind fetching = {.question = IPC_REPORT_POST,
                                           .lane = SCOUT_LOOKUPS,
                                           .state_bytes = 8,
                                           .begin = begin_fetching,
                                           .time_is_up = time_is_up,
                                           .let_go = let_go};
static const struct scout_kind *const kinds[] = {&quick, &slow, &fetching, NULL};

static bool on_send(void *context, enum ipc_type type, const void *message)
{
    assert_int_equal(type, IPC_RUA_FOUND);
    assert_ptr_equal(context, &seen);
    seen.answers++;
    seen.last_ask = ((const struct ipc_rua_found *)message)->ask;
    return !seen.is_deaf;
}

struct bed {
    struct loop *loop;
    struct settings *settings;
    struct scout *scout;
};

static void open_bed(struct bed *bed)
{
    static const char text_cstr[] =
        "hostname = \"mail.a.test\" state = \"/x\" master_key = \"/k\" "
        "resolver { local_data = {\"a.test. MX 10 mx.a.test.\"} }";
    struct err err = {0};

    seen = (struct seen){0};
    assert_true(settings_parse(slice_from_cstr(text_cstr), "/t.conf", &bed->settings, &err));
    bed->loop = loop_new();
    bed->scout = scout_new(&(struct scout_options){
        .loop = bed->loop, .kinds = kinds, .send = on_send, .context = &seen});
    assert_true(scout_configure(bed->scout, bed->settings, &err));
}

static void close_bed(struct bed *bed)
{
    scout_free(&bed->scout);
    settings_unref(&bed->settings);
    loop_free(&bed->loop);
}

static void take(struct bed *bed, enum ipc_type type, uint64_t number)
{
    union ipc_any question;

    memset(&question, 0, sizeof question);
    if (type == IPC_REPORT_POST)
        question.report_post =
            (struct ipc_report_post){.ask = number, .url = S("https://a.test")};
    else
        question.rua_find = (struct ipc_rua_find){.ask = number, .domain = S("a.test")};
    assert_true(scout_take(bed->scout, type, &question));
}

static void test_each_is_answered_once(void **state)
{
    struct bed bed;

    (void)state;
    open_bed(&bed);
    for (uint64_t i = 1; i <= 2000; i++) {
        take(&bed, IPC_RUA_FIND, i);
        assert_int_equal(seen.last_ask, i);
    }
    assert_int_equal(seen.answers, 2000);
    assert_int_equal(scout_count(bed.scout), 0);
    assert_false(scout_take(bed.scout, IPC_TLS_TEST, &(union ipc_any){.tls_test = {.ask = 1}}));
    close_bed(&bed);
}

static void test_a_lane_has_so_many_places(void **state)
{
    enum { MORE = 300 };
    unsigned places = (unsigned)scout_lane_limits[SCOUT_LOOKUPS].places;
    struct bed bed;

    (void)state;
    open_bed(&bed);
    for (uint64_t i = 1; i <= places + MORE; i++)
        take(&bed, IPC_STS_FIND, i);
    assert_int_equal(seen.begun, places);
    /* Behind them those that answer at once wait, too, and are all answered in one go. */
    for (uint64_t i = 1; i <= 100; i++)
        take(&bed, IPC_RUA_FIND, 5000 + i);
    assert_int_equal(seen.answers, 0);
    for (unsigned i = 0; i < MORE + 1; i++)
        answer(seen.held[i], "");
    assert_int_equal(seen.begun, places + MORE + 100);
    assert_int_equal(seen.answers, MORE + 1 + 100);
    assert_int_equal(seen.let_go, MORE + 1);
    assert_int_equal(scout_count(bed.scout), places - 1);
    close_bed(&bed);
    assert_int_equal(seen.let_go, places + MORE);
    assert_int_equal(seen.answers, MORE + 1 + 100); /* forgotten, not answered */
}

static void test_who_goes_to_another_lane_leaves_its_place(void **state)
{
    unsigned lookups = (unsigned)scout_lane_limits[SCOUT_LOOKUPS].places;
    unsigned fetches = (unsigned)scout_lane_limits[SCOUT_FETCHES].places;
    struct bed bed;

    (void)state;
    open_bed(&bed);
    for (uint64_t i = 1; i <= lookups + 5; i++)
        take(&bed, IPC_REPORT_POST, i);
    assert_int_equal(seen.begun, fetches);
    take(&bed, IPC_RUA_FIND, 9999);
    assert_int_equal(seen.last_ask, 9999); /* look-ups have room */
    answer(seen.held[0], "");
    assert_int_equal(seen.begun, fetches + 2);
    close_bed(&bed);
}

static void test_old_settings_live_as_long_as_their_asks(void **state)
{
    struct bed bed;
    struct err err = {0};
    const struct settings *settings;

    (void)state;
    open_bed(&bed);
    settings = bed.settings;
    take(&bed, IPC_STS_FIND, 1);
    for (int i = 0; i < 3; i++)
        assert_true(scout_configure(bed.scout, bed.settings, &err));
    loop_run_once(bed.loop);
    assert_int_equal(settings->references, 3); /* ours, the ask's, the newest */
    answer(seen.held[0], "");
    loop_run_once(bed.loop);
    assert_int_equal(settings->references, 2);
    close_bed(&bed);
}

static void take_one(void *context)
{
    take(context, IPC_RUA_FIND, 1);
}

static void test_a_keeper_that_does_not_read_ends_it(void **state)
{
    struct bed bed;
    struct loop_timer *timer;

    (void)state;
    open_bed(&bed);
    seen.is_deaf = true;
    timer = loop_timer_new(bed.loop, take_one, &bed);
    loop_timer_set(timer, 0);
    loop_run(bed.loop); /* returns */
    assert_int_equal(scout_count(bed.scout), 0);
    loop_timer_free(&timer);
    close_bed(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_answered_once),
        cmocka_unit_test(test_a_lane_has_so_many_places),
        cmocka_unit_test(test_who_goes_to_another_lane_leaves_its_place),
        cmocka_unit_test(test_old_settings_live_as_long_as_their_asks),
        cmocka_unit_test(test_a_keeper_that_does_not_read_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
