/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "base/log.h"
#include "base/stats.h"
#include "kit/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- histograms ---- */

static void test_buckets_hold_what_they_say(void **state)
{
    static const struct {
        uint64_t value;
        size_t bucket;
    } cases[] = {{0, 0},
                 {1, 0},
                 {2, 1},
                 {3, 2},
                 {4, 2},
                 {5, 3},
                 {8, 3},
                 {9, 4},
                 {1024, 10},
                 {1025, 11},
                 {UINT64_C(1) << 26, 26},
                 {(UINT64_C(1) << 26) + 1, 27},
                 {UINT64_C(1) << 40, 27},
                 {UINT64_MAX, 27}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(histogram_bucket(cases[i].value), cases[i].bucket);
}

static void test_quantiles_are_near(void **state)
{
    struct histogram histogram = {0};
    double half, most;

    (void)state;
    assert_true(histogram_quantile(&histogram, 0.5) == 0);
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(&histogram, i);
    assert_int_equal(histogram_count(&histogram), 1000);
    assert_int_equal(histogram.sum, 500500);
    half = histogram_quantile(&histogram, 0.5);
    most = histogram_quantile(&histogram, 0.99);
    assert_true(half > 450 && half < 550);
    assert_true(most > 950 && most <= 1024);
    /* One slow among many fast shows in the right place. */
    memset(&histogram, 0, sizeof histogram);
    for (int i = 0; i < 999; i++)
        histogram_add(&histogram, 100);
    histogram_add(&histogram, 1000000);
    assert_true(histogram_quantile(&histogram, 0.5) <= 128);
    assert_true(histogram_quantile(&histogram, 0.9995) > 500000);
}

/* ---- totals ---- */

static void test_totals_outlive_processes(void **state)
{
    struct stats total = {0}, none = {0}, first = {0}, second = {0};

    (void)state;
    first.numbers[STAT_SMTP_ACCEPTED] = 10;
    first.numbers[STAT_SMTP_SESSIONS] = 3;
    histogram_add(&first.histograms[HISTOGRAM_DNS], 100);
    stats_add_new(&total, &first, &none);
    second = first;
    second.numbers[STAT_SMTP_ACCEPTED] = 15;
    second.numbers[STAT_SMTP_SESSIONS] = 1;
    histogram_add(&second.histograms[HISTOGRAM_DNS], 200);
    stats_add_new(&total, &second, &first);
    /* The process dies; its successor begins at 0. */
    stats_add_new(&total, &first, &none);
    assert_int_equal(total.numbers[STAT_SMTP_ACCEPTED], 25);
    assert_int_equal(total.numbers[STAT_SMTP_SESSIONS], 0);
    assert_int_equal(histogram_count(&total.histograms[HISTOGRAM_DNS]), 3);
    assert_int_equal(total.histograms[HISTOGRAM_DNS].sum, 400);
    stats_add_now(&total, &first);
    stats_add_now(&total, &second);
    assert_int_equal(total.numbers[STAT_SMTP_SESSIONS], 4);
    first.numbers[STAT_SMTP_CERTIFICATE_ENDS] = 500;
    second.numbers[STAT_SMTP_CERTIFICATE_ENDS] = 400;
    stats_add_now(&total, &first);
    stats_add_now(&total, &second);
    stats_add_now(&total, &none);
    assert_int_equal(total.numbers[STAT_SMTP_CERTIFICATE_ENDS], 400);
}

static void test_classes(void **state)
{
    (void)state;
    memset(&stats, 0, sizeof stats);
    stats_add_class(STAT_SMTP_REPLIES_2XX, 250);
    stats_add_class(STAT_SMTP_REPLIES_2XX, 354);
    stats_add_class(STAT_SMTP_REPLIES_2XX, 599);
    stats_add_class(STAT_SMTP_REPLIES_2XX, 0);
    stats_add_class(STAT_SMTP_REPLIES_2XX, 600);
    assert_int_equal(stats.numbers[STAT_SMTP_REPLIES_2XX], 1);
    assert_int_equal(stats.numbers[STAT_SMTP_REPLIES_3XX], 1);
    assert_int_equal(stats.numbers[STAT_SMTP_REPLIES_4XX], 0);
    assert_int_equal(stats.numbers[STAT_SMTP_REPLIES_5XX], 1);
}

/* ---- text ---- */

static void assert_has(struct slice text, const char *line_cstr)
{
    if (memmem(text.at, text.len, line_cstr, strlen(line_cstr)) == NULL)
        fail_msg("there is no \"%s\"", line_cstr);
}

static void test_the_text_is_prometheus(void **state)
{
    struct stats some = {0};
    struct buffer out;
    struct slice text;

    (void)state;
    some.numbers[STAT_SMTP_ACCEPTED] = 7;
    some.numbers[STAT_SMTP_REFUSED_NEVER] = 2;
    histogram_add(&some.histograms[HISTOGRAM_SMTP_ANSWER], 1500);
    histogram_add(&some.histograms[HISTOGRAM_SMTP_ANSWER], 90000000);
    histogram_add(&some.histograms[HISTOGRAM_KEEPER_BATCH], 3);
    buffer_init(&out, 1 << 20);
    assert_true(stats_expose(&some, &out));
    text = buffer_view(&out);
    assert_has(text, "# TYPE postern_smtp_messages_accepted_total counter\n"
                     "postern_smtp_messages_accepted_total 7\n");
    assert_has(text, "postern_smtp_messages_refused_total{class=\"4xx\"} 0\n"
                     "postern_smtp_messages_refused_total{class=\"5xx\"} 2\n");
    assert_has(text, "# TYPE postern_smtp_answer_seconds histogram\n"
                     "postern_smtp_answer_seconds_bucket{le=\"0.000064\"} 0\n");
    assert_has(text, "_bucket{le=\"0.001024\"} 0\n"
                     "postern_smtp_answer_seconds_bucket{le=\"0.002048\"} 1\n");
    assert_has(text, "postern_smtp_answer_seconds_bucket{le=\"67.108864\"} 1\n"
                     "postern_smtp_answer_seconds_bucket{le=\"+Inf\"} 2\n"
                     "postern_smtp_answer_seconds_count 2\n"
                     "postern_smtp_answer_seconds_sum 90.001500\n");
    assert_has(text, "postern_keeper_batch_tasks_bucket{le=\"2\"} 0\n"
                     "postern_keeper_batch_tasks_bucket{le=\"4\"} 1\n");
    assert_null(memmem(text.at, text.len, "certificate_expiry_timestamp_seconds{", 37));
    buffer_deinit(&out);
    buffer_init(&out, 500);
    assert_false(stats_expose(&some, &out));
    buffer_deinit(&out);
}

/* Rows of one metric stand together, have one kind, and the first has a meaning. */
static void test_the_table_is_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < STAT_COUNT; i++) {
        const struct stat_row *row = stats_row((enum stat_number)i);
        bool is_first = true;

        assert_true(slice_ends_with_nocase(slice_from_cstr(row->name_cstr), S("_total")) ==
                    (row->kind == STAT_COUNTER));
        for (unsigned j = 0; j < i; j++) {
            const struct stat_row *other = stats_row((enum stat_number)j);

            if (strcmp(other->name_cstr, row->name_cstr) != 0)
                continue;
            is_first = false;
            assert_string_equal(stats_row((enum stat_number)(i - 1))->name_cstr,
                                row->name_cstr);
            assert_int_equal(other->kind, row->kind);
            assert_string_not_equal(other->labels_cstr, row->labels_cstr);
        }
        assert_true(is_first == (row->help_cstr[0] != 0));
    }
}

