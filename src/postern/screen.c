/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/screen.h"

#include "base/must.h"
#include "postern/figures.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LINE_SIZE = 512, WIDTH_LEAST = 20 };

/* A screen that is being drawn. */
struct view {
    const struct screen *screen;
    struct buffer *out;
    unsigned rows;
    bool is_full; /* out is */
};

enum style { STYLE_PLAIN, STYLE_HEAD, STYLE_ALARM };

static void put(struct view *view, const char *text_cstr)
{
    if (!buffer_append(view->out, slice_from_cstr(text_cstr)))
        view->is_full = true;
}

/* One line, clean, cut at the screen's width; nothing when the screen is full. */
static void line(struct view *view, enum style style, const char *format_cstr, ...)
    FORMAT_LIKE(3, 4);
static void line(struct view *view, enum style style, const char *format_cstr, ...)
{
    static const char *const begin[] = {
        [STYLE_PLAIN] = "", [STYLE_HEAD] = "\x1b[7m", [STYLE_ALARM] = "\x1b[1m"};
    const struct screen *screen = view->screen;
    unsigned width = screen->width < WIDTH_LEAST ? WIDTH_LEAST : screen->width;
    char text_cstr[LINE_SIZE];
    size_t len;
    va_list args;

    if (view->rows >= screen->height)
        return;
    va_start(args, format_cstr);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start stands above. */
    (void)vsnprintf(text_cstr, sizeof text_cstr, format_cstr, args);
    va_end(args);
    len = strlen(text_cstr);
    for (size_t i = 0; i < len; i++)
        if (text_cstr[i] < ' ' || text_cstr[i] > '~')
            text_cstr[i] = '?';
    while (style == STYLE_HEAD && screen->is_terminal && len < width && len + 1 < LINE_SIZE)
        text_cstr[len++] = ' ';
    text_cstr[len < width ? len : width < LINE_SIZE ? width : LINE_SIZE - 1] = 0;
    /* The new line stands before all but the first, so that the last row does not scroll. */
    if (view->rows > 0)
        put(view, screen->is_terminal ? "\r\n" : "\n");
    if (screen->is_terminal)
        put(view, begin[style]);
    put(view, text_cstr);
    if (screen->is_terminal)
        put(view, style == STYLE_PLAIN ? "\x1b[K" : "\x1b[0m\x1b[K");
    view->rows++;
}

/* ---- what is computed ---- */

static double seconds_between(const struct screen *screen)
{
    json_int_t from_ms = screen->before != NULL ? figure_number(screen->before, "now_ms")
                                                : figure_number(screen->now, "started_ms");
    json_int_t ms = figure_number(screen->now, "now_ms") - from_ms;

    return ms > 0 ? (double)ms / 1000 : 1;
}

static json_int_t number_in(const json_t *answer, const char *name_cstr)
{
    return figure_number(json_object_get(answer, "numbers"), name_cstr);
}

/* A second, since the earlier answer. */
static double rate_of(const struct screen *screen, const char *name_cstr)
{
    json_int_t more = number_in(screen->now, name_cstr) - number_in(screen->before, name_cstr);

    return more > 0 ? (double)more / seconds_between(screen) : 0;
}

static double quantile_of(const struct screen *screen, const char *name_cstr, double part)
{
    struct histogram histogram;

    figure_histogram(json_object_get(json_object_get(screen->now, "histograms"), name_cstr),
                     json_object_get(json_object_get(screen->before, "histograms"), name_cstr),
                     &histogram);
    /* Nothing happened lately: what was since the start says more than nothing. */
    if (histogram_count(&histogram) == 0)
        figure_histogram(json_object_get(json_object_get(screen->now, "histograms"), name_cstr),
                         NULL, &histogram);
    return histogram_quantile(&histogram, part);
}

/* ---- the head ---- */

static void draw_head(struct view *view)
{
    const json_t *now = view->screen->now;
    time_t seconds = (time_t)(figure_number(now, "now_ms") / 1000);
    const char *state_cstr = "ready";
    char up_cstr[FIGURE_SIZE], time_cstr[24] = "", left_cstr[64];
    struct tm parts;

    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(time_cstr, sizeof time_cstr, "%H:%M:%S UTC", &parts);
    if (!json_is_true(json_object_get(now, "serves")))
        state_cstr = figure_text(now, "why");
    else if (json_is_true(json_object_get(now, "hold_all")))
        state_cstr = "PAUSED (hold_all)";
    (void)snprintf(
        left_cstr, sizeof left_cstr, "Postern %s  up %s", figure_text(now, "version"),
        figure_span(figure_number(now, "now_ms") - figure_number(now, "started_ms"), up_cstr));
    line(view, STYLE_HEAD, " %-40s%-24s%13s ", left_cstr, state_cstr, time_cstr);
}

