/* SPDX-License-Identifier: MIT */
/*
 * vqueue.h - os/queue.h on the virtual clock of vloop.h: a second thread that takes turns
 *
 * A test program that is linked with vqueue.c gets these definitions of tg_queue_* and
 * tg_thread_start. The thread is a real one, but it runs only while the loop's stands still: from
 * an event of the virtual clock until it waits for work. So nothing happens at once, a destination
 * may take its time without anybody waiting for it, and every run of a seed is the same.
 *
 * Threads: the loop's and one other      Limits: one queue with a thread behind it at a time
 */
#ifndef TEST_VQUEUE_H
#define TEST_VQUEUE_H

#include "os/queue.h"

/** What the thread takes up next begins so much later at most, each time drawn anew. */
void vqueue_slow(int64_t most_us, uint64_t seed);

#endif
