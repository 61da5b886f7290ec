/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"
#include "keeper/silence.h"
#include "keeper/story.h"

#include <string.h>

enum { LIST_MAX = 10000, PAGE = 500 };

/* Rows that carry mail (not those that wait for a reader). */
#define WAITING_STATES (1U << STATE_ACCEPTED | 1U << STATE_PLANNED | 1U << STATE_DEFERRED)

static bool is_waiting(const struct store_recipient *row)
{
    return (WAITING_STATES >> row->state & 1) != 0;
}

/* ---- list ---- */

/* The last thing that an attempt said. */
static void set_last(struct keeper *keeper, json_t *object, const struct store_due *due)
{
    static const uint64_t kinds = 1U << EVENT_DEFERRED | 1U << EVENT_NOT_PROVED;
    struct store_event event;

    if (store_event_last(keeper->store, due->message, (int64_t)due->number, kinds, &event))
        control_set_text(object, "last",
                         event.texts[11].len > 0 ? event.texts[11] : event.texts[12]);
}

static bool list_row(struct control_output *output, const struct store_due *due)
{
    struct keeper *keeper = output->keeper;
    struct store_message message;
    struct store_recipient row;
    struct domain *domain;
    json_t *object;

    if (!store_message_get(keeper->store, due->message, &message) ||
        !store_recipient_get(keeper->store, due->message, due->number, &row) ||
        !is_waiting(&row))
        return false;
    object =
        json_pack("{s:o,s:I,s:s,s:s,s:I,s:b,s:I}", "message", control_id(due->message),
                  "number", (json_int_t)due->number, "state",
                  schedule_is_working(keeper, due->message, due->number)
                      ? "sending"
                      : state_name((enum recipient_state)row.state),
                  "method", method_name(row.method), "attempts", (json_int_t)row.attempts,
                  "held", (int)row.is_held, "accepted_ms", (json_int_t)message.accepted_ms);
    control_set_text(object, "header_id", message.header_id);
    control_set_text(object, "address", store_address_get(keeper->store, row.address));
    domain = domain_get(keeper, row.domain);
    if (domain != NULL)
        control_set_text(object, "domain", slice_from_cstr(domain->row.name_cstr));
    if (row.due_ms != RECIPIENT_NOT_DUE)
        control_set_number(object, "due_ms", row.due_ms);
    if (row.attempts > 0)
        set_last(keeper, object, due);
    control_line(output, object);
    return true;
}

struct queue_filter {
    uint64_t domain, message; /* 0 = any */
};

/* False: the request names something that does not exist; the error is written. */
static bool read_filter(struct control_output *output, const json_t *request,
                        struct queue_filter *filter_out)
{
    struct slice name = control_member(request, "domain");
    struct domain *domain;

    *filter_out = (struct queue_filter){0};
    if (control_member(request, "message").len > 0) {
        filter_out->message = control_find_message(output, request);
        return filter_out->message != 0;
    }
    if (name.len == 0)
        return true;
    domain = domain_find(output->keeper, name);
    if (domain == NULL) {
        control_error(output, "no mail was ever sent to this domain");
        return false;
    }
    filter_out->domain = domain->row.id;
    return true;
}

static bool fits(const struct queue_filter *filter, const struct store_due *due)
{
    return (filter->domain == 0 || filter->domain == due->domain) &&
           (filter->message == 0 || filter->message == due->message);
}

void queue_answer(struct control_output *output, const json_t *request)
{
    struct store *store = output->keeper->store;
    struct store_due page[PAGE], after = {0};
    struct queue_filter filter;
    size_t listed = 0, count;

    if (!read_filter(output, request, &filter))
        return;
    for (int is_held = 0; is_held < 2; is_held++) {
        after = (struct store_due){0};
        while (listed < LIST_MAX && !control_is_lost(output) &&
               (count = is_held
                            ? store_recipient_held(store, &after, page, PAGE)
                            : store_recipient_due(store, &after, INT64_MAX, page, PAGE)) > 0) {
            for (size_t i = 0; i < count && listed < LIST_MAX; i++)
                listed += fits(&filter, &page[i]) && list_row(output, &page[i]) ? 1 : 0;
            after = page[count - 1];
        }
    }
}

/* ---- changes ---- */

typedef bool change_fn(struct keeper *keeper, const struct store_message *message,
                       struct store_recipient *row);

static bool hold_row(struct keeper *keeper, const struct store_message *message,
                     struct store_recipient *row)
{
    (void)message;
    if (row->is_held || !is_waiting(row) || row->owes != 0)
        return false;
    row->is_held = true;
    row->due_ms = RECIPIENT_NOT_DUE;
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_HELD, NULL, 0);
    store_recipient_update(keeper->store, row);
    results_settle(keeper, row);
    return true;
}

static bool release_row(struct keeper *keeper, const struct store_message *message,
                        struct store_recipient *row)
{
    (void)message;
    if (!row->is_held)
        return false;
    row->is_held = false;
    row->due_ms = schedule_stamp(keeper, clock_unix_ms());
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_RELEASED, NULL, 0);
    store_recipient_update(keeper->store, row);
    results_settle(keeper, row);
    return true;
}