static void draw_queue(struct view *view)
{
    const json_t *now = view->screen->now, *states = json_object_get(now, "states");
    char late_cstr[FIGURE_SIZE], free_cstr[FIGURE_SIZE], bytes_cstr[FIGURE_SIZE];
    json_int_t late_ms = figure_number(now, "late_ms");

    line(view, STYLE_PLAIN,
         " queue    %" JSON_INTEGER_FORMAT " messages, oldest due %s, %" JSON_INTEGER_FORMAT
         " held, disk %s free",
         figure_number(now, "messages"),
         late_ms < 1000 ? "in time" : figure_span(late_ms, late_cstr),
         figure_number(now, "held"),
         figure_bytes((uint64_t)figure_number(now, "disk_free_bytes"), free_cstr));
    line(view, STYLE_PLAIN,
         " to       %" JSON_INTEGER_FORMAT " planned, %" JSON_INTEGER_FORMAT
         " deferred, %" JSON_INTEGER_FORMAT " being told, %" JSON_INTEGER_FORMAT
         " in the portal",
         figure_number(states, "accepted") + figure_number(states, "planned"),
         figure_number(states, "deferred"), figure_number(states, "notifying"),
         figure_number(states, "notified") + figure_number(states, "revealed"));
    line(view, STYLE_PLAIN,
         " now      %" JSON_INTEGER_FORMAT " sessions, %s/s in, %" JSON_INTEGER_FORMAT
         " ready, %" JSON_INTEGER_FORMAT " jobs at couriers, %" JSON_INTEGER_FORMAT " readers",
         number_in(now, "smtp_sessions"),
         figure_bytes((uint64_t)rate_of(view->screen, "smtp_accepted_bytes_total"), bytes_cstr),
         figure_number(now, "ready"), figure_number(now, "in_flight"),
         number_in(now, "portal_connections"));
}

/* ---- rates, left; latencies, right ---- */

static const struct rate_row {
    const char *label_cstr, *name_cstr; /* name: of the counter */
    const char *rate_cstr;              /* of the server's own rates; NULL = it keeps none */
} rate_rows[] = {
    {"accepted", "smtp_messages_accepted_total", "accepted"},
    {"delivered", "deliveries_total{outcome=\"delivered\"}", "delivered"},
    {"deferred", "retries_total", "deferred"},
    {"failed", "deliveries_total{outcome=\"failed\"}", "failed"},
    {"connects", "smtp_connections_total", NULL},
    {"to hosts", "courier_connections_total", NULL},
};

static const struct {
    const char *label_cstr, *name_cstr;
} time_rows[] = {
    {"answer", "smtp_answer_seconds"}, {"commit", "keeper_commit_seconds"},
    {"sync", "content_sync_seconds"},  {"delivery", "courier_delivery_seconds"},
    {"look-up", "dns_lookup_seconds"}, {"loop turn", "loop_turn_seconds"},
};

static void draw_figures(struct view *view)
{
    const struct screen *screen = view->screen;
    const json_t *rates = json_object_get(screen->now, "rates");

    line(view, STYLE_HEAD, " %-9s%8s%8s%8s%8s   %-11s%10s%10s", "a second", "now", "1 min",
         "5 min", "15 min", "latency", "p50", "p99");
    for (size_t i = 0; i < COUNT_OF(rate_rows); i++) {
        const json_t *list = rate_rows[i].rate_cstr == NULL
                                 ? NULL
                                 : json_object_get(rates, rate_rows[i].rate_cstr);
        char now_cstr[FIGURE_SIZE], means[3][FIGURE_SIZE] = {"", "", ""},
                                    half_cstr[FIGURE_SIZE], most_cstr[FIGURE_SIZE];

        for (size_t j = 0; j < 3 && list != NULL; j++)
            (void)figure_rate(json_number_value(json_array_get(list, j)), means[j]);
        line(view, STYLE_PLAIN, " %-9s%8s%8s%8s%8s   %-11s%10s%10s", rate_rows[i].label_cstr,
             figure_rate(rate_of(screen, rate_rows[i].name_cstr), now_cstr), means[0], means[1],
             means[2], time_rows[i].label_cstr,
             figure_time(quantile_of(screen, time_rows[i].name_cstr, 0.5), half_cstr),
             figure_time(quantile_of(screen, time_rows[i].name_cstr, 0.99), most_cstr));
    }
}

/* ---- roles ---- */

struct role_sum {
    const char *name_cstr;
    unsigned count, running;
    double cpu; /* of one core, percent */
    uint64_t rss, pss, descriptors, restarts;
};

static const json_t *same_process(const json_t *roles, json_int_t pid)
{
    const json_t *role;
    size_t index;

    json_array_foreach(roles, index, role)
    {
        if (figure_number(role, "pid") == pid)
            return role;
    }
    return NULL;
}

