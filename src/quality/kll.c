/* SPDX-License-Identifier: MIT */
/*
 * kll.c - see kll.h
 */
#include "quality/kll.h"

#include <assert.h>
#include <stdlib.h>

void tg_kll_init(struct tg_kll *k, uint64_t seed)
{
    *k = (struct tg_kll){ .n_levels = 1, .coins = seed | 1 };
}

void tg_kll_done(struct tg_kll *k)
{
    for (size_t i = 0; i < TG_KLL_LEVELS; i++)
        free(k->level[i].at);
    *k = (struct tg_kll){ .n_levels = 0 };
}

static bool coin(struct tg_kll *k)
{
    k->coins ^= k->coins << 13;
    k->coins ^= k->coins >> 7;
    k->coins ^= k->coins << 17;
    return k->coins >> 40 & 1;
}

/* How many numbers a level has at most. */
static uint32_t room(const struct tg_kll *k, size_t level)
{
    double n = TG_KLL_TOP;

    for (size_t i = level + 1; i < k->n_levels && n > TG_KLL_LEAST; i++)
        n *= 2.0 / 3;
    return TG_MAX((uint32_t)n, (uint32_t)TG_KLL_LEAST);
}

static bool put(struct tg_kll *k, struct tg_kll_level *l, int64_t value)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? 2 * l->cap : 2 * TG_KLL_LEAST;
        int64_t *more = reallocarray(l->at, cap, sizeof *more);

        if (!more) {
            k->failed = true;
            return false;
        }
        l->at = more;
        l->cap = cap;
    }
    l->at[l->n++] = value;
    return true;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void sort(int64_t *at, uint32_t n)
{
    if (n > 64) {
        qsort(at, n, sizeof *at, by_value);
        return;
    }
    for (uint32_t i = 1; i < n; i++) {
        int64_t v = at[i];
        uint32_t j = i;

        for (; j && at[j - 1] > v; j--)
            at[j] = at[j - 1];
        at[j] = v;
    }
}

/* Half of a level goes up; of an odd number the last stays. */
static void lift(struct tg_kll *k, size_t level)
{
    struct tg_kll_level *l = &k->level[level];
    uint32_t pairs = l->n / 2;
    bool odd = coin(k);

    assert(level + 1 < TG_KLL_LEVELS);
    k->n_levels = TG_MAX(k->n_levels, level + 2);
    sort(l->at, 2 * pairs);
    for (uint32_t i = 0; i < pairs; i++)
        if (!put(k, &k->level[level + 1], l->at[2 * i + odd]))
            break;
    if (l->n % 2)
        l->at[0] = l->at[l->n - 1];
    l->n %= 2;
}

static void settle(struct tg_kll *k)
{
    for (size_t i = 0; i < k->n_levels; i++)
        if (k->level[i].n >= room(k, i))
            lift(k, i);
}

void tg_kll_add(struct tg_kll *k, int64_t value)
{
    struct tg_kll_level *l = &k->level[0];

    k->min = k->n ? TG_MIN(k->min, value) : value;
    k->max = k->n ? TG_MAX(k->max, value) : value;
    k->n++;
    if (put(k, l, value) && l->n >= TG_KLL_LEAST && l->n >= room(k, 0))
        settle(k);
}

void tg_kll_merge(struct tg_kll *k, const struct tg_kll *other)
{
    if (!other->n)
        return;
    k->min = k->n ? TG_MIN(k->min, other->min) : other->min;
    k->max = k->n ? TG_MAX(k->max, other->max) : other->max;
    k->n += other->n;
    k->n_levels = TG_MAX(k->n_levels, other->n_levels);
    k->failed |= other->failed;
    for (size_t i = 0; i < other->n_levels; i++)
        for (uint32_t j = 0; j < other->level[i].n; j++)
            put(k, &k->level[i], other->level[i].at[j]);
    settle(k);
}

struct weighed {
    int64_t value; /* first, for by_value */
    uint64_t weight;
};

bool tg_kll_quantiles(const struct tg_kll *k, const double *share, int64_t *ret, size_t n)
{
    struct weighed *all;
    size_t n_all = 0, at = 0;
    uint64_t weight = 0, below = 0;

    for (size_t i = 0; i < k->n_levels; i++)
        n_all += k->level[i].n;
    all = n_all ? calloc(n_all, sizeof *all) : NULL;
    if (!all)
        return false;
    n_all = 0;
    for (size_t i = 0; i < k->n_levels; i++)
        for (uint32_t j = 0; j < k->level[i].n; j++) {
            all[n_all++] = (struct weighed){ k->level[i].at[j], UINT64_C(1) << i };
            weight += UINT64_C(1) << i;
        }
    qsort(all, n_all, sizeof *all, by_value);
    for (size_t i = 0; i < n; i++) {
        double rank = share[i] * (double)weight;

        while (at + 1 < n_all && (double)(below + all[at].weight) < rank)
            below += all[at++].weight;
        ret[i] = share[i] <= 0 ? k->min : share[i] >= 1 ? k->max : all[at].value;
    }
    free(all);
    return true;
}

uint64_t tg_kll_below(const struct tg_kll *k, int64_t value)
{
    uint64_t n = 0;

    for (size_t i = 0; i < k->n_levels; i++)
        for (uint32_t j = 0; j < k->level[i].n; j++)
            n += k->level[i].at[j] < value ? UINT64_C(1) << i : 0;
    return n;
}

uint64_t tg_kll_upto(const struct tg_kll *k, int64_t value)
{
    return value == INT64_MAX ? tg_kll_below(k, value) : tg_kll_below(k, value + 1);
}
