/* SPDX-License-Identifier: MIT */
/*
 * loop.c - the loop itself, timers, wake-ups and signals; connections are in net.c. See loop.h
 *
 * libuv's timers count whole milliseconds from a clock that is read once per turn. A timer here
 * never fires early: the time is read afresh when it is armed and again when it fires, and what is
 * left is waited for. A time that has passed does not go through libuv at all, but through a ring
 * that an idle handle empties once per turn: a timer that keeps arming itself for "now" runs as
 * often as the loop turns and starves nobody.
 *
 * Threads: the loop's own, but for tg_wake_send
 */
#include "os/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "os/loop_internal.h"

struct tg_timer {
    struct tg_link link;     /* in the ring of all timers */
    struct tg_link due_link; /* in the ring of those due at once */
    uv_timer_t uv;
    struct tg_loop *loop;
    int64_t at_us; /* INT64_MAX: off */
    void (*fire)(void *ctx);
    void *ctx;
};

struct tg_wake {
    struct tg_link link;
    uv_async_t uv;
    void (*woken)(void *ctx);
    void *ctx;
};

static int64_t clock_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * TG_SECOND_US + t.tv_nsec / 1000;
}

int64_t tg_clock_unix_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

int64_t tg_clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}

tg_code tg_fail_uv(struct tg_error *err, int status, const char *what)
{
    errno = -status;
    if (status == UV_ENOMEM)
        return tg_fail(err, TG_NOMEM, "%s: out of memory", what);
    return tg_fail(err, TG_NET, "%s: %s", what, uv_strerror(status));
}

/* Fires what is due now; timers armed meanwhile wait for the next turn. */
static void on_idle(uv_idle_t *idle)
{
    struct tg_loop *loop = idle->data;
    struct tg_link now;

    tg_link_init(&now);
    while (!tg_link_alone(&loop->due)) {
        struct tg_link *l = loop->due.next;

        tg_link_remove(l);
        tg_link_append(&now, l);
    }
    while (!tg_link_alone(&now)) {
        struct tg_link *l = now.next;
        struct tg_timer *t = (struct tg_timer *)(void *)((char *)l - offsetof(struct tg_timer,
                                                                              due_link));
        tg_link_remove(l);
        t->at_us = INT64_MAX;
        t->fire(t->ctx); /* may free this timer or any other */
    }
    if (tg_link_alone(&loop->due))
        uv_idle_stop(idle);
}

static void loop_freep(struct tg_loop **loop)
{
    free(*loop);
}

tg_code tg_loop_new(struct tg_loop **ret, struct tg_error *err)
{
    TG_CLEANUP(loop_freep) struct tg_loop *loop = calloc(1, sizeof *loop);
    int status;

    if (!loop)
        return tg_fail(err, TG_NOMEM, "event loop");
    tg_link_init(&loop->conn);
    tg_link_init(&loop->listener);
    tg_link_init(&loop->timer);
    tg_link_init(&loop->wake);
    tg_link_init(&loop->due);
    status = uv_loop_init(&loop->uv);
    if (status < 0) {
        errno = -status;
        return tg_fail(err, status == UV_ENOMEM ? TG_NOMEM : TG_IO,
                       "could not start the event loop: %s", uv_strerror(status));
    }
    uv_idle_init(&loop->uv, &loop->idle);
    loop->idle.data = loop;
    *ret = loop;
    loop = NULL;
    return TG_OK;
}

/*
 * Runs libuv with SIGPIPE blocked in this thread: a peer that is gone must show up as an error of
 * the write. A SIGPIPE that was raised meanwhile is taken off before the old mask comes back.
 */
static void run(struct tg_loop *loop)
{
    static const struct timespec at_once;
    sigset_t pipe, old;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    if (!sigismember(&old, SIGPIPE)) {
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR)
            ;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
}

void tg_loop_run(struct tg_loop *loop)
{
    run(loop);
}

void tg_loop_stop(struct tg_loop *loop)
{
    uv_stop(&loop->uv);
}

void tg_loop_free(struct tg_loop *loop)
{
    if (!loop)
        return;
    tg_net_close_all(loop);
    while (!tg_link_alone(&loop->timer))
        tg_timer_free(TG_LINK_OWNER(loop->timer.next, struct tg_timer));
    while (!tg_link_alone(&loop->wake))
        tg_wake_free(TG_LINK_OWNER(loop->wake.next, struct tg_wake));
    uv_close((uv_handle_t *)&loop->idle, NULL);
    for (size_t i = 0; loop->watching && i < TG_COUNT(loop->signal); i++)
        uv_close((uv_handle_t *)&loop->signal[i], NULL);
    for (int i = 0; i < loop->n_also; i++)
        uv_close((uv_handle_t *)&loop->also[i], NULL);
    /* Until the last close callback and the last name lookup are through. */
    do
        run(loop);
    while (uv_loop_alive(&loop->uv));
    int status = uv_loop_close(&loop->uv);

    assert(status == 0);
    (void)status;
    free(loop);
}

/* ---- timers ---- */

static void arm(struct tg_timer *t, int64_t now_us);

static void on_timer(uv_timer_t *uv)
{
    struct tg_timer *t = uv->data;
    int64_t now_us = tg_clock_mono_us();

    if (now_us < t->at_us) {
        arm(t, now_us);
        return;
    }
    t->at_us = INT64_MAX;
    t->fire(t->ctx);
}

