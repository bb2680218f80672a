/* SPDX-License-Identifier: MIT */
/*
 * alert.c - thresholds and trends against models that look at the whole history, by the seed
 *
 * Checked of a threshold: it changes exactly when all looks of the last `hold` speak for it, by a
 * list of all looks; so what swings within `hold`, or between the two thresholds, changes nothing.
 * Of a drop, on counts with the noise of chance: hours without one make no alert, one that is large
 * enough does, within the window and the hold (the longest window, if a trickle is left); a
 * standstill fires until rows come again. Of the score: an ordinary hour makes no alert at 5, a
 * rate ten times as high is beyond it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/alert.h"
#include "flow/trend.h"
#include "tests/seeds.h"

enum { SEEDS = 3000, LOOKS = 300, SLOT_US = 5000000, HOUR = 720 };

static uint64_t seed;

/* What all looks since the alert changed say: whether for `hold` up to the last each was on the
 * other side. */
static bool speak(const double *v, const int64_t *at, int n, int first,
                  const struct tg_alert_options *o, bool firing)
{
    int i = n - 1;

    while (i >= first && (firing ? !(v[i] > o->clear) : v[i] > o->raise))
        i--;
    return i + 1 < n && at[n - 1] - at[i + 1] >= o->hold_us;
}

static void a_threshold_is_its_definition(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct tg_alert_options o = { .raise = 0.1 + below(&r, 80) / 100.0 };
        double v[LOOKS], level = 0;
        int64_t at[LOOKS], now = (int64_t)below(&r, 1000000000);
        int first = 0;
        bool firing = false;
        struct tg_alert a;

        o.clear = o.raise * (1 - below(&r, 50) / 100.0);
        o.hold_us = chance(&r, 10) ? 0 : (int64_t)below(&r, 40000000);
        tg_alert_init(&a, &o, now);
        for (int n = 0; n < LOOKS; n++) {
            if (chance(&r, 10))
                level = below(&r, 100) / 100.0;
            v[n] = chance(&r, 3) ? NAN : level + (below(&r, 20) - 10.0) / 100;
            now += chance(&r, 5) ? -(int64_t)below(&r, 1000000) : (int64_t)below(&r, 8000000);
            at[n] = n ? TG_MAX(at[n - 1], now) : TG_MAX(now, a.seen_us);
            if (tg_alert_look(&a, v[n], now) != speak(v, at, n + 1, first, &o, firing))
                fail_msg("seed %llu: look %d is another thing", (unsigned long long)seed, n);
            if ((a.state == TG_ALERT_FIRING) != firing) {
                firing = !firing;
                first = n + 1;
                if (a.since_us != at[n])
                    fail_msg("seed %llu: look %d: since when", (unsigned long long)seed, n);
            }
        }
        if (tg_alert_end(&a, now) != firing || a.state != TG_ALERT_RESOLVED ||
            tg_alert_end(&a, now))
            fail_msg("seed %llu: the end", (unsigned long long)seed);
    }
}

/* Poisson, by products; about so where that would be long. */
static double drawn(struct random *r, double mean)
{
    double n = -1, left = 1;

    if (mean > 50)
        return mean + sqrt(mean) * ((below(r, 1000) + below(r, 1000) + below(r, 1000)) / 500.0 - 3);
    for (; left > exp(-mean); n++)
        left *= (1 + below(r, 1000000)) / 1000000.0;
    return n;
}

struct run {
    struct random r;
    struct tg_trend trend;
    struct tg_alert drop, anomaly;
    int64_t now_us;
    unsigned fired, resolved, odd;
    bool scored;
    unsigned lump, held; /* what comes in so many slots comes at once; slots that are held back */
};

static void step(struct run *run, double mean)
{
    double count = 0;

    run->now_us += SLOT_US;
    run->held++;
    if (mean > 0 && run->held >= run->lump) {
        count = drawn(&run->r, mean * run->lump);
        run->held = 0;
    }
    tg_trend_add(&run->trend, count);
    if (run->scored)
        run->odd += tg_alert_look(&run->anomaly, fabs(tg_trend_score(&run->trend)), run->now_us);
    if (!tg_alert_look(&run->drop,
                       tg_trend_drop(&run->trend, run->drop.state == TG_ALERT_FIRING),
                       run->now_us))
        return;
    run->fired += run->drop.state == TG_ALERT_FIRING;
    run->resolved += run->drop.state == TG_ALERT_RESOLVED;
}

