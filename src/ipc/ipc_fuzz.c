/* SPDX-License-Identifier: Apache-2.0 */
/* A role that was taken over: frames as it may send them, then one type's fields as they stand. */
#include "ipc/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What unpacks must pack to the same bytes again. */
static void read_frames(struct slice rest)
{
    for (;;) {
        enum ipc_type type;
        union ipc_any any;
        size_t len = 0;
        struct err err = {0};
        struct buffer again;

        if (ipc_unpack(rest, &type, &any, &len, &err) != PROGRESS_DONE)
            return;
        buffer_init(&again, len);
        must(ipc_pack(type, &any, &again));
        must(slice_equal(buffer_view(&again), slice_head(rest, len)));
        buffer_deinit(&again);
        rest = slice_from(rest, len);
    }
}

/* As a list of items of any type, so that no length has to be guessed; each must also fit a frame of its own. */
static void read_items(enum ipc_type type, struct slice rest)
{
    union ipc_any any, same;

    for (struct slice before = rest; ipc_list_next(&rest, type, &any) == PROGRESS_DONE;
         before = rest) {
        struct slice item = slice_head(before, before.len - rest.len);
        struct buffer again;
        struct err err = {0};
        size_t len = 0;

        buffer_init(&again, IPC_FRAME_HEAD_BYTES + item.len);
        must(ipc_list_append(&again, type, &any));
        must(slice_equal(buffer_view(&again), item));
        buffer_clear(&again);
        must(ipc_pack(type, &any, &again));
        must(ipc_unpack(buffer_view(&again), &type, &same, &len, &err) == PROGRESS_DONE);
        must(len == buffer_len(&again));
        buffer_deinit(&again);
        if (item.len == 0)
            return; /* a type without fields */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_frames(slice_of(data, size));
    if (size > 0)
        read_items((enum ipc_type)(IPC_NONE + 1 + data[0] % (IPC_COUNT - IPC_NONE - 1)),
                   slice_from(slice_of(data, size), 1));
    return 0;
}
