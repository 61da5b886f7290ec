/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/tls_reports.h"

#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "keeper/accept.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/results.h"
#include "policy/tls_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 5000,
    PLAN_SLICE = 200, /* domains in one batch */
    LINES_MAX_BYTES = 4 << 20,
    PLACES_MAX_BYTES = RUA_URIS_MAX * (RUA_URI_MAX_BYTES + 1),
};

#define DAY_MS (24 * 3600 * INT64_C(1000))

/* ---- what is under way ---- */

static struct tls_report_work *work_find(struct keeper *keeper, uint64_t id)
{
    for (size_t i = 0; i < TLS_REPORTS_AT_ONCE; i++)
        if (keeper->tls_reports.work[i].id == id)
            return &keeper->tls_reports.work[i];
    return NULL;
}

static bool is_under_way(struct keeper *keeper, const struct store_tls_report *row)
{
    for (size_t i = 0; i < TLS_REPORTS_AT_ONCE; i++) {
        const struct tls_report_work *work = &keeper->tls_reports.work[i];

        if (work->id != 0 && work->day == row->day &&
            strcmp(work->domain_cstr, row->domain_cstr) == 0)
            return true;
    }
    return false;
}

/* ---- what is written ---- */

enum change { CHANGE_PLACES, CHANGE_GONE_THERE, CHANGE_LATER, CHANGE_FORGET };

struct changing {
    enum change change;
    struct tls_report_work work; /* a copy: its id ends the work */
    bool is_mail;                /* the message holds what a scribe has written */
    uint64_t mail;               /* its id */
    char places_cstr[PLACES_MAX_BYTES + 1];
};

static void forget(struct keeper *keeper, int64_t day, struct slice domain)
{
    tls_counts_forgotten(keeper, store_tls_count_forget(keeper->store, day, domain));
    store_tls_report_forget(keeper->store, day, domain);
}

/* The line of the place where it has gone, or cannot go, is taken out. */
static void drop_place(const struct changing *changing, struct store_tls_report *row,
                       struct buffer *left)
{
    struct slice rest = row->places;

    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n');

        if (line.len > 0 && !slice_equal(line, slice_from_cstr(changing->work.place_cstr)))
            must(buffer_append(left, line) && buffer_append_byte(left, '\n'));
    }
    row->places = buffer_view(left);
    row->attempts = 0;
}

static void write_mail(struct keeper *keeper, const struct changing *changing,
                       const struct ipc_tls_report_made *made)
{
    struct slice from = slice_from_cstr(keeper->settings->tls_reports.from_cstr);
    const struct settings_domain *own =
        settings_domain_find(keeper->settings, address_domain(from));

    accept_write_own(
        keeper,
        &(struct accept_own){
            .message = changing->mail,
            .kind = KIND_TLS_REPORT,
            .account = slice_from_cstr(own == NULL ? "" : own->account_cstr),
            .sender = store_address_put(keeper->store, from),
            .to = slice_from(slice_from_cstr(changing->work.place_cstr), strlen("mailto:")),
            .header_id = made->header_id,
            .content = &made->content});
}

static void write_row(struct keeper *keeper, const struct changing *changing,
                      struct store_tls_report *row)
{
    int64_t now_ms = clock_unix_ms();
    struct buffer left;

    buffer_init(&left, PLACES_MAX_BYTES);
    row->since_ms = row->since_ms == 0 ? now_ms : row->since_ms;
    if (changing->change == CHANGE_PLACES) {
        row->has_places = true;
        row->places = slice_from_cstr(changing->places_cstr);
        row->due_ms = now_ms;
    } else if (changing->change == CHANGE_GONE_THERE) {
        drop_place(changing, row, &left);
        row->due_ms = now_ms;
    } else {
        row->attempts++;
        row->due_ms = now_ms + retry_delay_ms(row->attempts, TLS_REPORT_AGAIN_MS,
                                              TLS_REPORT_AGAIN_MAX_MS, random_u64());
    }
    if (row->has_places && row->places.len == 0)
        forget(keeper, row->day, slice_from_cstr(row->domain_cstr));
    else
        store_tls_report_put(keeper->store, row);
    buffer_deinit(&left);
}

