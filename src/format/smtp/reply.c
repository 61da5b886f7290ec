/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/reply.h"

#include <string.h>

void smtp_reply_reader_init(struct smtp_reply_reader *reader)
{
    *reader = (struct smtp_reply_reader){0};
    buffer_init(&reader->line, SMTP_REPLY_LINE_MAX);
    buffer_init(&reader->text, SMTP_REPLY_TEXT_MAX);
}

void smtp_reply_reader_deinit(struct smtp_reply_reader *reader)
{
    buffer_deinit(&reader->line);
    buffer_deinit(&reader->text);
    *reader = (struct smtp_reply_reader){0};
}

static size_t digits_at(struct slice text, size_t from)
{
    size_t count = 0;

    while (from + count < text.len && byte_is_digit(text.at[from + count]))
        count++;
    return count;
}

bool smtp_enhanced_parse(struct slice text, char enhanced_out[12])
{
    size_t subject, detail, len;

    enhanced_out[0] = '\0';
    /* Every index is checked against the length: "5.7", "5.7." and "5.7.2" alone all come from
     * real servers. */
    if (text.len < 5 || (text.at[0] != '2' && text.at[0] != '4' && text.at[0] != '5') ||
        text.at[1] != '.')
        return false;
    subject = digits_at(text, 2);
    if (subject < 1 || subject > 3 || 2 + subject >= text.len || text.at[2 + subject] != '.')
        return false;
    detail = digits_at(text, 3 + subject);
    len = 3 + subject + detail;
    if (detail < 1 || detail > 3 ||
        (len < text.len && text.at[len] != ' ' && text.at[len] != '\n'))
        return false;
    return slice_to_cstr(slice_head(text, len), enhanced_out, 12);
}

static uint8_t printable(uint8_t byte)
{
    if (byte == '\t')
        return ' ';
    return byte < 32 || byte == 127 ? '?' : byte;
}

static enum progress reader_fail(struct smtp_reply_reader *reader, const char *why_cstr)
{
    FAIL(&reader->err, ERR_PEER, "the server's reply %s", why_cstr);
    return PROGRESS_FAIL;
}

/* "250" or "250-text" or "250 text" becomes code, is_last and text. */
static bool line_split(struct slice line, uint16_t *code_out, bool *is_last_out,
                       struct slice *text_out)
{
    uint64_t code;

    if (line.len < 3 || !slice_parse_u64(slice_head(line, 3), &code) || code < 200 ||
        code > 599)
        return false;
    if (line.len > 3 && line.at[3] != ' ' && line.at[3] != '-')
        return false;
    *code_out = (uint16_t)code;
    *is_last_out = line.len == 3 || line.at[3] == ' ';
    *text_out = slice_from(line, 4);
    return true;
}

/* Take one line without its end. WAIT: more lines follow. */
static enum progress take_line(struct smtp_reply_reader *reader, struct slice line)
{
    uint16_t code;
    bool is_last;
    struct slice text;
    uint8_t *to;

    if (!line_split(line, &code, &is_last, &text))
        return reader_fail(reader, "does not begin with a reply code");
    if (reader->code != 0 && reader->code != code)
        return reader_fail(reader, "has lines with different codes");
    if (++reader->lines > SMTP_REPLY_LINES_MAX)
        return reader_fail(reader, "has too many lines");
    to = buffer_reserve(&reader->text, text.len + 1);
    if (to == NULL)
        return reader_fail(reader, "is too long");
    if (reader->code != 0)
        *to++ = '\n';
    for (size_t i = 0; i < text.len; i++)
        to[i] = printable(text.at[i]);
    buffer_commit(&reader->text, text.len + (reader->code != 0));
    reader->code = code;
    return is_last ? PROGRESS_DONE : PROGRESS_WAIT;
}

static void reader_rewind(struct smtp_reply_reader *reader)
{
    buffer_clear(&reader->line);
    buffer_release_if_empty(&reader->line);
    buffer_clear(&reader->text);
    buffer_release_if_empty(&reader->text);
    reader->code = 0;
    reader->lines = 0;
    reader->was_returned = false;
}

static void reply_fill(const struct smtp_reply_reader *reader, struct smtp_reply *reply_out)
{
    reply_out->code = reader->code;
    reply_out->text = buffer_view(&reader->text);
    if (!smtp_enhanced_parse(reply_out->text, reply_out->enhanced_cstr) ||
        reply_out->enhanced_cstr[0] != '0' + reader->code / 100)
        reply_out->enhanced_cstr[0] = '\0';
}

enum progress smtp_reply_push(struct smtp_reply_reader *reader, struct slice *input,
                              struct smtp_reply *reply_out)
{
    if (reader->err.class != ERR_NONE)
        return PROGRESS_FAIL;
    if (reader->was_returned)
        reader_rewind(reader);
    while (input->len > 0) {
        size_t end = slice_find_byte(*input, '\n');
        struct slice piece = slice_head(*input, end);
        enum progress got;

        if (!buffer_append(&reader->line, piece))
            return reader_fail(reader, "has a line that is too long");
        if (end == input->len) {
            *input = slice_from(*input, end);
            break;
        }
        *input = slice_from(*input, end + 1);
        piece = buffer_view(&reader->line);
        if (piece.len > 0 && piece.at[piece.len - 1] == '\r')
            piece.len--;
        got = take_line(reader, piece);
        buffer_clear(&reader->line);
        if (got == PROGRESS_WAIT)
            continue;
        reader->was_returned = got == PROGRESS_DONE;
        if (got == PROGRESS_DONE)
            reply_fill(reader, reply_out);
        return got;
    }
    return PROGRESS_WAIT;
}

bool smtp_reply_write(struct buffer *out, unsigned code, const char *enhanced_cstr,
                      struct slice text)
{
    size_t before = buffer_len(out);
    bool is_last;

    must(code >= 200 && code <= 599);
    do {
        size_t end = slice_find_byte(text, '\n');
        struct slice line = slice_head(text, end);
        uint8_t *to;

        is_last = end == text.len;
        text = slice_from(text, end + 1);
        if (!buffer_append_format(out, "%u%c%s%s", code, is_last ? ' ' : '-', enhanced_cstr,
                                  enhanced_cstr[0] == '\0' ? "" : " ") ||
            (to = buffer_reserve(out, line.len + 2)) == NULL) {
            buffer_truncate(out, before);
            return false;
        }
        for (size_t i = 0; i < line.len; i++)
            to[i] = printable(line.at[i]);
        to[line.len] = '\r';
        to[line.len + 1] = '\n';
        buffer_commit(out, line.len + 2);
    } while (!is_last);
    return true;
}
