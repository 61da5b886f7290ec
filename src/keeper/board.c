/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/board.h"

#include "base/log.h"
#include "base/stats.h"
#include "crypto/random.h"
#include "keeper/board_found.h"
#include "keeper/internal.h"
#include "keeper/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 2000,
    DUE_PAGE = 128,
    COUNT_AGAIN_MS = 60 * 1000,
    AFTER_LOSS_MS = 10 * 60 * 1000, /* the scout died over it, or the DNS could not be asked */
    AFTER_UNREACHED_MS = 3600 * 1000,
};

struct board_test {
    struct list_link link;
    uint64_t id; /* of its ask: in `a` */
    char name_cstr[STORE_BOARD_NAME_SIZE];
};

static void on_tick(void *context);

void board_init(struct keeper *keeper)
{
    list_init(&keeper->board.tests);
    keeper->board.timer = loop_timer_new(keeper->loop, on_tick, keeper);
    loop_timer_set(keeper->board.timer, TICK_MS);
}

static void end_test(struct keeper *keeper, struct board_test *test)
{
    list_remove(&test->link);
    keeper->board.count--;
    free(test);
}

void board_deinit(struct keeper *keeper)
{
    struct list_link *link;

    while ((link = list_first(&keeper->board.tests)) != NULL)
        end_test(keeper, LIST_ELEMENT(link, struct board_test, link));
    loop_timer_free(&keeper->board.timer);
}

static void lower(struct slice name, char out_cstr[STORE_BOARD_NAME_SIZE])
{
    size_t len = name.len < STORE_BOARD_NAME_SIZE ? name.len : STORE_BOARD_NAME_SIZE - 1;

    for (size_t i = 0; i < len; i++)
        out_cstr[i] = (char)byte_lower(name.at[i]);
    out_cstr[len] = '\0';
}

enum board_verdict board_verdict(struct keeper *keeper, struct slice domain)
{
    char name_cstr[STORE_BOARD_NAME_SIZE];
    struct store_board row;

    lower(domain, name_cstr);
    return store_board_get(keeper->store, slice_from_cstr(name_cstr), &row) ? row.verdict
                                                                            : BOARD_UNKNOWN;
}

static struct board_test *find_test(const struct keeper *keeper, struct slice domain)
{
    const struct list *tests = &keeper->board.tests;

    for (struct list_link *link = list_first(tests); link != NULL;
         link = list_next(tests, link)) {
        struct board_test *test = LIST_ELEMENT(link, struct board_test, link);

        if (slice_equal_nocase(slice_from_cstr(test->name_cstr), domain))
            return test;
    }
    return NULL;
}

bool board_is_testing(const struct keeper *keeper, struct slice domain)
{
    return find_test(keeper, domain) != NULL;
}

const struct board_count *board_counts(struct keeper *keeper)
{
    struct board *board = &keeper->board;

    if (board->counted_ms == 0 || loop_now_ms() - board->counted_ms >= COUNT_AGAIN_MS) {
        store_board_count(keeper->store, &board->counted);
        board->counted_ms = loop_now_ms();
    }
    return &board->counted;
}

/* ---- when ---- */

/* Part of a time, so that tests of many domains spread out. */
static int64_t part_of(int64_t ms, unsigned parts)
{
    return (int64_t)(random_u64() % ((uint64_t)ms / parts + 1));
}

void board_note_use(struct keeper *keeper, struct domain *domain)
{
    const struct settings_board *board = &keeper->settings->board;
    int64_t now_ms = clock_unix_ms(), due_ms = 0;
    struct store_board row;
    struct slice name = slice_from_cstr(domain->row.name_cstr);

    if (domain->used_day == ratchet_day(now_ms))
        return;
    domain->used_day = ratchet_day(now_ms);
    if (board->every_ms > 0 && (!store_board_get(keeper->store, name, &row) || row.due_ms == 0))
        due_ms = now_ms + board->first_after_ms + part_of(board->first_after_ms, 2);
    store_board_use(keeper->store, name, now_ms, due_ms);
}

