/* SPDX-License-Identifier: MIT */
/*
 * elastic.c - the number of workers against a model of a queue, on a virtual clock
 *
 * Each seed draws bounds, how long a piece of work takes, and a load that changes now and then.
 * Checked: the number stays between its bounds and moves at most once a window; a load that stays
 * is served by enough workers after two seconds (or by the most), and then their number moves no
 * more but down, and stops; without work it falls to the least; work that is more than all can do
 * brings the most. Steps told late, or with a clock that stands still, harm nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/elastic.h"
#include "tests/seeds.h"

enum { SEEDS = 3000, TICK_US = 1000 };

/* A queue that gets `load` workers' worth of work, in pieces of `piece_us`. */
struct model {
    struct tg_elastic e;
    int64_t now_us, piece_us, left_us[64]; /* of the piece in each worker's hand */
    double load, due;                      /* pieces that are due to arrive */
    size_t waiting;
    unsigned changes, ups;
    int64_t changed_us;
};

static uint64_t seed;

static void tick(struct model *m)
{
    unsigned before = m->e.workers, busy = 0;

    m->now_us += TICK_US;
    m->due += m->load * TICK_US / (double)m->piece_us;
    for (; m->due >= 1; m->due -= 1)
        m->waiting++;
    for (unsigned i = 0; i < 64; i++) {
        if (m->left_us[i] > 0)
            m->left_us[i] -= TICK_US;
        if (m->left_us[i] <= 0 && i < before && m->waiting) {
            m->waiting--;
            m->left_us[i] += m->piece_us;
        } else if (m->left_us[i] < 0) {
            m->left_us[i] = 0;
        }
        busy += m->left_us[i] > 0;
    }
    tg_elastic_step(&m->e, m->now_us, busy, m->waiting);
    if (m->e.workers < m->e.min || m->e.workers > m->e.max)
        fail_msg("seed %llu: %u workers", (unsigned long long)seed, m->e.workers);
    if (m->e.workers == before)
        return;
    if (m->now_us - m->changed_us < TG_ELASTIC_WINDOW_US)
        fail_msg("seed %llu: changed twice in a window", (unsigned long long)seed);
    m->changed_us = m->now_us;
    m->changes++;
    m->ups += m->e.workers > before;
}

static void run(struct model *m, double load, int64_t seconds)
{
    m->load = load;
    for (int64_t i = 0; i < seconds * TG_SECOND_US / TICK_US; i++)
        tick(m);
}

static struct model draw_model(struct random *r)
{
    struct model m = { .piece_us = TICK_US * (1 + (int64_t)below(r, 60)) };
    unsigned min = 1 + below(r, 4);

    m.now_us = (int64_t)below(r, 1000000);
    m.changed_us = -TG_ELASTIC_WINDOW_US;
    tg_elastic_init(&m.e, min, min + below(r, 12), m.now_us);
    return m;
}

static void a_steady_load_makes_it_settle(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS / 10; seed++) {
        struct random r = { seed };
        struct model m = draw_model(&r);
        double load = below(&r, 1000) / 1000.0 * (m.e.max + 2);

        for (unsigned i = below(&r, 4); i; i--)
            run(&m, below(&r, 1000) / 1000.0 * (m.e.max + 2), 1);
        run(&m, 0, 1); /* no pile of work from before */
        m.waiting = 0;
        run(&m, load, 2);
        if (m.waiting > m.e.workers + 200 && m.e.workers < m.e.max)
            fail_msg("seed %llu: %zu wait for %u workers", (unsigned long long)seed, m.waiting,
                     m.e.workers);
        run(&m, load, 3 * m.e.max);
        m.changes = m.ups = 0;
        run(&m, load, 10);
        if (m.changes)
            fail_msg("seed %llu: load %.3f, pieces of %lld us, %u..%u: %u changes, %u up",
                     (unsigned long long)seed, load, (long long)m.piece_us, m.e.min, m.e.max,
                     m.changes, m.ups);
        if (load > m.e.max && m.e.workers != m.e.max)
            fail_msg("seed %llu: load %.3f and %u workers", (unsigned long long)seed, load,
                     m.e.workers);
        if (m.e.workers < m.e.max && load > m.e.workers)
            fail_msg("seed %llu: load %.3f is too much for %u", (unsigned long long)seed, load,
                     m.e.workers);
    }
}

static void it_grows_fast_and_falls_to_the_least(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS / 10; seed++) {
        struct random r = { seed };
        struct model m = draw_model(&r);

        run(&m, m.e.max + 1.0, 2);
        if (m.e.workers != m.e.max)
            fail_msg("seed %llu: %u of %u after two seconds of too much",
                     (unsigned long long)seed, m.e.workers, m.e.max);
        m.waiting = 0;
        run(&m, 0, 3 * m.e.max);
        if (m.e.workers != m.e.min)
            fail_msg("seed %llu: %u workers with nothing to do", (unsigned long long)seed,
                     m.e.workers);
    }
}

static void steps_at_any_time_are_taken(void **state)
{
    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        struct model m = draw_model(&r);

        for (int i = 0; i < 300; i++) {
            int64_t ahead = chance(&r, 5) ? (int64_t)(draw(&r) >> 12)
                                          : (int64_t)below(&r, 200000) - 50000;

            m.now_us = m.now_us > INT64_MAX / 2 ? m.now_us : m.now_us + ahead;
            tg_elastic_step(&m.e, m.now_us, below(&r, m.e.workers + 1), (size_t)draw(&r));
            assert_in_range(m.e.workers, m.e.min, m.e.max);
        }
        m.now_us += 64 * TG_ELASTIC_SHRINK_US;
        tg_elastic_step(&m.e, m.now_us, 0, 0);
        tg_elastic_step(&m.e, m.now_us + 64 * TG_ELASTIC_SHRINK_US, 0, 0);
        assert_int_equal(m.e.workers, m.e.min);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_steady_load_makes_it_settle),
        cmocka_unit_test(it_grows_fast_and_falls_to_the_least),
        cmocka_unit_test(steps_at_any_time_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
