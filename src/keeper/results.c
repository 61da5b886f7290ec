/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/results.h"

#include "base/log.h"
#include "crypto/random.h"
#include "keeper/evidence.h"
#include "keeper/feedback.h"
#include "keeper/internal.h"
#include "keeper/portal_copy.h"
#include "keeper/replan.h"
#include "keeper/silence.h"

#include <stdio.h>
#include <string.h>

int64_t retry_delay_ms(unsigned attempts, int64_t first_ms, int64_t max_ms, uint64_t random)
{
    int64_t delay_ms = first_ms < 1 ? 1 : first_ms;

    for (unsigned i = 1; i < attempts && delay_ms < max_ms; i++)
        delay_ms *= 2;
    if (delay_ms > max_ms)
        delay_ms = max_ms;
    return delay_ms - delay_ms / 4 + (int64_t)(random % (uint64_t)(delay_ms / 2 + 1));
}

bool results_reports(const struct store_recipient *row, bool has_sender,
                     enum recipient_owes what)
{
    if (!has_sender || (row->notify & 1) != 0)
        return false;
    switch (what) {
    case OWES_FAILURE:
        return row->notify == 0 || (row->notify & 4) != 0;
    case OWES_DELAY:
        return row->notify == 0 || (row->notify & 8) != 0;
    case OWES_SUCCESS:
        return (row->notify & 2) != 0;
    case OWES_RECEIPT:
        break;
    }
    return true;
}

/* ---- after the commit ---- */

static void after_done(struct keeper *keeper, uint64_t message, uint64_t number,
                       uint64_t unused)
{
    (void)unused;
    schedule_done(keeper, message, number);
}

static void after_add(struct keeper *keeper, uint64_t message, uint64_t number, uint64_t place)
{
    schedule_add(keeper, message, number, schedule_place_read(place));
}

static void after_note(struct keeper *keeper, uint64_t due_ms, uint64_t b, uint64_t c)
{
    (void)b;
    (void)c;
    schedule_note_due(keeper, (int64_t)due_ms);
}

void results_forget(struct keeper *keeper, uint64_t message, uint64_t number)
{
    inbox_after(keeper, after_done, message, number, 0);
}

void results_settle(struct keeper *keeper, const struct store_recipient *row)
{
    inbox_after(keeper, after_done, row->message, row->number, 0);
    if (row->due_ms == RECIPIENT_NOT_DUE)
        return;
    if (row->due_ms <= schedule_stamp(keeper, clock_unix_ms()))
        inbox_after(
            keeper, after_add, row->message, row->number,
            schedule_place_write(schedule_place_of(row->domain, row->flags, row->attempts)));
    else
        inbox_after(keeper, after_note, (uint64_t)row->due_ms, 0, 0);
}

/* ---- one recipient's result ---- */

static void on_delivered(struct keeper *keeper, const struct job *job,
                         struct store_recipient *row, struct evidence *evidence,
                         bool has_passed_duty)
{
    evidence_tell(keeper, row, EVENT_DELIVERED, evidence, 0);
    /* A host that knows reports makes them itself: two would say the same. [RFC 3461 §5.2.1] */
    if (!has_passed_duty && results_reports(row, job->has_sender, OWES_SUCCESS))
        row->owes |= OWES_SUCCESS;
    row->due_ms = row->owes != 0 ? schedule_stamp(keeper, clock_unix_ms()) : RECIPIENT_NOT_DUE;
    story_move(keeper, &job->message, row, MOVE_SENT);
    if (job->kind == KIND_NOTICE)
        portal_notice_sent(keeper, job->parent, job->parent_number, job->message.id);
}

static void on_failed(struct keeper *keeper, const struct job *job, struct store_recipient *row,
                      struct evidence *evidence)
{
    evidence_tell(keeper, row, EVENT_FAILED, evidence, 0);
    if (results_reports(row, job->has_sender, OWES_FAILURE))
        row->owes |= OWES_FAILURE;
    row->due_ms = row->owes != 0 ? schedule_stamp(keeper, clock_unix_ms()) : RECIPIENT_NOT_DUE;
    story_move(keeper, &job->message, row, MOVE_FAIL);
    if (job->kind == KIND_NOTICE)
        portal_notice_bounced(keeper, job->parent, job->parent_number, job->message.id);
}

