/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `segment`: how many messages (or portal copies) still need each segment. At 0 the file may
 * go; the row goes with it.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include "spool/segment.h"
#include "store/store.h"

/* Add to the count; makes the row. */
void store_segment_count(struct store *store, enum spool_kind kind, uint64_t segment,
                         int64_t change);
/* Segments that nothing needs, above `after` by id, at most max. */
size_t store_segment_dead(struct store *store, enum spool_kind kind, uint64_t after,
                          uint64_t *segments_out, size_t max);
/* True when it has a row: something in it was acknowledged. */
bool store_segment_exists(struct store *store, uint64_t segment);
void store_segment_forget(struct store *store, uint64_t segment);

#endif
