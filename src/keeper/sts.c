/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sts.h"

#include "base/log.h"
#include "base/stats.h"
#include "keeper/internal.h"
#include "keeper/queue.h"

#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 1000,       /* while somebody waits */
    SWEEP_MS = 10 * 1000, /* for policies to be fetched anew */
    DAY_MS = 24 * 3600 * 1000,
    DUE_MAX = 200,
    DOUBT_MS = 10 * 1000, /* mail that cannot go is a reason to look at the record this often */
    PURGE_MS = 3600 * 1000,
};

static struct domain *domain_of(struct domain_sts *sts)
{
    return (struct domain *)(void *)((char *)sts - offsetof(struct domain, sts));
}

/* ---- what is in memory ---- */

static void forget_kept(struct domain_sts *sts)
{
    free(sts->kept);
    sts->kept = NULL;
}

void sts_domain_deinit(struct domain_sts *sts)
{
    forget_kept(sts);
}

/* A clock that has just jumped ahead must not end a policy. */
static bool is_expired(struct keeper *keeper, const struct store_sts *row, int64_t now_ms)
{
    return now_ms >= row->expires_ms && clock_doubt_ms(keeper) == 0;
}

/* From the database into memory; false: there is none that counts. */
static bool load(struct keeper *keeper, struct domain *domain)
{
    struct domain_sts *sts = &domain->sts;
    struct buffer texts;
    struct store_sts row;
    int64_t now_ms = clock_unix_ms();

    forget_kept(sts);
    buffer_init(&texts, STORE_STS_TEXTS_MAX_BYTES);
    if (store_sts_get(keeper->store, domain->row.id, &row, &texts) &&
        !is_expired(keeper, &row, now_ms)) {
        sts->kept = malloc(sizeof *sts->kept + row.mx.len + 1);
        must(sts->kept != NULL);
        sts->kept->row = row;
        if (row.mx.len > 0)
            memcpy(sts->kept->mx_cstr, row.mx.at, row.mx.len);
        sts->kept->mx_cstr[row.mx.len] = '\0';
        sts->kept->row.mx = slice_of(sts->kept->mx_cstr, row.mx.len);
        sts->kept->row.text = slice_of("", 0);
    }
    buffer_deinit(&texts);
    return sts->kept != NULL;
}

/* ---- asking ---- */

static void on_found(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                     const union ipc_any *answer);

/* Nobody may ask about a name that is none, and about our own next hops there is nothing to ask. */
static bool is_ours(struct keeper *keeper, const struct domain *domain)
{
    struct slice name = slice_from_cstr(domain->row.name_cstr);
    const struct settings_domain *own = settings_domain_find(keeper->settings, name);

    return (own != NULL && own->next_hop_cstr[0] != '\0') || name.len == 0 ||
           name.at[0] == '[' || settings_route_find(keeper->settings, name) != NULL;
}

static bool ask_scout(struct keeper *keeper, struct domain *domain)
{
    const struct sts_kept *kept = domain->sts.kept;
    struct ipc_sts_find find = {
        .domain = slice_from_cstr(domain->row.name_cstr),
        .known_id =
            slice_from_cstr(kept == NULL ? "" : sts_known_id(&kept->row, clock_unix_ms()))};

    return asks_put_scout(keeper, &(struct ask){.on_answer = on_found, .a = domain->row.id},
                          IPC_STS_FIND, &find);
}

/* Ask about those whose turn it is, as long as there is a scout and it has room. */
static void pump(struct keeper *keeper)
{
    struct sts *all = &keeper->sts;

    while (all->asked < STS_ASKS_MAX) {
        struct list_link *link = list_first(&all->first);
        struct domain_sts *sts;

        if (link == NULL)
            link = list_first(&all->later);
        if (link == NULL)
            return;
        sts = LIST_ELEMENT(link, struct domain_sts, turn);
        if (!ask_scout(keeper, domain_of(sts)))
            return;
        list_remove(link);
        sts->is_asked = true;
        sts->asked_ms = loop_now_ms();
        all->asked++;
    }
}

static void want_tick(struct keeper *keeper, int64_t delay_ms)
{
    if (!loop_timer_is_set(keeper->sts.timer) || delay_ms == 0)
        loop_timer_set(keeper->sts.timer, delay_ms);
}

