/* SPDX-License-Identifier: MIT */
/*
 * backoff.h - how long to wait before the n-th retry: exponential, capped, full jitter
 *
 *   wait(n) = uniform(0, min(cap, base * multiplier^n))
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

#endif
