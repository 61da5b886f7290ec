/* SPDX-License-Identifier: Apache-2.0 */
/* What the writer's two rooms share: a segment file that is being written. */
#ifndef SPOOL_INTERNAL_H
#define SPOOL_INTERNAL_H

#include "spool/segment.h"

struct spool_file {
    int fd; /* -1 = none */
    uint64_t id;
    uint64_t end; /* where the next byte goes */
    int64_t created_ms;
};

/* Unix milliseconds. */
int64_t spool__now_ms(void);
/* Create, lock, write the header (header->id is the name). False: err is 452 4.3.1. */
bool spool__file_create(int dir_fd, const struct spool_header *header,
                        struct spool_file *file_out, struct err *err);
/* Append all of it at file->end. False: err is 452 4.3.1 and the file is as long as before. */
bool spool__file_append(struct spool_file *file, struct slice bytes, struct err *err);
/* Safe on a file that is not open. */
void spool__file_close(struct spool_file *file);
/* Close and unlink. */
void spool__file_discard(int dir_fd, struct spool_file *file);
/* A duplicate of dir_fd that is not inherited by programs started. */
int spool__dup(int fd);

#endif
