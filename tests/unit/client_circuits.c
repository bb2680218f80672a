/* SPDX-License-Identifier: MIT */
/*
 * client_circuits.c - a client's circuit breakers: of all, of a DC, of a chat; what nobody answers
 */
#include "tests/unit/client_kit.h"

static const struct tgc_options guarded = {
    .retry.backoff = { TG_SECOND_US, TG_SECOND_US, 1000, false },
    .breaker = { .failure_threshold = 3, .window_us = 60 * TG_SECOND_US,
                 .recovery_timeout_us = 60 * TG_SECOND_US, .half_open_requests = 2 },
};

static enum tg_breaker_state circuit_of(const struct script *s)
{
    struct tg_breaker_health health;

    tgc_health(s->g->client, 0, s->g->now_us, &health);
    return health.state;
}

static void start_broken(struct script *s, const struct tgc_options *options, size_t refusals)
{
    start_with(s, false, options);
    be_logged_in(s);
    s->answer = refuse;
    s->error = 500;
    s->text = "INTERNAL";
    s->n_left = refusals;
}

static const struct tl_value *refuse_dc3(struct script *s, struct rig_call *call)
{
    if (call->dc != 3)
        return yes(s, call);
    call->error = 500;
    call->text = "INTERNAL";
    return NULL;
}

/* Three failures, then a minute's silence before each further try, and two successes close it. */
static void test_open_circuit_waits(void **state)
{
    struct script s;
    struct tgc_stats stats;
    int64_t begun;

    (void)state;
    start_broken(&s, &guarded, 5);
    begun = s.g->now_us;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 30);
    assert_int_equal(s.n_queries, 3);
    assert_int_equal(circuit_of(&s), TG_BREAKER_OPEN);
    make(&s, (struct tgc_request){ 0 });
    run(&s, 31);
    assert_int_equal(s.n_queries, 3);
    run(&s, 200);
    each_done_once(&s, TG_OK);
    assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED);
    assert_true(s.call[0].done_us - begun >= 120 * TG_SECOND_US);
    tgc_stats(s.g->client, &stats);
    assert_in_range(stats.n_circuit_opened, 2, 3);
    rig_stop(s.g);
}

/* Calls end at once, also in the next run, until the minute is over. */
static void test_open_circuit_fails_calls(void **state)
{
    struct tgc_options options = guarded;
    struct script s;

    (void)state;
    options.circuit_fails = true;
    start_broken(&s, &options, 3);
    make(&s, (struct tgc_request){ 0 });
    run(&s, 10);
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    each_done_once(&s, TG_CIRCUIT);
    assert_int_equal(s.n_queries, 3);
    assert_true(s.g->session.breaker.open);

    new_client(&s, false, &options);
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    each_done_once(&s, TG_CIRCUIT);
    assert_int_equal(s.n_queries, 3);
    run(&s, 60);
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 5);
    each_done_once(&s, TG_OK);
    assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED);
    rig_stop(s.g);
}

/* What cannot be reached is not dialled again and again. */
static void test_open_circuit_dials_nobody(void **state)
{
    struct script s;
    unsigned dials;

    (void)state;
    start_with(&s, false, &guarded);
    be_logged_in(&s);
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        rig_cut(s.g, i);
    s.g->refuse_dials = true;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 20);
    assert_int_equal(circuit_of(&s), TG_BREAKER_OPEN);
    dials = s.g->n_dials;
    run(&s, 35);
    assert_int_equal(s.g->n_dials, dials);
    run(&s, 20);
    assert_int_equal(s.g->n_dials, dials + 1);
    s.g->refuse_dials = false;
    run(&s, 120);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

/* A DC that is dead, or only fails: calls to it wait for its breaker, those to home go on. */
static void test_a_dead_dc_stops_alone(void **state)
{
    (void)state;
    for (int dead = 0; dead < 2; dead++) {
        struct script s;
        struct tgc_stats stats;

        start_with(&s, false, &guarded);
        be_logged_in(&s);
        s.g->refuse_dc = dead ? 3 : 0;
        if (!dead)
            s.answer = refuse_dc3;
        make(&s, (struct tgc_request){ .dc = 3 });
        run(&s, 20);
        assert_int_equal(s.call[0].n_done, 0);
        tgc_stats(s.g->client, &stats);
        assert_int_equal(stats.n_circuit_opened, 1);
        assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED); /* of account and home */
        make(&s, (struct tgc_request){ 0 });
        run(&s, 1);
        assert_int_equal(s.call[1].code, TG_OK);
        assert_int_equal(s.call[1].n_done, 1);
        tgc_note_learned(s.g->client, s.g->now_us);
        assert_true(tg_session_dc(&s.g->session, 3)->breaker.open);
        assert_false(s.g->session.breaker.open);
        s.g->refuse_dc = 0;
        s.answer = yes;
        run(&s, 120);
        each_done_once(&s, TG_OK);
        rig_stop(s.g);
    }
}

