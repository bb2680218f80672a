/* SPDX-License-Identifier: MIT */
/*
 * utf8.c - tg_utf8_valid, tg_utf8_copy and tg_utf16_len of text.h
 *
 * Every text of every message goes through here. Where SSSE3 is there (asked at run time), sixteen
 * bytes are judged at once: three tables, by the upper and lower half of the byte before and by the
 * upper half of the byte itself, each name the errors that are still possible; an error that all
 * three name is one. What remains, that the third and fourth byte of a long sequence continue it,
 * follows from the bytes two and three before. Method: J. Keiser and D. Lemire, "Validating UTF-8
 * In Less Than One Instruction Per Byte", 2020.
 *
 * The bytes before are read from memory anew, so a block may begin anywhere: the last one simply
 * overlaps the one before it. What is shorter than a block is judged with zeros behind it.
 */
#include "base/block16.h"
#include "base/text.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* @return length of the well-formed character at s, of which `left` bytes are there, or 0 */
static size_t character(const uint8_t *s, size_t left)
{
    size_t more = *s < 0x80 ? 0 : *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : 1;
    uint32_t v = more == 0 ? *s : *s & (0x3fu >> more);

    if ((*s >= 0x80 && *s < 0xc2) || *s > 0xf4 || left <= more)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s[i] & 0x3f);
    }
    if ((more == 2 && (v < 0x800 || (v >= 0xd800 && v <= 0xdfff))) ||
        (more == 3 && (v < 0x10000 || v > 0x10ffff)))
        return 0;
    return more + 1;
}

static bool valid_singly(const uint8_t *s, const uint8_t *end)
{
    size_t n = 1;

    for (; s < end && n; s += n)
        n = character(s, (size_t)(end - s));
    return n > 0;
}

static size_t copy_singly(uint8_t *out, const uint8_t *s, size_t n)
{
    size_t i = 0, len;

    for (; i < n && s[i] >= 0x20 && s[i] != '"' && s[i] != '\\'; i += len) {
        len = character(s + i, n - i);
        if (len == 0)
            break;
        memcpy(out + i, s + i, len);
    }
    return i;
}

#if defined(__x86_64__)

#define TARGET __attribute__((target("ssse3")))

enum { BLOCK = 16 };

/* What can be wrong with a byte and the one before it. */
enum {
    SHORT = 1 << 0,      /* a sequence that is not continued */
    LONG = 1 << 1,       /* a continuation of nothing */
    OVER_3 = 1 << 2,     /* e0 80..9f */
    LARGE = 1 << 3,      /* f4 90.. and above */
    SURROGATE = 1 << 4,  /* ed a0.. */
    OVER_2 = 1 << 5,     /* c0, c1 */
    OVER_4 = 1 << 6,     /* f0 80..8f; and f5.. 80..8f */
    CONTINUES = 1 << 7,  /* a second continuation: an error unless a long sequence wants it */
    ANY = SHORT | LONG | CONTINUES, /* those that do not depend on the lower half */
    LARGEST = ANY | LARGE | OVER_4,
    SECOND = LONG | OVER_2 | CONTINUES,
};

TARGET static inline __m128i upper_half(__m128i v)
{
    return _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15));
}

/* @return non-zero bytes where something is wrong; b1, b2, b3: the bytes 1, 2, 3 before each */
TARGET static inline __m128i faults(__m128i b, __m128i b1, __m128i b2, __m128i b3)
{
    const __m128i before_upper = _mm_setr_epi8(
        LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, (char)CONTINUES, (char)CONTINUES,
        (char)CONTINUES, (char)CONTINUES, SHORT | OVER_2, SHORT, SHORT | OVER_3 | SURROGATE,
        SHORT | LARGE | OVER_4);
    const __m128i before_lower = _mm_setr_epi8(
        (char)(ANY | OVER_2 | OVER_3 | OVER_4), (char)(ANY | OVER_2), (char)ANY, (char)ANY,
        (char)(ANY | LARGE), (char)LARGEST, (char)LARGEST, (char)LARGEST, (char)LARGEST,
        (char)LARGEST, (char)LARGEST, (char)LARGEST, (char)LARGEST, (char)(LARGEST | SURROGATE),
        (char)LARGEST, (char)LARGEST);
    const __m128i own_upper = _mm_setr_epi8(
        SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, (char)(SECOND | OVER_3 | OVER_4),
        (char)(SECOND | OVER_3 | LARGE), (char)(SECOND | SURROGATE | LARGE),
        (char)(SECOND | SURROGATE | LARGE), SHORT, SHORT, SHORT, SHORT);
    __m128i pair = _mm_and_si128(
        _mm_and_si128(_mm_shuffle_epi8(before_upper, upper_half(b1)),
                      _mm_shuffle_epi8(before_lower, _mm_and_si128(b1, _mm_set1_epi8(15)))),
        _mm_shuffle_epi8(own_upper, upper_half(b)));
    __m128i third = _mm_subs_epu8(b2, _mm_set1_epi8((char)(0xe0 - 0x80)));
    __m128i fourth = _mm_subs_epu8(b3, _mm_set1_epi8((char)(0xf0 - 0x80)));
    __m128i wanted = _mm_and_si128(_mm_or_si128(third, fourth), _mm_set1_epi8((char)0x80));

    return _mm_xor_si128(wanted, pair);
}

