/* SPDX-License-Identifier: MIT */
/*
 * alert.c - see alert.h
 */
#include "flow/alert.h"

#include <assert.h>
#include <math.h>

void tg_alert_init(struct tg_alert *a, const struct tg_alert_options *options, int64_t now_us)
{
    assert(options->clear <= options->raise);
    assert(options->hold_us >= 0);
    *a = (struct tg_alert){ .options = *options, .value = -INFINITY, .since_us = now_us,
                            .seen_us = now_us };
}

static void turn(struct tg_alert *a, int64_t now_us)
{
    a->state = a->state == TG_ALERT_FIRING ? TG_ALERT_RESOLVED : TG_ALERT_FIRING;
    a->since_us = now_us;
    a->turning = false;
}

bool tg_alert_look(struct tg_alert *a, double value, int64_t now_us)
{
    bool other;

    now_us = a->seen_us = TG_MAX(now_us, a->seen_us);
    a->value = isnan(value) ? -INFINITY : value;
    other = a->state == TG_ALERT_FIRING ? a->value <= a->options.clear
                                        : a->value > a->options.raise;
    if (other && !a->turning)
        a->turning_us = now_us;
    a->turning = other;
    if (!other || now_us - a->turning_us < a->options.hold_us)
        return false;
    turn(a, now_us);
    return true;
}

bool tg_alert_end(struct tg_alert *a, int64_t now_us)
{
    if (a->state != TG_ALERT_FIRING)
        return false;
    turn(a, TG_MAX(now_us, a->seen_us));
    return true;
}
