/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "kit/run.h"
#include "postern/figures.h"
#include "postern/screen.h"

#include <string.h>

static json_t *answer(int now_s, int accepted, int slow, const char *more_cstr)
{
    char json_cstr[4096];
    json_t *object;

    (void)snprintf(
        json_cstr, sizeof json_cstr,
        "{\"version\":\"0.1.0\",\"started_ms\":1000,\"now_ms\":%d000,\"serves\":true,"
        "\"messages\":1234567,\"queue\":1234570,\"held\":3,\"ready\":60000,\"in_flight\":17,"
        "\"late_ms\":125000,\"states\":{\"accepted\":0,\"planned\":1200000,\"deferred\":34567},"
        "\"rates\":{\"accepted\":[12.5,100,1500.4],\"delivered\":[0,0.2,12345.6]},"
        "\"disk_free_bytes\":13207024435,"
        "\"numbers\":{\"smtp_messages_accepted_total\":%d,\"smtp_sessions\":42},"
        "\"histograms\":{\"smtp_answer_seconds\":{\"sum\":1,\"buckets\":"
        "[0,0,0,0,0,0,0,0,0,0,%d,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0]}},"
        "\"roles\":[{\"role\":\"keeper\",\"index\":0,\"pid\":7,\"runs\":true,\"cpu_us\":%d,"
        "\"rss_bytes\":104857600,\"descriptors\":40,\"restarts\":0},"
        "{\"role\":\"smtpd\",\"index\":0,\"pid\":8,\"runs\":true,\"cpu_us\":0,"
        "\"rss_bytes\":1048576,\"restarts\":1},"
        "{\"role\":\"smtpd\",\"index\":1,\"pid\":0,\"runs\":false,\"restarts\":5}],"
        "\"domains\":[{\"domain\":\"busy.test\",\"ready\":900,\"jobs\":12,\"delivered\":%d,"
        "\"deferred\":2,\"tls\":\"proved\"},"
        "{\"domain\":\"a-domain-that-is-longer-than-its-column.example.test\",\"ready\":5,"
        "\"jobs\":0,\"delivered\":0,\"deferred\":0,\"tls\":\"unknown\",\"held\":true}]%s}",
        now_s, accepted, slow, now_s * 250000, accepted, more_cstr);
    object = json_loads(json_cstr, 0, NULL);
    assert_non_null(object);
    return object;
}

struct drawn {
    struct buffer out;
    size_t lines, longest;
};

static void draw(struct drawn *drawn, const struct screen *screen)
{
    struct slice text;

    memset(drawn, 0, sizeof *drawn);
    buffer_init(&drawn->out, 1 << 20);
    assert_true(screen_draw(screen, &drawn->out));
    text = buffer_view(&drawn->out);
    while (text.len > 0) {
        struct slice one = slice_cut(&text, '\n');
        size_t width = 0;

        /* What stands on the screen: without sequences. */
        for (size_t i = 0; i < one.len; i++) {
            if (one.at[i] == 0x1b) {
                while (i < one.len && !byte_is_alpha(one.at[i]))
                    i++;
                continue;
            }
            width += one.at[i] >= ' ' ? 1 : 0;
        }
        drawn->lines++;
        drawn->longest = width > drawn->longest ? width : drawn->longest;
    }
}

static bool has(const struct drawn *drawn, const char *words_cstr)
{
    struct slice text = buffer_view(&drawn->out);

    return memmem(text.at, text.len, words_cstr, strlen(words_cstr)) != NULL;
}

static void assert_has(const struct drawn *drawn, const char *words_cstr)
{
    if (!has(drawn, words_cstr))
        fail_msg("there is no \"%s\" in\n%.*s", words_cstr,
                 SLICE_ARGS(buffer_view(&drawn->out)));
}

static void test_figures(void **state)
{
    char text[FIGURE_SIZE];

    (void)state;
    assert_string_equal(figure_bytes(0, text), "0");
    assert_string_equal(figure_bytes(1023, text), "1023");
    assert_string_equal(figure_bytes(1536, text), "1.5K");
    assert_string_equal(figure_bytes(104857600, text), "100M");
    assert_string_equal(figure_bytes(UINT64_MAX, text), "16384P");
    assert_string_equal(figure_time(0, text), "-");
    assert_string_equal(figure_time(350, text), "350us");
    assert_string_equal(figure_time(1234, text), "1.2ms");
    assert_string_equal(figure_time(250000, text), "250ms");
    assert_string_equal(figure_time(2500000, text), "2.5s");
    assert_string_equal(figure_span(-5, text), "0s");
    assert_string_equal(figure_span(125000, text), "2m 5s");
    assert_string_equal(figure_span(93784000, text), "1d 2h");
    assert_string_equal(figure_rate(0.25, text), "0.25");
    assert_string_equal(figure_rate(1500.4, text), "1500");
    assert_string_equal(figure_rate(12345.6, text), "12.3k");
}

