/* SPDX-License-Identifier: MIT */
/*
 * worker.c - a parallel run whose tasks come from a queue; see tgdata/worker.h
 *
 *   broker's thread                             loop's thread
 *   take --job--> FRESH ----------------------> feed: tg_parallel_add, RUNNING
 *   keep all that is not ENDED, now and then
 *   ack, retry, give_back, bury <-- ENDED <---- on_task
 *
 * Jobs stand in one list under one lock. The broker's calls block, so they are made without it; a
 * job is freed by the broker's thread alone.
 */
#include "tgdata/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "etl/parallel_impl.h"
#include "etl/task_json.h"
#include "os/proc.h"
#include "os/queue.h"
#include "queue/broker.h"

enum { TAKE_WAIT_MS = 200, WHO_MAX = 160 };
#define IDLE_US (50 * TG_MS_US)         /* between looks while nothing more is taken */
#define TROUBLE_US TG_SECOND_US         /* after a failure of the broker */
#define LATER_MS INT64_C(2000)          /* first delay of a failed task; doubled each time */
#define LATER_MAX_MS INT64_C(300000)

enum job_state { JOB_FRESH, JOB_RUNNING, JOB_ENDED };

/* How a job ends at the broker. */
enum job_end { END_ACK, END_RETRY, END_WAIT, END_BACK, END_BURY };

struct job {
    struct tg_delivery delivery;
    enum job_state state;
    uint64_t task; /* of the run */
    int64_t keep_us;
    bool lost; /* another worker has it: nothing is told about it */
    enum job_end end;
    int64_t delay_ms;
    char reason[200];
    struct job *next;
};

struct worker {
    struct tg_parallel *parallel;
    struct tg_worker_options options; /* with what the settings say */
    const struct tg_parallel_hooks *hooks;
    struct tg_broker broker;
    char who[WHO_MAX];
    pthread_t thread;
    int64_t empty_us; /* the broker's thread: since when nothing is there; 0: something is */

    pthread_mutex_t lock; /* over what follows */
    struct job *job;
    size_t n_jobs;
    bool quit;    /* no more is taken; the thread ends when all jobs have ended */
    bool drained; /* until_empty: there is nothing left */
    bool troubled, untold;   /* the broker cannot be reached, and nobody was told yet */
    struct tg_error trouble;
};

/* ---- broker's thread ---- */

static tg_code tell_end(struct worker *w, const struct job *j, struct tg_error *err)
{
    const struct tg_broker_ops *ops = w->broker.ops;
    void *self = w->broker.self;

    switch (j->end) {
    case END_ACK:
        return ops->ack(self, &j->delivery, err);
    case END_RETRY:
        return ops->retry(self, &j->delivery, j->delay_ms, true, err);
    case END_WAIT:
        return ops->retry(self, &j->delivery, j->delay_ms, false, err);
    case END_BACK:
        return ops->give_back(self, &j->delivery, err);
    case END_BURY:
        return ops->bury(self, &j->delivery, j->reason, err);
    }
    return TG_OK;
}

static void drop_job(struct worker *w, struct job *j)
{
    struct job **at = &w->job;

    pthread_mutex_lock(&w->lock);
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    w->n_jobs--;
    pthread_mutex_unlock(&w->lock);
    tg_buf_done(&j->delivery.body);
    free(j);
}

/* @return the first job that has ended, or, with `due_us`, that must be kept by then */
static struct job *find_job(struct worker *w, int64_t due_us)
{
    struct job *j;

    pthread_mutex_lock(&w->lock);
    for (j = w->job; j; j = j->next)
        if (due_us ? j->state != JOB_ENDED && !j->lost && j->keep_us <= due_us
                   : j->state == JOB_ENDED)
            break;
    pthread_mutex_unlock(&w->lock);
    return j;
}

/* What has ended is told; a broker that cannot be reached is told later, or finds out itself. */
static tg_code tell_ends(struct worker *w, struct tg_error *err)
{
    struct job *j;

    while ((j = find_job(w, 0))) {
        tg_code code = j->lost ? TG_OK : tell_end(w, j, err);

        if (code != TG_OK && code != TG_CONFLICT)
            return code;
        drop_job(w, j);
    }
    return TG_OK;
}

