/* SPDX-License-Identifier: MIT */
/*
 * crypto_dh.c - Diffie-Hellman: the handshake sample, and every rule that a lying server may break
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/dh.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "tests/vectors.h"

#define SAMPLE "tests/vectors/auth_key_sample.txt"

/* The 2048-bit group of RFC 3526, a safe prime unlike Telegram's. */
static const char other_prime[] = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74"
                                  "020bbea63b139b22514a08798e3404dd"
                                  "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6"
                                  "f44c42e9a637ed6b0bff5cb6f406b7ed"
                                  "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05"
                                  "98da48361c55d39a69163fa8fd24cf5f"
                                  "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804"
                                  "f1746c08ca18217c32905e462e36ce3b"
                                  "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718"
                                  "3995497cea956ae515d2261898fa0510"
                                  "15728e5a8aacaa68ffffffffffffffff";

static struct tg_dh_group known_group(void)
{
    struct tg_dh_group group = { .g = 3 };

    memcpy(group.p, tg_dh_prime, sizeof group.p);
    return group;
}

static void test_the_sample(void **state)
{
    VECTOR(p, SAMPLE, "dh_prime");
    VECTOR(g_a, SAMPLE, "g_a");
    VECTOR(b, SAMPLE, "b");
    VECTOR(want_g_b, SAMPLE, "g_b");
    VECTOR(want_key, SAMPLE, "auth_key");
    struct tg_dh_group group;
    struct tg_error err;
    uint8_t g_b[256], key[256];

    (void)state;
    assert_memory_equal(p.at, tg_dh_prime, sizeof tg_dh_prime);
    assert_int_equal(tg_dh_check(p.at, p.len, 3, NULL, &group, &err), TG_OK);
    assert_int_equal(tg_dh_public(&group, b.at, g_b, &err), TG_OK);
    assert_memory_equal(g_b, want_g_b.at, 256);
    assert_int_equal(tg_dh_shared(&group, (struct tg_dh_peer){ g_a.at, g_a.len }, b.at, key, &err),
                     TG_OK);
    assert_memory_equal(key, want_key.at, 256);
}

static void test_generators_of_the_known_prime(void **state)
{
    struct tg_dh_group group;
    struct tg_error err;

    (void)state;
    for (uint32_t g = 0; g < 12; g++) {
        bool good = g == 3 || g == 4 || g == 7;
        tg_code code = tg_dh_check(tg_dh_prime, 256, g, NULL, &group, &err);

        if (code != (good ? TG_OK : TG_SECURITY))
            fail_msg("generator %u", g);
    }
}

static uint32_t modulo(const uint8_t n[256], uint32_t m)
{
    uint32_t rest = 0;

    for (int i = 0; i < 256; i++)
        rest = (rest << 8 | n[i]) % m;
    return rest;
}

/* The rule as the page states it, written down a second time. */
static bool fits(const uint8_t p[256], uint32_t g)
{
    static const struct {
        uint32_t g, m, rest[3];
    } rule[] = { { 2, 8, { 7, 7, 7 } }, { 3, 3, { 2, 2, 2 } },     { 4, 1, { 0, 0, 0 } },
                 { 5, 5, { 1, 4, 4 } }, { 6, 24, { 19, 23, 23 } }, { 7, 7, { 3, 5, 6 } } };

    for (size_t i = 0; i < TG_COUNT(rule); i++) {
        uint32_t rest = modulo(p, rule[i].m);

        if (rule[i].g == g)
            return rest == rule[i].rest[0] || rest == rule[i].rest[1] || rest == rule[i].rest[2];
    }
    return false;
}

/* None of these is a safe prime, so the message tells which of the two rules refused. */
static void test_generator_rules_by_residue(void **state)
{
    struct tg_dh_group group;
    struct tg_error err;
    uint8_t p[256] = { 0x80 };

    (void)state;
    for (uint32_t low = 0; low < 840; low++) { /* all residues of 3, 5, 7, 8, 24 */
        p[254] = (uint8_t)(low >> 8);
        p[255] = (uint8_t)low;
        if (low % 4 == 3 && low % 5)
            continue; /* needs a real primality test; a fifth of them is enough */
        for (uint32_t g = 1; g <= 8; g++) {
            assert_int_equal(tg_dh_check(p, 256, g, NULL, &group, &err), TG_SECURITY);
            if ((strstr(err.message, "generator") == NULL) != fits(p, g))
                fail_msg("p = 2^2047 + %u, g = %u: %s", low, g, err.message);
        }
    }
}

