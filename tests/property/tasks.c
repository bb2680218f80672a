/* SPDX-License-Identifier: MIT */
/*
 * tasks.c - the order of tasks against a model that looks at all of them, on a virtual clock
 *
 * The model knows each task's state and when it became due, and within a tenant only the rule:
 * lowest (due + priority * age), then priority, then who came first. Random traces of everything
 * that can be asked for: what is taken must be what the model takes for that tenant, nothing is
 * taken before it is due, twice or when it may not run, and nothing is left over.
 *
 * Shares are measured: tenants with random weights, costs and numbers of workers.
 *
 * TG_SEED=n runs one seed, TG_SEEDS=n that many.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/tasks.h"

enum { SEEDS = 2000, STEPS = 300, TASKS_MAX = STEPS, TENANTS = 4, CLASSES = 5 };

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static uint64_t at_seed;

static void for_seeds(void (*run)(uint64_t seed), uint64_t n)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t last = many ? strtoull(many, NULL, 10) : n;

    at_seed = 1;
    if (one)
        at_seed = last = strtoull(one, NULL, 10);
    for (; at_seed <= last; at_seed++)
        run(at_seed);
    at_seed = 0;
}

static int tell_seed(void **state)
{
    (void)state;
    if (at_seed)
        print_error("failed at seed %llu: TG_SEED=%llu\n", (unsigned long long)at_seed,
                    (unsigned long long)at_seed);
    return 0;
}

/* ---- the model ---- */

struct model_task {
    uint64_t id, order, cost;
    struct tg_task given;
    enum { WAITS, RUNS, OVER } is;
    enum tg_priority priority;
    uint32_t failed;
    int64_t due_us;
    unsigned taken;        /* times */
    unsigned wanted;       /* times it had to be taken, as far as it is known */
};

struct model {
    struct model_task task[TASKS_MAX];
    size_t n, n_max, n_alive;
    uint64_t order;
    unsigned open;         /* classes, of each priority, that may run */
};

static bool is_open(unsigned open, uint64_t needs, enum tg_priority priority)
{
    return open >> (needs * TG_PRIORITIES + priority) & 1;
}

static bool may(void *ctx, uint64_t needs, enum tg_priority priority)
{
    return is_open(*(unsigned *)ctx, needs, priority);
}

static bool runnable(const struct model *m, const struct model_task *k, int64_t now_us)
{
    return k->is == WAITS && k->due_us <= now_us &&
           is_open(m->open, k->given.needs, k->priority);
}

static bool sooner(const struct model_task *a, const struct model_task *b)
{
    int64_t x = a->due_us + a->priority * TG_TASKS_AGE_US;
    int64_t y = b->due_us + b->priority * TG_TASKS_AGE_US;

    if (x != y)
        return x < y;
    if (a->priority != b->priority)
        return a->priority < b->priority;
    return a->order < b->order;
}

static struct model_task *model_best(struct model *m, uint32_t tenant, int64_t now_us)
{
    struct model_task *best = NULL;

    for (size_t i = 0; i < m->n; i++) {
        struct model_task *k = &m->task[i];

        if (k->given.tenant == tenant && runnable(m, k, now_us) && (!best || sooner(k, best)))
            best = k;
    }
    return best;
}

static void model_wait(struct model *m, struct model_task *k, int64_t due_us, int64_t now_us)
{
    k->is = WAITS;
    k->due_us = TG_MAX(due_us, now_us);
    k->order = ++m->order;
    k->wanted++;
}

/* ---- one random trace ---- */

static void step_add(struct tg_tasks *t, struct model *m, uint64_t *x, int64_t now_us)
{
    struct model_task *k = &m->task[m->n];
    struct tg_error err;
    struct tg_task task = { .of = k,
                            .needs = next(x) % CLASSES,
                            .tenant = (uint32_t)(next(x) % TENANTS) * 85,
                            .priority = (enum tg_priority)(next(x) % TG_PRIORITIES),
                            .attempts_max = (uint32_t)(next(x) % 4),
                            .due_us = now_us + (int64_t)(next(x) % 3000000) - 1000000 };

    if (m->n_alive == m->n_max) {
        assert_int_equal(tg_tasks_add(t, &task, now_us, &k->id, &err), TG_LIMIT);
        return;
    }
    *k = (struct model_task){ .given = task, .priority = task.priority };
    assert_int_equal(tg_tasks_add(t, &task, now_us, &k->id, &err), TG_OK);
    m->n++;
    m->n_alive++;
    model_wait(m, k, task.due_us, now_us);
}