static tg_code keep_jobs(struct worker *w, struct tg_error *err)
{
    const struct tg_broker_ops *ops = w->broker.ops;
    int64_t every_us = ops->visibility_ms(w->broker.self) * TG_MS_US / 3;
    struct job *j;

    while ((j = find_job(w, tg_clock_mono_us()))) {
        tg_code code = ops->keep(w->broker.self, &j->delivery, err);

        if (code != TG_OK && code != TG_CONFLICT)
            return code;
        pthread_mutex_lock(&w->lock);
        j->lost = code == TG_CONFLICT;
        j->keep_us = tg_clock_mono_us() + every_us;
        pthread_mutex_unlock(&w->lock);
    }
    return TG_OK;
}

static tg_code take_job(struct worker *w, struct tg_error *err)
{
    const struct tg_broker_ops *ops = w->broker.ops;
    struct job *j = calloc(1, sizeof *j);
    tg_code code;

    if (!j)
        return tg_fail(err, TG_NOMEM, "no memory for a task");
    tg_buf_init(&j->delivery.body, TG_BROKER_TAKE_MAX + 1);
    code = ops->take(w->broker.self, TAKE_WAIT_MS, &j->delivery, err);
    if (code != TG_OK) {
        tg_buf_done(&j->delivery.body);
        free(j);
        return code;
    }
    w->empty_us = 0;
    j->keep_us = tg_clock_mono_us() + ops->visibility_ms(w->broker.self) * TG_MS_US / 3;
    pthread_mutex_lock(&w->lock);
    j->next = w->job;
    w->job = j;
    w->n_jobs++;
    pthread_mutex_unlock(&w->lock);
    tg_parallel_wake(w->parallel);
    return TG_OK;
}

/* Nothing waits here or will: all workers are done. Where the broker cannot tell what others have
 * taken, theirs would have come back in twice the visibility time if they had died. */
static tg_code look_if_drained(struct worker *w, struct tg_error *err)
{
    int64_t enough_us = 2 * w->broker.ops->visibility_ms(w->broker.self) * TG_MS_US;
    int64_t now_us = tg_clock_mono_us();
    struct tg_broker_depth depth = { 0 };
    tg_code code = w->broker.ops->depth(w->broker.self, &depth, err);

    if (code != TG_OK || depth.waiting || depth.taken || depth.later) {
        w->empty_us = 0;
        return code;
    }
    if (!w->empty_us)
        w->empty_us = now_us;
    if (!depth.taken_known && now_us - w->empty_us < enough_us)
        return TG_OK;
    pthread_mutex_lock(&w->lock);
    w->drained = true;
    pthread_mutex_unlock(&w->lock);
    tg_parallel_wake(w->parallel);
    return TG_OK;
}

/* A few more than can be at work, so that a worker that becomes free need not wait. */
static bool wants_more(struct worker *w)
{
    size_t most = extract_workers(&w->parallel->run) + 1;
    bool more;

    pthread_mutex_lock(&w->lock);
    more = !w->quit && !w->drained && w->n_jobs < most;
    pthread_mutex_unlock(&w->lock);
    return more;
}

static tg_code turn(struct worker *w, struct tg_error *err)
{
    tg_code code = tell_ends(w, err);

    if (code == TG_OK)
        code = keep_jobs(w, err);
    if (code != TG_OK)
        return code;
    if (!wants_more(w)) {
        tg_sleep_us(IDLE_US);
        return TG_OK;
    }
    code = take_job(w, err);
    if (code == TG_AGAIN && w->options.until_empty && !w->n_jobs)
        code = look_if_drained(w, err);
    return code == TG_AGAIN ? TG_OK : code;
}

static bool has_quit(struct worker *w, bool *ret_idle)
{
    bool quit;

    pthread_mutex_lock(&w->lock);
    quit = w->quit;
    *ret_idle = w->n_jobs == 0;
    pthread_mutex_unlock(&w->lock);
    return quit;
}

