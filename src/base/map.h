/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a 64-bit id to a pointer: what stands behind "ids across a wait, never pointers".
 * Open addressing, grows by itself, never shrinks. Id 0 is not allowed. The map does not own what
 * its values point to.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/must.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t id; /* 0 = empty */
    void *value;
};

struct map {
    struct map_slot *slots;
    size_t cap; /* power of two, 0 before the first put */
    size_t count;
};

void map_init(struct map *map);
void map_deinit(struct map *map);
/* Set or replace. value may not be NULL. */
void map_put(struct map *map, uint64_t id, void *value);
/* NULL when absent. */
void *map_get(const struct map *map, uint64_t id);
/* Remove and return the value, NULL when absent. */
void *map_take(struct map *map, uint64_t id);
/*
 * Walk: start with *position = 0; returns the next value and its id, NULL at the end. The entry just
 * returned may be taken out during the walk only by restarting it: take changes the order.
 */
void *map_next(const struct map *map, size_t *position, uint64_t *id_out);

#endif
