/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket on the loop: takes connections a few at a time, so that a flood of them does not
 * starve the sessions that are already here, and rests a moment when descriptors run out.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "os/loop.h"

#include <sys/socket.h>

struct listener;

/* A new connection: fd (non-blocking, close-on-exec) is owned by the callee. */
typedef void listener_fn(void *context, int fd, const struct sockaddr *peer);

/* Listen on `fd`, bound and listening already (borrowed: the process's for life). */
struct listener *listener_new(struct loop *loop, int fd, listener_fn *fn, void *context);
/* Stop and resume taking connections; they wait in the kernel's queue meanwhile. */
void listener_enable(struct listener *listener, bool enabled);
void listener_free(struct listener **listener);

#endif
