/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the running server over its control socket, and the lines of its answer (see
 * office/README.md). Blocks: for command-line tools only.
 */
#ifndef POSTERN_ASK_H
#define POSTERN_ASK_H

#include "base/err.h"

#include <jansson.h>

enum { ASK_PATH_SIZE = 108 };

/*
 * Ask, and collect the answer's objects in an array. socket_cstr: NULL = as the settings at path say. NULL when the
 * server cannot be reached or answers with an error, which was printed; *code_out is then the exit code. The caller
 * owns the result; `request` is taken.
 */
json_t *ask_server(const char *settings_path_cstr, const char *socket_cstr, json_t *request,
                   int *code_out);

/* The control socket's path: socket_cstr itself, or NULL = as the settings at path say. False: said why. */
MUST_CHECK bool ask_find_socket(const char *settings_path_cstr, const char *socket_cstr,
                                char path_out[ASK_PATH_SIZE]);
/*
 * The first line of the answer to a request, waiting at most 5 seconds, printing nothing. NULL: ERR_TEMP, nobody
 * answers there, or not in time; ERR_PEER, nonsense or an error.
 */
json_t *ask_once(const char *socket_path_cstr, const char *request_cstr, struct err *err);

#endif
