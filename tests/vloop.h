/* SPDX-License-Identifier: MIT */
/*
 * vloop.h - os/loop.h on a virtual clock, for tests: client and server in one thread, one process
 *
 * A test program that is linked with vloop.c gets these definitions of tg_loop_*, tg_conn_*,
 * tg_timer_*, tg_wake_*, tg_listen and tg_clock_* instead of the library's. Time stands still while
 * code runs and jumps to the next event, so minutes of waiting cost nothing and every run of a seed
 * is the same. Bytes arrive in pieces that the seed decides; tg_random_system draws from it, too
 * (linked with --wrap).
 *
 * Threads: one
 */
#ifndef TEST_VLOOP_H
#define TEST_VLOOP_H

#include "os/loop.h"

/** Starts a fresh world: no connections, the clock at unix_us. */
void vloop_reset(uint64_t seed, int64_t unix_us, int64_t latency_us);

/** Ends a run that goes on for longer than that (virtual time), or that waits by asking again and
 * again (20,000 timers within a tenth of a second): tg_loop_run returns. */
void vloop_deadline(int64_t after_us);
bool vloop_late(void);

/** Virtual time since the reset. */
int64_t vloop_elapsed_us(void);

#endif
