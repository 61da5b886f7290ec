/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and commands: the same lines come out however the bytes are cut. */
#include "format/smtp/command.h"

#include "base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX_BYTES = 40 };

static uint64_t read_all(struct slice bytes, size_t step)
{
    struct smtp_line_reader reader = {0};
    struct buffer buffer;
    uint64_t sum = 0;

    buffer_init(&buffer, bytes.len + 1);
    while (bytes.len > 0) {
        struct slice view, line, name;
        enum smtp_line_fault fault;

        must(buffer_append(&buffer, slice_head(bytes, step)));
        bytes = slice_from(bytes, step);
        view = buffer_view(&buffer);
        while (smtp_line_next(&reader, &view, LINE_MAX_BYTES, &line, &fault) == PROGRESS_DONE) {
            struct smtp_command command;
            uint64_t chunk;
            bool is_last;

            must(line.len <= LINE_MAX_BYTES);
            smtp_command_parse(line, &command);
            sum = sum * 31 + (uint64_t)fault * 100 + command.verb;
            sum = sum * 31 + command.args.len;
            sum = sum * 31 + smtp_helo_parse(command.args, &name);
            sum = sum * 31 + smtp_bdat_parse(command.args, &chunk, &is_last);
        }
        must(view.len <= LINE_MAX_BYTES + 1);
        buffer_consume(&buffer, buffer_len(&buffer) - view.len);
    }
    buffer_deinit(&buffer);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    must(read_all(slice_of(data, size), 1) == read_all(slice_of(data, size), size + 1));
    return 0;
}
