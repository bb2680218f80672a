/* SPDX-License-Identifier: MIT */
/*
 * planner_impl.h - a planner's jobs, and the two heaps they stand in
 *
 * A job is in the heap `wake` by wake_ms, and if it is ready in the heap `ready` by what makes it
 * first. What a heap is sorted by changes only through the functions below, or while the job is
 * not in it.
 *
 * Threads: none
 */
#ifndef TG_PLANNER_IMPL_H
#define TG_PLANNER_IMPL_H

#include "flow/planner.h"

enum tg_plan_state { ASLEEP, BLOCKED, READY, RUNNING };
enum { TG_PLAN_LOOK_MAX = 64 };

struct tg_plan_entry {
    const struct tg_plan_job *conf;
    enum tg_plan_state state;
    int64_t wake_ms;
    uint32_t at_wake, at_ready;    /* places in the heaps */
    int64_t settled_ms, next_ms;
    int64_t begin_ms;              /* not before: a quieter hour, a retry, a lease elsewhere */
    int64_t since_ms;              /* from when on it could have been run */
    int64_t started_ms, over_ms;   /* of the run; over_ms: the due behind it that is not told yet */
    int64_t skipped_ms;            /* ... the last that was left out for it */
    int64_t estimate_ms;
    int64_t deadline_ms;           /* tg_plan_deadline, since it is ready */
    uint32_t attempt;
    bool ok, late, waited;         /* waited: for what it comes after */
    enum { GOES_ON, STOPPED, KILLED } ending;
    enum tg_plan_how ending_how;
    int64_t kill_ms;
    uint32_t *then;                /* jobs that come after it */
    size_t n_then;
};

/* A binary heap of jobs. */
struct tg_plan_heap {
    uint32_t *job;
    size_t n;
};

struct tg_planner {
    struct tg_plan_setup setup;
    struct tg_plan_entry *job;
    struct tg_plan_heap wake, ready;
    uint32_t *aside, *then;
    uint32_t *used;                /* slots of each pool */
    int64_t *flood_ms;             /* of each account: until when */
    uint32_t running;
    int64_t ready_sum_ms;          /* how long those take that are ready */
};

/** When a run shall have ended; of one without a deadline, before it is too late to begin. */
int64_t tg_plan_deadline(const struct tg_plan_entry *j);

void tg_plan_wake_at(struct tg_planner *p, struct tg_plan_entry *j, int64_t at_ms);
void tg_plan_push(struct tg_planner *p, struct tg_plan_heap *h, uint32_t job);
void tg_plan_take_out(struct tg_planner *p, struct tg_plan_heap *h, size_t at);

/** Of runs in the order of their deadlines, the first of those that can be kept in time; if none
 *  can, the shortest. */
uint32_t tg_plan_first_kept(const struct tg_planner *p, const uint32_t *run, size_t n,
                            int64_t now_ms);

#endif
