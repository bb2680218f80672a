/* SPDX-License-Identifier: MIT */
/*
 * planner.c - see planner.h
 *
 * look() decides for one job whose time has come, and does one thing at a time.
 */
#include <assert.h>

#include "flow/planner_impl.h"

enum { ESTIMATE_SHARE = 4 };

/* ---- dues ---- */

static void leave_ready(struct tg_planner *p, struct tg_plan_entry *j)
{
    if (j->state == READY)
        tg_plan_take_out(p, &p->ready, j->at_ready);
    j->state = ASLEEP;
}

static uint32_t number(const struct tg_planner *p, const struct tg_plan_entry *j)
{
    return (uint32_t)(j - p->job);
}

int64_t tg_plan_due(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t after_ms)
{
    return after_ms >= TG_PLAN_NEVER ? TG_PLAN_NEVER
                                     : p->setup.due(p->setup.ctx, number(p, j), after_ms);
}

/* Of a job without a schedule: due when each job it comes after has succeeded since it was. */
static int64_t triggered(const struct tg_planner *p, const struct tg_plan_entry *j)
{
    int64_t due_ms = j->settled_ms;

    for (size_t i = 0; i < j->conf->n_after; i++) {
        const struct tg_plan_entry *a = &p->job[j->conf->after[i]];

        if (!a->ok || a->settled_ms <= j->settled_ms)
            return TG_PLAN_NEVER;
        due_ms = TG_MAX(due_ms, a->settled_ms);
    }
    return j->conf->n_after ? due_ms : TG_PLAN_NEVER;
}

/* The job turns to its next due; it is looked at when that comes. */
static void turn_to(struct tg_planner *p, struct tg_plan_entry *j, int64_t next_ms, int64_t now_ms)
{
    j->next_ms = j->begin_ms = j->aim_ms = next_ms;
    j->attempt = 0;
    j->n_ahead = 0;
    j->late = j->waited = j->woken = false;
    j->ending = GOES_ON;
    if (next_ms < TG_PLAN_NEVER && p->setup.begin && j->conf->timed)
        j->begin_ms = TG_MAX(p->setup.begin(p->setup.ctx, number(p, j), next_ms), next_ms);
    j->since_ms = j->conf->timed ? j->begin_ms : now_ms;
    if (j->conf->timed || next_ms >= TG_PLAN_NEVER)
        tg_plan_wake_at(p, j, j->begin_ms);
    else
        tg_plan_wake_at(p, j, now_ms);
}

/* Everything up to settled_ms is; those that come after the job look again. */
static void settle(struct tg_planner *p, struct tg_plan_entry *j, int64_t settled_ms,
                   int64_t next_ms, int64_t now_ms)
{
    leave_ready(p, j);
    j->settled_ms = settled_ms;
    turn_to(p, j, j->conf->timed ? next_ms : triggered(p, j), now_ms);
    for (size_t i = 0; i < j->n_then; i++) {
        struct tg_plan_entry *t = &p->job[j->then[i]];

        if (t->state == BLOCKED)
            tg_plan_wake_at(p, t, now_ms);
        else if (!t->conf->timed && t->state == ASLEEP && t->next_ms == TG_PLAN_NEVER)
            turn_to(p, t, triggered(p, t), now_ms);
    }
}

static void settle_as(struct tg_planner *p, struct tg_plan_entry *j, enum tg_plan_how how,
                      int64_t settled_ms, int64_t next_ms, int64_t now_ms)
{
    if (how != TG_PLAN_SKIPPED && how != TG_PLAN_MERGED)
        j->ok = how == TG_PLAN_OK;
    settle(p, j, settled_ms, next_ms, now_ms);
}

/* ---- what is to be done about one job ---- */

static bool tell_late(struct tg_plan_entry *j, int64_t now_ms, struct tg_plan_act *ret)
{
    if (j->late || !j->conf->deadline_ms || now_ms < j->next_ms + j->conf->deadline_ms)
        return false;
    j->late = true;
    ret->what = TG_PLAN_LATE;
    return true;
}

int64_t tg_plan_late_at(const struct tg_plan_entry *j)
{
    return j->late || !j->conf->deadline_ms ? TG_PLAN_NEVER : j->next_ms + j->conf->deadline_ms;
}

