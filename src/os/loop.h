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
void tg_loop_run(struct tg_loop *loop);  /* until tg_loop_stop, or until nothing is left open */
void tg_loop_stop(struct tg_loop *loop);

/** Wall clock (Unix) and monotonic clock in microseconds; both read afresh. */
int64_t tg_clock_unix_us(void);
int64_t tg_clock_mono_us(void);

struct tg_conn_events {
    /** Up. For accepted connections called at once. */
    void (*opened)(void *ctx, struct tg_conn *conn);
    /** Where to read into: at least 4 KiB should be offered. None ends the connection (TG_LIMIT);
     *  to stop reading for a while, pause. */
    uint8_t *(*room)(void *ctx, size_t *ret_n);
    /** n bytes were read into what room gave. */
    void (*received)(void *ctx, struct tg_conn *conn, size_t n);
    /** Everything written so far has left for the kernel. Called only if some of it had to be
     *  queued (tg_conn_queued was not 0). May be NULL. */
    void (*drained)(void *ctx, struct tg_conn *conn);
    /** Down, refused, reset, or closed by the peer; err tells (TG_NET; TG_LIMIT; TG_CANCELLED when
     *  closed by tg_conn_close). Last call; the conn is gone then. Never called from inside one of
     *  the functions below. */
    void (*closed)(void *ctx, const struct tg_error *err);
};

/** Connects to a numeric address or a name ("127.0.0.1", "::1", "host"); the addresses of a name
 *  are tried in turn. Events come later. @return TG_USAGE, TG_NOMEM; all else through `closed` */
tg_code tg_conn_open(struct tg_loop *loop, const char *host, uint16_t port,
                     const struct tg_conn_events *events, void *ctx, struct tg_conn **ret,
                     struct tg_error *err);
/** Writes; the bytes are copied only if the kernel does not take them at once, or the connection is
 *  not up yet. Ends the connection with TG_LIMIT past 64 MiB queued. */
void tg_conn_write(struct tg_conn *conn, const void *bytes, size_t n);
size_t tg_conn_queued(const struct tg_conn *conn); /* bytes not yet taken by the kernel */
void tg_conn_pause(struct tg_conn *conn, bool pause); /* stop or resume reading */
/** Closes; what is still queued is dropped. `closed` is called later unless `quiet`: then no event
 *  comes any more and ctx may be freed at once. `reset` sends RST. NULL is nothing. */
void tg_conn_close(struct tg_conn *conn, bool reset, bool quiet);

/** Listens; every accepted connection gets `accept` first, which returns ctx and events for it
 *  (leaving *ret NULL refuses the connection). Port 0 takes a free one. */
tg_code tg_listen(struct tg_loop *loop, const char *host, uint16_t port,
                  void *(*accept)(void *ctx, struct tg_conn *conn,
                                  const struct tg_conn_events **ret),
                  void *ctx, struct tg_listener **ret, uint16_t *ret_port, struct tg_error *err);
void tg_listener_close(struct tg_listener *listener);

/** One-shot timer; arming again replaces the time. `at_mono_us` in the past fires at once, in the
 *  next turn of the loop. Never fires early. A timer's own callback may free it. */
tg_code tg_timer_new(struct tg_loop *loop, void (*fire)(void *ctx), void *ctx,
                     struct tg_timer **ret, struct tg_error *err);
void tg_timer_at(struct tg_timer *timer, int64_t at_mono_us); /* INT64_MAX: off */
void tg_timer_free(struct tg_timer *timer);

/** Runs `woken` on the loop after any number of sends from any thread. Freed on the loop's thread,
 *  when no other thread can send any more. Keeps the loop running while it is there. */
tg_code tg_wake_new(struct tg_loop *loop, void (*woken)(void *ctx), void *ctx,
                    struct tg_wake **ret, struct tg_error *err);
void tg_wake_send(struct tg_wake *wake);
void tg_wake_free(struct tg_wake *wake);

enum { TG_SIGNALS_ALSO = 2 };

/** Calls `on_signal` on the loop for SIGINT, SIGTERM and SIGHUP instead of ending the process. */
tg_code tg_signals_watch(struct tg_loop *loop, void (*on_signal)(void *ctx, int signum), void *ctx,
                         struct tg_error *err);
/** One signal more for the same callback; after tg_signals_watch, at most TG_SIGNALS_ALSO times. */
tg_code tg_signals_also(struct tg_loop *loop, int signum, struct tg_error *err);

#endif