static void tick(void *context);

static void after_change(struct keeper *keeper, uint64_t id, uint64_t b, uint64_t c)
{
    struct tls_report_work *work = work_find(keeper, id);

    (void)b;
    (void)c;
    if (work != NULL)
        *work = (struct tls_report_work){0};
    tick(keeper);
}

static bool prepare(struct keeper *keeper, struct task *task, const union ipc_any *message,
                    struct err *err)
{
    const struct changing *changing = task->context;

    return !changing->is_mail ||
           spool_check(keeper->queue_checker, &message->tls_report_made.content, err);
}

static void run_change(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct changing *changing = task->context;
    struct slice domain = slice_from_cstr(changing->work.domain_cstr);
    struct store_tls_report row;
    struct buffer texts;

    buffer_init(&texts, PLACES_MAX_BYTES);
    if (changing->change == CHANGE_FORGET) {
        forget(keeper, changing->work.day, domain);
    } else if (store_tls_report_get(keeper->store, changing->work.day, domain, &row, &texts)) {
        if (changing->is_mail)
            write_mail(keeper, changing, &message->tls_report_made);
        write_row(keeper, changing, &row);
    }
    inbox_after(keeper, after_change, changing->work.id, 0, 0);
    buffer_deinit(&texts);
}

/* The row is as it was: the next tick finds it due. */
static void refuse_change(struct keeper *keeper, struct task *task,
                          const union ipc_any *message, const struct err *why)
{
    const struct changing *changing = task->context;
    struct tls_report_work *work = work_find(keeper, changing->work.id);

    (void)message;
    LOG(LOG_WARN, "keeper.tls_report_not_written", log_cstr("why", why->text_cstr));
    if (work != NULL)
        *work = (struct tls_report_work){0};
}

static const struct task_kind kind_change = {.name_cstr = "tls_report",
                                             .is_lazy = true,
                                             .prepare = prepare,
                                             .run = run_change,
                                             .refuse = refuse_change,
                                             .release = inbox_free_context};

static struct changing *changing_new(const struct tls_report_work *work, enum change change)
{
    struct changing *changing = calloc(1, sizeof *changing);

    must(changing != NULL);
    changing->change = change;
    changing->work = *work;
    return changing;
}

static void put_change(struct keeper *keeper, const struct tls_report_work *work,
                       enum change change)
{
    inbox_put_own(keeper, &kind_change, IPC_NONE, NULL, changing_new(work, change), 0, 0, 0);
}

/* Not now. */
static void later(struct keeper *keeper, const struct tls_report_work *work,
                  const char *why_cstr)
{
    LOG(LOG_INFO, "keeper.tls_report_later", log_cstr("domain", work->domain_cstr),
        log_cstr("why", why_cstr));
    put_change(keeper, work, CHANGE_LATER);
}

/* ---- the report itself ---- */

static bool add_line(struct buffer *list, const struct store_tls_count *row,
                     const struct ipc_tls_line *policy)
{
    struct ipc_tls_line line = *policy;

    line.sessions = row->sessions;
    if (row->detail_key != 0) {
        line.result = slice_from_cstr(tls_report_result_name(row->result));
        line.mx = row->texts[0];
        line.reason = row->texts[1];
        line.address = row->texts[2];
        line.source = row->texts[3];
    }
    return ipc_list_append(list, IPC_TLS_LINE, &line);
}

/* The lines of a day and domain, policies first. */
static void gather(struct keeper *keeper, const struct tls_report_work *work,
                   struct buffer *list)
{
    struct store_tls_count row = {.day = work->day,
                                  .domain = slice_from_cstr(work->domain_cstr)};
    struct ipc_tls_line policy = {.policy = REPORT_NO_POLICY};
    struct buffer texts, kept;
    bool is_first = true;

