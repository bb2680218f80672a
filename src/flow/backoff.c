/* SPDX-License-Identifier: MIT */
/*
 * backoff.c - see backoff.h
 */
#include "flow/backoff.h"

#include <assert.h>

int64_t tg_backoff_wait(const struct tg_backoff *b, uint32_t attempt, uint64_t random)
{
    int64_t top = TG_MIN(b->base_us, b->cap_us);

    assert(b->base_us > 0 && b->cap_us > 0 && b->multiplier_milli >= 1000);
    for (uint32_t i = 0; i < attempt && top < b->cap_us && b->multiplier_milli > 1000; i++) {
        if (__builtin_mul_overflow(top, (int64_t)b->multiplier_milli, &top))
            top = b->cap_us;
        else
            top = TG_MIN(top / 1000, b->cap_us);
    }
    if (!b->jitter)
        return top;
    return (int64_t)(random % ((uint64_t)top + 1));
}
