/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the event loop: TCP both ways, one timer per owner, wake-ups from other threads, signals
 *
 * A thin face over libuv that speaks the library's types. Everything runs on the thread that calls
 * tg_loop_run; only tg_wake_send may be called from others.
 *
 * Threads: the loop's own, but for tg_wake_send      Limits: write queue per connection 64 MiB
 */
#ifndef TG_OS_LOOP_H
#define TG_OS_LOOP_H

#include "base/buf.h"

struct tg_loop;
struct tg_conn;
struct tg_listener;
struct tg_timer;
struct tg_wake;

tg_code tg_loop_new(struct tg_loop **ret, struct tg_error *err);
void tg_loop_free(struct tg_loop *loop); /* closes what is left open */
void tg_loop_run(struct tg_loop *loop);  /* until tg_loop_stop */
void tg_loop_stop(struct tg_loop *loop);

/** Wall clock (Unix) and monotonic clock in microseconds; both read afresh. */
int64_t tg_clock_unix_us(void);
int64_t tg_clock_mono_us(void);

struct tg_conn_events {
    /** Up. For accepted connections called at once. */
    void (*opened)(void *ctx, struct tg_conn *conn);
    /** Where to read into: at least 4 KiB should be offered. */
    uint8_t *(*room)(void *ctx, size_t *ret_n);
    /** n bytes were read into what room gave. */
    void (*received)(void *ctx, struct tg_conn *conn, size_t n);
    /** Everything written so far has left for the kernel. May be NULL. */
    void (*drained)(void *ctx, struct tg_conn *conn);
    /** Down, refused, reset, or closed by the peer; err tells. Last call; the conn is gone then. */
    void (*closed)(void *ctx, const struct tg_error *err);
};

/** Connects to a numeric address or a name ("127.0.0.1", "::1", "host"). Events come later. */
tg_code tg_conn_open(struct tg_loop *loop, const char *host, uint16_t port,
                     const struct tg_conn_events *events, void *ctx, struct tg_conn **ret,
                     struct tg_error *err);
/** Writes; the bytes are copied only if the kernel does not take them at once. */
void tg_conn_write(struct tg_conn *conn, const void *bytes, size_t n);
size_t tg_conn_queued(const struct tg_conn *conn); /* bytes not yet taken by the kernel */
void tg_conn_pause(struct tg_conn *conn, bool pause); /* stop or resume reading */
/** Closes; `closed` is called later unless `quiet`. `reset` sends RST. */
void tg_conn_close(struct tg_conn *conn, bool reset, bool quiet);

/** Listens; every accepted connection gets `accept` first, which returns ctx and events for it. */
tg_code tg_listen(struct tg_loop *loop, const char *host, uint16_t port,
                  void *(*accept)(void *ctx, struct tg_conn *conn,
                                  const struct tg_conn_events **ret),
                  void *ctx, struct tg_listener **ret, uint16_t *ret_port, struct tg_error *err);
void tg_listener_close(struct tg_listener *listener);

/** One-shot timer; arming again replaces the time. `at_mono_us` in the past fires at once. */
tg_code tg_timer_new(struct tg_loop *loop, void (*fire)(void *ctx), void *ctx,
                     struct tg_timer **ret, struct tg_error *err);
void tg_timer_at(struct tg_timer *timer, int64_t at_mono_us); /* INT64_MAX: off */
void tg_timer_free(struct tg_timer *timer);

/** Runs `woken` on the loop after any number of sends from any thread. */
tg_code tg_wake_new(struct tg_loop *loop, void (*woken)(void *ctx), void *ctx,
                    struct tg_wake **ret, struct tg_error *err);
void tg_wake_send(struct tg_wake *wake);
void tg_wake_free(struct tg_wake *wake);

/** Calls `on_signal` on the loop for SIGINT, SIGTERM and SIGHUP instead of ending the process. */
tg_code tg_signals_watch(struct tg_loop *loop, void (*on_signal)(void *ctx, int signum), void *ctx,
                         struct tg_error *err);

#endif
