/* SPDX-License-Identifier: MIT */
/*
 * tasks.h - which task a free worker takes next
 *
 *   DELAYED --due--> READY --take--> RUNNING --over, or the last attempt failed--> gone
 *      ^               ^                |
 *      +---------------+-- reschedule, failed
 *
 * Between tenants: shares by weight of what their tasks cost (requests, rows: tg_tasks_charge), by
 * virtual time. A tenant's clock advances by cost / weight; the one that is furthest behind is
 * served. A run counts at once with what its tenant's runs cost on average, so that several workers
 * that become free together spread; what it truly costs replaces that. Somebody who has nothing to
 * do gains no credit: his clock is set to that of the others when he comes back. Nor does somebody
 * whose tasks may not run for long: those behind the leader by more than two of the dearest runs
 * lately, at the lowest weight, are moved up together.
 *
 * Within a tenant: the lowest of (when it became due + priority * TG_TASKS_AGE_US), that is high
 * before normal before low and first come, first served within each, but none starves: a low task
 * is overtaken by high ones for ten minutes, by normal ones for five, and by none that became due
 * later than that.
 *
 * A task says what it needs with a number of the caller's (a set of accounts, say), and the caller
 * is asked for each number whether that may run now.
 *
 * Cost: tg_tasks_take O(pairs of tenant and needs), the rest O(log n) at most, tg_tasks_add O(needs
 * of that tenant) besides. Memory: 164 bytes a task, allocated in tg_tasks_add alone.
 *
 * Time: any microseconds that do not go back. Pure: no clock, no randomness.
 *
 * Threads: none: value type      Limits: tasks as given at init; 256 tenants
 */
#ifndef TG_TASKS_H
#define TG_TASKS_H

#include "base/base.h"
#include "tgdata/parallel.h" /* enum tg_priority */

#define TG_TASKS_AGE_US (300 * TG_SECOND_US)

enum { TG_TASKS_MAX = 1 << 20, TG_TASKS_TENANTS = 256, TG_TASKS_WEIGHT_MAX = 1000 };

enum tg_task_state {
    TG_TASK_GONE,
    TG_TASK_DELAYED,
    TG_TASK_READY,
    TG_TASK_RUNNING,
    TG_TASK_STATES
};

struct tg_task {
    /* given */
    void *of;               /* the caller's */
    uint64_t needs;         /* what tg_tasks_may_fn is asked about */
    uint32_t tenant;        /* 0..TG_TASKS_TENANTS - 1 */
    enum tg_priority priority;
    uint32_t attempts_max;  /* runs that may fail; 0: no end */
    int64_t due_us;         /* not before; once it is READY, since when */
    int64_t ahead_us;       /* it stands as if it had become due that much earlier; all tasks of the
                               same tenant and needs should have the same */
    /* kept */
    uint64_t id;            /* never 0, never given to another task */
    enum tg_task_state state;
    uint32_t attempts;      /* runs that failed */
    uint64_t cost;          /* of all its runs */
    uint64_t run_cost;      /* of this run, or the last */
};

struct tg_tasks_tenant {
    uint32_t weight;
    uint32_t n[TG_TASK_STATES]; /* tasks in each state */
    uint64_t cost;              /* charged in all */
    /* private */
    uint64_t clock;             /* cost / weight, in 2^-20 */
    uint64_t mean, dearest;     /* of its runs' costs lately; 0 unknown */
    int64_t idle_us;            /* since when it has neither ready nor running tasks */
    uint32_t groups;            /* first of its list, + 1 */
};

struct tg_tasks {
    struct tg_tasks_tenant tenant[TG_TASKS_TENANTS];
    uint32_t n[TG_TASK_STATES];
    /* private */
    struct tasks_slot *slot;
    struct tasks_group *group;
    uint32_t *heap;             /* delayed ones, the earliest first */
    uint32_t slots, slots_max, groups, free_slot, free_group;
    uint64_t serial, order;
    uint64_t mean;              /* of all tenants' runs */
    int64_t last_us;
};

/** @param n_max  tasks at once, 1..TG_TASKS_MAX */
void tg_tasks_init(struct tg_tasks *t, uint32_t n_max);
void tg_tasks_done(struct tg_tasks *t);

/** Gives a tenant a weight of 1..TG_TASKS_WEIGHT_MAX, from now on; 1 if none was given. */
void tg_tasks_weight(struct tg_tasks *t, uint32_t tenant, uint32_t weight);

/**
 * Takes up a task.
 * @param task  what is marked as given; copied
 * @return TG_LIMIT: there are n_max; TG_NOMEM
 */
tg_code tg_tasks_add(struct tg_tasks *t, const struct tg_task *task, int64_t now_us,
                     uint64_t *ret_id, struct tg_error *err) TG_MUST_CHECK;

/** @return whether something with these needs and that priority may run now */
typedef bool (*tg_tasks_may_fn)(void *ctx, uint64_t needs, enum tg_priority priority);

/**
 * A worker is free.
 * @param may  NULL: everything may run
 * @return the task to run, until the next call; NULL: none that is due may run. Ask again at
 *         tg_tasks_due, when a task was added, and when `may` would answer otherwise
 */
const struct tg_task *tg_tasks_take(struct tg_tasks *t, tg_tasks_may_fn may, void *ctx,
                                    int64_t now_us);

/** @return when the next delayed task is due; INT64_MAX: there is none */
int64_t tg_tasks_due(const struct tg_tasks *t);

/** @return the task, until the next call; NULL: it is gone. So for all that take an id below. */
const struct tg_task *tg_tasks_find(const struct tg_tasks *t, uint64_t id);

/** A running task has cost so much more. A run that reports less than 1 in all counts as 1.
 *  @return false: the task does not run */
bool tg_tasks_charge(struct tg_tasks *t, uint64_t id, uint64_t cost);

/** A task is over, in whatever state it was. @return false: it is gone already */
bool tg_tasks_over(struct tg_tasks *t, uint64_t id, int64_t now_us);

/** Lets a task wait, in whatever state it was, and then stand behind those of the same priority.
 *  @return false: it is gone */
bool tg_tasks_reschedule(struct tg_tasks *t, uint64_t id, int64_t delay_us,
                         enum tg_priority priority, int64_t now_us);

/** A running task failed: counts the attempt and reschedules it.
 *  @return false: that was its last attempt, and it is gone; or it did not run */
bool tg_tasks_failed(struct tg_tasks *t, uint64_t id, int64_t delay_us, enum tg_priority priority,
                     int64_t now_us);

#endif