/* Mail that TLS holds is told of earlier than other mail that is late. */
static bool is_late(const struct settings_delivery *delivery, const struct job *job,
                    const struct store_recipient *row, enum hold hold, int64_t now_ms)
{
    return now_ms - job->accepted_ms >= delivery->delay_notice_ms ||
           (hold != HOLD_NONE && row->unproved_ms != 0 &&
            now_ms - row->unproved_ms >= delivery->policy_notice_ms);
}

static void tell_late(struct keeper *keeper, const struct job *job, struct store_recipient *row)
{
    if ((row->flags & RECIPIENT_DELAY_SAID) != 0)
        return;
    /* A notice has no sender: it is for who sent what it is about. */
    if (job->kind == KIND_NOTICE) {
        row->flags |= RECIPIENT_DELAY_SAID;
        portal_notice_late(keeper, job->parent, job->parent_number);
    } else if (results_reports(row, job->has_sender, OWES_DELAY)) {
        row->flags |= RECIPIENT_DELAY_SAID;
        row->owes |= OWES_DELAY;
        row->due_ms = schedule_stamp(keeper, clock_unix_ms());
    }
}

static void on_later(struct keeper *keeper, const struct job *job, struct store_recipient *row,
                     struct evidence *evidence, enum event_kind kind)
{
    const struct settings_delivery *delivery = &keeper->settings->delivery;
    int64_t now_ms = clock_unix_ms(), age_ms = now_ms - job->accepted_ms;
    bool is_doubted = clock_doubt_ms(keeper) > 0;

    if (age_ms >= deliver_expire_ms(keeper, job->kind) && !is_doubted) {
        on_failed(keeper, job, row, evidence);
        return;
    }
    row->attempts++;
    STAT_ADD(RETRIES, 1);
    row->due_ms = now_ms + retry_delay_ms(row->attempts, delivery->retry_first_ms,
                                          delivery->retry_max_ms, random_u64());
    if (evidence->hold != HOLD_NONE)
        row->due_ms = hold_due_ms(
            evidence->hold, &job->rules, row->unproved_ms,
            (row->flags & RECIPIENT_DELAY_SAID) == 0 ? delivery->policy_notice_ms : -1, now_ms,
            row->due_ms);
    evidence_tell(keeper, row, kind, evidence, row->due_ms);
    if (!is_doubted && is_late(delivery, job, row, evidence->hold, now_ms))
        tell_late(keeper, job, row);
    story_move(keeper, &job->message, row, MOVE_LATER);
}

static struct hold_rules rules_of(const struct job *job, const struct store_recipient *row)
{
    struct hold_rules rules = job->rules;

    rules.is_secure = row->method == METHOD_TLS;
    return rules;
}

/*
 * Put off, perhaps because of TLS: what the domain publishes, or what it did before. Mail for an own domain's next hop
 * has no other way and goes on waiting.
 */
static void on_deferred(struct keeper *keeper, const struct job *job,
                        struct store_recipient *row, struct evidence *evidence,
                        enum event_kind kind)
{
    struct hold_rules rules = rules_of(job, row);
    enum hold_end end = HOLD_GOES_ON;
    int64_t now_ms = clock_unix_ms();
    bool is_held_to_tls = row->requirement.least > PROOF_NONE;

