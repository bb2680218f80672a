/* SPDX-License-Identifier: MIT */
/*
 * trace_calls.c - see trace.h: calls of a server, and what happened to them
 */
#include <stdio.h>
#include <stdlib.h>

#include "observe/trace_impl.h"

enum { TROUBLED_MAX = 256 };

static struct trace_troubled *find_troubled(const struct tg_trace *t, const char *account,
                                      uint64_t number)
{
    for (size_t i = 0; i < t->n_troubled; i++)
        if (t->troubled[i].number == number &&
            strncmp(t->troubled[i].account, account, TRACE_TEXT - 1) == 0)
            return &t->troubled[i];
    return NULL;
}

void tg_trace_call_event(struct tg_trace *t, const char *account, uint64_t number,
                         const char *name, int64_t wait_us, const struct tg_error *err)
{
    struct trace_troubled *c;

    if (!t || !number)
        return;
    pthread_mutex_lock(&t->lock);
    c = find_troubled(t, account, number);
    if (!t->troubled)
        t->troubled = calloc(TROUBLED_MAX, sizeof *t->troubled);
    if (!c && t->troubled && t->n_troubled < TROUBLED_MAX) {
        c = &t->troubled[t->n_troubled++];
        c->number = number;
        c->n_events = 0;
        snprintf(c->account, sizeof c->account, "%s", account);
    }
    if (c && c->n_events < TG_SPAN_EVENTS)
        c->event[c->n_events++] = (struct tg_span_event){
            .at_us = t->options.unix_us(),
            .name = name,
            .wait_ms = wait_us / TG_MS_US,
            .code = err ? tg_code_name(err->code) : NULL,
        };
    pthread_mutex_unlock(&t->lock);
}

static void put_call(struct tg_span *s, const struct tg_trace_call *call)
{
    s->calls = true;
    tg_span_text(s, "rpc.system", "mtproto");
    tg_span_text(s, "rpc.method", call->method);
    tg_span_text(s, "tgdata.account", call->account);
    if (call->dc)
        tg_span_number(s, "tgdata.dc", call->dc);
    if (call->chat_id)
        tg_span_number(s, "tgdata.chat_id", call->chat_id);
    tg_span_number(s, "tgdata.answer_ms", call->took_us / TG_MS_US);
    if (call->n_floods) {
        tg_span_number(s, "tgdata.flood_waits", call->n_floods);
        tg_span_number(s, "tgdata.flood_wait_s", call->flood_wait_s);
    }
    if (call->n_retries)
        tg_span_number(s, "tgdata.retries", call->n_retries);
    trace_put_failure(s, call->err);
}

/* The events of a call move to its span. */
static void take_events(struct tg_trace *t, struct trace_troubled *from, struct tg_span *s)
{
    s->n_events = from->n_events;
    memcpy(s->event, from->event, sizeof s->event);
    for (size_t i = 0; i < s->n_events; i++) /* ages are by a clock that ticks with events */
        s->event[i].at_us = TG_MIN(TG_MAX(s->event[i].at_us, s->start_us), s->end_us);
    *from = t->troubled[--t->n_troubled];
}

void tg_trace_call(struct tg_trace *t, const struct tg_trace_call *call)
{
    struct trace_troubled *troubled;
    struct trace_batch *b = NULL;
    struct trace_place at;
    struct tg_span s;
    struct trace_chat *c;
    int64_t start_us;
    bool odd;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    start_us = t->options.unix_us() - TG_MAX(call->age_us, 0);
    troubled = find_troubled(t, call->account, call->number);
    c = trace_find_chat(t, call->chat_id);
    odd = call->err || call->n_floods || call->n_retries;
    if (c) {
        b = trace_gathers(t, c, start_us);
        b->calls++;
        b->told |= odd;
    }
    at = b ? trace_below(&b->at, b->id) : trace_of_job(t);
    s = trace_begin_span(t, call->method, &at, start_us);
    s.id = trace_new_id(t);
    put_call(&s, call);
    if (troubled)
        take_events(t, troubled, &s);
    if (odd || (b ? b->told : trace_in_share(t, s.id)))
        trace_add(t, &s);
    pthread_mutex_unlock(&t->lock);
}
