/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/directory.h"

#include "base/map.h"
#include "crypto/random.h"
#include "deliver/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_HOSTS = 1, KIND_ADDRESSES = 2 };
enum {
    KEEP_MIN_S = 5,   /* also for failures: a queue full of mail for one domain asks once */
    KEEP_MAX_S = 600, /* not longer, whatever the TTL: equals change their order now and then */
    SWEEP_AT_COUNT = 4096, /* entries, before old ones are looked for */
};

/* An entry and what is needed until it is one. */
struct record {
    struct directory_entry entry;
    unsigned references;
    struct directory *directory; /* NULL once it is not in there any more */
    uint64_t id;
    enum kind kind;
    bool is_known;
    int64_t until_ms; /* on the loop's clock */
    struct list waiting;
    char name_cstr[DNS_NAME_SIZE];
};

struct directory {
    struct resolver *resolver;
    directory_known_fn *on_known;
    void *context;
    char own_host_cstr[DNS_NAME_SIZE];
    struct secret salt;
    struct map records; /* by key_id */
    struct map asks;    /* by the resolver's ask */
};

static struct record *record_of(struct directory_entry *entry)
{
    return LIST_ELEMENT(entry, struct record, entry);
}

struct directory_entry *directory_entry_ref(struct directory_entry *entry)
{
    record_of(entry)->references++;
    return entry;
}

void directory_entry_unref(struct directory_entry **entry)
{
    struct record *record;

    if (*entry == NULL)
        return;
    record = record_of(*entry);
    *entry = NULL;
    if (--record->references > 0)
        return;
    free(record->entry.hosts);
    free(record->entry.addresses);
    free(record);
}

struct directory *directory_new(struct resolver *resolver, const char *own_host_cstr,
                                directory_known_fn *on_known, void *context)
{
    struct directory *directory = calloc(1, sizeof *directory);

    must(directory != NULL);
    directory->resolver = resolver;
    directory->on_known = on_known;
    directory->context = context;
    snprintf(directory->own_host_cstr, sizeof directory->own_host_cstr, "%s", own_host_cstr);
    random_secret(&directory->salt);
    map_init(&directory->records);
    map_init(&directory->asks);
    return directory;
}

/* The directory lets go of a record; who holds a reference keeps it. */
static void drop(struct directory *directory, struct record *record)
{
    struct directory_entry *entry = &record->entry;

    map_take(&directory->records, record->id);
    record->directory = NULL;
    directory_entry_unref(&entry);
}

void directory_free(struct directory **directory)
{
    struct directory *it = *directory;
    struct record *record;
    uint64_t id;
    size_t position = 0;

    if (it == NULL)
        return;
    while (map_next(&it->asks, &position, &id) != NULL)
        resolver_cancel(it->resolver, id);
    for (position = 0; (record = map_next(&it->records, &position, &id)) != NULL;
         position = 0) {
        while (list_take_first(&record->waiting) != NULL)
            continue;
        drop(it, record);
    }
    map_deinit(&it->records);
    map_deinit(&it->asks);
    free(it);
    *directory = NULL;
}

/* ---- answers ---- */

static void become_known(struct record *record, uint32_t ttl_s)
{
    struct directory *directory = record->directory;
    struct directory_entry *entry = directory_entry_ref(&record->entry);
    struct list_link *waiter;
    uint32_t keep_s = ttl_s < KEEP_MIN_S ? KEEP_MIN_S : ttl_s;

    if (entry->outcome == RESOLVER_TRY_LATER)
        keep_s = KEEP_MIN_S;
    record->is_known = true;
    record->until_ms =
        loop_now_ms() + 1000 * (int64_t)(keep_s < KEEP_MAX_S ? keep_s : KEEP_MAX_S);
    while ((waiter = list_take_first(&record->waiting)) != NULL)
        directory->on_known(directory->context, waiter, entry);
    directory_entry_unref(&entry);
}

