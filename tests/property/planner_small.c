/* SPDX-License-Identifier: MIT */
/*
 * planner_small.c - a planner where it can be known what is best: instances small enough to try
 *                   every order, a session with more work than time, an outage
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/planner.h"
#include "tests/seeds.h"

enum { SMALL = 7, SMALL_SEEDS = 6000, SESSIONS = 3, WAREHOUSE = SESSIONS,
       MINUTE_MS = 60000, HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

static uint64_t seed;

static struct tg_planner *make(const struct tg_plan_job *job, size_t n, uint32_t places,
                               int64_t (*next)(void *ctx, uint32_t job, int64_t after_ms))
{
    static const uint32_t slots[] = { 1, 1, 1, 2 };
    struct tg_planner *p = tg_planner_new(&(struct tg_plan_setup){
        .job = job, .n_jobs = n,
        .slots = slots, .n_pools = TG_COUNT(slots), .n_accounts = SESSIONS, .running_max = places,
        .grace_ms = 30000, .due = next });

    assert_non_null(p);
    return p;
}

/* ---- every order ---- */

static struct small {
    uint32_t n, places;
    int64_t due_ms[SMALL], deadline_ms[SMALL], work_ms[SMALL];
    uint32_t session[SMALL];   /* a run at a time uses it */
    bool sessions;
    struct tg_plan_job plan[SMALL];
} s;

static int64_t small_due(void *ctx, uint32_t job, int64_t after_ms)
{
    (void)ctx;
    return after_ms < s.due_ms[job] ? s.due_ms[job] : TG_PLAN_NEVER;
}

static uint32_t small_planned(void)
{
    struct tg_planner *p;
    struct tg_plan_act act;
    int64_t end_ms[SMALL], now = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s.n; i++) {
        end_ms[i] = TG_PLAN_NEVER;
        s.plan[i] = (struct tg_plan_job){ .timed = true, .catch_up_ms = TG_PLAN_NEVER / 2,
                                          .deadline_ms = s.deadline_ms[i] - s.due_ms[i],
                                          .estimate_ms = s.work_ms[i],
                                          .account = TG_PLAN_NONE, .pool = &s.session[i],
                                          .n_pools = s.sessions };
    }
    p = make(s.plan, s.n, s.places, small_due);
    for (uint32_t i = 0; i < s.n; i++)
        tg_planner_begin(p, i, -1, true, 0, 0);
    for (;;) {
        int64_t next;

        while (tg_planner_next(p, now, &act))
            if (act.what == TG_PLAN_START)
                end_ms[act.job] = now + s.work_ms[act.job];
        next = tg_planner_wake(p);
        for (uint32_t i = 0; i < s.n; i++)
            next = TG_MIN(next, end_ms[i]);
        if (next >= TG_PLAN_NEVER)
            break;
        now = next;
        for (uint32_t i = 0; i < s.n; i++) {
            enum tg_plan_how how = TG_PLAN_OK;

            if (end_ms[i] > now)
                continue;
            kept += now <= s.deadline_ms[i];
            end_ms[i] = TG_PLAN_NEVER;
            tg_planner_ended(p, i, now, false, 0, &how);
        }
    }
    tg_planner_free(p);
    return kept;
}

/* Every order on one place, from `now` on: the most deadlines that can be kept. */
static uint32_t every_order(uint32_t left, int64_t now)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < s.n; i++) {
        int64_t end = TG_MAX(now, s.due_ms[i]) + s.work_ms[i];
        uint32_t kept;

        if (!(left >> i & 1))
            continue;
        kept = (end <= s.deadline_ms[i]) + every_order(left & ~(1u << i), end);
        best = TG_MAX(best, kept);
    }
    return best;
}

