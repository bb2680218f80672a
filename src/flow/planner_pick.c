/* SPDX-License-Identifier: MIT */
/*
 * planner_pick.c - which of the runs that are ready is started: see planner.h
 */
#include "flow/planner_impl.h"

enum { AHEAD_MAX = 8 };

static const int64_t left_max_ms = INT64_C(30) * 24 * 3600 * 1000;

/* ---- what a run is for ---- */

int64_t tg_plan_old_at(const struct tg_plan_entry *j)
{
    return j->since_ms + j->conf->catch_up_ms / (j->starved || j->n_then ? 2 : 1);
}

/* When a run shall have ended for its own sake. One late anyway holds up the dues behind it: so
 * that the first of them is kept that can be. Without a deadline: before it is too late. */
static int64_t own_deadline(const struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms)
{
    const struct tg_plan_job *c = j->conf;

    if (!c->deadline_ms)
        return j->since_ms + c->catch_up_ms + j->estimate_ms;
    while (now_ms + (j->n_ahead + 1) * j->estimate_ms > j->aim_ms + c->deadline_ms) {
        if (!c->timed || j->n_ahead == AHEAD_MAX)
            return TG_PLAN_NEVER;
        j->aim_ms = tg_plan_due(p, j, j->aim_ms);
        j->n_ahead++;
    }
    return j->aim_ms + c->deadline_ms - j->n_ahead * j->estimate_ms;
}

/* ... so that of a job that waits for it the first due is kept that can be. */
static int64_t latest_for(const struct tg_planner *p, const struct tg_plan_entry *t, int64_t end_ms)
{
    int64_t due_ms = t->next_ms, takes_ms = t->estimate_ms;

    for (int i = 0; i < AHEAD_MAX && due_ms < TG_PLAN_NEVER; i++) {
        if (end_ms + takes_ms <= due_ms + t->conf->deadline_ms)
            return due_ms + t->conf->deadline_ms - takes_ms;
        due_ms = t->conf->timed ? tg_plan_due(p, t, due_ms) : TG_PLAN_NEVER;
        takes_ms += t->estimate_ms;
    }
    return TG_PLAN_NEVER;
}

static int64_t deadline_of(const struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms)
{
    int64_t deadline_ms = own_deadline(p, j, now_ms);

    for (size_t i = 0; i < j->n_then && i < TG_PLAN_LOOK_MAX; i++) {
        const struct tg_plan_entry *t = &p->job[j->then[i]];

        if (t->state != RUNNING && t->conf->deadline_ms && t->next_ms >= j->next_ms)
            deadline_ms = TG_MIN(deadline_ms, latest_for(p, t, now_ms + j->estimate_ms));
    }
    return deadline_ms;
}

/* @return whether its place among those that are ready is another now */
static bool rank(const struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms)
{
    int64_t was_ms = j->deadline_ms;

    j->old = now_ms >= tg_plan_old_at(j);
    j->deadline_ms = j->old ? j->since_ms - TG_PLAN_NEVER : deadline_of(p, j, now_ms);
    return j->deadline_ms != was_ms;
}

void tg_plan_ready(struct tg_planner *p, struct tg_plan_entry *j, int64_t now_ms)
{
    if (j->state == READY)
        tg_plan_take_out(p, &p->ready, j->at_ready);
    j->state = READY;
    rank(p, j, now_ms);
    tg_plan_push(p, &p->ready, (uint32_t)(j - p->job));
}

/* ---- which is first ---- */

/* The dues that wait for this run, or will before it has ended. */
static int64_t held_up(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t now_ms)
{
    int64_t n = 0;

    for (size_t i = 0; i < j->n_then && i < TG_PLAN_LOOK_MAX; i++) {
        const struct tg_plan_entry *t = &p->job[j->then[i]];
        int64_t for_ms = now_ms + j->estimate_ms - t->next_ms;

        if (t->state == RUNNING || t->next_ms < j->next_ms || for_ms < 0)
            continue;
        n++;
        if (t->conf->timed)
            n += for_ms / TG_MAX(tg_plan_due(p, t, t->next_ms) - t->next_ms, (int64_t)1);
    }
    return n;
}

