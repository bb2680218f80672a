/* SPDX-License-Identifier: MIT */
/*
 * vloop.c - see vloop.h
 *
 * One heap of events for all loops; an event names the object that it is for, and objects live
 * until the next reset, so an event for something closed is simply passed over.
 */
#include "vloop.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/random.h"

enum { BUSY_TIMERS = 20000 };
enum kind { EV_TIMER, EV_WAKE, EV_OPENED, EV_ACCEPT, EV_DATA, EV_CLOSED };

struct event {
    int64_t at_us;
    uint64_t order;
    enum kind kind;
    void *object;
    uint64_t stamp; /* of a timer: which arming */
    uint8_t *bytes;
    size_t n;
};

struct tg_loop {
    bool stopped;
};

struct object {
    struct object *next;
};

struct tg_timer {
    struct object object;
    void (*fire)(void *ctx);
    void *ctx;
    uint64_t stamp;
};

struct tg_wake {
    struct object object;
    void (*woken)(void *ctx);
    void *ctx;
    bool freed, sent;
};

struct tg_conn {
    struct object object;
    const struct tg_conn_events *events;
    void *ctx;
    struct tg_conn *peer;
    bool up, dead, paused;
    struct tg_buf waiting; /* arrived while paused */
    uint16_t port;         /* dialled */
};

struct tg_listener {
    struct object object;
    void *(*accept)(void *ctx, struct tg_conn *conn, const struct tg_conn_events **ret);
    void *ctx;
    uint16_t port;
    bool closed;
};

static struct {
    struct event *heap;
    size_t n, cap;
    uint64_t order, random;
    int64_t now_us, base_us, unix_us, latency_us, deadline_us;
    int64_t window_us; /* the tenth of a second in which timers are counted */
    unsigned n_timers;
    bool late;
    struct object *objects;
    struct tg_listener *listener[64];
    size_t n_listeners;
    uint16_t next_port;
    struct tg_random_seeded system; /* what everybody takes for the system's randomness */
} w;

static void *make(size_t size)
{
    struct object *o = calloc(1, size);

    assert(o);
    o->next = w.objects;
    w.objects = o;
    return o;
}

static uint64_t draw(uint64_t n)
{
    w.random ^= w.random << 13;
    w.random ^= w.random >> 7;
    w.random ^= w.random << 17;
    return w.random % n;
}

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void push(struct event e)
{
    size_t i = w.n++;

    if (w.n > w.cap) {
        w.cap = w.cap ? w.cap * 2 : 64;
        w.heap = realloc(w.heap, w.cap * sizeof *w.heap);
        assert(w.heap);
    }
    e.order = ++w.order;
    for (; i && before(&e, &w.heap[(i - 1) / 2]); i = (i - 1) / 2)
        w.heap[i] = w.heap[(i - 1) / 2];
    w.heap[i] = e;
}

static struct event pop(void)
{
    struct event top = w.heap[0], last = w.heap[--w.n];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w.n)
            break;
        if (child + 1 < w.n && before(&w.heap[child + 1], &w.heap[child]))
            child++;
        if (!before(&w.heap[child], &last))
            break;
        w.heap[i] = w.heap[child];
        i = child;
    }
    if (w.n)
        w.heap[i] = last;
    return top;
}

void vloop_reset(uint64_t seed, int64_t unix_us, int64_t latency_us)
{
    while (w.n)
        free(w.heap[--w.n].bytes);
    while (w.objects) {
        struct object *next = w.objects->next;

        free(w.objects);
        w.objects = next;
    }
    w.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    w.now_us = w.base_us = TG_SECOND_US;
    w.unix_us = unix_us;
    w.latency_us = latency_us;
    w.deadline_us = INT64_MAX;
    w.window_us = 0;
    w.n_timers = 0;
    w.late = false;
    w.n_listeners = 0;
    w.next_port = 10000;
    tg_random_seeded_init(&w.system, seed);
}

struct tg_random __wrap_tg_random_system(void);

struct tg_random __wrap_tg_random_system(void)
{
    return tg_random_seeded(&w.system);
}

void vloop_deadline(int64_t after_us)
{
    w.deadline_us = w.now_us + after_us;
    w.late = false;
}

bool vloop_late(void)
{
    return w.late;
}

int64_t vloop_elapsed_us(void)
{
    return w.now_us - w.base_us;
}

int64_t tg_clock_unix_us(void)
{
    return w.unix_us + w.now_us - w.base_us;
}

