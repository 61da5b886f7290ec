/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DATA content: reading does not depend on the cuts, and what our writer sends is read back by
 * our reader as one message, clean, with nothing behind it.
 */
#include "format/smtp/dots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 1 << 22 };

static bool read_all(struct smtp_dots *dots, struct slice input, size_t step,
                     struct buffer *out, size_t *left)
{
    enum progress got = PROGRESS_WAIT;

    while (input.len > 0 && got == PROGRESS_WAIT) {
        struct slice piece = slice_head(input, step), content;
        size_t len = piece.len;

        while (piece.len > 0 && got == PROGRESS_WAIT) {
            got = smtp_dots_push(dots, &piece, &content);
            must(buffer_append(out, content));
        }
        input = slice_from(input, len - piece.len);
    }
    *left = input.len;
    return got == PROGRESS_DONE;
}

static void read_both_ways(struct slice input)
{
    struct smtp_dots whole, cut;
    struct buffer whole_out, cut_out;
    size_t whole_left, cut_left;
    bool whole_done;

    buffer_init(&whole_out, OUT_MAX);
    buffer_init(&cut_out, OUT_MAX);
    smtp_dots_init(&whole, 20, false);
    smtp_dots_init(&cut, 20, false);
    whole_done = read_all(&whole, input, input.len, &whole_out, &whole_left);
    must(read_all(&cut, input, 1, &cut_out, &cut_left) == whole_done);
    must(whole_left == cut_left);
    must(whole.has_long_line == cut.has_long_line);
    /* A CR at the very end is still undecided, and has come out of neither. */
    must(slice_equal(buffer_view(&whole_out), buffer_view(&cut_out)));
    must(whole.has_bare_end == cut.has_bare_end);
    must(whole.has_nul == cut.has_nul);
    buffer_deinit(&whole_out);
    buffer_deinit(&cut_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_dots_writer writer = {0};
    struct smtp_dots reader;
    struct buffer wire, back;
    size_t left;

    read_both_ways(slice_of(data, size));
    buffer_init(&wire, OUT_MAX);
    buffer_init(&back, OUT_MAX);
    must(smtp_dots_write(&writer, slice_of(data, size / 2), &wire));
    must(smtp_dots_write(&writer, slice_of(data + size / 2, size - size / 2), &wire));
    must(smtp_dots_write_end(&writer, &wire));
    smtp_dots_init(&reader, size + 1, false);
    must(read_all(&reader, buffer_view(&wire), size + 1, &back, &left));
    must(left == 0 && !reader.has_bare_end && !reader.has_long_line);
    buffer_deinit(&wire);
    buffer_deinit(&back);
    return 0;
}
