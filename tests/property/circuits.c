/* SPDX-License-Identifier: MIT */
/*
 * circuits.c - the breakers of accounts, DCs and chats together, on a virtual clock
 *
 * Two clients share the breakers of eight chats. What is broken is drawn by seed: one chat, a DC
 * that is not home, the home DC, an account's whole home DC, or nothing. Calls leave at random
 * moments, many at once, and their answers come late and in any order. Whatever is not broken must
 * be let through every time, and no breaker but that of what is broken may ever open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/circuits.h"

enum { SEEDS = 5000, STEPS = 400, CLIENTS = 2, CHATS = 8, CALLS = 24, HOME = 2, OTHER = 4 };

enum broken { NOTHING, ONE_CHAT, OTHER_DC, HOME_DC, ALL_OF_HOME, KINDS };

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

struct call {
    bool out;
    struct tg_circuit_pass pass;
    uint32_t client;
    int32_t dc;
    int64_t chat, sent_us;
};

struct world {
    uint64_t x;
    enum broken broken;
    uint32_t client; /* whose DC or home is broken */
    struct tg_breaker_options options;
    struct tg_circuit_chats chats;
    struct tg_circuits client_of[CLIENTS];
    struct side {
        struct world *w;
        uint32_t at;
    } side[CLIENTS];
    struct call call[CALLS];
    int64_t now_us;
    /* as told: of accounts, of DCs, of chats */
    enum tg_breaker_state account[CLIENTS], dc[CLIENTS][OTHER + 1], chat[CHATS + 1];
    unsigned n_opened, n_closed;
};

static enum tg_breaker_state *told(struct world *w, uint32_t client,
                                   const struct tg_circuit_change *c)
{
    return c->kind == TG_CIRCUIT_ACCOUNT ? &w->account[client]
           : c->kind == TG_CIRCUIT_DC    ? &w->dc[client][c->number]
                                         : &w->chat[c->number];
}

/* Nothing changes but what is broken, and every change goes on from the one before. */
static void on_changed(void *ctx, const struct tg_circuit_change *c)
{
    struct side *side = ctx;
    struct world *w = side->w;
    enum tg_breaker_state *state = told(w, side->at, c);

    assert_int_equal(c->from, *state);
    assert_int_not_equal(c->from, c->to);
    *state = c->to;
    w->n_opened += c->to == TG_BREAKER_OPEN;
    w->n_closed += c->to == TG_BREAKER_CLOSED;
    assert_true((c->to == TG_BREAKER_OPEN) == (c->err != NULL));
    assert_int_equal(c->wait_us,
                     c->to == TG_BREAKER_OPEN ? w->options.recovery_timeout_us : 0);
    if (w->broken == ALL_OF_HOME) {
        assert_int_not_equal(c->kind, TG_CIRCUIT_DC);
        assert_true(c->kind == TG_CIRCUIT_CHAT || side->at == w->client);
        return;
    }
    assert_int_not_equal(c->kind, TG_CIRCUIT_ACCOUNT);
    if (w->broken == ONE_CHAT)
        assert_true(c->kind == TG_CIRCUIT_CHAT && c->number == 1);
    else
        assert_true(c->kind == TG_CIRCUIT_DC && side->at == w->client &&
                    c->number == (w->broken == OTHER_DC ? OTHER : HOME));
}

static void start(struct world *w, uint64_t seed)
{
    *w = (struct world){ .x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
    w->broken = (enum broken)(next(&w->x) % KINDS);
    w->client = (uint32_t)(next(&w->x) % CLIENTS);
    w->options = (struct tg_breaker_options){
        .failure_threshold = 1 + (uint32_t)(next(&w->x) % 6),
        .rate_permille = next(&w->x) % 2 ? 0 : 300 + (uint32_t)(next(&w->x) % 701),
        .calls_min = 1 + (uint32_t)(next(&w->x) % 10),
        .window_us = 1000 + (int64_t)(next(&w->x) % 50000),
        .recovery_timeout_us = 1 + (int64_t)(next(&w->x) % 8000),
        .half_open_requests = 1 + (uint32_t)(next(&w->x) % 4),
    };
    tg_circuit_chats_init(&w->chats, &w->options);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        w->side[i] = (struct side){ w, i };
        tg_circuits_init(&w->client_of[i], &w->options, 0);
        w->client_of[i].chats = &w->chats;
        w->client_of[i].changed = on_changed;
        w->client_of[i].ctx = &w->side[i];
    }
}

static bool is_broken(const struct world *w, const struct call *c)
{
    switch (w->broken) {
    case ONE_CHAT:
        return c->chat == 1 && c->dc == HOME;
    case OTHER_DC:
        return c->dc == OTHER && c->client == w->client;
    case HOME_DC:
    case ALL_OF_HOME:
        return c->dc == HOME && c->client == w->client;
    default:
        return false;
    }
}