/* Every choice at every step, of runs of one unit on several places. */
static uint32_t every_choice(uint32_t left, int64_t now)
{
    uint32_t best = 0, ready = 0;

    if (!left || now > 20)
        return 0;
    for (uint32_t i = 0; i < s.n; i++)
        ready |= (left >> i & 1 && s.due_ms[i] <= now && now + 1 <= s.deadline_ms[i]) << i;
    for (uint32_t set = ready;; set = (set - 1) & ready) {
        if ((uint32_t)__builtin_popcount(set) <= s.places) {
            uint32_t kept = (uint32_t)__builtin_popcount(set) + every_choice(left & ~set, now + 1);

            best = TG_MAX(best, kept);
        }
        if (!set)
            break;
    }
    return best;
}

/* Runs of one length that become ready one after the other, on some places; runs of any length that
 * are ready together, on one; the same with a session each, and a place for each session. */
static void small_instances(void **state)
{
    (void)state;
    for (seed = 1; seed <= SMALL_SEEDS; seed++) {
        struct random r = { seed };
        bool units = seed % 3 == 0;
        uint32_t planned, most = 0;

        s = (struct small){ .n = 2 + below(&r, SMALL - 1), .sessions = seed % 3 == 2 };
        s.places = units || s.sessions ? 1 + below(&r, 3) : 1;
        for (uint32_t i = 0; i < s.n; i++) {
            s.due_ms[i] = units ? below(&r, 5) : 0;
            s.work_ms[i] = units ? 1 : 1 + below(&r, 9);
            s.deadline_ms[i] = s.due_ms[i] + 1 + below(&r, units ? 4 : 25);
            s.session[i] = below(&r, s.places);
        }
        planned = small_planned();
        if (units)
            most = every_choice((1u << s.n) - 1, 0);
        for (uint32_t k = 0; k < s.places && !units; k++) {
            uint32_t set = 0;

            for (uint32_t i = 0; i < s.n; i++)
                set |= (uint32_t)(!s.sessions || s.session[i] == k) << i;
            most += every_order(set, 0);
        }
        if (planned != most)
            fail_msg("seed %llu: %u deadlines kept of %u that can be", (unsigned long long)seed,
                     planned, most);
    }
}

/* ---- more work than time ---- */

static struct {
    const int64_t *every_ms;
    int64_t until_ms;
} e;

static int64_t each(void *ctx, uint32_t job, int64_t after_ms)
{
    int64_t at_ms = (after_ms / e.every_ms[job] + 1) * e.every_ms[job];

    (void)ctx;
    return at_ms < e.until_ms ? at_ms : TG_PLAN_NEVER;
}

/* Short runs that alone take all of a session's time, or a slot each of two, and a long one that is
 * late in any case and needs the session, or both slots: it is never the best to start, and still
 * comes within half a catch-up window of a due, when the one before was missed. */
