/* SPDX-License-Identifier: MIT */
/*
 * client_share.c - a client whose limits are shared, against the model of the store: what it asks,
 * when its calls leave, what it tells
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "client_rig.h"
#include "telegram/request.h"
#include "tests/share_model.h"

enum { SENT_MAX = 200, RATE = 10 };

static struct tg_rsa_private *rsa;

/* A rig, its store, and what was seen. */
struct shared {
    struct rig *g;
    struct model store;
    struct tgc_share_io io;
    struct tgc_share_query asked;
    bool pending, gone;
    size_t n_asks, n_sent, n_done, n_floods; /* floods to give */
    int64_t sent_us[SENT_MAX];
    size_t n_apart, n_together;
    struct tgc_notice apart;
};

static struct shared *self; /* for the notice, whose ctx is the rig */

static bool on_ask(void *ctx, const struct tgc_share_query *query, struct tg_error *err)
{
    struct shared *s = ctx;

    assert_int_equal(query->account, 77);
    assert_false(query->test);
    assert_string_equal(query->method, "help.getNearestDc");
    s->n_asks++;
    s->asked = *query;
    s->pending = query->number != 0;
    if (s->gone)
        tg_fail(err, TG_NET, "the store is gone");
    return !s->gone;
}

static void on_notice(void *ctx, const struct tgc_notice *n)
{
    rig_notice(ctx, n);
    self->n_together += n->kind == TGC_TOGETHER;
    if (n->kind == TGC_APART) {
        self->n_apart++;
        self->apart = *n;
        assert_string_equal(n->err->message, "the store is gone");
    }
}

static const struct tl_value *on_query(void *ctx, struct rig_call *call)
{
    struct shared *s = ctx;

    if (s->n_sent < SENT_MAX)
        s->sent_us[s->n_sent] = s->g->now_us;
    s->n_sent++;
    if (s->n_floods) {
        s->n_floods--;
        call->error = 420;
        call->text = "FLOOD_WAIT_3";
        return NULL;
    }
    return tl_bool(call->arena, true);
}

static void on_done(void *ctx, const struct tgc_reply *reply)
{
    struct shared *s = ctx;

    if (reply->code == TG_OK)
        s->n_done++;
}

static void make(struct shared *s, int n)
{
    struct tgc_request how = { .method = "help.getNearestDc", .done = on_done, .ctx = s };
    struct tg_arena arena;

    tg_arena_init(&arena, 65536);
    for (int i = 0; i < n; i++)
        assert_true(
            tg_request(s->g->client, tl_obj(&arena, TLN_help_getNearestDc), &how, s->g->now_us));
    tg_arena_done(&arena);
}

static void answer(struct shared *s)
{
    struct tg_share_reply reply;

    if (!s->pending || s->gone)
        return;
    s->pending = false;
    model_ask(&s->store, 0, &s->asked.ask, s->g->now_us, &reply);
    tgc_share_reply(s->g->client, s->asked.number, &reply, s->g->now_us);
}

static void run(struct shared *s, int64_t ms)
{
    int64_t until = s->g->now_us + ms * TG_MS_US;

    do {
        rig_settle(s->g);
        answer(s);
    } while (!rig_jump(s->g, until));
    rig_settle(s->g);
}

static void start(struct shared *s, int64_t rate)
{
    *s = (struct shared){ .io = { s, on_ask } };
    self = s;
    model_init(&s->store);
    s->g = rig_start(rsa, false);
    s->g->answer = on_query;
    s->g->ctx = s;
    s->g->io.notice = on_notice;
    struct tgc_options options = {
        .io = &s->g->io,
        .random = &s->g->random,
        .where = &s->g->where,
        .session = &s->g->session,
        .transport = { .framing = MT_INTERMEDIATE, .obfuscated = true },
        .limit = { rate * 1000, 0, true, 1000, { 0 } },
        .share = &s->io,
    };

    tgc_free(s->g->client);
    s->g->client = tgc_new(&options, s->g->now_us);
    assert_non_null(s->g->client);
    tg_session_dc(&s->g->session, s->g->session.home_dc)->authorized = true;
    s->g->session.user_id = 77;
}

static void calls_leave_with_their_block(void **state)
{
    struct shared s;
    int64_t begun;

    (void)state;
    start(&s, RATE);
    begun = s.g->now_us;
    make(&s, 61);
    rig_settle(s.g);
    assert_int_equal(s.n_asks, 1);
    assert_int_equal(s.n_sent, 0); /* not before it is known how many share */
    run(&s, 20000);
    assert_int_equal(s.n_done, 61);
    assert_in_range(s.sent_us[60] - begun, 5700 * TG_MS_US, 6300 * TG_MS_US);
    for (size_t i = RATE; i < 61; i++) /* never more in any second, but for the first burst */
        assert_true(s.sent_us[i] - s.sent_us[i - RATE] > (i < 14 ? 700 : 950) * TG_MS_US);
    assert_in_range(s.n_asks, 7, 20); /* one a second, also while it may still be asked */
    assert_int_equal(s.asked.ask.want_micro, 0); /* ten seconds without a wish: it left */
    s.n_asks = 0;
    run(&s, 60000);
    assert_int_equal(s.n_asks, 0);
    rig_stop(s.g);
}

