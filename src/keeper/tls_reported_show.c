/* SPDX-License-Identifier: Apache-2.0 */
/* `postern tls reports`: what others say about TLS with our domains. */
#include "keeper/internal.h"
#include "keeper/tls_reported.h"
#include "policy/tls_report.h"
#include "store/tls_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLICE_ROWS = 200, NAME_SIZE = 800, DAY_TEXT_SIZE = 16, TEXTS_MAX_BYTES = 16 << 10 };

/* Where the walk stands: the last row that was told. One malloc: see control_continue. */
struct walk {
    bool has_begun;
    int64_t day;
    enum tls_report_policy policy;
    char wanted_cstr[STORE_DOMAIN_SIZE], domain_cstr[STORE_DOMAIN_SIZE];
    char organisation_cstr[NAME_SIZE], result_cstr[NAME_SIZE], mx_cstr[NAME_SIZE];
};

static void keep(struct slice text, char *out_cstr, size_t size)
{
    if (!slice_to_cstr(slice_head(text, size - 1), out_cstr, size))
        out_cstr[0] = '\0';
}

static void remember(struct walk *walk, const struct store_tls_sum *row)
{
    walk->has_begun = true;
    walk->day = row->day;
    walk->policy = row->policy;
    keep(row->domain, walk->domain_cstr, sizeof walk->domain_cstr);
    keep(row->organisation, walk->organisation_cstr, sizeof walk->organisation_cstr);
    keep(row->result, walk->result_cstr, sizeof walk->result_cstr);
    keep(row->mx, walk->mx_cstr, sizeof walk->mx_cstr);
}

static struct store_tls_sum recall(const struct walk *walk)
{
    return (struct store_tls_sum){.day = walk->day,
                                  .policy = walk->policy,
                                  .domain = slice_from_cstr(walk->domain_cstr),
                                  .organisation = slice_from_cstr(walk->organisation_cstr),
                                  .result = slice_from_cstr(walk->result_cstr),
                                  .mx = slice_from_cstr(walk->mx_cstr)};
}

static void write_day(int64_t day, char text_out[DAY_TEXT_SIZE])
{
    time_t seconds = (time_t)(day * 24 * 3600);
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text_out, DAY_TEXT_SIZE, "%Y-%m-%d", &parts) == 0)
        text_out[0] = '\0';
}

/* One line: a day, who says so, about which domain and policy. */
struct group {
    json_t *object, *failures;
    json_int_t well, badly;
};

static bool belongs(const struct walk *walk, const struct group *group,
                    const struct store_tls_sum *row)
{
    return group->object != NULL && row->day == walk->day && row->policy == walk->policy &&
           slice_equal(row->domain, slice_from_cstr(walk->domain_cstr)) &&
           slice_equal(row->organisation, slice_from_cstr(walk->organisation_cstr));
}

static void group_end(struct control_output *output, struct group *group)
{
    if (group->object == NULL)
        return;
    json_object_set_new(group->object, "successful", json_integer(group->well));
    json_object_set_new(group->object, "failed", json_integer(group->badly));
    json_object_set_new(group->object, "failures", group->failures);
    control_line(output, group->object);
    *group = (struct group){.object = NULL};
}

static void group_begin(struct group *group, const struct store_tls_sum *row)
{
    char day_cstr[DAY_TEXT_SIZE];

    write_day(row->day, day_cstr);
    group->object =
        json_pack("{s:s,s:s}", "day", day_cstr, "policy", tls_report_policy_name(row->policy));
    must(group->object != NULL);
    json_object_set_new(group->object, "domain", control_text(row->domain));
    json_object_set_new(group->object, "organisation", control_text(row->organisation));
    group->failures = json_array();
}

static void group_add(struct group *group, const struct store_tls_sum *row)
{
    json_t *failure;

    if (row->result.len == 0) {
        group->well += (json_int_t)row->sessions;
        return;
    }
    group->badly += (json_int_t)row->sessions;
    failure = json_object();
    json_object_set_new(failure, "result", control_text(row->result));
    control_set_text(failure, "mx", row->mx);
    json_object_set_new(failure, "sessions", json_integer((json_int_t)row->sessions));
    json_array_append_new(group->failures, failure);
}

/* ---- those that could not be read ---- */

static void tell_unread(struct control_output *output)
{
    struct store_tls_reported row = {.id = INT64_MAX};
    struct buffer texts;
    size_t told = 0;

    buffer_init(&texts, TEXTS_MAX_BYTES);
    for (size_t i = 0; i < (size_t)10 * TLS_REPORTED_SHOWN && told < TLS_REPORTED_SHOWN &&
                       store_tls_reported_next(output->keeper->store, row.id, &row, &texts);
         i++) {
        json_t *object;

        if (row.is_read)
            continue;
        object = json_pack("{s:o,s:I,s:o}", "unreadable", control_text(row.why), "received_ms",
                           (json_int_t)row.received_ms, "message", control_id(row.id));
        control_set_text(object, "organisation", row.organisation);
        control_set_text(object, "signer", row.signer);
        control_line(output, object);
        told++;
    }
    buffer_deinit(&texts);
}

/* ---- in slices ---- */

static bool tell_sums(struct control_output *output, struct walk *walk, struct buffer texts[2])
{
    struct store_tls_sum row = recall(walk);
    struct group group = {.object = NULL};
    size_t count = 0;

    while (store_tls_sum_next(output->keeper->store, !walk->has_begun,
                              slice_from_cstr(walk->wanted_cstr), &row, texts)) {
        if (!belongs(walk, &group, &row)) {
            group_end(output, &group);
            if (count >= SLICE_ROWS)
                return true; /* a line is not cut: the walk goes on with this row */
            group_begin(&group, &row);
        }
        group_add(&group, &row);
        remember(walk, &row);
        count++;
    }
    group_end(output, &group);
    return false;
}

static bool step(struct control_output *output, void *state)
{
    struct walk *walk = state;
    struct buffer texts[2];
    bool goes_on;

    buffer_init(&texts[0], TEXTS_MAX_BYTES);
    buffer_init(&texts[1], TEXTS_MAX_BYTES);
    goes_on = tell_sums(output, walk, texts);
    if (!goes_on && walk->wanted_cstr[0] == '\0')
        tell_unread(output);
    buffer_deinit(&texts[0]);
    buffer_deinit(&texts[1]);
    return goes_on;
}

void tls_reported_answer(struct control_output *output, const json_t *request)
{
    struct slice name = control_member(request, "domain");
    struct walk *walk = calloc(1, sizeof *walk);

    must(walk != NULL);
    if (!slice_to_cstr(name, walk->wanted_cstr, sizeof walk->wanted_cstr)) {
        control_error(output, "this is no domain");
        free(walk);
        return;
    }
    for (char *at = walk->wanted_cstr; *at != '\0'; at++)
        *at = (char)byte_lower((uint8_t)*at);
    control_continue(output, step, walk);
}
