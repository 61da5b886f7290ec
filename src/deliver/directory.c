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
    unsigned pending;            /* answers that are still awaited */
    uint32_t ttl_s;              /* the least of those that came */
    struct directory *directory; /* NULL once it is not in there any more */
    uint64_t id;
    enum kind kind;
    bool is_known;
    int64_t until_ms; /* on the loop's clock */
    uint16_t port;    /* of a host */
    struct list waiting;
    char name_cstr[DNS_NAME_SIZE];
};

struct directory {
    struct directory_options options;
    char own_host_cstr[DNS_NAME_SIZE];
    struct secret salt;
    struct map records;   /* by key_id */
    struct map asks;      /* by the resolver's ask */
    struct map host_asks; /* by ours to ask_host */
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
    free(record->entry.tlsa);
    free(record->entry.lookups_cstr);
    free(record);
}

struct directory *directory_new(const struct directory_options *options)
{
    struct directory *directory = calloc(1, sizeof *directory);

    must(directory != NULL);
    directory->options = *options;
    snprintf(directory->own_host_cstr, sizeof directory->own_host_cstr, "%s",
             options->own_host_cstr);
    directory->options.own_host_cstr = directory->own_host_cstr;
    random_secret(&directory->salt);
    map_init(&directory->records);
    map_init(&directory->asks);
    map_init(&directory->host_asks);
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
        resolver_cancel(it->options.resolver, id);
    for (position = 0; (record = map_next(&it->records, &position, &id)) != NULL;
         position = 0) {
        while (list_take_first(&record->waiting) != NULL)
            continue;
        drop(it, record);
    }
    map_deinit(&it->records);
    map_deinit(&it->asks);
    map_deinit(&it->host_asks);
    free(it);
    *directory = NULL;
}

/* ---- answers ---- */

static void become_known(struct record *record)
{
    struct directory *directory = record->directory;
    struct directory_entry *entry = directory_entry_ref(&record->entry);
    struct list_link *waiter;
    uint32_t keep_s = record->ttl_s < KEEP_MIN_S ? KEEP_MIN_S : record->ttl_s;

    if (entry->outcome == RESOLVER_TRY_LATER)
        keep_s = KEEP_MIN_S;
    record->is_known = true;
    record->until_ms =
        loop_now_ms() + 1000 * (int64_t)(keep_s < KEEP_MAX_S ? keep_s : KEEP_MAX_S);
    while ((waiter = list_take_first(&record->waiting)) != NULL)
        directory->options.on_known(directory->options.context, waiter, entry);
    directory_entry_unref(&entry);
}

/* One of the awaited answers has been taken. */
static void arrive(struct record *record, uint32_t ttl_s)
{
    if (ttl_s < record->ttl_s)
        record->ttl_s = ttl_s;
    must(record->pending > 0);
    if (--record->pending == 0)
        become_known(record);
}

/* In the words of [RFC 4035 §4.3]. */
static const char *const dnssec_words[] = {
    [DNSSEC_INSECURE] = "insecure",
    [DNSSEC_SECURE] = "secure",
    [DNSSEC_BOGUS] = "bogus",
    [DNSSEC_UNKNOWN] = "no answer",
};

/* "mx1.example.org addresses: secure, 2" and the like: for people who ask why. */
static void note_lookup(struct record *record, const char *what_cstr, enum dnssec_state dnssec,
                        const char *result_cstr)
{
    struct directory_entry *entry = &record->entry;
    char *before_cstr = entry->lookups_cstr;

    must(asprintf(&entry->lookups_cstr, "%s%s%s %s: %s, %s",
                  before_cstr == NULL ? "" : before_cstr, before_cstr == NULL ? "" : "\n",
                  record->name_cstr, what_cstr, dnssec_words[dnssec], result_cstr) >= 0);
    free(before_cstr);
}

static void note_answer(struct record *record, const char *what_cstr, size_t count,
                        enum dnssec_state dnssec, enum resolver_outcome outcome,
                        const char *text_cstr)
{
    char result_cstr[RESOLVER_TEXT_SIZE];

    if (outcome == RESOLVER_TRY_LATER)
        snprintf(result_cstr, sizeof result_cstr, "%.160s", text_cstr);
    else if (count > 0)
        snprintf(result_cstr, sizeof result_cstr, "%zu", count);
    else
        snprintf(result_cstr, sizeof result_cstr, "none");
    note_lookup(record, what_cstr, dnssec, result_cstr);
}

