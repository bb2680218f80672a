/* SPDX-License-Identifier: MIT */
/*
 * planner.c - a planner on a virtual clock: weeks of scheduled work, and instances small enough to
 *             try every order
 *
 * A week: jobs with schedules in a zone whose clocks change in it, sessions that one run at a time
 * uses, floods in which the runs of an account stand still, outages in which runs fail (what a run
 * has done stays done: the next one goes on there). Each due is settled once and in order, nothing
 * begins early or too late, places and slots suffice, what comes after others waits for them. The
 * deadlines that are missed are compared with what earliest-deadline-first loses that knows how
 * long everything takes, whose runs only stand still in an outage, that needs no attempt twice, and
 * that lets nothing wait for what it comes after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/planner.h"
#include "flow/quiet.h"
#include "flow/timing.h"
#include "tests/seeds.h"

enum { SEEDS = 40, JOBS = 40, ACCOUNTS = 8, SPANS = 64, SMALL = 7, SMALL_SEEDS = 400,
       MINUTE_MS = 60000, HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS, RUNS_MAX = 40000 };

static const int64_t week_ms = INT64_C(7) * DAY_MS;
static uint64_t seed;
static struct tg_zone zone;

static const char europe[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                             "\0\0\0\0\0\0CET\0"
                             "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                             "\0\0\0\0\0\0CET\0"
                             "\nCET-1CEST,M3.5.0,M10.5.0/3\n";

struct span {
    int64_t from_ms, until_ms;
};

static struct world {
    struct random r;
    int64_t begin_ms, now_ms;
    uint32_t n_jobs, places;
    struct tg_plan_job plan[JOBS];
    struct tg_timing timing[JOBS];
    uint32_t account_of[JOBS], after[JOBS];
    int64_t work_ms[JOBS];          /* of each run of the job, about */
    struct span flood[ACCOUNTS][SPANS], outage[SPANS];
    size_t n_floods[ACCOUNTS], n_outages;
    struct {
        bool running, stops;
        int64_t due_ms, end_ms, left_ms, settled_ms, begun_ms, left_of_ms;
        bool fails;
    } at[JOBS];
    uint32_t running, used[ACCOUNTS];
    uint64_t n_how[TG_PLAN_HOW_COUNT], n_dues, n_told, n_deadlines, n_missed;
} w;

/* ---- the world ---- */

static int64_t due(void *ctx, uint32_t job, int64_t after_ms)
{
    int64_t at_s = tg_timing_next(&w.timing[job], &zone, tg_floor_div(after_ms, 1000)).at_s;

    (void)ctx;
    return at_s >= TG_ZONE_NEVER || at_s * 1000 >= w.begin_ms + week_ms ? TG_PLAN_NEVER
                                                                        : at_s * 1000;
}

/* How long the run of a due is: the same whoever plans. */
static int64_t length_of(uint32_t job, int64_t due_ms)
{
    struct random r = { seed ^ (uint64_t)due_ms ^ (uint64_t)job << 50 };

    return w.work_ms[job] * (70 + below(&r, 61)) / 100;
}

/* When work ends that stands still in some spans, sorted. */
static int64_t done_at(int64_t from_ms, int64_t work_ms, const struct span *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i].until_ms <= from_ms)
            continue;
        if (from_ms + work_ms <= s[i].from_ms)
            break;
        work_ms -= TG_MAX(s[i].from_ms - from_ms, (int64_t)0);
        from_ms = s[i].until_ms;
    }
    return from_ms + work_ms;
}

static size_t draw_spans(struct span *s, uint32_t n, int64_t longest_ms)
{
    int64_t at = w.begin_ms;
    size_t made = 0;

    for (uint32_t i = 0; i < n && made < SPANS; i++) {
        at += (int64_t)below(&w.r, (uint32_t)(2 * week_ms / MINUTE_MS / n)) * MINUTE_MS;
        s[made].from_ms = at;
        at += (1 + below(&w.r, (uint32_t)(longest_ms / 1000))) * INT64_C(1000);
        s[made++].until_ms = at;
    }
    return made;
}