static void test_bad_primes_are_refused(void **state)
{
    static const uint8_t zeros[256];
    uint8_t p[257], below[256];
    struct tg_dh_group group, untouched;
    struct tg_dh_cache cache = { 0 };
    struct tg_error err;
    struct {
        const char *name;
        const uint8_t *p;
        size_t len;
        int add; /* to the last byte */
    } row[] = {
        { "nothing", p + 1, 0, 0 },
        { "zero", zeros, 256, 0 },
        { "255 bytes", p + 2, 255, 0 },
        { "257 bytes, the first zero", p, 257, 0 },
        { "2047 bits", below, 256, 0 },
        { "even", p + 1, 256, 1 },
        { "composite with an odd half", p + 1, 256, 4 },
        { "composite with an odd half, further", p + 1, 256, 96 },
        { "p = 1 mod 4", p + 1, 256, 2 },
    };

    (void)state;
    memset(&group, 0x5a, sizeof group);
    untouched = group;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        p[0] = 0;
        memcpy(p + 1, tg_dh_prime, 256);
        memcpy(below, tg_dh_prime, 256);
        below[0] &= 0x7f;
        p[256] = (uint8_t)(p[256] + row[i].add);
        if (tg_dh_check(row[i].p, row[i].len, 4, &cache, &group, &err) != TG_SECURITY)
            fail_msg("accepted: %s", row[i].name);
        assert_false(cache.filled);
        assert_memory_equal(&group, &untouched, sizeof group);
    }
}

/* 2q+1 with q prime is what is asked for; here p is prime but q is not, and the other way round. */
static void test_half_safe_primes_are_refused(void **state)
{
    static const struct {
        const char *name, *file_name;
    } row[] = { { "p is prime, (p-1)/2 is not", "prime_with_composite_half" },
                { "(p-1)/2 is prime, p is not", "composite_with_prime_half" } };
    struct tg_dh_group group;
    struct tg_error err;
    uint8_t p[256];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        vector_read("tests/vectors/bad_primes.txt", row[i].file_name, p, sizeof p);
        assert_int_equal(p[255] & 3, 3);
        if (tg_dh_check(p, sizeof p, 4, NULL, &group, &err) != TG_SECURITY)
            fail_msg("accepted: %s", row[i].name);
        assert_non_null(strstr(err.message, "safe prime"));
    }
}

static void test_another_safe_prime_is_tested_once(void **state)
{
    struct tg_dh_cache cache = { 0 };
    struct tg_dh_group group;
    struct tg_error err;
    uint8_t p[256];

    (void)state;
    assert_true(tg_unhex(p, sizeof p, other_prime, sizeof other_prime - 1));
    assert_int_equal(tg_dh_check(p, sizeof p, 2, &cache, &group, &err), TG_OK);
    assert_int_equal(group.g, 2);
    assert_memory_equal(group.p, p, sizeof p);
    assert_true(cache.filled);
    assert_memory_equal(cache.p, p, sizeof p);
    assert_int_equal(tg_dh_check(p, sizeof p, 3, &cache, &group, &err), TG_OK);
    assert_int_equal(tg_dh_check(p, sizeof p, 7, &cache, &group, &err),
                     fits(p, 7) ? TG_OK : TG_SECURITY);
    p[255] ^= 4; /* the cache speaks for one prime only */
    assert_int_equal(tg_dh_check(p, sizeof p, 4, &cache, &group, &err), TG_SECURITY);
}

/* delta + 2^bit (bit -1: 0), or delta + p minus that, on 256 bytes */
static void edge(uint8_t out[256], bool from_p, int bit, int delta)
{
    int carry = delta;

    memset(out, 0, 256);
    if (bit >= 0)
        out[255 - bit / 8] = (uint8_t)(1 << bit % 8);
    if (from_p) {
        int borrow = 0;

        for (int i = 255; i >= 0; i--) {
            int v = tg_dh_prime[i] - out[i] - borrow;

            borrow = v < 0;
            out[i] = (uint8_t)v;
        }
    }
    for (int i = 255; i >= 0 && carry; i--) {
        int v = out[i] + carry;

        out[i] = (uint8_t)v;
        carry = v < 0 ? -1 : v > 255;
    }
}

