/* SPDX-License-Identifier: MIT */
/*
 * limiter.c - the limiter against a model server with a token bucket, on a virtual clock
 *
 * Each seed draws a rate, a bucket, a latency and a number of requests in flight. The client sends
 * whenever the limiter lets it, a little late, as timers are. Checked: it never sends before a wait
 * is over; of buckets that hold a second's worth it takes at least 96.5% of the rate from the
 * second minute on with few floods, and in five of six draws 98% without any; of smaller ones,
 * which drop what is not taken at once, 60%.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "flow/limiter.h"

struct server {
    double rate, burst, level;
    int64_t last_us;
};

/* @return 0 if it passes, else the wait in seconds */
static int64_t serve(struct server *s, int64_t now_us)
{
    s->level += (double)(now_us - s->last_us) * s->rate / 1e6;
    s->last_us = now_us;
    if (s->level > s->burst)
        s->level = s->burst;
    if (s->level >= 1) {
        s->level -= 1;
        return 0;
    }
    int64_t wait = (int64_t)((1 - s->level) / s->rate + 0.999999);
    return wait < 1 ? 1 : wait;
}

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

struct outcome {
    int64_t floods_late, passed_late, early;
    double share;
};

enum { LANES = 16, LATE_US = 3000 }; /* timers fire late */

static struct outcome simulate(uint64_t seed, double rate, double burst, int64_t latency_us,
                               int lanes, int64_t minutes)
{
    struct server server = { rate, burst, burst, 0 };
    struct tg_limiter l;
    struct tg_limiter_options options = { 0, 1, true, 1000, { 0 } };
    struct {
        int64_t sent, back, wait;
        bool busy;
    } lane[LANES] = { 0 };
    struct outcome out = { 0 };
    int64_t now = 0, end = minutes * 60 * TG_SECOND_US, warm = 60 * TG_SECOND_US, closed = 0;

    tg_limiter_init(&l, &options, 0);
    while (now < end) {
        int64_t soonest = end;

        for (int i = 0; i < lanes; i++) {
            if (!lane[i].busy || lane[i].back > now)
                continue;
            lane[i].busy = false;
            if (lane[i].wait) {
                tg_limiter_flood(&l, lane[i].sent, lane[i].wait, 0, now);
                if (now + lane[i].wait * TG_SECOND_US > closed)
                    closed = now + lane[i].wait * TG_SECOND_US;
                out.floods_late += now > warm;
            } else {
                tg_limiter_passed(&l, lane[i].sent, now);
                out.passed_late += now > warm;
            }
        }
        for (int i = 0; i < lanes; i++) {
            int64_t wait;

            if (lane[i].busy)
                continue;
            wait = tg_limiter_take(&l, now);
            if (wait) {
                soonest = TG_MIN(soonest, now + wait + (int64_t)(next(&seed) % LATE_US));
                break;
            }
            out.early += now < closed;
            lane[i].busy = true;
            lane[i].sent = now;
            lane[i].wait = serve(&server, now);
            lane[i].back = now + latency_us + (int64_t)(next(&seed) % 200);
        }
        for (int i = 0; i < lanes; i++)
            if (lane[i].busy)
                soonest = TG_MIN(soonest, lane[i].back);
        now = TG_MAX(soonest, now + 1);
    }
    out.share = (double)out.passed_late / (rate * (double)(end - warm) / 1e6);
    return out;
}

static void test_learns_limit(void **state)
{
    int n = 0, n_good = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
        double rate = 5 + (double)(next(&x) % 60);
        double burst = rate * (1 + (double)(next(&x) % 3));
        int64_t latency = 200 + (int64_t)(next(&x) % 60000);
        int lanes = 1 + (int)(next(&x) % LANES);
        struct outcome o;

        if (1e6 / (double)latency * lanes < rate * 1.5)
            continue; /* the round trips are the limit, not the server */
        o = simulate(seed, rate, burst, latency, lanes, 9);
        n++;
        n_good += !o.floods_late && o.share >= 0.98;
        if (o.early || o.floods_late > 6 || o.share < 0.965)
            print_error("seed %llu: rate %.0f burst %.0f latency %lld lanes %d: early %lld floods "
                        "%lld share %.4f\n",
                        (unsigned long long)seed, rate, burst, (long long)latency, lanes,
                        (long long)o.early, (long long)o.floods_late, o.share);
        assert_int_equal(o.early, 0);
        assert_in_range(o.floods_late, 0, 6);
        assert_true(o.share >= 0.965);
    }
    assert_true(n > 200 && n_good * 6 >= n * 5);
}

static void test_small_bucket(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        double rate = 10 + (double)(seed % 30);
        struct outcome o = simulate(seed, rate, 1 + (double)(seed % 5), 500, 4, 9);

        if (o.early || o.share < 0.6)
            print_error("seed %llu: share %.4f floods %lld\n", (unsigned long long)seed, o.share,
                        (long long)o.floods_late);
        assert_int_equal(o.early, 0);
        assert_true(o.share >= 0.6);
    }
}

static void test_configured_rate_is_kept(void **state)
{
    struct tg_limiter l;
    struct tg_limiter_options options = { 10000, 3, true, 800, { 0 } };
    int64_t now = 0, taken = 0;

    (void)state;
    tg_limiter_init(&l, &options, 0);
    while (now < 100 * TG_SECOND_US) {
        int64_t wait = tg_limiter_take(&l, now);

        taken += wait == 0;
        now += wait;
    }
    assert_in_range(taken, 800, 803); /* 80% of 10 a second, and the burst */
}

/* Without learning, floods in a row are waited for longer and longer, never shorter than told. */
static void test_backoff_without_learning(void **state)
{
    struct tg_limiter l;
    struct tg_limiter_options options = {
        0, 1, false, 1000, { TG_SECOND_US, 64 * TG_SECOND_US, 2000, false },
    };
    int64_t now = 1;

    (void)state;
    tg_limiter_init(&l, &options, 0);
    for (int i = 0; i < 8; i++) {
        int64_t wait = tg_limiter_flood(&l, now, 3, 0, now);

        assert_int_equal(wait, TG_MAX(3, TG_MIN(1 << i, 64)) * TG_SECOND_US);
        assert_int_equal(tg_limiter_peek(&l, now), wait);
        now += wait;
        assert_int_equal(tg_limiter_take(&l, now), 0);
        now++;
    }
    tg_limiter_passed(&l, now, now + 5);
    now += 10;
    assert_int_equal(tg_limiter_flood(&l, now, 1, 0, now), TG_SECOND_US);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_learns_limit),
        cmocka_unit_test(test_small_bucket),
        cmocka_unit_test(test_configured_rate_is_kept),
        cmocka_unit_test(test_backoff_without_learning),
    };

    return cmocka_run_group_tests_name("flow/limiter", test, NULL, NULL);
}
