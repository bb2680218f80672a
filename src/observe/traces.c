/* SPDX-License-Identifier: MIT */
/*
 * traces.c - see traces.h
 */
#include "observe/traces.h"

#include <stdlib.h>

#include "config/settings.h"
#include "os/loop.h"

struct tg_traces {
    struct tg_spans *spans;        /* NULL: nothing is told */
    struct tg_trace_parent parent; /* span 0: traces begin here */
    unsigned percent;
};

tg_code tg_traces_new(const struct tg_monitor_settings *set, tg_spans_done done, void *ctx,
                      struct tg_traces **ret, struct tg_error *err)
{
    const struct tg_spans_options options = { set->traces, set->traces_header, done, ctx };
    struct tg_traces *t = calloc(1, sizeof *t);
    tg_code code = TG_OK;

    if (!t)
        return tg_fail(err, TG_NOMEM, "no memory for traces");
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
    if (t)
        tg_spans_free(t->spans);
    free(t);
}

static void add(void *ctx, const struct tg_span *span)
{
    tg_spans_add(ctx, span);
}

struct tg_trace *tg_traces_begin(struct tg_traces *t, const char *job,
                                 enum tg_trace_pattern pattern)
{
    if (!t || !t->spans)
        return NULL;
    return tg_trace_new(&(struct tg_trace_options){
        .job = job,
        .pattern = pattern,
        .percent = t->percent,
        .parent = t->parent.span ? &t->parent : NULL,
        .random = tg_random_system(),
        .unix_us = tg_clock_unix_us,
        .add = add,
        .ctx = t->spans,
    });
}
