/* SPDX-License-Identifier: MIT */
/*
 * hll.h - how many different values there were, about, in 16 KiB (HyperLogLog)
 *
 * A value's hash chooses one of 2^14 registers by its first bits; the register keeps the longest
 * run of zeroes that the rest began with. The estimate is the improved one of Ertl (2017), as good
 * for few values as for many: standard error 1.04 / sqrt(2^14) = 0.8 %.
 *
 * Threads: none: value type
 */
#ifndef TG_QUALITY_HLL_H
#define TG_QUALITY_HLL_H

#include "base/base.h"

enum { TG_HLL_BITS = 14, TG_HLL_REGISTERS = 1 << TG_HLL_BITS };

struct tg_hll {
    uint8_t at[TG_HLL_REGISTERS];
};

/** @param hash  64 well mixed bits */
static inline void tg_hll_add(struct tg_hll *h, uint64_t hash)
{
    uint64_t rest = hash << TG_HLL_BITS | UINT64_C(1) << (TG_HLL_BITS - 1);
    uint8_t run = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *at = &h->at[hash >> (64 - TG_HLL_BITS)];

    *at = TG_MAX(*at, run);
}

/** The values of both. */
void tg_hll_merge(struct tg_hll *h, const struct tg_hll *other);

double tg_hll_estimate(const struct tg_hll *h);

#endif
