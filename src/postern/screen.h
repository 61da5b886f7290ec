/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `postern top` shows: two answers of the server (office/README.md, `stats`) as lines that fit a
 * screen. Pure: it draws into a buffer, the terminal is somebody else's business.
 */
#ifndef POSTERN_SCREEN_H
#define POSTERN_SCREEN_H

#include "base/buffer.h"

#include <jansson.h>

struct screen {
    const json_t *now; /* NULL: the server cannot be reached, `problem_cstr` says why */
    const json_t
        *before; /* an earlier answer, for what happened since; NULL = since its start */
    const char *problem_cstr; /* one line; NULL = none */
    unsigned width, height;
    bool is_terminal; /* with ANSI sequences, from the upper left corner; else plain lines */
};

/* Append the screen: never more than height lines of width columns. False when out is full. */
MUST_CHECK bool screen_draw(const struct screen *screen, struct buffer *out);

#endif
