/* SPDX-License-Identifier: Apache-2.0 */
#include "os/loop.h"

#include "base/log.h"
#include "base/stats.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <time.h>

struct loop {
    struct event_base *base;
    struct list leftovers;
    bool is_stopped;
    int64_t turn_began_us; /* when its first callback was called; 0: none was */
};

struct loop_watch {
    struct loop *loop;
    struct event read_event, write_event;
    struct event
        kick; /* stands for a call that was asked for, not for the descriptor's state */
    int kick_ready;
    loop_watch_fn *fn;
    void *context;
    int wanted;
};

struct loop_timer {
    struct loop *loop;
    struct event event;
    loop_timer_fn *fn;
    void *context;
};

struct loop_signal {
    struct event event;
    loop_signal_fn *fn;
    void *context;
};

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    struct event_config *config = event_config_new();

    must(loop != NULL && config != NULL);
    /* Many sessions re-arm their time-outs with each command: a cached clock saves a call each. */
    must(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    must(loop->base != NULL);
    list_init(&loop->leftovers);
    return loop;
}

void loop_free(struct loop **loop)
{
    struct list_link *link;

    if (*loop == NULL)
        return;
    while ((link = list_first(&(*loop)->leftovers)) != NULL) {
        struct loop_leftover *leftover = LIST_ELEMENT(link, struct loop_leftover, link);

        leftover->fn(leftover);
    }
    event_base_free((*loop)->base);
    free(*loop);
    *loop = NULL;
}

void loop_leftover_add(struct loop *loop, struct loop_leftover *leftover)
{
    list_push_back(&loop->leftovers, &leftover->link);
}

void loop_leftover_remove(struct loop_leftover *leftover)
{
    list_remove(&leftover->link);
}

/* How long whoever came last in this turn has waited for all the others. */
static void begin_turn(struct loop *loop)
{
    if (loop->turn_began_us == 0)
        loop->turn_began_us = stats_now_us();
}

static void end_turn(struct loop *loop)
{
    int64_t took_us;

    if (loop->turn_began_us == 0)
        return;
    took_us = stats_now_us() - loop->turn_began_us;
    loop->turn_began_us = 0;
    STAT_MEASURE(LOOP_TURN, took_us);
    log_slow("loop turn", took_us);
}

void loop_run(struct loop *loop)
{
    loop->is_stopped = false;
    while (!loop->is_stopped) {
        must(event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY) >= 0);
        end_turn(loop);
    }
}

void loop_stop(struct loop *loop)
{
    loop->is_stopped = true;
    event_base_loopbreak(loop->base);
}

void loop_run_once(struct loop *loop)
{
    must(event_base_loop(loop->base, EVLOOP_NONBLOCK) >= 0);
    end_turn(loop);
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;

    must(clock_gettime(clock, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t loop_now_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

int64_t clock_unix_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

static void on_watch(evutil_socket_t fd, short what, void *argument)
{
    struct loop_watch *watch = argument;
    int ready =
        ((what & EV_READ) != 0 ? LOOP_READ : 0) | ((what & EV_WRITE) != 0 ? LOOP_WRITE : 0);

    (void)fd;
    begin_turn(watch->loop);
    watch->fn(watch->context, ready);
}

/*
 * An own event, a timer of no time: libevent silently leaves out an event that is added while it is
 * active, so activating the read or write event itself could lose the watch; and what is activated
 * within a turn runs in the same turn, so a session that kicks itself would starve all others.
 */
static void on_kick(evutil_socket_t fd, short what, void *argument)
{
    struct loop_watch *watch = argument;
    int ready = watch->kick_ready;

    (void)fd;
    (void)what;
    watch->kick_ready = 0;
    begin_turn(watch->loop);
    watch->fn(watch->context, ready);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, loop_watch_fn *fn, void *context)
{
    struct loop_watch *watch = calloc(1, sizeof *watch);

    must(watch != NULL);
    watch->loop = loop;
    watch->fn = fn;
    watch->context = context;
    must(event_assign(&watch->read_event, loop->base, fd, EV_READ | EV_PERSIST, on_watch,
                      watch) == 0);
    must(event_assign(&watch->write_event, loop->base, fd, EV_WRITE | EV_PERSIST, on_watch,
                      watch) == 0);
    must(evtimer_assign(&watch->kick, loop->base, on_kick, watch) == 0);
    return watch;
}

static void set_event(struct event *event, int was, int wanted)
{
    if (wanted && !was)
        must(event_add(event, NULL) == 0);
    if (!wanted && was)
        must(event_del(event) == 0);
}

void loop_watch_set(struct loop_watch *watch, int wanted)
{
    set_event(&watch->read_event, watch->wanted & LOOP_READ, wanted & LOOP_READ);
    set_event(&watch->write_event, watch->wanted & LOOP_WRITE, wanted & LOOP_WRITE);
    watch->wanted = wanted;
}

void loop_watch_activate(struct loop_watch *watch, int ready)
{
    static const struct timeval now = {0, 0};

    if (watch->kick_ready == 0)
        must(evtimer_add(&watch->kick, &now) == 0);
    watch->kick_ready |= ready;
}

void loop_watch_free(struct loop_watch **watch)
{
    if (*watch == NULL)
        return;
    event_del(&(*watch)->read_event);
    event_del(&(*watch)->write_event);
    event_del(&(*watch)->kick);
    free(*watch);
    *watch = NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *argument)
{
    struct loop_timer *timer = argument;

    (void)fd;
    (void)what;
    begin_turn(timer->loop);
    timer->fn(timer->context);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *context)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);

    must(timer != NULL);
    timer->loop = loop;
    timer->fn = fn;
    timer->context = context;
    must(evtimer_assign(&timer->event, loop->base, on_timer, timer) == 0);
    return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    if (delay_ms < 0)
        delay.tv_sec = delay.tv_usec = 0;
    must(evtimer_add(&timer->event, &delay) == 0);
}

void loop_timer_clear(struct loop_timer *timer)
{
    evtimer_del(&timer->event);
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
    return evtimer_pending(&timer->event, NULL) != 0;
}

void loop_timer_free(struct loop_timer **timer)
{
    if (*timer == NULL)
        return;
    evtimer_del(&(*timer)->event);
    free(*timer);
    *timer = NULL;
}

static void on_signal(evutil_socket_t signal_number, short what, void *argument)
{
    struct loop_signal *watch = argument;

    (void)what;
    watch->fn(watch->context, (int)signal_number);
}

struct loop_signal *loop_signal_new(struct loop *loop, int signal_number, loop_signal_fn *fn,
                                    void *context)
{
    struct loop_signal *watch = calloc(1, sizeof *watch);

    must(watch != NULL);
    watch->fn = fn;
    watch->context = context;
    must(evsignal_assign(&watch->event, loop->base, signal_number, on_signal, watch) == 0);
    must(evsignal_add(&watch->event, NULL) == 0);
    return watch;
}

void loop_signal_free(struct loop_signal **signal)
{
    if (*signal == NULL)
        return;
    evsignal_del(&(*signal)->event);
    free(*signal);
    *signal = NULL;
}