static void test_range_of_public_values(void **state)
{
    static const struct {
        const char *name;
        bool from_p;
        int bit, delta;
        bool good;
    } row[] = {
        { "0", false, -1, 0, false },          { "1", false, -1, 1, false },
        { "2", false, -1, 2, false },          { "2^1984 - 1", false, 1984, -1, false },
        { "2^1984", false, 1984, 0, true },    { "2^1984 + 1", false, 1984, 1, true },
        { "2^2047", false, 2047, 0, true },    { "p - 2^1984 - 1", true, 1984, -1, true },
        { "p - 2^1984", true, 1984, 0, true }, { "p - 2^1984 + 1", true, 1984, 1, false },
        { "p - 2", true, -1, -2, false },      { "p - 1", true, -1, -1, false },
        { "p", true, -1, 0, false },           { "p + 1", true, -1, 1, false },
    };
    const struct tg_dh_group group = known_group();
    static const uint8_t secret[256] = { 1 };
    uint8_t x[300] = { 0 }, out[256];
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_code want = row[i].good ? TG_OK : TG_SECURITY;
        size_t skip = 0;

        edge(x, row[i].from_p, row[i].bit, row[i].delta);
        while (skip < 255 && x[skip] == 0)
            skip++; /* some clients strip leading zeros */
        if (tg_dh_public_ok(&group, x, 256) != row[i].good ||
            tg_dh_public_ok(&group, x + skip, 256 - skip) != row[i].good ||
            tg_dh_shared(&group, (struct tg_dh_peer){ x, 256 }, secret, out, &err) != want)
            fail_msg("wrong about %s", row[i].name);
    }
    memset(x, 0x55, sizeof x);
    assert_false(tg_dh_public_ok(&group, x, 257));
    assert_false(tg_dh_public_ok(&group, NULL, 0));
}

static void test_both_sides_agree(void **state)
{
    struct tg_random_seeded s;
    const struct tg_random r = tg_random_seeded(&s);
    const struct tg_dh_group group = known_group();
    struct tg_error err;
    uint8_t a[256], b[256], g_a[256], g_b[256], k1[256], k2[256];

    (void)state;
    tg_random_seeded_init(&s, 11);
    for (int i = 0; i < 5; i++) {
        tg_random_fill(&r, a, sizeof a);
        tg_random_fill(&r, b, sizeof b);
        assert_int_equal(tg_dh_public(&group, a, g_a, &err), TG_OK);
        assert_int_equal(tg_dh_public(&group, b, g_b, &err), TG_OK);
        assert_int_equal(tg_dh_shared(&group, (struct tg_dh_peer){ g_b, 256 }, a, k1, &err), TG_OK);
        assert_int_equal(tg_dh_shared(&group, (struct tg_dh_peer){ g_a, 256 }, b, k2, &err), TG_OK);
        assert_memory_equal(k1, k2, sizeof k1);
    }
}

static void test_a_weak_secret_is_drawn_again(void **state)
{
    const struct tg_dh_group group = known_group();
    uint8_t secret[256] = { 0 }, out[256] = { 42 };
    struct tg_error err = { 0 };

    (void)state;
    secret[255] = 5; /* 3^5 = 243 */
    assert_int_equal(tg_dh_public(&group, secret, out, &err), TG_AGAIN);
    assert_int_equal(out[0], 42);
    assert_int_equal(err.code, TG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sample),
        cmocka_unit_test(test_generators_of_the_known_prime),
        cmocka_unit_test(test_generator_rules_by_residue),
        cmocka_unit_test(test_bad_primes_are_refused),
        cmocka_unit_test(test_half_safe_primes_are_refused),
        cmocka_unit_test(test_another_safe_prime_is_tested_once),
        cmocka_unit_test(test_range_of_public_values),
        cmocka_unit_test(test_both_sides_agree),
        cmocka_unit_test(test_a_weak_secret_is_drawn_again),
    };

    return cmocka_run_group_tests_name("crypto_dh", tests, NULL, NULL);
}
