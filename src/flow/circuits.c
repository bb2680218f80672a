/* SPDX-License-Identifier: MIT */
/*
 * circuits.c - see circuits.h
 */
#include "flow/circuits.h"

#include <assert.h>
#include <stdlib.h>

#define WINDOW_US (60 * TG_SECOND_US)
enum { HALF_OPEN = 3 };

void tg_circuit_defaults(struct tg_breaker_options *o)
{
    if (!o->window_us)
        o->window_us = WINDOW_US;
    if (!o->recovery_timeout_us)
        o->recovery_timeout_us = WINDOW_US;
    if (!o->half_open_requests)
        o->half_open_requests = HALF_OPEN;
}

const char *tg_circuit_kind_name(enum tg_circuit_kind kind)
{
    static const char *const name[] = {
        [TG_CIRCUIT_ACCOUNT] = "account",
        [TG_CIRCUIT_DC] = "dc",
        [TG_CIRCUIT_CHAT] = "chat",
        [TG_CIRCUIT_SINK] = "sink",
    };

    assert((size_t)kind < TG_COUNT(name));
    return name[kind];
}

bool tg_circuit_sink_passes(tg_code code)
{
    return tg_code_type(code) == TG_TYPE_SINK && tg_code_retry(code) == TG_RETRY_BACKOFF;
}

/* ---- chats ---- */

void tg_circuit_chats_init(struct tg_circuit_chats *chats,
                           const struct tg_breaker_options *options)
{
    *chats = (struct tg_circuit_chats){ .options = *options };
    tg_circuit_defaults(&chats->options);
}

void tg_circuit_chats_done(struct tg_circuit_chats *chats)
{
    free(chats->at);
    chats->at = NULL;
    chats->n = chats->cap = 0;
}

static struct tg_circuit_chat *find_chat(const struct tg_circuit_chats *chats, int64_t id)
{
    for (uint32_t i = 0; chats && id && i < chats->n; i++)
        if (chats->at[i].id == id)
            return &chats->at[i];
    return NULL;
}

const struct tg_breaker *tg_circuit_chat(const struct tg_circuit_chats *chats, int64_t id)
{
    const struct tg_circuit_chat *chat = find_chat(chats, id);

    return chat ? &chat->breaker : NULL;
}

/* A place for one more: the one that is missed least. */
static struct tg_circuit_chat *make_room(struct tg_circuit_chats *chats)
{
    struct tg_circuit_chat *least = &chats->at[0];

    for (uint32_t i = 1; i < chats->n; i++) {
        struct tg_circuit_chat *c = &chats->at[i];
        bool closed = c->breaker.state == TG_BREAKER_CLOSED;
        bool least_closed = least->breaker.state == TG_BREAKER_CLOSED;

        if (closed != least_closed ? closed : c->used < least->used)
            least = c;
    }
    return least;
}

/* @return NULL out of memory */
static struct tg_circuit_chat *new_chat(struct tg_circuit_chats *chats)
{
    uint32_t cap = TG_MIN(TG_MAX(2 * chats->cap, 8u), (uint32_t)TG_CIRCUIT_CHATS);
    struct tg_circuit_chat *more;

    if (chats->n == TG_CIRCUIT_CHATS)
        return make_room(chats);
    if (chats->n == chats->cap) {
        more = reallocarray(chats->at, cap, sizeof *more);
        if (!more)
            return NULL;
        chats->at = more;
        chats->cap = cap;
    }
    return &chats->at[chats->n++];
}

/* @return NULL out of memory, or for no chat */
static struct tg_circuit_chat *get_chat(struct tg_circuit_chats *chats, int64_t id, int64_t now_us)
{
    struct tg_circuit_chat *chat = find_chat(chats, id);

    if (!chat && chats && id) {
        chat = new_chat(chats);
        if (chat) {
            chat->id = id;
            tg_breaker_init(&chat->breaker, &chats->options, now_us);
        }
    }
    if (chat)
        chat->used = ++chats->uses;
    return chat;
}

bool tg_circuit_chats_load(struct tg_circuit_chats *chats, int64_t id,
                           const struct tg_breaker_record *record, int64_t now_us,
                           int64_t unix_us)
{
    struct tg_circuit_chat *chat = get_chat(chats, id, now_us);

    if (chat)
        tg_breaker_load(&chat->breaker, record, now_us, unix_us);
    return chat != NULL;
}

/* ---- the breakers of a client ---- */

void tg_circuits_init(struct tg_circuits *cs, const struct tg_breaker_options *options,
                      int64_t now_us)
{
    *cs = (struct tg_circuits){ .options = *options };
    tg_circuit_defaults(&cs->options);
    tg_breaker_init(&cs->account, &cs->options, now_us);
}

