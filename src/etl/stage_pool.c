/* SPDX-License-Identifier: MIT */
/*
 * stage_pool.c - see stage_pool.h
 *
 * One list of jobs in the order of put, under one lock: `first` is the next to come out, `begin`
 * the first that no worker has. A worker that finds nothing to do waits; those above the least wake
 * now and then to see whether they are one too many. The load is told to the policy whenever the
 * lock is held and it changed; a worker that is missing is started by whoever notices.
 */
#include "etl/stage_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "etl/stage_report.h"
#include "etl/steps.h"
#include "flow/elastic.h"
#include "os/loop.h"
#include "os/queue.h"
#include "stage/stage.h"

struct job {
    struct job *next;
    struct tg_batch *batch;
    bool done;
    tg_code code; /* of the step that failed */
    struct tg_error err;
};

enum worker_life { FREE, RUNS, ENDED /* its thread is to be joined */ };

struct worker {
    struct tg_stage_pool *pool;
    struct tg_stage_list stages; /* of the steps that are stages, in their order */
    pthread_t thread;
    enum worker_life life;
};

struct tg_stage_pool {
    struct tg_stage_pool_options o;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job *first, *last, *begin;
    struct tg_elastic elastic;
    struct tg_stage_pool_state state;
    bool ends;             /* workers are to end */
    bool failed;           /* no more jobs are begun */
    struct tg_error start; /* why a worker that should be could not be started; code TG_OK */
    struct worker worker[]; /* o.max */
};

/* One batch, without the lock. */
static tg_code run_steps(struct worker *w, struct tg_batch *batch, struct tg_stage_counts *counts,
                         struct tg_error *err)
{
    const struct tg_stage_pool_options *o = &w->pool->o;
    const struct tg_steps_at_work steps = { o->step, o->n_steps, &w->stages };
    const struct tg_stage_env env = { .now_us = tg_clock_unix_us(), .counts = counts };

    return tg_steps_run(&steps, batch, &env, err);
}

/* ---- workers, with the lock ---- */

static void *work(void *arg);

static void start(struct tg_stage_pool *p, struct worker *w)
{
    if (w->life == ENDED)
        pthread_join(w->thread, NULL);
    w->life = FREE;
    if (tg_thread_start(&w->thread, "tg-stage", work, w, &p->start) != TG_OK)
        return;
    w->life = RUNS;
    p->state.workers++;
    p->state.workers_top = TG_MAX(p->state.workers_top, p->state.workers);
}

/* Tells the policy how things stand now, and starts who is missing. */
static void balance(struct tg_stage_pool *p)
{
    unsigned want = tg_elastic_step(&p->elastic, tg_clock_mono_us(), p->state.busy,
                                    p->failed ? 0 : p->state.waiting);

    if (!p->o.n_steps)
        return;
    for (unsigned i = 0; i < p->o.max && p->state.workers < want && !p->ends; i++)
        if (p->worker[i].life != RUNS)
            start(p, &p->worker[i]);
}

/* Waits for work. One of the least waits for ever, others look again whether they are too many. */
static void rest(struct tg_stage_pool *p)
{
    struct timespec t;

    if (p->state.workers <= p->o.min) {
        pthread_cond_wait(&p->work, &p->lock);
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += TG_ELASTIC_SHRINK_US / TG_SECOND_US;
    t.tv_nsec += TG_ELASTIC_SHRINK_US % TG_SECOND_US * 1000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&p->work, &p->lock, &t);
}

static void add_counts(struct tg_stage_pool_state *s, const struct tg_stage_counts *n)
{
    s->dropped += n->dropped;
    s->aside += n->aside;
    s->failed += n->failed;
    s->judged += n->judged;
    s->invalid += n->invalid;
    if (!s->failed_why[0])
        memcpy(s->failed_why, n->failed_why, sizeof s->failed_why);
}

