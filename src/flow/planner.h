/* SPDX-License-Identifier: MIT */
/*
 * planner.h - which runs of which jobs start now, what becomes of the others, when to look again
 *
 *   due (of a schedule, or since the jobs it comes after have succeeded)
 *     | too late to be made up for -> missed     the next is due as well -> merged (coalesce)
 *     | a job it comes after has failed -> upstream
 *   ready -> running -> ok | failed -> again, after a wait, or for good | stopped at its longest
 *     |        \- the next is due meanwhile: skipped, waits, or ends this one (overlap)
 *     \- a place is free, and one slot of each of its pools, and its account is under no flood
 *
 * Each due of a job is settled once, in the order of time, so that "everything up to this instant
 * is settled" is all that is to be remembered of a job.
 *
 * Of the runs that are ready and find room, one of the highest priority is started. Among those,
 * Moore and Hodgson's rule says for each resource (a session, a pool, the places) which can be kept
 * in time: in the order of deadlines, and whenever one would be late, the longest so far is given
 * up. Of all behind which these still can be kept the lightest is first: the one for which length
 * times time left, divided by the jobs that wait for it, is least. For runs that are ready at the
 * same time, on one place or on sessions with a place each, this loses the fewest deadlines there
 * can be, and so it does for runs of equal length, ready at any times, on any number of places.
 *
 * A run works for the deadline that it can still help to keep: its own, that of what comes after
 * it, and, if it is late anyway, that of the first due behind it that can be kept. (To put a late
 * run off makes the next one late, too.) Lengths are those of former runs, a newer one counts for a
 * quarter.
 *
 * Nothing waits for ever: a run whose job has missed its last due, or that others come after, is
 * first of its priority when half of its catch-up window is over, and what it needs is kept free.
 *
 * What fails is tried again after longer and longer waits; when one of them goes well, the trouble
 * is over, and the others that wait are tried at once.
 *
 * Jobs wait in a heap by when something is to be done about them, so that what does not happen
 * costs nothing.
 *
 * Pure: time, schedules and random numbers are arguments.
 *
 * Threads: one at a time
 * Cost: a run that is due O(log jobs); who is first, if not all can be kept, at most 64 * 64 steps,
 * and one for each ready run whose session or pool is taken
 * Limits: 64 ready runs, 64 jobs that come after one, 8 dues ahead are looked at. Nobody knows when
 * a flood or an outage comes, nor how long a run will be; no place is kept free for what is not due
 */
#ifndef TG_PLANNER_H
#define TG_PLANNER_H

#include "flow/backoff.h"

#define TG_PLAN_NEVER (INT64_MAX / 4)
#define TG_PLAN_NONE UINT32_MAX

enum tg_plan_overlap { TG_PLAN_SKIP, TG_PLAN_QUEUE, TG_PLAN_CANCEL };

/** A job as it is configured. Arrays are borrowed. */
struct tg_plan_job {
    int priority;              /* greater ones first */
    enum tg_plan_overlap overlap;
    bool coalesce;             /* of several runs that wait only the last is run */
    bool timed;                /* has a schedule; else it is run when what it comes after was */
    int64_t catch_up_ms;       /* > 0: how late a run may begin */
    int64_t max_ms;            /* a run is stopped then; 0: never */
    int64_t deadline_ms;       /* from when it is due until it shall have ended; 0: none */
    int64_t estimate_ms;       /* how long a run takes, until some were seen */
    uint32_t retries;
    struct tg_backoff backoff;
    uint32_t account;          /* TG_PLAN_NONE: none */
    const uint32_t *pool;      /* of which a run takes a slot each; one may stand there again */
    size_t n_pools;
    const uint32_t *after;     /* jobs */
    size_t n_after;
};

struct tg_plan_setup {
    const struct tg_plan_job *job; /* borrowed for the planner's life */
    size_t n_jobs;
    const uint32_t *slots;     /* of each pool */
    size_t n_pools, n_accounts;
    uint32_t running_max;
    int64_t grace_ms;          /* from a stop to a kill */
    /** @return when a timed job is due next behind that instant, or TG_PLAN_NEVER */
    int64_t (*due)(void *ctx, uint32_t job, int64_t after_ms);
    /** @return when to begin with a run, due_ms or later; NULL: when it is due */
    int64_t (*begin)(void *ctx, uint32_t job, int64_t due_ms);
    void *ctx;
};

