/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was taken back stays taken back, also when an older backup is restored: STATE/retractions names
 * every recipient that was retracted or purged, a line each, only ever appended:
 *
 *     retracted 0SA8M1A2M0022 3 MAC
 *
 * The word is the state's name, then message, recipient number, and 16 bytes of HMAC-SHA-256 in
 * base64url under a key derived from the index key, so that nobody without the server's keys can have
 * mail destroyed by adding lines. Ids alone: no person stands in it. A line is written after its
 * commit; a crash between the two loses the line, not the retraction.
 */
#ifndef KEEPER_RETRACTIONS_H
#define KEEPER_RETRACTIONS_H

#include "base/buffer.h"
#include "base/secret.h"
#include "keeper/state.h"
#include "os/loop.h"

#define RETRACTIONS_NAME "retractions"

enum { RETRACTION_LINE_MAX_BYTES = 100, RETRACTIONS_MAX_BYTES = 1 << 30 };

struct keeper;

struct retractions {
    struct buffer lines; /* of what was committed, not yet in the file */
    struct loop_timer *timer;
};
void retractions_init(struct keeper *keeper);
/* Writes what is left. */
void retractions_deinit(struct keeper *keeper);

struct retraction_line {
    enum recipient_state state; /* RETRACTED or DELETED */
    uint64_t message, number;
};

/* For the lines' MACs. */
void retraction_key(const struct secret *index_key, struct secret *key_out);
/* Append one line. False: no room. */
MUST_CHECK bool retraction_write(const struct secret *key, const struct retraction_line *line,
                                 struct buffer *out);
/* One line without its end. False: malformed, or not made with this key (NULL: not asked). */
MUST_CHECK bool retraction_parse(const struct secret *key, struct slice line,
                                 struct retraction_line *line_out);

/* Inside of a batch: have a line written after the commit. */
void retractions_note(struct keeper *keeper, uint64_t message, uint64_t number,
                      enum recipient_state state);

#endif
