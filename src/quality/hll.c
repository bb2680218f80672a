/* SPDX-License-Identifier: MIT */
/*
 * hll.c - see hll.h; the names are those of Ertl's paper, algorithm 6
 */
#include "quality/hll.h"

#include <math.h>

void tg_hll_merge(struct tg_hll *h, const struct tg_hll *other)
{
    for (size_t i = 0; i < TG_HLL_REGISTERS; i++)
        h->at[i] = TG_MAX(h->at[i], other->at[i]);
}

/* The part of registers that saw nothing; it grows beyond all bounds where all did. */
static double sigma(double x)
{
    double y = 1, z = x, before;

    if (x >= 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z > before);
    return z;
}

/* The part of registers that are full. */
static double tau(double x)
{
    double y = 1, z = 1 - x, before;

    if (x <= 0 || x >= 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y /= 2;
        z -= (1 - x) * (1 - x) * y;
    } while (z < before);
    return z / 3;
}

double tg_hll_estimate(const struct tg_hll *h)
{
    enum { Q = 64 - TG_HLL_BITS };
    const double m = TG_HLL_REGISTERS;
    uint32_t count[Q + 2] = { 0 };
    double z;

    for (size_t i = 0; i < TG_HLL_REGISTERS; i++)
        count[h->at[i]]++;
    z = m * tau((m - count[Q + 1]) / m);
    for (int k = Q; k >= 1; k--)
        z = (z + count[k]) / 2;
    z += m * sigma(count[0] / m);
    return m * m / (2 * 0.69314718055994530942 * z);
}
