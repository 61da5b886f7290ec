/* SPDX-License-Identifier: Apache-2.0 */
/* A manifest from a damaged or forged copy; what is taken for good must come out the same again. */
#include "protect/portal_container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct portal_manifest manifest, again;
    struct buffer out;
    struct err err;
    uint64_t total = size < 8 ? 0 : PORTAL_HEAD_BYTES + size - 8 + (uint64_t)data[7];
    struct slice bytes = slice_from(slice_of(data, size), 8);

    if (!portal_manifest_parse(bytes, total, &manifest, &err))
        return 0;
    buffer_init(&out, size + 100);
    must(portal_manifest_write(&manifest, &out));
    bytes = slice_from(buffer_view(&out), PORTAL_HEAD_BYTES);
    must(portal_manifest_parse(bytes, total, &again, &err));
    must(again.part_count == manifest.part_count &&
         slice_equal(again.subject, manifest.subject));
    buffer_deinit(&out);
    return 0;
}
