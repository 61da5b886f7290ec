/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/dots.h"

#include <string.h>

static const struct slice the_cr = SLICE_INIT("\r");

void smtp_dots_init(struct smtp_dots *dots, size_t line_max, bool is_chunk)
{
    *dots = (struct smtp_dots){.line_max = line_max, .is_chunk = is_chunk};
}

static void count_line(struct smtp_dots *dots, size_t len)
{
    dots->line_len += len;
    if (dots->line_len > dots->line_max)
        dots->has_long_line = true;
}

/*
 * Scan whole and partial lines from the start of `input` until a dot at the start of a line
 * needs a decision. Returns how many bytes are plain content. A CR as the last byte is not
 * counted.
 */
static size_t scan_plain(struct smtp_dots *dots, struct slice input)
{
    const uint8_t *at = input.at, *end = input.at + input.len;

    while (at < end) {
        const uint8_t *cr, *stop;

        if (dots->at == SMTP_DOTS_LINE_START && *at == '.' && !dots->is_chunk)
            break;
        dots->at = SMTP_DOTS_LINE;
        cr = memchr(at, '\r', (size_t)(end - at));
        stop = cr == NULL ? end : cr;
        if (memchr(at, '\n', (size_t)(stop - at)) != NULL)
            dots->has_bare_end = true;
        count_line(dots, (size_t)(stop - at));
        if (stop == end || stop + 1 == end) {
            if (stop < end)
                dots->at = SMTP_DOTS_CR;
            return (size_t)(stop - input.at);
        }
        at = stop + 1;
        if (*at != '\n') {
            dots->has_bare_end = true;
            count_line(dots, 1);
            continue;
        }
        at++;
        dots->line_len = 0;
        dots->at = SMTP_DOTS_LINE_START;
    }
    return (size_t)(at - input.at);
}

/* A CR stood at the end of the last push: does a LF follow? Either way the CR is content. */
static enum progress after_cr(struct smtp_dots *dots, struct slice *input,
                              struct slice *piece_out)
{
    if (!dots->owes_cr) {
        /* First the CR itself comes out, from a constant: its storage may have gone. */
        dots->owes_cr = true;
        *piece_out = the_cr;
        return PROGRESS_WAIT;
    }
    dots->owes_cr = false;
    if (input->at[0] == '\n') {
        *piece_out = slice_head(*input, 1);
        *input = slice_from(*input, 1);
        dots->line_len = 0;
        dots->at = SMTP_DOTS_LINE_START;
        return PROGRESS_WAIT;
    }
    dots->has_bare_end = true;
    count_line(dots, 1);
    dots->at = SMTP_DOTS_LINE;
    return PROGRESS_WAIT;
}

/* The line so far is ".\r". LF: the end. Anything else: the dot was added, the CR is bare
 * content. */
static enum progress after_dot_cr(struct smtp_dots *dots, struct slice *input,
                                  struct slice *piece_out)
{
    if (input->at[0] == '\n') {
        *input = slice_from(*input, 1);
        dots->at = SMTP_DOTS_END;
        return PROGRESS_DONE;
    }
    *piece_out = the_cr;
    dots->has_bare_end = true;
    count_line(dots, 1);
    dots->at = SMTP_DOTS_LINE;
    return PROGRESS_WAIT;
}

static enum progress run_plain(struct smtp_dots *dots, struct slice *input,
                               struct slice *piece_out)
{
    size_t len = scan_plain(dots, *input);

    *piece_out = slice_head(*input, len);
    if (len > 0 && memchr(piece_out->at, '\0', len) != NULL)
        dots->has_nul = true;
    /* A CR at the very end is taken now and comes out of after_cr(). */
    *input = slice_from(*input, len + (dots->at == SMTP_DOTS_CR));
    if (dots->at == SMTP_DOTS_LINE_START && input->len > 0) {
        dots->at = SMTP_DOTS_DOT;
        *input = slice_from(*input, 1);
    }
    return PROGRESS_WAIT;
}

