/* SPDX-License-Identifier: MIT */
/*
 * random.c - see random.h
 */
#include "crypto/random.h"

#include <assert.h>

#include <openssl/rand.h>

#include "crypto/evp.h"

uint64_t tg_random_u64(const struct tg_random *r)
{
    uint8_t b[8];

    tg_random_fill(r, b, sizeof b);
    return tg_le64(b);
}

uint64_t tg_random_below(const struct tg_random *r, uint64_t n)
{
    uint64_t v, reject;

    assert(n > 0);
    reject = -n % n; /* 2^64 mod n: the values below it would be too likely */
    do
        v = tg_random_u64(r);
    while (v < reject);
    return v % n;
}

static void system_fill(void *ctx, void *buf, size_t n)
{
    uint8_t *at = buf;

    (void)ctx;
    while (n) {
        int some = (int)TG_MIN(n, (size_t)1 << 20);

        tg_evp_must(RAND_bytes(at, some) == 1);
        at += some;
        n -= (size_t)some;
    }
}

struct tg_random tg_random_system(void)
{
    return (struct tg_random){ .fill = system_fill };
}

void tg_random_seeded_init(struct tg_random_seeded *s, uint64_t seed)
{
    *s = (struct tg_random_seeded){ .state = seed };
}

/* SplitMix64 (Steele, Lea, Flood 2014): a counter by the golden ratio, then two mixing rounds. */
static uint64_t next_word(struct tg_random_seeded *s)
{
    uint64_t z = s->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void seeded_fill(void *ctx, void *buf, size_t n)
{
    struct tg_random_seeded *s = ctx;
    uint8_t *at = buf;

    for (; n && s->n_left; n--, s->n_left--, s->word >>= 8)
        *at++ = (uint8_t)s->word;
    for (; n >= 8; n -= 8, at += 8)
        tg_put_le64(at, next_word(s));
    if (n) {
        s->word = next_word(s);
        s->n_left = 8 - (unsigned)n;
        for (; n; n--, s->word >>= 8)
            *at++ = (uint8_t)s->word;
    }
}

struct tg_random tg_random_seeded(struct tg_random_seeded *s)
{
    return (struct tg_random){ .fill = seeded_fill, .ctx = s };
}
