/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is what a writer tells of really there? The keeper asks before it puts a message's place into a row.
 * Writers make content durable before they tell (spool_writer_sync); what is checked here is that the
 * segment still has its name, which the keeper itself may have swept away meanwhile, and is as long as the
 * writer says. Segments only grow, so the checker remembers how long each was, and most messages cost no
 * system call.
 */
#ifndef SPOOL_CHECKER_H
#define SPOOL_CHECKER_H

#include "base/err.h"
#include "spool/content.h"

struct spool_checker;

/* dir_fd: the segments' directory, duplicated. */
struct spool_checker *spool_checker_new(int dir_fd);
void spool_checker_free(struct spool_checker **checker);
/*
 * True: the place lies within a segment that exists. ERR_TEMP (452 4.3.1): the segment is missing, shorter
 * than ref says, or removed meanwhile.
 */
MUST_CHECK bool spool_check(struct spool_checker *checker, const struct content_ref *ref,
                            struct err *err);
/* Before spool_segment_remove: close what is open of it. */
void spool_checker_forget(struct spool_checker *checker, uint64_t segment);

#endif
