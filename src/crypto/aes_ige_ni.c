/* SPDX-License-Identifier: MIT */
/*
 * aes_ige_ni.c - IGE on the AES instructions of x86
 *
 * Decrypting, p[i] = D(c[i] ^ p[i-1]) ^ c[i-1]. The last AES round ends with an xor of the last
 * round key, and the first round begins with one, so everything around D folds into that last key:
 *
 *      s        = state before the last round of block i
 *      p[i]     = last_round(s, k_last ^ c[i-1])                          -> stored
 *      s of i+1 = last_round(s, k_last ^ c[i-1] ^ c[i+1] ^ k_first)       -> goes on
 *
 * The second key depends on ciphertext only and is ready early: from block to block nothing but the
 * 14 rounds is left on the chain. Encrypting is the same with plaintext and ciphertext exchanged.
 * The latency that remains is hidden by running several independent packets side by side ("lanes").
 *
 * Threads: none: pure
 */
#include "crypto/aes_ige.h"

#if defined(__x86_64__)

#include <assert.h>
#include <immintrin.h>

#include "crypto/ct.h"

#define TARGET __attribute__((target("aes,sse2")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { ROUNDS = 14, N_KEYS = ROUNDS + 1, LANES_MAX = 4 };

struct schedule {
    __m128i k[N_KEYS]; /* in the order of use */
};

/* A packet being worked on. */
struct lane {
    struct schedule s;
    __m128i state;    /* first key and both xors are in already */
    __m128i x_before; /* input block before the current one */
    const uint8_t *in;
    uint8_t *out;
    size_t n_left; /* blocks; the current one is counted */
};

