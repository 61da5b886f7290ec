/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/tls_reported.h"

#include "base/log.h"
#include "keeper/internal.h"
#include "keeper/results.h"
#include "store/tls_report.h"

#include <stdlib.h>
#include <string.h>

enum { REST_MS = 5000, FUTURE_S = 2 * 24 * 3600, DAY_S = 24 * 3600 };

/* ---- what it says ---- */

/* The domain of ours that this is about; empty: none. */
static struct slice own_domain(const struct keeper *keeper, struct slice name)
{
    const struct settings_domain *own = settings_domain_find(keeper->settings, name);

    return own == NULL ? S("") : slice_from_cstr(own->name_cstr);
}

/* By its policies, else by what the mail says: DANE policies are the hosts'. */
static struct slice domain_of(const struct keeper *keeper,
                              const struct ipc_tls_report_read *report)
{
    struct slice rest = report->lines, domain;
    struct ipc_tls_line line;

    while (ipc_list_next(&rest, IPC_TLS_LINE, &line) == PROGRESS_DONE) {
        domain = own_domain(keeper, line.policy_domain);
        if (domain.len > 0)
            return domain;
    }
    return own_domain(keeper, report->domain);
}

static const char *why_not(const struct keeper *keeper,
                           const struct ipc_tls_report_read *report, struct slice domain)
{
    int64_t now_ms = clock_unix_ms();

    if (!report->is_report)
        return NULL; /* the scribe has said why */
    if (report->signer.len == 0)
        return "it has no DKIM signature, so it does not count";
    if (domain.len == 0)
        return "it is about no domain of ours";
    if (report->begin_s > now_ms / 1000 + FUTURE_S ||
        report->begin_s < (now_ms - keeper->settings->story_keep_ms) / 1000)
        return "the time that it is about cannot be";
    if (store_tls_reported_count(keeper->store, now_ms - DAY_S * INT64_C(1000)) >=
        TLS_REPORTED_DAY_MAX)
        return "too many came today";
    return "";
}

static void add_sums(struct keeper *keeper, const struct ipc_tls_report_read *report,
                     struct slice domain)
{
    struct store_tls_sum sum = {.day = report->begin_s / DAY_S,
                                .organisation = report->organisation};
    size_t room = store_tls_sums(keeper->store, sum.day, domain);
    struct slice rest = report->lines;
    struct ipc_tls_line line;

    room = room < TLS_REPORTED_ROWS_MAX ? TLS_REPORTED_ROWS_MAX - room : 0;
    while (room > 0 && ipc_list_next(&rest, IPC_TLS_LINE, &line) == PROGRESS_DONE) {
        struct slice own = own_domain(keeper, line.policy_domain);

        sum.domain = own.len > 0 ? own : domain;
        sum.policy = line.policy < REPORT_POLICY_COUNT ? (enum tls_report_policy)line.policy
                                                       : REPORT_NO_POLICY;
        sum.result = line.result;
        sum.mx = line.result.len > 0 ? line.mx : S("");
        sum.sessions = line.sessions;
        store_tls_sum_add(keeper->store, &sum);
        room--;
    }
}

static void write_report(struct keeper *keeper, uint64_t message,
                         const struct ipc_tls_report_read *report)
{
    struct slice domain = domain_of(keeper, report);
    const char *why_cstr = why_not(keeper, report, domain);
    struct store_tls_reported row = {.id = message,
                                     .received_ms = clock_unix_ms(),
                                     .begin_s = report->begin_s,
                                     .end_s = report->end_s,
                                     .is_read = why_cstr != NULL && why_cstr[0] == '\0',
                                     .domain = domain,
                                     .organisation = report->organisation,
                                     .report_id = report->report_id,
                                     .signer = report->signer,
                                     .why = why_cstr == NULL ? report->why
                                                             : slice_from_cstr(why_cstr)};

    if (row.is_read && store_tls_reported_put(keeper->store, &row)) {
        add_sums(keeper, report, domain);
        STAT_ADD(TLS_REPORTS_READ, 1);
        LOG(LOG_INFO, "keeper.tls_report_received", log_id("message", message),
            log_text("domain", domain), log_text("organisation", report->organisation));
        return;
    }
    if (row.is_read) {
        row.is_read = false;
        row.why = S("the same report came before");
    }
    STAT_ADD(TLS_REPORTS_UNREAD, 1);
    LOG(LOG_WARN, "keeper.tls_report_unreadable", log_id("message", message),
        log_text("why", row.why));
    if (store_tls_reported_count(keeper->store, row.received_ms - DAY_S * INT64_C(1000)) <
        2 * TLS_REPORTED_DAY_MAX)
        (void)store_tls_reported_put(keeper->store, &row);
}

