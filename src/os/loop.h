/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one per process, no threads. A watch calls back when a descriptor is readable or
 * writable, a timer after some time, a signal watch on a signal. The only wing that includes
 * libevent. Callbacks may free any watch or timer, also the one that is calling.
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include "base/list.h"
#include "base/must.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;
struct loop_signal;
struct event_base;

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop *loop_new(void);
void loop_free(struct loop **loop);
/*
 * For what outlives its owner, such as a connection that is saying goodbye: embed one, and loop_free
 * calls fn, which must remove it.
 */
struct loop_leftover {
    struct list_link link;
    void (*fn)(struct loop_leftover *leftover);
};
void loop_leftover_add(struct loop *loop, struct loop_leftover *leftover);
/* Does nothing for one that was never added. */
void loop_leftover_remove(struct loop_leftover *leftover);
/* Run until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Run what is ready now and return: for tests. */
void loop_run_once(struct loop *loop);
/* For a library that wants libevent's base (the resolver). */
struct event_base *loop_event_base(struct loop *loop);

/* Milliseconds on a clock that never jumps; and unix milliseconds. */
int64_t loop_now_ms(void);
int64_t clock_unix_ms(void);

/* `ready` is LOOP_READ, LOOP_WRITE or both. */
typedef void loop_watch_fn(void *context, int ready);
/* Watch fd (not owned) for nothing yet. Freed by loop_watch_free before the fd is closed. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_fn *fn, void *context);
/* Watch for LOOP_READ, LOOP_WRITE, both or 0. Costs a system call only on change. */
void loop_watch_set(struct loop_watch *watch, int wanted);
/* Have the callback called in the next turn of the loop, as if `ready`. No system call. */
void loop_watch_activate(struct loop_watch *watch, int ready);
void loop_watch_free(struct loop_watch **watch);

typedef void loop_timer_fn(void *context);
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *context);
/* Fire once after delay_ms (0 = in the next turn); replaces an earlier setting. */
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_clear(struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer **timer);

typedef void loop_signal_fn(void *context, int signal_number);
struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn *fn,
                                    void *context);
void loop_signal_free(struct loop_signal **signal);

#endif
