/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making content durable before it is acknowledged: the keeper's part. Segments only grow, so the
 * syncer remembers up to where each is on disk: the first message of a batch that lies beyond costs
 * one fdatasync, which covers all that was written before it, and the others of the batch cost
 * nothing. The directory is fsynced when a segment is first seen. A failed sync is final: the kernel
 * may have thrown the bytes away and would say "fine" the next time, so the segment is remembered as
 * bad and every later message in it is refused.
 */
#ifndef SPOOL_SYNCER_H
#define SPOOL_SYNCER_H

#include "base/err.h"
#include "spool/content.h"

struct spool_syncer;

/* dir_fd: the segments' directory, duplicated. */
struct spool_syncer *spool_syncer_new(int dir_fd);
void spool_syncer_free(struct spool_syncer **syncer);
/*
 * True: every byte of ref is on disk for good. ERR_TEMP (452 4.3.1): the segment is missing, shorter
 * than ref says, removed meanwhile, or its sync failed now or ever.
 */
MUST_CHECK bool spool_sync(struct spool_syncer *syncer, const struct content_ref *ref,
                           struct err *err);
/* Before spool_segment_remove: close what is open of it. */
void spool_syncer_forget(struct spool_syncer *syncer, uint64_t segment);

#endif
