/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/forward.h"

#include "base/log.h"
#include "keeper/internal.h"
#include "keeper/plan.h"

#include <stdlib.h>

enum { MEMORY_MAX_BYTES = 256 << 20, WANT_AGAIN_MS = 10 * 60 * 1000 };

void forwards_init(struct forwards *forwards)
{
    *forwards = (struct forwards){.memory = arena_new(MEMORY_MAX_BYTES)};
    map_init(&forwards->by_address);
}

void forwards_deinit(struct forwards *forwards)
{
    map_deinit(&forwards->by_address);
    free(forwards->all);
    arena_free(&forwards->memory);
}

/* ---- looking up ---- */

static struct forward_source *find_source(const struct keeper *keeper,
                                          const struct forwards *forwards, struct slice address)
{
    struct forward_source *source =
        map_get(&forwards->by_address, domain_hash(&keeper->domains, address));

    while (source != NULL && !slice_equal_nocase(source->address, address))
        source = source->next_same;
    return source;
}

struct forward_source *forward_source_find(const struct keeper *keeper, struct slice address)
{
    return find_source(keeper, &keeper->forwards, address);
}

struct forward_source *forward_source_for(const struct keeper *keeper, struct slice address)
{
    struct forward_source *source;
    struct slice domain = address_domain(address);

    if (keeper->forwards.count == 0)
        return NULL;
    source = forward_source_find(keeper, address);
    if (source != NULL || keeper->forwards.catch_alls == 0 || domain.len == 0 ||
        forward_is_at_home(keeper, domain))
        return source;
    return forward_source_find(keeper, slice_of(domain.at - 1, domain.len + 1));
}

/* ---- what is in memory ---- */

static bool take_row(struct keeper *keeper, struct forwards *to,
                     const struct store_forward *row)
{
    struct slice text = store_address_get(keeper->store, row->source);
    struct forward_source *source = find_source(keeper, to, text);
    struct forward *forward = arena_alloc(to->memory, sizeof *forward);
    uint64_t hash = domain_hash(&keeper->domains, text);

    if (forward == NULL || text.len == 0)
        return false;
    if (source == NULL) {
        source = arena_alloc(to->memory, sizeof *source);
        if (source == NULL)
            return false;
        source->address = arena_copy(to->memory, text);
        source->next_same = map_get(&to->by_address, hash);
        map_put(&to->by_address, hash, source);
        to->catch_alls += slice_starts_with(text, S("@")) ? 1 : 0;
    }
    forward->row = *row;
    forward->source = source;
    forward->target = arena_copy(to->memory, store_address_get(keeper->store, row->target));
    if (source->first == NULL)
        source->first = forward;
    else
        source->last->next = forward;
    source->last = forward;
    to->all = realloc(to->all, (to->count + 1) * sizeof(struct forward *));
    must(to->all != NULL);
    to->all[to->count++] = forward;
    return source->address.len > 0 && forward->target.len > 0;
}

/* Its addresses cannot be read: the others go on without it. */
static bool is_damaged(struct keeper *keeper, const struct store_forward *row)
{
    return store_address_get(keeper->store, row->source).len == 0 ||
           store_address_get(keeper->store, row->target).len == 0;
}

/* False: it could not be read (or does not fit); what was known stays. */
static bool read_all(struct keeper *keeper)
{
    struct forwards fresh;
    struct store_forward row = {0};
    bool is_whole = true;

    forwards_init(&fresh);
    while (is_whole && store_forward_next(keeper->store, row.id, &row))
        if (is_damaged(keeper, &row))
            LOG(LOG_ERROR, "keeper.forward_damaged", log_u64("forward", row.id));
        else
            is_whole = take_row(keeper, &fresh, &row);
    if (!is_whole || store_is_troubled(keeper->store, NULL)) {
        LOG(LOG_ERROR, "keeper.forwards_not_read", log_u64("read", fresh.count));
        forwards_deinit(&fresh);
        return false;
    }
    forwards_deinit(&keeper->forwards);
    keeper->forwards = fresh;
    return true;
}