static bool stop(struct tg_planner *p, struct tg_plan_entry *j, enum tg_plan_how how,
                 int64_t now_ms, struct tg_plan_act *ret)
{
    j->ending = STOPPED;
    j->ending_how = how;
    j->kill_ms = now_ms + p->setup.grace_ms;
    ret->what = TG_PLAN_STOP;
    return true;
}

static bool look_running(struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms,
                         struct tg_plan_act *ret)
{
    const struct tg_plan_job *c = j->conf;
    int64_t wake_ms;

    if (tell_late(j, now_ms, ret))
        return true;
    if (j->ending == STOPPED && now_ms >= j->kill_ms) {
        j->ending = KILLED;
        ret->what = TG_PLAN_KILL;
        return true;
    }
    if (j->ending == GOES_ON && c->max_ms && now_ms >= j->started_ms + c->max_ms)
        return stop(p, j, TG_PLAN_OVERTIME, now_ms, ret);
    if (c->timed && now_ms >= j->over_ms && c->overlap == TG_PLAN_SKIP) {
        ret->what = TG_PLAN_TELL;
        ret->how = TG_PLAN_SKIPPED;
        ret->due_ms = j->over_ms;
        j->skipped_ms = j->over_ms;
        ret->until_ms = j->over_ms = tg_plan_due(p, j, j->over_ms);
        return true;
    }
    if (c->timed && now_ms >= j->over_ms && c->overlap == TG_PLAN_CANCEL && j->ending == GOES_ON)
        return stop(p, j, TG_PLAN_CANCELLED, now_ms, ret);
    wake_ms = tg_plan_late_at(j);
    if (j->ending == STOPPED)
        wake_ms = TG_MIN(wake_ms, j->kill_ms);
    if (j->ending == GOES_ON && c->max_ms)
        wake_ms = TG_MIN(wake_ms, j->started_ms + c->max_ms);
    if (c->timed && c->overlap == TG_PLAN_SKIP)
        wake_ms = TG_MIN(wake_ms, j->over_ms);
    if (c->timed && c->overlap == TG_PLAN_CANCEL && j->ending == GOES_ON)
        wake_ms = TG_MIN(wake_ms, j->over_ms);
    tg_plan_wake_at(p, j, wake_ms);
    return false;
}

/* What a job comes after: settled up to its own due, and well? */
static enum { MET, UNMET, BROKEN } look_after(const struct tg_planner *p,
                                              const struct tg_plan_entry *j)
{
    for (size_t i = 0; i < j->conf->n_after; i++) {
        const struct tg_plan_entry *a = &p->job[j->conf->after[i]];

        if (a->next_ms <= j->next_ms)
            return UNMET;
        if (!a->ok)
            return BROKEN;
    }
    return MET;
}

/* What it comes after has got more pressing. */
static void press(struct tg_planner *p, const struct tg_plan_entry *j, int64_t now_ms)
{
    for (size_t i = 0; i < j->conf->n_after; i++) {
        struct tg_plan_entry *a = &p->job[j->conf->after[i]];

        if (a->state == READY)
            tg_plan_ready(p, a, now_ms);
    }
}

static bool give_up(struct tg_planner *p, struct tg_plan_entry *j, enum tg_plan_how how,
                    int64_t next_ms, int64_t now_ms, struct tg_plan_act *ret)
{
    ret->what = TG_PLAN_TELL;
    ret->how = how;
    ret->until_ms = next_ms;
    j->starved |= how == TG_PLAN_MISSED;
    settle_as(p, j, how, how == TG_PLAN_MISSED && j->conf->timed ? TG_MIN(next_ms, now_ms) - 1
                                                                 : j->next_ms, next_ms, now_ms);
    return true;
}

/* A due that does not run yet. Only a first try can be missed, merged, or left out. */
static bool look_waiting(struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms,
                         struct tg_plan_act *ret)
{
    const struct tg_plan_job *c = j->conf;
    int64_t wake_ms, behind_ms = TG_PLAN_NEVER;