/* "@google" for a known provider, by its best host; else the names. */
static void name_set(const struct directory *directory, struct directory_entry *entry)
{
    if (directory->options.providers != NULL && entry->count > 0)
        entry->rule =
            settings_provider_of(directory->options.providers, entry->hosts[0].host_cstr);
    if (entry->rule != NULL)
        snprintf(entry->set_cstr, sizeof entry->set_cstr, "@%s", entry->rule->name_cstr);
    else
        mx_set_write(entry->hosts, entry->count, entry->set_cstr);
}

static void on_mx(void *context, uint64_t ask, const struct resolver_mx_answer *answer)
{
    struct directory *directory = context;
    struct record *record = map_take(&directory->asks, ask);
    struct directory_entry *entry = &record->entry;

    entry->outcome = answer->outcome;
    entry->is_secure = answer->is_secure;
    entry->dnssec = answer->dnssec;
    entry->is_implicit = answer->is_implicit;
    snprintf(entry->text_cstr, sizeof entry->text_cstr, "%s", answer->text_cstr);
    if (answer->outcome == RESOLVER_FOUND && answer->count > 0) {
        entry->hosts = calloc(answer->count, sizeof *entry->hosts);
        must(entry->hosts != NULL);
        memcpy(entry->hosts, answer->mx, answer->count * sizeof *entry->hosts);
        entry->count =
            dns_mx_arrange(entry->hosts, answer->count, directory->own_host_cstr, random_u64());
        entry->is_loop = entry->count == 0;
        if (!entry->is_implicit)
            name_set(directory, entry);
    }
    note_answer(record, "MX", entry->is_implicit ? 0 : answer->count, answer->dnssec,
                answer->outcome, answer->text_cstr);
    arrive(record, answer->ttl_s);
}

static void take_tlsa_set(struct directory_entry *entry, const struct tlsa_set *set)
{
    entry->tlsa = malloc(sizeof *entry->tlsa);
    must(entry->tlsa != NULL);
    *entry->tlsa = *set;
    tlsa_set_digest(set, entry->tlsa_digest);
    entry->dane = set->usable_count > 0 ? DANE_USABLE : DANE_UNUSABLE;
    for (size_t i = 0; i < set->count; i++)
        if (set->records[i].is_usable && set->records[i].usage == TLSA_USAGE_TA)
            entry->has_authorities = true;
}

/* The first usable record, or the first of all, stands for the set. */
static void note_tlsa(struct record *record, const struct resolver_tlsa_answer *answer)
{
    char result_cstr[RESOLVER_TEXT_SIZE], record_cstr[TLSA_TEXT_SIZE];
    const struct tlsa_set *set = answer->set;
    size_t at = 0;

    if (answer->outcome != RESOLVER_FOUND) {
        snprintf(result_cstr, sizeof result_cstr, "%.200s", answer->text_cstr);
    } else {
        while (at + 1 < set->count && !set->records[at].is_usable)
            at++;
        tlsa_write_text(set, &set->records[set->records[at].is_usable ? at : 0], record_cstr);
        snprintf(result_cstr, sizeof result_cstr, "%zu, %zu usable, %s", set->count,
                 set->usable_count, record_cstr);
    }
    note_lookup(record, "TLSA", answer->dnssec, result_cstr);
}

static void on_tlsa(void *context, uint64_t ask, const struct resolver_tlsa_answer *answer)
{
    struct directory *directory = context;
    struct record *record = map_take(&directory->asks, ask);
    struct directory_entry *entry = &record->entry;
    uint32_t ttl_s = answer->ttl_s;

    if (answer->outcome == RESOLVER_FOUND) {
        take_tlsa_set(entry, answer->set);
        snprintf(entry->base_cstr, sizeof entry->base_cstr, "%s", answer->base_cstr);
    } else if (answer->outcome == RESOLVER_TRY_LATER) {
        entry->dane = DANE_FAILED;
        ttl_s = KEEP_MIN_S;
    } else {
        entry->dane = answer->was_asked ? DANE_NONE : DANE_NOT_ASKED;
    }
    if (answer->was_asked || answer->outcome == RESOLVER_TRY_LATER)
        note_tlsa(record, answer);
    arrive(record, ttl_s);
}

/* DANE is possible under signed addresses, and at a signed alias [RFC 7672 §2.2.2]. */
static bool may_have_tlsa(const struct record *record,
                          const struct resolver_address_answer *answer)
{
    return answer->count > 0 &&
           (answer->has_secure_kind || strcmp(answer->canonical_cstr, record->name_cstr) != 0);
}

