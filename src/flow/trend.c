/* SPDX-License-Identifier: MIT */
/*
 * trend.c - see trend.h
 */
#include "flow/trend.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define NORMAL_MAD 1.4826  /* standard deviations of a normal distribution in its MAD */
#define NORMAL_MEAN 1.2533 /* and in its mean absolute deviation */
#define NARROWEST 0.1      /* of the median */

void tg_trend_add(struct tg_trend *t, double count)
{
    t->slot[t->next] = count;
    t->next = (t->next + 1) % TG_TREND_SLOTS;
    t->n = TG_MIN(t->n + 1, (unsigned)TG_TREND_SLOTS);
}

/* The slot that was added i before the last one. */
static double back(const struct tg_trend *t, unsigned i)
{
    assert(i < t->n);
    return t->slot[(t->next + TG_TREND_SLOTS - 1 - i) % TG_TREND_SLOTS];
}

/* Of n slots, from the one that was added i before the last one. */
static double mean(const struct tg_trend *t, unsigned i, unsigned n)
{
    unsigned end = TG_MIN(i + n, t->n), first = i;
    double sum = 0;

    for (; i < end; i++)
        sum += back(t, i);
    return end > first ? sum / (end - first) : 0;
}

unsigned tg_trend_window(const struct tg_trend *t)
{
    unsigned busy = 0, slots = 0; /* up to the last that is not empty */

    for (unsigned i = 0; i < t->n; i++) {
        busy += back(t, i) > 0;
        slots += busy > 0;
    }
    if (!busy)
        return TG_TREND_SLOTS;
    return TG_MAX((TG_TREND_BUSY * slots + busy - 1) / busy, (unsigned)TG_TREND_WINDOW);
}

double tg_trend_drop(const struct tg_trend *t, bool firing)
{
    unsigned window = TG_MIN(tg_trend_window(t), (unsigned)TG_TREND_SLOTS / 2);
    double average = mean(t, 0, TG_TREND_SLOTS), now = mean(t, 0, window);

    if (firing)
        return now > 0 ? 1 - now / average : 1;
    if (t->n < 2 * tg_trend_window(t) || average * window < TG_TREND_COUNT)
        return NAN;
    return 1 - now / average;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, compare);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double tg_trend_score(const struct tg_trend *t)
{
    double v[TG_TREND_SLOTS], middle, mad, off = 0, unit;
    unsigned n = 0, window = tg_trend_window(t);

    if (t->n < 3 * window)
        return NAN;
    for (unsigned i = window; i + window <= t->n; i++)
        v[n++] = mean(t, i, window);
    middle = median(v, n);
    if (middle * window < TG_TREND_COUNT)
        return NAN;
    for (unsigned i = 0; i < n; i++) {
        v[i] = fabs(v[i] - middle);
        off += v[i] / n;
    }
    mad = median(v, n);
    unit = mad > 0 ? NORMAL_MAD * mad : NORMAL_MEAN * off;
    unit = TG_MAX(unit, TG_MAX(sqrt(middle / window), NARROWEST * middle));
    return (mean(t, 0, window) - middle) / unit;
}
