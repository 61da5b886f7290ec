/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per event on standard error, as JSON (one object a line) or as text for people's eyes: time
 * (RFC 3339, UTC, milliseconds), level, role, process, event name, then named fields. Whatever bytes a field
 * holds, the line stays one line, and the JSON stays JSON.
 * Subjects, bodies, keys, tokens, passwords and e-mail addresses have no way into a log call:
 * log ids, domains, counts and error texts only. Event names are `wing.what_happened`.
 *
 *     LOG(LOG_INFO, "smtpd.accepted", log_id("message", id), log_u64("bytes", size));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_kind { LOG_END, LOG_KIND_U64, LOG_KIND_I64, LOG_KIND_TEXT, LOG_KIND_ID };

struct log_field {
    enum log_kind kind;
    const char *name_cstr;
    uint64_t number;
    struct slice text;
};

static inline struct log_field log_u64(const char *name_cstr, uint64_t value)
{
    return (struct log_field){LOG_KIND_U64, name_cstr, value, {NULL, 0}};
}
static inline struct log_field log_i64(const char *name_cstr, int64_t value)
{
    return (struct log_field){LOG_KIND_I64, name_cstr, (uint64_t)value, {NULL, 0}};
}
static inline struct log_field log_text(const char *name_cstr, struct slice text)
{
    return (struct log_field){LOG_KIND_TEXT, name_cstr, 0, text};
}
static inline struct log_field log_cstr(const char *name_cstr, const char *text_cstr)
{
    return log_text(name_cstr, slice_from_cstr(text_cstr));
}
/* A message, recipient or session id, printed as people see it (see base/id.h). */
static inline struct log_field log_id(const char *name_cstr, uint64_t id)
{
    return (struct log_field){LOG_KIND_ID, name_cstr, id, {NULL, 0}};
}

enum log_format { LOG_JSON, LOG_TEXT };

/* The role's name goes into every line; lines below `least` are dropped. Call once per process. */
void log_open(const char *role_cstr, enum log_level least);
/* The form of lines, and from how many milliseconds on an operation is slow. At first JSON and 500. */
void log_style(enum log_format format, int64_t slow_ms);
/* At least one field. One write(2) per line, so lines of several processes do not mix. */
#define LOG(level, event_cstr, ...)                                                            \
    log_write((level), (event_cstr),                                                           \
              (const struct log_field[]){__VA_ARGS__, {LOG_END, 0, 0, {0, 0}}})
void log_write(enum log_level level, const char *event_cstr, const struct log_field *fields);

/*
 * An operation took so long (microseconds): when that is slow, event `slow` says what and how long, at
 * most once a second for each `what_cstr` (a literal, compared by its address), and `missed` counts the others.
 */
void log_slow_now(const char *what_cstr, int64_t took_us);
extern int64_t log_slow_us;
static inline void log_slow(const char *what_cstr, int64_t took_us)
{
    if (took_us >= log_slow_us)
        log_slow_now(what_cstr, took_us);
}

/* The last warning or error of this process, as it was written, if it was not taken before; else empty. */
struct slice log_take_trouble(void);

#endif
