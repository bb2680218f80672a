/* SPDX-License-Identifier: MIT */
/*
 * crypto_pq.c - factoring pq: the sample, all small products, random large ones, and what is
 * refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/pq.h"
#include "crypto/random.h"
#include "tests/vectors.h"

#define SAMPLE "tests/vectors/auth_key_sample.txt"

static uint64_t big_endian(struct vector v)
{
    uint64_t n = 0;

    for (size_t i = 0; i < v.len; i++)
        n = n << 8 | v.at[i];
    return n;
}

static void check_split(uint64_t p, uint64_t q)
{
    uint64_t got_p = 0, got_q = 0;

    if (!tg_pq_factor(p * q, &got_p, &got_q) || got_p != TG_MIN(p, q) || got_q != TG_MAX(p, q))
        fail_msg("%llu * %llu gave %llu, %llu", (unsigned long long)p, (unsigned long long)q,
                 (unsigned long long)got_p, (unsigned long long)got_q);
}

static void test_the_sample(void **state)
{
    VECTOR(pq, SAMPLE, "pq_bytes");
    VECTOR(p, SAMPLE, "p_bytes");
    VECTOR(q, SAMPLE, "q_bytes");

    (void)state;
    assert_true(big_endian(p) * big_endian(q) == big_endian(pq));
    check_split(big_endian(p), big_endian(q));
}

static void test_primes_are_exactly_the_primes(void **state)
{
    enum { N = 100000 };
    static bool composite[N];
    static const uint64_t pseudoprime[] = { 2047,
                                            1373653,
                                            25326001,
                                            UINT64_C(3215031751),
                                            UINT64_C(2152302898747),
                                            UINT64_C(3474749660383),
                                            UINT64_C(341550071728321),
                                            UINT64_C(3825123056546413051) };
    static const uint64_t prime[] = { UINT64_C(18446744073709551557), UINT64_C(4294967291),
                                      UINT64_C(2305843009213693951) };

    (void)state;
    for (uint64_t i = 2; i < N; i++) {
        for (uint64_t k = i * i; !composite[i] && k < N; k += i)
            composite[k] = true;
        if (tg_is_prime_u64(i) == composite[i])
            fail_msg("wrong about %llu", (unsigned long long)i);
    }
    assert_false(tg_is_prime_u64(0) || tg_is_prime_u64(1));
    for (size_t i = 0; i < TG_COUNT(pseudoprime); i++)
        assert_false(tg_is_prime_u64(pseudoprime[i]));
    for (size_t i = 0; i < TG_COUNT(prime); i++)
        assert_true(tg_is_prime_u64(prime[i]));
}

static void test_all_small_products(void **state)
{
    (void)state;
    for (uint64_t p = 3; p < 400; p += 2) {
        for (uint64_t q = p + 2; q < 400; q += 2) {
            if (tg_is_prime_u64(p) && tg_is_prime_u64(q))
                check_split(p, q);
        }
    }
}

static uint64_t prime_below(const struct tg_random *r, unsigned bits)
{
    for (;;) {
        uint64_t n = tg_random_u64(r) >> (64 - bits) | 1 | UINT64_C(1) << (bits - 1);

        if (tg_is_prime_u64(n))
            return n;
    }
}

static void test_random_products(void **state)
{
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);

    (void)state;
    tg_random_seeded_init(&s, 7);
    for (int i = 0; i < 200; i++) {
        unsigned bits = i < 100 ? 31 : 9 + (unsigned)tg_random_below(&r, 23);
        uint64_t p = prime_below(&r, bits), q = prime_below(&r, 62 - bits > 31 ? 62 - bits : 31);

        if (p != q)
            check_split(p, q);
    }
    check_split(3, UINT64_C(2305843009213693951));           /* 2^61 - 1 */
    check_split(UINT64_C(3037000493), UINT64_C(3037000453)); /* near 2^31.5 */
}

static void test_what_is_no_product_of_two_odd_primes(void **state)
{
    static const struct {
        const char *name;
        uint64_t pq;
    } row[] = {
        { "zero", 0 },
        { "one", 1 },
        { "a small prime", 7 },
        { "a square", 9 },
        { "even", 2 * 1513098571ull },
        { "even, large", UINT64_C(1) << 62 },
        { "a large prime", UINT64_C(2305843009213693951) },
        { "the square of a large prime", UINT64_C(3037000493) * UINT64_C(3037000493) },
        { "three primes", UINT64_C(1000003) * 1000033 * 1000037 },
        { "three small primes", 3 * 5 * 7 },
        { "2^63 and more", UINT64_MAX },
        { "a product above 2^63", UINT64_C(4294967291) * UINT64_C(4294967279) },
    };
    uint64_t p = 11, q = 13;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (tg_pq_factor(row[i].pq, &p, &q) || p != 11 || q != 13)
            fail_msg("accepted %s", row[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sample),
        cmocka_unit_test(test_primes_are_exactly_the_primes),
        cmocka_unit_test(test_all_small_products),
        cmocka_unit_test(test_random_products),
        cmocka_unit_test(test_what_is_no_product_of_two_odd_primes),
    };

    return cmocka_run_group_tests_name("crypto_pq", tests, NULL, NULL);
}
