/* SPDX-License-Identifier: MIT */
/*
 * client_send.c - gates and sending: when a call may leave, and what time brings
 *
 * Waiting calls are looked through in order of arrival, so those that a flood sent back go first. A
 * gate that is closed holds back only calls of its own method and DC.
 */
#include <stdlib.h>

#include "telegram/client_impl.h"
#include "telegram/rows.h"

enum { SEND_MAX = 2 << 20, LEARNED_MAX_S = 30 * 86400 };

/* ---- gates ---- */

/* @return the gate of a method at a DC; NULL if there is none yet */
static struct tgc_gate *find_gate(const struct tgc *c, const char *method, int32_t dc)
{
    for (size_t i = 0; i < c->n_gates; i++)
        if (c->gate[i]->dc == dc && strcmp(c->gate[i]->method, method) == 0)
            return c->gate[i];
    return NULL;
}

/* Methods whose floods last for hours: a pace that stays below, whatever that of the others. The
 * server's figures are not published; these let twenty names through at once and 17,000 a day. */
static const struct {
    const char *method;
    int64_t rate_milli_per_s, burst;
} strict_table[] = {
    { "contacts.resolveUsername", 200, 20 },
    { "messages.getDialogs", 1000, 20 },
};

static struct tg_limiter_options options_of(const struct tgc *c, const char *method)
{
    struct tg_limiter_options o = c->options.limit;

    for (size_t i = 0; i < TG_COUNT(strict_table) && o.adaptive; i++) {
        if (strcmp(strict_table[i].method, method) != 0)
            continue;
        if (!o.rate_milli_per_s || o.rate_milli_per_s > strict_table[i].rate_milli_per_s) {
            o.rate_milli_per_s = strict_table[i].rate_milli_per_s;
            o.burst = strict_table[i].burst;
        }
    }
    return o;
}

static bool init_gate(struct tgc *c, struct tgc_gate *gate, const struct tg_limiter_options *o)
{
    const struct tg_limit_record *known =
        tg_session_limit(c->options.session, gate->method, gate->dc);

    tg_limiter_init(&gate->limiter, o, c->now_us);
    if (known && c->now_us / TG_SECOND_US - known->at_s < LEARNED_MAX_S)
        tg_limiter_recall(&gate->limiter, known->learned_milli, c->now_us);
    return tgc_gate_begin(c, gate);
}

/* As find_gate, made if absent. Past the bound all further methods share the last one. NULL out of
 * memory. */
struct tgc_gate *tgc_gate_of(struct tgc *c, const char *method, int32_t dc)
{
    struct tg_limiter_options o = options_of(c, method);
    struct tgc_gate *gate = find_gate(c, method, dc), **more;

    if (gate)
        return gate;
    if (c->n_gates == TGC_GATE_MAX)
        return c->gate[TGC_GATE_MAX - 1];
    more = realloc(c->gate, (c->n_gates + 1) * sizeof *more);
    if (more)
        c->gate = more;
    gate = more ? calloc(1, sizeof *gate) : NULL;
    if (!gate)
        return NULL;
    gate->method = method;
    gate->dc = dc;
    if (!init_gate(c, gate, &o)) {
        free(gate);
        return NULL;
    }
    c->gate[c->n_gates++] = gate;
    return gate;
}

void tgc_limit(struct tgc *c, const char *method, const struct tg_limiter_options *options,
               int64_t now_us)
{
    struct tgc_gate *gate;

    c->now_us = now_us;
    if (!method) {
        c->options.limit = *options;
        return;
    }
    gate = tgc_gate_of(c, method, c->options.session->home_dc);
    if (gate)
        (void)init_gate(c, gate, options); /* it has its memory already */
}

bool tgc_note_learned(struct tgc *c, int64_t now_us)
{
    bool changed = tgc_circuit_note(c, now_us);

    for (size_t i = 0; i < c->n_gates; i++) {
        int64_t learned = tg_limiter_learned(&c->gate[i]->limiter);

        if (learned)
            changed |= tg_session_set_limit(c->options.session, c->gate[i]->method, c->gate[i]->dc,
                                            learned, now_us / TG_SECOND_US);
    }
    return changed;
}

int32_t tgc_limit_remaining(const struct tgc *c, const char *method, int64_t now_us)
{
    const struct tgc_gate *gate = find_gate(c, method, c->options.session->home_dc);

    return gate ? tgc_gate_remaining(c, gate, now_us) : -1;
}

int64_t tgc_limit_wait(const struct tgc *c, const char *method, int64_t now_us)
{
    const struct tgc_gate *gate = find_gate(c, method, c->options.session->home_dc);

    return gate ? tgc_gate_peek(c, gate, now_us) : 0;
}

int64_t tgc_limit_rate(const struct tgc *c, const char *method)
{
    const struct tgc_gate *gate = find_gate(c, method, c->options.session->home_dc);

    return gate ? tg_limiter_rate(&gate->limiter) : 0;
}