static void after_change(struct keeper *keeper, uint64_t a, uint64_t b, uint64_t c)
{
    (void)a;
    (void)b;
    (void)c;
    (void)read_all(keeper);
}

void forwards_changed(struct keeper *keeper)
{
    inbox_after(keeper, after_change, 0, 0, 0);
}

/* ---- forward_tls_only ---- */

const char *forward_state_name(enum forward_state state)
{
    static const char *const names[FORWARD_STATE_COUNT] = {
        [FORWARD_ACTIVE] = "active", [FORWARD_SHUT] = "disabled", [FORWARD_BARRED] = "barred",
        [FORWARD_HELD] = "held",     [FORWARD_IDLE] = "idle",
    };

    must((unsigned)state < FORWARD_STATE_COUNT);
    return names[state];
}

static bool switch_is_on(const struct keeper *keeper, struct slice address)
{
    const struct settings_domain *domain =
        settings_domain_find(keeper->settings, address_domain(address));

    return keeper->settings->forward_tls_only || (domain != NULL && domain->forward_tls_only);
}

bool forward_is_bound(const struct keeper *keeper, struct slice via)
{
    while (via.len > 0)
        if (switch_is_on(keeper, slice_cut(&via, '\n')))
            return true;
    return false;
}

bool forward_is_at_home(const struct keeper *keeper, struct slice domain)
{
    const struct settings_domain *own = settings_domain_find(keeper->settings, domain);

    return own != NULL && own->next_hop_cstr[0] != '\0';
}

bool forward_must_prove(const struct keeper *keeper, struct slice via, const struct domain *to)
{
    return forward_is_bound(keeper, via) &&
           !forward_is_at_home(keeper, slice_from_cstr(to->row.name_cstr));
}

/*
 * Verified or better, whatever else an account takes for good enough: TLS with whoever is there stops no active
 * attacker, and to bar those is what the switch is for.
 */
enum domain_tls forward_target_tls(struct keeper *keeper, struct slice target)
{
    static const struct domain_need verified = {.level = PROOF_VERIFIED};
    const struct domain *domain = domain_find(keeper, address_domain(target));
    enum domain_tls state = DOMAIN_TLS_UNKNOWN;

    /* Other mail still waits for it to come back, as it may: here the last connection counts. */
    if (domain != NULL)
        state = domain->is_missed ? DOMAIN_TLS_LACKING
                                  : domain_tls_state(domain, verified, clock_unix_ms());
    if (state == DOMAIN_TLS_UNKNOWN &&
        board_verdict(keeper, address_domain(target)) >= BOARD_VERIFIED)
        return DOMAIN_TLS_PROVED;
    return state;
}

void forward_missed(struct domain *domain, const struct store_recipient *row)
{
    if ((row->flags & RECIPIENT_FORWARDED) == 0 || row->requirement.least < PROOF_VERIFIED)
        return;
    if (!domain->is_missed)
        LOG(LOG_WARN, "keeper.forward_held", log_id("message", row->message),
            log_cstr("domain", domain->row.name_cstr));
    domain->is_missed = true;
}

static void after_want(struct keeper *keeper, uint64_t id, uint64_t b, uint64_t c)
{
    const struct domain *domain = domain_get(keeper, id);

    (void)b;
    (void)c;
    if (domain != NULL)
        board_want_test(keeper, slice_from_cstr(domain->row.name_cstr));
}

void forward_want_test(struct keeper *keeper, struct slice target)
{
    struct domain *domain = domain_find(keeper, address_domain(target));
    int64_t now_ms = loop_now_ms();

    if (domain == NULL ||
        (domain->wanted_ms != 0 && now_ms - domain->wanted_ms < WANT_AGAIN_MS))
        return;
    domain->wanted_ms = now_ms;
    if (keeper->inbox.is_running)
        inbox_after(keeper, after_want, domain->row.id, 0, 0);
    else
        after_want(keeper, domain->row.id, 0, 0);
}

