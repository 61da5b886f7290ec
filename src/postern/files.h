/* SPDX-License-Identifier: Apache-2.0 */
/* Files for the commands that work on a state folder without its server. */
#ifndef POSTERN_FILES_H
#define POSTERN_FILES_H

#include "base/buffer.h"
#include "base/err.h"

/* All of a small file. ERR_TEMP: cannot be read. ERR_PERM: longer than max_bytes. */
MUST_CHECK bool files_read(const char *path_cstr, size_t max_bytes, struct buffer *bytes_out,
                           struct err *err);
/*
 * Keep servers away from a state folder as long as *fd_out is open (-1: none was ever started there).
 * ERR_REFUSED: one runs.
 */
MUST_CHECK bool files_lock_stopped(const char *state_cstr, int *fd_out, struct err *err);

#endif
