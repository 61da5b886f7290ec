/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory with one lifetime: many small allocations, freed together. The ceiling is given at birth;
 * crossing it returns NULL, which is the stranger's fault and must be handled. Not for secrets.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"

struct arena;

/* An arena that hands out at most max_bytes. Owned by the caller: arena_free. */
struct arena *arena_new(size_t max_bytes);
/* Free the arena and everything from it; clears *arena. NULL is fine. */
void arena_free(struct arena **arena);
/* `len` zeroed bytes, aligned for any type. NULL when the ceiling would be crossed. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t len);
/* A copy with a NUL behind it (not counted in the slice). at == NULL when it does not fit. */
MUST_CHECK struct slice arena_copy(struct arena *arena, struct slice bytes);

#endif
