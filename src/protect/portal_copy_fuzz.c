/* SPDX-License-Identifier: Apache-2.0 */
/* Any message becomes a portal copy, and the copy is one that the portal can read. */
#include "protect/portal_copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool collect(void *context, struct slice bytes, struct err *err)
{
    return buffer_append(context, bytes) || FAIL(err, ERR_TEMP, "no room");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct portal_manifest manifest;
    struct memory_source memory = {.bytes = slice_of(data, size), .piece = 1000};
    struct content_source source = source_of_memory(&memory);
    struct buffer copy;
    struct copy_sink sink = {&copy, collect};
    struct slice view;
    struct err err = {0};
    size_t len;

    buffer_init(&copy, 100 * size + ((size_t)64 << 20));
    must(portal_copy_write(&source, &sink, &err));
    view = buffer_view(&copy);
    must(view.len >= PORTAL_HEAD_BYTES);
    len = (size_t)view.at[8] << 24 | (size_t)view.at[9] << 16 | (size_t)view.at[10] << 8 |
          view.at[11];
    must(portal_manifest_parse(slice_head(slice_from(view, PORTAL_HEAD_BYTES), len), view.len,
                               &manifest, &err));
    buffer_deinit(&copy);
    return 0;
}
