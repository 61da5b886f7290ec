/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_deinit(struct map *map)
{
    free(map->slots);
    map_init(map);
}

static size_t home_of(const struct map *map, uint64_t id)
{
    /* Fibonacci hashing: ids differ mostly in their lower bits. */
    return (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (map->cap - 1);
}

/* The slot of `id`, or the empty slot where it belongs. cap > count, so an empty one exists. */
static size_t find_slot(const struct map *map, uint64_t id)
{
    size_t at = home_of(map, id);

    while (map->slots[at].id != 0 && map->slots[at].id != id)
        at = (at + 1) & (map->cap - 1);
    return at;
}

static void grow(struct map *map)
{
    struct map old = *map;

    map->cap = old.cap == 0 ? FIRST_SLOTS : old.cap * 2;
    map->slots = calloc(map->cap, sizeof *map->slots);
    must(map->slots != NULL);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].id != 0)
            map->slots[find_slot(map, old.slots[i].id)] = old.slots[i];
    free(old.slots);
}

void map_put(struct map *map, uint64_t id, void *value)
{
    size_t at;

    must(id != 0 && value != NULL);
    if ((map->count + 1) * 4 > map->cap * 3)
        grow(map);
    at = find_slot(map, id);
    if (map->slots[at].id == 0)
        map->count++;
    map->slots[at] = (struct map_slot){id, value};
}

void *map_get(const struct map *map, uint64_t id)
{
    if (map->cap == 0 || id == 0)
        return NULL;
    return map->slots[find_slot(map, id)].value;
}

void *map_take(struct map *map, uint64_t id)
{
    size_t hole;
    void *value;

    if (map->cap == 0 || id == 0)
        return NULL;
    hole = find_slot(map, id);
    if (map->slots[hole].id == 0)
        return NULL;
    value = map->slots[hole].value;
    map->count--;
    /* Close the hole: move back each follower whose home is not between the hole and itself. */
    for (size_t at = (hole + 1) & (map->cap - 1); map->slots[at].id != 0;
         at = (at + 1) & (map->cap - 1)) {
        size_t home = home_of(map, map->slots[at].id);

        if (((at - home) & (map->cap - 1)) >= ((at - hole) & (map->cap - 1))) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct map_slot){0, NULL};
    return value;
}

void *map_next(const struct map *map, size_t *position, uint64_t *id_out)
{
    for (; *position < map->cap; (*position)++)
        if (map->slots[*position].id != 0) {
            *id_out = map->slots[*position].id;
            return map->slots[(*position)++].value;
        }
    return NULL;
}
