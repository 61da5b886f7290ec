/* SPDX-License-Identifier: Apache-2.0 */
/* A remote server's bytes: the same replies come out however the bytes are cut. */
#include "format/smtp/ehlo.h"
#include "format/smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t read_all(struct slice bytes, size_t step)
{
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    struct smtp_ehlo ehlo;
    uint64_t sum = 0;

    smtp_reply_reader_init(&reader);
    while (bytes.len > 0) {
        struct slice piece = slice_head(bytes, step);

        bytes = slice_from(bytes, step);
        while (piece.len > 0) {
            enum progress got = smtp_reply_push(&reader, &piece, &reply);

            if (got == PROGRESS_FAIL)
                goto done;
            if (got == PROGRESS_WAIT)
                break;
            for (size_t i = 0; i < reply.text.len; i++) {
                must(reply.text.at[i] >= 32 || reply.text.at[i] == '\n');
                sum = sum * 31 + reply.text.at[i];
            }
            smtp_ehlo_parse(reply.text, &ehlo);
            sum = sum * 31 + reply.code + ehlo.extensions;
        }
    }
done:
    smtp_reply_reader_deinit(&reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    must(read_all(slice_of(data, size), 1) == read_all(slice_of(data, size), size + 1));
    return 0;
}