void tg_circuits_done(struct tg_circuits *cs)
{
    free(cs->dc);
    cs->dc = NULL;
    cs->n_dcs = 0;
}

/* @return its place; n_dcs: it has none */
static uint32_t place_of(const struct tg_circuits *cs, int32_t dc)
{
    uint32_t i = 0;

    while (i < cs->n_dcs && cs->dc[i].id != dc)
        i++;
    return i;
}

static const struct tg_breaker *find_dc(const struct tg_circuits *cs, int32_t dc)
{
    uint32_t i = place_of(cs, dc);

    return i < cs->n_dcs ? &cs->dc[i].breaker : NULL;
}

struct tg_breaker *tg_circuits_dc(struct tg_circuits *cs, int32_t dc, int64_t now_us)
{
    uint32_t i = place_of(cs, dc);

    if (i == TG_CIRCUIT_DCS)
        return NULL;
    if (i == cs->n_dcs && !cs->options.failure_threshold && !cs->options.rate_permille)
        return NULL; /* it would never open */
    if (i == cs->n_dcs) {
        struct tg_circuit_dc *more = reallocarray(cs->dc, i + 1, sizeof *more);

        if (!more)
            return NULL;
        cs->dc = more;
        cs->dc[cs->n_dcs++].id = dc;
        tg_breaker_init(&cs->dc[i].breaker, &cs->options, now_us);
    }
    return &cs->dc[i].breaker;
}

/* What is done to one breaker, told if it changed its state by that. */
enum deed { TAKE, PASS, FAIL, FORGET };

struct act {
    struct tg_circuits *cs;
    int64_t now_us, took_us;
    const struct tg_error *err;
};

static void act_on(const struct act *a, enum tg_circuit_kind kind, int64_t number,
                   struct tg_breaker *b, enum deed deed, uint64_t *turn)
{
    struct tg_circuit_change change = { .kind = kind, .number = number };

    if (!b || (deed != TAKE && !*turn))
        return;
    change.from = b->state;
    switch (deed) {
    case TAKE:
        *turn = tg_breaker_take(b, a->now_us);
        break;
    case PASS:
        tg_breaker_passed(b, *turn, a->took_us, a->now_us);
        break;
    case FAIL:
        tg_breaker_failed(b, *turn, a->took_us, a->now_us);
        break;
    case FORGET:
        tg_breaker_forget(b, *turn);
        break;
    }
    change.to = b->state;
    if (change.from == change.to || !a->cs->changed)
        return;
    if (change.to == TG_BREAKER_OPEN) {
        change.wait_us = tg_breaker_peek(b, a->now_us);
        change.err = a->err;
    }
    a->cs->changed(a->cs->ctx, &change);
}

static struct tg_breaker *chat_of(const struct tg_circuits *cs, int64_t id)
{
    struct tg_circuit_chat *chat = find_chat(cs->chats, id);

    return chat ? &chat->breaker : NULL;
}

int64_t tg_circuits_wait(const struct tg_circuits *cs, int32_t dc, int64_t chat, int64_t now_us,
                         enum tg_circuit_kind *ret_which)
{
    const struct tg_breaker *b[] = {
        [TG_CIRCUIT_ACCOUNT] = &cs->account,
        [TG_CIRCUIT_DC] = find_dc(cs, dc),
        [TG_CIRCUIT_CHAT] = chat_of(cs, chat),
    };
    int64_t longest = 0;

    for (size_t i = 0; i < TG_COUNT(b); i++) {
        int64_t wait = b[i] ? tg_breaker_peek(b[i], now_us) : 0;

        if (wait <= longest)
            continue;
        longest = wait;
        if (ret_which)
            *ret_which = (enum tg_circuit_kind)i;
    }
    return longest;
}

void tg_circuits_take(struct tg_circuits *cs, int32_t dc, int64_t chat, int64_t now_us,
                      struct tg_circuit_pass *ret)
{
    const struct act act = { .cs = cs, .now_us = now_us };
    struct tg_circuit_chat *c = get_chat(cs->chats, chat, now_us);

    *ret = (struct tg_circuit_pass){ .dc = dc, .chat = chat };
    act_on(&act, TG_CIRCUIT_ACCOUNT, 0, &cs->account, TAKE, &ret->account_turn);
    act_on(&act, TG_CIRCUIT_DC, dc, tg_circuits_dc(cs, dc, now_us), TAKE, &ret->dc_turn);
    act_on(&act, TG_CIRCUIT_CHAT, chat, c ? &c->breaker : NULL, TAKE, &ret->chat_turn);
}

