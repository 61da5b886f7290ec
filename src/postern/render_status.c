/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/render.h"

#include "base/must.h"
#include "base/slice.h"
#include "postern/figures.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { DAY_MS = 86400000, CERTIFICATE_ALARM_DAYS = 14 };

/* Words of the log, which may quote strangers: without control characters, on one line. */
static void print_plain(const char *text_cstr, FILE *to)
{
    for (const unsigned char *at = (const unsigned char *)text_cstr; *at != 0; at++)
        (void)fputc(*at < ' ' || *at > '~' ? '?' : *at, to);
}

static void print_head(const json_t *status, FILE *to)
{
    char up_cstr[FIGURE_SIZE];
    int64_t up_ms = figure_number(status, "now_ms") - figure_number(status, "started_ms");

    (void)fprintf(to, "Postern %s, up %s: ", figure_text(status, "version"),
                  figure_span(up_ms, up_cstr));
    if (!json_is_true(json_object_get(status, "serves")))
        (void)fprintf(to, "NOT READY, %s\n\n", figure_text(status, "why"));
    else if (json_is_true(json_object_get(status, "hold_all")))
        (void)fputs("PAUSED (hold_all), takes mail and keeps it\n\n", to);
    else
        (void)fputs("takes mail and carries it\n\n", to);
}

static void print_queue(const json_t *status, FILE *to)
{
    const json_t *states = json_object_get(status, "states"), *value;
    json_int_t late_ms = figure_number(status, "late_ms");
    char late_cstr[FIGURE_SIZE];
    const char *name_cstr;

    (void)fprintf(to,
                  "messages not finished    %" JSON_INTEGER_FORMAT
                  "\nrecipients not finished  %" JSON_INTEGER_FORMAT "\n",
                  figure_number(status, "messages"),
                  figure_number(status, "queue") + figure_number(status, "held"));
    json_object_foreach((json_t *)(uintptr_t)states, name_cstr, value)
    {
        if (json_integer_value(value) != 0)
            (void)fprintf(to, "  %-22s %" JSON_INTEGER_FORMAT "\n", name_cstr,
                          json_integer_value(value));
    }
    (void)fprintf(to,
                  "held by the operator     %" JSON_INTEGER_FORMAT
                  "\nbeing worked on          %" JSON_INTEGER_FORMAT
                  " ready, %" JSON_INTEGER_FORMAT
                  " jobs at couriers\noldest that is due       %s\n",
                  figure_number(status, "held"), figure_number(status, "ready"),
                  figure_number(status, "in_flight"),
                  late_ms < 1000 ? "in time" : figure_span(late_ms, late_cstr));
}

static void print_rates(const json_t *status, FILE *to)
{
    static const char *const names[] = {"accepted", "delivered", "deferred", "failed"};
    const json_t *rates = json_object_get(status, "rates");

    (void)fprintf(to, "\n%-12s%10s%10s%10s\n", "a second", "1 min", "5 min", "15 min");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const json_t *list = json_object_get(rates, names[i]);

        (void)fprintf(to, "%-12s", names[i]);
        for (size_t j = 0; j < 3; j++) {
            char text_cstr[FIGURE_SIZE];

            (void)fprintf(to, "%10s",
                          figure_rate(json_number_value(json_array_get(list, j)), text_cstr));
        }
        (void)fputc('\n', to);
    }
}

static void print_certificate(const json_t *status, const char *use_cstr, FILE *to)
{
    json_int_t end_ms = figure_number(json_object_get(status, "certificates_end_ms"), use_cstr),
               days = (end_ms - figure_number(status, "now_ms")) / DAY_MS;
    time_t seconds = (time_t)(end_ms / 1000);
    char date_cstr[16] = "";
    struct tm parts;

    if (end_ms == 0)
        return;
    if (gmtime_r(&seconds, &parts) != NULL)
        (void)strftime(date_cstr, sizeof date_cstr, "%Y-%m-%d", &parts);
    (void)fprintf(to, "certificate (%-6s)     until %s, %" JSON_INTEGER_FORMAT " days%s\n",
                  use_cstr, date_cstr, days, days < CERTIFICATE_ALARM_DAYS ? " !" : "");
}

static void print_room(const json_t *status, FILE *to)
{
    char free_cstr[FIGURE_SIZE], reserve_cstr[FIGURE_SIZE];
    const json_t *key;
    size_t index;

    (void)fprintf(
        to, "\ndisk                     %s free, %s kept in reserve\n",
        figure_bytes((uint64_t)figure_number(status, "disk_free_bytes"), free_cstr),
        figure_bytes((uint64_t)figure_number(status, "disk_reserve_bytes"), reserve_cstr));
    print_certificate(status, "smtp", to);
    print_certificate(status, "portal", to);
    json_array_foreach(json_object_get(status, "keys"), index, key)
    {
        (void)fprintf(to,
                      "master key %-13" JSON_INTEGER_FORMAT " %" JSON_INTEGER_FORMAT
                      " rows under it\n",
                      figure_number(key, "generation"), figure_number(key, "rows"));
    }
}

