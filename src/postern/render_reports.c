/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"
#include "postern/render.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { SHOWN_MAX = 200 };

/* Without control characters: strangers wrote it, and they could move a terminal. */
static void print_text(const json_t *object, const char *key_cstr, FILE *to)
{
    const char *text_cstr = json_string_value(json_object_get(object, key_cstr));
    size_t len = 0;

    for (const unsigned char *at = (const unsigned char *)(text_cstr == NULL ? "-" : text_cstr);
         *at != 0 && len < SHOWN_MAX; at++, len++) {
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
            (void)fputc('?', to);
            at++;
        } else {
            (void)fputc(*at < ' ' || *at == 0x7f ? '?' : *at, to);
        }
    }
}

static json_int_t number_of(const json_t *object, const char *key_cstr)
{
    return json_integer_value(json_object_get(object, key_cstr));
}

static void print_sums(const json_t *sums, FILE *to)
{
    const json_t *failure;
    size_t index;

    print_text(sums, "day", to);
    (void)fputs("  ", to);
    print_text(sums, "domain", to);
    (void)fputs("  by ", to);
    print_text(sums, "organisation", to);
    (void)fputs("  policy ", to);
    print_text(sums, "policy", to);
    (void)fprintf(to, ": %" JSON_INTEGER_FORMAT " good, %" JSON_INTEGER_FORMAT " failed\n",
                  number_of(sums, "successful"), number_of(sums, "failed"));
    json_array_foreach(json_object_get(sums, "failures"), index, failure)
    {
        (void)fprintf(to, "    %8" JSON_INTEGER_FORMAT "  ", number_of(failure, "sessions"));
        print_text(failure, "result", to);
        if (json_object_get(failure, "mx") != NULL) {
            (void)fputs("  at ", to);
            print_text(failure, "mx", to);
        }
        (void)fputc('\n', to);
    }
}

static void print_unread(const json_t *report, FILE *to)
{
    time_t seconds = (time_t)(number_of(report, "received_ms") / 1000);
    char time_cstr[32];
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(time_cstr, sizeof time_cstr, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        time_cstr[0] = '\0';
    (void)fprintf(to, "%s  not counted: ", time_cstr);
    print_text(report, "unreadable", to);
    if (json_object_get(report, "organisation") != NULL) {
        (void)fputs("  by ", to);
        print_text(report, "organisation", to);
    }
    (void)fputs("  (message ", to);
    print_text(report, "message", to);
    (void)fputs(")\n", to);
}

void render_tls_reports(const json_t *answers, FILE *to)
{
    const json_t *answer;
    size_t index;

    json_array_foreach(answers, index, answer)
    {
        if (json_object_get(answer, "unreadable") != NULL)
            print_unread(answer, to);
        else
            print_sums(answer, to);
    }
}
