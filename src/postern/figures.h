/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as people read them: short, at most seven characters, in a unit that fits. */
#ifndef POSTERN_FIGURES_H
#define POSTERN_FIGURES_H

#include "base/histogram.h"

#include <jansson.h>

enum { FIGURE_SIZE = 32 };

/* "512", "12.3K", "4.0G" (of 1024). */
const char *figure_bytes(uint64_t bytes, char text_out[FIGURE_SIZE]);
/* "350us", "1.2ms", "3.4s"; "-" for 0. */
const char *figure_time(double us, char text_out[FIGURE_SIZE]);
/* "45s", "3m 12s", "2h 5m", "3d 4h". */
const char *figure_span(int64_t ms, char text_out[FIGURE_SIZE]);
/* "0", "0.2", "12.5", "1234", "12.3k". */
const char *figure_rate(double per_second, char text_out[FIGURE_SIZE]);

/* A histogram of the server's JSON ({"buckets": […], "sum": n}), less an earlier one (NULL = nothing). */
void figure_histogram(const json_t *now, const json_t *before, struct histogram *histogram_out);

/* Members of an object; 0 and "" when they are not there. */
json_int_t figure_number(const json_t *object, const char *key_cstr);
const char *figure_text(const json_t *object, const char *key_cstr);

#endif
