/* SPDX-License-Identifier: MIT */
/*
 * retry.c - the retry policy: each reason for and against, and that retries never multiply load
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "flow/retry.h"

static const struct tg_retry_policy seed_policy = {
    .attempts_max = 3,
    .backoff = { TG_SECOND_US, 300 * TG_SECOND_US, 2000, true },
    .retry_on = TG_RETRY_ON(TG_TYPE_RATE_LIMIT) | TG_RETRY_ON(TG_TYPE_NETWORK) |
                TG_RETRY_ON(TG_TYPE_SERVER),
    .budget_permille = 200,
    .budget_free = 10,
};

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static enum tg_retry_answer fail_once(struct tg_retry_call *call, tg_code code, int64_t after_s,
                                      int64_t *wait)
{
    struct tg_retry_budget budget;
    struct tg_error err = { .code = code, .retry_after_s = after_s };

    tg_retry_budget_init(&budget, &seed_policy, 0);
    return tg_retry_failed(&seed_policy, &budget, call, &err, UINT64_C(0x123456789abcdef), 1000,
                           wait);
}

static void test_reasons(void **state)
{
    static const struct {
        struct tg_retry_call call;
        tg_code code;
        int64_t after_s;
        enum tg_retry_answer answer;
    } row[] = {
        { { 0 }, TG_NET, 0, TG_RETRY_YES },
        { { .attempts = 1 }, TG_SERVER, 0, TG_RETRY_YES },
        { { .attempts = 2 }, TG_SERVER, 0, TG_RETRY_NO_ATTEMPTS },
        { { .attempts = 2 }, TG_FLOOD, 7, TG_RETRY_YES },
        { { 0 }, TG_NOT_FOUND, 0, TG_RETRY_NO_KIND },
        { { 0 }, TG_BAD_REQUEST, 0, TG_RETRY_NO_KIND },
        { { 0 }, TG_SINK, 0, TG_RETRY_NO_KIND }, /* passes, but is not in retry_on */
        { { .once = true, .arrived = true }, TG_NET, 0, TG_RETRY_NO_ONCE },
        { { .once = true, .arrived = true }, TG_FLOOD, 3, TG_RETRY_YES },
        { { .once = true }, TG_NET, 0, TG_RETRY_YES },
        { { .deadline_us = 999 }, TG_NET, 0, TG_RETRY_NO_TIME },
        { { .deadline_us = 1000 + 3 * TG_SECOND_US }, TG_FLOOD, 3, TG_RETRY_NO_TIME },
        { { .deadline_us = 1001 + 3 * TG_SECOND_US }, TG_FLOOD, 3, TG_RETRY_YES },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_retry_call call = row[i].call;
        int64_t wait = -1;
        enum tg_retry_answer answer = fail_once(&call, row[i].code, row[i].after_s, &wait);

        if (answer != row[i].answer)
            fail_msg("row %zu: %s", i, tg_retry_text(answer));
        assert_int_equal(wait >= 0, answer == TG_RETRY_YES);
        if (answer == TG_RETRY_YES && row[i].code == TG_FLOOD)
            assert_int_equal(wait, row[i].after_s * TG_SECOND_US);
        if (answer != TG_RETRY_YES)
            assert_string_not_equal(tg_retry_text(answer), "");
    }
}

/* However much fails: retries stay below what calls and time paid for. */
static void test_budget(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15), failing = next(&x) % 101;
        int64_t pace_us = 1 + (int64_t)(next(&x) % 100000), calls = 0, retries = 0, now = 0;
        struct tg_retry_policy p = seed_policy;
        struct tg_retry_budget budget;

        p.attempts_max = 0;
        p.budget_permille = 1 + (uint32_t)(next(&x) % 1000);
        p.budget_free = (uint32_t)(next(&x) % 20);
        p.budget_milli_per_s = (uint32_t)(next(&x) % 3000);
        tg_retry_budget_init(&budget, &p, 0);
        for (int i = 0; i < 2000; i++, now += (int64_t)(next(&x) % (uint64_t)pace_us)) {
            struct tg_retry_call call = { 0 };
            struct tg_error err = { .code = next(&x) % 2 ? TG_NET : TG_SERVER };
            int64_t wait;

            calls++;
            tg_retry_began(&budget, &p);
            while (next(&x) % 100 < failing) {
                if (tg_retry_failed(&p, &budget, &call, &err, next(&x), now, &wait) != TG_RETRY_YES)
                    break;
                assert_in_range(wait, 0, p.backoff.cap_us);
                retries++;
            }
            if (retries * 1000000 > p.budget_free * INT64_C(1000000) +
                                        calls * p.budget_permille * 1000 +
                                        now * p.budget_milli_per_s / 1000)
                fail_msg("seed %llu: %lld retries of %lld calls", (unsigned long long)seed,
                         (long long)retries, (long long)calls);
        }
        if (failing == 100) /* and what is allowed is used */
            assert_true(retries * 1000 > calls * p.budget_permille - 1000);
    }
}

/* A client that has nothing but one call that fails goes on trying, slowly. */
static void test_budget_comes_back(void **state)
{
    struct tg_retry_policy p = seed_policy;
    struct tg_retry_call call = { 0 };
    struct tg_retry_budget budget;
    struct tg_error err = { .code = TG_SERVER };
    int64_t wait, now = 0;
    int n = 0;

    (void)state;
    p.attempts_max = 0;
    p.budget_free = 2;
    p.budget_milli_per_s = 500;
    tg_retry_budget_init(&budget, &p, 0);
    for (; now < 60 * TG_SECOND_US; now += 100 * TG_MS_US)
        n += tg_retry_failed(&p, &budget, &call, &err, 7, now, &wait) == TG_RETRY_YES;
    assert_in_range(n, 31, 32);
}

static void test_limit_without_wait(void **state)
{
    const struct tg_backoff b = { TG_SECOND_US, 60 * TG_SECOND_US, 2000, true };
    uint64_t x = 88172645463325252;

    (void)state;
    for (uint32_t n = 1; n < 200; n++) {
        int64_t top = n > 6 ? b.cap_us : TG_MIN(b.base_us << (n - 1), b.cap_us);

        for (int k = 0; k < 50; k++) {
            assert_in_range(tg_backoff_limit(&b, n, 0, next(&x)), top / 2, top);
            assert_in_range(tg_backoff_limit(&b, n, 3 * TG_SECOND_US, next(&x)),
                            TG_MIN(top / 2, 3 * TG_SECOND_US), 3 * TG_SECOND_US);
        }
    }
}

static void test_parse(void **state)
{
    struct tg_error err;
    uint32_t set = 0;

    (void)state;
    assert_int_equal(tg_retry_on_parse("RateLimit, NetworkError,ServerError", &set, &err), TG_OK);
    assert_int_equal(set, seed_policy.retry_on);
    assert_int_equal(tg_retry_on_parse("", &set, &err), TG_OK);
    assert_int_equal(set, 0);
    assert_int_equal(tg_retry_on_parse("RateLimit,Weather", &set, &err), TG_USAGE);
    assert_non_null(strstr(err.message, "'Weather'"));
    assert_int_equal(set, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_comes_back),
        cmocka_unit_test(test_limit_without_wait),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
