/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What unpacks must pack to the same bytes again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);

    for (;;) {
        enum ipc_type type;
        union ipc_any any;
        size_t len = 0;
        struct err err = {0};
        struct buffer again;

        if (ipc_unpack(rest, &type, &any, &len, &err) != PROGRESS_DONE)
            return 0;
        buffer_init(&again, len);
        must(ipc_pack(type, &any, &again));
        must(slice_equal(buffer_view(&again), slice_head(rest, len)));
        if (type == IPC_ACCEPT) {
            struct ipc_recipient item;
            struct slice list = any.accept.recipients;

            while (ipc_list_next(&list, IPC_RECIPIENT, &item) == PROGRESS_DONE)
                ;
        }
        buffer_deinit(&again);
        rest = slice_from(rest, len);
    }
}