/* ---- log lines ---- */

/* What a call writes to standard error. */
static struct slice written_by(void (*write_lines)(void))
{
    static char bytes[16384];
    int before = dup(STDERR_FILENO), ends[2];
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    write_lines();
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    close(before);
    close(ends[1]);
    got = read(ends[0], bytes, sizeof bytes);
    close(ends[0]);
    return slice_of(bytes, got > 0 ? (size_t)got : 0);
}

static void write_hostile(void)
{
    uint8_t all[256];

    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    LOG(LOG_INFO, "test.hostile", log_text("all", slice_of(all, sizeof all)),
        log_text("forged", S("x\"}\n{\"event\":\"forged\"")), log_i64("minus", -5));
}

static void write_long(void)
{
    static uint8_t many[5000];

    memset(many, 1, sizeof many);
    LOG(LOG_ERROR, "test.long", log_text("many", slice_of(many, sizeof many)),
        log_u64("after", 1));
}

static void write_plain(void)
{
    LOG(LOG_WARN, "test.plain", log_cstr("host", "mx.test"), log_cstr("why", "two words"),
        log_cstr("nothing", ""));
}

static size_t count_byte(struct slice text, uint8_t byte)
{
    size_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == byte ? 1 : 0;
    return count;
}

static void test_lines_cannot_be_forged(void **state)
{
    struct slice line;

    (void)state;
    log_open("test", LOG_INFO);
    for (int format = LOG_JSON; format <= LOG_TEXT; format++) {
        log_style((enum log_format)format, 500);
        line = written_by(write_hostile);
        assert_int_equal(count_byte(line, '\n'), 1);
        for (size_t i = 0; i + 1 < line.len; i++)
            assert_true(line.at[i] >= ' ' && line.at[i] <= '~');
        assert_has(line, "\\u0000");
        assert_has(line, "\\u00ff");
        assert_has(line, "x\\\"}\\u000a{\\\"event\\\":\\\"forged\\\"");
    }
    assert_has(line, " info  test[");
    line = written_by(write_plain);
    assert_has(line, "] test.plain host=mx.test why=\"two words\" nothing=\"\"\n");
    log_style(LOG_JSON, 500);
    line = written_by(write_plain);
    assert_has(line, "\"host\":\"mx.test\",\"why\":\"two words\",\"nothing\":\"\"}\n");
    line = written_by(write_long);
    assert_has(line, "\"event\":\"test.long\",\"after\":1}\n");
}