/* ---- sending ---- */

static bool may_send(struct tgc *c, struct tgc_call_slot *call, struct tgc_link *link)
{
    bool further = tgc_real_dc(link->dc) != c->options.session->home_dc;

    if (!tgc_link_ready(link))
        return false;
    if (further && !call->request.before_login && tgc_auth_needed(c, link)) {
        tgc_auth_import(c, link, c->now_us);
        return false;
    }
    return true;
}

static bool send_call(struct tgc *c, struct tgc_call_slot *call, struct tgc_link *link)
{
    struct tg_buf body;
    struct mt_call mt = { 0 };

    tg_buf_init(&body, SEND_MAX);
    tgc_wrap(c, link, call, &body);
    mt.body = body.data;
    mt.len = body.len;
    call->mt_call = body.failed ? 0 : mt_session_call(link->session, &mt);
    tg_buf_wipe(&body);
    if (!call->mt_call)
        return false;
    call->inited = !link->inited;
    call->state = TGC_CALL_SENT;
    call->sent_dc = link->dc;
    call->sent_us = c->now_us;
    if (!call->first_sent_us)
        call->first_sent_us = c->now_us;
    c->stats.n_requests++;
    return true;
}

/* @return false if the list of calls may have changed */
static bool push_call(struct tgc *c, struct tgc_call_slot *call)
{
    struct tgc_link *link;
    bool waits = call->due_us > c->now_us;
    struct tg_error err;

    if (waits && !c->options.circuit_fails)
        return true;
    if (call->dc >= TGC_MEDIA_STEP) /* unless that cannot be any more */
        call->dc = tgc_media(c, tgc_real_dc(call->dc), (uint32_t)(call->dc / TGC_MEDIA_STEP - 1));
    link = tgc_link_of(c, tgc_call_dc(c, call));
    if (!link) {
        tg_fail(&err, TG_NOT_FOUND, "no address of DC %d is known", tgc_call_dc(c, call));
        tgc_fail_call(c, call, &err);
        return false;
    }
    if (tgc_circuit_refuses(c, link->dc, call, &err)) {
        if (c->options.circuit_fails)
            tgc_fail_call(c, call, &err);
        return !c->options.circuit_fails;
    }
    if (waits)
        return true;
    tgc_link_want(c, link, c->now_us);
    if (!may_send(c, call, link))
        return true;
    call->gate = tgc_gate_of(c, call->request.method, tgc_real_dc(link->dc));
    if (call->gate && tgc_gate_take(c, call->gate))
        return true;
    if (call->gate && send_call(c, call, link)) {
        tgc_circuit_take(c, call);
        return true;
    }
    tg_fail(&err, TG_NOMEM, "no memory to send %s", call->request.method);
    tgc_fail_call(c, call, &err);
    return false;
}

/* Oldest first, so that what a flood sent back goes before what came later. */
static void push_those(struct tgc *c, bool urgent)
{
    struct tgc_call_slot *call = c->oldest;

    while (call) {
        bool same = call->state != TGC_CALL_WAITING || call->request.urgent != urgent ||
                    push_call(c, call);

        call = same ? call->newer : c->oldest;
    }
}

static void push_calls(struct tgc *c)
{
    push_those(c, true);
    push_those(c, false);
}

/* @return the link of a call without making it; NULL if there is none yet */
static const struct tgc_link *link_of(const struct tgc *c, const struct tgc_call_slot *call)
{
    int32_t dc = call->state == TGC_CALL_SENT ? call->sent_dc : tgc_call_dc(c, call);

    for (size_t i = 0; i < TGC_LINKS_MAX; i++)
        if (c->link[i] && c->link[i]->dc == dc)
            return c->link[i];
    return NULL;
}

/* When a sent call has waited too long: counted while its connection is up. */
static int64_t timeout_of(const struct tgc *c, const struct tgc_link *link,
                          const struct tgc_call_slot *call)
{
    if (!link || !tgc_link_ready(link))
        return INT64_MAX;
    return TG_MAX(call->sent_us, link->since_us) + c->options.call_timeout_us;
}

/* A call that got no reply at all for long: the connection is made anew, which sends it again.
 * @return whether the call goes on */
static bool check_reply(struct tgc *c, struct tgc_call_slot *call)
{
    struct tg_error why;

    if (call->state != TGC_CALL_SENT || c->now_us < timeout_of(c, link_of(c, call), call))
        return true;
    tg_fail(&why, TG_TIMEOUT, "%s had no reply for %lld seconds", call->request.method,
            (long long)(c->options.call_timeout_us / TG_SECOND_US));
    tgc_link_drop(c, tgc_link_of(c, call->sent_dc), &why, c->now_us);
    tgc_circuit_lost(c, call->sent_dc, &why);
    if (tgc_retry_wait(c, call, &why) >= 0) /* it goes with the next connection */
        return true;
    tgc_fail_call(c, call, &why);
    return false;
}

