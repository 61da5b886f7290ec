/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listener.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { ACCEPTS_A_TURN = 16, REST_MS = 200 };

struct listener {
    int fd;
    struct loop_watch *watch;
    struct loop_timer *rest;
    listener_fn *fn;
    void *context;
    bool is_enabled;
};

static void on_ready(void *context, int ready)
{
    struct listener *listener = context;

    (void)ready;
    for (int i = 0; i < ACCEPTS_A_TURN && listener->is_enabled; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            listener->fn(listener->context, fd, (struct sockaddr *)&peer);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        /* Out of descriptors or memory: the queue would wake us for nothing, again and again. */
        LOG(LOG_WARN, "listener.resting", log_cstr("why", strerror(errno)));
        loop_watch_set(listener->watch, 0);
        loop_timer_set(listener->rest, REST_MS);
        return;
    }
}

static void on_rested(void *context)
{
    struct listener *listener = context;

    loop_watch_set(listener->watch, listener->is_enabled ? LOOP_READ : 0);
}

struct listener *listener_new(struct loop *loop, int fd, listener_fn *fn, void *context)
{
    struct listener *listener = calloc(1, sizeof *listener);

    must(listener != NULL);
    listener->fd = fd;
    listener->fn = fn;
    listener->context = context;
    listener->is_enabled = true;
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    listener->watch = loop_watch_new(loop, fd, on_ready, listener);
    listener->rest = loop_timer_new(loop, on_rested, listener);
    loop_watch_set(listener->watch, LOOP_READ);
    return listener;
}

void listener_enable(struct listener *listener, bool enabled)
{
    listener->is_enabled = enabled;
    loop_timer_clear(listener->rest);
    loop_watch_set(listener->watch, enabled ? LOOP_READ : 0);
}

void listener_free(struct listener **listener)
{
    if (*listener == NULL)
        return;
    loop_watch_free(&(*listener)->watch);
    loop_timer_free(&(*listener)->rest);
    free(*listener);
    *listener = NULL;
}