static void draw_world(uint32_t priorities, uint32_t overlaps, uint32_t load_permille)
{
    static const struct {
        const char *text;
        uint32_t every_min;
    } when[] = { { "every 15 minutes", 15 }, { "every 1 hour", 60 },  { "*/30 * * * *", 30 },
                 { "every 6 hours", 360 },   { "02:30", 1440 },       { "daily 02:00,14:00", 720 },
                 { "mon-fri 08:30", 1440 },  { "0 */4 * * *", 240 } };
    struct tg_error err;
    int64_t load = 0;

    w = (struct world){ .r = { seed }, .begin_ms = INT64_C(1806019200) * 1000 }; /* 2027-03-25 */
    w.now_ms = w.begin_ms;
    w.places = 2 + below(&w.r, 3);
    w.n_jobs = 10 + below(&w.r, JOBS - 10);
    for (uint32_t i = 0; i < w.n_jobs; i++) {
        uint32_t kind = below(&w.r, TG_COUNT(when));
        struct tg_plan_job *p = &w.plan[i];

        assert_int_equal(tg_cron_parse(&w.timing[i].cron, when[kind].text, &err), TG_OK);
        w.timing[i].jitter_s = chance(&w.r, 30) ? 600 : 0;
        w.timing[i].seed = draw(&w.r);
        w.account_of[i] = below(&w.r, ACCOUNTS);
        w.work_ms[i] = (int64_t)when[kind].every_min * MINUTE_MS / (8 + below(&w.r, 40));
        load += w.work_ms[i] * 1000 / (when[kind].every_min * MINUTE_MS);
        if (load > (int64_t)w.places * load_permille) {
            w.n_jobs = i;
            break;
        }
        *p = (struct tg_plan_job){
            .priority = (int)below(&w.r, priorities),
            .overlap = (enum tg_plan_overlap)(overlaps ? below(&w.r, overlaps) : TG_PLAN_QUEUE),
            .coalesce = overlaps && chance(&w.r, 20),
            .timed = true,
            .catch_up_ms = 6 * HOUR_MS,
            .deadline_ms = w.work_ms[i] * 3 + 20 * MINUTE_MS,
            .estimate_ms = w.work_ms[i],
            .retries = 1000,
            .backoff = { 30000000, 120000000, 2000, true },
            .account = w.account_of[i],
            .pool = &w.account_of[i],
            .n_pools = 1,
            .after = &w.after[i],
            .n_after = i && chance(&w.r, 10),
        };
        w.after[i] = i ? below(&w.r, i) : 0;
        w.at[i].settled_ms = w.begin_ms - 1;
    }
    for (size_t a = 0; a < ACCOUNTS; a++)
        w.n_floods[a] = draw_spans(w.flood[a], 20, 8 * MINUTE_MS);
    w.n_outages = draw_spans(w.outage, 6, 30 * MINUTE_MS);
}

/* ---- a week ---- */

static void check(bool good, const char *what, uint32_t job)
{
    if (!good)
        fail_msg("seed %llu: %s, job %u at %lld", (unsigned long long)seed, what, job,
                 (long long)w.now_ms);
}

/* The first instant from now on at which a run fails, if it has not ended before. */
static int64_t fails_at(int64_t now_ms)
{
    for (size_t i = 0; i < w.n_outages; i++)
        if (w.outage[i].until_ms > now_ms)
            return TG_MAX(w.outage[i].from_ms, now_ms);
    return TG_PLAN_NEVER;
}

static void begin_run(struct tg_planner *p, const struct tg_plan_act *act)
{
    uint32_t job = act->job, account = w.account_of[job];
    const struct tg_plan_job *c = &w.plan[job];

    check(!w.at[job].running, "a run while one is at work", job);
    check(act->due_ms > w.at[job].settled_ms, "a due that is settled", job);
    check(act->due_ms <= w.now_ms, "a run before it is due", job);
    check(act->attempt > 1 || c->n_after || w.now_ms - act->due_ms <= c->catch_up_ms,
          "a run that is too late", job);
    check(++w.running <= w.places, "more runs than places", job);
    check(++w.used[account] == 1, "two runs with one session", job);
    if (c->n_after && act->attempt == 1)
        check(tg_planner_view(p, w.after[job]).next_ms > act->due_ms, "a run before another", job);
    if (w.at[job].left_of_ms != act->due_ms) {
        w.at[job].left_ms = length_of(job, act->due_ms);
        w.at[job].left_of_ms = act->due_ms;
    }
    w.at[job].running = true;
    w.at[job].due_ms = act->due_ms;
    w.at[job].begun_ms = w.now_ms;
    w.at[job].end_ms = done_at(w.now_ms, w.at[job].left_ms, w.flood[account], w.n_floods[account]);
    w.at[job].fails = fails_at(w.now_ms) < w.at[job].end_ms;
    if (w.at[job].fails)
        w.at[job].end_ms = fails_at(w.now_ms) + 1000;
}

