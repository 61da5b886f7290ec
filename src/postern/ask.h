/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the running server over its control socket, and the lines of its answer (see
 * office/README.md). Blocks: for command-line tools only.
 */
#ifndef POSTERN_ASK_H
#define POSTERN_ASK_H

#include <jansson.h>

/*
 * Ask, and collect the answer's objects in an array. socket_cstr: NULL = as the settings at path say. NULL when the
 * server cannot be reached or answers with an error, which was printed; *code_out is then the exit code. The caller
 * owns the result; `request` is taken.
 */
json_t *ask_server(const char *settings_path_cstr, const char *socket_cstr, json_t *request,
                   int *code_out);

#endif
