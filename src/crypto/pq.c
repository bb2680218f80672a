/* SPDX-License-Identifier: MIT */
/*
 * pq.c - see pq.h
 *
 * Montgomery form: a number a stands as a * 2^64 mod n, so that a product needs multiplications and
 * one conditional subtraction but no division.
 */
#include "crypto/pq.h"

#include <assert.h>

__extension__ typedef unsigned __int128 u128;

enum { WALKS = 16, STEPS_MAX = 1 << 19, GCD_EVERY = 128 };

struct mont {
    uint64_t n;   /* odd */
    uint64_t neg; /* -1/n mod 2^64 */
    uint64_t one; /* 2^64 mod n */
    uint64_t r2;  /* 2^128 mod n */
};

static struct mont mont_of(uint64_t n)
{
    struct mont m = { .n = n, .one = -n % n };
    uint64_t inverse = n; /* right to 3 bits for odd n; each step doubles that */

    assert(n & 1);
    for (int i = 0; i < 5; i++)
        inverse *= 2 - n * inverse;
    m.neg = -inverse;
    m.r2 = (uint64_t)((u128)m.one * m.one % n);
    return m;
}

/* a * b / 2^64 mod n, for a, b below n */
static inline uint64_t mul(const struct mont *m, uint64_t a, uint64_t b)
{
    u128 t = (u128)a * b;
    uint64_t high = (uint64_t)((u128)((uint64_t)t * m->neg) * m->n >> 64);
    uint64_t sum, low_carry = (uint64_t)t != 0; /* the low halves add up to 0 or 2^64 */
    bool over = __builtin_add_overflow((uint64_t)(t >> 64), high, &sum);

    over |= __builtin_add_overflow(sum, low_carry, &sum);
    return over || sum >= m->n ? sum - m->n : sum;
}

static inline uint64_t add(const struct mont *m, uint64_t a, uint64_t b)
{
    return a >= m->n - b ? a - (m->n - b) : a + b;
}

static uint64_t power(const struct mont *m, uint64_t base, uint64_t e)
{
    uint64_t result = m->one;

    for (; e; e >>= 1, base = mul(m, base, base)) {
        if (e & 1)
            result = mul(m, result, base);
    }
    return result;
}

/* Miller-Rabin: does the base prove that n = d * 2^s + 1 is composite? */
static bool is_witness(const struct mont *m, uint64_t base)
{
    const uint64_t minus_one = m->n - m->one;
    int s = __builtin_ctzll(m->n - 1);
    uint64_t x = power(m, mul(m, base % m->n, m->r2), (m->n - 1) >> s);

    if (x == m->one || x == minus_one)
        return false;
    while (--s > 0) {
        x = mul(m, x, x);
        if (x == minus_one)
            return false;
    }
    return true;
}

bool tg_is_prime_u64(uint64_t n)
{
    /* these twelve bases decide every number below 3.3 * 10^24 (Sorenson, Webster 2015) */
    static const uint8_t base[] = { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37 };
    struct mont m;

    if (n < 2)
        return false;
    for (size_t i = 0; i < TG_COUNT(base); i++) {
        if (n % base[i] == 0)
            return n == base[i];
    }
    m = mont_of(n);
    for (size_t i = 0; i < TG_COUNT(base); i++) {
        if (is_witness(&m, base[i]))
            return false;
    }
    return true;
}

static uint64_t gcd(uint64_t a, uint64_t b) /* b is odd */
{
    if (!a)
        return b;
    a >>= __builtin_ctzll(a);
    while (a != b) {
        uint64_t low = TG_MIN(a, b), diff = a < b ? b - a : a - b;

        a = diff >> __builtin_ctzll(diff);
        b = low;
    }
    return a;
}

/* One walk x -> x^2 + c. Returns a divisor: a proper one, or 1 or n when the walk found none. */
static uint64_t walk(const struct mont *m, uint64_t start, uint64_t c)
{
    uint64_t slow = start, fast = start, saved = start, product = m->one, g = 1;
    uint64_t lap = 1, steps = 0;

    while (g == 1 && steps < STEPS_MAX) {
        slow = fast;
        for (uint64_t i = 0; i < lap / 2; i++) /* nothing new can be found in the first half */
            fast = add(m, mul(m, fast, fast), c);
        for (uint64_t at = lap / 2; at < lap && g == 1; at += GCD_EVERY) {
            saved = fast;
            for (uint64_t i = at; i < TG_MIN(at + GCD_EVERY, lap); i++) {
                fast = add(m, mul(m, fast, fast), c);
                product = mul(m, product, fast > slow ? fast - slow : slow - fast);
            }
            g = gcd(product, m->n);
        }
        steps += lap;
        lap *= 2;
    }
    if (g == m->n) { /* both primes fell into one product: repeat it step by step */
        for (int i = 0; i <= GCD_EVERY; i++) {
            saved = add(m, mul(m, saved, saved), c);
            g = gcd(saved > slow ? saved - slow : slow - saved, m->n);
            if (g != 1)
                break;
        }
    }
    return g;
}

bool tg_pq_factor(uint64_t pq, uint64_t *ret_p, uint64_t *ret_q)
{
    uint64_t seed = pq, d = 1;
    struct mont m;

    if (pq < 15 || pq % 2 == 0 || pq >> 63 || tg_is_prime_u64(pq))
        return false;
    for (uint64_t small = 3; small < 256 && d == 1; small += 2) { /* a walk needs some room */
        if (pq % small == 0)
            d = small;
    }
    m = mont_of(pq);
    for (int i = 0; i < WALKS && (d == 1 || d == pq); i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        d = walk(&m, seed % pq, 1 + (seed >> 32) % (pq - 1));
    }
    if (d == 1 || d == pq || d == pq / d || !tg_is_prime_u64(d) || !tg_is_prime_u64(pq / d))
        return false;
    *ret_p = TG_MIN(d, pq / d);
    *ret_q = TG_MAX(d, pq / d);
    return true;
}