/* What is short, pressing or waited for is first. */
static int64_t weight_of(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t now_ms)
{
    int64_t takes_ms = TG_MIN(j->estimate_ms, left_max_ms);
    int64_t left_ms = TG_MIN(TG_MAX(j->deadline_ms - now_ms, takes_ms), left_max_ms);

    return takes_ms * left_ms / (1 + held_up(p, j, now_ms));
}

/* Resources are the pools, and behind them the places. */
static uint32_t resource(const struct tg_planner *p, const struct tg_plan_entry *j, size_t i)
{
    return i < j->conf->n_pools ? j->conf->pool[i] : (uint32_t)p->setup.n_pools;
}

static bool needs(const struct tg_planner *p, const struct tg_plan_entry *j, uint32_t what)
{
    for (size_t i = 0; i <= j->conf->n_pools; i++)
        if (resource(p, j, i) == what)
            return true;
    return false;
}

void tg_plan_load(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t takes_ms,
                  int64_t *sum_ms)
{
    for (size_t i = 0; i <= j->conf->n_pools; i++)
        sum_ms[resource(p, j, i)] += takes_ms;
}

static void load(struct tg_planner *p, uint32_t run)
{
    tg_plan_load(p, &p->job[run], p->job[run].estimate_ms, p->load_ms);
}

static void unload(struct tg_planner *p, uint32_t run)
{
    tg_plan_load(p, &p->job[run], -p->job[run].estimate_ms, p->load_ms);
}

/* When that resource is done with so much: one with some slots is as if it were a faster one. */
static int64_t done_in(const struct tg_planner *p, uint32_t what, int64_t sum_ms)
{
    return sum_ms / (what < p->setup.n_pools ? p->setup.slots[what] : p->setup.running_max);
}

/* @return the first of its resources, from that on, that is done too late with what it is loaded
 * with; behind them all: none */
static size_t overloaded(const struct tg_planner *p, const struct tg_plan_entry *j, size_t from,
                         int64_t now_ms)
{
    for (; from <= j->conf->n_pools; from++) {
        uint32_t r = resource(p, j, from);

        if (now_ms + done_in(p, r, p->load_ms[r]) > j->deadline_ms)
            break;
    }
    return from;
}

/* Moore and Hodgson's rule for each resource. `run` stands in the order of deadlines. */
static void keep(struct tg_planner *p, const uint32_t *run, size_t n, int64_t now_ms,
                 bool *ret_kept)
{
    for (size_t i = 0; i < n; i++) {
        const struct tg_plan_entry *j = &p->job[run[i]];

        ret_kept[i] = now_ms + j->estimate_ms <= j->deadline_ms;
        if (!ret_kept[i])
            continue;
        load(p, run[i]);
        for (size_t at = 0; ret_kept[i] && (at = overloaded(p, j, at, now_ms)) <= j->conf->n_pools;
             at++) {
            size_t longest = i;

            for (size_t k = i; k-- > 0;)
                if (ret_kept[k] && needs(p, &p->job[run[k]], resource(p, j, at)) &&
                    p->job[run[k]].estimate_ms > p->job[run[longest]].estimate_ms)
                    longest = k;
            ret_kept[longest] = false;
            unload(p, run[longest]);
        }
    }
    for (size_t i = 0; i < n; i++)
        if (ret_kept[i])
            unload(p, run[i]);
}

/* Whether those that are kept still are when that one is first. */
static bool can_be_first(struct tg_planner *p, const uint32_t *run, size_t n, const bool *kept,
                         size_t first, int64_t now_ms)
{
    bool good = true;
    size_t i;

    load(p, run[first]);
    for (i = 0; i < n && good; i++) {
        const struct tg_plan_entry *j = &p->job[run[i]];

        if (!kept[i] || i == first)
            continue;
        load(p, run[i]);
        good = overloaded(p, j, 0, now_ms) > j->conf->n_pools;
    }
    while (i-- > 0)
        if (kept[i] && i != first)
            unload(p, run[i]);
    unload(p, run[first]);
    return good;
}