static void step_take(struct tg_tasks *t, struct model *m, int64_t now_us)
{
    const struct tg_task *task = tg_tasks_take(t, may, &m->open, now_us);
    struct model_task *k;

    if (!task) {
        for (size_t i = 0; i < m->n; i++)
            assert_false(runnable(m, &m->task[i], now_us));
        return;
    }
    k = task->of;
    assert_ptr_equal(model_best(m, task->tenant, now_us), k);
    assert_int_equal(task->id, k->id);
    assert_int_equal(task->attempts, k->failed);
    assert_int_equal(task->due_us, k->due_us);
    assert_int_equal(task->cost, k->cost);
    k->is = RUNS;
    k->taken++;
    assert_int_equal(k->taken, k->wanted);
}

static void end_task(struct model *m, struct model_task *k)
{
    k->is = OVER;
    k->wanted = k->taken;
    m->n_alive--;
}

static void step_change(struct tg_tasks *t, struct model *m, uint64_t *x, int64_t now_us)
{
    struct model_task *k = &m->task[next(x) % m->n];
    bool waits = k->is == WAITS, runs = k->is == RUNS, over = k->is == OVER, last;
    int64_t delay_us = next(x) % 2 ? 0 : (int64_t)(next(x) % 2000000);
    enum tg_priority priority = (enum tg_priority)(next(x) % TG_PRIORITIES);
    uint64_t cost = next(x) % 50;

    switch (next(x) % 5) {
    case 0:
        assert_int_equal(tg_tasks_over(t, k->id, now_us), !over);
        if (!over)
            end_task(m, k);
        break;
    case 1:
        assert_int_equal(tg_tasks_charge(t, k->id, cost), runs);
        k->cost += runs ? cost : 0;
        break;
    case 2:
        if (runs && tg_tasks_find(t, k->id)->run_cost == 0)
            k->cost++; /* a run costs 1 at least */
        assert_int_equal(tg_tasks_reschedule(t, k->id, delay_us, priority, now_us), !over);
        if (over)
            break;
        k->wanted -= waits;
        k->priority = priority;
        model_wait(m, k, now_us + delay_us, now_us);
        break;
    default:
        last = k->given.attempts_max && k->failed + 1 >= k->given.attempts_max;
        if (runs && tg_tasks_find(t, k->id)->run_cost == 0)
            k->cost++;
        assert_int_equal(tg_tasks_failed(t, k->id, delay_us, priority, now_us), runs && !last);
        if (!runs)
            break;
        k->failed++;
        k->priority = priority;
        if (last)
            end_task(m, k);
        else
            model_wait(m, k, now_us + delay_us, now_us);
    }
}

static void compare(const struct tg_tasks *t, const struct model *m, int64_t now_us)
{
    uint32_t n[TG_TASK_STATES] = { 0 };
    int64_t due = INT64_MAX;

    for (size_t i = 0; i < m->n; i++) {
        const struct model_task *k = &m->task[i];
        const struct tg_task *task = tg_tasks_find(t, k->id);

        assert_int_equal(task != NULL, k->is != OVER);
        if (!task)
            continue;
        n[task->state]++;
        assert_int_equal(task->state == TG_TASK_RUNNING, k->is == RUNS);
        if (task->state == TG_TASK_DELAYED)
            due = TG_MIN(due, k->due_us);
        else if (k->is == WAITS)
            assert_true(k->due_us <= now_us);
    }
    for (int i = TG_TASK_DELAYED; i < TG_TASK_STATES; i++)
        assert_int_equal(n[i], t->n[i]);
    assert_int_equal(due, tg_tasks_due(t));
}