/* It is left alone in the next run as well. */
static void test_a_dead_dc_is_remembered(void **state)
{
    struct tgc_options options = guarded;
    struct script s;

    (void)state;
    start_with(&s, false, &guarded);
    be_logged_in(&s);
    s.g->refuse_dc = 3;
    make(&s, (struct tgc_request){ .dc = 3 });
    run(&s, 20);
    options.circuit_fails = true;
    new_client(&s, false, &options);
    s.g->refuse_dc = 0;
    s.n = 0;
    make(&s, (struct tgc_request){ .dc = 3 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    assert_int_equal(s.call[0].code, TG_CIRCUIT);
    assert_int_equal(s.call[1].code, TG_OK);
    assert_int_equal(s.n_queries, 1);
    rig_stop(s.g);
}

/* A chat whose calls fail stops alone; which client asks makes no difference. */
static void test_a_broken_chat_stops_alone(void **state)
{
    struct tgc_options options = guarded;
    struct tg_circuit_chats chats;
    struct script s;

    (void)state;
    options.circuit_fails = true;
    tg_circuit_chats_init(&chats, &options.breaker);
    start_broken(&s, &options, 3);
    tgc_set_chats(s.g->client, &chats);
    make(&s, (struct tgc_request){ .chat = -7 });
    run(&s, 10);
    assert_int_equal(s.n_queries, 3);
    assert_int_equal(s.call[0].code, TG_CIRCUIT);
    assert_int_equal(tg_circuit_chat(&chats, -7)->state, TG_BREAKER_OPEN);
    assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED);
    s.n = 0;
    make(&s, (struct tgc_request){ .chat = -8 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    each_done_once(&s, TG_OK);
    new_client(&s, false, &options);
    tgc_set_chats(s.g->client, &chats);
    s.n = 0;
    make(&s, (struct tgc_request){ .chat = -7 });
    run(&s, 1);
    each_done_once(&s, TG_CIRCUIT);
    run(&s, 60);
    s.n = 0;
    make(&s, (struct tgc_request){ .chat = -7 });
    make(&s, (struct tgc_request){ .chat = -7 });
    run(&s, 5);
    each_done_once(&s, TG_OK);
    assert_int_equal(tg_circuit_chat(&chats, -7)->state, TG_BREAKER_CLOSED);
    rig_stop(s.g);
    tg_circuit_chats_done(&chats);
}

static void test_no_answer_ever(void **state)
{
    struct script s;

    (void)state;
    start(&s, true, 3);
    be_logged_in(&s);
    s.answer = never;
    make(&s, (struct tgc_request){ 0 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 600);
    each_done_once(&s, TG_TIMEOUT);
    s.answer = yes; /* later calls are served */
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 10);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

static void test_unreachable(void **state)
{
    struct script s;

    (void)state;
    start(&s, true, 12);
    s.g->refuse_dials = true;
    for (int i = 0; i < 2; i++) {
        s.n = 0;
        make(&s, (struct tgc_request){ .before_login = true });
        make(&s, (struct tgc_request){ 0 });
        run(&s, 300);
        each_done_once(&s, TG_NET);
        assert_int_equal(s.g->n_dials, 5 * (i + 1)); /* it was never there: no long patience */
    }
    s.g->refuse_dials = false;
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    s.g->refuse_dials = true; /* it was there: it may come back */
    rig_cut(s.g, 0);
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 20);
    assert_int_equal(s.call[0].n_done, 0);
    s.g->refuse_dials = false;
    run(&s, 120);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_open_circuit_waits),
        cmocka_unit_test(test_open_circuit_fails_calls),
        cmocka_unit_test(test_open_circuit_dials_nobody),
        cmocka_unit_test(test_a_dead_dc_stops_alone),
        cmocka_unit_test(test_a_dead_dc_is_remembered),
        cmocka_unit_test(test_a_broken_chat_stops_alone),
        cmocka_unit_test(test_no_answer_ever),
        cmocka_unit_test(test_unreachable),
    };

    return cmocka_run_group_tests_name("telegram/client circuits", test, set_up, tear_down);
}
