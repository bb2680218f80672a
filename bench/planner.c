/* SPDX-License-Identifier: MIT */
/*
 * planner.c - what ten thousand schedules cost: a day on a virtual clock, the processor time that
 *             planning and schedules take of it
 *
 * bench_planner [JOBS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "flow/planner.h"
#include "flow/timing.h"

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

static struct tg_timing *timing;

static int64_t due(void *ctx, uint32_t job, int64_t after_ms)
{
    (void)ctx;
    return tg_timing_next(&timing[job], &tg_zone_utc, tg_floor_div(after_ms, 1000)).at_s * 1000;
}

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct work {
    const char *name, *const *text;
    size_t n_texts;
    uint32_t places, sessions; /* each used by one run at a time; 0: none is needed */
};

/* Each run takes 3 s; those that run end in the order they began. */
static void day(size_t n, const struct work *w)
{
    const uint32_t places = w->places;
    struct tg_plan_job *plan = calloc(n, sizeof *plan);
    struct tg_planner *p;
    struct tg_error err;
    uint32_t *running = calloc(places, sizeof *running);
    uint32_t *session = calloc(n, sizeof *session), *slots = calloc(n, sizeof *slots);
    int64_t *end_ms = calloc(places, sizeof *end_ms), now_ms = 0;
    uint64_t head = 0, tail = 0, runs = 0;
    double begun_s;

    timing = calloc(n, sizeof *timing);
    if (!plan || !running || !end_ms || !timing || !session || !slots)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        if (tg_cron_parse(&timing[i].cron, w->text[i % w->n_texts], &err) != TG_OK)
            exit(1);
        timing[i].jitter_s = 30;
        timing[i].seed = i;
        session[i] = w->sessions ? (uint32_t)i % w->sessions : 0;
        slots[i] = 1;
        plan[i] = (struct tg_plan_job){ .timed = true, .catch_up_ms = HOUR_MS,
                                        .deadline_ms = 10 * 60000, .estimate_ms = 3000,
                                        .account = TG_PLAN_NONE, .pool = &session[i],
                                        .n_pools = w->sessions != 0 };
    }
    begun_s = cpu_s();
    p = tg_planner_new(&(struct tg_plan_setup){ .job = plan, .n_jobs = n, .due = due,
                                                .running_max = places, .slots = slots,
                                                .n_pools = n });
    if (!p)
        exit(1);
    for (size_t i = 0; i < n; i++)
        tg_planner_begin(p, (uint32_t)i, -1, true, 0, 0);
    while (now_ms < DAY_MS) {
        struct tg_plan_act act;
        enum tg_plan_how how = TG_PLAN_OK;

        while (tg_planner_next(p, now_ms, &act)) {
            if (act.what != TG_PLAN_START)
                continue;
            running[tail % places] = act.job;
            end_ms[tail++ % places] = now_ms + 3000;
            runs++;
        }
        now_ms = tg_planner_wake(p);
        if (head < tail && end_ms[head % places] <= now_ms) {
            now_ms = end_ms[head % places];
            tg_planner_ended(p, running[head++ % places], now_ms, false, 0, &how);
        }
    }
    begun_s = cpu_s() - begun_s;
    printf("%-28s %6zu schedules %8llu runs a day %8.2f s of processor time, %.4f %% of a core\n",
           w->name, n, (unsigned long long)runs, begun_s, begun_s / 864);
    tg_planner_free(p);
    free(plan);
    free(timing);
    free(running);
    free(end_ms);
    free(session);
    free(slots);
}

int main(int argc, char **argv)
{
    static const char *const mixed[] = { "every 15 minutes", "every 1 hour", "*/30 * * * *",
                                         "every 6 hours", "02:30", "mon-fri 08:30" };
    static const char *const often[] = { "every 1 minute" };
    static const char *const at_once[] = { "02:00" };
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;

    day(n, &(struct work){ "15 minutes to a day", mixed, TG_COUNT(mixed), 64, 0 });
    day(n, &(struct work){ "... with 100 sessions", mixed, TG_COUNT(mixed), 64, 100 });
    day(n, &(struct work){ "each minute", often, TG_COUNT(often), 1000, 0 });
    day(n, &(struct work){ "all at 02:00, 64 at a time", at_once, TG_COUNT(at_once), 64, 0 });
    day(n, &(struct work){ "... with 100 sessions", at_once, TG_COUNT(at_once), 64, 100 });
    return 0;
}