/** How a due of a job was settled. */
enum tg_plan_how {
    TG_PLAN_OK,
    TG_PLAN_FAILED,
    TG_PLAN_OVERTIME,  /* it was stopped at its longest */
    TG_PLAN_CANCELLED, /* the next run has ended it */
    TG_PLAN_SKIPPED,   /* it was due while another was at work */
    TG_PLAN_MISSED,    /* too late */
    TG_PLAN_MERGED,    /* the next was due, too */
    TG_PLAN_UPSTREAM,  /* what it comes after has failed */
    TG_PLAN_PAUSED,    /* the job is not to be run now */
    TG_PLAN_HOW_COUNT
};

const char *tg_plan_how_name(enum tg_plan_how how);

/** What the caller is to do. */
struct tg_plan_act {
    enum tg_plan_do {
        TG_PLAN_START, /* then tell how it ended, or tg_planner_elsewhere, or _settled */
        TG_PLAN_STOP,  /* ask the run to end */
        TG_PLAN_KILL,  /* end it */
        TG_PLAN_LATE,  /* tell that its deadline has passed */
        TG_PLAN_TELL,  /* dues were settled without a run */
    } what;
    uint32_t job;
    int64_t due_ms;
    uint32_t attempt;      /* from 1 */
    enum tg_plan_how how;  /* of TG_PLAN_TELL */
    int64_t until_ms;      /* ... of several: when the job is due next */
};

struct tg_planner;

struct tg_planner *tg_planner_new(const struct tg_plan_setup *setup); /* NULL: no memory */
void tg_planner_free(struct tg_planner *p); /* NULL is nothing */

/** Begins with a job: everything up to that instant is settled, and whether the last of it went
 *  well. Each job is begun once, before anything else. */
void tg_planner_begin(struct tg_planner *p, uint32_t job, int64_t settled_ms, bool ok,
                      int64_t estimate_ms, int64_t now_ms);

/** Begins with a job that is at work: it was started then. */
void tg_planner_adopt(struct tg_planner *p, uint32_t job, int64_t due_ms, uint32_t attempt,
                      int64_t started_ms, int64_t now_ms);

/** @return the next thing to do now; false: nothing is left to do before tg_planner_wake */
bool tg_planner_next(struct tg_planner *p, int64_t now_ms, struct tg_plan_act *ret);
int64_t tg_planner_wake(const struct tg_planner *p);

/** A run has ended so. @param again  whether it may be tried again if it has failed
 *  @return true: its due is settled, as *how, which may be OVERTIME or CANCELLED now; false: it is
 *  tried again */
bool tg_planner_ended(struct tg_planner *p, uint32_t job, int64_t now_ms, bool again,
                      uint64_t random, enum tg_plan_how *how);

/** The run was not started: somebody else has the job. It is asked for again then. */
void tg_planner_elsewhere(struct tg_planner *p, uint32_t job, int64_t until_ms);

/** The run was not started: everything up to that instant is settled already. */
void tg_planner_settled(struct tg_planner *p, uint32_t job, int64_t settled_ms, bool ok,
                        int64_t now_ms);

/** Nothing of an account is started until then. */
void tg_planner_flood(struct tg_planner *p, uint32_t account, int64_t until_ms);

/* ---- what is known of a job ---- */

struct tg_plan_view {
    bool running, stopping;
    int64_t settled_ms, next_ms; /* next_ms: the due at hand, running or not */
    bool ok;
    uint32_t attempt;
    int64_t begin_ms;            /* when it is looked at next, if it does not run */
    int64_t estimate_ms;
};
struct tg_plan_view tg_planner_view(const struct tg_planner *p, uint32_t job);
uint32_t tg_planner_running(const struct tg_planner *p);

#endif