static struct run begin(double *ret_mean)
{
    struct run run = { .r = { seed } };

    run.lump = chance(&run.r, 50) ? 1 : 1 + below(&run.r, 5);
    *ret_mean = pow(10, below(&run.r, 400) / 100.0) * 10; /* 10 to 100,000 in a slot */
    tg_alert_init(&run.drop, &(struct tg_alert_options){ .raise = 0.5, .clear = 0.45,
                                                         .hold_us = 30 * TG_SECOND_US }, 0);
    tg_alert_init(&run.anomaly, &(struct tg_alert_options){ .raise = 5, .clear = 4.5,
                                                            .hold_us = 30 * TG_SECOND_US }, 0);
    return run;
}

static void a_steady_rate_is_no_alert(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS / 6; seed++) {
        double mean;
        struct run run = begin(&mean);

        run.scored = true;
        for (int i = 0; i < HOUR; i++)
            step(&run, mean * (i < HOUR / 2 ? 1 : 0.8)); /* a small drop is none */
        if (run.fired || run.odd)
            fail_msg("seed %llu: a rate of %g fires", (unsigned long long)seed, mean);
    }
}

static void a_drop_fires_and_a_standstill_lasts(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        double mean, score;
        struct run run = begin(&mean);
        int stands = 20 + (int)below(&run.r, 300);
        int to = chance(&run.r, 50) ? 0 : (int)below(&run.r, 20);
        unsigned window = run.lump > 1 ? 5 * run.lump : TG_TREND_WINDOW;

        for (int i = 0; i < 60 + (int)below(&run.r, 100); i++)
            step(&run, mean);
        for (unsigned i = 0; i < (to ? 30 : window) + 8; i++) /* window, hold, and two more */
            step(&run, mean * to / 100.0);
        if (run.fired != 1)
            fail_msg("seed %llu: %g to %d %%: fired %u times", (unsigned long long)seed, mean, to,
                     run.fired);
        for (int i = 0; i < stands; i++)
            step(&run, 0);
        if (!to && run.drop.state != TG_ALERT_FIRING) /* a trickle may become what is usual */
            fail_msg("seed %llu: a standstill of %d looks is over", (unsigned long long)seed,
                     stands);
        for (int i = 0; i < TG_TREND_SLOTS + 24; i++)
            step(&run, mean);
        if (run.drop.state != TG_ALERT_RESOLVED)
            fail_msg("seed %llu: it still fires", (unsigned long long)seed);
        for (unsigned i = 0; i < run.lump + 3; i++)
            step(&run, 10 * mean);
        score = tg_trend_score(&run.trend);
        if (run.lump <= 3 && !(score > 5))
            fail_msg("seed %llu: ten times as many have the score %g", (unsigned long long)seed,
                     score);
    }
}

/* What says nothing is NaN, and never more than 1 is lost, whatever comes. */
static void anything_is_taken(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct tg_trend t = { 0 };

        for (int i = 0; i < 100; i++) {
            double drop = tg_trend_drop(&t, chance(&r, 50));

            if (!(isnan(drop) || drop <= 1) || isinf(tg_trend_score(&t)))
                fail_msg("seed %llu: a drop of %g", (unsigned long long)seed, drop);
            if (i < 2 * TG_TREND_WINDOW && !isnan(tg_trend_drop(&t, false)))
                fail_msg("seed %llu: a verdict after %d slots", (unsigned long long)seed, i);
            tg_trend_add(&t, chance(&r, 30) ? 0 : (double)below(&r, 1u << below(&r, 31)));
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_threshold_is_its_definition),
        cmocka_unit_test(a_steady_rate_is_no_alert),
        cmocka_unit_test(a_drop_fires_and_a_standstill_lasts),
        cmocka_unit_test(anything_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