static bool retry_row(struct keeper *keeper, const struct store_message *message,
                      struct store_recipient *row)
{
    struct domain *domain;

    (void)message;
    /* What is due already is on its way. */
    if (row->is_held || !is_waiting(row) || row->due_ms <= clock_unix_ms())
        return false;
    row->due_ms = schedule_stamp(keeper, clock_unix_ms());
    store_recipient_update(keeper->store, row);
    results_settle(keeper, row);
    domain = domain_get(keeper, row->domain);
    if (domain != NULL)
        silence_end(domain);
    return true;
}

static bool purge_row(struct keeper *keeper, const struct store_message *message,
                      struct store_recipient *row)
{
    struct story_message story = story_message_of(message);

    if (!is_waiting(row))
        return false;
    row->is_held = false;
    row->due_ms = RECIPIENT_NOT_DUE;
    row->owes = 0;
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_PURGED, NULL, 0);
    if (!story_move(keeper, &story, row, MOVE_PURGE))
        return false;
    retractions_note(keeper, row->message, row->number, STATE_DELETED);
    results_settle(keeper, row);
    /* Nobody will come for what a purged notice told of: its sender hears so. */
    if (message->kind == KIND_NOTICE)
        portal_notice_bounced(keeper, message->parent, message->parent_number, message->id);
    return true;
}

static bool change_one(struct keeper *keeper, uint64_t message_id, uint64_t number,
                       change_fn *change)
{
    struct store_message message;
    struct store_recipient row;

    /* What a courier has in hand now will be as its answer says. */
    if (schedule_is_working(keeper, message_id, number) ||
        !store_message_get(keeper->store, message_id, &message) ||
        !store_recipient_get(keeper->store, message_id, number, &row))
        return false;
    return change(keeper, &message, &row);
}

static uint64_t change_message(struct keeper *keeper, uint64_t id, change_fn *change)
{
    struct store_message message;
    uint64_t changed = 0, count = 0;

    if (store_message_get(keeper->store, id, &message))
        count = message.recipients;
    for (uint64_t number = 0; number < count; number++)
        changed += change_one(keeper, id, number, change) ? 1 : 0;
    return changed;
}

/* Rows change while they are walked: each page is read whole, and the walk goes on behind it. */
static uint64_t change_domain(struct keeper *keeper, uint64_t domain, bool is_held,
                              change_fn *change)
{
    struct queue_filter filter = {.domain = domain};
    struct store_due page[PAGE], after = {0};
    int64_t until_ms = INT64_MAX;
    uint64_t changed = 0;
    size_t count;

    while ((count = is_held ? store_recipient_held(keeper->store, &after, page, PAGE)
                            : store_recipient_due(keeper->store, &after, until_ms, page,
                                                  PAGE)) > 0) {
        for (size_t i = 0; i < count; i++)
            if (fits(&filter, &page[i]))
                changed += change_one(keeper, page[i].message, page[i].number, change) ? 1 : 0;
        after = page[count - 1];
        if (store_is_troubled(keeper->store, NULL))
            break;
    }
    return changed;
}

uint64_t queue_hold_all(struct keeper *keeper)
{
    return change_domain(keeper, 0, false, hold_row);
}

static uint64_t apply(struct keeper *keeper, struct slice what,
                      const struct queue_filter *filter)
{
    bool is_hold = slice_equal(what, S("hold")), is_release = slice_equal(what, S("release"));
    change_fn *change = is_hold                         ? hold_row
                        : is_release                    ? release_row
                        : slice_equal(what, S("retry")) ? retry_row
                                                        : purge_row;
    struct domain *domain;
    uint64_t changed;

    if (filter->message != 0)
        return change_message(keeper, filter->message, change);
    domain = filter->domain == 0 ? NULL : domain_get(keeper, filter->domain);
    if (domain != NULL && (is_hold || is_release)) {
        domain->row.is_held = is_hold;
        store_domain_hold(keeper->store, filter->domain, is_hold);
    }
    changed = change_domain(keeper, filter->domain, is_release, change);
    /* A purge takes what is put aside as well. */
    if (change == purge_row)
        changed += change_domain(keeper, filter->domain, true, change);
    return changed;
}

void queue_change(struct control_output *output, const json_t *request)
{
    static const char *const known[] = {"hold", "release", "retry", "purge"};
    struct slice what = control_member(request, "what");
    struct queue_filter filter;
    bool is_known = false;

    for (size_t i = 0; i < COUNT_OF(known); i++)
        is_known = is_known || slice_equal(what, slice_from_cstr(known[i]));
    if (!is_known) {
        control_error(output, "the queue can list, hold, release, retry and purge");
        return;
    }
    if (!read_filter(output, request, &filter))
        return;
    /* Everything may be let go at once, after a restore; not stopped or destroyed by one word. */
    if (filter.domain == 0 && filter.message == 0 &&
        !(json_is_true(json_object_get(request, "all")) &&
          (slice_equal(what, S("release")) || slice_equal(what, S("retry"))))) {
        control_error(output, "name a domain or a message");
        return;
    }
    control_line(output, json_pack("{s:I}", "changed",
                                   (json_int_t)apply(output->keeper, what, &filter)));
}
