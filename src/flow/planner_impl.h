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
    int64_t deadline_ms;           /* of the run that is ready, as it is ranked */
    int64_t aim_ms, n_ahead;       /* the due whose deadline that is, and how many are before it */
    uint32_t attempt;
    bool ok, late, waited;         /* waited: for what it comes after */
    bool starved;                  /* the due before was missed: no run since */
    bool old;                      /* ... and has been ready for so long that it is first */
    bool woken;                    /* was tried again before its wait was over */
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
    bool stuck; /* none that is ready has room, as long as none ends and the same are ready */
    bool waiting;                  /* some that have failed are to be tried again */
    /* Of each pool, and behind them of all places: how long runs take. */
    int64_t *ready_ms;             /* ... those that are ready */
    int64_t *load_ms;              /* ... while it is worked out what can be kept */
};

void tg_plan_wake_at(struct tg_planner *p, struct tg_plan_entry *j, int64_t at_ms);
void tg_plan_push(struct tg_planner *p, struct tg_plan_heap *h, uint32_t job);
void tg_plan_take_out(struct tg_planner *p, struct tg_plan_heap *h, size_t at);

/* ---- planner.c ---- */

int64_t tg_plan_due(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t after_ms);

/** @return when to tell that it is late */
int64_t tg_plan_late_at(const struct tg_plan_entry *j);

/* ---- planner_pick.c ---- */

/** The run is ready, and ranked by what is known now. */
void tg_plan_ready(struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms);

/** @return when a run that is ready has waited so long that it is first */
int64_t tg_plan_old_at(const struct tg_plan_entry *j);

/** @return the ready run to start, out of the heap; TG_PLAN_NONE: none can be */
uint32_t tg_plan_pick(struct tg_planner *p, int64_t now_ms);

/** Adds to the sums of its pools and of the places. */
void tg_plan_load(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t takes_ms,
                  int64_t *sum_ms);

/** Takes the slots of its pools, or gives them back. */
void tg_plan_use(struct tg_planner *p, const struct tg_plan_entry *j, bool use);

#endif
