/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/queue.h"

#include "keeper/internal.h"
#include "keeper/story.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 10000 };

#define WAITING_STATES (1U << STATE_ACCEPTED | 1U << STATE_PLANNED | 1U << STATE_DEFERRED)

bool queue_is_waiting(const struct store_recipient *row)
{
    return (WAITING_STATES >> row->state & 1) != 0;
}

/* ---- which ---- */

bool queue_read_filter(struct control_output *output, const json_t *request,
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

bool queue_fits(const struct queue_filter *filter, const struct store_due *due)
{
    return (filter->domain == 0 || filter->domain == due->domain) &&
           (filter->message == 0 || filter->message == due->message);
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
        !queue_is_waiting(&row))
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

/* Where a list has come to. */
struct listing {
    struct queue_filter filter;
    struct store_due after;
    bool is_held; /* the second round: those that are put aside */
    size_t listed;
};

/* A slice of the index; false: that was all of it. */
static bool list_slice(struct control_output *output, void *state)
{
    struct listing *listing = state;
    struct store *store = output->keeper->store;
    struct store_due page[QUEUE_SLICE];
    size_t count =
        listing->is_held
            ? store_recipient_held(store, &listing->after, page, QUEUE_SLICE)
            : store_recipient_due(store, &listing->after, INT64_MAX, page, QUEUE_SLICE);

    for (size_t i = 0; i < count && listing->listed < LIST_MAX; i++)
        listing->listed +=
            queue_fits(&listing->filter, &page[i]) && list_row(output, &page[i]) ? 1 : 0;
    if (listing->listed >= LIST_MAX)
        return false;
    if (count > 0) {
        listing->after = page[count - 1];
        return true;
    }
    listing->after = (struct store_due){0};
    listing->is_held = !listing->is_held;
    return listing->is_held;
}

/* The rows of a message are together: no need to look for them. */
static void list_message(struct control_output *output, uint64_t id)
{
    struct store_message message;
    uint64_t count = 0;

    if (store_message_get(output->keeper->store, id, &message))
        count = message.recipients;
    for (uint64_t number = 0; number < count && number < LIST_MAX; number++) {
        struct store_due due = {.message = id, .number = number};

        (void)list_row(output, &due);
    }
}

void queue_answer(struct control_output *output, const json_t *request)
{
    struct queue_filter filter;
    struct listing *listing;

    if (!queue_read_filter(output, request, &filter))
        return;
    if (filter.message != 0) {
        list_message(output, filter.message);
        return;
    }
    listing = calloc(1, sizeof *listing);
    must(listing != NULL);
    listing->filter = filter;
    control_continue(output, list_slice, listing);
}