static void settled(uint32_t job, int64_t until_ms)
{
    check(until_ms > w.at[job].settled_ms, "a due is settled twice", job);
    w.at[job].settled_ms = until_ms;
}

static void end_run(struct tg_planner *p, uint32_t job)
{
    enum tg_plan_how how = w.at[job].fails ? TG_PLAN_FAILED : TG_PLAN_OK;
    int64_t spent_ms = 0, due_ms = w.at[job].due_ms;
    bool is_settled;

    w.at[job].running = false;
    w.running--;
    w.used[w.account_of[job]]--;
    if (w.at[job].fails) { /* what was done stays done */
        int64_t to_ms = w.now_ms - 1000;

        for (spent_ms = w.at[job].left_ms; spent_ms > 0; spent_ms -= MINUTE_MS)
            if (done_at(w.at[job].begun_ms, spent_ms, w.flood[w.account_of[job]],
                        w.n_floods[w.account_of[job]]) <= to_ms)
                break;
        w.at[job].left_ms -= TG_MAX(spent_ms, (int64_t)0);
    }
    is_settled = tg_planner_ended(p, job, w.now_ms, true, draw(&w.r), &how);
    if (!is_settled)
        return;
    w.n_how[how]++;
    if (w.plan[job].deadline_ms)
        w.n_missed += how != TG_PLAN_OK || w.now_ms > due_ms + w.plan[job].deadline_ms;
    settled(job, tg_planner_view(p, job).settled_ms);
}

static void tell(struct tg_planner *p, const struct tg_plan_act *act)
{
    w.n_how[act->how]++;
    check(act->due_ms > w.at[act->job].settled_ms, "a due is settled twice", act->job);
    for (int64_t at = act->due_ms; at < act->until_ms && at < TG_PLAN_NEVER;
         at = due(NULL, act->job, at)) {
        w.n_told++;
        w.n_missed++;
    }
    if (!w.at[act->job].running)
        settled(act->job, tg_planner_view(p, act->job).settled_ms);
}

static void live(struct tg_planner *p)
{
    struct tg_plan_act act;

    for (uint32_t i = 0; i < w.n_jobs; i++) {
        tg_planner_begin(p, i, w.begin_ms - 1, true, 0, w.now_ms);
        for (int64_t at = w.begin_ms - 1; (at = due(NULL, i, at)) < TG_PLAN_NEVER;)
            w.n_dues++;
    }
    w.n_deadlines = w.n_dues;
    for (;;) {
        int64_t next_ms;
        uint32_t first = JOBS;

        while (tg_planner_next(p, w.now_ms, &act)) {
            if (act.what == TG_PLAN_START)
                begin_run(p, &act);
            else if (act.what == TG_PLAN_TELL)
                tell(p, &act);
        }
        next_ms = tg_planner_wake(p);
        for (uint32_t i = 0; i < w.n_jobs; i++) {
            if (w.at[i].running && w.at[i].end_ms <= next_ms) {
                next_ms = w.at[i].end_ms;
                first = i;
            }
        }
        if (next_ms >= TG_PLAN_NEVER)
            break;
        check(next_ms >= w.now_ms, "time goes back", first);
        w.now_ms = next_ms;
        if (first < JOBS)
            end_run(p, first);
    }
}

/* ---- earliest deadline first, knowing everything ---- */

struct job_run {
    int64_t due_ms, deadline_ms, work_ms;
    uint32_t account;
    bool done;
};

