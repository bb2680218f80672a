/* SPDX-License-Identifier: MIT */
/*
 * share.c - workers that share a limit, against a model of the store and of a server with a token
 * bucket, on a virtual clock
 *
 * Each seed draws a rate, a bucket, latencies and a number of workers. Checked, with the rate
 * configured: the server never has to refuse anything, at least 98% of the limit is used, and every
 * worker has its part; also when replies of the store are late or lost, when some want little, when
 * one is killed (its share is taken over within 5 seconds), and when the store is gone for a while
 * (each keeps to its share, and comes back). With the rate unknown: it is learned by one, then used
 * by all with hardly a flood wait; and after one, nobody sends before it is over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/share_model.h"

enum { WORKERS = 8, LANES = 12, STEP_US = 1000, BINS = 1000 };

struct worker {
    struct tg_share share;
    struct tg_limiter limiter;
    bool dead;
    int lanes;
    int64_t every_us, ready_us; /* a trickle: a request each so often; 0: as fast as it goes */
    struct {
        bool busy, decided;
        int64_t sent, decide, back, wait;
    } lane[LANES];
    /* an ask on its way */
    struct tg_share_ask ask;
    struct tg_share_reply reply;
    bool asking, served, lost;
    int64_t serve_us, reply_us;
    int64_t passed;
};

struct world {
    uint64_t x;
    double rate, burst, level;   /* of the server */
    int64_t now, level_us;
    int64_t latency_us, store_us; /* round trips, at most */
    int n;
    double loss;
    int64_t gone_from, gone_to;  /* when the store does not answer */
    struct model store;
    struct worker w[WORKERS];
    int64_t bin[BINS];           /* requests let pass, by the second */
    int64_t floods, floods_since; /* in all; after `warm` */
    int64_t warm, closed_us, early;
};

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static double unit(struct world *g)
{
    return (double)(next(&g->x) >> 11) / (double)(UINT64_C(1) << 53);
}

static int64_t upto(struct world *g, int64_t max)
{
    return (int64_t)(unit(g) * (double)(max + 1));
}

/* @return 0 if it passes, else the wait in seconds */
static int64_t serve(struct world *g)
{
    int64_t wait;

    g->level += (double)(g->now - g->level_us) * g->rate / 1e6;
    g->level_us = g->now;
    g->level = TG_MIN(g->level, g->burst);
    if (g->level >= 1) {
        g->level -= 1;
        return 0;
    }
    wait = (int64_t)((1 - g->level) / g->rate + 0.999999);
    return TG_MAX(wait, INT64_C(1));
}

static void flooded(struct world *g, struct worker *w, int64_t sent, int64_t wait)
{
    tg_share_flood(&w->share, &w->limiter, sent, wait, 0, g->now);
    g->floods++;
    g->floods_since += g->now > g->warm;
}

static void answers(struct world *g, struct worker *w)
{
    for (int i = 0; i < LANES; i++) {
        if (w->lane[i].busy && !w->lane[i].decided && w->lane[i].decide <= g->now) {
            w->lane[i].wait = serve(g);
            w->lane[i].decided = true;
        }
        if (!w->lane[i].busy || w->lane[i].back > g->now)
            continue;
        w->lane[i].busy = false;
        if (w->lane[i].wait) {
            flooded(g, w, w->lane[i].sent, w->lane[i].wait);
        } else {
            tg_limiter_passed(&w->limiter, w->lane[i].sent, g->now);
            w->passed++;
            g->bin[TG_MIN(g->now / TG_SECOND_US, BINS - 1)]++;
        }
    }
}

static size_t waiting(const struct world *g, const struct worker *w)
{
    size_t n = 0;

    if (w->every_us)
        return w->ready_us <= g->now;
    for (int i = 0; i < w->lanes; i++)
        n += !w->lane[i].busy;
    return n;
}

static void sends(struct world *g, struct worker *w)
{
    for (int i = 0; i < w->lanes; i++) {
        int64_t latency;

        if (w->lane[i].busy || (w->every_us && w->ready_us > g->now))
            continue;
        if (tg_share_take(&w->share, &w->limiter, g->now))
            return;
        latency = g->latency_us / 2 + upto(g, g->latency_us / 2);
        g->early += g->now < g->closed_us;
        w->lane[i].busy = true;
        w->lane[i].decided = false;
        w->lane[i].sent = g->now;
        w->lane[i].decide = g->now + latency / 2;
        w->lane[i].back = g->now + latency;
        w->ready_us += w->every_us;
    }
}

static bool is_gone(const struct world *g)
{
    return g->now >= g->gone_from && g->now < g->gone_to;
}