static enum forward_state judge_target(struct keeper *keeper, const struct forward *forward,
                                       const char **why_out)
{
    bool was_allowed = (forward->row.flags & FORWARD_ALLOWED) != 0;

    switch (forward_target_tls(keeper, forward->target)) {
    case DOMAIN_TLS_PROVED:
        return FORWARD_ACTIVE;
    case DOMAIN_TLS_UNKNOWN:
    case DOMAIN_TLS_COUNT:
        forward_want_test(keeper, forward->target);
        *why_out = was_allowed ? "forward_tls_only: its domain's TLS has not come back yet"
                               : "forward_tls_only: its domain's TLS was never proved";
        break;
    case DOMAIN_TLS_LACKING:
        forward_want_test(keeper, forward->target);
        *why_out = was_allowed ? "forward_tls_only: its domain has lost its TLS"
                               : "forward_tls_only: its domain's TLS was tried and not proved";
        break;
    }
    return was_allowed ? FORWARD_HELD : FORWARD_BARRED;
}

enum forward_state forward_judge(struct keeper *keeper, const struct forward *forward,
                                 const char **why_out)
{
    const char *unheard_cstr;

    if (why_out == NULL)
        why_out = &unheard_cstr;
    *why_out = "";
    if ((forward->row.flags & FORWARD_OFF) != 0) {
        *why_out = "disabled by the operator";
        return FORWARD_SHUT;
    }
    if (slice_starts_with(forward->source->address, S("@")) &&
        forward_is_at_home(keeper, address_domain(forward->source->address))) {
        *why_out = "the domain has a next hop: that catches all";
        return FORWARD_IDLE;
    }
    if (!switch_is_on(keeper, forward->source->address) ||
        forward_is_at_home(keeper, address_domain(forward->target)) ||
        forward_source_find(keeper, forward->target) != NULL)
        return FORWARD_ACTIVE;
    return judge_target(keeper, forward, why_out);
}

/* ---- the settings' part of the table ---- */

static const struct settings_alias *alias_of(const struct keeper *keeper, struct slice address)
{
    for (size_t i = 0; i < keeper->settings->alias_count; i++)
        if (slice_equal_nocase(slice_from_cstr(keeper->settings->aliases[i].address_cstr),
                               address))
            return &keeper->settings->aliases[i];
    return NULL;
}

static bool is_in_settings(const struct keeper *keeper, const struct forward *forward)
{
    const struct settings_alias *alias = alias_of(keeper, forward->source->address);

    for (size_t i = 0; alias != NULL && i < alias->to_count; i++)
        if (slice_equal_nocase(slice_from_cstr(alias->to[i]), forward->target))
            return true;
    return false;
}

static bool is_known(const struct keeper *keeper, struct slice source_text, struct slice target)
{
    const struct forward_source *source = forward_source_find(keeper, source_text);

    for (struct forward *f = source == NULL ? NULL : source->first; f != NULL; f = f->next)
        if (slice_equal_nocase(f->target, target))
            return true;
    return false;
}

static void add_from_settings(struct keeper *keeper, const struct settings_alias *alias)
{
    struct slice address = slice_from_cstr(alias->address_cstr);

    for (size_t i = 0; i < alias->to_count; i++) {
        struct slice target = slice_from_cstr(alias->to[i]);
        struct store_forward row = {.flags = FORWARD_FROM_SETTINGS, .made_ms = clock_unix_ms()};

        bool is_twice = is_known(keeper, address, target);

        for (size_t j = 0; j < i; j++)
            is_twice = is_twice || slice_equal_nocase(slice_from_cstr(alias->to[j]), target);
        if (is_twice)
            continue;
        row.source = store_address_put(keeper->store, address);
        row.target = store_address_put(keeper->store, target);
        store_forward_put(keeper->store, &row);
    }
}

/* Inside of a batch: what is new in the settings comes in, what is gone from them goes. */
static void write_settings(struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->forwards.count; i++) {
        const struct forward *forward = keeper->forwards.all[i];

        if ((forward->row.flags & FORWARD_FROM_SETTINGS) != 0 &&
            !is_in_settings(keeper, forward))
            store_forward_remove(keeper->store, forward->row.id);
    }
    for (size_t i = 0; i < keeper->settings->alias_count; i++)
        add_from_settings(keeper, &keeper->settings->aliases[i]);
}

