/* SPDX-License-Identifier: MIT */
/*
 * metrics.c - moving averages and histograms against a list of all that was told, by the seed
 *
 * Checked of the average: its sum is at least what came in the last 295 seconds and at most what
 * came in the last 300, whatever pauses there were; its rate is that over the time looked at. Of
 * the histogram: each quantile lies in the bucket that the exact one is in. Of the registry:
 * counters never fall, series are told apart by their labels, and past their number counted under
 * "other".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observe/metrics.h"
#include "tests/seeds.h"

enum { SEEDS = 3000, EVENTS = 400 };

static uint64_t seed;

static void test_average(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        int64_t at[EVENTS], begun = (int64_t)below(&r, 1000000000), now = begun;
        uint32_t pause = 1 + below(&r, 20) * 1000000;
        struct tg_average a;

        tg_average_init(&a, now);
        for (int n = 0; n < EVENTS; n++) {
            double least = 0, most = 0, sum, rate;
            int64_t span;

            now += (int64_t)below(&r, chance(&r, 2) ? 400000000 : pause);
            at[n] = now;
            tg_average_add(&a, 1, now);
            for (int i = 0; i <= n; i++) {
                least += at[i] > now - 295 * TG_SECOND_US;
                most += at[i] >= now - 300 * TG_SECOND_US;
            }
            sum = tg_average_sum(&a, now);
            rate = tg_average_rate(&a, now);
            if (sum < least || sum > most)
                fail_msg("seed %llu: %g, not %g to %g", (unsigned long long)seed, sum, least, most);
            span = TG_MAX(TG_MIN(now - begun, 300 * TG_SECOND_US), TG_SECOND_US);
            if (rate < sum * 1e6 / (double)span * 0.999 ||
                rate > sum * 1e6 / (double)span * 300 / 295 * 1.001)
                fail_msg("seed %llu: rate %g of %g", (unsigned long long)seed, rate, sum);
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static size_t bucket_of(double v)
{
    size_t i = 0;

    while (i < TG_COUNT(tg_metric_bound) && v > tg_metric_bound[i])
        i++;
    return i;
}

static void test_quantile(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct tg_metrics *m = tg_metrics_new(0);
        size_t n = 1 + below(&r, EVENTS);
        double v[EVENTS];

        assert_non_null(m);
        assert_true(tg_metrics_quantile(m, TG_METRIC_LAG, 0.95) == 0);
        for (size_t i = 0; i < n; i++) {
            v[i] = (double)(1 + below(&r, 1u << below(&r, 28))) / 1e5;
            tg_metrics_observe(m, TG_METRIC_LAG, v[i]);
        }
        qsort(v, n, sizeof *v, compare);
        for (int percent = 1; percent <= 100; percent++) {
            size_t rank = ((size_t)percent * n + 99) / 100; /* the smallest with that share */
            double q = tg_metrics_quantile(m, TG_METRIC_LAG, percent / 100.0);
            size_t want = bucket_of(v[rank - 1]), last = TG_COUNT(tg_metric_bound);
            double from = want ? tg_metric_bound[want - 1] : 0;
            double to = tg_metric_bound[TG_MIN(want, last - 1)];

            if (q < from - 1e-9 || q > to + 1e-9)
                fail_msg("seed %llu: %d %% is %g, not of %g to %g", (unsigned long long)seed,
                         percent, q, from, to);
        }
        tg_metrics_free(m);
    }
}

static void test_registry(void **state)
{
    (void)state;
    for (seed = 1; seed <= 300; seed++) {
        struct random r = { seed };
        struct tg_metrics *m = tg_metrics_new(0);
        double told[300] = { 0 }, all = 0;

        assert_non_null(m);
        for (int i = 0; i < 2000; i++) {
            uint32_t which = below(&r, 300);
            double v = below(&r, 10);
            char name[16];

            snprintf(name, sizeof name, "m%u", which);
            told[which] += v;
            all += v;
            tg_metrics_add(m, TG_METRIC_CALLS, name, "ok", v);
        }
        assert_true(tg_metrics_sum(m, TG_METRIC_CALLS) == all);
        assert_true(tg_metrics_get(m, TG_METRIC_CALLS, "other", "other") > 0);
        for (int i = 0; i < 300; i++) {
            char name[16];
            double v;

            snprintf(name, sizeof name, "m%d", i);
            v = tg_metrics_get(m, TG_METRIC_CALLS, name, "ok");
            if (v != 0 && v != told[i])
                fail_msg("seed %llu: %s is %g, not %g", (unsigned long long)seed, name, v, told[i]);
        }
        tg_metrics_set(m, TG_METRIC_COMMITTED, NULL, NULL, 7);
        tg_metrics_set(m, TG_METRIC_COMMITTED, NULL, NULL, 3); /* a counter does not fall */
        assert_true(tg_metrics_get(m, TG_METRIC_COMMITTED, NULL, NULL) == 7);
        tg_metrics_free(m);
    }
}

/* Whatever stands in a label, a line stays a line, and a long one is still the same one. */
static void test_labels(void **state)
{
    struct tg_metrics *m = tg_metrics_new(0);
    struct tg_buf out;
    char longer[400];

    (void)state;
    assert_non_null(m);
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = 0;
    tg_metrics_set(m, TG_METRIC_LIMIT_USAGE, longer, NULL, 1);
    tg_metrics_set(m, TG_METRIC_LIMIT_USAGE, longer, NULL, 0.5);
    tg_metrics_set(m, TG_METRIC_LIMIT_USAGE, "a\"b\\c\nd", NULL, 0.25);
    tg_metrics_set(m, TG_METRIC_LIMIT_USAGE, "bad \xff", NULL, 0.125);
    assert_true(tg_metrics_get(m, TG_METRIC_LIMIT_USAGE, longer, NULL) == 0.5);
    assert_true(tg_metrics_sum(m, TG_METRIC_LIMIT_USAGE) == 0.875);
    tg_buf_init(&out, 1 << 20);
    tg_metrics_put_text(m, 0, &out);
    assert_non_null(strstr(tg_buf_cstr(&out),
                           "tgdata_rate_limit_usage_ratio{account=\"a\\\"b\\\\c\\nd\"} 0.25\n"));
    assert_non_null(strstr(tg_buf_cstr(&out),
                           "tgdata_rate_limit_usage_ratio{account=\"bad ?\"} 0.125\n"));
    tg_buf_done(&out);
    tg_metrics_free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_average),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