enum progress smtp_dots_push(struct smtp_dots *dots, struct slice *input,
                             struct slice *piece_out)
{
    *piece_out = (struct slice){NULL, 0};
    must(dots->at != SMTP_DOTS_END);
    if (input->len == 0)
        return PROGRESS_WAIT;
    switch (dots->at) {
    case SMTP_DOTS_LINE_START:
    case SMTP_DOTS_LINE:
        return run_plain(dots, input, piece_out);
    case SMTP_DOTS_CR:
        return after_cr(dots, input, piece_out);
    case SMTP_DOTS_DOT:
        if (input->at[0] == '\r') {
            *input = slice_from(*input, 1);
            dots->at = SMTP_DOTS_DOT_CR;
            return PROGRESS_WAIT;
        }
        dots->at = SMTP_DOTS_LINE;
        return PROGRESS_WAIT;
    case SMTP_DOTS_DOT_CR:
        return after_dot_cr(dots, input, piece_out);
    case SMTP_DOTS_END:
        break;
    }
    return PROGRESS_DONE;
}

bool smtp_dots_finish_chunks(struct smtp_dots *dots, struct slice *piece_out)
{
    *piece_out = (struct slice){NULL, 0};
    if (dots->at == SMTP_DOTS_CR) {
        if (!dots->owes_cr)
            *piece_out = the_cr;
        dots->has_bare_end = true;
    }
    return dots->at == SMTP_DOTS_LINE_START;
}

/* Append a run without line ends; `starts_line` says that a leading dot must be doubled. */
static bool write_run(struct smtp_dots_writer *writer, struct slice run, struct buffer *out)
{
    if (run.len == 0)
        return true;
    if (!writer->in_line && run.at[0] == '.' && !buffer_append_byte(out, '.'))
        return false;
    writer->in_line = true;
    return buffer_append(out, run);
}

static bool write_line_end(struct smtp_dots_writer *writer, struct buffer *out)
{
    writer->in_line = false;
    return buffer_append(out, S("\r\n"));
}

/* Length of the longest prefix that goes out as it is: lines ended by CR LF, no dot in front.
 */
static size_t clean_prefix(struct slice content)
{
    const uint8_t *at = content.at, *end = content.at + content.len, *clean = at;

    while (at < end && *at != '.') {
        const uint8_t *cr = memchr(at, '\r', (size_t)(end - at));

        if (cr == NULL || cr + 1 == end || cr[1] != '\n' ||
            memchr(at, '\n', (size_t)(cr - at)) != NULL)
            break;
        at = clean = cr + 2;
    }
    return (size_t)(clean - content.at);
}

/* One line, or the rest when no end is in sight: any of CR, LF, CR LF ends it. */
static bool write_one_line(struct smtp_dots_writer *writer, struct slice *content,
                           struct buffer *out)
{
    size_t cr = slice_find_byte(*content, '\r');
    size_t end = slice_find_byte(slice_head(*content, cr), '\n');
    bool has_lf_next = end == cr && cr + 1 < content->len && content->at[cr + 1] == '\n';

    if (!write_run(writer, slice_head(*content, end), out))
        return false;
    if (end == content->len) {
        *content = slice_from(*content, end);
        return true;
    }
    /* A CR at the very end: its LF may begin the next run, and must not count twice. */
    writer->owes_lf = end == cr && cr + 1 == content->len;
    *content = slice_from(*content, end + 1 + has_lf_next);
    return write_line_end(writer, out);
}

bool smtp_dots_write(struct smtp_dots_writer *writer, struct slice content, struct buffer *out)
{
    if (content.len > 0 && writer->owes_lf) {
        content = slice_from(content, content.at[0] == '\n');
        writer->owes_lf = false;
    }
    while (content.len > 0) {
        size_t clean = writer->in_line ? 0 : clean_prefix(content);

        if (!buffer_append(out, slice_head(content, clean)))
            return false;
        content = slice_from(content, clean);
        if (content.len > 0 && !write_one_line(writer, &content, out))
            return false;
    }
    return true;
}

bool smtp_dots_write_end(struct smtp_dots_writer *writer, struct buffer *out)
{
    if (writer->in_line && !write_line_end(writer, out))
        return false;
    return buffer_append(out, S(".\r\n"));
}
