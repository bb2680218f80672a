/* SPDX-License-Identifier: MIT */
/*
 * block16.h - blocks of sixteen bytes for the loops over text, where SSE2 is there
 *
 * Threads: none: pure functions
 */
#ifndef TG_BLOCK16_H
#define TG_BLOCK16_H

#include "base/base.h"

#if defined(__SSE2__)
#include <emmintrin.h>

static inline __m128i tg_load16(const uint8_t *s)
{
    return _mm_loadu_si128((const __m128i *)(const void *)s);
}

/** @return the n bytes at s, 1..15, zeros behind them; nothing else is read */
static inline __m128i tg_load_short(const uint8_t *s, size_t n)
{
    uint64_t low, high = 0;

    if (n >= 8) {
        memcpy(&low, s, 8);
        memcpy(&high, s + n - 8, 8);
        high = n == 8 ? 0 : high >> 8 * (16 - n);
    } else if (n >= 4) {
        uint32_t first, last;

        memcpy(&first, s, 4);
        memcpy(&last, s + n - 4, 4);
        low = first | (uint64_t)last << 8 * (n - 4);
    } else {
        low = s[0] | (uint64_t)s[n / 2] << 8 * (n / 2) | (uint64_t)s[n - 1] << 8 * (n - 1);
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}

#endif
#endif
