/* SPDX-License-Identifier: MIT */
/*
 * client_share.c - gates: a limiter of the client's own, or a share of one that workers have in
 * common (flow/share.h)
 *
 * A gate is shared when the owner gave a way to the store and it is known whose login this is. Each
 * ask has a number; a reply to any but the last one is dropped.
 */
#include "telegram/client_impl.h"

#include <stdlib.h>

bool tgc_gate_begin(struct tgc *c, struct tgc_gate *gate)
{
    if (!c->options.share)
        return true;
    if (!gate->share)
        gate->share = malloc(sizeof *gate->share);
    if (!gate->share)
        return false;
    tg_share_init(gate->share, &gate->limiter.options, tg_random_u64(c->options.random));
    gate->asked = 0;
    return true;
}

static bool is_shared(const struct tgc *c, const struct tgc_gate *gate)
{
    return gate->share && c->options.session->user_id;
}

int64_t tgc_gate_take(struct tgc *c, struct tgc_gate *gate)
{
    return is_shared(c, gate) ? tg_share_take(gate->share, &gate->limiter, c->now_us)
                              : tg_limiter_take(&gate->limiter, c->now_us);
}

int64_t tgc_gate_peek(const struct tgc *c, const struct tgc_gate *gate, int64_t now_us)
{
    return is_shared(c, gate) ? tg_share_peek(gate->share, &gate->limiter, now_us)
                              : tg_limiter_peek(&gate->limiter, now_us);
}

int64_t tgc_gate_flood(struct tgc *c, struct tgc_gate *gate, int64_t sent_us, int64_t wait_s)
{
    uint64_t random = tg_random_u64(c->options.random);

    return is_shared(c, gate)
               ? tg_share_flood(gate->share, &gate->limiter, sent_us, wait_s, random, c->now_us)
               : tg_limiter_flood(&gate->limiter, sent_us, wait_s, random, c->now_us);
}

int32_t tgc_gate_remaining(const struct tgc *c, const struct tgc_gate *gate, int64_t now_us)
{
    return is_shared(c, gate) ? tg_share_remaining(gate->share, &gate->limiter, now_us)
                              : tg_limiter_remaining(&gate->limiter, now_us);
}

/* ---- asking ---- */

static size_t n_waiting(const struct tgc *c, const struct tgc_gate *gate)
{
    size_t n = 0;

    for (const struct tgc_call_slot *call = c->oldest; call; call = call->newer)
        n += call->state == TGC_CALL_WAITING && call->due_us <= c->now_us &&
             tgc_call_dc(c, call) == gate->dc && !strcmp(call->request.method, gate->method);
    return n;
}

static struct tgc_share_query query_of(const struct tgc *c, const struct tgc_gate *gate)
{
    return (struct tgc_share_query){
        .account = c->options.session->user_id,
        .test = c->options.session->test,
        .method = gate->method,
        .dc = gate->dc,
    };
}

/* Told once, however many methods it concerns. */
static void tell_apart(struct tgc *c, const struct tgc_gate *gate, const struct tg_error *why)
{
    struct tgc_notice notice = {
        .kind = TGC_APART,
        .method = gate->method,
        .rate_milli = tg_limiter_rate(&gate->limiter),
        .workers = TG_MAX(gate->share->workers, INT64_C(1)),
        .err = why,
    };

    if (c->apart)
        return;
    c->apart = true;
    tgc_notify(c, &notice);
}

static void lost(struct tgc *c, struct tgc_gate *gate, const struct tg_error *why)
{
    gate->asked = 0;
    tg_share_lost(gate->share, &gate->limiter, c->now_us);
    tell_apart(c, gate, why);
}

static void ask(struct tgc *c, struct tgc_gate *gate)
{
    struct tgc_share_query query = query_of(c, gate);
    struct tg_error err;

    tg_share_fill(gate->share, &gate->limiter, n_waiting(c, gate), c->now_us, &query.ask);
    query.number = gate->asked = query.ask.want_micro ? ++c->asked : 0;
    if (!c->options.share->ask(c->options.share->ctx, &query, &err) && gate->asked)
        lost(c, gate, &err);
}

void tgc_share_tick(struct tgc *c)
{
    for (size_t i = 0; i < c->n_gates; i++) {
        struct tgc_gate *gate = c->gate[i];
        struct tg_error why;

        if (!is_shared(c, gate))
            continue;
        if (tg_share_overdue(gate->share, c->now_us)) {
            tg_fail(&why, TG_TIMEOUT, "no answer");
            lost(c, gate, &why);
        }
        if (tg_share_due(gate->share, c->now_us) <= c->now_us)
            ask(c, gate);
    }
}

int64_t tgc_share_deadline(const struct tgc *c)
{
    int64_t soonest = INT64_MAX;

    for (size_t i = 0; i < c->n_gates; i++)
        if (is_shared(c, c->gate[i]))
            soonest = TG_MIN(soonest, tg_share_due(c->gate[i]->share, c->now_us));
    return soonest;
}

/* ---- what comes back ---- */

static struct tgc_gate *asked_gate(const struct tgc *c, uint64_t number)
{
    for (size_t i = 0; i < c->n_gates; i++)
        if (number && c->gate[i]->asked == number)
            return c->gate[i];
    return NULL;
}

void tgc_share_reply(struct tgc *c, uint64_t number, const struct tg_share_reply *reply,
                     int64_t now_us)
{
    struct tgc_gate *gate = asked_gate(c, number);
    struct tgc_notice together = { .kind = TGC_TOGETHER };

    c->now_us = now_us;
    if (!gate)
        return;
    gate->asked = 0;
    tg_share_reply(gate->share, &gate->limiter, reply, now_us);
    if (!c->apart)
        return;
    c->apart = false;
    tgc_notify(c, &together);
}

void tgc_share_gone(struct tgc *c, uint64_t number, const struct tg_error *why, int64_t now_us)
{
    struct tgc_gate *gate = asked_gate(c, number);

    c->now_us = now_us;
    if (gate)
        lost(c, gate, why);
}

void tgc_share_closed(struct tgc *c, const char *method, int32_t dc, int64_t wait_us,
                      int64_t now_us)
{
    c->now_us = now_us;
    for (size_t i = 0; i < c->n_gates; i++)
        if (is_shared(c, c->gate[i]) && c->gate[i]->dc == dc &&
            !strcmp(c->gate[i]->method, method))
            tg_share_closed(c->gate[i]->share, wait_us, now_us);
}

void tgc_share_leave(struct tgc *c)
{
    for (size_t i = 0; i < c->n_gates; i++) {
        struct tgc_share_query query = query_of(c, c->gate[i]);
        struct tg_error ignored;

        if (is_shared(c, c->gate[i]) && tg_share_leave(c->gate[i]->share, &query.ask))
            c->options.share->ask(c->options.share->ctx, &query, &ignored);
    }
}
