/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/figures.h"

#include "base/must.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *figure_bytes(uint64_t bytes, char text_out[FIGURE_SIZE])
{
    static const char units[] = "KMGTP";
    double value = (double)bytes;
    size_t unit = 0;

    if (bytes < 1024) {
        (void)snprintf(text_out, FIGURE_SIZE, "%u", (unsigned)bytes);
        return text_out;
    }
    for (value /= 1024; value >= 1024 && unit + 2 < sizeof units; unit++)
        value /= 1024;
    (void)snprintf(text_out, FIGURE_SIZE, value < 100 ? "%.1f%c" : "%.0f%c", value,
                   units[unit]);
    return text_out;
}

const char *figure_time(double us, char text_out[FIGURE_SIZE])
{
    if (us <= 0)
        (void)snprintf(text_out, FIGURE_SIZE, "-");
    else if (us < 1000)
        (void)snprintf(text_out, FIGURE_SIZE, "%.0fus", us);
    else if (us < 100000)
        (void)snprintf(text_out, FIGURE_SIZE, "%.1fms", us / 1000);
    else if (us < 1000000)
        (void)snprintf(text_out, FIGURE_SIZE, "%.0fms", us / 1000);
    else
        (void)snprintf(text_out, FIGURE_SIZE, "%.1fs", us / 1e6);
    return text_out;
}

const char *figure_span(int64_t ms, char text_out[FIGURE_SIZE])
{
    int64_t seconds = ms > 0 ? ms / 1000 : 0;

    if (seconds < 60)
        (void)snprintf(text_out, FIGURE_SIZE, "%" PRId64 "s", seconds);
    else if (seconds < 3600)
        (void)snprintf(text_out, FIGURE_SIZE, "%" PRId64 "m %" PRId64 "s", seconds / 60,
                       seconds % 60);
    else if (seconds < 86400)
        (void)snprintf(text_out, FIGURE_SIZE, "%" PRId64 "h %" PRId64 "m", seconds / 3600,
                       seconds % 3600 / 60);
    else
        (void)snprintf(text_out, FIGURE_SIZE, "%" PRId64 "d %" PRId64 "h", seconds / 86400,
                       seconds % 86400 / 3600);
    return text_out;
}

const char *figure_rate(double per_second, char text_out[FIGURE_SIZE])
{
    if (per_second <= 0)
        (void)snprintf(text_out, FIGURE_SIZE, "0");
    else if (per_second < 1)
        (void)snprintf(text_out, FIGURE_SIZE, "%.2f", per_second);
    else if (per_second < 100)
        (void)snprintf(text_out, FIGURE_SIZE, "%.1f", per_second);
    else if (per_second < 10000)
        (void)snprintf(text_out, FIGURE_SIZE, "%.0f", per_second);
    else
        (void)snprintf(text_out, FIGURE_SIZE, "%.1fk", per_second / 1000);
    return text_out;
}

void figure_histogram(const json_t *now, const json_t *before, struct histogram *histogram_out)
{
    const json_t *buckets = json_object_get(now, "buckets"),
                 *earlier = json_object_get(before, "buckets");

    memset(histogram_out, 0, sizeof *histogram_out);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        json_int_t count = json_integer_value(json_array_get(buckets, i)) -
                           json_integer_value(json_array_get(earlier, i));

        /* The server may have started anew. */
        histogram_out->buckets[i] = count > 0 ? (uint64_t)count : 0;
    }
}

json_int_t figure_number(const json_t *object, const char *key_cstr)
{
    return json_integer_value(json_object_get(object, key_cstr));
}

const char *figure_text(const json_t *object, const char *key_cstr)
{
    const char *text_cstr = json_string_value(json_object_get(object, key_cstr));

    return text_cstr == NULL ? "" : text_cstr;
}
