/* SPDX-License-Identifier: MIT */
/*
 * seeds.h - what a seed draws, for tests that run many (splitmix64)
 */
#ifndef TG_TEST_SEEDS_H
#define TG_TEST_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t draw(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint32_t below(struct random *r, uint32_t n)
{
    return (uint32_t)(draw(r) % n);
}

static inline bool chance(struct random *r, uint32_t percent)
{
    return below(r, 100) < percent;
}

#endif