static void nobody_starves(void **state)
{
    static const uint32_t session[] = { 0 }, slots[] = { WAREHOUSE, WAREHOUSE };
    static const int64_t every_ms[] = { 5 * MINUTE_MS, 5 * MINUTE_MS, HOUR_MS };

    (void)state;
    e.every_ms = every_ms;
    e.until_ms = 7 * (int64_t)DAY_MS;
    for (size_t n_pools = 1; n_pools <= 2; n_pools++) {
        int64_t work_ms[] = { 3 * MINUTE_MS, 3 * MINUTE_MS + 1, 20 * MINUTE_MS };
        int64_t end_ms[] = { TG_PLAN_NEVER, TG_PLAN_NEVER, TG_PLAN_NEVER };
        int64_t now = 0, last_ms = 0, longest_ms = 0;
        uint32_t n_long = 0;
        struct tg_plan_job job[3];
        struct tg_planner *p;

        for (uint32_t i = 0; i < 3; i++) {
            work_ms[i] *= n_pools == 2 && i < 2 ? 2 : 1; /* their ends do not meet */
            job[i] = (struct tg_plan_job){ .timed = true, .overlap = TG_PLAN_QUEUE,
                                           .coalesce = i < 2, .catch_up_ms = 2 * HOUR_MS,
                                           .deadline_ms = i < 2 ? every_ms[i] : 10 * MINUTE_MS,
                                           .estimate_ms = work_ms[i], .account = TG_PLAN_NONE,
                                           .pool = n_pools == 1 ? session : slots,
                                           .n_pools = i < 2 ? 1 : n_pools };
        }
        p = make(job, 3, 3, each);
        for (uint32_t i = 0; i < 3; i++)
            tg_planner_begin(p, i, 0, true, 0, 0);
        while (now < e.until_ms) {
            struct tg_plan_act act;

            while (tg_planner_next(p, now, &act))
                if (act.what == TG_PLAN_START)
                    end_ms[act.job] = now + work_ms[act.job];
            now = tg_planner_wake(p);
            for (uint32_t i = 0; i < 3; i++)
                now = TG_MIN(now, end_ms[i]);
            for (uint32_t i = 0; i < 3 && now < TG_PLAN_NEVER; i++) {
                enum tg_plan_how how = TG_PLAN_OK;

                if (end_ms[i] > now)
                    continue;
                end_ms[i] = TG_PLAN_NEVER;
                tg_planner_ended(p, i, now, false, 0, &how);
                longest_ms = i == 2 ? TG_MAX(longest_ms, now - last_ms) : longest_ms;
                last_ms = i == 2 ? now : last_ms;
                n_long += i == 2;
            }
        }
        print_message("%u long runs, at most %lld minutes apart\n", n_long,
                      (long long)(longest_ms / MINUTE_MS));
        assert_in_range(n_long, 40, 167);
        assert_in_range(longest_ms, 1, 4 * HOUR_MS);
        tg_planner_free(p);
    }
}

/* ---- trouble ---- */

/* Runs fail in an outage and wait longer and longer. The first that goes well when it is over wakes
 * the others, each once: one that fails for a reason of its own keeps to its waits. */
static void trouble_is_over(void **state)
{
    static const int64_t every_ms[] = { DAY_MS, DAY_MS, DAY_MS };
    struct tg_plan_job job[3];
    enum tg_plan_how how = TG_PLAN_FAILED;
    struct tg_plan_act act;
    struct tg_planner *p;
    int64_t now = DAY_MS;

    (void)state;
    e.every_ms = every_ms;
    e.until_ms = TG_PLAN_NEVER;
    for (uint32_t i = 0; i < 3; i++)
        job[i] = (struct tg_plan_job){ .timed = true, .catch_up_ms = HOUR_MS, .retries = 10,
                                       .backoff = { 600000000, 600000000, 2000, false },
                                       .account = TG_PLAN_NONE };
    p = make(job, 3, 3, each);
    for (uint32_t i = 0; i < 3; i++)
        tg_planner_begin(p, i, 0, true, 0, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(tg_planner_next(p, now, &act));
        assert_int_equal(act.what, TG_PLAN_START);
    }
    for (uint32_t i = 0; i < 3; i++)
        assert_false(tg_planner_ended(p, i, now + i * (int64_t)MINUTE_MS, true, 0, &how));
    now += 10 * (int64_t)MINUTE_MS;
    assert_int_equal(tg_planner_wake(p), now); /* the first tries again, and it goes well */
    assert_true(tg_planner_next(p, now, &act));
    assert_int_equal(act.job, 0);
    assert_false(tg_planner_next(p, now, &act));
    how = TG_PLAN_OK;
    assert_true(tg_planner_ended(p, 0, now, true, 0, &how));
    for (uint32_t i = 1; i < 3; i++) { /* the others at once */
        assert_true(tg_planner_next(p, now, &act));
        assert_int_equal(act.what, TG_PLAN_START);
        assert_int_equal(act.attempt, 2);
    }
    how = TG_PLAN_OK;
    assert_true(tg_planner_ended(p, 1, now, true, 0, &how));
    how = TG_PLAN_FAILED; /* of itself */
    assert_false(tg_planner_ended(p, 2, now, true, 0, &how));
    assert_false(tg_planner_next(p, now, &act));
    assert_int_equal(tg_planner_view(p, 2).begin_ms, now + 10 * (int64_t)MINUTE_MS);
    tg_planner_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_instances),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(trouble_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
