/* SPDX-License-Identifier: MIT */
/*
 * breaker.c - the breaker against a model that keeps everything, on a virtual clock
 *
 * The model remembers every call with its verdict and the whole list of transitions, and answers
 * each question by reading them again from the start. Random traces: calls at random moments, late
 * answers, forgotten ones, pauses, options drawn anew each time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/breaker.h"

enum { TRACES = 10000, STEPS = 120, CALLS_MAX = STEPS + 1 };

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

/* ---- the model ---- */

struct model_call {
    uint64_t turn;
    int64_t left_us;
    enum { OUT, GOOD, BAD, FORGOTTEN } is;
    int64_t verdict_us, response_us;
    uint64_t verdict_turn; /* the model's turn when it came */
    bool counted;          /* in the window (which a closing empties) */
};

struct model {
    struct tg_breaker_options o;
    struct model_call call[CALLS_MAX];
    size_t n;
    size_t verdict[CALLS_MAX]; /* calls in order of their verdicts */
    size_t n_verdicts;
    uint64_t turn;
    enum tg_breaker_state state;
    int64_t entered_us;
};

static void model_enter(struct model *m, enum tg_breaker_state state, int64_t now_us)
{
    if (state == TG_BREAKER_CLOSED)
        for (size_t i = 0; i < m->n; i++)
            m->call[i].counted = false;
    m->state = state;
    m->turn++;
    m->entered_us = now_us;
}

/* Trials of this turn that count, and the moment when the newest left (also a forgotten one). */
static uint32_t model_trials(const struct model *m, uint32_t *ret_good, int64_t *ret_newest_us)
{
    uint32_t n = 0;

    *ret_good = 0;
    *ret_newest_us = m->entered_us;
    for (size_t i = 0; i < m->n; i++) {
        if (m->call[i].turn != m->turn)
            continue;
        *ret_newest_us = m->call[i].left_us;
        n += m->call[i].is != FORGOTTEN;
        *ret_good += m->call[i].is == GOOD;
    }
    return n;
}

static int64_t model_wait(const struct model *m, int64_t now_us)
{
    int64_t until = now_us, newest;
    uint32_t good;

    if (m->state == TG_BREAKER_OPEN)
        until = m->entered_us + m->o.recovery_timeout_us;
    if (m->state == TG_BREAKER_HALF_OPEN &&
        model_trials(m, &good, &newest) >= m->o.half_open_requests)
        until = newest + m->o.recovery_timeout_us;
    return until > now_us ? until - now_us : 0;
}

static struct model_call *model_take(struct model *m, int64_t now_us)
{
    int64_t newest;
    uint32_t good, n;

    if (model_wait(m, now_us))
        return NULL;
    n = model_trials(m, &good, &newest);
    if (m->state == TG_BREAKER_OPEN ||
        (m->state == TG_BREAKER_HALF_OPEN && n > good &&
         now_us >= newest + m->o.recovery_timeout_us))
        model_enter(m, TG_BREAKER_HALF_OPEN, now_us);
    m->call[m->n] = (struct model_call){ .turn = m->turn, .left_us = now_us };
    return &m->call[m->n++];
}

static void model_window(const struct model *m, int64_t now_us, uint32_t *ok, uint32_t *bad,
                         int64_t *response_us)
{
    int64_t slice = m->o.window_us / TG_BREAKER_SLICES;

    *ok = *bad = 0;
    *response_us = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_call *c = &m->call[i];

        if ((c->is != GOOD && c->is != BAD) || !c->counted ||
            now_us / slice - c->verdict_us / slice >= TG_BREAKER_SLICES)
            continue;
        *ok += c->is == GOOD;
        *bad += c->is == BAD;
        *response_us += c->response_us;
    }
}

/* Failures since the last success or the turn's start, by verdicts of calls of this turn. */
static uint32_t model_in_a_row(const struct model *m)
{
    uint32_t n = 0;

    for (size_t i = 0; i < m->n_verdicts; i++) {
        const struct model_call *c = &m->call[m->verdict[i]];

        if (c->turn == m->turn)
            n = c->is == GOOD ? 0 : n + 1;
    }
    return n;
}

