/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/buffer.h"
#include "base/id.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, LINE_TAIL_BYTES = 8 };

static const char *role_name_cstr = "postern";
static enum log_level least_level = LOG_INFO;

void log_open(const char *role_cstr, enum log_level least)
{
    role_name_cstr = role_cstr;
    least_level = least;
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

static bool append_field(struct buffer *line, const struct log_field *field)
{
    char id_cstr[ID_TEXT_SIZE];

    if (!buffer_append_format(line, ",\"%s\":", field->name_cstr))
        return false;
    switch (field->kind) {
    case LOG_KIND_U64:
        return buffer_append_format(line, "%" PRIu64, field->number);
    case LOG_KIND_I64:
        return buffer_append_format(line, "%" PRId64, (int64_t)field->number);
    case LOG_KIND_TEXT:
        return append_quoted(line, field->text);
    case LOG_KIND_ID:
        id_write(field->number, id_cstr);
        return append_quoted(line, slice_from_cstr(id_cstr));
    case LOG_END:
        break;
    }
    return true;
}

void log_write(enum log_level level, const char *event_cstr, const struct log_field *fields)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    struct buffer line;
    struct timespec now;
    struct tm utc;
    char time_cstr[32];
    bool fits;

    if (level < least_level)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time_cstr, sizeof time_cstr, "%Y-%m-%dT%H:%M:%S", &utc);
    buffer_init(&line, LINE_MAX_BYTES);
    fits = buffer_append_format(&line,
                                "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"role\":\"%s\","
                                "\"pid\":%d,\"event\":\"%s\"",
                                time_cstr, now.tv_nsec / 1000000, names[level], role_name_cstr,
                                (int)getpid(), event_cstr);
    for (; fits && fields->kind != LOG_END; fields++) {
        size_t before = buffer_len(&line);

        /* A field that does not fit is left out whole, so that the line stays JSON. */
        if (!append_field(&line, fields) || buffer_room(&line) < LINE_TAIL_BYTES)
            buffer_truncate(&line, before);
    }
    if (fits && buffer_append(&line, S("}\n"))) {
        struct slice text = buffer_view(&line);
        /* Nobody to tell when standard error is gone. */
        ssize_t ignored = write(STDERR_FILENO, text.at, text.len);

        (void)ignored;
    }
    buffer_deinit(&line);
}
