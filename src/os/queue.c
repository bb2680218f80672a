/* SPDX-License-Identifier: MIT */
/*
 * queue.c - see queue.h
 *
 * A ring of slots under one lock with two conditions. Waiting uses the monotonic clock, so that a
 * changed wall clock neither shortens nor prolongs it.
 */
#include "os/queue.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct slot {
    void *item;
    uint64_t bytes;
};

struct tg_queue {
    pthread_mutex_t lock;
    pthread_cond_t room, work;
    struct slot *slot;
    size_t head, len, cap;
    uint64_t bytes, bytes_max;
    bool closed;
};

struct tg_queue *tg_queue_new(size_t n_max, uint64_t bytes_max)
{
    struct tg_queue *q = calloc(1, sizeof *q);
    pthread_condattr_t attr;

    assert(n_max > 0 && bytes_max > 0);
    if (!q)
        return NULL;
    q->slot = calloc(n_max, sizeof *q->slot);
    if (!q->slot) {
        free(q);
        return NULL;
    }
    q->cap = n_max;
    q->bytes_max = bytes_max;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->room, &attr);
    pthread_cond_init(&q->work, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

void tg_queue_free(struct tg_queue *q)
{
    if (!q)
        return;
    pthread_cond_destroy(&q->room);
    pthread_cond_destroy(&q->work);
    pthread_mutex_destroy(&q->lock);
    free(q->slot);
    free(q);
}

static bool fits(const struct tg_queue *q, uint64_t bytes)
{
    if (q->len == 0)
        return true; /* an oversize item passes an empty queue */
    return q->len < q->cap && q->bytes <= q->bytes_max && bytes <= q->bytes_max - q->bytes;
}

static tg_code push(struct tg_queue *q, void *item, uint64_t bytes, bool wait)
{
    tg_code code = TG_OK;

    pthread_mutex_lock(&q->lock);
    while (wait && !q->closed && !fits(q, bytes))
        pthread_cond_wait(&q->room, &q->lock);
    if (q->closed) {
        code = TG_END;
    } else if (!fits(q, bytes)) {
        code = TG_AGAIN;
    } else {
        q->slot[(q->head + q->len++) % q->cap] = (struct slot){ item, bytes };
        q->bytes += bytes;
        pthread_cond_signal(&q->work);
    }
    pthread_mutex_unlock(&q->lock);
    return code;
}

tg_code tg_queue_push(struct tg_queue *q, void *item, uint64_t bytes)
{
    return push(q, item, bytes, true);
}

tg_code tg_queue_try_push(struct tg_queue *q, void *item, uint64_t bytes)
{
    return push(q, item, bytes, false);
}

/* Waits for work until the deadline. @return false once it has passed */
static bool wait_for_work(struct tg_queue *q, int64_t timeout_us, const struct timespec *deadline)
{
    if (timeout_us <= 0)
        return false;
    if (timeout_us == INT64_MAX)
        return pthread_cond_wait(&q->work, &q->lock) == 0;
    return pthread_cond_timedwait(&q->work, &q->lock, deadline) != ETIMEDOUT;
}

static struct timespec deadline_of(int64_t timeout_us)
{
    const int64_t longest_us = INT64_C(1000000000) * TG_SECOND_US;
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    timeout_us = TG_MIN(timeout_us, longest_us);
    if (timeout_us > 0) {
        t.tv_sec += timeout_us / TG_SECOND_US;
        t.tv_nsec += timeout_us % TG_SECOND_US * 1000;
        if (t.tv_nsec >= 1000000000) {
            t.tv_sec++;
            t.tv_nsec -= 1000000000;
        }
    }
    return t;
}

tg_code tg_queue_pop(struct tg_queue *q, int64_t timeout_us, void **ret, uint64_t *ret_bytes)
{
    struct timespec deadline = deadline_of(timeout_us);
    tg_code code = TG_OK;
    struct slot taken;

    pthread_mutex_lock(&q->lock);
    while (!q->len && !q->closed && wait_for_work(q, timeout_us, &deadline))
        ;
    if (!q->len) {
        code = q->closed ? TG_END : TG_AGAIN;
    } else {
        taken = q->slot[q->head];
        q->head = (q->head + 1) % q->cap;
        q->len--;
        q->bytes -= taken.bytes;
        *ret = taken.item;
        if (ret_bytes)
            *ret_bytes = taken.bytes;
        /* Waiting pushers differ in size: the one that is woken may not fit where another does. */
        pthread_cond_broadcast(&q->room);
    }
    pthread_mutex_unlock(&q->lock);
    return code;
}

void tg_queue_close(struct tg_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->room);
    pthread_cond_broadcast(&q->work);
    pthread_mutex_unlock(&q->lock);
}

void tg_queue_depth(struct tg_queue *q, size_t *ret_n, uint64_t *ret_bytes)
{
    pthread_mutex_lock(&q->lock);
    if (ret_n)
        *ret_n = q->len;
    if (ret_bytes)
        *ret_bytes = q->bytes;
    pthread_mutex_unlock(&q->lock);
}

tg_code tg_thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                        struct tg_error *err)
{
    sigset_t all, old;
    char short_name[16] = "";
    int status;

    /* The new thread takes no signals: they belong to the thread that runs the loop. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    status = pthread_create(ret, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (status) {
        errno = status;
        return tg_fail(err, TG_NOMEM, "could not start thread '%s': %s", name, strerror(status));
    }
    memcpy(short_name, name, strnlen(name, sizeof short_name - 1));
    pthread_setname_np(*ret, short_name);
    return TG_OK;
}
