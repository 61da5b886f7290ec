/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel to another role over a socket pair: typed messages both ways, in order. Messages sent in
 * one turn of the loop leave in one write. Descriptors may travel with a message. When the other side
 * ends, or sends nonsense, on_closed is called once; the owner then frees the channel.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "ipc/pack.h"
#include "os/loop.h"

struct ipc_channel;

/* The message and its views are valid until the handler returns. The handler may free the channel. */
typedef void ipc_message_fn(void *context, struct ipc_channel *channel, enum ipc_type type,
                            const union ipc_any *message);
/* why: ERR_NONE when the other side just ended, ERR_PEER when it sent nonsense. */
typedef void ipc_closed_fn(void *context, struct ipc_channel *channel, const struct err *why);

/* Takes ownership of fd (made non-blocking). */
struct ipc_channel *ipc_channel_new(struct loop *loop, int fd, ipc_message_fn *on_message,
                                    ipc_closed_fn *on_closed, void *context);
/* Unsent messages are lost. Clears *channel. */
void ipc_channel_free(struct ipc_channel **channel);

/* Queue a message. False when more than 64 MiB wait already: treat it as a temporary failure. */
MUST_CHECK bool ipc_send(struct ipc_channel *channel, enum ipc_type type, const void *message);
/* As ipc_send, with a descriptor that is closed here once sent. */
MUST_CHECK bool ipc_send_fd(struct ipc_channel *channel, enum ipc_type type,
                            const void *message, int fd);
/* In the handler of a message that carries one: its descriptor, owned by the caller; -1 = none came. */
int ipc_channel_take_fd(struct ipc_channel *channel);
/* Bytes that wait to be written: for back-pressure. */
size_t ipc_channel_waiting(const struct ipc_channel *channel);
/* Write what waits now, blocking at most timeout_ms: before an exit. */
void ipc_channel_flush(struct ipc_channel *channel, int timeout_ms);

#endif
