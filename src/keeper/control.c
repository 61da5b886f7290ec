/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"

#include "keeper/internal.h"
#include "store/message.h"

#include <stdlib.h>
#include <string.h>

enum {
    PIECE_BYTES = 256 << 10,
    LINES_MAX_BYTES = 16 << 20,
    REQUEST_MAX_BYTES = 64 << 10,
};

struct command {
    const char *do_cstr;
    void (*answer)(struct control_output *output, const json_t *request);
    /* For requests that change something: NULL or the same name's other half. */
    void (*change)(struct control_output *output, const json_t *request);
};

static const struct command commands[] = {
    {"trace", trace_answer, NULL},     {"queue", queue_answer, queue_change},
    {"retract", NULL, retract_answer}, {"explain", explain_answer, NULL},
    {"status", status_answer, NULL},   {"domains", domains_answer, NULL},
    {"stats", stats_answer, NULL},     {"metrics", metrics_answer, NULL},
    {"ready", ready_answer, NULL},     {"backup", backup_answer, NULL},
    {"sts", sts_answer, NULL},         {"routes", routes_answer, NULL},
    {"tls", tls_answer, NULL},         {"forward", forward_answer, forward_change},
};

/* ---- pieces ---- */

static void send_piece(struct control_output *output, bool more)
{
    struct ipc_control_result piece = {
        .ask = output->ask, .answer = buffer_view(&output->lines), .more = more};

    if (output->is_task)
        inbox_answer(output->keeper, output->peer, IPC_CONTROL_RESULT, &piece);
    else if (!peer_send(output->keeper, output->peer, IPC_CONTROL_RESULT, &piece))
        output->is_lost = true;
    buffer_clear(&output->lines);
}

void control_begin(struct control_output *output)
{
    buffer_init(&output->lines, LINES_MAX_BYTES);
}

void control_end(struct control_output *output)
{
    send_piece(output, false);
    buffer_wipe(&output->lines);
}

/* ---- in slices ---- */

struct control_walk {
    struct list_link link;
    struct control_output output;
    struct loop_timer *timer;
    control_step_fn *step;
    void *state;
};

static void walk_free(struct control_walk *walk)
{
    list_remove(&walk->link);
    loop_timer_free(&walk->timer);
    buffer_wipe(&walk->output.lines);
    free(walk->state);
    free(walk);
}

static void on_walk(void *context)
{
    struct control_walk *walk = context;
    struct control_output *output = &walk->output;
    bool has_more = walk->step(output, walk->state) && !output->is_lost;

    if (has_more && buffer_len(&output->lines) > 0)
        send_piece(output, true);
    if (has_more && !output->is_lost) {
        loop_timer_set(walk->timer, 0);
        return;
    }
    if (!output->is_lost)
        send_piece(output, false);
    walk_free(walk);
}

void control_continue(struct control_output *output, control_step_fn *step, void *state)
{
    struct control_walk *walk = calloc(1, sizeof *walk);

    must(walk != NULL);
    *walk = (struct control_walk){
        .step = step,
        .state = state,
        .output = {.keeper = output->keeper, .peer = output->peer, .ask = output->ask},
        .timer = loop_timer_new(output->keeper->loop, on_walk, walk)};
    control_begin(&walk->output);
    list_push_back(&output->keeper->walks, &walk->link);
    loop_timer_set(walk->timer, 0);
    output->is_continued = true;
}

void control_deinit(struct keeper *keeper)
{
    struct list_link *link;

    while ((link = list_first(&keeper->walks)) != NULL)
        walk_free(LIST_ELEMENT(link, struct control_walk, link));
}

/* ---- lines ---- */

void control_line(struct control_output *output, json_t *object)
{
    char *text_cstr = json_dumps(object, JSON_COMPACT);

    must(text_cstr != NULL);
    if (!buffer_append(&output->lines, slice_from_cstr(text_cstr)) ||
        !buffer_append_byte(&output->lines, '\n'))
        output->is_lost = true;
    free(text_cstr);
    json_decref(object);
    if (buffer_len(&output->lines) >= PIECE_BYTES && !output->is_lost)
        send_piece(output, true);
}

void control_raw(struct control_output *output, struct slice lines)
{
    if (!buffer_append(&output->lines, lines))
        output->is_lost = true;
}

void control_error(struct control_output *output, const char *words_cstr)
{
    control_line(output, json_pack("{s:s}", "error", words_cstr));
}