/* To the end: everything that is left runs exactly once more, in at most as many steps. */
static void drain(struct tg_tasks *t, struct model *m, int64_t now_us)
{
    m->open = ~0u;
    for (size_t i = 0; i < m->n; i++)
        if (m->task[i].is == RUNS) {
            assert_true(tg_tasks_over(t, m->task[i].id, now_us));
            end_task(m, &m->task[i]);
        }
    while (m->n_alive) {
        const struct tg_task *task = tg_tasks_take(t, may, &m->open, now_us);

        if (!task) {
            assert_true(tg_tasks_due(t) > now_us && tg_tasks_due(t) < INT64_MAX);
            now_us = tg_tasks_due(t);
            continue;
        }
        ((struct model_task *)task->of)->taken++;
        end_task(m, task->of);
        assert_true(tg_tasks_over(t, task->id, now_us));
    }
    assert_null(tg_tasks_take(t, NULL, NULL, now_us + TG_SECOND_US));
    for (size_t i = 0; i < m->n; i++)
        assert_int_equal(m->task[i].taken, m->task[i].wanted);
}

static void run_trace(uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    int64_t now = (int64_t)(next(&x) % 1000) - 500;
    uint64_t hurry = 1 + next(&x) % 12, span_us = next(&x) % 3 ? 200000 : 90 * TG_SECOND_US;
    static struct model m;
    static struct tg_tasks t;

    m = (struct model){ .n_max = 1 + next(&x) % TASKS_MAX, .open = ~0u };
    tg_tasks_init(&t, (uint32_t)m.n_max);
    for (uint32_t i = 0; i < TENANTS; i++)
        tg_tasks_weight(&t, i * 85, 1 + (uint32_t)(next(&x) % 10));
    for (int step = 0; step < STEPS; step++) {
        uint64_t what = next(&x) % 16;

        if (next(&x) % 3 == 0)
            now += (int64_t)(next(&x) % span_us);
        if (next(&x) % 16 == 0)
            m.open = (unsigned)(next(&x) | next(&x));
        if (what < hurry || m.n == 0)
            step_add(&t, &m, &x, now);
        else if (what % 2)
            step_take(&t, &m, now);
        else
            step_change(&t, &m, &x, now);
        if (step % 16 == 0 || step == STEPS - 1)
            compare(&t, &m, now);
    }
    drain(&t, &m, now);
    tg_tasks_done(&t);
}

static void test_equals_model(void **state)
{
    (void)state;
    for_seeds(run_trace, SEEDS);
}

/* ---- shares ---- */

enum { SHARERS = 5, WORKERS_MAX = 12, RUNS_EACH = 3000 };

struct sharer {
    uint32_t weight;
    uint64_t cost_max;     /* of its runs: 1..that, drawn */
    uint64_t cost;         /* charged in all */
    bool away;             /* has nothing to do */
};

struct office {
    struct tg_tasks t;
    struct sharer who[SHARERS];
    struct {
        uint64_t id, left; /* id 0: free */
    } worker[WORKERS_MAX];
    size_t n_workers;
    unsigned open;         /* as in the model; a tenant needs its number */
    int64_t now_us;
    uint64_t x;
};

static void office_open(struct office *o, uint64_t seed)
{
    *o = (struct office){ .x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .open = ~0u };
    o->n_workers = 1 + next(&o->x) % WORKERS_MAX;
    tg_tasks_init(&o->t, 4 * SHARERS * WORKERS_MAX);
    for (uint32_t i = 0; i < SHARERS; i++) {
        o->who[i].weight = 1 + (uint32_t)(next(&o->x) % 10);
        o->who[i].cost_max = 1 + next(&o->x) % (next(&o->x) % 4 ? 100 : 2000);
        tg_tasks_weight(&o->t, i, o->who[i].weight);
    }
}

