/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The office's requests: JSON in, lines of JSON out (office/README.md says which). One table names
 * each request and the room that answers it. Those that only read answer at once; those that change
 * something are tasks of the inbox.
 */
#ifndef KEEPER_CONTROL_H
#define KEEPER_CONTROL_H

#include "base/buffer.h"
#include "keeper/peers.h"

#include <jansson.h>

/* An answer on its way: lines gather, and leave in pieces. */
struct control_output {
    struct keeper *keeper;
    uint64_t peer, ask;
    bool is_task;      /* inside of a batch: pieces leave after the commit */
    bool is_lost;      /* the office does not take any more */
    bool is_continued; /* somebody else ends the answer, later */
    struct buffer lines;
};

/* For answers that are given outside of a request's own turn. */
void control_begin(struct control_output *output);
/* Send what there is as the answer's end. */
void control_end(struct control_output *output);

/*
 * Give the answer in slices, a turn of the loop each: step writes some lines and returns false after the
 * last. state: one malloc, freed at the end. For requests that only read.
 */
typedef bool control_step_fn(struct control_output *output, void *state);
void control_continue(struct control_output *output, control_step_fn *step, void *state);
/* Drop the answers that are under way. */
void control_deinit(struct keeper *keeper);

/* Add one line; the object is freed. */
void control_line(struct control_output *output, json_t *object);
/* Add text as it is, whole lines: for what is no JSON. */
void control_raw(struct control_output *output, struct slice lines);
/* Add {"error": words}. */
void control_error(struct control_output *output, const char *words_cstr);
/* True when the office does not take more: stop making it. */
static inline bool control_is_lost(const struct control_output *output)
{
    return output->is_lost;
}

/* A string from bytes that somebody else chose: never NULL, invalid UTF-8 is made visible. */
json_t *control_text(struct slice text);
json_t *control_id(uint64_t id);
/* Set unless empty (0 for numbers). */
void control_set_text(json_t *object, const char *key_cstr, struct slice text);
void control_set_number(json_t *object, const char *key_cstr, int64_t number);

/* Set `via`, a list, from recipient.via; nothing when that is empty. */
void control_set_via(json_t *object, struct slice via);

/*
 * The message that a request names: our id, or a Message-ID (the newest message with it). 0: none,
 * and the error line is written.
 */
uint64_t control_find_message(struct control_output *output, const json_t *request);
/* A string member; empty when absent. */
struct slice control_member(const json_t *request, const char *key_cstr);

/* The office's `control`. */
void control_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                  const union ipc_any *message);

/* The rooms. */
void trace_answer(struct control_output *output, const json_t *request);
void queue_answer(struct control_output *output, const json_t *request);
void queue_change(struct control_output *output, const json_t *request);
void retract_answer(struct control_output *output, const json_t *request);
void explain_answer(struct control_output *output, const json_t *request);
void status_answer(struct control_output *output, const json_t *request);
void stats_answer(struct control_output *output, const json_t *request);
void metrics_answer(struct control_output *output, const json_t *request);
void ready_answer(struct control_output *output, const json_t *request);
void routes_answer(struct control_output *output, const json_t *request);
/* All routes, for `status`; their metrics. */
json_t *routes_objects(struct keeper *keeper);
MUST_CHECK bool routes_expose(struct keeper *keeper, struct buffer *out);
void domains_answer(struct control_output *output, const json_t *request);
void sts_answer(struct control_output *output, const json_t *request);
void tls_answer(struct control_output *output, const json_t *request);
/* What `status` says of published policies. */
json_t *sts_status(struct keeper *keeper);
void forward_answer(struct control_output *output, const json_t *request);
void forward_change(struct control_output *output, const json_t *request);

/* Inside of a batch: put everything aside that waits to be carried; how many. */
uint64_t queue_hold_all(struct keeper *keeper);

#endif
