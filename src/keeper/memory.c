/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/memory.h"

#include "base/log.h"
#include "base/stats.h"
#include "keeper/internal.h"

#include <stdlib.h>
#include <string.h>

/* Beyond so many all are dropped from memory: their rows have everything. */
enum { ENTRIES_MAX = 200000 };

struct memory_entry {
    struct store_memory row;
    struct memory_entry *next_same;
};

void memories_init(struct memories *memories)
{
    map_init(&memories->by_name);
}

void memories_deinit(struct memories *memories)
{
    struct memory_entry *entry, *next;
    size_t position = 0;
    uint64_t hash;

    while ((entry = map_next(&memories->by_name, &position, &hash)) != NULL)
        for (; entry != NULL; entry = next) {
            next = entry->next_same;
            free(entry);
        }
    map_deinit(&memories->by_name);
}

static void forget_all(struct keeper *keeper)
{
    memories_deinit(&keeper->memories);
    memories_init(&keeper->memories);
}

void memories_on_rollback(struct keeper *keeper)
{
    forget_all(keeper);
}

static void lower(struct slice name, char out_cstr[STORE_MEMORY_NAME_SIZE])
{
    size_t len = name.len < STORE_MEMORY_NAME_SIZE ? name.len : STORE_MEMORY_NAME_SIZE - 1;

    for (size_t i = 0; i < len; i++)
        out_cstr[i] = (char)byte_lower(name.at[i]);
    out_cstr[len] = '\0';
}

/* The row, from memory or disk; a fresh one when there is none yet. */
static struct memory_entry *find(struct keeper *keeper, enum memory_kind kind,
                                 struct slice name)
{
    struct map *map = &keeper->memories.by_name;
    uint64_t hash = domain_hash(&keeper->domains, name) + (uint64_t)kind;
    struct memory_entry *first, *entry;

    if (hash == 0)
        hash = 1;
    for (entry = first = map_get(map, hash); entry != NULL; entry = entry->next_same)
        if (entry->row.kind == kind &&
            slice_equal_nocase(slice_from_cstr(entry->row.name_cstr), name))
            return entry;
    if (map->count >= ENTRIES_MAX) {
        forget_all(keeper);
        first = NULL;
    }
    entry = calloc(1, sizeof *entry);
    must(entry != NULL);
    lower(name, entry->row.name_cstr);
    if (!store_memory_get(keeper->store, kind, slice_from_cstr(entry->row.name_cstr),
                          &entry->row)) {
        entry->row = (struct store_memory){.kind = kind};
        lower(name, entry->row.name_cstr);
    }
    entry->next_same = first;
    map_put(map, hash, entry);
    return entry;
}

/* False: nothing worth a row has changed. */
static bool note(struct store_memory *row, int64_t now_ms, unsigned wanted)
{
    bool is_new = wanted > 0 && ratchet_note(&row->seen, ratchet_day(now_ms), wanted);

    if (!is_new && row->lost_ms == 0)
        return false;
    if (row->first_ms == 0)
        row->first_ms = now_ms;
    row->last_ms = now_ms;
    row->lost_ms = 0;
    return true;
}

void memory_note_tls(struct keeper *keeper, struct slice domain, struct slice host,
                     bool needs_small_hello)
{
    unsigned wanted = keeper->settings->delivery.ratchet;
    int64_t now_ms = clock_unix_ms();
    struct store_memory *row;
    bool has_changed;

    if (domain.len > 0) {
        int64_t lost_ms;

        row = &find(keeper, MEMORY_DOMAIN, domain)->row;
        lost_ms = row->lost_ms;
        if (note(row, now_ms, wanted))
            store_memory_put(keeper->store, row);
        if (lost_ms != 0) {
            LOG(LOG_INFO, "keeper.tls_is_back", log_text("domain", domain));
            memory_count(keeper);
        }
    }
    if (host.len == 0)
        return;
    row = &find(keeper, MEMORY_HOST, host)->row;
    has_changed = note(row, now_ms, wanted);
    /*
     * That a small one works while nothing else is tried is no news: else one broken handshake would keep post-quantum keys
     * from this host for ever. Couriers go by what they were told for a while longer.
     */
    if (needs_small_hello && now_ms - row->small_until_ms >= MEMORY_SMALL_HELLO_REST_MS) {
        row->small_until_ms = now_ms + MEMORY_SMALL_HELLO_MS;
        has_changed = true;
    }
    if (has_changed)
        store_memory_put(keeper->store, row);
}

void memory_note_lost(struct keeper *keeper, struct slice domain)
{
    struct store_memory *row = &find(keeper, MEMORY_DOMAIN, domain)->row;

    if (row->lost_ms != 0)
        return;
    row->lost_ms = clock_unix_ms();
    store_memory_put(keeper->store, row);
    LOG(LOG_WARN, "keeper.tls_vanished", log_text("domain", domain),
        log_cstr("what", "seen with TLS again and again, now it has none: its mail waits"));
    memory_count(keeper);
}

bool memory_is_ratcheted(struct keeper *keeper, enum memory_kind kind, struct slice name)
{
    unsigned wanted = keeper->settings->delivery.ratchet;

    return wanted > 0 && name.len > 0 &&
           ratchet_times(&find(keeper, kind, name)->row.seen, ratchet_day(clock_unix_ms())) >=
               wanted;
}

void memory_take_ask(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                     const union ipc_any *message)
{
    const struct ipc_host_ask *ask = &message->host_ask;
    struct ipc_host_known known = {.ask = ask->ask};

    (void)type;
    if (ask->host.len > 0 && ask->host.len < STORE_MEMORY_NAME_SIZE) {
        known.ratcheted = memory_is_ratcheted(keeper, MEMORY_HOST, ask->host);
        known.small_hello =
            find(keeper, MEMORY_HOST, ask->host)->row.small_until_ms > clock_unix_ms();
    }
    (void)peer_send(keeper, peer->id, IPC_HOST_KNOWN, &known);
}

void memory_count(struct keeper *keeper)
{
    STAT_SET(TLS_LOST, store_memory_lost_count(keeper->store));
}