INLINE __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE void store(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

/* Each 32-bit word becomes the xor of itself and all words below: w0, w0^w1, w0^w1^w2, ... */
INLINE __m128i prefix_xor(__m128i v)
{
    v = _mm_xor_si128(v, _mm_slli_si128(v, 4));
    return _mm_xor_si128(v, _mm_slli_si128(v, 8));
}

/* FIPS 197, 5.2: even keys take RotWord, SubWord and a constant; odd ones SubWord alone. */
#define EVEN_KEY(k, i, rcon)                                                                       \
    (k)[i] = _mm_xor_si128(prefix_xor((k)[(i)-2]),                                                 \
                           _mm_shuffle_epi32(_mm_aeskeygenassist_si128((k)[(i)-1], rcon), 0xff))
#define ODD_KEY(k, i)                                                                              \
    (k)[i] = _mm_xor_si128(prefix_xor((k)[(i)-2]),                                                 \
                           _mm_shuffle_epi32(_mm_aeskeygenassist_si128((k)[(i)-1], 0), 0xaa))

TARGET static void expand(struct schedule *s, const uint8_t *key, bool decrypt)
{
    __m128i *k = s->k;

    k[0] = load(key);
    k[1] = load(key + 16);
    EVEN_KEY(k, 2, 0x01);
    ODD_KEY(k, 3);
    EVEN_KEY(k, 4, 0x02);
    ODD_KEY(k, 5);
    EVEN_KEY(k, 6, 0x04);
    ODD_KEY(k, 7);
    EVEN_KEY(k, 8, 0x08);
    ODD_KEY(k, 9);
    EVEN_KEY(k, 10, 0x10);
    ODD_KEY(k, 11);
    EVEN_KEY(k, 12, 0x20);
    ODD_KEY(k, 13);
    EVEN_KEY(k, 14, 0x40);
    if (!decrypt)
        return;
    for (int i = 0, j = ROUNDS; i < j; i++, j--) { /* the equivalent inverse cipher */
        __m128i t = k[i];

        k[i] = k[j];
        k[j] = t;
    }
    for (int i = 1; i < ROUNDS; i++)
        k[i] = _mm_aesimc_si128(k[i]);
}

TARGET static void lane_start(struct lane *l, const struct tg_aes_ige_job *job, bool decrypt)
{
    const uint8_t *y = job->iv + (decrypt ? 16 : 0), *x = job->iv + (decrypt ? 0 : 16);

    expand(&l->s, job->key, decrypt);
    l->in = job->in;
    l->out = job->out;
    l->n_left = job->len / TG_AES_BLOCK;
    l->x_before = load(x);
    l->state = _mm_xor_si128(_mm_xor_si128(load(l->in), load(y)), l->s.k[0]);
}

INLINE __m128i round_middle(__m128i v, __m128i k, bool decrypt)
{
    return decrypt ? _mm_aesdec_si128(v, k) : _mm_aesenc_si128(v, k);
}

INLINE __m128i round_last(__m128i v, __m128i k, bool decrypt)
{
    return decrypt ? _mm_aesdeclast_si128(v, k) : _mm_aesenclast_si128(v, k);
}

/*
 * Runs `n` blocks of `lanes` lanes. Unless `ends`, every lane has a block after these, which is
 * read ahead; with `ends`, n is 1 and nothing is read past it. The constants let the compiler
 * unroll.
 */
INLINE void run(struct lane *const *lane, int lanes, size_t n, bool ends, bool decrypt)
{
    __m128i s[LANES_MAX], x_before[LANES_MAX], fold[LANES_MAX];

    UNROLL for (int i = 0; i < lanes; i++)
    {
        s[i] = lane[i]->state;
        x_before[i] = lane[i]->x_before;
        fold[i] = _mm_xor_si128(lane[i]->s.k[0], lane[i]->s.k[ROUNDS]);
    }
    for (size_t at = 0; at < n * TG_AES_BLOCK; at += TG_AES_BLOCK) {
        UNROLL for (int r = 1; r < ROUNDS; r++)
        {
            UNROLL for (int i = 0; i < lanes; i++)
            {
                s[i] = round_middle(s[i], lane[i]->s.k[r], decrypt);
            }
        }
        UNROLL for (int i = 0; i < lanes; i++)
        {
            __m128i x = load(lane[i]->in + at);
            __m128i y = round_last(s[i], _mm_xor_si128(lane[i]->s.k[ROUNDS], x_before[i]), decrypt);

            if (!ends) { /* read before the store: `out` may be `in` */
                __m128i next = load(lane[i]->in + at + TG_AES_BLOCK);

                next = _mm_xor_si128(_mm_xor_si128(next, x_before[i]), fold[i]);
                s[i] = round_last(s[i], next, decrypt);
            }
            x_before[i] = x;
            store(lane[i]->out + at, y);
        }
    }
    UNROLL for (int i = 0; i < lanes; i++)
    {
        lane[i]->state = s[i];
        lane[i]->x_before = x_before[i];
        lane[i]->in += n * TG_AES_BLOCK;
        lane[i]->out += n * TG_AES_BLOCK;
        lane[i]->n_left -= n;
    }
}

TARGET static void ni_decrypt(const struct tg_aes_ige_job *job)
{
    struct lane l, *p = &l;

    lane_start(&l, job, true);
    run(&p, 1, l.n_left - 1, false, true);
    run(&p, 1, 1, true, true);
    tg_wipe(&l, sizeof l);
}

TARGET static void ni_encrypt(const struct tg_aes_ige_job *job)
{
    struct lane l, *p = &l;

    lane_start(&l, job, false);
    run(&p, 1, l.n_left - 1, false, false);
    run(&p, 1, 1, true, false);
    tg_wipe(&l, sizeof l);
}

/* Decrypts as many blocks as every lane has before its last one. */
TARGET static void run_common(struct lane *const *lane, int lanes)
{
    size_t n = SIZE_MAX;

    for (int i = 0; i < lanes; i++)
        n = TG_MIN(n, lane[i]->n_left - 1);
    if (!n)
        return;
    if (lanes == 4)
        run(lane, 4, n, false, true);
    else if (lanes == 3)
        run(lane, 3, n, false, true);
    else if (lanes == 2)
        run(lane, 2, n, false, true);
    else
        run(lane, 1, n, false, true);
}

TARGET static void ni_decrypt_many(const struct tg_aes_ige_job *job, size_t n)
{
    struct lane slot[LANES_MAX], *lane[LANES_MAX] = { &slot[0], &slot[1], &slot[2], &slot[3] };
    int lanes = 0;

    for (size_t next = 0; next < n || lanes;) {
        for (; lanes < LANES_MAX && next < n; next++) {
            if (job[next].len)
                lane_start(lane[lanes++], &job[next], true);
        }
        if (!lanes)
            break;
        run_common(lane, lanes);
        for (int i = lanes - 1; i >= 0; i--) { /* finish those at their last block */
            struct lane *l = lane[i];

            if (l->n_left > 1)
                continue;
            run(&l, 1, 1, true, true);
            lane[i] = lane[--lanes];
            lane[lanes] = l;
        }
    }
    tg_wipe(slot, sizeof slot);
}

static bool ni_available(void)
{
    return __builtin_cpu_supports("aes");
}

const struct tg_aes_ige_impl tg_aes_ige_ni = {
    .name = "AES-NI",
    .available = ni_available,
    .encrypt = ni_encrypt,
    .decrypt = ni_decrypt,
    .decrypt_many = ni_decrypt_many,
};

#else

static bool ni_available(void)
{
    return false;
}

const struct tg_aes_ige_impl tg_aes_ige_ni = { .name = "AES-NI", .available = ni_available };

#endif