static void asks(struct world *g, struct worker *w, int id)
{
    if (w->asking && !w->served && g->now >= w->serve_us) {
        w->served = true;
        if (!is_gone(g))
            model_ask(&g->store, id, &w->ask, g->now, &w->reply);
        w->lost |= is_gone(g);
    }
    if (w->asking && w->served && !w->lost && g->now >= w->reply_us) {
        w->asking = false;
        tg_share_reply(&w->share, &w->limiter, &w->reply, g->now);
    }
    if (tg_share_overdue(&w->share, g->now)) {
        w->asking = false;
        tg_share_lost(&w->share, &w->limiter, g->now);
    }
    if (tg_share_due(&w->share, g->now) > g->now || w->asking)
        return;
    tg_share_fill(&w->share, &w->limiter, waiting(g, w), g->now, &w->ask);
    if (w->ask.want_micro == 0) { /* nobody awaits the reply to the last one */
        if (!is_gone(g))
            model_ask(&g->store, id, &w->ask, g->now, &w->reply);
        return;
    }
    w->asking = true;
    w->served = false;
    w->lost = unit(g) < g->loss;
    w->serve_us = g->now + upto(g, g->store_us / 2);
    w->reply_us = w->serve_us + upto(g, g->store_us / 2);
}

/* What is published reaches all at once. */
static void news(struct world *g)
{
    if (g->store.published < 0)
        return;
    for (int i = 0; i < g->n; i++)
        tg_share_closed(&g->w[i].share, g->store.published, g->now);
    g->closed_us = TG_MAX(g->closed_us, g->now + g->store.published - STEP_US);
    g->store.published = -1;
}

static void run(struct world *g, int64_t to_s)
{
    for (; g->now < to_s * TG_SECOND_US; g->now += STEP_US) {
        for (int i = 0; i < g->n; i++) {
            if (g->w[i].dead)
                continue;
            answers(g, &g->w[i]);
            asks(g, &g->w[i], i);
            news(g);
            sends(g, &g->w[i]);
        }
    }
}

static void world_init(struct world *g, uint64_t seed, bool configured)
{
    *g = (struct world){ .x = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) };
    model_init(&g->store);
    next(&g->x);
    g->rate = 8 + (double)upto(g, 92);
    g->burst = g->rate * (0.5 + unit(g));
    g->level = g->burst;
    g->n = 1 + (int)upto(g, WORKERS - 1);
    g->latency_us = 1000 + upto(g, 60000);
    g->store_us = 400 + upto(g, 20000);
    g->now = g->level_us = TG_SECOND_US + upto(g, TG_SECOND_US);
    for (int i = 0; i < g->n; i++) {
        struct tg_limiter_options o = { configured ? (int64_t)(g->rate * 1000) : 0, 0, true, 1000,
                                        { 0 } };

        tg_limiter_init(&g->w[i].limiter, &o, g->now);
        tg_share_init(&g->w[i].share, &g->w[i].limiter.options, next(&g->x));
        g->w[i].lanes = LANES;
        g->w[i].ready_us = g->now;
    }
}

/* Of the limit, in whole seconds from..to. */
static double used(const struct world *g, int64_t from_s, int64_t to_s)
{
    int64_t n = 0;

    for (int64_t i = from_s; i < to_s; i++)
        n += g->bin[i];
    return (double)n / (g->rate * (double)(to_s - from_s));
}

static void report(uint64_t seed, const struct world *g, const char *what, double share)
{
    fail_msg("seed %llu: %s: rate %.0f burst %.0f, %d workers, latency %lld, store %lld: floods "
             "%lld, %lld after warm-up, early %lld, used %.4f",
             (unsigned long long)seed, what, g->rate, g->burst, g->n, (long long)g->latency_us,
             (long long)g->store_us, (long long)g->floods, (long long)g->floods_since,
             (long long)g->early, share);
}

static void check(uint64_t seed, const struct world *g, const char *what, int64_t from_s,
                  int64_t to_s, double least)
{
    double share = used(g, from_s, to_s);

    if (share < least || g->floods || g->early)
        report(seed, g, what, share);
}

static void all_want_all(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct world g;

        world_init(&g, seed, true);
        run(&g, 8);
        for (int i = 0; i < g.n; i++)
            g.w[i].passed = 0;
        run(&g, 38);
        check(seed, &g, "all want all", 8, 38, 0.98);
        for (int i = 0; i < g.n; i++)
            if (TG_MAX(g.w[i].passed - g.rate * 30 / g.n, g.rate * 30 / g.n - g.w[i].passed) >
                g.rate * 30 / g.n * 0.05 + 2)
                report(seed, &g, "unfair", (double)g.w[i].passed / (g.rate * 30 / g.n));
    }
}

static void some_want_little(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 140; seed++) {
        struct world g;
        int64_t little = 0;

        world_init(&g, seed, true);
        g.n = TG_MAX(g.n, 2);
        if (g.n == 2 && !g.w[1].lanes)
            continue;
        for (int i = 1; i < g.n; i += 2)
            g.w[i].every_us = (int64_t)(1e6 / (g.rate / g.n * (0.1 + 0.6 * unit(&g))));
        run(&g, 10);
        for (int i = 0; i < g.n; i++)
            g.w[i].passed = 0;
        run(&g, 40);
        check(seed, &g, "some want little", 10, 40, 0.98);
        for (int i = 1; i < g.n; i += 2) {
            little = 30 * TG_SECOND_US / g.w[i].every_us;
            if (g.w[i].passed < little - little / 20 - 2)
                report(seed, &g, "the modest one waits", (double)g.w[i].passed / (double)little);
        }
    }
}