static void model_verdict(struct model *m, size_t i, bool good, int64_t response_us,
                          int64_t now_us)
{
    struct model_call *c = &m->call[i];
    uint32_t ok, bad, n_good;
    int64_t sum, newest;

    c->is = good ? GOOD : BAD;
    c->verdict_us = now_us;
    c->response_us = response_us;
    c->counted = true;
    m->verdict[m->n_verdicts++] = i;
    if (c->turn != m->turn)
        return;
    if (good) {
        model_trials(m, &n_good, &newest);
        if (m->state == TG_BREAKER_HALF_OPEN && n_good == m->o.half_open_requests)
            model_enter(m, TG_BREAKER_CLOSED, now_us);
        return;
    }
    model_window(m, now_us, &ok, &bad, &sum);
    if (m->state == TG_BREAKER_HALF_OPEN ||
        (m->o.failure_threshold && model_in_a_row(m) >= m->o.failure_threshold) ||
        (m->o.rate_permille && ok + bad >= TG_MAX(m->o.calls_min, 1u) &&
         bad * 1000 >= (ok + bad) * m->o.rate_permille))
        model_enter(m, TG_BREAKER_OPEN, now_us);
}

/* ---- traces ---- */

static struct tg_breaker_options draw_options(uint64_t *x)
{
    return (struct tg_breaker_options){
        .failure_threshold = (uint32_t)(next(x) % 7),
        .rate_permille = next(x) % 2 ? 0 : 100 + (uint32_t)(next(x) % 901),
        .calls_min = (uint32_t)(next(x) % 12),
        .window_us = TG_BREAKER_SLICES * (1 + (int64_t)(next(x) % 5000)),
        .recovery_timeout_us = 1 + (int64_t)(next(x) % 8000),
        .half_open_requests = 1 + (uint32_t)(next(x) % 4),
    };
}

static void compare(const struct tg_breaker *b, const struct model *m, int64_t now_us)
{
    struct tg_breaker_health health;
    uint32_t ok, bad;
    int64_t sum;

    assert_int_equal(b->state, m->state);
    assert_int_equal(b->turn, m->turn);
    assert_int_equal(tg_breaker_peek(b, now_us), model_wait(m, now_us));
    tg_breaker_health(b, now_us, &health);
    model_window(m, now_us, &ok, &bad, &sum);
    assert_int_equal(health.calls, ok + bad);
    assert_int_equal(health.avg_response_us, ok + bad ? sum / (ok + bad) : 0);
    assert_true(health.success_rate == (ok + bad ? (double)ok / (ok + bad) : 1));
}

/* An open call, drawn; CALLS_MAX if there is none. */
static size_t draw_call(const struct model *m, uint64_t *x)
{
    size_t from = m->n ? next(x) % m->n : 0;

    for (size_t k = 0; k < m->n; k++)
        if (m->call[(from + k) % m->n].is == OUT)
            return (from + k) % m->n;
    return CALLS_MAX;
}

static void run_trace(uint64_t seed)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct tg_breaker_options o = draw_options(&x);
    uint64_t bad_of_100 = next(&x) % 101;
    int64_t now = (int64_t)(next(&x) % 1000000);
    struct model m = { .o = o };
    struct tg_breaker b;

    tg_breaker_init(&b, &o, now);
    model_enter(&m, TG_BREAKER_CLOSED, now);
    for (int step = 0; step < STEPS; step++) {
        uint64_t what = next(&x) % 10;
        size_t i = draw_call(&m, &x);

        now += next(&x) % 20 == 0 ? (int64_t)(next(&x) % 20000) : (int64_t)(next(&x) % 300);
        if (what < 5 || i == CALLS_MAX) {
            uint64_t turn = tg_breaker_take(&b, now);
            const struct model_call *c = model_take(&m, now);

            assert_int_equal(turn, c ? c->turn : 0);
        } else if (what == 5) {
            tg_breaker_forget(&b, m.call[i].turn);
            m.call[i].is = FORGOTTEN;
        } else {
            bool good = next(&x) % 100 >= bad_of_100;
            int64_t response = (int64_t)(next(&x) % 900);

            if (good)
                tg_breaker_passed(&b, m.call[i].turn, response, now);
            else
                tg_breaker_failed(&b, m.call[i].turn, response, now);
            model_verdict(&m, i, good, response, now);
        }
        compare(&b, &m, now);
    }
}

