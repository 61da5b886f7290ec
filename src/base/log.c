/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buffer.h"
#include "base/id.h"
#include "base/stats.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096,
    LINE_TAIL_BYTES = 8,
    TROUBLE_MAX_BYTES = 1024,
    SLOW_KINDS = 16,
    SLOW_EVERY_US = 1000000,
};

static const char *role_name_cstr = "postern";
static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_JSON;
int64_t log_slow_us = 500 * 1000;

static char trouble_cstr[TROUBLE_MAX_BYTES];
static size_t trouble_len;
static bool is_trouble_new;

void log_open(const char *role_cstr, enum log_level least)
{
    role_name_cstr = role_cstr;
    least_level = least;
}

void log_style(enum log_format format, int64_t slow_ms)
{
    line_format = format;
    log_slow_us = slow_ms * 1000;
}

struct slice log_take_trouble(void)
{
    struct slice taken = slice_of(trouble_cstr, is_trouble_new ? trouble_len : 0);

    is_trouble_new = false;
    return taken;
}

/* A JSON string; control bytes and bytes over 126 become \u00XX, so that no line can be forged. */
static bool append_quoted(struct buffer *line, struct slice text)
{
    bool fits = buffer_append_byte(line, '"');

    for (size_t i = 0; i < text.len && fits; i++) {
        uint8_t byte = text.at[i];

        if (byte == '"' || byte == '\\')
            fits = buffer_append_format(line, "\\%c", byte);
        else if (byte < 0x20 || byte > 0x7e)
            fits = buffer_append_format(line, "\\u%04x", byte);
        else
            fits = buffer_append_byte(line, byte);
    }
    return buffer_append_byte(line, '"') && fits;
}

/* Words that need no quotes are easier on the eye. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7f || text.at[i] == '"' || text.at[i] == '=')
            return false;
    return text.len > 0;
}

static bool append_text(struct buffer *line, struct slice text)
{
    if (line_format == LOG_TEXT && is_plain(text))
        return buffer_append(line, text);
    return append_quoted(line, text);
}

static bool append_field(struct buffer *line, const struct log_field *field)
{
    char id_cstr[ID_TEXT_SIZE];

    if (!buffer_append_format(line,
                              line_format == LOG_JSON ? ",\"%s\":" : " %s=", field->name_cstr))
        return false;
    switch (field->kind) {
    case LOG_KIND_U64:
        return buffer_append_format(line, "%" PRIu64, field->number);
    case LOG_KIND_I64:
        return buffer_append_format(line, "%" PRId64, (int64_t)field->number);
    case LOG_KIND_TEXT:
        return append_text(line, field->text);
    case LOG_KIND_ID:
        id_write(field->number, id_cstr);
        return append_text(line, slice_from_cstr(id_cstr));
    case LOG_END:
        break;
    }
    return true;
}

static bool append_head(struct buffer *line, enum log_level level, const char *event_cstr)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    struct timespec now;
    struct tm utc;
    char time_cstr[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time_cstr, sizeof time_cstr, "%Y-%m-%dT%H:%M:%S", &utc);
    return buffer_append_format(line,
                                line_format == LOG_JSON
                                    ? "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\","
                                      "\"role\":\"%s\",\"pid\":%d,\"event\":\"%s\""
                                    : "%s.%03ldZ %-5s %s[%d] %s",
                                time_cstr, now.tv_nsec / 1000000, names[level], role_name_cstr,
                                (int)getpid(), event_cstr);
}

/* Kept for `postern status`; cut between fields never, so a line that is too long is not kept. */
static void keep_trouble(enum log_level level, struct slice line)
{
    if (level < LOG_WARN)
        return;
    stats.numbers[level == LOG_WARN ? STAT_LOG_WARNINGS : STAT_LOG_ERRORS]++;
    if (line.len > sizeof trouble_cstr)
        return;
    memcpy(trouble_cstr, line.at, line.len);
    trouble_len = line.len;
    is_trouble_new = true;
}

void log_write(enum log_level level, const char *event_cstr, const struct log_field *fields)
{
    struct buffer line;
    struct slice text;
    ssize_t ignored;

    if (level < least_level)
        return;
    buffer_init(&line, LINE_MAX_BYTES);
    if (append_head(&line, level, event_cstr)) {
        for (; fields->kind != LOG_END; fields++) {
            size_t before = buffer_len(&line);

            /* A field that does not fit is left out whole, so that the line stays JSON. */
            if (!append_field(&line, fields) || buffer_room(&line) < LINE_TAIL_BYTES)
                buffer_truncate(&line, before);
        }
        if (buffer_append(&line, line_format == LOG_JSON ? S("}\n") : S("\n"))) {
            text = buffer_view(&line);
            keep_trouble(level, slice_head(text, text.len - 1));
            /* Nobody to tell when standard error is gone. */
            ignored = write(STDERR_FILENO, text.at, text.len);
            (void)ignored;
        }
    }
    buffer_deinit(&line);
}

/* A slow disk makes thousands of slow commits: one line a second tells as much. */
void log_slow_now(const char *what_cstr, int64_t took_us)
{
    static struct {
        const char *what_cstr;
        int64_t said_us;
        uint64_t missed;
    } kinds[SLOW_KINDS];
    int64_t now_us = stats_now_us();
    size_t at = 0;

    STAT_ADD(SLOW, 1);
    while (at + 1 < SLOW_KINDS && kinds[at].what_cstr != NULL &&
           kinds[at].what_cstr != what_cstr)
        at++;
    kinds[at].what_cstr = what_cstr;
    if (kinds[at].said_us != 0 && now_us - kinds[at].said_us < SLOW_EVERY_US) {
        kinds[at].missed++;
        return;
    }
    LOG(LOG_WARN, "slow", log_cstr("what", what_cstr), log_i64("took_ms", took_us / 1000),
        log_i64("limit_ms", log_slow_us / 1000), log_u64("missed", kinds[at].missed));
    kinds[at].said_us = now_us;
    kinds[at].missed = 0;
}
