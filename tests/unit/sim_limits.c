/* SPDX-License-Identifier: MIT */
/*
 * sim_limits.c - token buckets of the simulated data centre: exact waits, early repeats, rules
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/limits.h"

#define T0 (INT64_C(1700000000) * TG_SECOND_US)

static struct sim_limits *limits(const char *rule)
{
    struct sim_limits *l = sim_limits_new();
    struct tg_error err;

    assert_non_null(l);
    assert_int_equal(sim_limits_add(l, rule, &err), TG_OK);
    return l;
}

static int64_t take(struct sim_limits *l, int64_t account, const char *method, int64_t at_us)
{
    bool early;

    return sim_limits_take(l,
                           &(struct sim_limit_query){ .account = account, .method = method,
                                                      .now_us = at_us, .sent_us = at_us },
                           &early);
}

static void a_burst_passes_then_the_rate_holds(void **state)
{
    struct sim_limits *l = limits("m=2/3");
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(l, 1, "m", T0), 0);
    assert_int_equal(take(l, 1, "m", T0), 1); /* half a second would do: whole seconds are said */
    assert_int_equal(take(l, 1, "m", T0 + TG_SECOND_US), 0);
    assert_int_equal(take(l, 1, "m", T0 + TG_SECOND_US), 0);
    /* From now on: as often as allowed, never refused. */
    for (int i = 0; i < 100; i++)
        n += take(l, 1, "m", T0 + 2 * TG_SECOND_US + i * TG_SECOND_US / 2) == 0;
    assert_int_equal(n, 100);
    sim_limits_free(l);
}

static void a_slow_rate_is_said_in_seconds(void **state)
{
    struct sim_limits *l = limits("m=0.1/1");

    (void)state;
    assert_int_equal(take(l, 1, "m", T0), 0);
    assert_int_equal(take(l, 1, "m", T0 + 500000), 10);
    assert_int_equal(take(l, 1, "m", T0 + 4500000), 6);
    assert_int_equal(take(l, 1, "m", T0 + 10499999), 1);
    assert_int_equal(take(l, 1, "m", T0 + 10500000), 0);
    sim_limits_free(l);
}

static void idling_does_not_pile_up(void **state)
{
    struct sim_limits *l = limits("m=10/2");

    (void)state;
    assert_int_equal(take(l, 1, "m", T0), 0);
    assert_int_equal(take(l, 1, "m", T0 + INT64_C(1000000000) * TG_SECOND_US), 0);
    assert_int_equal(take(l, 1, "m", T0 + INT64_C(1000000000) * TG_SECOND_US), 0);
    assert_int_equal(take(l, 1, "m", T0 + INT64_C(1000000000) * TG_SECOND_US), 1);
    sim_limits_free(l);
}

static void accounts_and_methods_are_apart(void **state)
{
    struct sim_limits *l = limits("m=1/1");

    (void)state;
    assert_int_equal(take(l, 1, "m", T0), 0);
    assert_int_equal(take(l, 2, "m", T0), 0);
    assert_int_equal(take(l, 1, "other", T0), 0);
    assert_int_equal(take(l, 1, "m", T0), 1);
    sim_limits_free(l);
}

static void a_star_is_for_every_method(void **state)
{
    struct sim_limits *l = limits("*=1/2");

    (void)state;
    assert_int_equal(take(l, 1, "a", T0), 0);
    assert_int_equal(take(l, 1, "b", T0), 0);
    assert_int_equal(take(l, 1, "c", T0), 1);
    sim_limits_free(l);
}

static void early_repeats_are_told_from_queries_under_way(void **state)
{
    struct sim_limits *l = limits("m=1/1");
    struct sim_limit_query q = { .account = 1, .method = "m", .now_us = T0, .sent_us = T0,
                                 .grace_us = 100000 };
    bool early;

    (void)state;
    assert_int_equal(sim_limits_take(l, &q, &early), 0);
    q.now_us = q.sent_us = T0 + 10000;
    assert_int_equal(sim_limits_take(l, &q, &early), 1);
    assert_false(early);
    q.now_us = T0 + 300000; /* sent before the answer could be there */
    q.sent_us = T0 + 50000;
    assert_int_equal(sim_limits_take(l, &q, &early), 1);
    assert_false(early);
    q.sent_us = q.now_us;
    assert_int_equal(sim_limits_take(l, &q, &early), 1);
    assert_true(early);
    q.now_us = q.sent_us = T0 + 10000 + TG_SECOND_US; /* exactly when it was over */
    assert_int_equal(sim_limits_take(l, &q, &early), 0);
    assert_false(early);
    sim_limits_free(l);
}

static void wrong_rules_are_refused(void **state)
{
    static const char *const wrong[] = { "",      "m",      "=1",      "m=",     "m=x",
                                         "m=0",   "m=-1",   "m=1/",    "m=1/x",  "m=1/2/3",
                                         "m=nan", "m=1e99", "m=1/-1", "m=1 /2" };
    struct sim_limits *l = sim_limits_new();

    (void)state;
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        struct tg_error err = { .message = "" };

        assert_int_equal(sim_limits_add(l, wrong[i], &err), TG_USAGE);
        assert_true(err.message[0]);
    }
    sim_limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_then_the_rate_holds),
        cmocka_unit_test(a_slow_rate_is_said_in_seconds),
        cmocka_unit_test(idling_does_not_pile_up),
        cmocka_unit_test(accounts_and_methods_are_apart),
        cmocka_unit_test(a_star_is_for_every_method),
        cmocka_unit_test(early_repeats_are_told_from_queries_under_way),
        cmocka_unit_test(wrong_rules_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