/* When it is looked at again after this test; 0 = never by itself. */
static int64_t next_due_ms(const struct settings_board *board, const struct store_board *row,
                           enum board_step step, enum board_verdict found, int64_t now_ms)
{
    if (step == BOARD_STEP_AGAIN)
        return now_ms + board->again_after_ms;
    if (board->every_ms == 0 || row->used_ms + board->used_within_ms < now_ms)
        return 0;
    if (found == BOARD_UNKNOWN && board->every_ms > AFTER_LOSS_MS)
        return now_ms + AFTER_LOSS_MS;
    if (found == BOARD_UNREACHED && board->every_ms > AFTER_UNREACHED_MS)
        return now_ms + AFTER_UNREACHED_MS;
    return now_ms + board->every_ms - part_of(board->every_ms, 4);
}

/* ---- what was found ---- */

static void tell_change(const struct store_board *row, enum board_verdict before)
{
    bool is_worse = row->verdict < before && before > BOARD_UNREACHED;

    LOG(is_worse ? LOG_WARN : LOG_INFO, "keeper.domain_tls_changed",
        log_cstr("domain", row->name_cstr), log_cstr("before", board_verdict_name(before)),
        log_cstr("now", board_verdict_name(row->verdict)));
}

static void take_verdict(struct keeper *keeper, struct store_board *row,
                         enum board_verdict found, const struct ipc_tls_tested *tested,
                         int64_t now_ms)
{
    struct store_board_change change = {
        .at_ms = now_ms, .before = row->verdict, .after = found};
    enum board_verdict before = row->verdict;

    board_found_why(tested, change.why_cstr, sizeof change.why_cstr);
    row->verdict = found;
    row->since_ms = now_ms;
    store_board_change_put(keeper->store, slice_from_cstr(row->name_cstr), &change);
    if (before != BOARD_UNKNOWN)
        tell_change(row, before);
}

/* Then secure mail may leave by a host that no test of the domain has seen. */
static bool has_secure_smart_host(const struct keeper *keeper)
{
    for (size_t i = 0; i < keeper->routes.count; i++)
        if (keeper->routes.all[i].is_smart && keeper->routes.all[i].carries_secure)
            return true;
    return false;
}

/* What it means for planning. */
static void teach_domain(struct keeper *keeper, const struct store_board *row,
                         const struct ipc_tls_tested *tested)
{
    struct domain *domain = domain_find(keeper, slice_from_cstr(row->name_cstr));
    struct ipc_tested_host best;

    if (domain == NULL || row->verdict < BOARD_CLEAR || has_secure_smart_host(keeper))
        return;
    board_found_best(tested, &best);
    domain_learn_tested(keeper, domain,
                        &(struct domain_lesson){.level = board_verdict_level(row->verdict),
                                                .mx_proof = row->mx_proof,
                                                .mx = best.mx,
                                                .detail = best.why});
}

static void remember_hosts(struct keeper *keeper, struct slice domain,
                           const struct ipc_tls_tested *tested)
{
    struct slice rest = tested->hosts;
    struct ipc_tested_host host;
    bool is_first = true;

    while (ipc_list_next(&rest, IPC_TESTED_HOST, &host) == PROGRESS_DONE) {
        if (host.level < PROOF_ENCRYPTED)
            continue;
        memory_note_tls(keeper, is_first ? domain : S(""), host.mx, host.small_hello);
        is_first = false;
    }
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *message)
{
    const struct settings_board *board = &keeper->settings->board;
    const struct ipc_tls_tested *tested = &message->tls_tested;
    const struct board_test *test = task->context;
    struct slice name = slice_from_cstr(test->name_cstr);
    int64_t now_ms = clock_unix_ms();
    struct store_board row;
    struct board_sum sum = {0};
    struct buffer text;
    enum board_verdict found;
    enum board_step step;

    if (!store_board_get(keeper->store, name, &row)) {
        row = (struct store_board){.used_ms = 0};
        lower(name, row.name_cstr);
    }
    found = board_found_judge(tested, &sum);
    step = board_step(row.verdict, found, row.worse_ms == 0 ? -1 : now_ms - row.worse_ms,
                      board->again_after_ms);
    if (step == BOARD_STEP_TAKE)
        take_verdict(keeper, &row, found, tested, now_ms);
    if (step != BOARD_STEP_AGAIN)
        row.worse_ms = 0;
    else if (row.worse_ms == 0)
        row.worse_ms = now_ms;
    if (found == row.verdict) {
        row.features = sum.features;
        row.mx_proof = sum.mx_proof;
    }
    row.tested_ms = now_ms;
    row.due_ms = next_due_ms(board, &row, step, found, now_ms);
    buffer_init(&text, STORE_BOARD_FOUND_MAX_BYTES);
    board_found_write(tested, found, now_ms, &text);
    row.found = buffer_view(&text);
    store_board_put(keeper->store, &row);
    buffer_deinit(&text);
    if (found == row.verdict)
        teach_domain(keeper, &row, tested);
    remember_hosts(keeper, name, tested);
}

