/* SPDX-License-Identifier: MIT */
/*
 * traces.c - see traces.h
 *
 * Threads: the lock guards which traces are open
 */
#include "observe/traces.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/settings.h"
#include "observe/otel_env.h"
#include "os/loop.h"
#include "os/queue.h"

struct tg_traces {
    struct tg_spans *spans; /* NULL: nothing is told */
    struct tg_otel otel;
    char *header;                  /* of the settings; NULL */
    struct tg_trace_parent parent; /* span 0: traces begin here */
    uint32_t share_ppm;

    pthread_mutex_t lock;
    struct tg_trace *open;    /* the one that was begun last; NULL: it has ended */
    unsigned n_open;
    struct tg_span_link last; /* the job's span of the one that ended last; span 0: none */
};

static const char *process_env(const char *name)
{
    return getenv(name);
}

bool tg_traces_wanted(const struct tg_monitor_settings *set)
{
    struct tg_error ignored;
    struct tg_otel otel;
    bool wanted = set->traces != NULL;

    if (!wanted && tg_otel_read(process_env, &otel, &ignored) == TG_OK) {
        wanted = otel.to[0] || otel.warning[0];
        tg_otel_done(&otel);
    }
    return wanted;
}

static tg_code open_spans(struct tg_traces *t, const struct tg_monitor_settings *set,
                          struct tg_spans_options *options, struct tg_error *err)
{
    const char *const own[] = { t->header, NULL };
    const char *const *from_env = (const char *const *)t->otel.header;
    tg_code code;

    options->to = set->traces ? set->traces : t->otel.to;
    options->header = set->traces || t->header ? own : from_env;
    options->from = (struct tg_span_source){ .service = t->otel.service,
                                             .attribute = t->otel.attribute,
                                             .n_attributes = t->otel.n_attributes };
    if (!options->to[0])
        return TG_OK;
    code = tg_spans_new(options, &t->spans, err);
    if (code == TG_OK || set->traces)
        return code;
    snprintf(t->otel.warning, sizeof t->otel.warning, "of OTEL_...: %.200s", err->message);
    return TG_OK;
}

tg_code tg_traces_new(const struct tg_monitor_settings *set, tg_spans_done done, void *ctx,
                      struct tg_traces **ret, struct tg_error *err)
{
    struct tg_spans_options options = { .done = done, .ctx = ctx };
    struct tg_traces *t = calloc(1, sizeof *t);
    bool told;
    tg_code code;

    if (!t)
        return tg_fail(err, TG_NOMEM, "no memory for traces");
    pthread_mutex_init(&t->lock, NULL);
    code = tg_otel_read(process_env, &t->otel, err);
    t->header = set->traces_header ? strdup(set->traces_header) : NULL;
    if (code == TG_OK && !t->header != !set->traces_header)
        code = tg_fail(err, TG_NOMEM, "no memory for traces");
    if (!tg_trace_parent_read(getenv("TRACEPARENT"), &t->parent))
        t->parent.span = 0;
    told = tg_otel_samples(&t->otel, &t->parent, &t->share_ppm);
    if (set->traces_sample < TG_OTEL_WHOLE)
        t->share_ppm = (uint32_t)set->traces_sample;
    if (code == TG_OK && told)
        code = open_spans(t, set, &options, err);
    if (code != TG_OK) {
        tg_traces_free(t);
        return code;
    }
    *ret = t;
    return TG_OK;
}

const char *tg_traces_warning(const struct tg_traces *t)
{
    return t->otel.warning;
}

void tg_traces_free(struct tg_traces *t)
{
    if (!t)
        return;
    tg_spans_free(t->spans);
    tg_text_wipe(t->header);
    tg_otel_done(&t->otel);
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
        .share_ppm = t->share_ppm,
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
