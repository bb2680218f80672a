/* SPDX-License-Identifier: MIT */
/*
 * vqueue.c - see vqueue.h
 *
 * The other thread sleeps by setting a timer of the virtual clock and giving its turn away; the
 * timer gives it back. Once the queue is closed it runs to its end, while the loop's thread waits
 * for that (pthread_join).
 */
#include "vqueue.h"

#include <assert.h>
#include <stdlib.h>

#include "os/loop.h"

struct tg_queue {
    struct {
        void *item;
        uint64_t bytes;
    } *slot;
    size_t head, len, cap;
    struct tg_timer *timer;
    bool hungry; /* its thread waits for an item */
    bool closed;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t passed;
    bool others; /* whose turn it is */
    bool lives;
    int64_t most_us;
    uint64_t random;
} turn = { .lock = PTHREAD_MUTEX_INITIALIZER, .passed = PTHREAD_COND_INITIALIZER };

void vqueue_slow(int64_t most_us, uint64_t seed)
{
    turn.most_us = most_us;
    turn.random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static int64_t draw(int64_t most)
{
    turn.random ^= turn.random << 13;
    turn.random ^= turn.random >> 7;
    turn.random ^= turn.random << 17;
    return most ? (int64_t)(turn.random % (uint64_t)most) : 0;
}

/* Lets the other side run until it passes the turn back. */
static void pass(bool to_other)
{
    pthread_mutex_lock(&turn.lock);
    turn.others = to_other;
    pthread_cond_broadcast(&turn.passed);
    while (turn.lives && turn.others == to_other)
        pthread_cond_wait(&turn.passed, &turn.lock);
    pthread_mutex_unlock(&turn.lock);
}

static void on_timer(void *ctx)
{
    (void)ctx;
    if (turn.lives)
        pass(true);
}

/* ---- the thread ---- */

struct start {
    void *(*fn)(void *);
    void *arg;
};

static void *first_turn(void *arg)
{
    struct start start = *(struct start *)arg;
    void *ret;

    free(arg);
    pthread_mutex_lock(&turn.lock);
    while (!turn.others)
        pthread_cond_wait(&turn.passed, &turn.lock);
    pthread_mutex_unlock(&turn.lock);
    ret = start.fn(start.arg);
    pthread_mutex_lock(&turn.lock);
    turn.lives = turn.others = false;
    pthread_cond_broadcast(&turn.passed);
    pthread_mutex_unlock(&turn.lock);
    return ret;
}

tg_code tg_thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                        struct tg_error *err)
{
    struct start *start = malloc(sizeof *start);

    (void)name;
    (void)err;
    assert(start && !turn.lives);
    *start = (struct start){ fn, arg };
    turn.lives = true;
    turn.others = false;
    if (pthread_create(ret, NULL, first_turn, start))
        abort();
    pass(true); /* to where it waits for work */
    return TG_OK;
}

/* On the thread: the clock goes on until then, or until something is pushed. */
static void sleep_until(struct tg_queue *q, int64_t at_us)
{
    tg_timer_at(q->timer, at_us);
    pass(false);
}

/* ---- the queue ---- */

struct tg_queue *tg_queue_new(size_t n_max, uint64_t bytes_max)
{
    struct tg_queue *q = calloc(1, sizeof *q);
    struct tg_error err;

    assert(q && bytes_max == UINT64_MAX);
    q->cap = n_max;
    q->slot = calloc(n_max, sizeof *q->slot);
    assert(q->slot);
    if (tg_timer_new(NULL, on_timer, NULL, &q->timer, &err) != TG_OK)
        abort();
    return q;
}

void tg_queue_free(struct tg_queue *q)
{
    if (!q)
        return;
    tg_timer_free(q->timer);
    free(q->slot);
    free(q);
}

tg_code tg_queue_try_push(struct tg_queue *q, void *item, uint64_t bytes)
{
    if (q->closed)
        return TG_END;
    if (q->len == q->cap)
        return TG_AGAIN;
    q->slot[(q->head + q->len) % q->cap].item = item;
    q->slot[(q->head + q->len++) % q->cap].bytes = bytes;
    if (q->hungry)
        tg_timer_at(q->timer, tg_clock_mono_us());
    return TG_OK;
}

tg_code tg_queue_push(struct tg_queue *q, void *item, uint64_t bytes)
{
    while (q->len == q->cap && !q->closed)
        pass(true); /* it makes haste when the queue is full */
    return tg_queue_try_push(q, item, bytes);
}

tg_code tg_queue_pop(struct tg_queue *q, int64_t timeout_us, void **ret, uint64_t *ret_bytes)
{
    int64_t now = tg_clock_mono_us(), at;
    int64_t until = timeout_us > INT64_MAX - now ? INT64_MAX : now + timeout_us;

    q->hungry = true;
    while (!q->len && !q->closed && tg_clock_mono_us() < until)
        sleep_until(q, until);
    q->hungry = false;
    if (!q->len)
        return q->closed ? TG_END : TG_AGAIN;
    at = tg_clock_mono_us() + draw(turn.most_us);
    while (!q->closed && q->len < q->cap && tg_clock_mono_us() < at)
        sleep_until(q, at);
    *ret = q->slot[q->head].item;
    if (ret_bytes)
        *ret_bytes = q->slot[q->head].bytes;
    q->head = (q->head + 1) % q->cap;
    q->len--;
    return TG_OK;
}

void tg_queue_close(struct tg_queue *q)
{
    q->closed = true;
    pthread_mutex_lock(&turn.lock);
    turn.others = true; /* for good: who closes waits for its end */
    pthread_cond_broadcast(&turn.passed);
    pthread_mutex_unlock(&turn.lock);
}

void tg_queue_depth(struct tg_queue *q, size_t *ret_n, uint64_t *ret_bytes)
{
    if (ret_n)
        *ret_n = q->len;
    if (ret_bytes)
        *ret_bytes = 0;
    for (size_t i = 0; ret_bytes && i < q->len; i++)
        *ret_bytes += q->slot[(q->head + i) % q->cap].bytes;
}