int64_t tg_clock_mono_us(void)
{
    return w.now_us;
}

/* ---- connections ---- */

static void deliver(struct tg_conn *c, const uint8_t *bytes, size_t n)
{
    while (n && !c->dead) {
        size_t room = 0, piece;
        uint8_t *at;

        if (c->paused) {
            tg_buf_add(&c->waiting, bytes, n);
            return;
        }
        at = c->events->room(c->ctx, &room);
        assert(at && room);
        piece = TG_MIN(n, room);
        memcpy(at, bytes, piece);
        bytes += piece;
        n -= piece;
        c->events->received(c->ctx, c, piece);
    }
}

static void closed(struct tg_conn *c)
{
    struct tg_error err;

    if (c->dead)
        return;
    c->dead = true;
    tg_buf_done(&c->waiting);
    tg_fail(&err, TG_NET, c->up ? "the connection was closed" : "connection refused");
    c->events->closed(c->ctx, &err);
}

static void accept_conn(struct tg_conn *client)
{
    struct tg_listener *l = NULL;
    struct tg_conn *server;

    for (size_t i = 0; i < w.n_listeners; i++)
        if (w.listener[i]->port == client->port && !w.listener[i]->closed)
            l = w.listener[i];
    if (!l) {
        closed(client);
        return;
    }
    server = make(sizeof *server);
    tg_buf_init(&server->waiting, (size_t)64 << 20);
    server->peer = client;
    client->peer = server;
    server->ctx = l->accept(l->ctx, server, &server->events);
    if (!server->events) {
        server->dead = true;
        closed(client);
        return;
    }
    server->up = true;
    if (server->events->opened)
        server->events->opened(server->ctx, server);
    push((struct event){ .at_us = w.now_us + w.latency_us, .kind = EV_OPENED, .object = client });
}

tg_code tg_conn_open(struct tg_loop *loop, const char *host, uint16_t port,
                     const struct tg_conn_events *events, void *ctx, struct tg_conn **ret,
                     struct tg_error *err)
{
    struct tg_conn *c = make(sizeof *c);

    (void)loop;
    (void)host;
    (void)err;
    c->events = events;
    c->ctx = ctx;
    c->port = port;
    tg_buf_init(&c->waiting, (size_t)64 << 20);
    push((struct event){ .at_us = w.now_us + w.latency_us, .kind = EV_ACCEPT, .object = c });
    *ret = c;
    return TG_OK;
}

void tg_conn_write(struct tg_conn *c, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;

    if (c->dead || !c->peer)
        return;
    while (n) {
        size_t piece = draw(4) ? n : 1 + draw(n);
        struct event e = { .at_us = w.now_us + w.latency_us + 1, .kind = EV_DATA,
                           .object = c->peer, .n = piece };

        e.bytes = malloc(piece);
        assert(e.bytes);
        memcpy(e.bytes, at, piece);
        push(e);
        at += piece;
        n -= piece;
    }
}

size_t tg_conn_queued(const struct tg_conn *c)
{
    (void)c;
    return 0;
}

void tg_conn_pause(struct tg_conn *c, bool pause)
{
    c->paused = pause;
    if (!pause && c->waiting.len) { /* what waited arrives in the next turn */
        struct event e = { .at_us = w.now_us, .kind = EV_DATA, .object = c, .n = c->waiting.len };

        e.bytes = malloc(e.n);
        assert(e.bytes);
        memcpy(e.bytes, c->waiting.data, e.n);
        tg_buf_clear(&c->waiting);
        push(e);
    }
}

void tg_conn_close(struct tg_conn *c, bool reset, bool quiet)
{
    if (!c || c->dead)
        return;
    if (c->peer && !c->peer->dead)
        push((struct event){ .at_us = w.now_us + (reset ? 0 : w.latency_us + 1),
                             .kind = EV_CLOSED, .object = c->peer });
    if (quiet) {
        c->dead = true;
        tg_buf_done(&c->waiting);
    } else {
        push((struct event){ .at_us = w.now_us, .kind = EV_CLOSED, .object = c });
    }
}

tg_code tg_listen(struct tg_loop *loop, const char *host, uint16_t port,
                  void *(*accept)(void *ctx, struct tg_conn *conn,
                                  const struct tg_conn_events **ret),
                  void *ctx, struct tg_listener **ret, uint16_t *ret_port, struct tg_error *err)
{
    struct tg_listener *l = make(sizeof *l);

    (void)loop;
    (void)host;
    (void)err;
    assert(w.n_listeners < TG_COUNT(w.listener));
    l->accept = accept;
    l->ctx = ctx;
    l->port = port ? port : w.next_port++;
    w.listener[w.n_listeners++] = l;
    *ret = l;
    *ret_port = l->port;
    return TG_OK;
}