    buffer_init(&texts, 64 << 10);
    buffer_init(&kept, 64 << 10);
    while (store_tls_count_next(keeper->store, is_first, &row, &texts)) {
        is_first = false;
        if (row.detail_key == 0) {
            /* Its texts stay while its failures are read. */
            struct buffer swap = kept;

            kept = texts;
            texts = swap;
            policy = (struct ipc_tls_line){.policy = row.policy,
                                           .policy_domain = row.texts[0],
                                           .policy_text = row.texts[1],
                                           .policy_mx = row.texts[2]};
        }
        if (!add_line(list, &row, &policy))
            break;
    }
    buffer_deinit(&texts);
    buffer_deinit(&kept);
}

/* The same for every try, so that who gets a report twice can tell. */
static void write_id(struct keeper *keeper, const struct tls_report_work *work,
                     struct buffer *out)
{
    struct slice from = slice_from_cstr(keeper->settings->tls_reports.from_cstr);
    uint8_t mac[SHA256_BYTES];

    must(buffer_append_format(out, "tls report %lld %s", (long long)work->day,
                              work->domain_cstr));
    hmac_sha256(slice_of(store_key_bounce(keeper->store)->bytes, SECRET_BYTES),
                buffer_view(out), mac);
    buffer_clear(out);
    for (size_t i = 0; i < 12; i++)
        must(buffer_append_format(out, "%02x", mac[i]));
    must(buffer_append_format(out, "@%.*s", SLICE_ARGS(address_domain(from))));
}

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer);

static void ask_scribe(struct keeper *keeper, const struct tls_report_work *work)
{
    struct slice place = slice_from_cstr(work->place_cstr);
    bool is_mail = slice_starts_with(place, S("mailto:"));
    struct ask ask = {.on_answer = on_made, .a = work->id, .b = keeper_next_id(keeper)};
    struct ipc_make_tls_report question = {.message = ask.b,
                                           .domain = slice_from_cstr(work->domain_cstr),
                                           .to = is_mail ? slice_from(place, strlen("mailto:"))
                                                         : S(""),
                                           .begin_s = work->day * (DAY_MS / 1000),
                                           .end_s = (work->day + 1) * (DAY_MS / 1000)};
    struct buffer list, id;

    buffer_init(&list, LINES_MAX_BYTES);
    buffer_init(&id, 600);
    gather(keeper, work, &list);
    write_id(keeper, work, &id);
    question.lines = buffer_view(&list);
    question.report_id = buffer_view(&id);
    if (question.lines.len == 0)
        put_change(keeper, work, CHANGE_FORGET);
    else if (!asks_have_room(keeper) || !asks_put(keeper, &ask, IPC_MAKE_TLS_REPORT, &question))
        later(keeper, work, "no process that writes it is free");
    buffer_deinit(&list);
    buffer_deinit(&id);
}

static void note_sent(const struct tls_report_work *work, bool is_mail)
{
    STAT_ADD(TLS_REPORTS_SENT, 1);
    LOG(LOG_INFO, "keeper.tls_report", log_cstr("domain", work->domain_cstr),
        log_cstr("by", is_mail ? "mail" : "https"));
}

static void on_posted(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                      const union ipc_any *answer)
{
    const struct tls_report_work *work = work_find(keeper, ask->a);
    char why_cstr[240] = "the scout has ended";

    if (work == NULL)
        return;
    if (answer != NULL && type == IPC_REPORT_POSTED &&
        !slice_to_cstr(slice_head(answer->report_posted.why, sizeof why_cstr - 1), why_cstr,
                       sizeof why_cstr))
        why_cstr[0] = '\0';
    if (answer == NULL || type != IPC_REPORT_POSTED ||
        (!answer->report_posted.ok && answer->report_posted.temporary)) {
        later(keeper, work, why_cstr);
        return;
    }
    if (answer->report_posted.ok) {
        note_sent(work, false);
    } else {
        STAT_ADD(TLS_REPORTS_DROPPED, 1);
        LOG(LOG_WARN, "keeper.tls_report_refused", log_cstr("domain", work->domain_cstr),
            log_cstr("why", why_cstr));
    }
    put_change(keeper, work, CHANGE_GONE_THERE);
}