static void test_trouble_is_kept(void **state)
{
    struct slice taken;

    (void)state;
    memset(&stats, 0, sizeof stats);
    log_open("test", LOG_INFO);
    log_style(LOG_JSON, 500);
    (void)log_take_trouble();
    (void)written_by(write_hostile);
    assert_int_equal(log_take_trouble().len, 0);
    (void)written_by(write_plain);
    taken = log_take_trouble();
    assert_has(taken, "\"event\":\"test.plain\"");
    assert_int_equal(taken.at[taken.len - 1], '}');
    assert_int_equal(log_take_trouble().len, 0);
    assert_int_equal(stats.numbers[STAT_LOG_WARNINGS], 1);
}

static void write_slow(void)
{
    static const char disk[] = "disk", net[] = "net";

    log_slow(disk, 19999);
    log_slow(disk, 20000);
    log_slow(disk, 90000);
    log_slow(net, 30000);
}

static void test_slow_operations(void **state)
{
    struct slice lines;

    (void)state;
    memset(&stats, 0, sizeof stats);
    log_style(LOG_JSON, 20);
    lines = written_by(write_slow);
    assert_int_equal(count_byte(lines, '\n'), 2);
    assert_has(lines, "\"event\":\"slow\",\"what\":\"disk\",\"took_ms\":20,\"limit_ms\":20");
    assert_has(lines, "\"what\":\"net\",\"took_ms\":30");
    assert_int_equal(stats.numbers[STAT_SLOW], 3);
    log_style(LOG_JSON, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_hold_what_they_say),
        cmocka_unit_test(test_quantiles_are_near),
        cmocka_unit_test(test_totals_outlive_processes),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_the_text_is_prometheus),
        cmocka_unit_test(test_the_table_is_in_order),
        cmocka_unit_test(test_lines_cannot_be_forged),
        cmocka_unit_test(test_trouble_is_kept),
        cmocka_unit_test(test_slow_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