/* Everybody who is not away has more tasks ready than there are workers. */
static void office_fill(struct office *o)
{
    struct tg_error err;
    uint64_t id;

    for (uint32_t i = 0; i < SHARERS; i++)
        while (!o->who[i].away && o->t.tenant[i].n[TG_TASK_READY] <= o->n_workers) {
            struct tg_task task = { .tenant = i, .needs = i, .priority = TG_PRIORITY_NORMAL };

            assert_int_equal(tg_tasks_add(&o->t, &task, o->now_us, &id, &err), TG_OK);
        }
}

/* One run ends, a piece of its cost reported before; the worker takes the next. */
static void office_run(struct office *o, uint64_t runs)
{
    while (runs) {
        size_t w = next(&o->x) % o->n_workers;
        const struct tg_task *task;
        uint64_t piece;

        o->now_us += (int64_t)(next(&o->x) % 1000);
        office_fill(o);
        if (!o->worker[w].id) {
            if (!(task = tg_tasks_take(&o->t, may, &o->open, o->now_us)))
                return;
            o->worker[w].id = task->id;
            o->worker[w].left = 1 + next(&o->x) % o->who[task->tenant].cost_max;
        }
        task = tg_tasks_find(&o->t, o->worker[w].id);
        piece = 1 + next(&o->x) % o->worker[w].left;
        o->worker[w].left -= piece;
        o->who[task->tenant].cost += piece;
        assert_true(tg_tasks_charge(&o->t, task->id, piece));
        if (o->worker[w].left)
            continue;
        assert_true(tg_tasks_over(&o->t, task->id, o->now_us));
        o->worker[w].id = 0;
        runs--;
    }
}

/* The largest distance between two tenants' cost / weight, of those in the set; and the most that
 * the runs under way may cost. */
static double unfairness(const struct office *o, const struct sharer *from, unsigned set,
                         double *ret_slack)
{
    double least = 1e300, most = 0, dearest = 0, lightest = 1e300;

    for (int i = 0; i < SHARERS; i++) {
        double share = (double)(o->who[i].cost - from[i].cost) / o->who[i].weight;

        if (!(set >> i & 1))
            continue;
        least = TG_MIN(least, share);
        most = TG_MAX(most, share);
        dearest = TG_MAX(dearest, (double)o->who[i].cost_max);
        lightest = TG_MIN(lightest, (double)o->who[i].weight);
    }
    *ret_slack = dearest / lightest * ((double)o->n_workers + 2);
    return most - least;
}

static void run_shares(uint64_t seed)
{
    static struct office o;
    struct sharer from[SHARERS] = { 0 };
    double slack;

    office_open(&o, seed);
    office_run(&o, RUNS_EACH);
    if (unfairness(&o, from, 31, &slack) > slack)
        fail_msg("shares differ by %.0f, %.0f allowed", unfairness(&o, from, 31, &slack), slack);
    tg_tasks_done(&o.t);
}

static void test_shares(void **state)
{
    (void)state;
    for_seeds(run_shares, SEEDS / 10);
}

/* In the long run they are the weights: to half a percent, and what the runs under way may cost. */
static void test_shares_in_the_long_run(void **state)
{
    static struct office o;

    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        double sum = 0, weights = 0, dearest = 0;

        office_open(&o, seed);
        office_run(&o, 100000);
        for (int i = 0; i < SHARERS; i++) {
            sum += (double)o.who[i].cost;
            weights += (double)o.who[i].weight;
            dearest = TG_MAX(dearest, (double)o.who[i].cost_max);
        }
        for (int i = 0; i < SHARERS; i++) {
            double got = (double)o.who[i].cost, due = sum * o.who[i].weight / weights;

            if (fabs(got - due) > due / 200 + dearest * (double)(o.n_workers + 1))
                fail_msg("seed %llu: %.0f instead of %.0f", (unsigned long long)seed, got, due);
        }
        tg_tasks_done(&o.t);
    }
}

/* Who was away, or could not run, does not push the others out when he comes back: from then on
 * shares are fair again, but for the bounded claim. */