static int by_due(const void *a, const void *b)
{
    const struct job_run *x = a, *y = b;

    return (x->due_ms > y->due_ms) - (x->due_ms < y->due_ms);
}

/* The deadlines that it misses. Floods and outages as spans in which runs stand still. */
static uint64_t edf_misses(void)
{
    static struct job_run run[RUNS_MAX];
    int64_t free_ms[8] = { 0 }, account_ms[ACCOUNTS] = { 0 }, now = w.begin_ms;
    size_t n = 0, low = 0;
    uint64_t missed = 0;

    for (uint32_t i = 0; i < w.n_jobs; i++)
        for (int64_t at = w.begin_ms - 1; (at = due(NULL, i, at)) < TG_PLAN_NEVER && n < RUNS_MAX;)
            run[n++] = (struct job_run){ at, at + w.plan[i].deadline_ms, length_of(i, at),
                                         w.account_of[i], false };
    qsort(run, n, sizeof *run, by_due);
    while (low < n) {
        size_t best = n, place = 0;
        int64_t next = TG_PLAN_NEVER, end;

        for (size_t k = 1; k < w.places; k++)
            place = free_ms[k] < free_ms[place] ? k : place;
        now = TG_MAX(now, free_ms[place]);
        for (size_t i = low; i < n && run[i].due_ms <= now; i++) {
            if (run[i].done)
                continue;
            if (account_ms[run[i].account] > now)
                next = TG_MIN(next, account_ms[run[i].account]);
            else if (best == n || run[i].deadline_ms < run[best].deadline_ms)
                best = i;
        }
        if (best == n) {
            for (size_t i = low; i < n; i++) {
                if (!run[i].done && run[i].due_ms > now) {
                    next = TG_MIN(next, run[i].due_ms);
                    break;
                }
            }
            now = next;
            continue;
        }
        end = done_at(now, run[best].work_ms, w.flood[run[best].account],
                      w.n_floods[run[best].account]);
        end = TG_MAX(end, done_at(now, run[best].work_ms, w.outage, w.n_outages));
        free_ms[place] = account_ms[run[best].account] = end;
        missed += end > run[best].deadline_ms;
        run[best].done = true;
        while (low < n && run[low].done)
            low++;
    }
    return missed;
}

static struct tg_planner *make(const struct tg_plan_job *job, size_t n, uint32_t places,
                               int64_t (*next)(void *ctx, uint32_t job, int64_t after_ms))
{
    static const uint32_t slots[ACCOUNTS] = { 1, 1, 1, 1, 1, 1, 1, 1 };
    struct tg_planner *p = tg_planner_new(&(struct tg_plan_setup){
        .job = job, .n_jobs = n, .slots = slots, .n_pools = ACCOUNTS, .n_accounts = ACCOUNTS,
        .running_max = places, .grace_ms = 30000, .due = next });

    assert_non_null(p);
    return p;
}

static void weeks(void **state)
{
    uint64_t deadlines = 0, missed = 0, bound = 0;

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        struct tg_planner *p;
        uint64_t runs, lost;

        draw_world(1, 0, 300 + (uint32_t)(seed % 4) * 150);
        p = make(w.plan, w.n_jobs, w.places, due);
        live(p);
        runs = w.n_how[TG_PLAN_OK] + w.n_how[TG_PLAN_FAILED];
        if (runs + w.n_told != w.n_dues)
            fail_msg("seed %llu: %llu dues, %llu runs, %llu without", (unsigned long long)seed,
                     (unsigned long long)w.n_dues, (unsigned long long)runs,
                     (unsigned long long)w.n_told);
        lost = edf_misses();
        deadlines += w.n_deadlines;
        missed += w.n_missed;
        bound += lost;
        if (w.n_missed > lost + w.n_deadlines / 20) /* a single week; all of them below */
            fail_msg("seed %llu: %llu of %llu deadlines missed, and by the other %llu",
                     (unsigned long long)seed, (unsigned long long)w.n_missed,
                     (unsigned long long)w.n_deadlines, (unsigned long long)lost);
        tg_planner_free(p);
    }
    print_message("%llu deadlines, %llu missed; earliest deadline first: %llu\n",
                  (unsigned long long)deadlines, (unsigned long long)missed,
                  (unsigned long long)bound);
    assert_true(missed <= bound + deadlines / 100);
}

