/* SPDX-License-Identifier: MIT */
/*
 * backoff.h - how long to wait before the n-th retry: exponential, capped, full jitter
 *
 *   wait(n) = uniform(0, min(cap, base * multiplier^n))
 *
 * A rate limit without a wait of the server's own (tg_backoff_limit) is waited for likewise, but no
 * longer than until the window ends that the quota is counted in: then there is quota again.
 *
 * Pure: the random number is an argument.
 */
#ifndef TG_BACKOFF_H
#define TG_BACKOFF_H

#include "base/base.h"

struct tg_backoff {
    int64_t base_us;       /* > 0 */
    int64_t cap_us;        /* >= base */
    int32_t multiplier_milli; /* 2000 doubles */
    bool jitter;
};

/**
 * @param attempt  0 for the first retry
 * @param random   64 uniform random bits
 * @return microseconds, 0..cap
 */
int64_t tg_backoff_wait(const struct tg_backoff *b, uint32_t attempt, uint64_t random);

/**
 * The wait after a rate limit that names none.
 *
 * @param consecutive_limits        limits met in a row, this one included; >= 1
 * @param time_window_remaining_us  until the quota's window ends; 0 or less: unknown
 * @return microseconds; at least half of what the backoff allows, since a limit was certainly met
 */
int64_t tg_backoff_limit(const struct tg_backoff *b, uint32_t consecutive_limits,
                         int64_t time_window_remaining_us, uint64_t random);

#endif
