/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading sealed content back, chunk by chunk, with the data key of that one message. Nothing of a
 * chunk is given out before its tag was checked; content that was cut, changed, reordered, moved, or
 * is opened with another key ends in ERR_PERM. Memory: one chunk.
 */
#ifndef SPOOL_READER_H
#define SPOOL_READER_H

#include "base/err.h"
#include "base/secret.h"
#include "spool/content.h"

struct spool_reader;

/*
 * dir_fd: the segments' directory, used only now. ref->wrapped_key is not looked at. ERR_PERM: the
 * segment does not exist, is shorter than ref says, or ref contradicts itself. ERR_TEMP: cannot open.
 */
MUST_CHECK bool spool_reader_open(int dir_fd, const struct content_ref *ref,
                                  const struct secret *data_key,
                                  struct spool_reader **reader_out, struct err *err);
/* The same on an open segment file, which the reader then owns: for roles that may not open files. */
MUST_CHECK bool spool_reader_open_fd(int segment_fd, const struct content_ref *ref,
                                     const struct secret *data_key,
                                     struct spool_reader **reader_out, struct err *err);
/* Wipes key and plaintext. */
void spool_reader_close(struct spool_reader **reader);
/*
 * The next 1..SPOOL_CHUNK_BYTES bytes of plaintext; the view dies at the next call. Empty: that was
 * all, and the end was proved to be the end. ERR_PERM: damaged (then and ever after).
 * ERR_TEMP: the disk cannot be read now.
 */
MUST_CHECK bool spool_reader_next(struct spool_reader *reader, struct slice *plain_out,
                                  struct err *err);
/* Go on from this byte of the plaintext (0..plain_bytes). ERR_PERM: past the end. */
MUST_CHECK bool spool_reader_seek(struct spool_reader *reader, uint64_t plain_offset,
                                  struct err *err);
uint64_t spool_reader_plain_bytes(const struct spool_reader *reader);

#endif
