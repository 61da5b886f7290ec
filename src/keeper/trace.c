/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/story.h"
#include "store/portal.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGES_MAX = 1000, PAGE = 200 };

static const char *kind_name(uint64_t kind)
{
    static const char *const names[KIND_COUNT] = {
        [KIND_SUBMITTED] = "submitted",
        [KIND_INBOUND] = "inbound",
        [KIND_BOUNCE] = "bounce",
        [KIND_NOTICE] = "notice",
        [KIND_CODE] = "code",
        [KIND_RECEIPT] = "receipt",
        [KIND_REPLY] = "reply",
        [KIND_DSN_FAILURE] = "failure_report",
        [KIND_DSN_DELAY] = "delay_report",
        [KIND_DSN_SUCCESS] = "success_report",
        [KIND_TLS_REPORT] = "tls_report",
        [KIND_TLS_REPORTED] = "received_tls_report",
    };

    return kind < KIND_COUNT ? names[kind] : "unknown";
}

/* ---- events ---- */

static bool is_flag(const char *name_cstr)
{
    return strcmp(name_cstr, "reused") == 0 || strcmp(name_cstr, "small_hello") == 0 ||
           strcmp(name_cstr, "requiretls") == 0;
}

/* Texts whose names end in _ms, and codes, are numbers for whoever reads the JSON. */
static void set_event_text(json_t *object, const char *name_cstr, struct slice text)
{
    uint64_t number;
    bool is_number = strcmp(name_cstr, "code") == 0 || strcmp(name_cstr, "part") == 0 ||
                     strcmp(name_cstr, "row") == 0 ||
                     slice_ends_with_nocase(slice_from_cstr(name_cstr), S("_ms"));

    if (is_number && slice_parse_u64(text, &number))
        json_object_set_new(object, name_cstr, json_integer((json_int_t)number));
    else if (is_flag(name_cstr) && text.len > 0)
        json_object_set_new(object, name_cstr, json_true());
    else
        control_set_text(object, name_cstr, text);
}

static json_t *event_object(const struct store_event *event)
{
    const struct event_words *words = event_words(event->kind);
    json_t *object = json_pack("{s:I,s:s}", "at_ms", (json_int_t)id_time_ms(event->id), "event",
                               words == NULL ? "unknown" : words->name_cstr);

    for (size_t i = 0; words != NULL && i < EVENT_TEXTS_MAX && words->texts_cstr[i] != NULL;
         i++)
        set_event_text(object, words->texts_cstr[i], event->texts[i]);
    return object;
}

/* Read the events once: those of recipient n go to events[n], the whole message's to the last. */
static json_t **read_events(struct keeper *keeper, uint64_t message, uint64_t recipients)
{
    json_t **events = calloc(recipients + 1, sizeof(json_t *));
    struct store_event event;
    uint64_t after = 0;

    must(events != NULL);
    for (uint64_t i = 0; i <= recipients; i++)
        events[i] = json_array();
    while (store_event_next(keeper->store, message, after, &event)) {
        uint64_t at = event.number < 0 || (uint64_t)event.number >= recipients
                          ? recipients
                          : (uint64_t)event.number;

        after = event.id;
        json_array_append_new(events[at], event_object(&event));
    }
    return events;
}

/* ---- recipients ---- */

static void set_portal(struct keeper *keeper, json_t *object, uint64_t message, uint64_t number)
{
    struct store_portal_copy copy;

    if (store_portal_get(keeper->store, message, number, &copy)) {
        control_set_number(object, "expires_ms", copy.expires_ms);
        control_set_number(object, "read_ms", copy.revealed_ms);
    }
    explicit_bzero(&copy, sizeof copy);
}

