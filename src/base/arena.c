/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 8192 };

struct block {
    struct block *older;
    size_t used, size;
    alignas(max_align_t) uint8_t bytes[];
};

struct arena {
    struct block *newest;
    size_t left;
};

struct arena *arena_new(size_t max_bytes)
{
    struct arena *arena = calloc(1, sizeof *arena);

    must(arena != NULL);
    arena->left = max_bytes;
    return arena;
}

void arena_free(struct arena **arena)
{
    if (*arena == NULL)
        return;
    while ((*arena)->newest != NULL) {
        struct block *block = (*arena)->newest;

        (*arena)->newest = block->older;
        free(block);
    }
    free(*arena);
    *arena = NULL;
}

static struct block *add_block(struct arena *arena, size_t len)
{
    size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
    struct block *block = calloc(1, sizeof *block + size);

    must(block != NULL);
    block->older = arena->newest;
    block->size = size;
    arena->newest = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t len)
{
    size_t align = alignof(max_align_t);
    struct block *block = arena->newest;
    void *at;

    if (len > arena->left)
        return NULL;
    len = (len + align - 1) & ~(align - 1);
    if (block == NULL || block->size - block->used < len)
        block = add_block(arena, len);
    at = block->bytes + block->used;
    block->used += len;
    arena->left -= len < arena->left ? len : arena->left;
    return at;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    uint8_t *at = arena_alloc(arena, bytes.len + 1);

    if (at == NULL)
        return (struct slice){NULL, 0};
    if (bytes.len > 0)
        memcpy(at, bytes.at, bytes.len);
    return slice_of(at, bytes.len);
}
