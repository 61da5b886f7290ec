/* SPDX-License-Identifier: Apache-2.0 */
/* The mail around a stranger's report: MIME, base64, gzip, JSON. Pieces of any size say the same. */
#include "protect/tls_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool run(struct slice mail, size_t piece, size_t *lines_out)
{
    struct tls_report_read read;
    struct tls_report_reader *reader;
    struct err err;
    bool is_read;

    tls_report_read_init(&read);
    reader = tls_report_reader_new(&read);
    for (; mail.len > 0; mail = slice_from(mail, piece))
        tls_report_reader_push(reader, slice_head(mail, piece));
    is_read = tls_report_reader_finish(reader, &err);
    *lines_out = buffer_len(&read.lines);
    tls_report_reader_free(&reader);
    tls_report_read_deinit(&read);
    return is_read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole_lines, pieces_lines;
    bool whole = run(slice_of(data, size), size == 0 ? 1 : size, &whole_lines);
    bool pieces = run(slice_of(data, size), size > 0 ? data[0] % 40U + 1 : 1, &pieces_lines);

    must(whole == pieces && (!whole || whole_lines == pieces_lines));
    return 0;
}
