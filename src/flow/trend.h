/* SPDX-License-Identifier: MIT */
/*
 * trend.h - a count per slot of time, and whether its last slots are like those before
 *
 *   | slot | slot | ... | slot | slot | slot | slot | slot | slot |
 *   <------------- average: 60 slots at most --------------------->
 *                              <-------- window: 6 slots --------->
 *
 * What comes in lumps, as whole batches, leaves slots empty: the window is longer then, so long
 * that five slots in it should have something. How many are empty is told by those up to the last
 * one that is not, so a standstill does not change it.
 *
 *   drop   1 - rate of the window / average
 *   score  how far the window is from the median of all windows before it, in units of their usual
 *          distance: a robust z-score (median, and median absolute deviation as if it were normal).
 *          That distance is never taken for less than what chance makes (the root of the count),
 *          nor than a tenth of the median
 *
 * A verdict needs twice the window, a score three times, and an average that comes to 30 in it.
 * Less than that says nothing, which is NaN.
 *
 * Pure: whoever adds keeps the time.
 *
 * Threads: none: value type
 */
#ifndef TG_TREND_H
#define TG_TREND_H

#include "base/base.h"

enum { TG_TREND_SLOTS = 60, TG_TREND_WINDOW = 6, TG_TREND_BUSY = 5, TG_TREND_COUNT = 30 };

struct tg_trend {
    double slot[TG_TREND_SLOTS];
    unsigned n;    /* slots that were added, up to TG_TREND_SLOTS */
    unsigned next; /* where the next one goes */
};

/** Adds what came in a slot of time. */
void tg_trend_add(struct tg_trend *t, double count);

/** @return how many slots the window has now, from 6; more than 30: too much of them is empty */
unsigned tg_trend_window(const struct tg_trend *t);

/**
 * @param firing  an alert of this drop fires: then there is always a verdict, and a standstill is
 *                one however long it lasts, though the average forgets what was before
 * @return up to 1; below 0: it has risen; NaN: that cannot be said
 */
double tg_trend_drop(const struct tg_trend *t, bool firing);

/** @return above 0: more than before; NaN: that cannot be said */
double tg_trend_score(const struct tg_trend *t);

#endif
