/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/tls_counts.h"

#include "base/log.h"
#include "crypto/digest.h"
#include "keeper/internal.h"
#include "store/sts.h"
#include "store/tls_report.h"

#include <stdlib.h>
#include <string.h>

enum { POLICY_TEXT_MAX = 4096 };

/* What tells one row from another, in this order in tls_seen.bytes. */
enum text {
    TEXT_DOMAIN,
    TEXT_POLICY_DOMAIN,
    TEXT_POLICY,
    TEXT_POLICY_MX,
    TEXT_MX,
    TEXT_ADDRESS,
    TEXT_SOURCE,
    TEXT_REASON,
    TEXT_COUNT
};
static const uint16_t limits[TEXT_COUNT] = {255, 255, 2048, 2048, 255, 64, 64, 160};

/* Sessions that were seen and not written yet. */
struct tls_seen {
    int64_t day;
    uint64_t domain_id, sessions;
    enum tls_report_policy policy;
    enum tls_report_result result;
    uint16_t len[TEXT_COUNT];
    uint32_t total;
    uint8_t bytes[];
};

struct identity {
    int64_t day;
    uint64_t domain_id;
    enum tls_report_policy policy;
    enum tls_report_result result;
    struct slice texts[TEXT_COUNT];
};

int64_t tls_day(int64_t unix_ms)
{
    return unix_ms / (24 * 3600 * INT64_C(1000));
}

bool tls_reports_are_sent(const struct keeper *keeper)
{
    const struct settings_tls_reports *wish = &keeper->settings->tls_reports;

    return wish->send && wish->from_cstr[0] != '\0';
}

/* ---- in memory ---- */

/* FNV-1a; not secret: who finds two names of one hash has them compared. */
static uint64_t hash_bytes(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        hash = (hash ^ bytes.at[i]) * UINT64_C(1099511628211);
    return (hash ^ bytes.len) * UINT64_C(1099511628211);
}

static uint64_t hash_of(const struct identity *it)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)it->day << 16 ^
                    (uint64_t)it->policy << 8 ^ (uint64_t)it->result;

    for (size_t i = 0; i < TEXT_COUNT; i++)
        hash = hash_bytes(hash, it->texts[i]);
    return hash == 0 ? 1 : hash;
}

static struct slice seen_text(const struct tls_seen *seen, enum text which)
{
    size_t at = 0;

    for (unsigned i = 0; i < (unsigned)which; i++)
        at += seen->len[i];
    return slice_of(seen->bytes + at, seen->len[which]);
}

static bool is_same(const struct tls_seen *seen, const struct identity *it)
{
    const uint8_t *at = seen->bytes;

    if (seen->day != it->day || seen->policy != it->policy || seen->result != it->result)
        return false;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if (seen->len[i] != it->texts[i].len ||
            !slice_equal(slice_of(at, seen->len[i]), it->texts[i]))
            return false;
        at += seen->len[i];
    }
    return true;
}

static struct tls_seen *seen_new(const struct identity *it)
{
    struct tls_seen *seen;
    size_t total = 0;

    for (size_t i = 0; i < TEXT_COUNT; i++)
        total += it->texts[i].len;
    seen = malloc(sizeof *seen + total);
    must(seen != NULL);
    *seen = (struct tls_seen){.day = it->day,
                              .domain_id = it->domain_id,
                              .policy = it->policy,
                              .result = it->result,
                              .total = (uint32_t)total};
    total = 0;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        seen->len[i] = (uint16_t)it->texts[i].len;
        if (it->texts[i].len > 0)
            memcpy(seen->bytes + total, it->texts[i].at, it->texts[i].len);
        total += it->texts[i].len;
    }
    return seen;
}

static void count(struct keeper *keeper, const struct identity *it)
{
    struct map *pending = &keeper->tls_counts.pending;
    uint64_t hash = hash_of(it);
    struct tls_seen *seen = map_get(pending, hash);

    if (seen == NULL && pending->count < TLS_COUNT_PENDING_MAX) {
        seen = seen_new(it);
        map_put(pending, hash, seen);
    }
    /* Two of one hash, or far too many: it is not counted. */
    if (seen != NULL && is_same(seen, it))
        seen->sessions++;
}

/* ---- what a courier tells ---- */

static bool is_counted(const struct keeper *keeper, const struct job *job)
{
    return tls_reports_are_sent(keeper) && job->kind != KIND_TLS_REPORT &&
           job->deliver.mail_from.len > 0 && job->deliver.host.len == 0;
}

static void identify(const struct job *job, const struct ipc_tls_result *item,
                     struct identity *it)
{
    struct slice domain = slice_from_cstr(job->domain->row.name_cstr);

