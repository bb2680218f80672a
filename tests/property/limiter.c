/* SPDX-License-Identifier: MIT */
/*
 * limiter.c - the limiter against a model server with a token bucket, on a virtual clock
 *
 * Each seed draws a rate, a bucket, a latency and a number of requests in flight. The client sends
 * whenever the limiter lets it, a little late, as timers are. Checked: it never sends before a wait
 * is over; of buckets that hold a second's worth it takes at least 96.5% of the rate from the
 * second minute on with few floods, and in five of six draws 98% without any; of smaller ones,
 * which drop what is not taken at once, 60%. Over half an hour it takes 95% with at most three
 * waits. A limit that falls is followed within two minutes, one that rises within two minutes of
 * the next probe.
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

enum { LANES = 16, LATE_US = 3000 }; /* timers fire late */

struct scenario {
    double rate, burst;
    int64_t latency_us;
    int lanes;
    int64_t from_min, to_min; /* the time that is judged */
    int64_t change_min;       /* when the limit changes; 0 never */
    double factor;
    bool configured;          /* the client is told the rate */
};

struct outcome {
    int64_t floods, waits, passed, early; /* refused requests; events in which some were */
    double share;                         /* of what the server would have let pass */
};

static void change_limit(struct server *s, const struct scenario *sc, int64_t now_us)
{
    if (!sc->change_min || now_us < sc->change_min * 60 * TG_SECOND_US || s->rate != sc->rate)
        return;
    serve(s, now_us); /* what came in until now came at the old rate */
    s->rate *= sc->factor;
    s->burst *= sc->factor > 1 ? sc->factor : 1;
}

static struct scenario draw(uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);
    struct scenario sc = { .rate = 5 + (double)(next(&x) % 60), .from_min = 1, .to_min = 9 };

    sc.burst = sc.rate * (1 + (double)(next(&x) % 3));
    sc.latency_us = 200 + (int64_t)(next(&x) % 60000);
    sc.lanes = 1 + (int)(next(&x) % LANES);
    return sc;
}

/* @return false if the round trips are the limit, not the server */
static bool limit_bites(const struct scenario *sc)
{
    double most = sc->rate * (sc->factor > 1 ? sc->factor : 1);

    return 1e6 / (double)sc->latency_us * sc->lanes >= most * 1.5;
}

static void report(uint64_t seed, const struct scenario *sc, const struct outcome *o)
{
    print_error("seed %llu: rate %.0f burst %.0f latency %lld lanes %d: early %lld floods %lld "
                "waits %lld share %.4f\n",
                (unsigned long long)seed, sc->rate, sc->burst, (long long)sc->latency_us,
                sc->lanes, (long long)o->early, (long long)o->floods, (long long)o->waits,
                o->share);
}

static struct outcome simulate(uint64_t seed, const struct scenario *sc)
{
    struct server server = { sc->rate, sc->burst, sc->burst, 0 };
    struct tg_limiter l;
    struct tg_limiter_options options = { 0, 1, true, 1000, { 0 } };
    struct {
        int64_t sent, back, wait;
        bool busy;
    } lane[LANES] = { 0 };
    struct outcome out = { 0 };
    int64_t now = 0, closed = 0, flood_at = -1;
    int64_t from = sc->from_min * 60 * TG_SECOND_US, end = sc->to_min * 60 * TG_SECOND_US;
    const int lanes = sc->lanes;

    if (sc->configured)
        options = (struct tg_limiter_options){ (int64_t)(sc->rate * 1000), 0, true, 1000, { 0 } };

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
                out.floods += now > from;
                out.waits += now > from && lane[i].sent > flood_at;
                if (lane[i].sent > flood_at)
                    flood_at = now;
            } else {
                tg_limiter_passed(&l, lane[i].sent, now);
                out.passed += now > from;
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
            change_limit(&server, sc, now);
            lane[i].wait = serve(&server, now);
            lane[i].back = now + sc->latency_us + (int64_t)(next(&seed) % 200);
        }
        for (int i = 0; i < lanes; i++)
            if (lane[i].busy)
                soonest = TG_MIN(soonest, lane[i].back);
        now = TG_MAX(soonest, now + 1);
    }
    out.share = (double)out.passed / (server.rate * (double)(end - from) / 1e6);
    return out;
}

static void test_learns_limit(void **state)
{
    int n = 0, n_good = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct scenario sc = draw(seed);
        struct outcome o;

        if (!limit_bites(&sc))
            continue;
        o = simulate(seed, &sc);
        n++;
        n_good += !o.floods && o.share >= 0.98;
        if (o.early || o.floods > 6 || o.share < 0.965)
            report(seed, &sc, &o);
        assert_int_equal(o.early, 0);
        assert_in_range(o.floods, 0, 6);
        assert_true(o.share >= 0.965);
    }
    assert_true(n > 200 && n_good * 6 >= n * 5);
}

static void test_configured_limit_meets_no_flood(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct scenario sc = draw(seed);
        struct outcome o;

        sc.configured = true;
        sc.from_min = 0;
        if (!limit_bites(&sc))
            continue;
        o = simulate(seed, &sc);
        if (o.floods || o.share < 0.98)
            report(seed, &sc, &o);
        assert_int_equal(o.floods, 0);
        assert_true(o.share >= 0.98);
    }
}

static void test_half_an_hour(void **state)
{
    int n = 0, waits = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct scenario sc = draw(seed);
        struct outcome o;

        if (!limit_bites(&sc))
            continue;
        sc.to_min = 31;
        o = simulate(seed, &sc);
        n++;
        waits += (int)o.waits;
        if (o.waits > 4 || o.share < 0.95)
            report(seed, &sc, &o);
        assert_in_range(o.waits, 0, 4);
        assert_true(o.share >= 0.95);
    }
    assert_true(waits <= 3 * n); /* one in ten minutes */
}

static void test_limit_that_changes(void **state)
{
    static const double factor[] = { 0.1, 0.5, 0.8, 1.3, 2, 8 };

    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct scenario sc = draw(seed);
        struct outcome o;

        sc.factor = factor[seed % TG_COUNT(factor)];
        if (!limit_bites(&sc) || sc.rate * sc.factor < 2)
            continue;
        sc.change_min = 10;
        sc.from_min = sc.factor < 1 ? 12 : 22;
        sc.to_min = sc.from_min + 5;
        o = simulate(seed, &sc);
        if (o.early || o.share < 0.95)
            report(seed, &sc, &o);
        assert_int_equal(o.early, 0);
        assert_true(o.share >= 0.95);
    }
}

static void test_small_bucket(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct scenario sc = { .rate = 10 + (double)(seed % 30), .burst = 1 + (double)(seed % 5),
                               .latency_us = 500, .lanes = 4, .from_min = 1, .to_min = 9 };
        struct outcome o = simulate(seed, &sc);

        if (o.early || o.share < 0.6)
            report(seed, &sc, &o);
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
        cmocka_unit_test(test_configured_limit_meets_no_flood),
        cmocka_unit_test(test_half_an_hour),
        cmocka_unit_test(test_limit_that_changes),
        cmocka_unit_test(test_small_bucket),
        cmocka_unit_test(test_configured_rate_is_kept),
        cmocka_unit_test(test_backoff_without_learning),
    };

    return cmocka_run_group_tests_name("flow/limiter", test, NULL, NULL);
}
