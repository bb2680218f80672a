/* SPDX-License-Identifier: MIT */
/*
 * queue.h - the only thing threads share: a bounded queue of pointers, counted in items and bytes
 *
 * One oversize item still passes an empty queue. Closing lets readers drain what is left.
 *
 * Threads: any number of pushers and poppers      Limits: given at construction
 */
#ifndef TG_OS_QUEUE_H
#define TG_OS_QUEUE_H

#include <pthread.h>

#include "base/base.h"

struct tg_queue;

struct tg_queue *tg_queue_new(size_t n_max, uint64_t bytes_max); /* NULL out of memory */
void tg_queue_free(struct tg_queue *q); /* must be empty or its items owned elsewhere */

/** Waits for room. @return TG_END if closed (the caller still owns item) */
tg_code tg_queue_push(struct tg_queue *q, void *item, uint64_t bytes);

/** @return TG_AGAIN at once if there is no room */
tg_code tg_queue_try_push(struct tg_queue *q, void *item, uint64_t bytes);

/** Waits up to timeout_us (INT64_MAX: for ever). @return TG_AGAIN on time-out; TG_END if closed and
 *  empty */
tg_code tg_queue_pop(struct tg_queue *q, int64_t timeout_us, void **ret, uint64_t *ret_bytes);
void tg_queue_close(struct tg_queue *q);
void tg_queue_depth(struct tg_queue *q, size_t *ret_n, uint64_t *ret_bytes);

/** A thread with a name; fn's return is not kept. */
tg_code tg_thread_start(pthread_t *ret, const char *name, void *(*fn)(void *), void *arg,
                        struct tg_error *err);

#endif
