/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's report as JSON: what is read can be written, and reads the same again. */
#include "protect/tls_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const struct tls_report_read *first)
{
    struct tls_report report = {.organisation = buffer_view(&first->organisation),
                                .contact = buffer_view(&first->contact),
                                .report_id = buffer_view(&first->report_id),
                                .begin_s = first->begin_s,
                                .end_s = first->end_s + 1,
                                .lines = buffer_view(&first->lines)};
    struct tls_report_read again;
    struct buffer json;
    struct err err;

    buffer_init(&json, 4 * TLS_REPORT_JSON_MAX);
    tls_report_read_init(&again);
    must(tls_report_write(&report, &json, &err));
    if (tls_report_parse(buffer_view(&json), &again, &err))
        must(again.end_s == first->end_s);
    tls_report_read_deinit(&again);
    buffer_deinit(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_report_read read;
    struct err err;

    tls_report_read_init(&read);
    if (tls_report_parse(slice_of(data, size), &read, &err))
        write_and_read(&read);
    tls_report_read_deinit(&read);
    return 0;
}
