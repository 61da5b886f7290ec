/* SPDX-License-Identifier: Apache-2.0 */
/* What rooms share: a segment file that is being written; one that several readers share. */
#ifndef SPOOL_INTERNAL_H
#define SPOOL_INTERNAL_H

#include "spool/reader.h"
#include "spool/segment.h"

struct spool_file {
    int fd; /* -1 = none */
    uint64_t id;
    uint64_t end; /* where the next byte goes */
    uint64_t
        synced; /* so many bytes are on disk for good, and so is the name; 0 = not even that */
    uint64_t pushed, begun; /* spool__file_push: up to where it has come */
    int64_t created_ms;
};

/* A segment that is open for several readers. */
struct spool_shared {
    int fd;
    uint64_t bytes; /* it was at least so long when somebody looked */
    unsigned readers;
};

/* The file of a segment, for reading; -1 with err as spool_reader_open. */
int spool__segment_open(int dir_fd, uint64_t segment, struct err *err);
/* As spool_reader_open_fd; the segment stays its owner's, who keeps it until `readers` is 0. */
MUST_CHECK bool spool__reader_open_shared(struct spool_shared *shared,
                                          const struct content_ref *ref,
                                          const struct secret *data_key,
                                          struct spool_reader **reader_out, struct err *err);

/* Unix milliseconds. */
int64_t spool__now_ms(void);
/* Create, lock, write the header (header->id is the name). False: err is 452 4.3.1. */
bool spool__file_create(int dir_fd, const struct spool_header *header,
                        struct spool_file *file_out, struct err *err);
/* Append all of it at file->end. False: err is 452 4.3.1 and the file is as long as before. */
bool spool__file_append(struct spool_file *file, struct slice bytes, struct err *err);
/*
 * Make all of it durable, and the first time its name in the folder too. False: err is 452 4.3.1, and the
 * file can never be trusted again: the kernel may have dropped the bytes and would say "fine" the next time.
 */
bool spool__file_sync(int dir_fd, struct spool_file *file, struct err *err);
/*
 * Let the disk begin with what was appended since the last call, wait for what was begun then. False: err is
 * 452 4.3.1, and the file can never be trusted again, as in spool__file_sync: the kernel tells a descriptor of
 * an error once, so that no sync would tell of it again.
 */
bool spool__file_push(struct spool_file *file, struct err *err);
/* Safe on a file that is not open. */
void spool__file_close(struct spool_file *file);
/* Close and unlink. */
void spool__file_discard(int dir_fd, struct spool_file *file);
/* A duplicate of dir_fd that is not inherited by programs started. */
int spool__dup(int fd);

#endif
