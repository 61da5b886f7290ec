/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/render.h"

#include "base/must.h"
#include "base/slice.h"
#include "postern/render_parts.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

enum { CELL_SIZE = 80, TIME_SIZE = RENDER_TIME_SIZE, FACT_WIDTH = 76 };

static const char *text_of(const json_t *object, const char *key_cstr)
{
    const char *text_cstr = json_string_value(json_object_get(object, key_cstr));

    return text_cstr == NULL ? "" : text_cstr;
}

static json_int_t number_of(const json_t *object, const char *key_cstr)
{
    return json_integer_value(json_object_get(object, key_cstr));
}

/* Without control characters, C1 (C2 80 .. C2 9F) included. */
void render_clean(const char *text_cstr, FILE *to)
{
    for (const unsigned char *at = (const unsigned char *)text_cstr; *at != 0; at++) {
        if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) {
            (void)fputc('?', to);
            at++;
        } else {
            (void)fputc(*at < ' ' || *at == 0x7f ? '?' : *at, to);
        }
    }
}

/* "2026-11-22 07:00:01" */
const char *render_time(json_int_t ms, char text_out[TIME_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text_out, TIME_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        text_out[0] = 0;
    return text_out;
}

/* "in 5m", "3h ago", "now" */
void render_distance(json_int_t ms, char *text_out, size_t size)
{
    static const struct {
        json_int_t ms;
        const char *name_cstr;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    struct timespec now;
    json_int_t distance;

    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    distance = ms - ((json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        json_int_t count = (distance < 0 ? -distance : distance) / units[i].ms;

        if (count == 0)
            continue;
        (void)snprintf(text_out, size, distance < 0 ? "%lld%s ago" : "in %lld%s",
                       (long long)count, units[i].name_cstr);
        return;
    }
    (void)snprintf(text_out, size, "now");
}

static void print_size(json_int_t bytes, FILE *to)
{
    if (bytes < 10240)
        (void)fprintf(to, "%lld bytes", (long long)bytes);
    else if (bytes < 10 << 20)
        (void)fprintf(to, "%lld KiB", (long long)(bytes >> 10));
    else
        (void)fprintf(to, "%lld MiB", (long long)(bytes >> 20));
}

/* ---- tables ---- */

static void write_cell(const json_t *row, const struct render_column *column,
                       char text_out[CELL_SIZE])
{
    const json_t *value = json_object_get(row, column->key_cstr);
    char time_cstr[TIME_SIZE];

    text_out[0] = 0;
    if (value == NULL || json_is_null(value))
        (void)snprintf(text_out, CELL_SIZE, "-");
    else if (json_is_boolean(value))
        (void)snprintf(text_out, CELL_SIZE, "%s",
                       json_is_true(value) ? column->title_cstr : "-");
    else if (json_is_string(value))
        (void)snprintf(text_out, CELL_SIZE, "%s", json_string_value(value));
    else if (column->kind == CELL_TIME)
        (void)snprintf(text_out, CELL_SIZE, "%s",
                       render_time(json_integer_value(value), time_cstr));
    else if (column->kind == CELL_DISTANCE)
        render_distance(json_integer_value(value), text_out, CELL_SIZE);
    else
        (void)snprintf(text_out, CELL_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

void render_table(const json_t *rows, const struct render_column *columns, size_t column_count,
                  FILE *to)
{
    size_t widths[12] = {0}, index;
    char cell[CELL_SIZE];
    const json_t *row;

    must(column_count <= COUNT_OF(widths));
    for (size_t i = 0; i < column_count; i++) {
        widths[i] = strlen(columns[i].title_cstr);
        json_array_foreach(rows, index, row)
        {
            write_cell(row, &columns[i], cell);
            widths[i] = strlen(cell) > widths[i] ? strlen(cell) : widths[i];
        }
        (void)fprintf(to, "%-*s%s", i + 1 < column_count ? (int)widths[i] : 0,
                      columns[i].title_cstr, i + 1 < column_count ? "  " : "\n");
    }
    json_array_foreach(rows, index, row)
    {
        for (size_t i = 0; i < column_count; i++) {
            write_cell(row, &columns[i], cell);
            render_clean(cell, to);
            if (i + 1 < column_count)
                (void)fprintf(to, "%*s", (int)(widths[i] - strlen(cell)) + 2, "");
        }
        (void)fputc('\n', to);
    }
}

/* ---- trace ---- */

/* Evidence in the order that a reader follows the connection. The rest comes behind by name. */
static const struct evidence {
    const char *key_cstr, *label_cstr;
} evidence[] = {
    {"method", "method"},
    {"reasons", "why"},
    {"mx", "host"},
    {"address", "address"},
    {"tls", "TLS"},
    {"cipher", "cipher"},
    {"level", "proof"},
    {"row", "table row"},
    {"rule", "decided by"},
    {"policy", "policy"},
    {"mx_proof", "host proved"},
    {"lookups", "look-ups"},
    {"small_hello", "small hello"},
    {"requiretls", "REQUIRETLS"},
    {"unverified_why", "not verified"},
    {"certificate", "certificate"},
    {"names", "names"},
    {"code", "reply code"},
    {"enhanced", "status"},
    {"reply", "reply"},
    {"trail", "trail"},
};

static bool is_known(const char *key_cstr)
{
    for (size_t i = 0; i < COUNT_OF(evidence); i++) {
        if (strcmp(evidence[i].key_cstr, key_cstr) == 0)
            return true;
    }
    return strcmp(key_cstr, "at_ms") == 0 || strcmp(key_cstr, "event") == 0 ||
           strcmp(key_cstr, "reused") == 0;
}

/* Where to break a line of at most FACT_WIDTH bytes: at a blank, or hard when there is none. */
static size_t break_at(struct slice line)
{
    size_t at = FACT_WIDTH;

    if (line.len <= FACT_WIDTH)
        return line.len;
    while (at > 0 && line.at[at] != ' ')
        at--;
    return at == 0 ? FACT_WIDTH : at;
}

/* A long text, or one of several lines, is indented as a whole. */
static void print_fact(const char *label_cstr, const char *text_cstr, FILE *to)
{
    struct slice rest = slice_trim(slice_from_cstr(text_cstr));
    bool is_first = true;

    while (rest.len > 0) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));

        while (line.len > 0) {
            char part_cstr[FACT_WIDTH + 1];
            size_t len = break_at(line);

            must(len <= FACT_WIDTH);
            memcpy(part_cstr, line.at, len);
            part_cstr[len] = 0;
            (void)fprintf(to, "          %-13s ", is_first ? label_cstr : "");
            render_clean(part_cstr, to);
            (void)fputc('\n', to);
            line = slice_trim(slice_from(line, len));
            is_first = false;
        }
    }
}

static void print_value(const char *key_cstr, const char *label_cstr, const json_t *value,
                        FILE *to)
{
    size_t len = strlen(key_cstr);
    char text_cstr[TIME_SIZE + 8];

    if (json_is_string(value)) {
        print_fact(label_cstr, json_string_value(value), to);
        return;
    }
    if (json_is_boolean(value))
        (void)snprintf(text_cstr, sizeof text_cstr, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_integer(value) && len > 3 && strcmp(key_cstr + len - 3, "_ms") == 0)
        (void)render_time(json_integer_value(value), text_cstr);
    else if (json_is_integer(value))
        (void)snprintf(text_cstr, sizeof text_cstr, "%" JSON_INTEGER_FORMAT,
                       json_integer_value(value));
    else
        return;
    print_fact(label_cstr, text_cstr, to);
}

/* The trail of one host says what stands above it anyway. */
static bool has_several_lines(const json_t *text)
{
    struct slice lines = slice_trim(slice_from_cstr(json_string_value(text)));

    return slice_find_byte(lines, '\n') < lines.len;
}

static void print_event(const json_t *event, FILE *to)
{
    char time_cstr[TIME_SIZE];
    const char *key_cstr;
    json_t *value;

    (void)fprintf(to, "      %s  ", render_time(number_of(event, "at_ms"), time_cstr));
    for (const char *at = text_of(event, "event"); *at != 0; at++)
        (void)fputc(*at == '_' ? ' ' : *at, to);
    (void)fputc('\n', to);
    for (size_t i = 0; i < COUNT_OF(evidence); i++) {
        const json_t *fact = json_object_get(event, evidence[i].key_cstr);

        if (strcmp(evidence[i].key_cstr, "trail") != 0 || has_several_lines(fact))
            print_value(evidence[i].key_cstr, evidence[i].label_cstr, fact, to);
    }
    json_object_foreach((json_t *)(uintptr_t)event, key_cstr, value)
    {
        char label_cstr[32];
        struct slice label = slice_from_cstr(key_cstr);

        if (is_known(key_cstr))
            continue;
        if (slice_ends_with_nocase(label, S("_ms")))
            label.len -= 3;
        if (slice_to_cstr(slice_head(label, sizeof label_cstr - 1), label_cstr,
                          sizeof label_cstr))
            print_value(key_cstr, label_cstr, value, to);
    }
}

static void print_events(const json_t *events, FILE *to)
{
    const json_t *event;
    size_t index;

    json_array_foreach(events, index, event) print_event(event, to);
}

/* By which of our addresses it came. */
static void print_via(const json_t *via, FILE *to)
{
    const json_t *address;
    size_t index;

    json_array_foreach(via, index, address) print_fact(
        index == 0 ? "written to" : "and from there to", json_string_value(address), to);
}

static void print_recipient(const json_t *recipient, FILE *to)
{
    char when_cstr[CELL_SIZE];

    (void)fputs("\n  ", to);
    render_clean(text_of(recipient, "address"), to);
    (void)fprintf(to, "   %s", text_of(recipient, "state"));
    if (text_of(recipient, "method")[0] != 0)
        (void)fprintf(to, ", %s%s", text_of(recipient, "method"),
                      json_is_true(json_object_get(recipient, "secure")) ? " (secure)" : "");
    if (json_is_true(json_object_get(recipient, "held")))
        (void)fputs(", held", to);
    if (json_object_get(recipient, "due_ms") != NULL &&
        json_object_get(recipient, "expires_ms") == NULL) {
        render_distance(number_of(recipient, "due_ms"), when_cstr, sizeof when_cstr);
        (void)fprintf(to, ", next %s", when_cstr);
    }
    if (json_object_get(recipient, "expires_ms") != NULL) {
        render_distance(number_of(recipient, "expires_ms"), when_cstr, sizeof when_cstr);
        (void)fprintf(to, ", expires %s", when_cstr);
    }
    (void)fputc('\n', to);
    print_via(json_object_get(recipient, "via"), to);
    print_fact("why", text_of(recipient, "reasons"), to);
    print_events(json_object_get(recipient, "events"), to);
}

static void print_message_head(const json_t *message, FILE *to)
{
    char time_cstr[TIME_SIZE];

    (void)fprintf(to, "Message %s", text_of(message, "message"));
    if (text_of(message, "header_id")[0] != 0) {
        (void)fputs("   <", to);
        render_clean(text_of(message, "header_id"), to);
        (void)fputc('>', to);
    }
    (void)fprintf(to, "\n  %s, %s, ", render_time(number_of(message, "accepted_ms"), time_cstr),
                  text_of(message, "kind"));
    print_size(number_of(message, "bytes"), to);
    /* Who retracts a notice by its own id would be told that it cannot be recalled. */
    if (text_of(message, "about")[0] != 0)
        (void)fprintf(to, ", belongs to message %s", text_of(message, "about"));
    (void)fputs("\n  from ", to);
    render_clean(text_of(message, "from")[0] == 0 ? "<>" : text_of(message, "from"), to);
    if (text_of(message, "account")[0] != 0)
        (void)fprintf(to, " (account %s)", text_of(message, "account"));
    if (text_of(message, "received_by")[0] != 0) {
        (void)fputs(", received by ", to);
        render_clean(text_of(message, "received_by"), to);
    }
    (void)fputc('\n', to);
}

void render_trace(const json_t *messages, FILE *to)
{
    const json_t *message, *recipient;
    size_t i, j;

    json_array_foreach(messages, i, message)
    {
        if (i > 0)
            (void)fputc('\n', to);
        print_message_head(message, to);
        print_events(json_object_get(message, "events"), to);
        json_array_foreach(json_object_get(message, "recipients"), j, recipient)
            print_recipient(recipient, to);
    }
    (void)fputs("\nTimes are UTC.\n", to);
}

/* ---- the others ---- */

void render_queue(const json_t *recipients, FILE *to)
{
    static const struct render_column columns[] = {
        {"message", "message", CELL_TEXT},
        {"address", "recipient", CELL_TEXT},
        {"state", "state", CELL_TEXT},
        {"method", "method", CELL_TEXT},
        {"accepted_ms", "accepted", CELL_DISTANCE},
        {"attempts", "tries", CELL_TEXT},
        {"due_ms", "next", CELL_DISTANCE},
        {"held", "held", CELL_FLAG},
        {"last", "last answer", CELL_TEXT},
    };

    if (json_array_size(recipients) == 0) {
        (void)fputs("Nothing waits.\n", to);
        return;
    }
    render_table(recipients, columns, COUNT_OF(columns), to);
    (void)fprintf(to, "\n%zu recipients wait.\n", json_array_size(recipients));
}

void render_retraction(const json_t *recipients, FILE *to)
{
    const json_t *recipient;
    char time_cstr[TIME_SIZE];
    size_t index;

    json_array_foreach(recipients, index, recipient)
    {
        const char *outcome_cstr = text_of(recipient, "outcome");

        render_clean(text_of(recipient, "address"), to);
        if (strcmp(outcome_cstr, "stopped") == 0)
            (void)fputs("   stopped before reading", to);
        else if (strcmp(outcome_cstr, "ended") == 0)
            (void)fprintf(to, "   access ended; it was read at %s UTC",
                          render_time(number_of(recipient, "read_ms"), time_cstr));
        else if (strcmp(outcome_cstr, "cannot") == 0)
            (void)fputs("   cannot be recalled", to);
        else
            (void)fputs("   had ended before", to);
        if (text_of(recipient, "text")[0] != 0) {
            (void)fputs(": ", to);
            render_clean(text_of(recipient, "text"), to);
        }
        (void)fputc('\n', to);
    }
}

/* What the decision table would say at each host that is known. */
static void render_rows(const json_t *recipient, FILE *to)
{
    const json_t *hosts = json_object_get(recipient, "hosts"), *host;
    size_t index;

    if (text_of(recipient, "sts")[0] != 0) {
        char policy_cstr[80];

        (void)snprintf(policy_cstr, sizeof policy_cstr, "%s, id %s", text_of(recipient, "sts"),
                       text_of(recipient, "sts_id"));
        print_fact("MTA-STS", policy_cstr, to);
    }
    json_array_foreach(hosts, index, host)
    {
        char line_cstr[500];
        bool is_skipped = text_of(host, "why")[0] != 0;
        const char *tlsa_cstr = text_of(host, "tlsa");

        (void)snprintf(line_cstr, sizeof line_cstr,
                       "%s: row %" JSON_INTEGER_FORMAT ", %s: %s%s%s%s", text_of(host, "mx"),
                       json_integer_value(json_object_get(host, "row")), text_of(host, "rule"),
                       is_skipped ? "skipped, " : "demands ",
                       text_of(host, is_skipped ? "why" : "demands"),
                       tlsa_cstr[0] != 0 ? ", TLSA " : "", tlsa_cstr);
        print_fact(index == 0 ? "hosts" : "", line_cstr, to);
    }
}

void render_explanation(const json_t *recipients, FILE *to)
{
    static const struct evidence facts[] = {{"reasons", "why"},
                                            {"rule", "rule"},
                                            {"tls", "domain's TLS"},
                                            {"requirement", "demands"}};
    const json_t *recipient;
    size_t index;

    json_array_foreach(recipients, index, recipient)
    {
        render_clean(text_of(recipient, "address"), to);
        (void)fprintf(to, "   would go by %s%s\n", text_of(recipient, "method"),
                      json_is_true(json_object_get(recipient, "secure")) ? " (secure)" : "");
        for (size_t i = 0; i < COUNT_OF(facts); i++)
            print_value(facts[i].key_cstr, facts[i].label_cstr,
                        json_object_get(recipient, facts[i].key_cstr), to);
        render_rows(recipient, to);
    }
}

void render_routes(const json_t *routes, FILE *to)
{
    static const struct render_column columns[] = {
        {"route", "route", CELL_TEXT},         {"way", "way", CELL_TEXT},
        {"why", "state", CELL_TEXT},           {"since_ms", "since", CELL_DISTANCE},
        {"delivered", "delivered", CELL_TEXT}, {"deferred", "deferred", CELL_TEXT},
        {"failed", "failed", CELL_TEXT},       {"detail", "what it said", CELL_TEXT},
    };

    render_table(routes, columns, COUNT_OF(columns), to);
}

void render_domains(const json_t *domains, FILE *to)
{
    static const struct render_column columns[] = {
        {"domain", "domain", CELL_TEXT},       {"tls", "TLS", CELL_TEXT},
        {"level", "proof", CELL_TEXT},         {"mx", "host", CELL_TEXT},
        {"checked_ms", "seen", CELL_DISTANCE}, {"held", "held", CELL_FLAG},
        {"detail", "detail", CELL_TEXT},
    };

    if (json_array_size(domains) == 0)
        (void)fputs("No domain has been tried yet.\n", to);
    else
        render_table(domains, columns, COUNT_OF(columns), to);
}

void render_sts(const json_t *policies, FILE *to)
{
    static const struct render_column columns[] = {
        {"domain", "domain", CELL_TEXT},
        {"mode", "mode", CELL_TEXT},
        {"id", "id", CELL_TEXT},
        {"fetched_ms", "fetched", CELL_DISTANCE},
        {"expires_ms", "until", CELL_DISTANCE},
        {"state", "state", CELL_TEXT},
        {"announced_id", "announced", CELL_TEXT},
        {"why", "why", CELL_TEXT},
    };
    const json_t *only = json_array_get(policies, 0);
    const char *text_cstr = text_of(only, "text");

    if (json_array_size(policies) == 0)
        (void)fputs("No policy is kept.\n", to);
    else
        render_table(policies, columns, COUNT_OF(columns), to);
    if (*text_cstr != 0)
        (void)fputc('\n', to);
    for (; *text_cstr != 0; text_cstr++)
        if (*text_cstr != '\r')
            (void)fputc(*text_cstr == '\n' || (*text_cstr >= ' ' && *text_cstr <= '~')
                            ? *text_cstr
                            : '?',
                        to);
}
void render_forwards(const json_t *forwards, FILE *to)
{
    static const struct render_column columns[] = {
        {"from", "from", CELL_TEXT},      {"to", "to", CELL_TEXT},
        {"state", "state", CELL_TEXT},    {"tls", "TLS there", CELL_TEXT},
        {"origin", "made by", CELL_TEXT}, {"why", "why", CELL_TEXT},
    };

    if (json_array_size(forwards) == 0)
        (void)fputs("Nothing is forwarded.\n", to);
    else
        render_table(forwards, columns, COUNT_OF(columns), to);
}

void render_forward_change(const json_t *answers, FILE *to)
{
    const json_t *answer = json_array_get(answers, 0);
    json_int_t changed = json_integer_value(json_object_get(answer, "changed"));
    const char *state_cstr = json_string_value(json_object_get(answer, "state"));
    const char *why_cstr = json_string_value(json_object_get(answer, "why"));

    (void)fprintf(to, "%" JSON_INTEGER_FORMAT " forward%s", changed, changed == 1 ? "" : "s");
    if (state_cstr != NULL)
        (void)fprintf(to, ", %s", state_cstr);
    if (why_cstr != NULL && why_cstr[0] != 0)
        (void)fprintf(to, ": %s", why_cstr);
    (void)fputs(".\n", to);
}