static uint64_t at_seed;

static void test_equals_model(void **state)
{
    const char *one = getenv("TG_SEED");

    (void)state;
    for (at_seed = one ? strtoull(one, NULL, 10) : 1; at_seed <= TRACES; at_seed++)
        run_trace(at_seed);
}

static int tell_seed(void **state)
{
    (void)state;
    if (at_seed <= TRACES)
        print_error("failed at seed %llu; TG_SEED=%llu starts there\n",
                    (unsigned long long)at_seed, (unsigned long long)at_seed);
    return 0;
}

/* ---- what a restart keeps ---- */

static void test_survives_restart(void **state)
{
    const struct tg_breaker_options o = { .failure_threshold = 3,
                                          .window_us = 1000,
                                          .recovery_timeout_us = 60 * TG_SECOND_US,
                                          .half_open_requests = 1 };
    const int64_t unix_us = INT64_C(1700000000) * TG_SECOND_US;
    struct tg_breaker b, again;
    struct tg_breaker_record kept;

    (void)state;
    tg_breaker_init(&b, &o, 0);
    tg_breaker_failed(&b, tg_breaker_take(&b, 1), 1, 1);
    tg_breaker_failed(&b, tg_breaker_take(&b, 2), 1, 2);
    tg_breaker_save(&b, 2, unix_us, &kept);
    tg_breaker_init(&again, &o, 500);
    tg_breaker_load(&again, &kept, 500, unix_us + 9);
    tg_breaker_failed(&again, tg_breaker_take(&again, 501), 1, 501); /* the third in a row */
    assert_int_equal(again.state, TG_BREAKER_OPEN);

    tg_breaker_save(&again, 501 + 20 * TG_SECOND_US, unix_us, &kept);
    tg_breaker_init(&b, &o, 7);
    tg_breaker_load(&b, &kept, 7, unix_us + 10 * TG_SECOND_US);
    assert_int_equal(tg_breaker_peek(&b, 7), 30 * TG_SECOND_US);
    /* a clock that was set back by years does not keep it open for years */
    tg_breaker_init(&b, &o, 7);
    tg_breaker_load(&b, &kept, 7, 0);
    assert_int_equal(tg_breaker_peek(&b, 7), 60 * TG_SECOND_US);
    /* after a long time, and from half open, one call is tried */
    tg_breaker_init(&b, &o, 7);
    tg_breaker_load(&b, &kept, 7, unix_us + 3600 * TG_SECOND_US);
    assert_int_equal(tg_breaker_peek(&b, 7), 0);
    assert_int_not_equal(tg_breaker_take(&b, 7), 0);
    assert_int_equal(b.state, TG_BREAKER_HALF_OPEN);
    tg_breaker_save(&b, 7, unix_us, &kept);
    tg_breaker_init(&again, &o, 0);
    tg_breaker_load(&again, &kept, 0, unix_us);
    assert_int_equal(again.state, TG_BREAKER_OPEN);
    assert_int_equal(tg_breaker_peek(&again, 0), 0);
}

static void test_judges(void **state)
{
    static const struct {
        tg_code code;
        int64_t after_s;
        enum tg_breaker_verdict verdict;
    } row[] = {
        { TG_FLOOD, 60, TG_BREAKER_PASS },     { TG_FLOOD, 61, TG_BREAKER_FAIL },
        { TG_NET, 0, TG_BREAKER_FAIL },        { TG_TIMEOUT, 0, TG_BREAKER_FAIL },
        { TG_SERVER, 0, TG_BREAKER_FAIL },     { TG_AUTH, 0, TG_BREAKER_FAIL },
        { TG_NOT_FOUND, 0, TG_BREAKER_PASS },  { TG_BAD_REQUEST, 0, TG_BREAKER_PASS },
        { TG_CANCELLED, 0, TG_BREAKER_NOTHING }, { TG_NOMEM, 0, TG_BREAKER_NOTHING },
        { TG_SINK, 0, TG_BREAKER_FAIL },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_error err = { .code = row[i].code, .retry_after_s = row[i].after_s };

        assert_int_equal(tg_breaker_judge(&err, 60 * TG_SECOND_US), row[i].verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_equals_model, tell_seed),
        cmocka_unit_test(test_survives_restart),
        cmocka_unit_test(test_judges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