void sts_scout_came(struct keeper *keeper)
{
    want_tick(keeper, 0);
}

static void enqueue(struct keeper *keeper, struct domain_sts *sts, struct list *list)
{
    if (sts->is_asked || keeper->is_draining)
        return;
    list_remove(&sts->turn);
    list_push_back(list, &sts->turn);
    pump(keeper);
}

/* ---- mail that waits ---- */

static void unpark(struct keeper *keeper, struct domain_sts *sts)
{
    if (!list_is_linked(&sts->parked))
        return;
    list_remove(&sts->parked);
    schedule_unpark(keeper, domain_of(sts));
}

bool sts_must_wait(struct keeper *keeper, struct domain *domain)
{
    struct domain_sts *sts = &domain->sts;
    int64_t now_ms = loop_now_ms();

    if (sts->kept != NULL && is_expired(keeper, &sts->kept->row, clock_unix_ms())) {
        forget_kept(sts);
        sts->is_known = false;
    }
    if (sts->is_known && now_ms < sts->look_ms)
        return false;
    if (!keeper->settings->sts.enabled || is_ours(keeper, domain) || domain->row.id == 0)
        return false;
    if (!sts->is_known && load(keeper, domain))
        sts->is_known = true;
    if (sts->is_known) {
        /* Mail does not wait for this; and not again before there was an answer. */
        sts->look_ms = now_ms + STS_WAIT_MAX_MS;
        enqueue(keeper, sts, &keeper->sts.later);
        return false;
    }
    /* Asked once for each job of the domain: it waits since the first. */
    if (!list_is_linked(&sts->parked)) {
        sts->parked_ms = now_ms;
        list_push_back(&keeper->sts.parked, &sts->parked);
    }
    enqueue(keeper, sts, &keeper->sts.first);
    want_tick(keeper, TICK_MS);
    return true;
}

/* Nobody could say anything for so long: as without a policy, and look again soon. */
static void end_long_waits(struct keeper *keeper, int64_t now_ms)
{
    struct list_link *link;

    while ((link = list_first(&keeper->sts.parked)) != NULL) {
        struct domain_sts *sts = LIST_ELEMENT(link, struct domain_sts, parked);

        if (now_ms - sts->parked_ms < STS_WAIT_MAX_MS)
            return;
        LOG(LOG_INFO, "keeper.sts_not_waited_for",
            log_cstr("domain", domain_of(sts)->row.name_cstr));
        sts->is_known = true;
        sts->look_ms = now_ms + STS_UNKNOWN_MS;
        unpark(keeper, sts);
    }
}

/* ---- answers ---- */

static void log_change(const struct domain *domain, const struct store_sts *before,
                       const struct store_sts *now)
{
    struct log_field name = log_cstr("domain", domain->row.name_cstr);
    int64_t now_ms = clock_unix_ms();

    if (now == NULL)
        return;
    if (before == NULL || before->fetched_ms != now->fetched_ms)
        LOG(LOG_DEBUG, "keeper.sts_fetched", name, log_cstr("id", now->id_cstr),
            log_u64("mode", now->mode), log_u64("max_age_s", now->max_age_s));
    if (now->gone_ms != 0 && (before == NULL || before->gone_ms == 0))
        LOG(LOG_INFO, "keeper.sts_record_gone", name, log_cstr("kept_id", now->id_cstr));
    if (sts_is_alarming(now, now_ms) && (before == NULL || !sts_is_alarming(before, now_ms)))
        LOG(LOG_WARN, "keeper.sts_not_fetched", name, log_cstr("kept_id", now->id_cstr),
            log_cstr("announced_id",
                     now->announced_cstr[0] != '\0' ? now->announced_cstr : now->id_cstr),
            log_cstr("why", now->why_cstr), log_i64("kept_until_ms", now->expires_ms));
    if (before != NULL && sts_is_alarming(before, now_ms) && !sts_is_alarming(now, now_ms))
        LOG(LOG_INFO, "keeper.sts_fetched_again", name, log_cstr("id", now->id_cstr));
}