/* Takes the first job that nobody has. @return whether somebody who takes is to be woken */
static bool work_once(struct worker *w)
{
    struct tg_stage_pool *p = w->pool;
    struct tg_stage_counts counts = { 0 };
    struct job *job = p->begin;
    size_t n_rows = job->batch->n;
    int64_t began_us;

    p->begin = job->next;
    p->state.waiting--;
    p->state.busy++;
    balance(p);
    pthread_mutex_unlock(&p->lock);

    began_us = tg_clock_mono_us();
    job->code = run_steps(w, job->batch, &counts, &job->err);
    began_us -= tg_clock_mono_us();

    pthread_mutex_lock(&p->lock);
    job->done = true;
    p->failed |= job->code != TG_OK;
    p->state.busy--;
    p->state.done++;
    p->state.busy_us -= began_us;
    p->state.rows_in += n_rows;
    add_counts(&p->state, &counts);
    return job == p->first;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct tg_stage_pool *p = w->pool;

    pthread_mutex_lock(&p->lock);
    while (!p->ends) {
        balance(p);
        if (p->state.workers > p->elastic.workers && !p->begin)
            break;
        if (!p->begin || p->failed) {
            rest(p);
        } else if (work_once(w) && p->o.wake) {
            pthread_mutex_unlock(&p->lock);
            p->o.wake(p->o.ctx);
            pthread_mutex_lock(&p->lock);
        }
    }
    p->state.workers--;
    w->life = ENDED;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- the pool ---- */

static tg_code open_stages(const struct tg_stage_pool_options *o, struct tg_stage_list *ret,
                           struct tg_error *err)
{
    tg_code code = tg_steps_open(o->step, o->n_steps, ret, err);

    for (size_t i = 0; code == TG_OK && i < ret->n; i++) {
        if (!ret->one[i].ops->whole)
            continue;
        tg_fail(err, TG_USAGE, "stage '%s' must see all rows, and here they go through several "
                               "hands",
                ret->one[i].ops->head.name);
        code = tg_hint(err, "use it in a tgdata extract, or a transform of what was written");
    }
    return code == TG_OK ? tg_steps_check_made(ret, err) : code;
}

tg_code tg_stage_pool_new(const struct tg_stage_pool_options *o, struct tg_stage_pool **ret,
                          struct tg_error *err)
{
    struct tg_stage_pool *p = calloc(1, sizeof *p + o->max * sizeof *p->worker);
    pthread_condattr_t attr;
    tg_code code = TG_OK;

    assert(o->min >= 1 && o->min <= o->max && o->max <= TG_STAGE_POOL_WORKERS_MAX);
    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory for stages");
    p->o = *o;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_condattr_destroy(&attr);
    tg_elastic_init(&p->elastic, o->min, o->max, tg_clock_mono_us());
    for (unsigned i = 0; i < o->max; i++)
        p->worker[i].pool = p;
    for (unsigned i = 0; code == TG_OK && i < o->max; i++)
        code = open_stages(o, &p->worker[i].stages, err);
    if (code == TG_OK && o->n_steps) {
        pthread_mutex_lock(&p->lock);
        balance(p);
        if (p->state.workers < o->min) {
            *err = p->start;
            code = err->code;
        }
        pthread_mutex_unlock(&p->lock);
    }
    if (code == TG_OK)
        *ret = p;
    else
        tg_stage_pool_free(p);
    return code;
}

/* All workers end, after the batch in hand. Twice is once. */
static void join_workers(struct tg_stage_pool *p)
{
    bool join[TG_STAGE_POOL_WORKERS_MAX];

    pthread_mutex_lock(&p->lock);
    p->ends = true; /* nobody is started any more */
    for (unsigned i = 0; i < p->o.max; i++)
        join[i] = p->worker[i].life != FREE;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->o.max; i++) {
        if (join[i])
            pthread_join(p->worker[i].thread, NULL);
        p->worker[i].life = FREE;
    }
}

tg_code tg_stage_pool_end(struct tg_stage_pool *p, const struct tg_stage_report *run,
                          struct tg_quality_result *ret, struct tg_error *err)
{
    join_workers(p);
    for (unsigned i = 1; i < p->o.max; i++)
        tg_stages_merge(&p->worker[0].stages, &p->worker[i].stages);
    ret->rows = p->state.judged;
    ret->invalid = p->state.invalid;
    return tg_stage_report(&p->worker[0].stages, run, ret, err);
}

void tg_stage_pool_free(struct tg_stage_pool *p)
{
    if (!p)
        return;
    join_workers(p);
    for (unsigned i = 0; i < p->o.max; i++)
        tg_stages_close(&p->worker[i].stages);
    while (p->first) {
        struct job *next = p->first->next;

        tg_batch_free(p->first->batch);
        free(p->first);
        p->first = next;
    }
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

tg_code tg_stage_pool_put(struct tg_stage_pool *p, struct tg_batch *batch, struct tg_error *err)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job)
        return tg_fail(err, TG_NOMEM, "no memory for a batch's stages");
    job->batch = batch;
    pthread_mutex_lock(&p->lock);
    if (p->first)
        p->last->next = job;
    else
        p->first = job;
    p->last = job;
    if (!p->o.n_steps) {
        job->done = true;
        p->state.done++;
        p->state.rows_in += batch->n;
    } else {
        if (!p->begin)
            p->begin = job;
        p->state.waiting++;
        balance(p);
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return TG_OK;
}

tg_code tg_stage_pool_take(struct tg_stage_pool *p, struct tg_batch **ret, struct tg_error *err)
{
    struct job *job;
    tg_code code = TG_AGAIN;

    pthread_mutex_lock(&p->lock);
    balance(p);
    job = p->first;
    if (job && job->done) {
        code = job->code;
        if (code == TG_OK) {
            *ret = job->batch;
            p->first = job->next;
            p->state.done--;
        } else {
            *err = job->err;
            job = NULL;
        }
    } else {
        job = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    free(job);
    return code;
}

void tg_stage_pool_state(struct tg_stage_pool *p, struct tg_stage_pool_state *ret)
{
    pthread_mutex_lock(&p->lock);
    balance(p);
    *ret = p->state;
    ret->grown = p->elastic.grown;
    ret->shrunk = p->elastic.shrunk;
    pthread_mutex_unlock(&p->lock);
}