static void add_role(const struct screen *screen, const json_t *role, struct role_sum *sum)
{
    const json_t *before =
        same_process(json_object_get(screen->before, "roles"), figure_number(role, "pid"));
    json_int_t used_us = figure_number(role, "cpu_us");

    /* A process that is new has used all of its time since the earlier answer. */
    if (screen->before != NULL && before != NULL)
        used_us -= figure_number(before, "cpu_us");
    sum->count++;
    sum->running += json_is_true(json_object_get(role, "runs")) ? 1 : 0;
    sum->cpu += (double)used_us / 10000 / seconds_between(screen);
    sum->rss += (uint64_t)figure_number(role, "rss_bytes");
    sum->pss += (uint64_t)figure_number(role, "pss_bytes");
    sum->descriptors += (uint64_t)figure_number(role, "descriptors");
    sum->restarts += (uint64_t)figure_number(role, "restarts");
}

static void draw_role(struct view *view, const struct role_sum *sum)
{
    char rss_cstr[FIGURE_SIZE], pss_cstr[FIGURE_SIZE];

    if (sum->count == 0)
        return;
    line(view, sum->running < sum->count ? STYLE_ALARM : STYLE_PLAIN,
         " %-11s%5u/%-3u%8.1f%10s%10s%10llu%10llu", sum->name_cstr, sum->running, sum->count,
         sum->cpu, figure_bytes(sum->rss, rss_cstr), figure_bytes(sum->pss, pss_cstr),
         (unsigned long long)sum->descriptors, (unsigned long long)sum->restarts);
}

static void draw_roles(struct view *view)
{
    static const char *const order[] = {"supervisor", "keeper", "smtpd",  "courier",
                                        "scribe",     "portal", "office", "scout"};
    const json_t *roles = json_object_get(view->screen->now, "roles"), *role;
    size_t index;

    line(view, STYLE_HEAD, " %-11s%9s%8s%10s%10s%10s%10s", "role", "running", "cpu %", "memory",
         "own share", "files", "restarts");
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        struct role_sum sum = {.name_cstr = order[i]};

        json_array_foreach(roles, index, role)
        {
            if (strcmp(figure_text(role, "role"), order[i]) == 0)
                add_role(view->screen, role, &sum);
        }
        draw_role(view, &sum);
    }
}

/* ---- domains ---- */

static const json_t *same_domain(const json_t *domains, const char *name_cstr)
{
    const json_t *domain;
    size_t index;

    json_array_foreach(domains, index, domain)
    {
        if (strcmp(figure_text(domain, "domain"), name_cstr) == 0)
            return domain;
    }
    return NULL;
}

static double domain_rate(const struct screen *screen, const json_t *domain,
                          const char *key_cstr)
{
    const json_t *before =
        same_domain(json_object_get(screen->before, "domains"), figure_text(domain, "domain"));
    json_int_t more = figure_number(domain, key_cstr) - figure_number(before, key_cstr);

    return before == NULL || more < 0 ? 0 : (double)more / seconds_between(screen);
}

static void draw_domains(struct view *view)
{
    const json_t *domains = json_object_get(view->screen->now, "domains"), *domain;
    size_t index;

    line(view, STYLE_HEAD, " %-30s%8s%6s%12s%12s%10s", "busiest domains", "ready", "jobs",
         "delivered/s", "deferred/s", "tls");
    json_array_foreach(domains, index, domain)
    {
        char done_cstr[FIGURE_SIZE], later_cstr[FIGURE_SIZE];

        line(view, STYLE_PLAIN,
             " %-30.30s%8" JSON_INTEGER_FORMAT "%6" JSON_INTEGER_FORMAT "%12s%12s%10s",
             figure_text(domain, "domain"), figure_number(domain, "ready"),
             figure_number(domain, "jobs"),
             figure_rate(domain_rate(view->screen, domain, "delivered"), done_cstr),
             figure_rate(domain_rate(view->screen, domain, "deferred"), later_cstr),
             json_is_true(json_object_get(domain, "held")) ? "held"
                                                           : figure_text(domain, "tls"));
    }
}

bool screen_draw(const struct screen *screen, struct buffer *out)
{
    struct view view = {.screen = screen, .out = out};

    if (screen->is_terminal)
        put(&view, "\x1b[H");
    if (screen->now == NULL) {
        line(&view, STYLE_HEAD, " Postern");
    } else {
        draw_head(&view);
        draw_queue(&view);
        draw_figures(&view);
        draw_roles(&view);
        draw_domains(&view);
    }
    /* Over the last row when there is none left: it must be seen. */
    if (screen->problem_cstr != NULL) {
        if (view.rows >= screen->height && screen->is_terminal) {
            put(&view, "\r");
            view.rows = 0;
        }
        line(&view, STYLE_ALARM, " %s", screen->problem_cstr);
    }
    put(&view, screen->is_terminal ? "\x1b[J" : "\n");
    return !view.is_full;
}