static void priorities(void **state)
{
    (void)state;
    for (seed = 1000; seed < 1000 + SEEDS / 4; seed++) {
        struct tg_planner *p;

        draw_world(3, 2, 700);
        p = make(w.plan, w.n_jobs, w.places, due);
        live(p);
        assert_int_equal(w.n_how[TG_PLAN_OK] + w.n_how[TG_PLAN_FAILED] + w.n_told, w.n_dues);
        tg_planner_free(p);
    }
}

/* ---- small instances: every order ---- */

static struct small {
    uint32_t n, places;
    int64_t due_ms[SMALL], deadline_ms[SMALL], work_ms[SMALL];
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
                                          .account = TG_PLAN_NONE };
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

static void small_instances(void **state)
{
    (void)state;
    for (seed = 1; seed <= SMALL_SEEDS; seed++) {
        struct random r = { seed };
        bool units = seed % 2;
        uint32_t planned, most;

        s = (struct small){ .n = 2 + below(&r, SMALL - 1), .places = units ? 1 + below(&r, 3) : 1 };
        for (uint32_t i = 0; i < s.n; i++) {
            s.due_ms[i] = units ? below(&r, 5) : 0;
            s.work_ms[i] = units ? 1 : 1 + below(&r, 9);
            s.deadline_ms[i] = s.due_ms[i] + 1 + below(&r, units ? 4 : 25);
        }
        planned = small_planned();
        most = units ? every_choice((1u << s.n) - 1, 0) : every_order((1u << s.n) - 1, 0);
        if (planned != most)
            fail_msg("seed %llu: %u deadlines kept of %u that can be", (unsigned long long)seed,
                     planned, most);
    }
}

/* ---- hours and batches ---- */

static void quiet_hours(void **state)
{
    struct tg_quiet q = { 0 };
    const int64_t day = INT64_C(20000) * DAY_MS;

    (void)state;
    assert_int_equal(tg_quiet_requests(&q, 0, day, HOUR_MS), -1);
    assert_int_equal(tg_quiet_batch(-1), 0);
    for (int d = 0; d < 20; d++) { /* busy from 9 to 17 */
        for (int h = 0; h < 24; h++) {
            int64_t from = day + d * (int64_t)DAY_MS + h * (int64_t)HOUR_MS;

            tg_quiet_note(&q, from, from + HOUR_MS, h >= 9 && h < 17 ? HOUR_MS / 2 : 0, 3600);
        }
    }
    assert_in_range(q.permille[12], 480, 500);
    assert_int_equal(q.permille[3], 0);
    assert_int_equal(tg_quiet_best(&q, day + 10 * HOUR_MS, day + 14 * HOUR_MS),
                     day + 10 * HOUR_MS);
    assert_int_equal(tg_quiet_best(&q, day + 15 * HOUR_MS + 7, day + 19 * HOUR_MS),
                     day + 17 * HOUR_MS);
    assert_int_equal(tg_quiet_best(&q, day + 3 * HOUR_MS + 5, day + 9 * HOUR_MS),
                     day + 3 * HOUR_MS + 5);
    /* 10 a second for an hour; half of it in a busy one */
    assert_int_equal(tg_quiet_requests(&q, 10000, day, HOUR_MS), 36000);
    assert_in_range(tg_quiet_requests(&q, 10000, day + 12 * (int64_t)HOUR_MS, HOUR_MS), 18000,
                    18720);
    assert_int_equal(tg_quiet_batch(0), TG_QUIET_BATCH_MIN);
    assert_int_equal(tg_quiet_batch(200), 1000);
    assert_int_equal(tg_quiet_batch(1000000), TG_QUIET_BATCH_MAX);
}

static int set_up(void **state)
{
    struct tg_error err;

    (void)state;
    return tg_zone_read(&zone, europe, sizeof europe - 1, &err) == TG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weeks),
        cmocka_unit_test(priorities),
        cmocka_unit_test(small_instances),
        cmocka_unit_test(quiet_hours),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
