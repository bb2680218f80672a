/* SPDX-License-Identifier: MIT */
/*
 * backoff.c - see backoff.h
 */
#include "flow/backoff.h"

#include <assert.h>

static int64_t longest(const struct tg_backoff *b, uint32_t attempt)
{
    int64_t top = TG_MIN(b->base_us, b->cap_us);

    assert(b->base_us > 0 && b->cap_us > 0 && b->multiplier_milli >= 1000);
    for (uint32_t i = 0; i < attempt && top < b->cap_us && b->multiplier_milli > 1000; i++) {
        if (__builtin_mul_overflow(top, (int64_t)b->multiplier_milli, &top))
            top = b->cap_us;
        else
            top = TG_MIN(top / 1000, b->cap_us);
    }
    return top;
}

int64_t tg_backoff_wait(const struct tg_backoff *b, uint32_t attempt, uint64_t random)
{
    int64_t top = longest(b, attempt);

    return b->jitter ? (int64_t)(random % ((uint64_t)top + 1)) : top;
}

int64_t tg_backoff_limit(const struct tg_backoff *b, uint32_t consecutive_limits,
                         int64_t time_window_remaining_us, uint64_t random)
{
    int64_t top, wait;

    assert(consecutive_limits >= 1);
    top = longest(b, consecutive_limits - 1);
    wait = b->jitter ? top / 2 + (int64_t)(random % ((uint64_t)(top - top / 2) + 1)) : top;
    return time_window_remaining_us > 0 ? TG_MIN(wait, time_window_remaining_us) : wait;
}