/* An open breaker lets nothing through before its time; a half open one no more than its trials. */
static void check_trials(const struct world *w, const struct tg_breaker *b)
{
    if (!b)
        return;
    assert_int_not_equal(b->state, TG_BREAKER_OPEN);
    if (b->state == TG_BREAKER_HALF_OPEN)
        assert_in_range(b->trials, 1, w->options.half_open_requests);
}

static void send(struct world *w, struct call *c)
{
    struct tg_circuits *cs;

    c->client = (uint32_t)(next(&w->x) % CLIENTS);
    c->dc = next(&w->x) % 5 ? HOME : OTHER;
    c->chat = c->dc == HOME && next(&w->x) % 4 ? 1 + (int64_t)(next(&w->x) % CHATS) : 0;
    c->sent_us = w->now_us;
    cs = &w->client_of[c->client];
    if (tg_circuits_wait(cs, c->dc, c->chat, w->now_us, NULL)) {
        if (w->broken != ALL_OF_HOME)
            assert_true(is_broken(w, c)); /* what works is let through */
        return;
    }
    tg_circuits_take(cs, c->dc, c->chat, w->now_us, &c->pass);
    assert_true(c->pass.account_turn && c->pass.dc_turn && !c->pass.chat_turn == !c->chat);
    check_trials(w, &cs->account);
    check_trials(w, tg_circuits_dc(cs, c->dc, w->now_us));
    check_trials(w, c->chat ? tg_circuit_chat(&w->chats, c->chat) : NULL);
    c->out = true;
}

static void answer(struct world *w, struct call *c)
{
    static const tg_code harmless[] = { TG_NOT_FOUND, TG_FORBIDDEN, TG_BAD_REQUEST };
    struct tg_circuits *cs = &w->client_of[c->client];
    struct tg_error err = { .code = TG_SERVER };
    int64_t took = w->now_us - c->sent_us;

    c->out = false;
    if (next(&w->x) % 20 == 0) {
        tg_circuits_forget(cs, &c->pass);
    } else if (is_broken(w, c) && (w->broken == OTHER_DC || w->broken == HOME_DC)) {
        err.code = TG_NET;
        tg_circuits_lost(cs, c->dc, &err, w->now_us);
        tg_circuits_forget(cs, &c->pass);
    } else if (is_broken(w, c)) {
        tg_circuits_ended(cs, &c->pass, c->dc == HOME, &err, took, w->now_us);
    } else if (next(&w->x) % 10 == 0) { /* refusals and short waits are answers */
        err.code = next(&w->x) % 2 ? TG_FLOOD : harmless[next(&w->x) % TG_COUNT(harmless)];
        tg_circuits_ended(cs, &c->pass, c->dc == HOME, &err, took, w->now_us);
    } else {
        tg_circuits_ended(cs, &c->pass, c->dc == HOME, NULL, took, w->now_us);
    }
    assert_true(!c->pass.account_turn && !c->pass.dc_turn && !c->pass.chat_turn);
}

/* A batch is told the worst of what concerns its chat. */
static void check_health(struct world *w)
{
    struct tg_breaker_health h;

    for (uint32_t i = 0; i < CLIENTS; i++) {
        bool any_open = w->chat[1] == TG_BREAKER_OPEN || w->account[i] == TG_BREAKER_OPEN ||
                        w->dc[i][HOME] == TG_BREAKER_OPEN;

        tg_circuits_health(&w->client_of[i], HOME, 1, w->now_us, &h);
        assert_true((h.state == TG_BREAKER_OPEN) == any_open);
        assert_true(h.success_rate >= 0 && h.success_rate <= 1 && h.avg_response_us >= 0);
        tg_circuits_health(&w->client_of[i], HOME, 2, w->now_us, &h);
        if (w->broken == ONE_CHAT || w->broken == OTHER_DC || w->broken == NOTHING)
            assert_true(h.state == TG_BREAKER_CLOSED && h.success_rate == 1);
    }
}

/* Kept and taken up by the next run: what was open stays so for the rest of its time. */
static void check_restart(struct world *w)
{
    const int64_t unix_us = INT64_C(1700000000) * TG_SECOND_US, later = 700;
    struct tg_circuit_chats again;

    tg_circuit_chats_init(&again, &w->options);
    for (uint32_t i = 0; i < w->chats.n; i++) {
        const struct tg_breaker *b = &w->chats.at[i].breaker;
        struct tg_breaker_record kept;
        int64_t left = b->state == TG_BREAKER_OPEN ? tg_breaker_peek(b, w->now_us) : 0;

        tg_breaker_save(b, w->now_us, unix_us, &kept);
        assert_true(tg_circuit_chats_load(&again, w->chats.at[i].id, &kept, 5, unix_us + later));
        b = tg_circuit_chat(&again, w->chats.at[i].id);
        assert_int_equal(tg_breaker_peek(b, 5), TG_MAX(left - later, INT64_C(0)));
        assert_true((b->state == TG_BREAKER_CLOSED) ==
                    (w->chats.at[i].breaker.state == TG_BREAKER_CLOSED));
    }
    tg_circuit_chats_done(&again);
}