/* Under way until it is written: its row says that it is due until then. */
static void release_test(struct keeper *keeper, struct task *task)
{
    end_test(keeper, task->context);
    if (!keeper->is_draining)
        loop_timer_set(keeper->board.timer, 0);
}

static const struct task_kind kind_tested = {
    .name_cstr = "board", .is_lazy = true, .run = run, .release = release_test};

/* Put off: set when it is due. a: the time. */
static void run_due(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    struct slice name = slice_from_cstr(task->context);
    struct store_board row;

    (void)unused;
    if (store_board_get(keeper->store, name, &row))
        store_board_set_due(keeper->store, name, (int64_t)task->a);
    else
        store_board_use(keeper->store, name, clock_unix_ms(), (int64_t)task->a);
}

static const struct task_kind kind_due = {
    .name_cstr = "board due", .is_lazy = true, .run = run_due, .release = inbox_free_context};

static void put_due(struct keeper *keeper, struct slice name, int64_t due_ms)
{
    char *copy_cstr = malloc(STORE_BOARD_NAME_SIZE);

    must(copy_cstr != NULL);
    lower(name, copy_cstr);
    inbox_put_own(keeper, &kind_due, IPC_NONE, NULL, copy_cstr, (uint64_t)due_ms, 0, 0);
}

/* ---- asking the scout ---- */

static struct board_test *find_asked(struct keeper *keeper, uint64_t id)
{
    const struct list *tests = &keeper->board.tests;

    for (struct list_link *link = list_first(tests); link != NULL;
         link = list_next(tests, link))
        if (LIST_ELEMENT(link, struct board_test, link)->id == id)
            return LIST_ELEMENT(link, struct board_test, link);
    return NULL;
}

static void run_lost(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    const struct board_test *test = task->context;

    (void)unused;
    store_board_set_due(keeper->store, slice_from_cstr(test->name_cstr),
                        clock_unix_ms() + AFTER_LOSS_MS);
}

static const struct task_kind kind_lost = {
    .name_cstr = "board lost", .is_lazy = true, .run = run_lost, .release = release_test};

/* The scout is not there, or died over it. */
static void lose_test(struct keeper *keeper, struct board_test *test)
{
    inbox_put_own(keeper, &kind_lost, IPC_NONE, NULL, test, 0, 0, 0);
}

static void on_tested(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                      const union ipc_any *answer)
{
    struct board_test *test = find_asked(keeper, ask->a);

    if (test == NULL)
        return;
    if (answer == NULL || type != IPC_TLS_TESTED) {
        lose_test(keeper, test);
        return;
    }
    STAT_ADD(BOARD_TESTS, 1);
    inbox_put_own(keeper, &kind_tested, type, answer, test, 0, 0, 0);
}

static bool ask_hosts(struct keeper *keeper, struct board_test *test,
                      struct ipc_tls_test *question)
{
    struct ask ask = {.on_answer = on_tested, .a = test->id};