static void on_addresses(void *context, uint64_t ask,
                         const struct resolver_address_answer *answer)
{
    struct directory *directory = context;
    struct record *record = map_take(&directory->asks, ask);
    struct directory_entry *entry = &record->entry;

    entry->outcome = answer->outcome;
    entry->is_secure = answer->is_secure;
    entry->dnssec = answer->dnssec;
    snprintf(entry->text_cstr, sizeof entry->text_cstr, "%s", answer->text_cstr);
    if (answer->count > 0) {
        entry->count = answer->count;
        entry->addresses = calloc(answer->count, sizeof *entry->addresses);
        must(entry->addresses != NULL);
        memcpy(entry->addresses, answer->addresses, answer->count * sizeof *entry->addresses);
    }
    note_answer(record, "addresses", answer->count, answer->dnssec, answer->outcome,
                answer->text_cstr);
    if (may_have_tlsa(record, answer)) {
        record->pending++;
        map_put(&directory->asks,
                resolver_ask_tlsa(directory->options.resolver, record->name_cstr, record->port,
                                  on_tlsa, directory),
                record);
    }
    arrive(record, answer->ttl_s);
}

void directory_host_known(struct directory *directory, uint64_t ask, bool is_ratcheted,
                          bool wants_small_hello)
{
    struct record *record = map_take(&directory->host_asks, ask);

    if (record == NULL)
        return;
    record->entry.is_ratcheted = is_ratcheted;
    record->entry.wants_small_hello = wants_small_hello;
    arrive(record, UINT32_MAX);
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

static void ask(struct directory *directory, struct record *record)
{
    struct resolver *resolver = directory->options.resolver;
    uint64_t number;

    record->pending = 1;
    if (record->kind == KIND_HOSTS) {
        number = resolver_ask_mx(resolver, record->name_cstr, on_mx, directory);
        map_put(&directory->asks, number, record);
        return;
    }
    number = resolver_ask_addresses(resolver, record->name_cstr, on_addresses, directory);
    map_put(&directory->asks, number, record);
    if (directory->options.ask_host == NULL)
        return;
    record->pending++;
    number = random_u64() | 1; /* several directories may ask through one channel */
    map_put(&directory->host_asks, number, record);
    directory->options.ask_host(directory->options.context, number, record->name_cstr);
}

static struct record *begin(struct directory *directory, uint64_t id, enum kind kind,
                            const char *name_cstr, uint16_t port)
{
    struct record *record = calloc(1, sizeof *record);

    must(record != NULL);
    if (directory->records.count % SWEEP_AT_COUNT == SWEEP_AT_COUNT - 1)
        sweep(directory);
    record->references = 1;
    record->directory = directory;
    record->id = id;
    record->kind = kind;
    record->port = port;
    record->ttl_s = UINT32_MAX;
    list_init(&record->waiting);
    snprintf(record->name_cstr, sizeof record->name_cstr, "%s", name_cstr);
    map_put(&directory->records, id, record);
    ask(directory, record);
    return record;
}

/* port 0 for a domain's hosts. */
static enum progress find(struct directory *directory, enum kind kind, const char *name_cstr,
                          uint16_t port, struct list_link *waiter,
                          struct directory_entry **entry_out)
{
    char lower_cstr[DNS_NAME_SIZE] = "";
    uint8_t key[DNS_NAME_SIZE + sizeof port];
    struct slice name = slice_head(slice_from_cstr(name_cstr), sizeof lower_cstr - 1);
    struct record *record;
    uint64_t id;

    for (size_t i = 0; i < name.len; i++)
        lower_cstr[i] = (char)byte_lower(name.at[i]);
    memcpy(key, &port, sizeof port);
    memcpy(key + sizeof port, lower_cstr, name.len);
    id = key_id(&directory->salt, (uint8_t)kind, slice_of(key, sizeof port + name.len));
    record = map_get(&directory->records, id);
    if (record != NULL && record->is_known && record->until_ms <= loop_now_ms()) {
        drop(directory, record);
        record = NULL;
    }
    if (record == NULL)
        record = begin(directory, id, kind, lower_cstr, port);
    must(strcmp(record->name_cstr, lower_cstr) == 0 && record->kind == kind &&
         record->port == port);
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
    return find(directory, KIND_HOSTS, domain_cstr, 0, waiter, entry_out);
}

enum progress directory_addresses(struct directory *directory, const char *host_cstr,
                                  uint16_t port, struct list_link *waiter,
                                  struct directory_entry **entry_out)
{
    return find(directory, KIND_ADDRESSES, host_cstr, port, waiter, entry_out);
}
