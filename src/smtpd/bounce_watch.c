/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/bounce_watch.h"

#include "format/mime/header.h"

static bool holds(struct slice value, struct slice word)
{
    return slice_find_nocase(value, word) < value.len;
}

void bounce_watch_header(struct bounce_watch *watch, struct slice header)
{
    struct mime_field field;

    while (mime_field_next(&header, &field) && field.name.len > 0) {
        struct slice value = slice_trim(field.value);

        if (slice_equal_nocase(field.name, S("Content-Type")) &&
            slice_starts_with_nocase(value, S("multipart/report"))) {
            watch->is_report = holds(value, S("delivery-status"));
            watch->is_other = !watch->is_report;
        } else if (slice_equal_nocase(field.name, S("Auto-Submitted"))) {
            watch->is_automatic = !slice_starts_with_nocase(value, S("no"));
        } else if (slice_equal_nocase(field.name, S("X-Failed-Recipients"))) {
            watch->names_failed = true;
        }
    }
}

static void end_line(struct bounce_watch *watch)
{
    struct slice line =
        slice_of(watch->line, watch->len < BOUNCE_LINE_SIZE ? watch->len : BOUNCE_LINE_SIZE);

    watch->len = 0;
    if (!slice_starts_with_nocase(line, S("Action:")))
        return;
    if (slice_starts_with_nocase(slice_trim(slice_from(line, 7)), S("failed")))
        watch->has_failed = true;
    else
        watch->has_other = true;
}

void bounce_watch_body(struct bounce_watch *watch, struct slice piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.at[i] == '\n') {
            end_line(watch);
            continue;
        }
        if (watch->len < BOUNCE_LINE_SIZE)
            watch->line[watch->len] = piece.at[i];
        watch->len++;
    }
}

bool bounce_watch_is_failure(const struct bounce_watch *watch)
{
    if (watch->is_report)
        return watch->has_failed || !watch->has_other;
    return !watch->is_other && (watch->names_failed || !watch->is_automatic);
}