/*
 * Inside of a batch, the table read anew: who was allowed under the switch is remembered, so that lost TLS holds mail
 * rather than turn it away. Without the switch nothing is.
 */
static void write_allowed(struct keeper *keeper)
{
    size_t barred = 0, held = 0;

    for (size_t i = 0; i < keeper->forwards.count; i++) {
        struct store_forward row = keeper->forwards.all[i]->row;
        enum forward_state state;

        if (switch_is_on(keeper, keeper->forwards.all[i]->source->address))
            (void)domain_put(keeper, address_domain(keeper->forwards.all[i]->target));
        state = forward_judge(keeper, keeper->forwards.all[i], NULL);
        barred += state == FORWARD_BARRED ? 1 : 0;
        held += state == FORWARD_HELD ? 1 : 0;
        if (!switch_is_on(keeper, keeper->forwards.all[i]->source->address))
            row.flags &= ~(unsigned)FORWARD_ALLOWED;
        else if (state == FORWARD_ACTIVE)
            row.flags |= FORWARD_ALLOWED;
        if (row.flags != keeper->forwards.all[i]->row.flags)
            store_forward_put(keeper->store, &row);
    }
    if (barred + held > 0)
        LOG(LOG_WARN, "keeper.forwards_without_tls", log_u64("barred", barred),
            log_u64("held", held), log_u64("forwards", keeper->forwards.count));
}

void forward_allow(struct keeper *keeper, struct forward *forward)
{
    if ((forward->row.flags & FORWARD_ALLOWED) != 0 ||
        !switch_is_on(keeper, forward->source->address))
        return;
    forward->row.flags |= FORWARD_ALLOWED;
    store_forward_put(keeper->store, &forward->row);
}

static void run_settle(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    (void)task;
    (void)message;
    write_settings(keeper);
    forwards_changed(keeper);
}

static void run_allow(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    (void)task;
    (void)message;
    write_allowed(keeper);
    forwards_changed(keeper);
}

/* Two tasks in two batches: the second looks at what the first has written. */
static const struct task_kind kind_allow = {.name_cstr = "forwards allowed", .run = run_allow};
static const struct task_kind kind_settle = {.name_cstr = "forwards", .run = run_settle};

void forwards_settle(struct keeper *keeper)
{
    if (keeper->settings->alias_count + keeper->forwards.count == 0)
        return;
    inbox_put_own(keeper, &kind_settle, IPC_NONE, NULL, NULL, 0, 0, 0);
    inbox_flush(keeper);
    inbox_put_own(keeper, &kind_allow, IPC_NONE, NULL, NULL, 0, 0, 0);
    inbox_flush(keeper);
}

bool forwards_open(struct keeper *keeper, struct err *err)
{
    if (!read_all(keeper))
        return FAIL(err, ERR_TEMP, "the forwards cannot be read");
    forwards_settle(keeper);
    return true;
}

/* ---- may it be written to? ---- */

void forward_take_check(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                        const union ipc_any *message)
{
    const struct forward_source *source =
        forward_source_for(keeper, message->rcpt_check.address);
    struct ipc_rcpt_result result = {.ask = message->rcpt_check.ask,
                                     .code = 550,
                                     .enhanced = S("5.1.1"),
                                     .text = S("no such mailbox here")};

    (void)type;
    for (struct forward *f = source == NULL ? NULL : source->first; f != NULL; f = f->next) {
        enum forward_state state = forward_judge(keeper, f, NULL);

        if (state == FORWARD_ACTIVE || state == FORWARD_HELD) {
            result = (struct ipc_rcpt_result){
                .ask = message->rcpt_check.ask, .code = 250, .enhanced = S("2.1.5")};
            break;
        }
        result.enhanced = S("5.7.1");
        result.text = S("mail to this address does not go on at present");
    }
    (void)peer_send(keeper, peer->id, IPC_RCPT_RESULT, &result);
}
