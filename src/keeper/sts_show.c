/* SPDX-License-Identifier: Apache-2.0 */
/* What people are told of published policies: `sts`, and their part of `status`. */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/sts.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 20, SLICE_ROWS = 100 };

static const char *mode_name(enum sts_state mode)
{
    switch (mode) {
    case STS_NONE:
        return "none";
    case STS_TESTING:
        return "testing";
    case STS_ENFORCE:
    case STS_KEPT:
    case STS_UNFETCHED:
    case STS_COUNT:
        break;
    }
    return "enforce";
}

static const char *stand_of(const struct store_sts *row, int64_t now_ms)
{
    if (now_ms >= row->expires_ms)
        return "expired";
    if (row->failing_ms != 0)
        return row->announced_cstr[0] != '\0'
                   ? "kept: another one is announced and cannot be had"
                   : "kept: it cannot be had anew";
    return row->gone_ms != 0 ? "kept: nothing is announced any more" : "announced";
}

static json_t *object_of(const char *domain_cstr, const struct store_sts *row, int64_t now_ms)
{
    json_t *object =
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "domain", domain_cstr, "mode",
                  mode_name(row->mode), "id", row->id_cstr, "state", stand_of(row, now_ms),
                  "max_age_s", (json_int_t)row->max_age_s, "fetched_ms",
                  (json_int_t)row->fetched_ms, "expires_ms", (json_int_t)row->expires_ms);
    struct slice rest = row->mx;
    json_t *mx = json_array();

    must(object != NULL);
    while (rest.len > 0)
        json_array_append_new(mx, control_text(slice_cut(&rest, '\n')));
    json_object_set_new(object, "mx", mx);
    control_set_number(object, "refresh_ms", row->refresh_ms);
    control_set_number(object, "gone_ms", row->gone_ms);
    control_set_number(object, "failing_ms", row->failing_ms);
    control_set_text(object, "announced_id", slice_from_cstr(row->announced_cstr));
    control_set_text(object, "why", slice_from_cstr(row->why_cstr));
    if (sts_is_alarming(row, now_ms))
        json_object_set_new(object, "alarm", json_true());
    return object;
}

json_t *sts_status(struct keeper *keeper)
{
    uint64_t domains[SHOWN_MAX];
    int64_t now_ms = clock_unix_ms();
    size_t count =
        store_sts_failing(keeper->store, now_ms, now_ms - STS_QUIET_MS, domains, SHOWN_MAX);
    json_t *list = json_array();
    struct buffer texts;
    struct store_sts row;

    buffer_init(&texts, STORE_STS_TEXTS_MAX_BYTES);
    for (size_t i = 0; i < count; i++) {
        const struct domain *domain = domain_get(keeper, domains[i]);

        if (domain != NULL && store_sts_get(keeper->store, domains[i], &row, &texts))
            json_array_append_new(list, object_of(domain->row.name_cstr, &row, now_ms));
    }
    buffer_deinit(&texts);
    return json_pack("{s:I,s:I,s:o}", "policies", (json_int_t)stats.numbers[STAT_STS_POLICIES],
                     "waiting", (json_int_t)keeper->sts.asked, "not_fetched", list);
}

/* ---- all of them, or one with its text ---- */

struct walk {
    char after_cstr[STORE_DOMAIN_SIZE];
};

static bool step(struct control_output *output, void *state)
{
    struct walk *walk = state;
    struct keeper *keeper = output->keeper;
    int64_t now_ms = clock_unix_ms();
    struct buffer texts;
    struct store_sts row;
    bool goes_on = true;

    buffer_init(&texts, STORE_STS_TEXTS_MAX_BYTES);
    for (size_t i = 0; i < SLICE_ROWS && goes_on; i++) {
        goes_on =
            store_sts_next(keeper->store, walk->after_cstr, walk->after_cstr, &row, &texts);
        if (goes_on)
            control_line(output, object_of(walk->after_cstr, &row, now_ms));
    }
    buffer_deinit(&texts);
    return goes_on;
}

static void answer_one(struct control_output *output, struct slice name)
{
    struct keeper *keeper = output->keeper;
    const struct domain *domain = domain_find(keeper, name);
    struct buffer texts;
    struct store_sts row;

    buffer_init(&texts, STORE_STS_TEXTS_MAX_BYTES);
    if (domain != NULL && store_sts_get(keeper->store, domain->row.id, &row, &texts)) {
        json_t *object = object_of(domain->row.name_cstr, &row, clock_unix_ms());

        control_set_text(object, "text", row.text);
        control_line(output, object);
    }
    buffer_deinit(&texts);
}

void sts_answer(struct control_output *output, const json_t *request)
{
    struct slice name = control_member(request, "domain");
    struct walk *walk;

    if (name.len > 0) {
        answer_one(output, name);
        return;
    }
    walk = calloc(1, sizeof *walk);
    must(walk != NULL);
    control_continue(output, step, walk);
}
