/* SPDX-License-Identifier: Apache-2.0 */
#include "store/address.h"

#include "crypto/digest.h"
#include "crypto/random.h"
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

enum { CACHE_SLOTS = 16384, BLIND_BYTES = 16 };

/*
 * Two direct-mapped tables: one by text, one by id. A newcomer takes the place of whoever is there, so
 * a stranger who floods it only makes it slower. Texts are compared whole.
 */
struct cached {
    uint64_t id; /* 0 = free */
    char *text;
    size_t len;
};

struct address_cache {
    uint64_t seed;
    struct cached by_text[CACHE_SLOTS], by_id[CACHE_SLOTS];
};

struct address_cache *address_cache_new(void)
{
    struct address_cache *cache = calloc(1, sizeof *cache);

    must(cache != NULL);
    cache->seed = random_u64();
    return cache;
}

static void forget(struct cached *slot)
{
    if (slot->text != NULL)
        explicit_bzero(slot->text, slot->len);
    free(slot->text);
    *slot = (struct cached){0};
}

void address_cache_clear(struct address_cache *cache)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        forget(&cache->by_text[i]);
        forget(&cache->by_id[i]);
    }
}

void address_cache_free(struct address_cache **cache)
{
    if (*cache == NULL)
        return;
    address_cache_clear(*cache);
    free(*cache);
    *cache = NULL;
}

static struct cached *text_slot(struct address_cache *cache, struct slice text)
{
    uint64_t hash = cache->seed;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ byte_lower(text.at[i])) * UINT64_C(0x100000001B3);
    return &cache->by_text[(hash >> 20) % CACHE_SLOTS];
}

static void remember(struct cached *slot, uint64_t id, struct slice text)
{
    if (slot->text == NULL || slot->len < text.len) {
        forget(slot);
        slot->text = malloc(text.len);
        must(slot->text != NULL);
    }
    memcpy(slot->text, text.at, text.len);
    slot->len = text.len;
    slot->id = id;
}

static void blind_of(struct store *store, struct slice address, uint8_t mac_out[SHA256_BYTES])
{
    uint8_t lower[ADDRESS_MAX_BYTES];

    for (size_t i = 0; i < address.len; i++)
        lower[i] = byte_lower(address.at[i]);
    hmac_sha256(slice_of(store_key_index(store)->bytes, SECRET_BYTES),
                slice_of(lower, address.len), mac_out);
}

static uint64_t find_row(struct store *store, const uint8_t mac[SHA256_BYTES])
{
    static const char sql[] = "SELECT id FROM address WHERE blind = ?1";
    int64_t id = 0;

    return store__number(store, sql, VALUES(value_blob(slice_of(mac, BLIND_BYTES))), &id)
               ? (uint64_t)id
               : 0;
}

uint64_t store_address_find(struct store *store, struct slice address)
{
    uint8_t mac[SHA256_BYTES];
    struct cached *slot;

    if (address.len == 0 || address.len > ADDRESS_MAX_BYTES)
        return 0;
    slot = text_slot(store->addresses, address);
    if (slot->id != 0 && slice_equal_nocase(slice_of(slot->text, slot->len), address))
        return slot->id;
    blind_of(store, address, mac);
    return find_row(store, mac);
}

static uint64_t make_row(struct store *store, struct slice address,
                         const uint8_t mac[SHA256_BYTES])
{
    static const char sql_id[] = "SELECT coalesce(max(id), 0) + 1 FROM address";
    static const char sql[] = "INSERT INTO address(id, blind, sealed) VALUES(?1, ?2, ?3)";
    int64_t id = 0;

    store_begin(store);
    if (!store__number(store, sql_id, NULL, 0, &id))
        return 0;
    store__pack_start(store);
    store__pack(store, address);
    store__run(store, sql,
               VALUES(NUMBER(id), value_blob(slice_of(mac, BLIND_BYTES)),
                      value_blob(store__pack_seal(store, SEAL_ADDRESS, (uint64_t)id, 0))));
    return (uint64_t)id;
}

uint64_t store_address_put(struct store *store, struct slice address)
{
    uint8_t mac[SHA256_BYTES];
    struct cached *slot;
    uint64_t id;

    if (address.len == 0 || address.len > ADDRESS_MAX_BYTES)
        return 0;
    slot = text_slot(store->addresses, address);
    if (slot->id != 0 && slice_equal_nocase(slice_of(slot->text, slot->len), address))
        return slot->id;
    blind_of(store, address, mac);
    id = find_row(store, mac);
    if (id == 0)
        id = make_row(store, address, mac);
    if (id != 0) {
        remember(slot, id, address);
        remember(&store->addresses->by_id[id % CACHE_SLOTS], id, address);
    }
    return id;
}

struct slice store_address_get(struct store *store, uint64_t id)
{
    static const char sql[] = "SELECT sealed FROM address WHERE id = ?1";
    struct cached *slot = &store->addresses->by_id[id % CACHE_SLOTS];
    struct slice cursor = {NULL, 0}, text = {(const uint8_t *)"", 0};
    sqlite3_stmt *query;

    if (id == 0)
        return text;
    if (slot->id == id)
        return slice_of(slot->text, slot->len);
    query = store__query(store, sql, VALUES(NUMBER(id)));
    if (!store__step(store, query))
        return text;
    if (store__unpack(store, SEAL_ADDRESS, id, 0, store__column_blob(query, 0), &cursor)) {
        text = store__unpack_next(&cursor);
        if (text.len > 0) {
            remember(slot, id, text);
            text = slice_of(slot->text, slot->len);
        }
    }
    store__end(query);
    return text;
}
