/* SPDX-License-Identifier: Apache-2.0 */
/* What renderings share: cells, times and tables, all safe for a terminal. See render.h. */
#ifndef POSTERN_RENDER_PARTS_H
#define POSTERN_RENDER_PARTS_H

#include <jansson.h>
#include <stdio.h>

enum { RENDER_TIME_SIZE = 24 };

enum render_cell { CELL_TEXT, CELL_TIME, CELL_DISTANCE, CELL_FLAG };

struct render_column {
    const char *key_cstr, *title_cstr;
    enum render_cell kind;
};

/* Rows are objects; what a row lacks is "-". Columns are as wide as what is in them, two blanks between. */
void render_table(const json_t *rows, const struct render_column *columns, size_t column_count,
                  FILE *to);
/* Without control characters, which could move a terminal. */
void render_clean(const char *text_cstr, FILE *to);
/* "2026-11-22 07:00:01" UTC; returns its argument. */
const char *render_time(json_int_t ms, char text_out[RENDER_TIME_SIZE]);
/* "in 5m", "3h ago", "now" */
void render_distance(json_int_t ms, char *text_out, size_t size);

#endif