static void on_mx(void *context, uint64_t ask, const struct resolver_mx_answer *answer)
{
    struct directory *directory = context;
    struct record *record = map_take(&directory->asks, ask);
    struct directory_entry *entry = &record->entry;

    entry->outcome = answer->outcome;
    entry->is_secure = answer->is_secure;
    entry->is_implicit = answer->is_implicit;
    snprintf(entry->text_cstr, sizeof entry->text_cstr, "%s", answer->text_cstr);
    if (answer->outcome == RESOLVER_FOUND && answer->count > 0) {
        entry->hosts = calloc(answer->count, sizeof *entry->hosts);
        must(entry->hosts != NULL);
        memcpy(entry->hosts, answer->mx, answer->count * sizeof *entry->hosts);
        entry->count =
            dns_mx_arrange(entry->hosts, answer->count, directory->own_host_cstr, random_u64());
        entry->is_loop = entry->count == 0;
    }
    become_known(record, answer->ttl_s);
}

static void on_addresses(void *context, uint64_t ask,
                         const struct resolver_address_answer *answer)
{
    struct directory *directory = context;
    struct record *record = map_take(&directory->asks, ask);
    struct directory_entry *entry = &record->entry;

    entry->outcome = answer->outcome;
    entry->is_secure = answer->is_secure;
    snprintf(entry->text_cstr, sizeof entry->text_cstr, "%s", answer->text_cstr);
    if (answer->count > 0) {
        entry->count = answer->count;
        entry->addresses = calloc(answer->count, sizeof *entry->addresses);
        must(entry->addresses != NULL);
        memcpy(entry->addresses, answer->addresses, answer->count * sizeof *entry->addresses);
    }
    become_known(record, answer->ttl_s);
}

/* ---- asking ---- */

static void sweep(struct directory *directory)
{
    int64_t now_ms = loop_now_ms();
    struct record *record;
    uint64_t id;
    size_t position = 0;

    while ((record = map_next(&directory->records, &position, &id)) != NULL)
        if (record->is_known && record->until_ms <= now_ms) {
            drop(directory, record);
            position = 0;
        }
}

static struct record *begin(struct directory *directory, uint64_t id, enum kind kind,
                            const char *name_cstr)
{
    struct record *record = calloc(1, sizeof *record);
    uint64_t ask;

    must(record != NULL);
    if (directory->records.count % SWEEP_AT_COUNT == SWEEP_AT_COUNT - 1)
        sweep(directory);
    record->references = 1;
    record->directory = directory;
    record->id = id;
    record->kind = kind;
    list_init(&record->waiting);
    snprintf(record->name_cstr, sizeof record->name_cstr, "%s", name_cstr);
    map_put(&directory->records, id, record);
    if (kind == KIND_HOSTS)
        ask = resolver_ask_mx(directory->resolver, name_cstr, on_mx, directory);
    else
        ask = resolver_ask_addresses(directory->resolver, name_cstr, on_addresses, directory);
    map_put(&directory->asks, ask, record);
    return record;
}

static enum progress find(struct directory *directory, enum kind kind, const char *name_cstr,
                          struct list_link *waiter, struct directory_entry **entry_out)
{
    char lower_cstr[DNS_NAME_SIZE] = "";
    struct slice name = slice_head(slice_from_cstr(name_cstr), sizeof lower_cstr - 1);
    struct record *record;
    uint64_t id;

    for (size_t i = 0; i < name.len; i++)
        lower_cstr[i] = (char)byte_lower(name.at[i]);
    id = key_id(&directory->salt, (uint8_t)kind, slice_from_cstr(lower_cstr));
    record = map_get(&directory->records, id);
    if (record != NULL && record->is_known && record->until_ms <= loop_now_ms()) {
        drop(directory, record);
        record = NULL;
    }
    if (record == NULL)
        record = begin(directory, id, kind, lower_cstr);
    must(strcmp(record->name_cstr, lower_cstr) == 0 && record->kind == kind);
    if (!record->is_known) {
        list_push_back(&record->waiting, waiter);
        return PROGRESS_WAIT;
    }
    *entry_out = directory_entry_ref(&record->entry);
    return PROGRESS_DONE;
}

enum progress directory_hosts(struct directory *directory, const char *domain_cstr,
                              struct list_link *waiter, struct directory_entry **entry_out)
{
    return find(directory, KIND_HOSTS, domain_cstr, waiter, entry_out);
}

enum progress directory_addresses(struct directory *directory, const char *host_cstr,
                                  struct list_link *waiter, struct directory_entry **entry_out)
{
    return find(directory, KIND_ADDRESSES, host_cstr, waiter, entry_out);
}
