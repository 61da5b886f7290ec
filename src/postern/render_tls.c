/* SPDX-License-Identifier: Apache-2.0 */
/* The board of domains' TLS for people: at most 110 columns, what needs more is below the table. */
#include "postern/render.h"

#include "base/must.h"
#include "postern/render_parts.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { NARROW = 78, DISTANCE_SIZE = 32 };

static const char *text_of(const json_t *object, const char *key_cstr)
{
    const char *text_cstr = json_string_value(json_object_get(object, key_cstr));

    return text_cstr == NULL ? "" : text_cstr;
}

static json_int_t number_of(const json_t *object, const char *key_cstr)
{
    return json_integer_value(json_object_get(object, key_cstr));
}

static bool is_true(const json_t *object, const char *key_cstr)
{
    return json_is_true(json_object_get(object, key_cstr));
}

/* ---- lines of facts ---- */

static void begin_fact(const char *label_cstr, FILE *to)
{
    (void)fprintf(to, "  %-13s ", label_cstr);
}

/* Long texts go on below, broken between words. */
static void print_fact(const char *label_cstr, const char *text_cstr, FILE *to)
{
    char line_cstr[NARROW + 1];

    if (text_cstr[0] == '\0')
        return;
    for (bool is_first = true; *text_cstr != '\0'; is_first = false) {
        size_t len = strlen(text_cstr), newline = strcspn(text_cstr, "\n");

        if (len > NARROW)
            for (len = NARROW; len > NARROW / 2 && text_cstr[len] != ' '; len--)
                ;
        if (len == NARROW / 2)
            len = NARROW;
        if (newline < len)
            len = newline;
        memcpy(line_cstr, text_cstr, len);
        line_cstr[len] = '\0';
        begin_fact(is_first ? label_cstr : "", to);
        render_clean(line_cstr, to);
        (void)fputc('\n', to);
        text_cstr += len;
        text_cstr += strspn(text_cstr, " \n");
    }
}

static void print_moment(const char *label_cstr, json_int_t ms, FILE *to)
{
    char time_cstr[RENDER_TIME_SIZE], distance_cstr[DISTANCE_SIZE];

    if (ms == 0)
        return;
    render_distance(ms, distance_cstr, sizeof distance_cstr);
    begin_fact(label_cstr, to);
    (void)fprintf(to, "%s UTC (%s)\n", render_time(ms, time_cstr), distance_cstr);
}

/* ---- one domain ---- */

static void print_domain(const json_t *domain, FILE *to)
{
    const json_t *test = json_object_get(domain, "last_test");
    char text_cstr[200];

    render_clean(text_of(domain, "domain"), to);
    (void)fprintf(to, ": %s\n\n", text_of(domain, "verdict"));
    print_moment("since", number_of(domain, "since_ms"), to);
    print_moment("tested", number_of(domain, "tested_ms"), to);
    print_moment("worse since", number_of(domain, "worse_ms"), to);
    print_moment("next test", number_of(domain, "due_ms"), to);
    if (test != NULL && strcmp(text_of(test, "found"), text_of(domain, "verdict")) != 0)
        print_fact("last test", text_of(test, "found"), to);
    print_fact("why", text_of(test, "why"), to);
    if (test != NULL) {
        print_fact("MX records", is_true(test, "mx_secure") ? "signed (DNSSEC)" : "not signed",
                   to);
        (void)snprintf(text_cstr, sizeof text_cstr, "%s%s%.100s", text_of(test, "sts"),
                       text_of(test, "sts_id")[0] != '\0' ? ", id " : "",
                       text_of(test, "sts_id"));
        print_fact("MTA-STS", text_cstr, to);
    }
    if (json_object_get(domain, "tls") != NULL) {
        (void)snprintf(text_cstr, sizeof text_cstr, "%s, last seen: %s", text_of(domain, "tls"),
                       text_of(domain, "level"));
        print_fact("from mail", text_cstr, to);
    }
    if (number_of(domain, "times_seen") > 0) {
        (void)snprintf(text_cstr, sizeof text_cstr, "%s; seen with TLS %lld time%s in 30 days",
                       is_true(domain, "ratcheted") ? "yes, nothing goes to it in the clear"
                                                    : "not yet",
                       (long long)number_of(domain, "times_seen"),
                       number_of(domain, "times_seen") == 1 ? "" : "s");
        print_fact("ratchet", text_cstr, to);
    }
    print_moment("TLS lost", number_of(domain, "lost_ms"), to);
    if (is_true(domain, "forced"))
        print_fact("forced", "on the system-wide list", to);
    if (is_true(domain, "excepted"))
        print_fact("exception", "what it publishes does not count for ordinary mail now", to);
}

