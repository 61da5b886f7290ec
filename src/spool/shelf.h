/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments kept open for one who reads many messages, most of them from the few segments that were written last: opening,
 * looking at and closing the file for each message cost more than reading it. Few are kept, and none for long, so
 * that a segment which the keeper removes gives its room back soon.
 */
#ifndef SPOOL_SHELF_H
#define SPOOL_SHELF_H

#include "spool/reader.h"

struct spool_shelf;

/* dir_fd: the segments' directory, borrowed. */
struct spool_shelf *spool_shelf_new(int dir_fd);
/* Readers that were opened through it must be closed before. Clears *shelf. */
void spool_shelf_free(struct spool_shelf **shelf);
/* As spool_reader_open. */
MUST_CHECK bool spool_shelf_open(struct spool_shelf *shelf, const struct content_ref *ref,
                                 const struct secret *data_key,
                                 struct spool_reader **reader_out, struct err *err);
/*
 * Once a second or so: closes what nobody has asked for since the last time. False: nothing is open, and there is no need
 * to come again before the next spool_shelf_open.
 */
bool spool_shelf_tidy(struct spool_shelf *shelf);

#endif