static void late_and_lost_replies(void **state)
{
    (void)state;
    for (uint64_t seed = 200; seed < 240; seed++) {
        struct world g;

        world_init(&g, seed, true);
        g.store_us = 50000 + upto(&g, 350000);
        run(&g, 40);
        check(seed, &g, "late replies", 10, 40, 0.98);
        world_init(&g, seed, true);
        g.loss = 0.03;
        run(&g, 40);
        if (g.floods > 2 || used(&g, 10, 40) < 0.9) /* a lost reply is a share that nobody knows */
            report(seed, &g, "lost replies", used(&g, 10, 40));
    }
}

static void a_killed_worker(void **state)
{
    (void)state;
    for (uint64_t seed = 300; seed < 340; seed++) {
        struct world g;
        int64_t at;

        world_init(&g, seed, true);
        if (g.n < 2)
            continue;
        at = 10 * TG_SECOND_US + upto(&g, 2 * TG_SECOND_US);
        for (; g.now < at; run(&g, g.now / TG_SECOND_US + 1))
            ;
        g.w[upto(&g, g.n - 1)].dead = true;
        run(&g, 30);
        check(seed, &g, "killed", at / TG_SECOND_US + 5, 30, 0.98);
    }
}

static void a_store_that_is_gone(void **state)
{
    (void)state;
    for (uint64_t seed = 400; seed < 440; seed++) {
        struct world g;

        world_init(&g, seed, true);
        g.gone_from = 12 * TG_SECOND_US + upto(&g, TG_SECOND_US);
        g.gone_to = 30 * TG_SECOND_US + upto(&g, TG_SECOND_US);
        run(&g, 29);
        for (int i = 0; i < g.n; i++)
            assert_int_equal(g.w[i].share.mode, TG_SHARE_APART);
        check(seed, &g, "each for itself", 17, 29, 0.95);
        if (seed % 2)
            model_init(&g.store); /* it comes back without memory */
        run(&g, 50);
        for (int i = 0; i < g.n; i++)
            if (g.w[i].share.mode != TG_SHARE_SHARED)
                report(seed, &g, "still apart", used(&g, 36, 50));
        check(seed, &g, "together again", 36, 50, 0.98);
    }
}

static void an_unknown_rate(void **state)
{
    double least = 1;
    int good = 0, n = 0;

    (void)state;
    for (uint64_t seed = 500; seed < 530; seed++) {
        struct world g;
        double share;

        world_init(&g, seed, false);
        g.burst = TG_MAX(g.burst, g.rate);
        g.level = g.burst;
        g.warm = 90 * TG_SECOND_US;
        run(&g, 12);
        if (seed % 3 == 0 && g.n > 1 && g.store.learner >= 0)
            g.w[g.store.learner].dead = true; /* killed while it learns: another goes on */
        run(&g, 240);
        share = used(&g, 90, 240);
        if (share < 0.94 || g.floods_since > 12 || g.early)
            report(seed, &g, "unknown", share);
        good += share >= 0.98;
        n++;
        least = TG_MIN(least, share);
        for (int i = 0; i < g.n; i++)
            if (!g.w[i].dead && tg_limiter_learned(&g.w[i].limiter) == 0)
                report(seed, &g, "not all know it", share);
    }
    print_message("a rate that was learned: at least %.1f%% used, 98%% in %d of %d draws\n",
                  least * 100, good, n);
}

/* Nobody knows that the limit rose until one looks alone, ten minutes after it was learned. */
static void a_limit_that_rises_or_falls(void **state)
{
    (void)state;
    for (uint64_t seed = 600; seed < 606; seed++) {
        struct world g;
        double factor = seed % 2 ? 1.5 : 0.6;

        world_init(&g, seed, false);
        g.burst = TG_MAX(g.burst, g.rate) * 2;
        run(&g, 120);
        serve(&g);
        g.rate *= factor;
        run(&g, factor > 1 ? 900 : 300);
        if (used(&g, factor > 1 ? 860 : 260, factor > 1 ? 900 : 300) < 0.9 || g.early)
            report(seed, &g, "a limit that changed", used(&g, 260, 300));
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(all_want_all),      cmocka_unit_test(some_want_little),
        cmocka_unit_test(late_and_lost_replies), cmocka_unit_test(a_killed_worker),
        cmocka_unit_test(a_store_that_is_gone),  cmocka_unit_test(an_unknown_rate),
        cmocka_unit_test(a_limit_that_rises_or_falls),
    };

    return cmocka_run_group_tests(test, NULL, NULL);
}