static unsigned long n_opened[KINDS];

static void run_seed(uint64_t seed)
{
    struct world w;

    start(&w, seed);
    for (int step = 0; step < STEPS; step++) {
        struct call *c = &w.call[next(&w.x) % CALLS];

        w.now_us += next(&w.x) % 20 == 0 ? (int64_t)(next(&w.x) % 9000)
                                         : (int64_t)(next(&w.x) % 200);
        if (c->out)
            answer(&w, c);
        else
            send(&w, c);
        check_health(&w);
    }
    check_restart(&w);
    if (w.broken == NOTHING)
        assert_int_equal(w.n_opened, 0);
    n_opened[w.broken] += w.n_opened;
    for (uint32_t i = 0; i < CLIENTS; i++)
        tg_circuits_done(&w.client_of[i]);
    tg_circuit_chats_done(&w.chats);
}

static uint64_t at_seed;

static void what_is_broken_stops_alone(void **state)
{
    const char *one = getenv("TG_SEED");

    (void)state;
    for (at_seed = one ? strtoull(one, NULL, 10) : 1; at_seed <= SEEDS; at_seed++)
        run_seed(at_seed);
    for (int i = ONE_CHAT; !one && i < KINDS; i++)
        assert_true(n_opened[i] > SEEDS / KINDS); /* they did what they are for */
}

static int tell_seed(void **state)
{
    (void)state;
    if (at_seed <= SEEDS)
        print_error("failed at seed %llu; TG_SEED=%llu starts there\n",
                    (unsigned long long)at_seed, (unsigned long long)at_seed);
    return 0;
}

/* ---- the rule, case by case ---- */

static const struct tg_breaker_options three = { .failure_threshold = 3, .half_open_requests = 1 };

static void make(struct tg_circuits *cs, int32_t dc, int64_t chat, const struct tg_error *err)
{
    struct tg_circuit_pass pass;

    assert_int_equal(tg_circuits_wait(cs, dc, chat, 1, NULL), 0);
    tg_circuits_take(cs, dc, chat, 1, &pass);
    tg_circuits_ended(cs, &pass, dc == HOME, err, 1, 1);
}

static void failures_are_charged_once(void **state)
{
    static const struct tg_error server = { .code = TG_SERVER };
    static const struct tg_error flood = { .code = TG_FLOOD, .retry_after_s = 61 };
    static const struct {
        int32_t dc;
        int64_t chat[3]; /* of three failures */
        const struct tg_error *err;
        bool account, dc_open, chat_open;
    } row[] = {
        { HOME, { 1, 1, 1 }, &server, false, false, true },
        { HOME, { 0, 0, 0 }, &server, true, false, false },
        { HOME, { 1, 2, 1 }, &server, false, false, false }, /* two count for the account */
        { HOME, { 0, 1, 2 }, &server, true, false, false },
        { HOME, { 1, 1, 1 }, &flood, true, false, false },
        { OTHER, { 0, 0, 0 }, &server, false, true, false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_circuit_chats chats;
        struct tg_circuits cs;

        tg_circuit_chats_init(&chats, &three);
        tg_circuits_init(&cs, &three, 0);
        cs.chats = &chats;
        for (int k = 0; k < 3; k++)
            make(&cs, row[i].dc, row[i].chat[k], row[i].err);
        assert_true((cs.account.state == TG_BREAKER_OPEN) == row[i].account);
        assert_true((cs.dc[0].breaker.state == TG_BREAKER_OPEN) == row[i].dc_open);
        if (row[i].chat[0])
            assert_true((tg_circuit_chat(&chats, row[i].chat[0])->state == TG_BREAKER_OPEN) ==
                        row[i].chat_open);
        tg_circuits_done(&cs);
        tg_circuit_chats_done(&chats);
    }
}

/* With more chats than are kept, open ones are not forgotten for closed ones. */
static void open_chats_are_kept(void **state)
{
    static const struct tg_error server = { .code = TG_SERVER };
    struct tg_circuit_chats chats;
    struct tg_circuits cs;

    (void)state;
    tg_circuit_chats_init(&chats, &three);
    tg_circuits_init(&cs, &three, 0);
    cs.chats = &chats;
    for (int k = 0; k < 3; k++)
        make(&cs, HOME, 7, &server);
    for (int64_t id = 100; id < 100 + 2 * TG_CIRCUIT_CHATS; id++)
        make(&cs, HOME, id, NULL);
    assert_int_equal(chats.n, TG_CIRCUIT_CHATS);
    assert_non_null(tg_circuit_chat(&chats, 7));
    assert_int_equal(tg_circuit_chat(&chats, 7)->state, TG_BREAKER_OPEN);
    assert_null(tg_circuit_chat(&chats, 100));
    tg_circuits_done(&cs);
    tg_circuit_chats_done(&chats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_broken_stops_alone, tell_seed),
        cmocka_unit_test(failures_are_charged_once),
        cmocka_unit_test(open_chats_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