/* What somebody should look at: policies kept in force although another one is announced. */
static void print_sts(const json_t *status, FILE *to)
{
    const json_t *sts = json_object_get(status, "sts"), *policy;
    size_t index;

    (void)fprintf(to, "MTA-STS policies         %" JSON_INTEGER_FORMAT " of other domains\n",
                  figure_number(sts, "policies"));
    json_array_foreach(json_object_get(sts, "not_fetched"), index, policy)
    {
        (void)fputs("  ! ", to);
        print_plain(figure_text(policy, "domain"), to);
        (void)fprintf(to, ": policy %s is kept, ", figure_text(policy, "id"));
        if (figure_text(policy, "announced_id")[0] != 0)
            (void)fprintf(to, "%s is announced", figure_text(policy, "announced_id"));
        else
            (void)fputs("it cannot be had anew", to);
        (void)fputs(": ", to);
        print_plain(figure_text(policy, "why"), to);
        (void)fputc('\n', to);
    }
}

/* Likewise: TLS that is gone. */
static void print_lost(const json_t *status, FILE *to)
{
    const json_t *domain;
    size_t index;

    json_array_foreach(json_object_get(status, "tls_lost"), index, domain)
    {
        char since_cstr[FIGURE_SIZE];

        (void)fputs("  ! ", to);
        print_plain(figure_text(domain, "domain"), to);
        (void)fprintf(
            to, ": had TLS again and again, has had none for %s: its mail waits\n",
            figure_span(figure_number(status, "now_ms") - figure_number(domain, "lost_ms"),
                        since_cstr));
    }
}

static void print_roles(const json_t *status, FILE *to)
{
    const json_t *role;
    size_t index;

    (void)fprintf(to, "\n%-13s%8s%10s%10s%10s%10s%8s\n", "role", "process", "up", "restarts",
                  "cpu", "memory", "files");
    json_array_foreach(json_object_get(status, "roles"), index, role)
    {
        char name_cstr[32], up_cstr[FIGURE_SIZE], cpu_cstr[FIGURE_SIZE], rss_cstr[FIGURE_SIZE];
        bool runs = json_is_true(json_object_get(role, "runs"));

        (void)snprintf(name_cstr, sizeof name_cstr, "%s %" JSON_INTEGER_FORMAT,
                       figure_text(role, "role"), figure_number(role, "index"));
        (void)fprintf(
            to,
            "%-13s%8" JSON_INTEGER_FORMAT "%10s%10" JSON_INTEGER_FORMAT
            "%10s%10s%8" JSON_INTEGER_FORMAT "%s\n",
            name_cstr, figure_number(role, "pid"),
            figure_span(figure_number(status, "now_ms") - figure_number(role, "started_ms"),
                        up_cstr),
            figure_number(role, "restarts"),
            figure_span(figure_number(role, "cpu_us") / 1000, cpu_cstr),
            figure_bytes((uint64_t)figure_number(role, "rss_bytes"), rss_cstr),
            figure_number(role, "descriptors"), runs ? "" : "  does not run");
    }
}

/* A line of the log: its time, level, role and event in front, then whatever else it says. */
static void print_trouble(const json_t *trouble, FILE *to)
{
    static const char *const first[] = {"time", "level", "role", "event"};
    const json_t *value;
    const char *name_cstr;

    if (json_is_string(trouble)) { /* the log is written as text */
        print_plain(json_string_value(trouble), to);
        (void)fputc('\n', to);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        print_plain(figure_text(trouble, first[i]), to);
        (void)fputc(' ', to);
    }
    json_object_foreach((json_t *)(uintptr_t)trouble, name_cstr, value)
    {
        bool is_said = strcmp(name_cstr, "pid") == 0;

        for (size_t i = 0; i < COUNT_OF(first); i++)
            is_said = is_said || strcmp(name_cstr, first[i]) == 0;
        if (is_said)
            continue;
        (void)fprintf(to, " %s=", name_cstr);
        if (json_is_string(value))
            print_plain(json_string_value(value), to);
        else
            (void)json_dumpf(value, to, JSON_ENCODE_ANY | JSON_COMPACT);
    }
    (void)fputc('\n', to);
}

/* Nothing of a server that has but the usual way. */
static void print_routes(const json_t *status, FILE *to)
{
    const json_t *routes = json_object_get(status, "routes"), *route;
    size_t index;

    if (json_array_size(routes) < 2)
        return;
    (void)fputc('\n', to);
    json_array_foreach(routes, index, route)
    {
        (void)fprintf(to,
                      "route %-18s %s, %" JSON_INTEGER_FORMAT
                      " delivered, %" JSON_INTEGER_FORMAT " deferred%s\n",
                      figure_text(route, "route"), figure_text(route, "why"),
                      figure_number(route, "delivered"), figure_number(route, "deferred"),
                      json_is_true(json_object_get(route, "works")) ? "" : " !");
    }
}

void render_status(const json_t *answers, FILE *to)
{
    const json_t *status = json_array_get(answers, 0), *trouble;
    const json_t *troubles = json_object_get(status, "troubles");
    size_t index;

    print_head(status, to);
    print_queue(status, to);
    print_rates(status, to);
    print_room(status, to);
    print_sts(status, to);
    print_lost(status, to);
    print_routes(status, to);
    print_roles(status, to);
    if (json_array_size(troubles) > 0)
        (void)fputs("\nlast warnings and errors\n", to);
    json_array_foreach(troubles, index, trouble)
    {
        (void)fputs("  ", to);
        print_trouble(trouble, to);
    }
}
