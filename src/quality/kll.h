/* SPDX-License-Identifier: MIT */
/*
 * kll.h - quantiles of numbers, about, in some 10 KB (Karnin, Lang and Liberty)
 *
 *   level 2   [ 4 17 ]          each stands for 4 numbers
 *   level 1   [ 3 9 12 ]        each for 2
 *   level 0   [ 8 1 5 7 ... ]   each for itself
 *
 * A level that is full is sorted, and every second of its numbers goes one level up: those at even
 * or at odd places, as a coin falls. Higher levels have more room, 256 the highest, each below it
 * two thirds of that. The rank of what is told differs from the right one by 1 % of all numbers at
 * the most, in all but some few of a hundred sketches.
 *
 * Threads: none      Limits: 44 levels, which no count of 64 bits fills
 */
#ifndef TG_QUALITY_KLL_H
#define TG_QUALITY_KLL_H

#include "base/base.h"

enum { TG_KLL_LEVELS = 44, TG_KLL_TOP = 256, TG_KLL_LEAST = 32 };

struct tg_kll {
    struct tg_kll_level {
        int64_t *at;
        uint32_t n, cap; /* cap: of what was allocated */
    } level[TG_KLL_LEVELS];
    size_t n_levels;
    uint64_t n;
    int64_t min, max; /* exact; of n > 0 */
    uint64_t coins;
    bool failed;      /* out of memory: what it tells is of a part */
};

/** @param seed  of the coins; any */
void tg_kll_init(struct tg_kll *k, uint64_t seed);
void tg_kll_done(struct tg_kll *k); /* of a zeroed one, too */

void tg_kll_add(struct tg_kll *k, int64_t value);

/** The numbers of both. */
void tg_kll_merge(struct tg_kll *k, const struct tg_kll *other);

/**
 * Tells values below which shares of the numbers lie.
 * @param share  n of them, 0..1, ascending
 * @return false out of memory, or without a number
 */
bool tg_kll_quantiles(const struct tg_kll *k, const double *share, int64_t *ret, size_t n);

/** @return about how many of the numbers are less than a value, */
uint64_t tg_kll_below(const struct tg_kll *k, int64_t value);
/** or at most so much. */
uint64_t tg_kll_upto(const struct tg_kll *k, int64_t value);

#endif