static void run_comes_back(uint64_t seed)
{
    static struct office o;
    struct sharer from[SHARERS];
    bool blocked = seed % 2;
    double slack, claim;

    office_open(&o, seed);
    office_run(&o, RUNS_EACH / 4);
    o.who[0].away = o.who[1].away = !blocked;
    o.open = blocked ? ~63u : ~0u;
    office_run(&o, RUNS_EACH);
    o.who[0].away = o.who[1].away = false;
    o.open = ~0u;
    memcpy(from, o.who, sizeof from);
    office_run(&o, RUNS_EACH / 2);
    claim = unfairness(&o, from, 31, &slack);
    slack += 4 * slack / ((double)o.n_workers + 2);
    if (claim > slack)
        fail_msg("shares differ by %.0f after a pause, %.0f allowed", claim, slack);
    tg_tasks_done(&o.t);
}

static void test_comes_back(void **state)
{
    (void)state;
    for_seeds(run_comes_back, SEEDS / 10);
}

/* ---- what is said of single cases ---- */

/* New high tasks all the time, more than can be done: a low one runs after ten minutes of them. */
static void test_low_does_not_starve(void **state)
{
    static struct tg_tasks t;
    struct tg_error err;
    uint64_t id, low;
    int64_t now = 0;
    struct tg_task task = { .priority = TG_PRIORITY_LOW };
    const struct tg_task *got;

    (void)state;
    tg_tasks_init(&t, 10000);
    assert_int_equal(tg_tasks_add(&t, &task, now, &low, &err), TG_OK);
    task.priority = TG_PRIORITY_HIGH;
    for (;; now += TG_SECOND_US) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(tg_tasks_add(&t, &task, now, &id, &err), TG_OK);
        got = tg_tasks_take(&t, NULL, NULL, now);
        if (got->id == low)
            break;
        assert_true(got->due_us <= 2 * TG_TASKS_AGE_US);
        assert_true(tg_tasks_over(&t, got->id, now));
    }
    /* two come and one goes each second: those of the first ten minutes take twenty */
    assert_in_range(now / TG_SECOND_US, 1200, 1203);
    tg_tasks_done(&t);
}

/* Many workers that become free at once, before any cost is known: nobody gets them all. */
static void test_spreads_at_once(void **state)
{
    static struct tg_tasks t;
    struct tg_error err;
    unsigned got[2] = { 0 };
    uint64_t id;

    (void)state;
    tg_tasks_init(&t, 100);
    tg_tasks_weight(&t, 1, 3);
    for (uint32_t i = 0; i < 60; i++) {
        struct tg_task task = { .tenant = i % 2 };

        assert_int_equal(tg_tasks_add(&t, &task, 0, &id, &err), TG_OK);
    }
    for (int i = 0; i < 16; i++)
        got[tg_tasks_take(&t, NULL, NULL, 0)->tenant]++;
    assert_int_equal(got[0], 4);
    assert_int_equal(got[1], 12);
    tg_tasks_done(&t);
}

/* Somebody who comes back after a long time has no claim from it. */
static void test_idle_gains_nothing(void **state)
{
    static struct tg_tasks t;
    struct tg_error err;
    unsigned got[2] = { 0 };
    uint64_t id;
    int64_t now = 0;

    (void)state;
    tg_tasks_init(&t, 100);
    for (int i = 0; i < 120; i++, now += 1000) {
        for (uint32_t who = 0; who < 2; who++) {
            struct tg_task task = { .tenant = who };

            if (who == 0 || i >= 100)
                assert_int_equal(tg_tasks_add(&t, &task, now, &id, &err), TG_OK);
        }
        id = tg_tasks_take(&t, NULL, NULL, now)->id;
        assert_true(tg_tasks_charge(&t, id, 100));
        if (i >= 100)
            got[tg_tasks_find(&t, id)->tenant]++;
        assert_true(tg_tasks_over(&t, id, now));
    }
    assert_int_equal(got[0], 10);
    assert_int_equal(got[1], 10);
    tg_tasks_done(&t);
}

