/* SPDX-License-Identifier: Apache-2.0 */
/* The office's requests of programs that watch us: `metrics` (Prometheus' text) and `ready`. */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "role/role.h"

enum { TEXT_MAX_BYTES = 1 << 20 };

/* What one process uses: a value of one of the metrics below. */
struct process_row {
    const char *role_cstr;
    unsigned index;
    struct usage usage;
    int64_t started_ms;
    uint64_t restarts;
};

static bool expose_label(struct buffer *out, const char *name_cstr,
                         const struct process_row *row)
{
    return buffer_append_format(out, "postern_%s{role=\"%s\",index=\"%u\"} ", name_cstr,
                                row->role_cstr, row->index);
}

static bool expose_whole(struct buffer *out, uint64_t value)
{
    return buffer_append_format(out, "%llu\n", (unsigned long long)value);
}

static bool expose_thousandths(struct buffer *out, uint64_t value)
{
    return buffer_append_format(out, "%llu.%03u\n", (unsigned long long)(value / 1000),
                                (unsigned)(value % 1000));
}

static uint64_t cpu_of(const struct process_row *row)
{
    return row->usage.cpu_us / 1000;
}
static uint64_t rss_of(const struct process_row *row)
{
    return row->usage.rss_bytes;
}
static uint64_t pss_of(const struct process_row *row)
{
    return row->usage.pss_bytes;
}
static uint64_t descriptors_of(const struct process_row *row)
{
    return row->usage.descriptors;
}
static uint64_t start_of(const struct process_row *row)
{
    return (uint64_t)row->started_ms;
}
static uint64_t restarts_of(const struct process_row *row)
{
    return row->restarts;
}

static const struct {
    const char *name_cstr, *kind_cstr, *help_cstr;
    uint64_t (*value)(const struct process_row *row);
    bool is_thousandths, has_unknown;
} process_metrics[] = {
    {"process_cpu_seconds_total", "counter", "CPU time used", cpu_of, true, false},
    {"process_resident_memory_bytes", "gauge", "Resident memory", rss_of, false, true},
    {"process_proportional_memory_bytes", "gauge",
     "Resident memory, shared pages by the number of their users", pss_of, false, true},
    {"process_open_fds", "gauge", "Open descriptors", descriptors_of, false, true},
    {"process_start_time_seconds", "gauge", "When it was started, unix time", start_of, true,
     false},
    {"role_restarts_total", "counter", "Starts after the first, since the supervisor's own",
     restarts_of, false, false},
};

static size_t list_processes(struct keeper *keeper, struct process_row *rows_out)
{
    const struct overview *overview = &keeper->overview;
    size_t count = 0;

    for (size_t i = 0; i < overview->member_count; i++) {
        const struct ipc_member *member = &overview->members[i];
        const struct peer *peer =
            peer_of(keeper, (enum ipc_role)member->role, (unsigned)member->index);
        struct process_row *row = &rows_out[count++];

        *row = (struct process_row){.role_cstr =
                                        role_name((enum ipc_role)(member->role % ROLE_COUNT)),
                                    .index = (unsigned)member->index,
                                    .usage = {member->cpu_us, member->rss_bytes,
                                              member->pss_bytes, member->descriptors},
                                    .started_ms = member->started_ms,
                                    .restarts = member->restarts};
        if (member->role == ROLE_KEEPER)
            row->usage = overview->usage;
        else if (peer != NULL)
            row->usage = peer->usage;
    }
    return count;
}

static bool expose_processes(struct keeper *keeper, struct buffer *out)
{
    struct process_row rows[OVERVIEW_MEMBERS];
    size_t count = list_processes(keeper, rows);
    bool fits = true;

    for (size_t i = 0; i < COUNT_OF(process_metrics) && fits; i++) {
        fits = stats_expose_head(out, process_metrics[i].name_cstr,
                                 process_metrics[i].kind_cstr, process_metrics[i].help_cstr);
        for (size_t j = 0; j < count && fits; j++) {
            uint64_t value = process_metrics[i].value(&rows[j]);

            if (value == 0 && process_metrics[i].has_unknown)
                continue;
            fits = expose_label(out, process_metrics[i].name_cstr, &rows[j]) &&
                   (process_metrics[i].is_thousandths ? expose_thousandths(out, value)
                                                      : expose_whole(out, value));
        }
    }
    return fits;
}

static bool expose_server(struct keeper *keeper, struct buffer *out)
{
    return stats_expose_head(out, "build_info", "gauge", "Always 1") &&
           buffer_append_format(out, "postern_build_info{version=\"%s\"} 1\n",
                                POSTERN_VERSION) &&
           stats_expose_head(out, "ready", "gauge", "1 when mail is taken and carried") &&
           buffer_append_format(out, "postern_ready %d\n",
                                overview_why_not_ready(keeper) == NULL);
}

/* The report of `postern tls report`. */
static bool expose_board(struct keeper *keeper, struct buffer *out)
{
    static const struct {
        unsigned bit;
        const char *name_cstr;
    } features[] = {{0, "starttls"},    {1, "tls_1_3"},    {2, "webpki"},
                    {3, "dane"},        {4, "requiretls"}, {5, "sts_enforce"},
                    {6, "sts_testing"}, {7, "signed_mx"}};
    const struct board_count *count = board_counts(keeper);
    bool fits = stats_expose_head(out, "board_domains", "gauge",
                                  "Domains on the board, by the verdict of their last tests");

    for (unsigned i = 0; i < BOARD_VERDICT_COUNT && fits; i++)
        fits = buffer_append_format(out, "postern_board_domains{verdict=\"%s\"} %llu\n",
                                    board_verdict_name((enum board_verdict)i),
                                    (unsigned long long)count->verdicts[i]);
    fits = fits && stats_expose_head(out, "board_domains_with", "gauge",
                                     "Domains of which every host that was reached has it");
    for (size_t i = 0; i < COUNT_OF(features) && fits; i++)
        fits = buffer_append_format(out, "postern_board_domains_with{feature=\"%s\"} %llu\n",
                                    features[i].name_cstr,
                                    (unsigned long long)count->features[features[i].bit]);
    return fits;
}

void metrics_answer(struct control_output *output, const json_t *request)
{
    static struct stats total; /* large */
    struct buffer text;

    (void)request;
    overview_total(output->keeper, &total);
    buffer_init(&text, TEXT_MAX_BYTES);
    if (expose_server(output->keeper, &text) && stats_expose(&total, &text) &&
        expose_board(output->keeper, &text) && expose_processes(output->keeper, &text) &&
        routes_expose(output->keeper, &text))
        control_raw(output, buffer_view(&text));
    buffer_deinit(&text);
}

void ready_answer(struct control_output *output, const json_t *request)
{
    const char *why_cstr = overview_why_not_ready(output->keeper);
    json_t *object = json_pack("{s:b}", "ready", why_cstr == NULL);

    (void)request;
    if (why_cstr != NULL)
        json_object_set_new(object, "why", json_string(why_cstr));
    control_line(output, object);
}
