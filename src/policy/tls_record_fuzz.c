/* SPDX-License-Identifier: Apache-2.0 */
/* A TLSRPT record: whatever it says, only whole lines of places that may be asked come out. */
#include "policy/tls_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer uris;
    struct slice rest;
    size_t count = 0;
    struct err err;

    buffer_init(&uris, (size_t)RUA_URIS_MAX * (RUA_URI_MAX_BYTES + 10));
    if (!rua_record_parse(slice_of(data, size), &uris, &err))
        must(buffer_len(&uris) == 0 && err.class == ERR_PEER);
    for (rest = buffer_view(&uris); rest.len > 0; count++) {
        struct slice line = slice_cut(&rest, '\n');

        must(slice_starts_with(line, S("https://")) || slice_starts_with(line, S("mailto:")));
        for (size_t i = 0; i < line.len; i++)
            must(line.at[i] > ' ' && line.at[i] < 0x7F);
    }
    must(count <= RUA_URIS_MAX);
    buffer_deinit(&uris);
    return 0;
}
