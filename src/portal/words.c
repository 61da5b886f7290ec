/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/words.h"

#include "format/mime/date.h"
#include "format/mime/utf8.h"

#include <inttypes.h>

bool words_size(struct buffer *out, uint64_t bytes)
{
    static const char *const units[] = {"KB", "MB", "GB"};
    uint64_t tenths = bytes / 100;
    size_t unit = 0;

    if (bytes == 1)
        return buffer_append(out, S("1 byte"));
    if (bytes < 1000)
        return buffer_append_format(out, "%" PRIu64 " bytes", bytes);
    while (tenths >= 9995 && unit + 1 < COUNT_OF(units)) {
        tenths /= 1000;
        unit++;
    }
    if (tenths < 100 && tenths % 10 != 0)
        return buffer_append_format(out, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
                                    units[unit]);
    return buffer_append_format(out, "%" PRIu64 " %s", (tenths + 5) / 10, units[unit]);
}

static int64_t seconds_of(int64_t unix_ms)
{
    int64_t seconds = unix_ms / 1000;

    if (seconds < 0)
        return 0;
    return seconds > 253402300799 ? 253402300799 : seconds;
}

bool words_day(struct buffer *out, int64_t unix_ms)
{
    return mime_day_append(out, seconds_of(unix_ms));
}

bool words_moment(struct buffer *out, int64_t unix_ms)
{
    int64_t seconds = seconds_of(unix_ms);

    return mime_day_append(out, seconds) &&
           buffer_append_format(out, ", %02" PRId64 ":%02" PRId64 " UTC", seconds / 3600 % 24,
                                seconds / 60 % 60);
}

uint64_t words_minutes(int64_t ms)
{
    return ms <= 60000 ? 1 : (uint64_t)(ms + 59999) / 60000;
}

bool words_filename(struct buffer *out, struct slice name, uint64_t number)
{
    struct buffer clean;
    struct slice rest;
    bool is_written = false;

    for (size_t i = name.len; i > 0; i--)
        if (name.at[i - 1] == '/' || name.at[i - 1] == '\\') {
            name = slice_from(name, i);
            break;
        }
    buffer_init(&clean, 3 * name.len + 1);
    if (!utf8_append_clean(&clean, name, true))
        buffer_clear(&clean);
    rest = slice_trim(buffer_view(&clean));
    while (rest.len > 0 && (rest.at[0] == '.' || rest.at[0] == ' '))
        rest = slice_from(rest, 1);
    if (rest.len > WORDS_FILENAME_MAX) {
        /* Keep the ending: it says what the file is. */
        size_t dot = rest.len;

        while (dot > 0 && rest.at[dot - 1] != '.' && rest.len - dot < 12)
            dot--;
        if (dot > 0 && rest.at[dot - 1] == '.') {
            struct slice ending = slice_from(rest, dot - 1);

            is_written = buffer_append(out, utf8_head(rest, WORDS_FILENAME_MAX - ending.len)) &&
                         buffer_append(out, ending);
        } else
            is_written = buffer_append(out, utf8_head(rest, WORDS_FILENAME_MAX));
    } else if (rest.len > 0)
        is_written = buffer_append(out, rest);
    else
        is_written = buffer_append_format(out, "attachment-%" PRIu64, number);
    buffer_deinit(&clean);
    return is_written;
}

static bool is_attr_char(uint8_t byte)
{
    static const struct slice marks = SLICE_INIT("!#$&+-.^_`|~");

    return byte_is_alpha(byte) || byte_is_digit(byte) ||
           slice_find_byte(marks, byte) < marks.len;
}

bool words_disposition(struct buffer *out, struct slice name)
{
    bool is_written = buffer_append(out, S("attachment; filename=\""));

    for (size_t i = 0; is_written && i < name.len; i++) {
        uint8_t byte = name.at[i];

        /* One "_" for a character of several bytes. */
        if ((byte & 0xC0) == 0x80)
            continue;
        if (byte < 0x20 || byte >= 0x7F || byte == '"' || byte == '\\' || byte == '%')
            byte = '_';
        is_written = buffer_append_byte(out, byte);
    }
    is_written = is_written && buffer_append(out, S("\"; filename*=UTF-8''"));
    for (size_t i = 0; is_written && i < name.len; i++)
        is_written = is_attr_char(name.at[i]) ? buffer_append_byte(out, name.at[i])
                                              : buffer_append_format(out, "%%%02X", name.at[i]);
    return is_written;
}

const char *words_file_type(struct slice type)
{
    /* None of them can run anything; everything is saved, never shown, all the same. */
    static const char *const safe[] = {"application/pdf", "image/gif",  "image/jpeg",
                                       "image/png",       "image/webp", "text/plain"};

    for (size_t i = 0; i < COUNT_OF(safe); i++)
        if (slice_equal_nocase(type, slice_from_cstr(safe[i])))
            return safe[i];
    return "application/octet-stream";
}
