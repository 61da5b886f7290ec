/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a message, read from start to end as often as needed, in pieces: from the spool, or
 * from memory.
 */
#ifndef PROTECT_SOURCE_H
#define PROTECT_SOURCE_H

#include "base/err.h"
#include "base/slice.h"
#include "spool/reader.h"

struct content_source {
    void *context;
    uint64_t bytes; /* length of the whole */
    /* The next piece; empty at the end. The view dies at the next call. */
    bool (*next)(void *context, struct slice *piece_out, struct err *err);
    bool (*rewind)(void *context, struct err *err);
};

/* So many bytes of what may be read in one turn of a loop are used up; never below 0. */
static inline void source_spend(uint64_t *left, size_t len)
{
    *left -= len < *left ? len : *left;
}

/* The reader is borrowed. */
struct content_source source_of_spool(struct spool_reader *reader);

struct memory_source {
    struct slice bytes;
    size_t at;
    size_t piece; /* at most so many bytes at once; 0 = all */
};
/* `memory` is borrowed and starts with at = 0. */
struct content_source source_of_memory(struct memory_source *memory);

#endif
