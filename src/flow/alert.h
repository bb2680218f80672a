/* SPDX-License-Identifier: MIT */
/*
 * alert.h - one threshold that is watched: when its alert fires, and when that is over
 *
 *   RESOLVED --above `raise` at each look for `hold`--> FIRING
 *   FIRING --at or below `clear` at each look for `hold`--> RESOLVED
 *
 * Between `clear` and `raise` nothing begins and nothing ends, and what does not last for `hold`
 * changes nothing: a value that swings around its threshold makes no alert after the other.
 *
 * Pure: time is an argument.
 *
 * Threads: none: value type
 */
#ifndef TG_ALERT_H
#define TG_ALERT_H

#include "base/base.h"

enum tg_alert_state { TG_ALERT_RESOLVED, TG_ALERT_FIRING };

struct tg_alert_options {
    double raise, clear; /* clear <= raise */
    int64_t hold_us;     /* 0: the first look decides */
};

struct tg_alert {
    struct tg_alert_options options;
    enum tg_alert_state state;
    double value;     /* at the last look; -infinity: nothing to complain of */
    bool turning;     /* the looks since turning_us speak for the other state */
    int64_t turning_us;
    int64_t since_us; /* when this state began */
    int64_t seen_us;
};

void tg_alert_init(struct tg_alert *a, const struct tg_alert_options *options, int64_t now_us);

/** A look. @param value   NaN counts as -infinity: there is nothing to complain of
 *  @param now_us  any monotonic clock; one that goes back counts as one that stands
 *  @return whether the state is another one now */
bool tg_alert_look(struct tg_alert *a, double value, int64_t now_us);

/** The run is over, and with it what fires. @return whether it did */
bool tg_alert_end(struct tg_alert *a, int64_t now_us);

#endif