static void test_a_screen_has_what_matters(void **state)
{
    json_t *before = answer(100, 1000, 500, ""), *now = answer(110, 3000, 1500, "");
    struct screen screen = {.now = now, .before = before, .width = 80, .height = 100};
    struct drawn drawn;

    (void)state;
    draw(&drawn, &screen);
    assert_true(drawn.longest <= 80);
    assert_has(&drawn, "Postern 0.1.0  up 1m 49s");
    assert_has(&drawn, "ready");
    assert_has(&drawn, "1234567 messages, oldest due 2m 5s, 3 held, disk 12.3G free\n");
    assert_has(&drawn, "1200000 planned, 34567 deferred, 0 being told, 0 in the portal\n");
    assert_has(&drawn, "42 sessions, 0/s in, 60000 ready, 17 jobs at couriers, 0 readers\n");
    /* 2000 messages in 10 s, and what the server says of the minutes before. */
    assert_has(&drawn, " accepted      200    12.5     100    1500   answer");
    assert_has(&drawn, "12.3k   commit");
    assert_has(&drawn, "768us");
    /* The keeper used a quarter of a core; of two smtpd one runs. */
    assert_has(&drawn, " keeper         1/1      25.0      100M");
    assert_has(&drawn, " smtpd          1/2       0.0      1.0M         0         0         6");
    assert_has(&drawn, " busy.test                          900    12         200");
    assert_has(&drawn, " a-domain-that-is-longer-than-i       5");
    assert_has(&drawn, "held\n");
    buffer_deinit(&drawn.out);
    json_decref(before);
    json_decref(now);
}

static void test_it_fits_every_screen(void **state)
{
    static const unsigned sizes[][2] = {{80, 24},  {80, 10}, {40, 3}, {20, 1},
                                        {200, 60}, {1, 1},   {0, 24}, {600, 24}};
    json_t *now = answer(110, 3000, 1500, "");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct screen screen = {.now = now,
                                .width = sizes[i][0],
                                .height = sizes[i][1],
                                .problem_cstr =
                                    i % 2 == 0 ? "the server does not answer" : NULL,
                                .is_terminal = true};
        struct drawn drawn;
        size_t width = screen.width < 20 ? 20 : screen.width;

        draw(&drawn, &screen);
        assert_true(drawn.lines <= screen.height);
        assert_true(drawn.longest <= width + (screen.problem_cstr != NULL ? width : 0));
        assert_has(&drawn, "\x1b[H");
        if (screen.problem_cstr != NULL && width > 30)
            assert_has(&drawn, "the server does not answer");
        buffer_deinit(&drawn.out);
    }
    json_decref(now);
}

static void test_strangers_cannot_move_the_terminal(void **state)
{
    json_t *now = json_loads("{\"version\":\"\\u001b[2J\",\"domains\":[{\"domain\":"
                             "\"x\\u001b]0;y\\u0007\\u009b\",\"tls\":7}],\"roles\":5,"
                             "\"histograms\":[],\"rates\":{\"accepted\":{}},\"numbers\":null}",
                             0, NULL);
    struct screen screen = {.now = now, .width = 80, .height = 24};
    struct drawn drawn;

    (void)state;
    assert_non_null(now);
    draw(&drawn, &screen);
    assert_false(has(&drawn, "\x1b"));
    assert_false(has(&drawn, "\x07"));
    assert_has(&drawn, "?[2J");
    buffer_deinit(&drawn.out);
    json_decref(now);
    screen = (struct screen){.problem_cstr = "no\x1b[1m server", .width = 80, .height = 24};
    draw(&drawn, &screen);
    assert_has(&drawn, " no?[1m server");
    buffer_deinit(&drawn.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_a_screen_has_what_matters),
        cmocka_unit_test(test_it_fits_every_screen),
        cmocka_unit_test(test_strangers_cannot_move_the_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