    if (evidence->hold != HOLD_NONE) {
        if (row->unproved_ms == 0)
            row->unproved_ms = now_ms;
        if (job->kind != KIND_INBOUND && clock_doubt_ms(keeper) == 0)
            end = hold_end(evidence->hold, &rules, now_ms - row->unproved_ms);
    }
    if (end == HOLD_LIFT) {
        row->flags |= RECIPIENT_RATCHET_LIFTED;
        LOG(LOG_WARN, "keeper.ratchet_lifted", log_id("message", row->message),
            log_text("domain", job->deliver.domain));
    }
    if (end == HOLD_GOES_ON || (end == HOLD_LIFT && !is_held_to_tls)) {
        on_later(keeper, job, row, evidence, kind);
        if (end == HOLD_LIFT && row->owes == 0 &&
            !state_is_end((enum recipient_state)row->state)) {
            row->due_ms = schedule_stamp(keeper, now_ms);
            store_recipient_update(keeper->store, row);
        }
        return;
    }
    evidence_tell(keeper, row, EVENT_NOT_PROVED, evidence, 0);
    if (end == HOLD_REPLAN && !rules.is_secure)
        row->flags |= RECIPIENT_UNMET;
    store_recipient_update(keeper->store, row);
    replan_write(keeper, row);
}

/*
 * The proof was not to be had. A domain that has shown it before gets time to come back; then, or when
 * it never had it, another method is chosen. REQUIRETLS is not waited for [RFC 8689 §4.2.1].
 */
static void on_not_proved(struct keeper *keeper, const struct job *job,
                          struct store_recipient *row, struct evidence *evidence,
                          const struct ipc_delivered *delivered, enum domain_tls before)
{
    bool is_requiretls = row->requirement.requiretls && delivered->row == 1;
    bool is_vain = replan_is_vain(keeper, row->message, row->number);
    int64_t now_ms = clock_unix_ms();

    if (row->unproved_ms == 0)
        row->unproved_ms = now_ms;
    if (row->method == METHOD_REGULAR && before == DOMAIN_TLS_PROVED &&
        keeper->settings->delivery.ratchet > 0) {
        on_deferred(keeper, job, row, evidence, EVENT_NOT_PROVED);
        return;
    }
    forward_missed(job->domain, row);
    if (is_vain || (!is_requiretls && !policy_replan_now(before, now_ms - row->unproved_ms,
                                                         job->rules.tls_retry_ms))) {
        if (is_requiretls)
            on_failed(keeper, job, row, evidence);
        else
            on_later(keeper, job, row, evidence, EVENT_NOT_PROVED);
        return;
    }
    evidence_tell(keeper, row, EVENT_NOT_PROVED, evidence, 0);
    /* What was missed beyond a proved connection is this account's matter, not every account's. */
    if (!is_requiretls && delivered->level < PROOF_VERIFIED)
        domain_learn(keeper, job->domain,
                     &(struct domain_lesson){.is_lacking = true,
                                             .mx = evidence->texts[0],
                                             .detail = evidence->texts[7]});
    store_recipient_update(keeper->store, row);
    replan_write(keeper, row);
}

/* The remote text may name the recipient: it is in the sealed story, not here. */
static void log_result(const struct ipc_deliver *deliver, const struct ipc_delivered *delivered,
                       const struct ipc_result *result, enum delivery_outcome outcome)
{
    static const char *const names[OUTCOME_COUNT] = {
        [OUTCOME_DELIVERED] = "keeper.delivered",
        [OUTCOME_TEMPORARY] = "keeper.deferred",
        [OUTCOME_PERMANENT] = "keeper.failed",
        [OUTCOME_NOT_PROVED] = "keeper.not_proved",
    };
    enum proof_level level =
        delivered->level < PROOF_COUNT ? (enum proof_level)delivered->level : PROOF_NONE;

    LOG(LOG_INFO, names[outcome], log_id("message", deliver->message),
        log_u64("recipient", result->recipient), log_text("domain", deliver->domain),
        log_text("mx", delivered->mx), log_text("route", deliver->route),
        log_text("tls", delivered->tls), log_cstr("proof", proof_level_name(level)),
        log_u64("code", result->code), log_text("status", result->enhanced));
}

static void count_result(struct keeper *keeper, const struct job *job,
                         const struct ipc_delivered *delivered, enum delivery_outcome outcome)
{
    struct outbound *route = routes_find(keeper, job->deliver.route);

    if (route != NULL)
        route->counts[outcome]++;
    stats.numbers[STAT_OUTCOME_DELIVERED + (unsigned)outcome]++;
    if (outcome != OUTCOME_DELIVERED) {
        job->domain->deferred += outcome == OUTCOME_TEMPORARY ? 1 : 0;
        return;
    }
    job->domain->delivered++;
    if (delivered->level < PROOF_COUNT)
        stats.numbers[STAT_PROOF_NONE + (unsigned)delivered->level]++;
}