    *it = (struct identity){
        .day = tls_day(clock_unix_ms()),
        .domain_id = job->domain->row.id,
        .policy = item->policy < REPORT_POLICY_COUNT ? (enum tls_report_policy)item->policy
                                                     : REPORT_NO_POLICY,
        .result = item->result < REPORT_RESULT_COUNT ? (enum tls_report_result)item->result
                                                     : REPORT_VALIDATION_FAILURE};
    it->texts[TEXT_DOMAIN] = it->texts[TEXT_POLICY_DOMAIN] = domain;
    if (it->policy == REPORT_TLSA) {
        /* A DANE policy is the host's. [RFC 8460 §4.4] */
        it->texts[TEXT_POLICY_DOMAIN] = item->mx;
        it->texts[TEXT_POLICY] = item->policy_text;
    } else if (it->policy == REPORT_STS) {
        it->texts[TEXT_POLICY] =
            job->deliver.sts_id; /* its text is looked up when it is written */
        it->texts[TEXT_POLICY_MX] = job->deliver.sts_mx;
    }
    if (it->result != REPORT_SUCCESS) {
        it->texts[TEXT_MX] = item->mx;
        it->texts[TEXT_ADDRESS] = item->address;
        it->texts[TEXT_SOURCE] = item->source;
        it->texts[TEXT_REASON] = item->detail;
    }
    for (size_t i = 0; i < TEXT_COUNT; i++)
        it->texts[i] = slice_head(it->texts[i], limits[i]);
}

static void write_soon(struct keeper *keeper)
{
    struct tls_counts *counts = &keeper->tls_counts;

    if (counts->pending.count >= TLS_COUNT_PENDING_WRITE) {
        tls_counts_write(keeper);
    } else if (!counts->is_timed && counts->pending.count > 0) {
        counts->is_timed = true;
        loop_timer_set(counts->timer, TLS_COUNT_WRITE_MS);
    }
}

void tls_counts_take(struct keeper *keeper, const struct job *job,
                     const struct ipc_delivered *delivered)
{
    struct slice rest = delivered->tls_results;
    struct ipc_tls_result item;
    struct identity it;

    if (rest.len == 0 || !is_counted(keeper, job))
        return;
    while (ipc_list_next(&rest, IPC_TLS_RESULT, &item) == PROGRESS_DONE) {
        identify(job, &item, &it);
        count(keeper, &it);
    }
    write_soon(keeper);
}

/* ---- on disk ---- */

#define OVERFLOW_KEY (UINT64_MAX - 255) /* and the kinds behind it: what is not told apart */

static uint64_t key_from(const struct tls_seen *seen, unsigned first, unsigned last,
                         unsigned kind)
{
    struct sha256_stream stream;
    uint8_t digest[SHA256_BYTES], head[2];
    uint64_t key = 0;

    sha256_init(&stream);
    for (unsigned i = first; i <= last; i++) {
        head[0] = (uint8_t)(seen->len[i] >> 8);
        head[1] = (uint8_t)seen->len[i];
        sha256_push(&stream, slice_of(head, sizeof head));
        sha256_push(&stream, seen_text(seen, (enum text)i));
    }
    head[0] = (uint8_t)kind;
    sha256_push(&stream, slice_of(head, 1));
    sha256_finish(&stream, digest);
    sha256_deinit(&stream);
    for (int i = 0; i < 8; i++)
        key = key << 8 | digest[i];
    /* The first and the last numbers mean something. */
    return key == 0 ? 1 : key >= OVERFLOW_KEY ? OVERFLOW_KEY - 1 : key;
}

static bool has_room(struct keeper *keeper, const struct store_tls_count *row)
{
    struct tls_counts *counts = &keeper->tls_counts;

    if (counts->rows >= TLS_COUNT_ALL_MAX) {
        if (!counts->is_full)
            LOG(LOG_WARN, "keeper.tls_counts_full", log_u64("rows", counts->rows));
        counts->is_full = true;
        return false;
    }
    return store_tls_counts(keeper->store, row->day, row->domain) < TLS_COUNT_ROWS_MAX;
}

/* Grow the row, or make it where there is room. False: there is none. */
static bool put(struct keeper *keeper, const struct store_tls_count *row)
{
    if (store_tls_count_grow(keeper->store, row))
        return true;
    if (!has_room(keeper, row))
        return false;
    store_tls_count_put(keeper->store, row);
    keeper->tls_counts.rows++;
    return true;
}

/* The text of the policy that was in force, as far as it is still known. */
static struct slice policy_text(struct keeper *keeper, const struct tls_seen *seen,
                                struct buffer *out)
{
    struct slice mx = seen_text(seen, TEXT_POLICY_MX);
    struct store_sts row;

    buffer_clear(out);
    if (seen->policy != REPORT_STS)
        return seen_text(seen, TEXT_POLICY);
    if (store_sts_get(keeper->store, seen->domain_id, &row, out) &&
        slice_equal(slice_from_cstr(row.id_cstr), seen_text(seen, TEXT_POLICY)))
        return slice_head(row.text, POLICY_TEXT_MAX);
    buffer_clear(out);
    if (mx.len == 0 || !buffer_append(out, S("version: STSv1\n")))
        return S("");
    while (mx.len > 0)
        if (!buffer_append_format(out, "mx: %.*s\n", SLICE_ARGS(slice_cut(&mx, '\n'))))
            return S("");
    return buffer_view(out);
}