static void post(struct keeper *keeper, const struct tls_report_work *work, struct slice gzip)
{
    struct ask ask = {.on_answer = on_posted, .a = work->id};
    struct ipc_report_post question = {.url = slice_from_cstr(work->place_cstr),
                                       .type = S("application/tlsrpt+gzip"),
                                       .content = gzip};

    if (!asks_put_scout(keeper, &ask, IPC_REPORT_POST, &question))
        later(keeper, work, "there is no scout");
}

static void on_made(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                    const union ipc_any *answer)
{
    const struct tls_report_work *work = work_find(keeper, ask->a);
    struct changing *changing;

    if (work == NULL)
        return;
    if (answer == NULL || type != IPC_TLS_REPORT_MADE || !answer->tls_report_made.ok) {
        later(keeper, work, "it could not be written");
        return;
    }
    if (!slice_starts_with(slice_from_cstr(work->place_cstr), S("mailto:"))) {
        post(keeper, work, answer->tls_report_made.gzip);
        return;
    }
    note_sent(work, true);
    changing = changing_new(work, CHANGE_GONE_THERE);
    changing->is_mail = true;
    changing->mail = ask->b;
    inbox_put_own(keeper, &kind_change, type, answer, changing, 0, 0, 0);
}

/* ---- where it goes ---- */

static void on_places(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                      const union ipc_any *answer)
{
    const struct tls_report_work *work = work_find(keeper, ask->a);
    struct changing *changing;

    if (work == NULL)
        return;
    if (answer == NULL || type != IPC_RUA_FOUND || !answer->rua_found.ok) {
        later(keeper, work, "where it is wanted could not be asked");
        return;
    }
    changing = changing_new(work, CHANGE_PLACES);
    if (answer->rua_found.uris.len == 0 ||
        !slice_to_cstr(answer->rua_found.uris, changing->places_cstr,
                       sizeof changing->places_cstr))
        changing->change = CHANGE_FORGET; /* it wants none */
    inbox_put_own(keeper, &kind_change, IPC_NONE, NULL, changing, 0, 0, 0);
}

static void ask_for_places(struct keeper *keeper, const struct tls_report_work *work)
{
    struct ask ask = {.on_answer = on_places, .a = work->id};
    struct ipc_rua_find question = {.domain = slice_from_cstr(work->domain_cstr)};

    if (!asks_put_scout(keeper, &ask, IPC_RUA_FIND, &question))
        later(keeper, work, "there is no scout");
}

/* ---- one after the other ---- */

static bool is_too_late(const struct store_tls_report *row, int64_t now_ms)
{
    return (row->since_ms != 0 && now_ms - row->since_ms > TLS_REPORT_TRY_MS) ||
           row->day < tls_day(now_ms) - TLS_REPORT_DAYS;
}

static void begin(struct keeper *keeper, struct tls_report_work *work,
                  const struct store_tls_report *found)
{
    struct store_tls_report row;
    struct slice rest;
    struct buffer texts;

    buffer_init(&texts, PLACES_MAX_BYTES);
    *work = (struct tls_report_work){.id = ++keeper->tls_reports.last_id, .day = found->day};
    memcpy(work->domain_cstr, found->domain_cstr, sizeof work->domain_cstr);
    if (!store_tls_report_get(keeper->store, found->day, slice_from_cstr(found->domain_cstr),
                              &row, &texts)) {
        *work = (struct tls_report_work){0};
    } else if (is_too_late(&row, clock_unix_ms())) {
        STAT_ADD(TLS_REPORTS_DROPPED, 1);
        LOG(LOG_WARN, "keeper.tls_report_given_up", log_cstr("domain", work->domain_cstr));
        put_change(keeper, work, CHANGE_FORGET);
    } else if (!row.has_places) {
        ask_for_places(keeper, work);
    } else {
        rest = row.places;
        if (slice_to_cstr(slice_cut(&rest, '\n'), work->place_cstr, sizeof work->place_cstr))
            ask_scribe(keeper, work);
        else
            put_change(keeper, work, CHANGE_FORGET);
    }
    buffer_deinit(&texts);
}