json_t *control_text(struct slice text)
{
    json_t *string = json_stringn((const char *)text.at, text.len);
    uint8_t *copy;

    if (string != NULL)
        return string;
    copy = malloc(text.len + 1);
    must(copy != NULL);
    for (size_t i = 0; i < text.len; i++)
        copy[i] = text.at[i] >= 0x80 || text.at[i] == 0 ? '?' : text.at[i];
    string = json_stringn((const char *)copy, text.len);
    free(copy);
    return string == NULL ? json_string("") : string;
}

json_t *control_id(uint64_t id)
{
    char text[ID_TEXT_SIZE];

    id_write(id, text);
    return json_string(text);
}

void control_set_text(json_t *object, const char *key_cstr, struct slice text)
{
    if (text.len > 0)
        json_object_set_new(object, key_cstr, control_text(text));
}

void control_set_number(json_t *object, const char *key_cstr, int64_t number)
{
    if (number != 0)
        json_object_set_new(object, key_cstr, json_integer(number));
}

void control_set_via(json_t *object, struct slice via)
{
    json_t *list = json_array();

    while (via.len > 0)
        json_array_append_new(list, control_text(slice_cut(&via, '\n')));
    if (json_array_size(list) > 0)
        json_object_set(object, "via", list);
    json_decref(list);
}

struct slice control_member(const json_t *request, const char *key_cstr)
{
    const json_t *member = json_object_get(request, key_cstr);

    if (!json_is_string(member))
        return slice_of("", 0);
    return slice_of(json_string_value(member), json_string_length(member));
}

/* ---- which message ---- */

static uint64_t find_header_id(struct keeper *keeper, struct slice header_id)
{
    if (slice_starts_with(header_id, S("<")))
        header_id = slice_from(header_id, 1);
    if (slice_ends_with_nocase(header_id, S(">")))
        header_id = slice_head(header_id, header_id.len - 1);
    return store_message_find(keeper->store, header_id, INT64_MAX);
}

uint64_t control_find_message(struct control_output *output, const json_t *request)
{
    struct slice name = control_member(request, "message");
    uint64_t id = 0;

    if (id_parse(name, &id) && id <= INT64_MAX &&
        store_message_exists(output->keeper->store, id))
        return id;
    id = slice_find_byte(name, '@') < name.len ? find_header_id(output->keeper, name) : 0;
    if (id == 0)
        control_error(output, "there is no such message (or its story is no longer kept)");
    return id;
}

/* ---- the request ---- */

static const struct command *find_command(const json_t *request)
{
    struct slice name = control_member(request, "do");

    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (slice_equal(name, slice_from_cstr(commands[i].do_cstr)))
            return &commands[i];
    return NULL;
}

static bool is_change(const struct command *command, const json_t *request)
{
    if (command->answer == NULL)
        return true;
    return command->change != NULL && !slice_equal(control_member(request, "what"), S("list"));
}

static json_t *parse(struct slice text)
{
    if (text.len > REQUEST_MAX_BYTES)
        return NULL;
    return json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
}

static void answer(struct control_output *output, const json_t *request, bool is_task)
{
    const struct command *command = find_command(request);

    output->is_task = is_task;
    buffer_init(&output->lines, LINES_MAX_BYTES);
    if (command == NULL)
        control_error(output, "this request is not known");
    else if (is_task)
        (command->change != NULL ? command->change : command->answer)(output, request);
    else
        command->answer(output, request);
    if (!output->is_continued)
        send_piece(output, false);
    buffer_wipe(&output->lines);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    struct control_output output = {
        .keeper = keeper, .peer = task->peer, .ask = message->control.ask};
    json_t *request = parse(message->control.request);

    answer(&output, request, true);
    json_decref(request);
}

static void refuse(struct keeper *keeper, struct task *task, const union ipc_any *message,
                   const struct err *why)
{
    struct ipc_control_result result = {
        .ask = message->control.ask,
        .answer =
            S("{\"error\":\"nothing was changed: the database cannot be written now\"}\n")};

    (void)why;
    (void)peer_send(keeper, task->peer, IPC_CONTROL_RESULT, &result);
}

static const struct task_kind kind_control = {
    .name_cstr = "control", .run = run, .refuse = refuse};

void control_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                  const union ipc_any *message)
{
    struct control_output output = {
        .keeper = keeper, .peer = peer->id, .ask = message->control.ask};
    json_t *request = parse(message->control.request);
    const struct command *command = find_command(request);

    if (command != NULL && is_change(command, request)) {
        inbox_put(keeper, &kind_control, peer->id, type, message);
    } else {
        /* What happened just now is part of every answer. */
        inbox_flush(keeper);
        answer(&output, request, false);
    }
    json_decref(request);
}