/* The same or something else of each. */
static void end(const struct act *act, struct tg_circuit_pass *pass, enum deed account,
                enum deed dc, enum deed chat)
{
    struct tg_circuits *cs = act->cs;
    struct tg_circuit_pass p = *pass;

    *pass = (struct tg_circuit_pass){ 0 };
    act_on(act, TG_CIRCUIT_CHAT, p.chat, chat_of(cs, p.chat), chat, &p.chat_turn);
    act_on(act, TG_CIRCUIT_DC, p.dc, tg_circuits_dc(cs, p.dc, act->now_us), dc, &p.dc_turn);
    act_on(act, TG_CIRCUIT_ACCOUNT, 0, &cs->account, account, &p.account_turn);
}

void tg_circuits_forget(struct tg_circuits *cs, struct tg_circuit_pass *pass)
{
    const struct act act = { .cs = cs };

    end(&act, pass, FORGET, FORGET, FORGET);
}

/* Whether a failure about that chat (0: none) is more than the chat's own. */
static bool is_wider(struct tg_circuits *cs, int64_t chat)
{
    cs->wide |= !chat || (cs->suspect && cs->suspect != chat);
    cs->suspect = chat;
    return cs->wide;
}

void tg_circuits_ended(struct tg_circuits *cs, struct tg_circuit_pass *pass, bool home,
                       const struct tg_error *err, int64_t took_us, int64_t now_us)
{
    const struct act act = { cs, now_us, TG_MAX(took_us, INT64_C(0)), err };
    enum tg_breaker_verdict verdict =
        err ? tg_breaker_judge(err, cs->options.recovery_timeout_us) : TG_BREAKER_PASS;
    enum tg_error_type type = err ? tg_code_type(err->code) : TG_TYPE_NONE;
    int64_t chat = pass->chat_turn ? pass->chat : 0;

    if (verdict == TG_BREAKER_NOTHING) {
        end(&act, pass, FORGET, FORGET, FORGET);
    } else if (verdict == TG_BREAKER_PASS) {
        if (home) {
            cs->suspect = 0;
            cs->wide = false;
        }
        end(&act, pass, PASS, PASS, PASS);
    } else if (type == TG_TYPE_RATE_LIMIT) {
        end(&act, pass, FAIL, PASS, FORGET);
    } else if (!home) {
        end(&act, pass, FORGET, FAIL, FORGET);
    } else if (chat && type != TG_TYPE_AUTH) {
        end(&act, pass, is_wider(cs, chat) ? FAIL : FORGET, PASS, FAIL);
    } else {
        is_wider(cs, 0);
        end(&act, pass, FAIL, PASS, FORGET);
    }
}

void tg_circuits_lost(struct tg_circuits *cs, int32_t dc, const struct tg_error *why,
                      int64_t now_us)
{
    struct act act = { .cs = cs, .now_us = now_us };
    struct tg_breaker *b = tg_circuits_dc(cs, dc, now_us);
    uint64_t turn = 0;

    if (!b || tg_breaker_judge(why, cs->options.recovery_timeout_us) != TG_BREAKER_FAIL)
        return;
    act_on(&act, TG_CIRCUIT_DC, dc, b, TAKE, &turn); /* connecting was a trial, too */
    if (!turn && b->state == TG_BREAKER_OPEN)
        return; /* it is known */
    if (!turn)
        turn = b->turn;
    act.err = why;
    act_on(&act, TG_CIRCUIT_DC, dc, b, FAIL, &turn);
}

static void add_health(const struct tg_breaker *b, int64_t now_us, struct tg_breaker_health *ret)
{
    /* worst last */
    static const int rank[] = { [TG_BREAKER_CLOSED] = 0, [TG_BREAKER_HALF_OPEN] = 1,
                                [TG_BREAKER_OPEN] = 2 };
    struct tg_breaker_health h;

    if (!b)
        return;
    tg_breaker_health(b, now_us, &h);
    if (rank[h.state] > rank[ret->state])
        ret->state = h.state;
    ret->calls = TG_MAX(ret->calls, h.calls);
    ret->success_rate = TG_MIN(ret->success_rate, h.success_rate);
    ret->avg_response_us = TG_MAX(ret->avg_response_us, h.avg_response_us);
}

void tg_circuits_health(const struct tg_circuits *cs, int32_t dc, int64_t chat, int64_t now_us,
                        struct tg_breaker_health *ret)
{
    tg_breaker_health(&cs->account, now_us, ret);
    add_health(find_dc(cs, dc), now_us, ret);
    add_health(chat_of(cs, chat), now_us, ret);
}