static void begin_due(struct keeper *keeper)
{
    struct store_tls_report due[2 * TLS_REPORTS_AT_ONCE];
    size_t count = store_tls_report_due(keeper->store, clock_unix_ms(), due, COUNT_OF(due));

    for (size_t i = 0; i < count; i++) {
        struct tls_report_work *work = work_find(keeper, 0);

        if (work == NULL)
            return;
        if (!is_under_way(keeper, &due[i]))
            begin(keeper, work, &due[i]);
    }
}

/* ---- a day is over ---- */

static void after_plan(struct keeper *keeper, uint64_t is_through, uint64_t today, uint64_t c)
{
    struct tls_reports *reports = &keeper->tls_reports;

    (void)c;
    reports->is_planning = false;
    reports->cursor_day = reports->next_day;
    memcpy(reports->cursor_cstr, reports->next_cstr, sizeof reports->cursor_cstr);
    if (is_through != 0) {
        reports->planned_day = (int64_t)today;
        reports->cursor_day = 0;
        reports->cursor_cstr[0] = '\0';
    }
    tick(keeper);
}

static void plan_one(struct keeper *keeper, int64_t day, const char *domain_cstr)
{
    int64_t spread_ms = keeper->settings->tls_reports.spread_ms;
    struct store_tls_report row = {.day = day};
    struct buffer texts;

    buffer_init(&texts, PLACES_MAX_BYTES);
    if (!store_tls_report_get(keeper->store, day, slice_from_cstr(domain_cstr), &row, &texts)) {
        row = (struct store_tls_report){.day = day, .due_ms = (day + 1) * DAY_MS};
        row.due_ms += spread_ms > 0 ? (int64_t)(random_u64() % (uint64_t)spread_ms) : 0;
        snprintf(row.domain_cstr, sizeof row.domain_cstr, "%s", domain_cstr);
        store_tls_report_put(keeper->store, &row);
    }
    buffer_deinit(&texts);
}

static void run_plan(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    struct tls_reports *reports = &keeper->tls_reports;
    int64_t today = tls_day(clock_unix_ms());
    size_t count = 0;

    (void)task;
    (void)unused;
    reports->next_day = reports->cursor_day; /* this may run again */
    memcpy(reports->next_cstr, reports->cursor_cstr, sizeof reports->next_cstr);
    while (
        count < PLAN_SLICE &&
        store_tls_count_domain(keeper->store, today, &reports->next_day, reports->next_cstr)) {
        plan_one(keeper, reports->next_day, reports->next_cstr);
        count++;
    }
    inbox_after(keeper, after_plan, count < PLAN_SLICE ? 1 : 0, (uint64_t)today, 0);
}

static const struct task_kind kind_plan = {
    .name_cstr = "tls_report_plan", .is_lazy = true, .run = run_plan};

static void plan_days(struct keeper *keeper)
{
    struct tls_reports *reports = &keeper->tls_reports;
    int64_t today = tls_day(clock_unix_ms());

    if (reports->is_planning || reports->planned_day == today)
        return;
    /* What was seen before midnight is to be among the rows. */
    tls_counts_write(keeper);
    reports->is_planning = true;
    inbox_put_own(keeper, &kind_plan, IPC_NONE, NULL, NULL, 0, 0, 0);
}

/* A clock that jumped ahead may be put right again: days that are not over are not told. */
static void tick(void *context)
{
    struct keeper *keeper = context;

    loop_timer_set(keeper->tls_reports.timer, TICK_MS);
    if (!tls_reports_are_sent(keeper) || keeper->is_draining || keeper->inbox.is_failing ||
        clock_doubt_ms(keeper) > 0)
        return;
    plan_days(keeper);
    begin_due(keeper);
}

void tls_reports_init(struct keeper *keeper)
{
    keeper->tls_reports.timer = loop_timer_new(keeper->loop, tick, keeper);
    loop_timer_set(keeper->tls_reports.timer, 2000);
}

void tls_reports_deinit(struct keeper *keeper)
{
    loop_timer_free(&keeper->tls_reports.timer);
}
