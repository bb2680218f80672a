/* SPDX-License-Identifier: MIT */
/*
 * traces.c - see traces.h
 *
 * Threads: the lock guards which traces are open
 */
#include "observe/traces.h"

#include <stdlib.h>

#include "config/settings.h"
#include "os/loop.h"
#include "os/queue.h"

struct tg_traces {
    struct tg_spans *spans;        /* NULL: nothing is told */
    struct tg_trace_parent parent; /* span 0: traces begin here */
    unsigned percent;

    pthread_mutex_t lock;
    struct tg_trace *open;    /* the one that was begun last; NULL: it has ended */
    unsigned n_open;
    struct tg_span_link last; /* the job's span of the one that ended last; span 0: none */
};

tg_code tg_traces_new(const struct tg_monitor_settings *set, tg_spans_done done, void *ctx,
                      struct tg_traces **ret, struct tg_error *err)
{
    const struct tg_spans_options options = { set->traces, set->traces_header, done, ctx };
    struct tg_traces *t = calloc(1, sizeof *t);
    tg_code code = TG_OK;

    if (!t)
        return tg_fail(err, TG_NOMEM, "no memory for traces");
    pthread_mutex_init(&t->lock, NULL);
    t->percent = (unsigned)set->traces_sample;
    if (!tg_trace_parent_read(getenv("TRACEPARENT"), &t->parent) || t->parent.sampled)
        code = tg_spans_new(&options, &t->spans, err);
    if (code != TG_OK) {
        tg_traces_free(t);
        return code;
    }
    *ret = t;
    return TG_OK;
}

void tg_traces_free(struct tg_traces *t)
{
    if (!t)
        return;
    tg_spans_free(t->spans);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static void add(void *ctx, const struct tg_span *span)
{
    tg_spans_add(ctx, span);
}

struct tg_trace *tg_traces_begin(struct tg_traces *t, const char *job,
                                 enum tg_trace_pattern pattern)
{
    struct tg_trace *trace;

    if (!t || !t->spans)
        return NULL;
    trace = tg_trace_new(&(struct tg_trace_options){
        .job = job,
        .pattern = pattern,
        .percent = t->percent,
        .parent = t->parent.span ? &t->parent : NULL,
        .random = tg_random_system(),
        .unix_us = tg_clock_unix_us,
        .add = add,
        .ctx = t->spans,
    });
    if (!trace)
        return NULL;
    pthread_mutex_lock(&t->lock);
    t->open = trace;
    t->n_open++;
    pthread_mutex_unlock(&t->lock);
    return trace;
}

void tg_traces_end(struct tg_traces *t, struct tg_trace *trace, int64_t rows,
                   const struct tg_error *err)
{
    if (!trace)
        return;
    pthread_mutex_lock(&t->lock);
    tg_trace_where(trace, 0, &t->last);
    if (t->open == trace)
        t->open = NULL;
    t->n_open--;
    pthread_mutex_unlock(&t->lock);
    tg_trace_end(trace, rows, err);
}

bool tg_traces_where(struct tg_traces *t, int64_t chat_id, struct tg_span_link *ret)
{
    bool found = false;

    if (!t)
        return false;
    pthread_mutex_lock(&t->lock);
    if (t->n_open == 1 && t->open) {
        tg_trace_where(t->open, chat_id, ret);
        found = true;
    } else if (!t->n_open && t->last.span) {
        *ret = t->last;
        found = true;
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}