/* Of runs in the order of their deadlines the lightest that can be first. */
static uint32_t first_of(struct tg_planner *p, const uint32_t *run, size_t n, int64_t now_ms)
{
    bool kept[TG_PLAN_LOOK_MAX];
    int64_t weight[TG_PLAN_LOOK_MAX];

    keep(p, run, n, now_ms, kept);
    for (size_t i = 0; i < n; i++)
        weight[i] = weight_of(p, &p->job[run[i]], now_ms);
    for (size_t tried = 0; tried < n; tried++) {
        size_t first = 0;

        for (size_t i = 1; i < n; i++)
            if (weight[i] < weight[first])
                first = i;
        if (can_be_first(p, run, n, kept, first, now_ms))
            return run[first];
        weight[first] = INT64_MAX;
    }
    return run[0];
}

/* ---- room ---- */

static bool has_room(const struct tg_planner *p, const struct tg_plan_entry *j)
{
    for (size_t i = 0; i < j->conf->n_pools; i++) {
        uint32_t pool = j->conf->pool[i], need = 1;

        for (size_t k = 0; k < i; k++)
            need += j->conf->pool[k] == pool;
        if (p->used[pool] + need > p->setup.slots[pool])
            return false;
    }
    return true;
}

void tg_plan_use(struct tg_planner *p, const struct tg_plan_entry *j, bool use)
{
    for (size_t i = 0; i < j->conf->n_pools; i++)
        p->used[j->conf->pool[i]] += use ? 1 : UINT32_MAX;
}

static bool flooded(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t now_ms)
{
    return j->conf->account != TG_PLAN_NONE && p->flood_ms[j->conf->account] > now_ms;
}

/* Whether each run that is ready and shares something with it can be kept behind it. */
static bool all_kept(const struct tg_planner *p, const struct tg_plan_entry *j, int64_t now_ms)
{
    if (now_ms + j->estimate_ms > j->deadline_ms)
        return false;
    for (size_t i = 0; i <= j->conf->n_pools; i++) {
        uint32_t r = resource(p, j, i);

        if (now_ms + done_in(p, r, p->ready_ms[r] + j->estimate_ms) > j->deadline_ms)
            return false;
    }
    return true;
}

uint32_t tg_plan_pick(struct tg_planner *p, int64_t now_ms)
{
    uint32_t run[TG_PLAN_LOOK_MAX], first = TG_PLAN_NONE;
    size_t n = 0, n_aside = 0;

    while (p->ready.n && n < TG_PLAN_LOOK_MAX) {
        uint32_t top = p->ready.job[0];
        struct tg_plan_entry *j = &p->job[top];

        if (n && p->job[run[0]].conf->priority != j->conf->priority)
            break;
        tg_plan_take_out(p, &p->ready, 0);
        if (flooded(p, j, now_ms)) {
            j->state = ASLEEP;
            j->begin_ms = p->flood_ms[j->conf->account];
            tg_plan_wake_at(p, j, TG_MIN(j->begin_ms, tg_plan_late_at(j)));
        } else if (rank(p, j, now_ms)) {
            tg_plan_push(p, &p->ready, top);
        } else if (has_room(p, j)) {
            run[n++] = top;
            if (n == 1 && (j->old || all_kept(p, j, now_ms)))
                break; /* whoever else is ready: it is among those that can be kept */
        } else {
            p->aside[n_aside++] = top;
            if (j->old)
                tg_plan_use(p, j, true); /* it is next there */
        }
    }
    if (n)
        first = first_of(p, run, n, now_ms);
    for (size_t i = 0; i < n; i++)
        if (run[i] != first)
            tg_plan_push(p, &p->ready, run[i]);
    while (n_aside) {
        struct tg_plan_entry *j = &p->job[p->aside[--n_aside]];

        if (j->old)
            tg_plan_use(p, j, false);
        tg_plan_push(p, &p->ready, p->aside[n_aside]);
    }
    return first;
}
