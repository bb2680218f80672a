/* SPDX-License-Identifier: MIT */
/*
 * average.h - a moving average over 300 seconds
 *
 *   | 5 s | 5 s | ... | 5 s | now
 *   <------- 60 slots ------>
 *
 * What was added is kept by slots of five seconds, so the window is 295 to 300 seconds long; in the
 * first minutes it is as long as there has been something to look at.
 *
 * Threads: none: value type, time is an argument
 */
#ifndef TG_OBSERVE_AVERAGE_H
#define TG_OBSERVE_AVERAGE_H

#include "base/base.h"

enum { TG_AVERAGE_SLOTS = 60 };
#define TG_AVERAGE_SLOT_US (5 * TG_SECOND_US)

struct tg_average {
    double slot[TG_AVERAGE_SLOTS];
    int64_t newest; /* number of the newest slot: its time / TG_AVERAGE_SLOT_US */
    int64_t begun_us;
};

/** @param now_us  any clock that does not go back, the same for all calls */
void tg_average_init(struct tg_average *a, int64_t now_us);
void tg_average_add(struct tg_average *a, double v, int64_t now_us);
/** @return what was added within the window; per second of it (of one second at least) */
double tg_average_sum(struct tg_average *a, int64_t now_us);
double tg_average_rate(struct tg_average *a, int64_t now_us);

#endif