/* @param err  NULL: all is well again */
static void note_trouble(struct worker *w, const struct tg_error *err)
{
    pthread_mutex_lock(&w->lock);
    w->untold |= err && !w->troubled;
    w->troubled = err != NULL;
    if (err)
        w->trouble = *err;
    pthread_mutex_unlock(&w->lock);
}

static void *broker_thread(void *arg)
{
    struct worker *w = arg;
    int tries_at_end = 0;
    struct tg_error err;
    bool idle;

    for (;;) {
        bool quit = has_quit(w, &idle);

        if (quit && (idle || tries_at_end == 3))
            break; /* what could not be told comes back by itself */
        if (turn(w, &err) == TG_OK) {
            note_trouble(w, NULL);
            continue;
        }
        note_trouble(w, &err);
        tries_at_end += quit;
        tg_sleep_us(TROUBLE_US);
    }
    return NULL;
}

/* ---- loop's thread ---- */

static void end_job(struct worker *w, struct job *j, enum job_end end, int64_t delay_ms,
                    const char *reason)
{
    pthread_mutex_lock(&w->lock);
    j->end = end;
    j->delay_ms = delay_ms;
    snprintf(j->reason, sizeof j->reason, "%.199s", reason);
    j->state = JOB_ENDED;
    pthread_mutex_unlock(&w->lock);
}

static void begin_job(struct worker *w, struct job *j)
{
    struct tg_task_text task;
    struct tg_error err;
    tg_code code = tg_task_read(j->delivery.body.data, j->delivery.body.len, &task, &err);

    if (code == TG_OK)
        code = tg_parallel_add(w->parallel, &task.request, &j->task, &err);
    tg_task_text_done(&task);
    if (code == TG_NOMEM || code == TG_LIMIT)
        end_job(w, j, END_BACK, 0, "");
    else if (code != TG_OK)
        end_job(w, j, END_BURY, 0, err.message);
}

/* Once, until it was well again. */
static void tell_trouble(struct worker *w)
{
    struct tg_error err;
    bool untold;

    pthread_mutex_lock(&w->lock);
    untold = w->untold;
    w->untold = false;
    err = w->trouble;
    pthread_mutex_unlock(&w->lock);
    if (untold)
        tg_account_note(w->parallel->run.accounts[0], TG_NOTE_WARNING, 0,
                        "the queue is tried again every second: %s", err.message);
}

/* Hands over what was taken. @return whether more may come */
static bool feed(void *ctx)
{
    struct worker *w = ctx;
    struct job *j;
    bool more;

    tell_trouble(w);
    for (;;) {
        pthread_mutex_lock(&w->lock);
        for (j = w->job; j && j->state != JOB_FRESH; j = j->next) {
        }
        if (j)
            j->state = JOB_RUNNING;
        more = !w->drained;
        pthread_mutex_unlock(&w->lock);
        if (!j)
            return more;
        begin_job(w, j);
    }
}

static struct job *job_of(struct worker *w, uint64_t task)
{
    struct job *j;

    pthread_mutex_lock(&w->lock);
    for (j = w->job; j && (j->state != JOB_RUNNING || j->task != task); j = j->next) {
    }
    pthread_mutex_unlock(&w->lock);
    return j;
}

static void judge(struct worker *w, struct job *j, const struct tg_task_result *result)
{
    uint32_t most = w->options.attempts_max;
    int64_t later = LATER_MS << TG_MIN(j->delivery.attempts, 16u);
    tg_code code = result->err ? result->err->code : TG_OK;

    later = TG_MAX(TG_MIN(later, LATER_MAX_MS), (int64_t)(result->retry_after_s * 1e3));
    if (result->success)
        end_job(w, j, END_ACK, 0, "");
    else if (code == TG_BUSY || code == TG_CONFLICT) /* another worker has that chat */
        end_job(w, j, END_WAIT, later, "");
    else if (extract_only_this_chat(code) || code == TG_GAP || code == TG_USAGE ||
             j->delivery.attempts + 1 >= most)
        end_job(w, j, END_BURY, 0, result->err->message);
    else
        end_job(w, j, END_RETRY, later, "");
}