/* Takes `events`. */
static json_t *recipient_object(struct keeper *keeper, uint64_t message, uint64_t number,
                                json_t *events)
{
    struct store_recipient row;
    bool is_working = schedule_is_working(keeper, message, number);
    json_t *object;

    if (!store_recipient_get(keeper->store, message, number, &row)) {
        json_decref(events);
        return NULL;
    }
    object = json_pack("{s:I,s:s,s:s,s:b,s:b,s:I}", "number", (json_int_t)number, "state",
                       is_working && state_needs_content((enum recipient_state)row.state)
                           ? "sending"
                           : state_name((enum recipient_state)row.state),
                       "method", method_name(row.method), "secure",
                       (row.flags & RECIPIENT_SECURE) != 0, "held", (int)row.is_held,
                       "attempts", (json_int_t)row.attempts);
    control_set_text(object, "reasons", row.reasons);
    control_set_text(object, "address",
                     row.spelled.len > 0 ? row.spelled
                                         : store_address_get(keeper->store, row.address));
    control_set_via(object, row.via);
    if (row.due_ms != RECIPIENT_NOT_DUE)
        control_set_number(object, "due_ms", row.due_ms);
    if (row.method == METHOD_PORTAL)
        set_portal(keeper, object, message, number);
    json_object_set_new(object, "events", events);
    return object;
}

/* ---- messages ---- */

static void write_message(struct control_output *output, uint64_t id)
{
    struct keeper *keeper = output->keeper;
    struct store_message message;
    json_t *object, *recipients = json_array(), **events;
    uint64_t count;

    if (!store_message_get(keeper->store, id, &message)) {
        json_decref(recipients);
        return;
    }
    count = message.recipients;
    object =
        json_pack("{s:o,s:s,s:I,s:I}", "message", control_id(id), "kind",
                  kind_name(message.kind), "bytes", (json_int_t)message.content.plain_bytes,
                  "accepted_ms", (json_int_t)message.accepted_ms);
    control_set_text(object, "header_id", message.header_id);
    control_set_text(object, "account", message.account);
    control_set_text(object, "user", message.user);
    control_set_text(object, "received_by", message.received_by);
    control_set_text(object, "from", store_address_get(keeper->store, message.sender));
    if (message.parent != 0) {
        json_object_set_new(object, "about", control_id(message.parent));
        json_object_set_new(object, "about_number",
                            json_integer((json_int_t)message.parent_number));
    }
    events = read_events(keeper, id, count);
    json_object_set_new(object, "events", events[count]);
    for (uint64_t number = 0; number < count; number++) {
        json_t *recipient = recipient_object(keeper, id, number, events[number]);

        if (recipient != NULL)
            json_array_append_new(recipients, recipient);
    }
    free(events);
    json_object_set_new(object, "recipients", recipients);
    control_line(output, object);
}

static void trace_to(struct control_output *output, struct slice address)
{
    struct keeper *keeper = output->keeper;
    uint64_t found = store_address_find(keeper->store, address), before = INT64_MAX;
    uint64_t page[PAGE];
    size_t written = 0, count;

    while (found != 0 && written < MESSAGES_MAX && !control_is_lost(output) &&
           (count = store_recipient_by_address(keeper->store, found, before, page, PAGE)) > 0) {
        for (size_t i = 0; i < count && written < MESSAGES_MAX; i++, written++)
            write_message(output, page[i]);
        before = page[count - 1];
    }
    if (written == 0)
        control_error(output,
                      "no message went to this address (or its story is no longer kept)");
}

static void trace_since(struct control_output *output, int64_t since_ms)
{
    struct id_maker maker = {0};
    uint64_t from = id_next(&maker, since_ms), to = INT64_MAX, page[PAGE];
    size_t written = 0, count;

    while (written < MESSAGES_MAX && !control_is_lost(output) &&
           (count = store_message_list(output->keeper->store, from, to, page, PAGE)) > 0) {
        for (size_t i = 0; i < count && written < MESSAGES_MAX; i++, written++)
            write_message(output, page[i]);
        to = page[count - 1];
    }
}

void trace_answer(struct control_output *output, const json_t *request)
{
    const json_t *since = json_object_get(request, "since_ms");
    uint64_t id;

    if (control_member(request, "to").len > 0) {
        trace_to(output, control_member(request, "to"));
    } else if (json_is_integer(since)) {
        trace_since(output, json_integer_value(since));
    } else {
        id = control_find_message(output, request);
        if (id != 0)
            write_message(output, id);
    }
}