TARGET static inline __m128i first_faults(__m128i b)
{
    return faults(b, _mm_slli_si128(b, 1), _mm_slli_si128(b, 2), _mm_slli_si128(b, 3));
}

/* @return bits of the bytes where something is wrong */
TARGET static inline int wrong(__m128i bad)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128())) ^ 0xffff;
}

/* At least one block. */
TARGET static bool valid_blocks(const uint8_t *s, size_t n)
{
    __m128i bad = first_faults(tg_load16(s));

    for (size_t i = BLOCK; i < n; i += BLOCK) {
        i = TG_MIN(i, n - BLOCK);
        if (i < 3) /* the overlapping block of a text hardly longer than one */
            return valid_singly(s, s + n);
        bad = _mm_or_si128(bad, faults(tg_load16(s + i), tg_load16(s + i - 1), tg_load16(s + i - 2),
                                       tg_load16(s + i - 3)));
    }
    /* and nothing is open at the end */
    return !wrong(bad) && s[n - 1] < 0xc0 && s[n - 2] < 0xe0 && s[n - 3] < 0xf0;
}

/* Less than a block, at least a byte; what is left open at its end meets a zero. */
TARGET static bool valid_short(const uint8_t *s, size_t n)
{
    return !wrong(first_faults(tg_load_short(s, n)));
}

static size_t ascii_run(const uint8_t *s, size_t n)
{
    size_t i = 0;

    while (i + BLOCK <= n && !_mm_movemask_epi8(tg_load16(s + i)))
        i += BLOCK;
    return i;
}

bool tg_utf8_valid(const void *bytes, size_t n)
{
    const uint8_t *s = bytes;
    size_t ascii = ascii_run(s, n);

    s += ascii;
    n -= ascii;
    if (!__builtin_cpu_supports("ssse3"))
        return valid_singly(s, s + n);
    return n >= BLOCK ? valid_blocks(s, n) : n == 0 || valid_short(s, n);
}

/* @return bits of the bytes that need an escape */
TARGET static inline int escaped(__m128i v)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);

    return _mm_movemask_epi8(
        _mm_or_si128(control, _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                           _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')))));
}

TARGET static inline void store(uint8_t *out, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)out, v);
}

/* Less than a block. @return whether all of it could be copied */
TARGET static bool copy_short(uint8_t *out, const uint8_t *s, size_t n)
{
    __m128i v = tg_load_short(s, n);

    store(out, v);
    return !(escaped(v) & ((1 << n) - 1)) && !wrong(first_faults(v));
}

/* Whole blocks, the last one up to what needs an escape. @return bytes, perhaps within a character
 * that is wrong or goes on behind them */
TARGET static size_t copy_blocks(uint8_t *out, const uint8_t *s, size_t n)
{
    __m128i before = _mm_setzero_si128();
    size_t i = 0;

    for (; i + BLOCK <= n; i += BLOCK) {
        __m128i v = tg_load16(s + i);
        int stop = escaped(v), bad = 0;

        store(out + i, v);
        if (_mm_movemask_epi8(_mm_or_si128(v, before)))
            bad = wrong(faults(v, _mm_alignr_epi8(v, before, 15), _mm_alignr_epi8(v, before, 14),
                               _mm_alignr_epi8(v, before, 13)));
        if (stop | bad) /* an escape behind nothing wrong ends what is good */
            return stop && !(bad & (stop ^ (stop - 1))) ? i + (size_t)__builtin_ctz((unsigned)stop)
                                                        : i;
        before = v;
    }
    return i;
}

/* @return n, less the beginning of a character at the end of the text */
static size_t before_open(const uint8_t *s, size_t n)
{
    for (size_t k = 1; k <= 3 && k <= n && s[n - k] >= 0x80; k++)
        if (s[n - k] >= 0xc0)
            return n - k;
    return n;
}

size_t tg_utf8_copy(uint8_t *out, const uint8_t *s, size_t n)
{
    size_t i = 0;

    if (!__builtin_cpu_supports("ssse3"))
        return copy_singly(out, s, n);
    if (n >= BLOCK)
        i = before_open(s, copy_blocks(out, s, n));
    if (n - i < BLOCK && n > i && copy_short(out + i, s + i, n - i))
        return n;
    return i + copy_singly(out + i, s + i, n - i);
}

#else

bool tg_utf8_valid(const void *bytes, size_t n)
{
    return valid_singly(bytes, (const uint8_t *)bytes + n);
}

size_t tg_utf8_copy(uint8_t *out, const uint8_t *s, size_t n)
{
    return copy_singly(out, s, n);
}

#endif

/* ---- units of UTF-16 ---- */

/* Units of eight bytes at once; zero bytes count as one each. Bit 7 of each byte tells; a
 * multiplication sums the bytes up. */
static uint32_t units_of_8(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t first = (~x | x << 1) >> 7 & ones;                 /* not 10xxxxxx, which goes on */
    uint64_t pair = (x & x << 1 & x << 2 & x << 3) >> 7 & ones; /* 1111xxxx: a surrogate pair */

    return (uint32_t)((first + pair) * ones >> 56);
}

uint32_t tg_utf16_len(const char *at, size_t n)
{
    uint32_t units = 0;
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        units += units_of_8(tg_le64(at + i));
    if (i < n) {
        uint8_t last[8] = { 0 };

        memcpy(last, at + i, n - i);
        units += units_of_8(tg_le64(last)) - (uint32_t)(8 - (n - i));
    }
    return units;
}