/* ---- reading ---- */

static void end_row(struct keeper *keeper, const struct store_message *message,
                    struct store_recipient *row)
{
    const struct story_message story = story_message_of(message);
    struct slice texts[12];

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        texts[i] = S("");
    texts[11] = S("taken as a report about TLS, see `postern tls reports`");
    story_tell(keeper, row->message, (int64_t)row->number, EVENT_DELIVERED, texts,
               COUNT_OF(texts));
    row->due_ms = RECIPIENT_NOT_DUE;
    story_move(keeper, &story, row, MOVE_SENT);
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *answer)
{
    static const struct ipc_tls_report_read given_up = {
        .why = SLICE_INIT("reading it ended a process again and again")};
    const struct ask *ask = task->context;
    bool is_lost = task->type != IPC_TLS_REPORT_READ;
    struct store_message message;
    struct store_recipient row;

    if (!store_message_get(keeper->store, ask->message, &message) ||
        !store_recipient_get(keeper->store, ask->message, ask->number, &row)) {
        results_forget(keeper, ask->message, ask->number);
        return;
    }
    if (is_lost && row.attempts + 1 < TLS_REPORTED_TRIES) {
        row.attempts++;
        row.due_ms = clock_unix_ms() + REST_MS;
        store_recipient_update(keeper->store, &row);
    } else {
        /* A message of several recipients, all of which are this address, is read once. */
        if (ask->number == 0)
            write_report(keeper, ask->message, is_lost ? &given_up : &answer->tls_report_read);
        end_row(keeper, &message, &row);
    }
    results_settle(keeper, &row);
}

static const struct task_kind kind_reported = {
    .name_cstr = "tls_reported", .is_lazy = true, .run = run, .release = inbox_free_context};

static void on_read(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer)
{
    bool is_lost = answer == NULL || type != IPC_TLS_REPORT_READ;
    struct ask *kept;

    if (!is_lost && !answer->tls_report_read.ok) {
        schedule_rest(keeper, ask->message, ask->number, REST_MS); /* the disk, not the mail */
        return;
    }
    kept = malloc(sizeof *kept);
    must(kept != NULL);
    *kept = *ask;
    inbox_put_own(keeper, &kind_reported, is_lost ? IPC_NONE : type, is_lost ? NULL : answer,
                  kept, 0, 0, 0);
}

void tls_reported_work(struct keeper *keeper, struct item *item,
                       const struct store_message *message)
{
    struct ask ask = {.on_answer = on_read, .message = item->message, .number = item->number};
    struct ipc_read_tls_report question = {.message = message->id, .content = message->content};
    struct err err = {0};
    bool is_asked;

    if (!asks_have_room(keeper)) {
        schedule_wait_for_scribe(keeper, item);
        return;
    }
    if (!message->has_key ||
        !spool_keyring_open(keeper->ring, &message->content, &question.data_key, &err)) {
        LOG(LOG_ERROR, "keeper.content_not_opened", log_id("message", message->id),
            log_cstr("why", err.text_cstr));
        on_read(keeper, &ask, IPC_NONE, NULL);
        return;
    }
    is_asked = asks_put(keeper, &ask, IPC_READ_TLS_REPORT, &question);
    secret_wipe(&question.data_key);
    if (!is_asked)
        schedule_rest(keeper, item->message, item->number, REST_MS);
}

void tls_reported_purge(struct keeper *keeper)
{
    int64_t before_ms = clock_unix_ms() - keeper->settings->story_keep_ms;

    store_tls_reported_purge(keeper->store, before_ms);
}