static bool check_deadline(struct tgc *c, struct tgc_call_slot *call)
{
    struct tg_error why;

    if (!call->retry.deadline_us || c->now_us < call->retry.deadline_us)
        return true;
    tg_fail(&why, TG_TIMEOUT, "%s did not end within its %lld seconds", call->request.method,
            (long long)(c->options.call_deadline_us / TG_SECOND_US));
    tgc_fail_call(c, call, &why);
    return false;
}

/* What is on its way does not wait for a connection that may not be made. */
static bool check_circuit(struct tgc *c, struct tgc_call_slot *call)
{
    const struct tgc_link *link = link_of(c, call);
    struct tg_error why;

    if (!c->options.circuit_fails || call->state != TGC_CALL_SENT || !link ||
        link->state != TGC_DOWN || !tgc_circuit_refuses(c, link->dc, call, &why))
        return true;
    tgc_fail_call(c, call, &why);
    return false;
}

static void check_timeouts(struct tgc *c)
{
    struct tgc_call_slot *call = c->oldest;

    while (call)
        call = check_deadline(c, call) && check_reply(c, call) && check_circuit(c, call)
                   ? call->newer
                   : c->oldest;
}

static bool is_for(const struct tgc *c, const struct tgc_call_slot *call, int32_t dc)
{
    return (call->state == TGC_CALL_SENT ? call->sent_dc : tgc_call_dc(c, call)) == dc;
}

/* Nobody waits for ever for a DC that cannot be reached. Calls that come later try again. */
static void give_up(struct tgc *c, struct tgc_link *link)
{
    struct tg_error why = link->why;

    link->hopeless = false;
    link->attempts = 0;
    tgc_fail_calls(c, is_for, link->dc, &why);
}

void tgc_tick(struct tgc *c, int64_t now_us)
{
    c->now_us = now_us;
    check_timeouts(c);
    push_calls(c);
    tgc_share_tick(c);
    for (size_t i = 0; i < TGC_LINKS_MAX; i++) {
        struct tgc_link *link = c->link[i];

        if (!link)
            continue;
        /* calls in flight need the link even if none waits */
        if (link->state == TGC_DOWN && link->session) {
            struct mt_session_state state;

            mt_session_state(link->session, &state);
            if (state.n_calls && !tgc_circuit_wait(c, link->dc, 0))
                tgc_link_want(c, link, now_us);
        }
        tgc_link_tick(c, link, now_us);
        if (link->hopeless)
            give_up(c, link);
    }
}

/* When a call can go, or has waited too long for its reply, without changing anything. */
static int64_t call_due(const struct tgc *c, const struct tgc_call_slot *call)
{
    const struct tgc_link *link = link_of(c, call);
    const struct tgc_gate *gate;
    int64_t due = call->due_us;

    if (!link)
        return due;
    if (link->hopeless)
        return c->now_us;
    if (call->state == TGC_CALL_WAITING)
        due = TG_MAX(due, c->now_us + tgc_circuit_wait(c, link->dc, call->request.chat));
    else if (link->state == TGC_DOWN)
        due = TG_MAX(due, c->now_us + tgc_circuit_wait(c, link->dc, 0));
    if (link->state == TGC_DOWN) /* what was sent before goes again on the next connection */
        return TG_MAX(due, link->retry_us);
    if (call->state == TGC_CALL_SENT)
        return timeout_of(c, link, call);
    if (!tgc_link_ready(link) || (link->importing && !call->request.before_login))
        return INT64_MAX; /* what is awaited has a deadline of its own */
    gate = find_gate(c, call->request.method, tgc_real_dc(link->dc));
    if (gate)
        due = TG_MAX(due, c->now_us + tgc_gate_peek(c, gate, c->now_us));
    return due;
}

int64_t tgc_deadline(const struct tgc *c)
{
    int64_t soonest = tgc_share_deadline(c), at;

    for (const struct tgc_call_slot *call = c->oldest; call; call = call->newer) {
        at = call_due(c, call);
        if (call->retry.deadline_us)
            at = TG_MIN(at, call->retry.deadline_us);
        soonest = TG_MIN(soonest, at);
    }
    for (size_t i = 0; i < TGC_LINKS_MAX; i++) {
        at = c->link[i] ? tgc_link_deadline(c, c->link[i]) : INT64_MAX;
        soonest = TG_MIN(soonest, at);
    }
    return soonest;
}

void tgc_stats(const struct tgc *c, struct tgc_stats *ret)
{
    *ret = c->stats;
    ret->n_open = c->n_calls;
    for (size_t i = 0; i < TGC_LINKS_MAX; i++) {
        const struct tgc_link *link = c->link[i];
        struct mt_session_state state;

        ret->n_links += link && link->state == TGC_READY;
        if (!link || link->dc != c->options.session->home_dc || !link->session)
            continue;
        mt_session_state(link->session, &state);
        ret->rtt_us = state.rtt_us;
    }
}