static void arm(struct tg_timer *t, int64_t now_us)
{
    uv_timer_stop(&t->uv);
    tg_link_remove(&t->due_link);
    if (t->at_us == INT64_MAX)
        return;
    if (t->at_us <= now_us) {
        tg_link_append(&t->loop->due, &t->due_link);
        uv_idle_start(&t->loop->idle, on_idle);
        return;
    }
    uv_update_time(&t->loop->uv);
    uv_timer_start(&t->uv, on_timer, (uint64_t)(t->at_us - now_us) / 1000 + 1, 0);
}

tg_code tg_timer_new(struct tg_loop *loop, void (*fire)(void *ctx), void *ctx,
                     struct tg_timer **ret, struct tg_error *err)
{
    struct tg_timer *t = calloc(1, sizeof *t);

    assert(loop && fire);
    if (!t)
        return tg_fail(err, TG_NOMEM, "timer");
    uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    t->loop = loop;
    t->at_us = INT64_MAX;
    t->fire = fire;
    t->ctx = ctx;
    tg_link_init(&t->due_link);
    tg_link_append(&loop->timer, &t->link);
    *ret = t;
    return TG_OK;
}

void tg_timer_at(struct tg_timer *timer, int64_t at_mono_us)
{
    timer->at_us = at_mono_us;
    arm(timer, tg_clock_mono_us());
}

static void timer_closed(uv_handle_t *h)
{
    free(h->data);
}

void tg_timer_free(struct tg_timer *timer)
{
    if (!timer)
        return;
    tg_link_remove(&timer->link);
    tg_link_remove(&timer->due_link);
    uv_close((uv_handle_t *)&timer->uv, timer_closed);
}

/* ---- wake-ups from other threads ---- */

static void on_async(uv_async_t *uv)
{
    struct tg_wake *w = uv->data;

    w->woken(w->ctx);
}

tg_code tg_wake_new(struct tg_loop *loop, void (*woken)(void *ctx), void *ctx,
                    struct tg_wake **ret, struct tg_error *err)
{
    struct tg_wake *w = calloc(1, sizeof *w);
    int status;

    assert(loop && woken);
    if (!w)
        return tg_fail(err, TG_NOMEM, "wake-up");
    status = uv_async_init(&loop->uv, &w->uv, on_async);
    if (status < 0) {
        free(w);
        errno = -status;
        return tg_fail(err, TG_IO, "could not make a wake-up: %s", uv_strerror(status));
    }
    w->uv.data = w;
    w->woken = woken;
    w->ctx = ctx;
    tg_link_append(&loop->wake, &w->link);
    *ret = w;
    return TG_OK;
}

void tg_wake_send(struct tg_wake *wake)
{
    uv_async_send(&wake->uv);
}

static void wake_closed(uv_handle_t *h)
{
    free(h->data);
}

void tg_wake_free(struct tg_wake *wake)
{
    if (!wake)
        return;
    tg_link_remove(&wake->link);
    uv_close((uv_handle_t *)&wake->uv, wake_closed);
}

/* ---- signals ---- */

static void on_uv_signal(uv_signal_t *uv, int signum)
{
    struct tg_loop *loop = uv->data;

    loop->on_signal(loop->signal_ctx, signum);
}

tg_code tg_signals_watch(struct tg_loop *loop, void (*on_signal)(void *ctx, int signum), void *ctx,
                         struct tg_error *err)
{
    static const int signum[] = { SIGINT, SIGTERM, SIGHUP };
    int status = 0;

    assert(on_signal);
    _Static_assert(TG_COUNT(signum) == TG_COUNT(loop->signal), "one handle per signal");
    loop->on_signal = on_signal;
    loop->signal_ctx = ctx;
    if (loop->watching)
        return TG_OK;
    /* Only the first can fail: it makes the pipe that all signal handles of a loop share. */
    for (size_t i = 0; i < TG_COUNT(signum) && status == 0; i++) {
        status = uv_signal_init(&loop->uv, &loop->signal[i]);
        loop->signal[i].data = loop;
        loop->watching |= status == 0;
    }
    for (size_t i = 0; i < TG_COUNT(signum) && status == 0; i++) {
        status = uv_signal_start(&loop->signal[i], on_uv_signal, signum[i]);
        uv_unref((uv_handle_t *)&loop->signal[i]); /* alone, they keep no loop running */
    }
    if (status < 0) {
        errno = -status;
        return tg_fail(err, TG_IO, "could not watch for signals: %s", uv_strerror(status));
    }
    return TG_OK;
}

tg_code tg_signals_also(struct tg_loop *loop, int signum, struct tg_error *err)
{
    uv_signal_t *also;
    int status;

    assert(loop->watching && loop->n_also < TG_SIGNALS_ALSO);
    also = &loop->also[loop->n_also];
    status = uv_signal_init(&loop->uv, also);
    loop->n_also += status == 0;
    also->data = loop;
    if (status == 0)
        status = uv_signal_start(also, on_uv_signal, signum);
    if (status < 0) {
        errno = -status;
        return tg_fail(err, TG_IO, "could not watch for signals: %s", uv_strerror(status));
    }
    uv_unref((uv_handle_t *)also);
    return TG_OK;
}