static json_t *host_row(const json_t *host)
{
    json_t *row = json_copy((json_t *)(uintptr_t)host);
    bool was_reached = is_true(host, "reached");

    json_object_set_new(row, "starttls",
                        json_string(!was_reached                ? "?"
                                    : is_true(host, "starttls") ? "yes"
                                                                : "no"));
    json_object_set_new(row, "reached", json_string(was_reached ? "yes" : "no"));
    json_object_set_new(row, "requiretls",
                        json_string(is_true(host, "requiretls") ? "yes" : "-"));
    json_object_set_new(row, "webpki",
                        json_string(text_of(host, "tls")[0] == '\0' ? "-"
                                    : is_true(host, "webpki")       ? "valid"
                                                                    : "no"));
    if (!was_reached)
        json_object_set_new(row, "level", json_string("-"));
    return row;
}

static void print_hosts(const json_t *hosts, FILE *to)
{
    static const struct render_column columns[] = {
        {"preference", "pref", CELL_TEXT},       {"mx", "host", CELL_TEXT},
        {"address", "address", CELL_TEXT},       {"reached", "reached", CELL_TEXT},
        {"starttls", "STARTTLS", CELL_TEXT},     {"tls", "TLS", CELL_TEXT},
        {"webpki", "WebPKI", CELL_TEXT},         {"dane", "DANE", CELL_TEXT},
        {"requiretls", "REQUIRETLS", CELL_TEXT}, {"level", "proof", CELL_TEXT},
    };
    json_t *rows = json_array();
    const json_t *host;
    size_t index;

    json_array_foreach(hosts, index, host) json_array_append_new(rows, host_row(host));
    render_table(rows, columns, COUNT_OF(columns), to);
    json_decref(rows);
}

static void print_host(const json_t *host, FILE *to)
{
    char text_cstr[400];

    (void)fputc('\n', to);
    render_clean(text_of(host, "mx"), to);
    (void)fputs(" [", to);
    render_clean(text_of(host, "address"), to);
    (void)fputs("]\n", to);
    if (text_of(host, "tls")[0] != '\0') {
        (void)snprintf(text_cstr, sizeof text_cstr, "%s, %s%s%s", text_of(host, "tls"),
                       text_of(host, "cipher"),
                       text_of(host, "group")[0] != '\0' ? ", key " : "",
                       text_of(host, "group"));
        print_fact("TLS", text_cstr, to);
    }
    print_fact("certificate", text_of(host, "names"), to);
    print_fact("issuer", text_of(host, "issuer"), to);
    print_moment("until", number_of(host, "not_after_ms"), to);
    print_fact("SHA-256", text_of(host, "certificate"), to);
    print_fact("policy", text_of(host, "tlsa"), to);
    if (strcmp(text_of(host, "mx_proof"), "none") != 0)
        print_fact("name proved by", text_of(host, "mx_proof"), to);
    if (is_true(host, "small_hello"))
        print_fact("hello", "only a small ClientHello gets through", to);
    print_fact("but", text_of(host, "why"), to);
}

static void print_changes(const json_t *changes, FILE *to)
{
    static const struct render_column columns[] = {
        {"at_ms", "changed", CELL_TIME},
        {"before", "from", CELL_TEXT},
        {"after", "to", CELL_TEXT},
        {"why", "why", CELL_TEXT},
    };

    if (json_array_size(changes) == 0)
        return;
    (void)fputc('\n', to);
    render_table(changes, columns, COUNT_OF(columns), to);
}