    if (j->next_ms >= TG_PLAN_NEVER) {
        tg_plan_wake_at(p, j, TG_PLAN_NEVER);
        return false;
    }
    if (tell_late(j, now_ms, ret))
        return true;
    if (now_ms < j->begin_ms) {
        tg_plan_wake_at(p, j, TG_MIN(j->begin_ms, tg_plan_late_at(j)));
        return false;
    }
    if (c->timed && c->n_after && j->attempt == 0) {
        int met = look_after(p, j);

        if (met == BROKEN)
            return give_up(p, j, TG_PLAN_UPSTREAM, tg_plan_due(p, j, j->next_ms), now_ms, ret);
        if (met == UNMET) {
            leave_ready(p, j);
            j->state = BLOCKED;
            j->waited = true;
            tg_plan_wake_at(p, j, tg_plan_late_at(j)); /* or when the other is settled */
            press(p, j, now_ms);
            return false;
        }
        if (j->waited)
            j->since_ms = now_ms;
        j->waited = false;
    }
    if (j->attempt == 0 && now_ms - j->since_ms > c->catch_up_ms)
        return give_up(p, j, TG_PLAN_MISSED,
                       c->timed ? tg_plan_due(p, j, TG_MAX(j->next_ms, now_ms - c->catch_up_ms - 1))
                                : TG_PLAN_NEVER, now_ms, ret);
    if (j->attempt == 0 && c->timed && c->coalesce) {
        behind_ms = tg_plan_due(p, j, j->next_ms);
        if (behind_ms <= now_ms)
            return give_up(p, j, TG_PLAN_MERGED, behind_ms, now_ms, ret);
    }
    tg_plan_ready(p, j, now_ms);
    wake_ms = j->attempt ? TG_PLAN_NEVER : j->since_ms + c->catch_up_ms + 1;
    if (!j->old)
        wake_ms = TG_MIN(wake_ms, tg_plan_old_at(j));
    tg_plan_wake_at(p, j, TG_MIN(TG_MIN(wake_ms, tg_plan_late_at(j)), behind_ms));
    return false;
}

static bool look(struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms,
                 struct tg_plan_act *ret)
{
    *ret = (struct tg_plan_act){ .job = number(p, j), .due_ms = j->next_ms,
                                 .attempt = j->attempt };
    return j->state == RUNNING ? look_running(p, j, now_ms, ret)
                               : look_waiting(p, j, now_ms, ret);
}

/* ---- runs begin and end ---- */

static void run_it(struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms)
{
    j->state = RUNNING;
    j->starved = false;
    j->started_ms = now_ms;
    j->ending = GOES_ON;
    if (j->attempt == 0)
        j->over_ms = j->conf->timed ? tg_plan_due(p, j, j->next_ms) : TG_PLAN_NEVER;
    p->running++;
    tg_plan_use(p, j, true);
    tg_plan_wake_at(p, j, now_ms);
}

static void end_it(struct tg_planner *p, struct tg_plan_entry *j)
{
    assert(j->state == RUNNING && p->running > 0);
    j->state = ASLEEP;
    p->running--;
    p->stuck = false;
    tg_plan_use(p, j, false);
}

bool tg_planner_next(struct tg_planner *p, int64_t now_ms, struct tg_plan_act *ret)
{
    struct tg_plan_entry *j;
    uint32_t first;

    while (p->wake.n && p->job[p->wake.job[0]].wake_ms <= now_ms)
        if (look(p, &p->job[p->wake.job[0]], now_ms, ret))
            return true;
    if (p->running >= p->setup.running_max || !p->ready.n || p->stuck)
        return false;
    first = tg_plan_pick(p, now_ms);
    p->stuck = first == TG_PLAN_NONE;
    if (p->stuck)
        return false;
    j = &p->job[first];
    run_it(p, j, now_ms);
    j->attempt++;
    *ret = (struct tg_plan_act){ TG_PLAN_START, first, j->next_ms, j->attempt, TG_PLAN_OK, 0 };
    return true;
}

int64_t tg_planner_wake(const struct tg_planner *p)
{
    return p->wake.n ? p->job[p->wake.job[0]].wake_ms : TG_PLAN_NEVER;
}

/* ---- what came of it ---- */

/* What had failed went well: whatever the trouble was is over, and others that have failed need not
 * wait any longer. Each once, so that what fails for a reason of its own keeps to its waits. */
