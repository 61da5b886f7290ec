/* SPDX-License-Identifier: Apache-2.0 */
/* Files, and words when they fail, for the commands that work on whole folders. */
#ifndef POSTERN_FILES_H
#define POSTERN_FILES_H

#include "base/buffer.h"
#include "base/err.h"
#include "crypto/digest.h"

/* "postern: WORDS" on standard error; false. */
bool complain(const char *format_cstr, ...) FORMAT_LIKE(1, 2);
/* The same with err's text; where_cstr: a name before it, or "". */
bool complain_err(const char *where_cstr, const struct err *err);

/* All of a small file. ERR_TEMP: cannot be read. ERR_PERM: longer than max_bytes. */
MUST_CHECK bool files_read(const char *path_cstr, size_t max_bytes, struct buffer *bytes_out,
                           struct err *err);
/*
 * Copy the bytes from..to of one open file to the same place in another (to_fd -1: only read them), and
 * take their digest. tick (NULL: none) is called about every MiB. ERR_TEMP: the disk. ERR_PERM: the file
 * ends before `to`.
 */
struct files_copy {
    int from_fd, to_fd;
    uint64_t from, to;
    void (*tick)(void *context);
    void *context;
};
MUST_CHECK bool files_copy(const struct files_copy *copy, uint8_t digest_out[SHA256_BYTES],
                           struct err *err);
/* A whole small file in a folder: written beside, synced, renamed over, the folder synced. ERR_TEMP. */
MUST_CHECK bool files_replace(int dir_fd, const char *name_cstr, struct slice bytes,
                              struct err *err);
/* Open the folder; made (0700) when it is absent. -1: err. */
int files_folder(int at_fd, const char *path_cstr, struct err *err);

/*
 * Keep servers away from a state folder as long as *fd_out is open (-1: none was ever started there).
 * ERR_REFUSED: one runs.
 */
MUST_CHECK bool files_lock_stopped(const char *state_cstr, int *fd_out, struct err *err);

#endif
