/* SPDX-License-Identifier: MIT */
/*
 * client_circuit.c - the account's circuit breaker: which calls it lets through, what it is told
 *
 * Every reply is a verdict, an error too: flow/breaker.h says what it means. A connection that is
 * lost, refused or silent is one failure, however many calls were on it; those go again on the next
 * one and are trials no more.
 */
#include "telegram/client_impl.h"

#define WINDOW_US (60 * TG_SECOND_US)
enum { HALF_OPEN = 3 };

void tgc_circuit_init(struct tgc *c)
{
    struct tg_breaker_options *o = &c->options.breaker;

    if (!o->window_us)
        o->window_us = WINDOW_US;
    if (!o->recovery_timeout_us)
        o->recovery_timeout_us = WINDOW_US;
    if (!o->half_open_requests)
        o->half_open_requests = HALF_OPEN;
    tg_breaker_init(&c->breaker, o, c->now_us);
    if (o->failure_threshold || o->rate_permille) /* else it never opens */
        tg_breaker_load(&c->breaker, &c->options.session->breaker, c->now_us, c->now_us);
}

/* Tells of a transition. A breaker that opens is kept at once: the next run must know. */
static void tell(struct tgc *c, enum tg_breaker_state before, const struct tg_error *why)
{
    struct tgc_notice notice = {
        .kind = TGC_CIRCUIT,
        .dc = c->options.session->home_dc,
        .circuit = c->breaker.state,
        .wait_us = tg_breaker_peek(&c->breaker, c->now_us),
        .err = why,
    };

    if (c->breaker.state == before)
        return;
    c->stats.n_circuit_opened += c->breaker.state == TG_BREAKER_OPEN;
    tgc_notify(c, &notice);
    if (tgc_note_learned(c, c->now_us))
        tgc_save(c);
}

void tgc_circuit_take(struct tgc *c, struct tgc_call_slot *call)
{
    enum tg_breaker_state before = c->breaker.state;

    call->turn = tg_breaker_take(&c->breaker, c->now_us);
    tell(c, before, NULL);
}

void tgc_circuit_forget(struct tgc *c, struct tgc_call_slot *call)
{
    if (call->turn)
        tg_breaker_forget(&c->breaker, call->turn);
    call->turn = 0;
}

void tgc_circuit_verdict(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *err)
{
    enum tg_breaker_state before = c->breaker.state;
    enum tg_breaker_verdict verdict = TG_BREAKER_PASS;
    int64_t took_us = c->now_us - call->sent_us;
    uint64_t turn = call->turn;

    if (err)
        verdict = tg_breaker_judge(err, c->options.breaker.recovery_timeout_us);
    if (!turn || verdict == TG_BREAKER_NOTHING) {
        tgc_circuit_forget(c, call);
        return;
    }
    call->turn = 0;
    if (verdict == TG_BREAKER_PASS)
        tg_breaker_passed(&c->breaker, turn, took_us, c->now_us);
    else
        tg_breaker_failed(&c->breaker, turn, took_us, c->now_us);
    tell(c, before, err);
}

void tgc_circuit_lost(struct tgc *c, const struct tg_error *why)
{
    enum tg_breaker_state before = c->breaker.state;
    uint64_t turn;

    if (tg_breaker_judge(why, c->options.breaker.recovery_timeout_us) != TG_BREAKER_FAIL)
        return;
    turn = tg_breaker_take(&c->breaker, c->now_us); /* connecting was a trial, too */
    if (!turn && c->breaker.state == TG_BREAKER_OPEN)
        return; /* it is known */
    tg_breaker_failed(&c->breaker, turn ? turn : c->breaker.turn, 0, c->now_us);
    tell(c, before, why);
}

bool tgc_circuit_refuses(struct tgc *c, struct tg_error *err)
{
    int64_t wait_us = tg_breaker_peek(&c->breaker, c->now_us);

    if (!wait_us)
        return false;
    tg_fail(err, TG_CIRCUIT, "the account's circuit breaker is open; the next try is in %lld s",
            (long long)((wait_us + TG_SECOND_US - 1) / TG_SECOND_US));
    tg_hint(err, "run the same command again then");
    return true;
}

void tgc_health(const struct tgc *c, int64_t now_us, struct tg_breaker_health *ret)
{
    tg_breaker_health(&c->breaker, now_us, ret);
}
