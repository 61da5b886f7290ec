/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stats.h"

#include "base/must.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* Smaller buckets are put together in the text: nobody's alarm depends on them. */
enum { FIRST_TIME_BUCKET = 6, LAST_PIECES_BUCKET = 16 };

struct stats stats;

_Static_assert(sizeof(struct stats) % sizeof(uint64_t) == 0, "an array of numbers");

/* clang-format off */
#define NUMBER_ROW(KIND, NAME, name, labels, help) [STAT_##NAME] = {STAT_##KIND, name, labels, help},
static const struct stat_row number_rows[STAT_COUNT] = {STATS_NUMBERS(NUMBER_ROW)};

enum { SECONDS = true, PIECES = false };
#define HISTOGRAM_ROW(KIND, NAME, name, help) [HISTOGRAM_##NAME] = {KIND, name, help},
static const struct histogram_row histogram_rows[HISTOGRAM_COUNT] = {STATS_HISTOGRAMS(HISTOGRAM_ROW)};
/* clang-format on */

const struct stat_row *stats_row(enum stat_number number)
{
    must((unsigned)number < STAT_COUNT);
    return &number_rows[number];
}

const struct histogram_row *histogram_row(enum stat_histogram number)
{
    must((unsigned)number < HISTOGRAM_COUNT);
    return &histogram_rows[number];
}

int64_t stats_now_us(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- totals ---- */

void stats_add_new(struct stats *total, const struct stats *report, const struct stats *last)
{
    for (size_t i = 0; i < STAT_COUNT; i++)
        if (number_rows[i].kind == STAT_COUNTER)
            total->numbers[i] += report->numbers[i] - last->numbers[i];
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++) {
        for (size_t j = 0; j < HISTOGRAM_BUCKETS; j++)
            total->histograms[i].buckets[j] +=
                report->histograms[i].buckets[j] - last->histograms[i].buckets[j];
        total->histograms[i].sum += report->histograms[i].sum - last->histograms[i].sum;
    }
}

void stats_add_now(struct stats *total, const struct stats *report)
{
    for (size_t i = 0; i < STAT_COUNT; i++) {
        uint64_t value = report->numbers[i];

        if (number_rows[i].kind == STAT_GAUGE)
            total->numbers[i] += value;
        else if (number_rows[i].kind == STAT_LEAST && value != 0 &&
                 (total->numbers[i] == 0 || value < total->numbers[i]))
            total->numbers[i] = value;
    }
}

/* ---- text ---- */

bool stats_expose_head(struct buffer *out, const char *name_cstr, const char *kind_cstr,
                       const char *help_cstr)
{
    return buffer_append_format(out, "# HELP postern_%s %s\n# TYPE postern_%s %s\n", name_cstr,
                                help_cstr, name_cstr, kind_cstr);
}

static bool expose_number(struct buffer *out, enum stat_number number, uint64_t value)
{
    const struct stat_row *row = &number_rows[number];
    bool is_first =
        number == 0 || strcmp(number_rows[number - 1].name_cstr, row->name_cstr) != 0;

    if (is_first &&
        !stats_expose_head(out, row->name_cstr, row->kind == STAT_COUNTER ? "counter" : "gauge",
                           row->help_cstr))
        return false;
    /* What nobody knows (certificates that nobody uses) is left out. */
    if (row->kind == STAT_LEAST && value == 0)
        return true;
    return buffer_append_format(out, "postern_%s%s%s%s %" PRIu64 "\n", row->name_cstr,
                                row->labels_cstr[0] == 0 ? "" : "{", row->labels_cstr,
                                row->labels_cstr[0] == 0 ? "" : "}", value);
}

/* A bound: whole pieces, or seconds of microseconds. */
static bool expose_bound(struct buffer *out, bool is_time, uint64_t value)
{
    return is_time ? buffer_append_format(out, "%" PRIu64 ".%06" PRIu64, value / 1000000,
                                          value % 1000000)
                   : buffer_append_format(out, "%" PRIu64, value);
}

static bool expose_histogram(struct buffer *out, enum stat_histogram number,
                             const struct histogram *histogram)
{
    const struct histogram_row *row = &histogram_rows[number];
    size_t first = row->is_time ? FIRST_TIME_BUCKET : 0,
           last = row->is_time ? HISTOGRAM_BUCKETS - 2 : LAST_PIECES_BUCKET;
    uint64_t below = 0, count = histogram_count(histogram);
    bool fits = stats_expose_head(out, row->name_cstr, "histogram", row->help_cstr);

    for (size_t i = 0; i <= last && fits; i++) {
        below += histogram->buckets[i];
        if (i < first)
            continue;
        fits = buffer_append_format(out, "postern_%s_bucket{le=\"", row->name_cstr) &&
               expose_bound(out, row->is_time, UINT64_C(1) << i) &&
               buffer_append_format(out, "\"} %" PRIu64 "\n", below);
    }
    return fits &&
           buffer_append_format(out,
                                "postern_%s_bucket{le=\"+Inf\"} %" PRIu64
                                "\npostern_%s_count %" PRIu64 "\npostern_%s_sum ",
                                row->name_cstr, count, row->name_cstr, count, row->name_cstr) &&
           expose_bound(out, row->is_time, histogram->sum) && buffer_append_byte(out, '\n');
}

bool stats_expose(const struct stats *of, struct buffer *out)
{
    bool fits = true;

    for (unsigned i = 0; i < STAT_COUNT && fits; i++)
        fits = expose_number(out, (enum stat_number)i, of->numbers[i]);
    for (unsigned i = 0; i < HISTOGRAM_COUNT && fits; i++)
        fits = expose_histogram(out, (enum stat_histogram)i, &of->histograms[i]);
    return fits;
}
