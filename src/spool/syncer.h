/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making content durable before it is acknowledged: the keeper's part. In each batch every segment
 * that is named is opened once (a few stay open), fdatasynced once, and the directory is fsynced the
 * first time a segment is seen. A failed sync is final: the kernel may have thrown the bytes away
 * and would say "fine" the next time, so the segment is remembered as bad and every later message in
 * it is refused.
 */
#ifndef SPOOL_SYNCER_H
#define SPOOL_SYNCER_H

#include "base/err.h"
#include "spool/content.h"

struct spool_syncer;

/* dir_fd: the segments' directory, duplicated. */
struct spool_syncer *spool_syncer_new(int dir_fd);
void spool_syncer_free(struct spool_syncer **syncer);
/* Start a batch: what was synced before is synced again when named again. */
void spool_syncer_begin(struct spool_syncer *syncer);
/*
 * True: every byte of ref is on disk for good. ERR_TEMP (452 4.3.1): the segment is missing, shorter
 * than ref says, removed meanwhile, or its sync failed now or ever. Cost: one fdatasync per segment
 * and batch.
 */
MUST_CHECK bool spool_sync(struct spool_syncer *syncer, const struct content_ref *ref,
                           struct err *err);
/* Before spool_segment_remove: close what is open of it and accept nothing more for it. */
void spool_syncer_forget(struct spool_syncer *syncer, uint64_t segment);

#endif
