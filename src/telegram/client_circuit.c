/* SPDX-License-Identifier: MIT */
/*
 * client_circuit.c - the circuit breakers of a client: which calls they let through, what they are
 * told
 *
 * flow/circuits.h says what is charged to which of them. Every reply is a verdict, an error too. A
 * connection that is lost, refused or silent is one failure of its DC, however many calls were on
 * it; those go again on the next one.
 */
#include "telegram/client_impl.h"

/* A breaker that opens is kept at once: the next run must know. */
static void on_changed(void *ctx, const struct tg_circuit_change *change)
{
    struct tgc *c = ctx;
    const struct tgc_notice notice = {
        .kind = TGC_CIRCUIT,
        .dc = change->kind == TG_CIRCUIT_DC ? (int32_t)change->number
                                            : c->options.session->home_dc,
        .circuit = change,
        .wait_us = change->wait_us,
        .err = change->err,
    };

    c->stats.n_circuit_opened += change->to == TG_BREAKER_OPEN;
    tgc_notify(c, &notice);
    if (change->kind != TG_CIRCUIT_CHAT && tgc_note_learned(c, c->now_us))
        tgc_save(c);
}

void tgc_circuit_init(struct tgc *c)
{
    const struct tg_breaker_options *o = &c->options.breaker;
    const struct tg_session_data *s = c->options.session;

    tg_circuits_init(&c->circuits, o, c->now_us);
    c->circuits.changed = on_changed;
    c->circuits.ctx = c;
    if (!o->failure_threshold && !o->rate_permille)
        return; /* they never open */
    tg_breaker_load(&c->circuits.account, &s->breaker, c->now_us, c->now_us);
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        struct tg_breaker *b = NULL;

        if (s->dc[i].id && s->dc[i].breaker.open)
            b = tg_circuits_dc(&c->circuits, s->dc[i].id, c->now_us);
        if (b)
            tg_breaker_load(b, &s->dc[i].breaker, c->now_us, c->now_us);
    }
}

void tgc_set_chats(struct tgc *c, struct tg_circuit_chats *chats)
{
    c->circuits.chats = chats;
}

static bool note(const struct tg_breaker *b, int64_t now_us, struct tg_breaker_record *kept)
{
    struct tg_breaker_record now;
    bool changed;

    tg_breaker_save(b, now_us, now_us, &now);
    changed = now.open != kept->open || now.in_a_row != kept->in_a_row;
    *kept = now;
    return changed;
}

bool tgc_circuit_note(struct tgc *c, int64_t now_us)
{
    struct tg_circuits *cs = &c->circuits;
    bool changed = note(&cs->account, now_us, &c->options.session->breaker);

    for (uint32_t i = 0; i < cs->n_dcs; i++) {
        struct tg_dc_state *dc = tg_session_dc(c->options.session, cs->dc[i].id);

        if (dc)
            changed |= note(&cs->dc[i].breaker, now_us, &dc->breaker);
    }
    return changed;
}

int64_t tgc_circuit_wait(const struct tgc *c, int32_t dc, int64_t chat)
{
    return tg_circuits_wait(&c->circuits, tgc_real_dc(dc), chat, c->now_us, NULL);
}

bool tgc_circuit_refuses(const struct tgc *c, int32_t dc, const struct tgc_call_slot *call,
                         struct tg_error *err)
{
    enum tg_circuit_kind which;
    int64_t chat = call->request.chat;
    int64_t wait_us = tg_circuits_wait(&c->circuits, tgc_real_dc(dc), chat, c->now_us, &which);
    long long wait_s = (long long)((wait_us + TG_SECOND_US - 1) / TG_SECOND_US);

    if (!wait_us)
        return false;
    if (which == TG_CIRCUIT_CHAT)
        tg_fail(err, TG_CIRCUIT, "the circuit breaker of chat %lld is open; the next try is in "
                "%lld s", (long long)chat, wait_s);
    else if (which == TG_CIRCUIT_DC)
        tg_fail(err, TG_CIRCUIT, "the circuit breaker of DC %d is open; the next try is in %lld s",
                tgc_real_dc(dc), wait_s);
    else
        tg_fail(err, TG_CIRCUIT, "the account's circuit breaker is open; the next try is in %lld s",
                wait_s);
    tg_hint(err, "run the same command again then");
    return true;
}

void tgc_circuit_take(struct tgc *c, struct tgc_call_slot *call)
{
    tg_circuits_take(&c->circuits, tgc_real_dc(call->sent_dc), call->request.chat, c->now_us,
                     &call->pass);
}

void tgc_circuit_forget(struct tgc *c, struct tgc_call_slot *call)
{
    tg_circuits_forget(&c->circuits, &call->pass);
}

void tgc_circuit_verdict(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *err)
{
    tg_circuits_ended(&c->circuits, &call->pass,
                      tgc_real_dc(call->sent_dc) == c->options.session->home_dc, err,
                      c->now_us - call->sent_us, c->now_us);
}

void tgc_circuit_lost(struct tgc *c, int32_t dc, const struct tg_error *why)
{
    tg_circuits_lost(&c->circuits, tgc_real_dc(dc), why, c->now_us);
}

void tgc_health(const struct tgc *c, int64_t chat, int64_t now_us, struct tg_breaker_health *ret)
{
    tg_circuits_health(&c->circuits, c->options.session->home_dc, chat, now_us, ret);
}