static void on_task(void *ctx, const struct tg_task_result *result)
{
    struct worker *w = ctx;
    struct job *j = job_of(w, result->task);

    if (j && result->err && result->err->code == TG_CANCELLED)
        end_job(w, j, END_BACK, 0, "");
    else if (j)
        judge(w, j, result);
    if (w->hooks->task)
        w->hooks->task(w->hooks->task_ctx, result);
}

static void end_worker(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    for (struct job *j = w->job; j; j = j->next) { /* what the run did not come to */
        if (j->state == JOB_ENDED)
            continue;
        j->state = JOB_ENDED;
        j->end = END_BACK;
    }
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    while (w->job)
        drop_job(w, w->job);
}

/* What the caller leaves out is as the settings say. */
static tg_code take_settings(struct tg_worker_options *o, const struct tg_worker_settings *set,
                             struct tg_error *err)
{
    o->queue = o->queue ? o->queue : set->queue;
    o->attempts_max = o->attempts_max ? o->attempts_max : (uint32_t)set->attempts;
    o->until_empty = o->until_empty || set->until_empty;
    if (o->queue)
        return TG_OK;
    tg_fail(err, TG_USAGE, "no queue is named");
    return tg_hint(err, "say where tasks come from: --queue redis://HOST:PORT/0");
}

tg_code tg_worker_run(struct tg_parallel *p, const struct tg_worker_options *options,
                      const struct tg_parallel_hooks *hooks, struct tg_extract_result *ret,
                      struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    struct worker w = { .parallel = p, .options = *options, .hooks = hooks };
    struct tg_parallel_hooks own = { .extract = hooks->extract, .task = on_task, .task_ctx = &w };
    char name[128];
    tg_code code;

    *ret = (struct tg_extract_result){ 0 };
    code = take_settings(&w.options, &p->config->worker, err);
    if (code != TG_OK)
        return code;
    tg_proc_name(name, sizeof name);
    snprintf(w.who, sizeof w.who, "%s:%08" PRIx32, name, (uint32_t)tg_random_u64(&random));
    code = tg_broker_open(w.options.queue, w.who, &w.broker, err);
    if (code != TG_OK)
        return code;
    pthread_mutex_init(&w.lock, NULL);
    code = tg_thread_start(&w.thread, "queue", broker_thread, &w, err);
    if (code == TG_OK) {
        p->run.feed = feed;
        p->run.feed_ctx = &w;
        p->run.by_chat = true;
        code = tg_parallel_run(p, &own, ret, err);
        end_worker(&w);
        if (code != TG_OK && !p->run.fatal && code != TG_CANCELLED)
            code = TG_OK; /* a task failed, and was told so */
    }
    pthread_mutex_destroy(&w.lock);
    tg_broker_close(&w.broker);
    return code;
}

/* ---- the other end ---- */

tg_code tg_enqueue(const char *queue, const struct tg_task_request *task, size_t n, size_t *ret_n,
                   struct tg_error *err)
{
    struct tg_broker broker;
    struct tg_buf body;
    size_t done = 0;
    tg_code code = tg_broker_open(queue, "enqueue", &broker, err);

    if (ret_n)
        *ret_n = 0;
    if (code != TG_OK)
        return code;
    tg_buf_init(&body, TG_BROKER_BODY_MAX);
    for (; code == TG_OK && done < n; done += code == TG_OK) {
        tg_buf_clear(&body);
        tg_task_write(&task[done], &body);
        code = body.failed ? tg_fail(err, TG_LIMIT, "a task is too long")
                           : broker.ops->put(broker.self, body.data, body.len, err);
    }
    tg_buf_done(&body);
    tg_broker_close(&broker);
    if (ret_n)
        *ret_n = done;
    return code;
}

tg_code tg_queue_look(const char *queue, struct tg_queue_info *ret, struct tg_error *err)
{
    struct tg_broker_depth depth;
    struct tg_broker broker;
    tg_code code = tg_broker_open(queue, "look", &broker, err);

    if (code != TG_OK)
        return code;
    code = broker.ops->depth(broker.self, &depth, err);
    if (code == TG_OK)
        *ret = (struct tg_queue_info){ depth.waiting, depth.taken, depth.later, depth.dead };
    tg_broker_close(&broker);
    return code;
}