/* The row was written: memory goes by it. What waits for a policy that can be met is tried at once. */
static void after_learned(struct keeper *keeper, uint64_t domain_id, uint64_t b, uint64_t c)
{
    struct domain *domain = domain_get(keeper, domain_id);
    struct sts_kept *before;

    (void)b;
    (void)c;
    if (domain == NULL)
        return;
    before = domain->sts.kept;
    domain->sts.kept = NULL;
    load(keeper, domain);
    log_change(domain, before != NULL ? &before->row : NULL,
               domain->sts.kept != NULL ? &domain->sts.kept->row : NULL);
    if (domain->sts.is_doubted && before != NULL && domain->sts.kept != NULL &&
        before->row.fetched_ms != domain->sts.kept->row.fetched_ms) {
        domain->sts.is_doubted = false;
        queue_retry_domain(keeper, domain_id);
    }
    free(before);
    domain->sts.is_known = true;
    keeper->sts.is_counted = false;
    unpark(keeper, &domain->sts);
}

static void run_learn(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    struct store_sts row;
    struct buffer texts;
    int64_t now_ms = clock_unix_ms();
    bool has_row;

    buffer_init(&texts, STORE_STS_TEXTS_MAX_BYTES);
    has_row = store_sts_get(keeper->store, task->a, &row, &texts) &&
              !is_expired(keeper, &row, now_ms);
    if (!has_row)
        row = (struct store_sts){.domain = task->a};
    if (sts_learn(&row, has_row, &message->sts_found, keeper->settings->sts.pause_ms, now_ms))
        store_sts_put(keeper->store, &row);
    inbox_after(keeper, after_learned, task->a, 0, 0);
    buffer_deinit(&texts);
}

static const struct task_kind kind_learn = {.name_cstr = "sts", .run = run_learn};

static void on_found(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                     const union ipc_any *answer)
{
    struct domain *domain = domain_get(keeper, ask->a);
    const struct ipc_sts_found *found = answer == NULL ? NULL : &answer->sts_found;
    struct domain_sts *sts;

    keeper->sts.asked--;
    want_tick(keeper, answer == NULL ? TICK_MS : 0);
    if (domain == NULL)
        return;
    sts = &domain->sts;
    sts->is_asked = false;
    if (answer == NULL || type != IPC_STS_FOUND) {
        /* The scout died: the next one is asked again, by the tick. */
        list_push_back(list_is_linked(&sts->parked) ? &keeper->sts.first : &keeper->sts.later,
                       &sts->turn);
        return;
    }
    sts->is_unfetched =
        found->outcome == STS_OUTCOME_UNFETCHED || found->outcome == STS_OUTCOME_INVALID;
    sts->failures = sts->is_unfetched ? sts->failures + 1 : 0;
    sts->look_ms =
        loop_now_ms() + sts_look_after_ms(found, sts->failures, keeper->settings->sts.pause_ms);
    if (sts->is_unfetched && sts->kept == NULL && sts->failures == 1)
        LOG(LOG_INFO, "keeper.sts_never_fetched", log_cstr("domain", domain->row.name_cstr),
            log_text("announced_id", found->id), log_text("why", found->why));
    if (found->outcome == STS_OUTCOME_POLICY || sts->kept != NULL) {
        inbox_put_own(keeper, &kind_learn, type, answer, NULL, ask->a, 0, 0);
        return;
    }
    sts->is_known = true;
    unpark(keeper, sts);
}

/* ---- use ---- */

static void run_use(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    (void)unused;
    store_sts_use(keeper->store, task->a, (int64_t)task->b);
}

static const struct task_kind kind_use = {
    .name_cstr = "sts-use", .is_lazy = true, .run = run_use};

static void note_use(struct keeper *keeper, struct domain *domain, struct store_sts *row,
                     int64_t now_ms)
{
    if (now_ms - row->used_ms < DAY_MS && row->used_ms <= now_ms)
        return;
    row->used_ms = now_ms;
    inbox_put_own(keeper, &kind_use, IPC_NONE, NULL, NULL, domain->row.id, (uint64_t)now_ms, 0);
}

void sts_fill(struct keeper *keeper, struct domain *domain, struct ipc_deliver *deliver)
{
    sts_look(keeper, domain, deliver);
    if (deliver->sts_id.len > 0)
        note_use(keeper, domain, &domain->sts.kept->row, clock_unix_ms());
}

