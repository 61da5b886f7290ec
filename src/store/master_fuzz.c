/* SPDX-License-Identifier: Apache-2.0 */
#include "store/master.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What is read is written again and read the same. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct master master, again;
    struct buffer text;
    struct err err;

    if (!master_parse(slice_of(bytes, len), &master, &err))
        return 0;
    buffer_init(&text, MASTER_FILE_MAX_BYTES);
    for (size_t i = 0; i < master.count; i++)
        must(master_write(&master.keys[i], &text));
    must(master_parse(buffer_view(&text), &again, &err) && again.count == master.count);
    for (size_t i = 0; i < master.count; i++)
        must(secret_equal(&master.keys[i].key, &again.keys[i].key));
    buffer_wipe(&text);
    master_wipe(&master);
    master_wipe(&again);
    return 0;
}
