/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/domains.h"

#include "crypto/random.h"
#include "keeper/internal.h"

#include <stdlib.h>

/* Missing proof is believed for so long; then the domain gets its next chance [product A10]. */
enum { LACKING_MS = 12 * 3600 * 1000, RENEW_MS = 10 * 60 * 1000 };

void domains_init(struct domains *domains)
{
    *domains = (struct domains){.seed = random_u64()};
    map_init(&domains->by_name);
    map_init(&domains->by_id);
}

void domains_deinit(struct domains *domains)
{
    size_t position = 0;
    uint64_t id;
    struct domain *domain, *next;

    while ((domain = map_next(&domains->by_name, &position, &id)) != NULL)
        for (; domain != NULL; domain = next) {
            next = domain->next_same;
            provider_free(&domain->own);
            sts_domain_deinit(&domain->sts);
            free(domain);
        }
    map_deinit(&domains->by_name);
    map_deinit(&domains->by_id);
}

uint64_t domain_hash(const struct domains *domains, struct slice name)
{
    uint64_t hash = domains->seed;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ byte_lower(name.at[i])) * UINT64_C(0x100000001B3);
    hash ^= hash >> 29;
    return hash == 0 ? 1 : hash;
}

static struct domain *keep(struct keeper *keeper, const struct store_domain *row)
{
    uint64_t hash = domain_hash(&keeper->domains, slice_from_cstr(row->name_cstr));
    struct domain *domain = calloc(1, sizeof *domain);

    must(domain != NULL);
    domain->row = *row;
    domain->own = domain->provider = provider_new();
    list_init(&domain->parked);
    domain->next_same = map_get(&keeper->domains.by_name, hash);
    map_put(&keeper->domains.by_name, hash, domain);
    map_put(&keeper->domains.by_id, row->id, domain);
    return domain;
}

static struct domain *find_kept(struct keeper *keeper, struct slice name)
{
    struct domain *domain =
        map_get(&keeper->domains.by_name, domain_hash(&keeper->domains, name));

    while (domain != NULL && !slice_equal_nocase(slice_from_cstr(domain->row.name_cstr), name))
        domain = domain->next_same;
    return domain;
}

struct domain *domain_find(struct keeper *keeper, struct slice name)
{
    struct domain *domain = find_kept(keeper, name);
    struct store_domain row;

    if (domain != NULL || !store_domain_find(keeper->store, name, &row))
        return domain;
    return keep(keeper, &row);
}

struct domain *domain_put(struct keeper *keeper, struct slice name)
{
    struct domain *domain = find_kept(keeper, name);
    struct store_domain row;

    if (domain != NULL && domain->row.id != 0)
        return domain;
    if (!store_domain_put(keeper->store, name, &row))
        return NULL;
    if (domain == NULL) {
        domain = keep(keeper, &row);
    } else {
        domain->row = row;
        map_put(&keeper->domains.by_id, row.id, domain);
    }
    domain->is_fresh = true;
    domain->next_fresh = keeper->domains.fresh;
    keeper->domains.fresh = domain;
    return domain;
}

struct domain *domain_get(struct keeper *keeper, uint64_t id)
{
    struct domain *domain = map_get(&keeper->domains.by_id, id);
    struct store_domain row;

    if (domain != NULL)
        return domain;
    if (!store_domain_get(keeper->store, id, &row))
        return NULL;
    domain = find_kept(keeper, slice_from_cstr(row.name_cstr));
    return domain != NULL ? domain : keep(keeper, &row);
}

void domains_on_commit(struct keeper *keeper)
{
    for (struct domain *domain = keeper->domains.fresh; domain != NULL;
         domain = domain->next_fresh)
        domain->is_fresh = false;
    keeper->domains.fresh = NULL;
}

/* The rows of this batch's new domains are not there: forget their ids. */
void domains_on_rollback(struct keeper *keeper)
{
    for (struct domain *domain = keeper->domains.fresh; domain != NULL;
         domain = domain->next_fresh) {
        map_take(&keeper->domains.by_id, domain->row.id);
        domain->row.id = 0;
        domain->is_fresh = false;
    }
    keeper->domains.fresh = NULL;
}

enum domain_tls domain_tls_state(const struct domain *domain, struct domain_need need,
                                 int64_t now_ms)
{
    const struct store_domain *row = &domain->row;

    if (row->checked_ms != 0 && row->level >= need.level &&
        (row->lacking_ms == 0 || row->level < PROOF_VERIFIED) &&
        (!need.mx_proved || row->mx_proof != MX_PROOF_NONE))
        return DOMAIN_TLS_PROVED;
    if (row->lacking_ms != 0 && now_ms - row->lacking_ms < LACKING_MS)
        return DOMAIN_TLS_LACKING;
    return DOMAIN_TLS_UNKNOWN;
}

static void write_lesson(struct keeper *keeper, struct domain *domain,
                         const struct domain_lesson *lesson)
{
    domain->row.mx_proof = lesson->mx_proof;
    domain->row.checked_ms = clock_unix_ms();
    if (domain->row.id != 0)
        store_domain_learn(keeper->store, &domain->row, lesson->mx, lesson->detail);
}

void domain_learn(struct keeper *keeper, struct domain *domain,
                  const struct domain_lesson *lesson)
{
    struct store_domain *row = &domain->row;
    enum proof_level level = lesson->level;
    int64_t now_ms = clock_unix_ms();

    domain->is_missed = domain->is_missed && (lesson->is_lacking || level < PROOF_VERIFIED);
    if (lesson->is_lacking) {
        row->lacking_ms = now_ms;
        row->level = level;
    } else {
        /* Weaker than before on ordinary mail is no judgement: secure mail will make one. */
        if (row->checked_ms != 0 && level < row->level)
            return;
        if (level == row->level && lesson->mx_proof == row->mx_proof && row->checked_ms != 0 &&
            now_ms - row->checked_ms < RENEW_MS &&
            (row->lacking_ms == 0 || level < PROOF_VERIFIED))
            return;
        row->level = level;
        if (level >= PROOF_VERIFIED)
            row->lacking_ms = 0;
    }
    write_lesson(keeper, domain, lesson);
}

void domain_learn_tested(struct keeper *keeper, struct domain *domain,
                         const struct domain_lesson *lesson)
{
    struct store_domain *row = &domain->row;
    bool was_lacking = row->lacking_ms != 0;

    if (lesson->level < PROOF_VERIFIED) {
        row->lacking_ms = clock_unix_ms();
        row->level = lesson->level;
    } else {
        row->lacking_ms = 0;
        row->level = was_lacking ? PROOF_NONE : lesson->level;
    }
    write_lesson(keeper, domain, lesson);
}
