/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/keyring.h"

#include "spool/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_KEYS = 16, CACHED_EPOCHS = 128 };

struct cached_epoch {
    uint64_t segment; /* 0 = empty place */
    uint64_t used;
    struct secret key;
};

struct spool_keyring {
    int dir_fd;
    const struct recipient_key *keys[MOST_KEYS];
    size_t key_count;
    uint64_t counter;
    struct cached_epoch cache[CACHED_EPOCHS];
};

bool spool_epoch_open(const struct spool_header *header, const struct recipient_key *key,
                      struct secret *epoch_key_out, struct err *err)
{
    return recipient_open(key,
                          slice_of(header->sealed_epoch_key, header->sealed_epoch_key_bytes),
                          epoch_key_out, err);
}

bool spool_data_key_unwrap(const struct secret *epoch_key, const uint8_t wrapped[KEYWRAP_BYTES],
                           struct secret *data_key_out, struct err *err)
{
    if (!keywrap_unwrap(epoch_key, wrapped, data_key_out))
        return FAIL(err, ERR_PERM, "a message's key was destroyed or changed");
    return true;
}

struct spool_keyring *spool_keyring_new(int dir_fd)
{
    struct spool_keyring *ring = calloc(1, sizeof *ring);

    must(ring != NULL);
    ring->dir_fd = spool__dup(dir_fd);
    return ring;
}

void spool_keyring_add(struct spool_keyring *ring, const struct recipient_key *key)
{
    must(ring->key_count < MOST_KEYS);
    ring->keys[ring->key_count++] = key;
}

void spool_keyring_free(struct spool_keyring **ring)
{
    if (*ring == NULL)
        return;
    close((*ring)->dir_fd);
    explicit_bzero(*ring, sizeof **ring);
    free(*ring);
    *ring = NULL;
}

static bool open_with_any(struct spool_keyring *ring, const struct spool_header *header,
                          struct secret *key_out, struct err *err)
{
    FAIL(err, ERR_PERM, "there is no key to open segments with");
    for (size_t i = 0; i < ring->key_count; i++)
        if (spool_epoch_open(header, ring->keys[i], key_out, err))
            return true;
    return false;
}

/* From the cache, or from the segment's header into it. NULL: err is set. */
static const struct secret *epoch_of(struct spool_keyring *ring, uint64_t segment,
                                     struct err *err)
{
    struct cached_epoch *best = &ring->cache[0];
    struct spool_header header;
    struct secret key;

    for (size_t i = 0; i < CACHED_EPOCHS; i++) {
        struct cached_epoch *at = &ring->cache[i];

        if (at->segment == segment) {
            at->used = ++ring->counter;
            return &at->key;
        }
        if (at->used < best->used)
            best = at;
    }
    if (!spool_segment_read(ring->dir_fd, segment, &header, err) ||
        !open_with_any(ring, &header, &key, err))
        return NULL;
    *best = (struct cached_epoch){segment, ++ring->counter, key};
    secret_wipe(&key);
    return &best->key;
}

bool spool_keyring_open(struct spool_keyring *ring, const struct content_ref *ref,
                        struct secret *data_key_out, struct err *err)
{
    const struct secret *epoch;

    if (ref->segment == 0)
        return FAIL(err, ERR_PERM, "content reference names no segment");
    epoch = epoch_of(ring, ref->segment, err);
    return epoch != NULL && spool_data_key_unwrap(epoch, ref->wrapped_key, data_key_out, err);
}

void spool_keyring_forget(struct spool_keyring *ring, uint64_t segment)
{
    for (size_t i = 0; i < CACHED_EPOCHS; i++)
        if (ring->cache[i].segment == segment)
            explicit_bzero(&ring->cache[i], sizeof ring->cache[i]);
}