/* The policy's row, with the sessions that went well; the key under which its failures go. */
static uint64_t put_policy(struct keeper *keeper, const struct tls_seen *seen,
                           struct buffer *text)
{
    struct store_tls_count row = {
        .day = seen->day,
        .domain = seen_text(seen, TEXT_DOMAIN),
        .policy_key = key_from(seen, TEXT_POLICY_DOMAIN, TEXT_POLICY_MX, seen->policy),
        .policy = seen->policy,
        .sessions = seen->result == REPORT_SUCCESS ? seen->sessions : 0,
        .texts = {seen_text(seen, TEXT_POLICY_DOMAIN), S(""), seen_text(seen, TEXT_POLICY_MX),
                  S("")}};

    row.texts[1] = policy_text(keeper, seen, text);
    if (put(keeper, &row))
        return row.policy_key;
    /* Policies beyond the limit are not told apart. */
    row.policy_key = OVERFLOW_KEY + (uint64_t)seen->policy;
    row.texts[0] = row.domain;
    row.texts[1] = row.texts[2] = S("");
    if (keeper->tls_counts.rows < TLS_COUNT_ALL_MAX)
        store_tls_count_put(keeper->store, &row);
    return row.policy_key;
}

static void put_failure(struct keeper *keeper, const struct tls_seen *seen, uint64_t policy_key)
{
    struct store_tls_count row = {
        .day = seen->day,
        .domain = seen_text(seen, TEXT_DOMAIN),
        .policy_key = policy_key,
        .detail_key = key_from(seen, TEXT_MX, TEXT_REASON, seen->result),
        .policy = seen->policy,
        .result = seen->result,
        .sessions = seen->sessions,
        .texts = {seen_text(seen, TEXT_MX), seen_text(seen, TEXT_REASON),
                  seen_text(seen, TEXT_ADDRESS), seen_text(seen, TEXT_SOURCE)}};

    if (put(keeper, &row))
        return;
    row.detail_key = OVERFLOW_KEY + (uint64_t)seen->result;
    row.texts[0] = row.texts[2] = row.texts[3] = S("");
    row.texts[1] = S("many-different-failures");
    if (keeper->tls_counts.rows < TLS_COUNT_ALL_MAX)
        store_tls_count_put(keeper->store, &row);
}

static void after_commit(struct keeper *keeper, uint64_t a, uint64_t b, uint64_t c)
{
    size_t position = 0;
    uint64_t hash;
    struct tls_seen *seen;

    (void)a;
    (void)b;
    (void)c;
    while ((seen = map_next(&keeper->tls_counts.pending, &position, &hash)) != NULL)
        free(seen);
    map_deinit(&keeper->tls_counts.pending);
    map_init(&keeper->tls_counts.pending);
    keeper->tls_counts.is_put = false;
}

static void run(struct keeper *keeper, struct task *task, const union ipc_any *unused)
{
    struct tls_counts *counts = &keeper->tls_counts;
    size_t position = 0;
    struct tls_seen *seen;
    struct buffer text;
    uint64_t hash;

    (void)task;
    (void)unused;
    if (!counts->has_rows)
        counts->rows = store_tls_count_all(keeper->store);
    counts->has_rows = true;
    buffer_init(&text, STORE_STS_TEXTS_MAX_BYTES);
    while ((seen = map_next(&counts->pending, &position, &hash)) != NULL) {
        uint64_t policy_key = put_policy(keeper, seen, &text);

        if (seen->result != REPORT_SUCCESS)
            put_failure(keeper, seen, policy_key);
    }
    buffer_deinit(&text);
    inbox_after(keeper, after_commit, 0, 0, 0);
}

static const struct task_kind kind_counts = {
    .name_cstr = "tls_counts", .is_lazy = true, .run = run};

void tls_counts_write(struct keeper *keeper)
{
    struct tls_counts *counts = &keeper->tls_counts;

    if (counts->is_put || counts->pending.count == 0)
        return;
    counts->is_put = true;
    inbox_put_own(keeper, &kind_counts, IPC_NONE, NULL, NULL, 0, 0, 0);
}

static void on_timer(void *context)
{
    struct keeper *keeper = context;

    keeper->tls_counts.is_timed = false;
    tls_counts_write(keeper);
}

void tls_counts_forgotten(struct keeper *keeper, size_t gone)
{
    struct tls_counts *counts = &keeper->tls_counts;

    counts->rows -= gone < counts->rows ? gone : counts->rows;
    counts->is_full = false;
}

void tls_counts_init(struct keeper *keeper)
{
    map_init(&keeper->tls_counts.pending);
    keeper->tls_counts.timer = loop_timer_new(keeper->loop, on_timer, keeper);
}

void tls_counts_deinit(struct keeper *keeper)
{
    after_commit(keeper, 0, 0, 0);
    map_deinit(&keeper->tls_counts.pending);
    loop_timer_free(&keeper->tls_counts.timer);
}