void tg_listener_close(struct tg_listener *l)
{
    if (l)
        l->closed = true;
}

/* ---- timers and wake-ups ---- */

tg_code tg_timer_new(struct tg_loop *loop, void (*fire)(void *ctx), void *ctx,
                     struct tg_timer **ret, struct tg_error *err)
{
    struct tg_timer *t = make(sizeof *t);

    (void)loop;
    (void)err;
    t->fire = fire;
    t->ctx = ctx;
    *ret = t;
    return TG_OK;
}

void tg_timer_at(struct tg_timer *t, int64_t at_mono_us)
{
    t->stamp++;
    if (at_mono_us != INT64_MAX)
        push((struct event){ .at_us = TG_MAX(at_mono_us, w.now_us + 1), .kind = EV_TIMER,
                             .object = t, .stamp = t->stamp });
}

void tg_timer_free(struct tg_timer *t)
{
    if (t)
        t->stamp++;
}

tg_code tg_wake_new(struct tg_loop *loop, void (*woken)(void *ctx), void *ctx,
                    struct tg_wake **ret, struct tg_error *err)
{
    struct tg_wake *k = make(sizeof *k);

    (void)loop;
    (void)err;
    k->woken = woken;
    k->ctx = ctx;
    *ret = k;
    return TG_OK;
}

void tg_wake_send(struct tg_wake *k)
{
    if (!k->sent)
        push((struct event){ .at_us = w.now_us, .kind = EV_WAKE, .object = k });
    k->sent = true;
}

void tg_wake_free(struct tg_wake *k)
{
    if (k)
        k->freed = true;
}

tg_code tg_signals_watch(struct tg_loop *loop, void (*on_signal)(void *ctx, int signum), void *ctx,
                         struct tg_error *err)
{
    (void)loop;
    (void)on_signal;
    (void)ctx;
    (void)err;
    return TG_OK;
}

tg_code tg_signals_also(struct tg_loop *loop, int signum, struct tg_error *err)
{
    (void)loop;
    (void)signum;
    (void)err;
    return TG_OK;
}

/* ---- the loop ---- */

/* A timer that is set to now whenever it fires keeps a real program at full load. */
static void mind_busy(void)
{
    if (w.now_us / (100 * TG_MS_US) != w.window_us) {
        w.window_us = w.now_us / (100 * TG_MS_US);
        w.n_timers = 0;
    }
    w.late |= ++w.n_timers > BUSY_TIMERS;
}

static void run_event(struct event *e)
{
    struct tg_conn *c = e->object;
    struct tg_timer *t = e->object;
    struct tg_wake *k = e->object;

    switch (e->kind) {
    case EV_TIMER:
        if (t->stamp == e->stamp) {
            mind_busy();
            t->fire(t->ctx);
        }
        break;
    case EV_WAKE:
        k->sent = false;
        if (!k->freed)
            k->woken(k->ctx);
        break;
    case EV_ACCEPT:
        if (!c->dead)
            accept_conn(c);
        break;
    case EV_OPENED:
        if (!c->dead) {
            c->up = true;
            c->events->opened(c->ctx, c);
        }
        break;
    case EV_DATA:
        deliver(c, e->bytes, e->n);
        break;
    case EV_CLOSED:
        closed(c);
        break;
    }
    free(e->bytes);
}

tg_code tg_loop_new(struct tg_loop **ret, struct tg_error *err)
{
    struct tg_loop *loop = calloc(1, sizeof *loop);

    (void)err;
    assert(loop);
    *ret = loop;
    return TG_OK;
}

void tg_loop_run(struct tg_loop *loop)
{
    while (!loop->stopped && w.n) {
        struct event e;

        w.late |= w.heap[0].at_us > w.deadline_us;
        if (w.late)
            break;
        e = pop();
        w.now_us = TG_MAX(w.now_us, e.at_us);
        run_event(&e);
    }
    loop->stopped = false; /* a stop before the run counts too, as in libuv */
}

void tg_loop_stop(struct tg_loop *loop)
{
    loop->stopped = true;
}

void tg_loop_free(struct tg_loop *loop)
{
    free(loop);
}