static void wake_waiting(struct tg_planner *p, int64_t now_ms)
{
    for (size_t i = 0; p->waiting && i < p->setup.n_jobs; i++) {
        struct tg_plan_entry *t = &p->job[i];

        if (t->state != ASLEEP || !t->attempt || t->woken)
            continue;
        t->woken = true;
        t->begin_ms = TG_MIN(t->begin_ms, now_ms);
        tg_plan_wake_at(p, t, now_ms);
    }
    p->waiting = false;
}

bool tg_planner_ended(struct tg_planner *p, uint32_t job, int64_t now_ms, bool again,
                      uint64_t random, enum tg_plan_how *how)
{
    struct tg_plan_entry *j = &p->job[job];
    int64_t next_ms = j->over_ms;

    end_it(p, j);
    if (*how == TG_PLAN_OK) {
        j->estimate_ms += (now_ms - j->started_ms - j->estimate_ms) / ESTIMATE_SHARE;
        if (j->attempt > 1)
            wake_waiting(p, now_ms);
    } else if (j->ending != GOES_ON) {
        *how = j->ending_how;
    }
    if (*how == TG_PLAN_FAILED && again && j->attempt <= j->conf->retries) {
        j->begin_ms = now_ms + tg_backoff_wait(&j->conf->backoff, j->attempt - 1, random) / 1000;
        p->waiting = true;
        tg_plan_wake_at(p, j, TG_MIN(j->begin_ms, tg_plan_late_at(j)));
        return false;
    }
    /* What was left out while it ran is settled with it. */
    settle_as(p, j, *how, TG_MAX(j->next_ms, j->skipped_ms), next_ms, now_ms);
    return true;
}

void tg_planner_elsewhere(struct tg_planner *p, uint32_t job, int64_t until_ms)
{
    struct tg_plan_entry *j = &p->job[job];

    end_it(p, j);
    j->attempt--;
    j->begin_ms = until_ms;
    j->since_ms = TG_MAX(j->since_ms, until_ms - j->conf->catch_up_ms);
    tg_plan_wake_at(p, j, TG_MIN(until_ms, tg_plan_late_at(j)));
}

void tg_planner_settled(struct tg_planner *p, uint32_t job, int64_t settled_ms, bool ok,
                        int64_t now_ms)
{
    struct tg_plan_entry *j = &p->job[job];

    if (j->state == RUNNING)
        end_it(p, j);
    j->ok = ok;
    settled_ms = TG_MAX(settled_ms, j->next_ms);
    settle(p, j, settled_ms, tg_plan_due(p, j, settled_ms), now_ms);
}

void tg_planner_flood(struct tg_planner *p, uint32_t account, int64_t until_ms)
{
    assert(account < p->setup.n_accounts);
    p->flood_ms[account] = TG_MAX(p->flood_ms[account], until_ms);
    p->stuck = false; /* what waits for its end leaves room that it had claimed */
}

struct tg_plan_view tg_planner_view(const struct tg_planner *p, uint32_t job)
{
    const struct tg_plan_entry *j = &p->job[job];

    return (struct tg_plan_view){ j->state == RUNNING, j->ending != GOES_ON, j->settled_ms,
                                  j->next_ms, j->ok, j->attempt, j->begin_ms, j->estimate_ms };
}

uint32_t tg_planner_running(const struct tg_planner *p)
{
    return p->running;
}

/* ---- beginning ---- */

void tg_planner_begin(struct tg_planner *p, uint32_t job, int64_t settled_ms, bool ok,
                      int64_t estimate_ms, int64_t now_ms)
{
    struct tg_plan_entry *j = &p->job[job];

    if (estimate_ms > 0)
        j->estimate_ms = estimate_ms;
    j->ok = ok;
    settle(p, j, settled_ms, j->conf->timed ? tg_plan_due(p, j, settled_ms) : TG_PLAN_NEVER,
           now_ms);
}

void tg_planner_adopt(struct tg_planner *p, uint32_t job, int64_t due_ms, uint32_t attempt,
                      int64_t started_ms, int64_t now_ms)
{
    struct tg_plan_entry *j = &p->job[job];

    leave_ready(p, j);
    j->next_ms = j->aim_ms = due_ms;
    j->attempt = attempt;
    j->over_ms = j->conf->timed ? tg_plan_due(p, j, TG_MAX(due_ms, now_ms)) : TG_PLAN_NEVER;
    run_it(p, j, started_ms);
}
