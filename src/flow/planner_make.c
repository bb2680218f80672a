/* SPDX-License-Identifier: MIT */
/*
 * planner_make.c - a planner is made; its heaps
 */
#include <assert.h>
#include <stdlib.h>

#include "flow/planner_impl.h"

const char *tg_plan_how_name(enum tg_plan_how how)
{
    static const char *const name[TG_PLAN_HOW_COUNT] = {
        [TG_PLAN_OK] = "ok",             [TG_PLAN_FAILED] = "failed",
        [TG_PLAN_OVERTIME] = "overtime", [TG_PLAN_CANCELLED] = "cancelled",
        [TG_PLAN_SKIPPED] = "skipped",   [TG_PLAN_MISSED] = "missed",
        [TG_PLAN_MERGED] = "merged",     [TG_PLAN_UPSTREAM] = "upstream",
        [TG_PLAN_PAUSED] = "paused",
    };

    return how < TG_PLAN_HOW_COUNT ? name[how] : "?";
}

/* ---- heaps ---- */

static bool wakes_before(const struct tg_planner *p, uint32_t a, uint32_t b)
{
    int64_t x = p->job[a].wake_ms, y = p->job[b].wake_ms;

    return x != y ? x < y : a < b;
}

static bool is_before(const struct tg_planner *p, uint32_t a, uint32_t b)
{
    const struct tg_plan_entry *x = &p->job[a], *y = &p->job[b];

    if (x->conf->priority != y->conf->priority)
        return x->conf->priority > y->conf->priority;
    if (x->deadline_ms != y->deadline_ms)
        return x->deadline_ms < y->deadline_ms;
    return x->next_ms != y->next_ms ? x->next_ms < y->next_ms : a < b;
}

static bool before(const struct tg_planner *p, const struct tg_plan_heap *h, uint32_t a, uint32_t b)
{
    return h == &p->wake ? wakes_before(p, a, b) : is_before(p, a, b);
}

static void place(struct tg_planner *p, struct tg_plan_heap *h, size_t at, uint32_t job)
{
    h->job[at] = job;
    if (h == &p->wake)
        p->job[job].at_wake = (uint32_t)at;
    else
        p->job[job].at_ready = (uint32_t)at;
}

static void sift(struct tg_planner *p, struct tg_plan_heap *h, size_t at)
{
    uint32_t job = h->job[at];

    for (; at && before(p, h, job, h->job[(at - 1) / 2]); at = (at - 1) / 2)
        place(p, h, at, h->job[(at - 1) / 2]);
    for (size_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && before(p, h, h->job[child + 1], h->job[child]))
            child++;
        if (!before(p, h, h->job[child], job))
            break;
        place(p, h, at, h->job[child]);
    }
    place(p, h, at, job);
}

void tg_plan_push(struct tg_planner *p, struct tg_plan_heap *h, uint32_t job)
{
    assert(h->n < p->setup.n_jobs);
    if (h == &p->ready) {
        tg_plan_load(p, &p->job[job], p->job[job].estimate_ms, p->ready_ms);
        p->stuck = false;
    }
    h->job[h->n++] = job;
    sift(p, h, h->n - 1);
}

void tg_plan_take_out(struct tg_planner *p, struct tg_plan_heap *h, size_t at)
{
    uint32_t last = h->job[h->n - 1];

    if (h == &p->ready) {
        tg_plan_load(p, &p->job[h->job[at]], -p->job[h->job[at]].estimate_ms, p->ready_ms);
        p->stuck = false;
    }
    h->n--;
    if (at == h->n)
        return;
    h->job[at] = last;
    sift(p, h, at);
}

void tg_plan_wake_at(struct tg_planner *p, struct tg_plan_entry *j, int64_t at_ms)
{
    if (j->wake_ms == at_ms)
        return;
    j->wake_ms = at_ms;
    sift(p, &p->wake, j->at_wake);
}

/* ---- making one ---- */

/* Of each job, those that come after it: the other way round than they are configured. */
static bool link_jobs(struct tg_planner *p)
{
    const struct tg_plan_setup *s = &p->setup;
    size_t n = 0;

    for (size_t i = 0; i < s->n_jobs; i++) {
        for (size_t k = 0; k < s->job[i].n_after; k++)
            p->job[s->job[i].after[k]].n_then++;
        n += s->job[i].n_after;
    }
    p->then = calloc(n + 1, sizeof *p->then);
    if (!p->then)
        return false;
    n = 0;
    for (size_t i = 0; i < s->n_jobs; i++) {
        p->job[i].then = p->then + n;
        n += p->job[i].n_then;
        p->job[i].n_then = 0;
    }
    for (size_t i = 0; i < s->n_jobs; i++) {
        for (size_t k = 0; k < s->job[i].n_after; k++) {
            struct tg_plan_entry *a = &p->job[s->job[i].after[k]];

            a->then[a->n_then++] = (uint32_t)i;
        }
    }
    return true;
}

struct tg_planner *tg_planner_new(const struct tg_plan_setup *setup)
{
    struct tg_planner *p = calloc(1, sizeof *p);
    size_t n = setup->n_jobs;

    assert(setup->due && setup->running_max > 0);
    if (!p)
        return NULL;
    p->setup = *setup;
    p->job = calloc(n + 1, sizeof *p->job);
    p->wake.job = calloc(n + 1, sizeof *p->wake.job);
    p->ready.job = calloc(n + 1, sizeof *p->ready.job);
    p->aside = calloc(n + 1, sizeof *p->aside);
    p->used = calloc(setup->n_pools + 1, sizeof *p->used);
    p->flood_ms = calloc(setup->n_accounts + 1, sizeof *p->flood_ms);
    p->ready_ms = calloc(setup->n_pools + 1, sizeof *p->ready_ms);
    p->load_ms = calloc(setup->n_pools + 1, sizeof *p->load_ms);
    if (!p->job || !p->wake.job || !p->ready.job || !p->aside || !p->used || !p->flood_ms ||
        !p->ready_ms || !p->load_ms || !link_jobs(p)) {
        tg_planner_free(p);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct tg_plan_entry *j = &p->job[i];

        j->conf = &setup->job[i];
        j->wake_ms = j->next_ms = TG_PLAN_NEVER;
        j->estimate_ms = j->conf->estimate_ms;
        tg_plan_push(p, &p->wake, i);
    }
    return p;
}

void tg_planner_free(struct tg_planner *p)
{
    if (!p)
        return;
    free(p->job);
    free(p->wake.job);
    free(p->ready.job);
    free(p->aside);
    free(p->then);
    free(p->used);
    free(p->flood_ms);
    free(p->ready_ms);
    free(p->load_ms);
    free(p);
}
