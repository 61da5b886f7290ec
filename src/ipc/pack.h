/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to bytes and back, driven by the table in ipc/messages.h. A frame is u32 body length,
 * u16 type, body; numbers are little-endian; BYTES are u32 length then bytes. Unpacking checks every
 * length against the frame, so that a role taken over by a stranger can send nonsense but cannot make
 * another one read out of bounds.
 */
#ifndef IPC_PACK_H
#define IPC_PACK_H

#include "base/buffer.h"
#include "base/err.h"
#include "ipc/messages.h"

enum { IPC_FRAME_HEAD_BYTES = 6, IPC_FRAME_MAX_BYTES = 16 << 20 };

/* Large enough and aligned for any message: where ipc_unpack writes. */
union ipc_any {
#define IPC_UNION_ROW(NAME, name) struct ipc_##name name;
    IPC_TABLE(IPC_UNION_ROW)
#undef IPC_UNION_ROW
};

/* Append one frame. `message` points to the struct of that type. False when out's ceiling is crossed. */
MUST_CHECK bool ipc_pack(enum ipc_type type, const void *message, struct buffer *out);
/*
 * Take one frame from the front of `bytes`. DONE: type_out and message_out filled (its BYTES are views into
 * `bytes`), frame_len_out says how much to consume. WAIT: not whole yet. FAIL: not one of ours (ERR_PEER).
 */
MUST_CHECK enum progress ipc_unpack(struct slice bytes, enum ipc_type *type_out,
                                    union ipc_any *message_out, size_t *frame_len_out,
                                    struct err *err);

/* Lists: items of one type behind each other, carried in a BYTES field. */
MUST_CHECK bool ipc_list_append(struct buffer *list, enum ipc_type type, const void *item);
/* DONE: item_out filled and `*rest` moved on. WAIT: the end. FAIL: malformed. */
MUST_CHECK enum progress ipc_list_next(struct slice *rest, enum ipc_type type, void *item_out);

/* "accept", "portal_look", …; "?" for a number that is none. */
const char *ipc_type_name(enum ipc_type type);

#endif