static void a_flood_is_told_and_heard(void **state)
{
    struct shared s;
    int64_t told;

    (void)state;
    start(&s, RATE);
    make(&s, 30);
    run(&s, 1000);
    s.n_floods = 1;
    while (s.n_floods)
        run(&s, 10);
    run(&s, 10);
    assert_int_equal(s.store.published, 3 * TG_SECOND_US);
    told = s.sent_us[s.n_sent - 1];
    run(&s, 2500);
    assert_int_equal(s.sent_us[s.n_sent - 1], told);
    run(&s, 1500);
    assert_true(s.sent_us[s.n_sent - 1] > told);
    /* another worker's: this one falls silent as well */
    tgc_share_closed(s.g->client, "help.getConfig", s.g->session.home_dc, TG_SECOND_US,
                     s.g->now_us);
    tgc_share_closed(s.g->client, "help.getNearestDc", 3, TG_SECOND_US, s.g->now_us);
    assert_true(tgc_limit_wait(s.g->client, "help.getNearestDc", s.g->now_us) < TG_SECOND_US);
    tgc_share_closed(s.g->client, "help.getNearestDc", s.g->session.home_dc, 5 * TG_SECOND_US,
                     s.g->now_us);
    told = (int64_t)s.n_sent;
    assert_int_equal(tgc_limit_remaining(s.g->client, "help.getNearestDc", s.g->now_us), 0);
    run(&s, 4900);
    assert_int_equal(s.n_sent, told);
    run(&s, 10000);
    assert_int_equal(s.n_done, 30);
    rig_stop(s.g);
}

static void a_store_that_goes_and_comes(void **state)
{
    struct shared s;
    size_t before;

    (void)state;
    start(&s, RATE);
    for (int i = 1; i < 4; i++) { /* three others want all as well */
        struct tg_share_ask q = { .want_micro = TG_SHARE_ALL, .cap_milli = RATE * 1000,
                                  .burst_micro = 2000000, .flood_us = -1 };
        struct tg_share_reply reply;

        model_ask(&s.store, i, &q, s.g->now_us, &reply);
    }
    make(&s, 150);
    run(&s, 600);
    s.gone = true;
    run(&s, 3000);
    before = s.n_sent;
    run(&s, 8000);
    assert_in_range(s.n_sent - before, 18, 22); /* a fourth of ten a second */
    assert_int_equal(s.n_apart, 1);
    assert_int_equal(s.apart.workers, 4);
    assert_int_equal(s.apart.rate_milli, RATE * 1000 / 4);
    assert_int_equal(s.n_together, 0);
    s.gone = false;
    run(&s, 3000);
    before = s.n_sent;
    run(&s, 5000);
    assert_in_range(s.n_sent - before, 49, 51); /* the others are not there any more */
    assert_int_equal(s.n_apart, 1);
    assert_int_equal(s.n_together, 1);
    rig_stop(s.g);
}

static void answers_that_nobody_awaits(void **state)
{
    struct tg_share_reply much = { .mode = TG_SHARE_SHARED, .once_micro = 50 * TG_SHARE_MICRO,
                                   .rate_milli = RATE * 1000, .workers = 1 };
    struct tg_error why;
    struct shared s;
    uint64_t number;

    (void)state;
    start(&s, RATE);
    tg_fail(&why, TG_NET, "the store is gone");
    make(&s, 20);
    rig_settle(s.g);
    number = s.asked.number;
    tgc_share_reply(s.g->client, 0, &much, s.g->now_us);
    tgc_share_reply(s.g->client, number + 1, &much, s.g->now_us);
    rig_settle(s.g);
    assert_int_equal(s.n_sent, 0);
    answer(&s);
    tgc_share_reply(s.g->client, number, &much, s.g->now_us); /* twice */
    tgc_share_gone(s.g->client, number, &why, s.g->now_us);
    rig_settle(s.g);
    assert_true(s.n_sent < 5);
    assert_int_equal(s.n_apart, 0);
    rig_stop(s.g);
}

static void what_is_left_goes_back(void **state)
{
    struct shared s;

    (void)state;
    start(&s, RATE);
    make(&s, 2);
    run(&s, 100);
    tgc_share_leave(s.g->client);
    assert_int_equal(s.asked.ask.want_micro, 0);
    assert_int_equal(s.asked.number, 0);
    assert_true(s.asked.ask.returned_micro > 0);
    rig_stop(s.g);
}

static void who_is_not_known_shares_nothing(void **state)
{
    struct shared s;

    (void)state;
    start(&s, RATE);
    s.g->session.user_id = 0;
    make(&s, 5);
    run(&s, 2000);
    assert_int_equal(s.n_done, 5);
    assert_int_equal(s.n_asks, 0);
    rig_stop(s.g);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(calls_leave_with_their_block),
        cmocka_unit_test(a_flood_is_told_and_heard),
        cmocka_unit_test(a_store_that_goes_and_comes),
        cmocka_unit_test(answers_that_nobody_awaits),
        cmocka_unit_test(what_is_left_goes_back),
        cmocka_unit_test(who_is_not_known_shares_nothing),
    };
    int failed;

    rsa = rig_rsa();
    failed = cmocka_run_group_tests(test, NULL, NULL);
    tg_rsa_private_free(rsa);
    return failed;
}