/* A low task and a high one whose turn comes at the same moment. */
static void test_equal_rank(void **state)
{
    static struct tg_tasks t;
    struct tg_task low = { .priority = TG_PRIORITY_LOW };
    struct tg_task high = { .priority = TG_PRIORITY_HIGH, .due_us = 2 * TG_TASKS_AGE_US };
    struct tg_error err;
    uint64_t id;

    (void)state;
    for (int later = 0; later < 2; later++, high.due_us++) {
        tg_tasks_init(&t, 2);
        assert_int_equal(tg_tasks_add(&t, &low, 0, &id, &err), TG_OK);
        assert_int_equal(tg_tasks_add(&t, &high, 0, &id, &err), TG_OK);
        assert_int_equal(tg_tasks_due(&t), high.due_us);
        assert_int_equal(tg_tasks_take(&t, NULL, NULL, high.due_us)->priority,
                         later ? TG_PRIORITY_LOW : TG_PRIORITY_HIGH);
        tg_tasks_done(&t);
    }
}

/* One task in slices keeps its tenant's claim from slice to slice. */
static void test_slices(void **state)
{
    static struct tg_tasks t;
    struct tg_error err;
    uint64_t id, slices = 0;
    int64_t now = 0;
    struct tg_task task = { .tenant = 1 };

    (void)state;
    tg_tasks_init(&t, 100);
    tg_tasks_weight(&t, 1, 9);
    assert_int_equal(tg_tasks_add(&t, &task, now, &id, &err), TG_OK);
    task.tenant = 0;
    for (int i = 0; i < 50; i++)
        assert_int_equal(tg_tasks_add(&t, &task, now, &id, &err), TG_OK);
    for (int i = 0; i < 1000; i++, now += 1000) {
        const struct tg_task *got = tg_tasks_take(&t, NULL, NULL, now);

        slices += got->tenant == 1;
        id = got->id;
        assert_true(tg_tasks_charge(&t, id, 100));
        assert_true(tg_tasks_reschedule(&t, id, 0, TG_PRIORITY_NORMAL, now));
    }
    assert_in_range(slices, 890, 910);
    tg_tasks_done(&t);
}

/* 100,000 at once, and ids of tasks that are gone find nothing. */
static void test_many(void **state)
{
    enum { MANY = 100000 };
    static struct tg_tasks t;
    struct tg_error err;
    uint64_t x = 7, id, gone;
    int64_t last = INT64_MIN;

    (void)state;
    tg_tasks_init(&t, MANY);
    for (int i = 0; i < MANY; i++) {
        struct tg_task task = { .needs = next(&x) % 32, .due_us = (int64_t)(next(&x) % 1000000) };

        assert_int_equal(tg_tasks_add(&t, &task, 0, &id, &err), TG_OK);
    }
    assert_int_equal(tg_tasks_add(&t, &(struct tg_task){ 0 }, 0, &id, &err), TG_LIMIT);
    assert_string_equal(err.message, "there are 100000 tasks already");
    for (int i = 0; i < MANY; i++) {
        const struct tg_task *got = tg_tasks_take(&t, NULL, NULL, 1000000);

        assert_non_null(got);
        assert_true(got->due_us >= last);
        last = got->due_us;
        gone = got->id;
        assert_true(tg_tasks_over(&t, gone, 1000000));
        assert_false(tg_tasks_over(&t, gone, 1000000));
    }
    assert_int_equal(tg_tasks_add(&t, &(struct tg_task){ 0 }, 1000000, &id, &err), TG_OK);
    assert_int_not_equal(id, gone);
    assert_null(tg_tasks_find(&t, gone));
    assert_null(tg_tasks_find(&t, 0));
    assert_null(tg_tasks_find(&t, UINT64_MAX));
    tg_tasks_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_equals_model, tell_seed),
        cmocka_unit_test_teardown(test_shares, tell_seed),
        cmocka_unit_test(test_shares_in_the_long_run),
        cmocka_unit_test_teardown(test_comes_back, tell_seed),
        cmocka_unit_test(test_low_does_not_starve),
        cmocka_unit_test(test_spreads_at_once),
        cmocka_unit_test(test_idle_gains_nothing),
        cmocka_unit_test(test_equal_rank),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