static void apply(struct keeper *keeper, const struct job *job, struct store_recipient *row,
                  const struct ipc_delivered *delivered, const struct ipc_result *result,
                  enum domain_tls before)
{
    struct evidence evidence;
    enum delivery_outcome outcome = result->outcome < OUTCOME_COUNT
                                        ? (enum delivery_outcome)result->outcome
                                        : OUTCOME_TEMPORARY;

    evidence_fill(delivered, result, &evidence);
    evidence_find_hold(keeper, job, row, delivered, result, &evidence);
    log_result(&job->deliver, delivered, result, outcome);
    count_result(keeper, job, delivered, outcome);
    switch (outcome) {
    case OUTCOME_DELIVERED:
        on_delivered(keeper, job, row, &evidence, delivered->dsn);
        break;
    case OUTCOME_TEMPORARY:
    case OUTCOME_COUNT:
        on_deferred(keeper, job, row, &evidence, EVENT_DEFERRED);
        break;
    case OUTCOME_PERMANENT:
        on_failed(keeper, job, row, &evidence);
        break;
    case OUTCOME_NOT_PROVED:
        on_not_proved(keeper, job, row, &evidence, delivered, before);
        break;
    }
    results_settle(keeper, row);
}

/* ---- a job's results ---- */

static struct ipc_result result_of(const struct ipc_delivered *delivered, uint64_t number)
{
    struct slice rest = delivered->results;
    struct ipc_result item;

    while (ipc_list_next(&rest, IPC_RESULT, &item) == PROGRESS_DONE)
        if (item.recipient == number + 1)
            return item;
    return (struct ipc_result){.recipient = number + 1,
                               .outcome = OUTCOME_TEMPORARY,
                               .enhanced = S(""),
                               .reply = S("the courier gave no result")};
}

static bool has_delivered(const struct ipc_delivered *delivered)
{
    struct slice rest = delivered->results;
    struct ipc_result item;

    while (ipc_list_next(&rest, IPC_RESULT, &item) == PROGRESS_DONE)
        if (item.outcome == OUTCOME_DELIVERED)
            return true;
    return false;
}

/* Also when a route was taken: that is the way that this domain's mail goes. */
static void learn(struct keeper *keeper, const struct job *job,
                  const struct ipc_delivered *delivered)
{
    if (feedback_is_by_smart_host(keeper, job))
        return;
    if (has_delivered(delivered) && delivered->level < PROOF_COUNT)
        domain_learn(
            keeper, job->domain,
            &(struct domain_lesson){.level = (enum proof_level)delivered->level,
                                    .mx_proof = delivered->mx_proof < MX_PROOF_COUNT
                                                    ? (enum mx_proof)delivered->mx_proof
                                                    : MX_PROOF_NONE,
                                    .mx = delivered->mx,
                                    .detail = delivered->unverified_why});
    if (delivered->tls.len > 0 && delivered->mx.len > 0)
        memory_note_tls(keeper, job->deliver.domain, delivered->mx, delivered->small_hello);
    board_note_use(keeper, job->domain);
}

static void run_results(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct ipc_delivered *delivered = &message->delivered;
    const struct job *job = task->context;
    enum domain_tls before = domain_tls_state(job->domain, job->need, clock_unix_ms());

    learn(keeper, job, delivered);
    for (size_t i = 0; i < job->count; i++) {
        struct store_recipient row = job->rows[i]; /* a copy: this may run again */
        struct ipc_result result = result_of(delivered, row.number);

        apply(keeper, job, &row, delivered, &result, before);
    }
}

static void release_job(struct keeper *keeper, struct task *task)
{
    struct job *job = task->context;

    job_free(keeper, &job);
}

