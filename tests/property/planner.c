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
#include "flow/timing.h"
#include "tests/seeds.h"

enum { SEEDS = 240, JOBS = 40, ACCOUNTS = 8, SPANS = 64, RUNS_MAX = 40000,
       MINUTE_MS = 60000, HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

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
    uint64_t n_how[TG_PLAN_HOW_COUNT], n_dues, n_told, n_missed;
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
    static const int64_t begin_s[] = { 1806019200, 1824768000 }; /* 2027-03-25, 2027-10-28 */
    static const struct {
        const char *text;
        uint32_t every_min;
    } when[] = { { "every 15 minutes", 15 }, { "every 1 hour", 60 },  { "*/30 * * * *", 30 },
                 { "every 6 hours", 360 },   { "02:30", 1440 },       { "daily 02:00,14:00", 720 },
                 { "mon-fri 08:30", 1440 },  { "0 */4 * * *", 240 } };
    struct tg_error err;
    int64_t load = 0;

    w = (struct world){ .r = { seed }, .begin_ms = begin_s[seed % 2] * 1000 };
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
            .retries = 10, /* these are the scheduler's defaults */
            .backoff = { 30000000, 900000000, 2000, true },
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

enum edf_rules { EDF_WAITS_FOR_NONE, EDF_WAITS, EDF_WAITS_AND_INHERITS };

struct job_run {
    int64_t due_ms, deadline_ms, key_ms, work_ms, end_ms;
    uint32_t job;
    bool begun;
};

static struct {
    struct job_run run[RUNS_MAX], *by_due[RUNS_MAX];
    size_t n, first[JOBS + 1];      /* of each job */
    size_t next[JOBS];              /* ... that has not ended */
} e;

static int compare_due(const void *a, const void *b)
{
    const struct job_run *x = *(struct job_run *const *)a, *y = *(struct job_run *const *)b;

    if (x->due_ms != y->due_ms)
        return x->due_ms < y->due_ms ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

static void list_runs(enum edf_rules rules)
{
    e.n = 0;
    for (uint32_t i = 0; i < w.n_jobs; i++) {
        e.next[i] = e.first[i] = e.n;
        for (int64_t at = w.begin_ms - 1; (at = due(NULL, i, at)) < TG_PLAN_NEVER && e.n < RUNS_MAX;
             e.n++) {
            int64_t deadline_ms = at + w.plan[i].deadline_ms;

            e.run[e.n] = (struct job_run){ at, deadline_ms, deadline_ms, length_of(i, at),
                                           TG_PLAN_NEVER, i, false };
            e.by_due[e.n] = &e.run[e.n];
        }
    }
    e.first[w.n_jobs] = e.n;
    for (uint32_t i = w.n_jobs; rules == EDF_WAITS_AND_INHERITS && i-- > 0;) {
        size_t other = w.plan[i].n_after ? e.first[w.after[i]] : 0;

        for (size_t k = e.first[i]; w.plan[i].n_after && k < e.first[i + 1]; k++) {
            while (other < e.first[w.after[i] + 1] && e.run[other].due_ms <= e.run[k].due_ms)
                other++;
            if (other > e.first[w.after[i]])
                e.run[other - 1].key_ms = TG_MIN(e.run[other - 1].key_ms,
                                                 e.run[k].key_ms - e.run[k].work_ms);
        }
    }
    qsort(e.by_due, e.n, sizeof *e.by_due, compare_due);
}

/* Until when it waits for what it comes after; 0: it need not. */
static int64_t waits_until(const struct job_run *r, int64_t now_ms)
{
    uint32_t a = w.after[r->job];

    if (!w.plan[r->job].n_after)
        return 0;
    while (e.next[a] < e.first[a + 1] && e.run[e.next[a]].end_ms <= now_ms)
        e.next[a]++;
    return e.next[a] < e.first[a + 1] && e.run[e.next[a]].due_ms <= r->due_ms
               ? e.run[e.next[a]].end_ms : 0;
}

/* The deadlines that it misses. In floods and outages runs stand still. */
static uint64_t edf_misses(enum edf_rules rules)
{
    int64_t free_ms[8] = { 0 }, account_ms[ACCOUNTS] = { 0 }, now = w.begin_ms;
    uint64_t missed = 0;

    list_runs(rules);
    for (size_t low = 0; low < e.n;) {
        struct job_run *best = NULL;
        int64_t next = TG_PLAN_NEVER;
        size_t place = 0, i;
        uint32_t account;

        for (size_t k = 1; k < w.places; k++)
            place = free_ms[k] < free_ms[place] ? k : place;
        now = TG_MAX(now, free_ms[place]);
        for (i = low; i < e.n && e.by_due[i]->due_ms <= now; i++) {
            struct job_run *r = e.by_due[i];
            int64_t held_ms = account_ms[w.account_of[r->job]];

            if (r->begun)
                continue;
            if (rules != EDF_WAITS_FOR_NONE)
                held_ms = TG_MAX(held_ms, waits_until(r, now));
            if (held_ms > now)
                next = TG_MIN(next, held_ms);
            else if (!best || r->key_ms < best->key_ms)
                best = r;
        }
        if (!best) {
            now = i < e.n ? TG_MIN(next, e.by_due[i]->due_ms) : next;
            continue;
        }
        account = w.account_of[best->job];
        best->end_ms = TG_MAX(done_at(now, best->work_ms, w.flood[account], w.n_floods[account]),
                              done_at(now, best->work_ms, w.outage, w.n_outages));
        best->begun = true;
        free_ms[place] = account_ms[account] = best->end_ms;
        missed += best->end_ms > best->deadline_ms;
        while (low < e.n && e.by_due[low]->begun)
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

/* ---- many weeks ---- */

/* Of each week: deadlines missed above a bound, in parts of 10,000 of all. */
struct above {
    int64_t part[SEEDS], missed, bound, deadlines;
    size_t n;
};

static void note(struct above *a, uint64_t missed, uint64_t bound, uint64_t deadlines)
{
    a->part[a->n++] = ((int64_t)missed - (int64_t)bound) * 10000 / (int64_t)deadlines;
    a->missed += (int64_t)missed;
    a->bound += (int64_t)bound;
    a->deadlines += (int64_t)deadlines;
}

static int compare_parts(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Of all weeks together at most 1 % above the bound, of each at most that much. */
static void judge(struct above *a, const char *bound, int64_t most)
{
    size_t n_above = 0;
    double sum = 0;

    qsort(a->part, a->n, sizeof *a->part, compare_parts);
    for (size_t i = 0; i < a->n; i++)
        sum += (double)a->part[i], n_above += a->part[i] > 100;
    print_message("%zu weeks, %lld deadlines, %lld missed, by %s %lld: all %+.2f %%, weeks: mean "
                  "%+.2f, p95 %+.2f, most %+.2f %%, %zu above 1 %%\n",
                  a->n, (long long)a->deadlines, (long long)a->missed, bound, (long long)a->bound,
                  (double)(a->missed - a->bound) * 100 / (double)a->deadlines,
                  sum / (double)a->n / 100,
                  (double)a->part[a->n * 95 / 100] / 100, (double)a->part[a->n - 1] / 100, n_above);
    assert_true(a->missed <= a->bound + a->deadlines / 100);
    assert_true(a->part[a->n - 1] <= most);
}

static void live_a_week(bool after)
{
    struct tg_planner *p;
    uint64_t runs;

    draw_world(1, 0, 300 + (uint32_t)(seed % 4) * 150);
    for (uint32_t i = 0; i < w.n_jobs && !after; i++)
        w.plan[i].n_after = 0;
    p = make(w.plan, w.n_jobs, w.places, due);
    live(p);
    runs = w.n_how[TG_PLAN_OK] + w.n_how[TG_PLAN_FAILED];
    check(runs + w.n_told == w.n_dues, "not each due was settled", 0);
    tg_planner_free(p);
}

static void weeks_of_jobs_that_wait_for_none(void **state)
{
    struct above all = { .n = 0 };

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        live_a_week(false);
        note(&all, w.n_missed, edf_misses(EDF_WAITS_FOR_NONE), w.n_dues);
    }
    judge(&all, "earliest deadline first", 100);
}

/* What comes after others waits for them. Compared with the better of two that let it wait, too,
 * and with one that does not: that is more than can be reached. */
static void weeks_of_jobs_that_wait(void **state)
{
    struct above waits = { .n = 0 }, free = { .n = 0 };

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        uint64_t plain, inherits;

        live_a_week(true);
        plain = edf_misses(EDF_WAITS);
        inherits = edf_misses(EDF_WAITS_AND_INHERITS);
        note(&waits, w.n_missed, TG_MIN(plain, inherits), w.n_dues);
        note(&free, w.n_missed, edf_misses(EDF_WAITS_FOR_NONE), w.n_dues);
    }
    judge(&waits, "earliest deadline first", 100);
    judge(&free, "one that lets nothing wait", 400);
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

static int set_up(void **state)
{
    struct tg_error err;

    (void)state;
    return tg_zone_read(&zone, europe, sizeof europe - 1, &err) == TG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weeks_of_jobs_that_wait_for_none),
        cmocka_unit_test(weeks_of_jobs_that_wait),
        cmocka_unit_test(priorities),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