void render_tls_domain(const json_t *answers, FILE *to)
{
    const json_t *domain = json_array_get(answers, 0);
    const json_t *test = json_object_get(domain, "last_test");
    const json_t *hosts = json_object_get(test, "hosts"), *host;
    size_t index;

    print_domain(domain, to);
    if (number_of(domain, "tested_ms") == 0)
        (void)fputs("  It has not been tested yet: postern tls test DOMAIN.\n", to);
    if (json_array_size(hosts) > 0) {
        (void)fputc('\n', to);
        print_hosts(hosts, to);
    }
    json_array_foreach(hosts, index, host) print_host(host, to);
    print_changes(json_object_get(domain, "changes"), to);
}

/* ---- all domains ---- */

/* Features as words that fit into a column. */
static json_t *list_row(const json_t *domain)
{
    static const struct {
        const char *name_cstr, *short_cstr;
    } shorts[] = {{"tls_1_3", "1.3"},         {"webpki", "webpki"},
                  {"dane", "dane"},           {"requiretls", "requiretls"},
                  {"sts_enforce", "sts"},     {"sts_testing", "sts-testing"},
                  {"signed_mx", "signed-mx"}, {"mixed", "mixed"}};
    const json_t *features = json_object_get(domain, "features"), *feature;
    json_t *row = json_copy((json_t *)(uintptr_t)domain);
    char text_cstr[120] = "";
    size_t index;

    json_array_foreach(features, index,
                       feature) for (size_t i = 0; i < COUNT_OF(shorts);
                                     i++) if (strcmp(json_string_value(feature),
                                                     shorts[i].name_cstr) == 0)(void)
        snprintf(text_cstr + strlen(text_cstr), sizeof text_cstr - strlen(text_cstr), "%s%s",
                 text_cstr[0] == '\0' ? "" : " ", shorts[i].short_cstr);
    json_object_set_new(row, "features", json_string(text_cstr[0] == '\0' ? "-" : text_cstr));
    return row;
}

void render_tls_list(const json_t *domains, FILE *to)
{
    static const struct render_column columns[] = {
        {"domain", "domain", CELL_TEXT},      {"verdict", "verdict", CELL_TEXT},
        {"since_ms", "since", CELL_DISTANCE}, {"tested_ms", "tested", CELL_DISTANCE},
        {"due_ms", "next", CELL_DISTANCE},    {"features", "every host has", CELL_TEXT},
    };
    json_t *rows = json_array();
    const json_t *domain;
    size_t index;

    json_array_foreach(domains, index, domain) json_array_append_new(rows, list_row(domain));
    render_table(rows, columns, COUNT_OF(columns), to);
    json_decref(rows);
}

/* ---- the report ---- */

static void print_share(const char *label_cstr, json_int_t count, json_int_t of, FILE *to)
{
    (void)fprintf(to, "  %-34s %9lld  %5.1f %%\n", label_cstr, (long long)count,
                  of == 0 ? 0.0 : 100.0 * (double)count / (double)of);
}

void render_tls_report(const json_t *answers, FILE *to)
{
    static const struct {
        const char *key_cstr, *words_cstr;
    } features[] = {
        {"starttls", "STARTTLS"},
        {"tls_1_3", "TLS 1.3"},
        {"webpki", "certificates valid (WebPKI)"},
        {"dane", "DANE"},
        {"signed_mx", "signed MX records"},
        {"sts_enforce", "MTA-STS enforced"},
        {"sts_testing", "MTA-STS in testing"},
        {"requiretls", "REQUIRETLS"},
        {"mixed", "hosts that differ"},
    };
    static const char *const verdicts[] = {"dane",      "verified", "encrypted", "no TLS",
                                           "unreached", "no mail",  "unknown"};
    const json_t *report = json_array_get(answers, 0);
    json_int_t tested = number_of(report, "tested");

    (void)fprintf(to, "%lld domains known, %lld tested.\n\nVerdict\n",
                  (long long)number_of(report, "domains"), (long long)tested);
    for (size_t i = 0; i < COUNT_OF(verdicts); i++)
        print_share(verdicts[i], number_of(json_object_get(report, "verdicts"), verdicts[i]),
                    number_of(report, "domains"), to);
    (void)fputs("\nEvery host that was reached has\n", to);
    for (size_t i = 0; i < COUNT_OF(features); i++)
        print_share(features[i].words_cstr,
                    number_of(json_object_get(report, "features"), features[i].key_cstr),
                    tested, to);
}