static const struct task_kind kind_results = {
    .name_cstr = "results", .is_lazy = true, .run = run_results, .release = release_job};

void results_take(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                  const union ipc_any *message)
{
    struct job *job = deliver_take_job(keeper, peer->id, message->delivered.job);

    if (job == NULL && routes_take_probe(keeper, &message->delivered))
        return;
    if (job == NULL) {
        LOG(LOG_WARN, "keeper.job_unknown", log_u64("job", message->delivered.job));
        return;
    }
    schedule_wake(keeper);
    if (feedback_take(keeper, job, &message->delivered)) {
        job_free(keeper, &job);
        return;
    }
    if (!feedback_is_by_smart_host(keeper, job)) {
        sts_judge(job->domain, &job->deliver, has_delivered(&message->delivered));
        tls_counts_take(keeper, job, &message->delivered);
    }
    inbox_put_own(keeper, &kind_results, type, message, job, 0, 0, 0);
}

void results_put_local(struct keeper *keeper, struct job *job, enum delivery_outcome outcome,
                       struct slice enhanced, struct slice reply)
{
    struct ipc_delivered delivered = {.job = job->id};
    struct buffer list;

    buffer_init(&list, 1 << 20);
    for (size_t i = 0; i < job->count; i++) {
        struct ipc_result result = {.recipient = job->rows[i].number + 1,
                                    .outcome = outcome,
                                    .enhanced = enhanced,
                                    .reply = reply};

        must(ipc_list_append(&list, IPC_RESULT, &result));
    }
    delivered.results = buffer_view(&list);
    inbox_put_own(keeper, &kind_results, IPC_DELIVERED, &delivered, job, 0, 0, 0);
    buffer_deinit(&list);
}

/* ---- work of the keeper alone ---- */

static void give_up(struct keeper *keeper, const struct store_message *message,
                    struct store_recipient *row)
{
    struct job job = {.message = story_message_of(message),
                      .kind = message->kind,
                      .parent = message->parent,
                      .parent_number = message->parent_number,
                      .has_sender = message->sender != 0 && (message->kind == KIND_SUBMITTED ||
                                                             message->kind == KIND_INBOUND)};
    struct evidence evidence;

    evidence_fill(&(struct ipc_delivered){.mx = S("")},
                  &(struct ipc_result){.enhanced = S("4.4.7"),
                                       .reply = S("it could not be delivered in time")},
                  &evidence);
    STAT_ADD(EXPIRED, 1);
    on_failed(keeper, &job, row, &evidence);
    results_settle(keeper, row);
}

static void run_work(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    enum work work = (enum work)task->c;
    int64_t doubt_ms = clock_doubt_ms(keeper);
    struct store_message message;
    struct store_recipient row;

    (void)unused;
    if (!store_message_get(keeper->store, task->a, &message) ||
        !store_recipient_get(keeper->store, task->a, task->b, &row)) {
        results_forget(keeper, task->a, task->b);
        return;
    }
    if ((work == WORK_TOO_OLD || work == WORK_EXPIRE) && doubt_ms > 0) {
        row.due_ms = clock_unix_ms() + doubt_ms;
        store_recipient_update(keeper->store, &row);
        results_settle(keeper, &row);
    } else if (work == WORK_TOO_OLD) {
        give_up(keeper, &message, &row);
    } else if (work == WORK_REPLAN) {
        replan_write(keeper, &row);
        results_settle(keeper, &row);
    } else if (work == WORK_HOLD) {
        row.is_held = true;
        row.due_ms = RECIPIENT_NOT_DUE;
        store_recipient_update(keeper->store, &row);
        results_settle(keeper, &row);
    } else {
        portal_expire(keeper, &message, &row);
        results_settle(keeper, &row);
    }
}

static const struct task_kind kind_work = {
    .name_cstr = "work", .is_lazy = true, .run = run_work};

void results_put_work(struct keeper *keeper, struct item *item, enum work work)
{
    inbox_put_own(keeper, &kind_work, IPC_NONE, NULL, NULL, item->message, item->number,
                  (uint64_t)work);
}