    return asks_put_scout(keeper, &ask, IPC_TLS_TEST, question);
}

/* Nobody has mailed this domain yet: its policy is asked for here, and not kept. */
static void on_policy(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                      const union ipc_any *answer)
{
    struct board_test *test = find_asked(keeper, ask->a);
    struct ipc_tls_test question = {.sts = STS_NONE};
    const struct ipc_sts_found *found = answer == NULL ? NULL : &answer->sts_found;

    if (test == NULL)
        return;
    question.domain = slice_from_cstr(test->name_cstr);
    if (found != NULL && type == IPC_STS_FOUND && found->outcome == STS_OUTCOME_POLICY) {
        question.sts = found->mode;
        question.sts_id = found->id;
        question.sts_mx = found->mx;
    } else if (found != NULL && type == IPC_STS_FOUND &&
               found->outcome == STS_OUTCOME_UNFETCHED) {
        question.sts = STS_UNFETCHED;
        question.sts_id = found->id;
    }
    if (!ask_hosts(keeper, test, &question))
        lose_test(keeper, test);
}

static bool ask_policy(struct keeper *keeper, struct board_test *test)
{
    struct ask ask = {.on_answer = on_policy, .a = test->id};
    struct ipc_sts_find question = {.domain = slice_from_cstr(test->name_cstr)};

    return asks_put_scout(keeper, &ask, IPC_STS_FIND, &question);
}

static bool begin_test(struct keeper *keeper, struct board_test *test)
{
    struct domain *domain = domain_find(keeper, slice_from_cstr(test->name_cstr));
    struct ipc_tls_test question = {.domain = slice_from_cstr(test->name_cstr)};
    char host_cstr[STORE_BOARD_NAME_SIZE];
    struct ipc_deliver known = {.sts = STS_NONE};

    deliver_next_hop(keeper, question.domain, host_cstr, sizeof host_cstr, &question.port);
    question.host = slice_from_cstr(host_cstr);
    if (question.host.len == 0 && (domain == NULL || !domain->sts.is_known))
        return ask_policy(keeper, test);
    if (question.host.len == 0)
        sts_look(keeper, domain, &known);
    question.sts = known.sts;
    question.sts_id = known.sts_id;
    question.sts_mx = known.sts_mx;
    return ask_hosts(keeper, test, &question);
}

bool board_test_now(struct keeper *keeper, struct slice domain)
{
    struct board_test *test = find_test(keeper, domain);

    if (test != NULL)
        return true;
    if (domain.len == 0 || domain.len >= STORE_BOARD_NAME_SIZE)
        return false;
    test = calloc(1, sizeof *test);
    must(test != NULL);
    test->id = keeper_next_id(keeper);
    lower(domain, test->name_cstr);
    if (!begin_test(keeper, test)) {
        free(test);
        return false;
    }
    list_push_back(&keeper->board.tests, &test->link);
    keeper->board.count++;
    return true;
}

void board_want_test(struct keeper *keeper, struct slice domain)
{
    if (keeper->board.count >= keeper->settings->board.at_once ||
        !board_test_now(keeper, domain))
        put_due(keeper, domain, clock_unix_ms());
}

/* Begin what is due, as far as there is room. */
static void on_tick(void *context)
{
    static struct store_board due[DUE_PAGE];
    struct keeper *keeper = context;
    size_t room = keeper->settings->board.at_once, count;

    loop_timer_set(keeper->board.timer, TICK_MS);
    if (keeper->board.count >= room || keeper->is_draining || keeper->inbox.is_failing ||
        peer_count(keeper, ROLE_SCOUT) == 0)
        return;
    /* Those under way may be due, too: they stay so until they are answered. */
    room += keeper->board.count;
    count =
        store_board_due(keeper->store, clock_unix_ms(), due, room < DUE_PAGE ? room : DUE_PAGE);
    for (size_t i = 0; i < count && keeper->board.count < keeper->settings->board.at_once; i++)
        (void)board_test_now(keeper, slice_from_cstr(due[i].name_cstr));
}