void sts_look(struct keeper *keeper, const struct domain *domain, struct ipc_deliver *deliver)
{
    struct sts_kept *kept = domain->sts.kept;
    int64_t now_ms = clock_unix_ms();

    deliver->sts = domain->sts.is_unfetched ? STS_UNFETCHED : STS_NONE;
    deliver->sts_id = deliver->sts_mx = slice_of("", 0);
    if (!keeper->settings->sts.enabled || is_ours(keeper, domain)) {
        deliver->sts = STS_NONE;
        return;
    }
    if (kept == NULL || is_expired(keeper, &kept->row, now_ms))
        return;
    deliver->sts = sts_state_of(&kept->row);
    deliver->sts_id = slice_from_cstr(kept->row.id_cstr);
    if (deliver->sts != STS_NONE)
        deliver->sts_mx = kept->row.mx;
}

void sts_judge(struct domain *domain, const struct ipc_deliver *deliver, bool is_delivered)
{
    struct domain_sts *sts = &domain->sts;
    int64_t now_ms = loop_now_ms();

    if (is_delivered || sts->kept == NULL ||
        (deliver->sts != STS_ENFORCE && deliver->sts != STS_KEPT))
        return;
    sts->is_doubted = true;
    if (sts->asked_ms == 0 || now_ms - sts->asked_ms >= DOUBT_MS)
        sts->look_ms = now_ms;
}

/* ---- time ---- */

static void run_purge(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    (void)task;
    (void)unused;
    store_sts_purge(keeper->store, clock_unix_ms() - DAY_MS);
}

static const struct task_kind kind_purge = {
    .name_cstr = "sts-purge", .is_lazy = true, .run = run_purge};

/* Fetch anew what has lived half of its time, or a day, and is in use. */
static void sweep(struct keeper *keeper)
{
    uint64_t due[DUE_MAX];
    int64_t now_ms = clock_unix_ms();
    size_t count =
        keeper->settings->sts.enabled
            ? store_sts_due(keeper->store, now_ms, now_ms - STS_USED_MS, due, DUE_MAX)
            : 0;

    for (size_t i = 0; i < count; i++) {
        struct domain *domain = domain_get(keeper, due[i]);

        if (domain == NULL || is_ours(keeper, domain) || domain->sts.is_asked ||
            list_is_linked(&domain->sts.turn))
            continue;
        if (domain->sts.kept == NULL)
            domain->sts.is_known = load(keeper, domain);
        enqueue(keeper, &domain->sts, &keeper->sts.later);
    }
    if (clock_doubt_ms(keeper) == 0 && !keeper->inbox.is_failing &&
        loop_now_ms() - keeper->sts.purged_ms >= PURGE_MS) {
        keeper->sts.purged_ms = loop_now_ms();
        inbox_put_own(keeper, &kind_purge, IPC_NONE, NULL, NULL, 0, 0, 0);
    }
}

static void count(struct keeper *keeper)
{
    int64_t now_ms = clock_unix_ms();
    uint64_t policies, failing;

    store_sts_count(keeper->store, now_ms, now_ms - STS_QUIET_MS, &policies, &failing);
    STAT_SET(STS_POLICIES, policies);
    STAT_SET(STS_NOT_FETCHED, failing);
    keeper->sts.is_counted = true;
}

static void on_tick(void *context)
{
    struct keeper *keeper = context;
    struct sts *all = &keeper->sts;
    int64_t now_ms = loop_now_ms();

    end_long_waits(keeper, now_ms);
    if (now_ms - all->swept_ms >= SWEEP_MS || all->swept_ms == 0) {
        all->swept_ms = now_ms;
        sweep(keeper);
        all->is_counted = false;
    }
    if (!all->is_counted)
        count(keeper);
    pump(keeper);
    want_tick(keeper, list_is_empty(&all->parked) && list_is_empty(&all->first) &&
                              list_is_empty(&all->later)
                          ? SWEEP_MS
                          : TICK_MS);
}

void sts_init(struct keeper *keeper)
{
    struct sts *all = &keeper->sts;

    list_init(&all->first);
    list_init(&all->later);
    list_init(&all->parked);
    all->timer = loop_timer_new(keeper->loop, on_tick, keeper);
    loop_timer_set(all->timer, TICK_MS);
}

void sts_deinit(struct keeper *keeper)
{
    loop_timer_free(&keeper->sts.timer);
}
