/* SPDX-License-Identifier: MIT */
/*
 * varint.h - numbers of few bytes: seven bits in each, the last one below 128
 *
 * Signed ones are zigzag: 0, -1, 1, -2, ... are 0, 1, 2, 3. Of a number only the shortest form is
 * one, so that what is read gives the same bytes again. Differences wrap: of any two numbers there
 * is one, and it leads back.
 *
 * Threads: none: value types
 */
#ifndef TG_VARINT_H
#define TG_VARINT_H

#include "base/base.h"

enum { TG_VARINT_MAX = 10 }; /* bytes */

/** @return behind the last byte */
static inline uint8_t *tg_put_varint(uint8_t *at, uint64_t v)
{
    for (; v > 127; v >>= 7)
        *at++ = (uint8_t)(v | 128);
    *at++ = (uint8_t)v;
    return at;
}

static inline uint64_t tg_zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static inline int64_t tg_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static inline int64_t tg_minus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline int64_t tg_plus(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/** Reads with a sticky error: what is missing is 0. */
struct tg_bytes_in {
    const uint8_t *at, *end;
    bool bad;
};

static inline uint64_t tg_bytes_bad(struct tg_bytes_in *in)
{
    in->bad = true;
    in->at = in->end;
    return 0;
}

/** The next n bytes, little endian. @param n  at most 8 */
static inline uint64_t tg_take_le(struct tg_bytes_in *in, size_t n)
{
    uint64_t v = 0;

    if ((size_t)(in->end - in->at) < n)
        return tg_bytes_bad(in);
    for (size_t i = n; i--;)
        v = v << 8 | in->at[i];
    in->at += n;
    return v;
}

static inline uint64_t tg_take_varint(struct tg_bytes_in *in)
{
    uint64_t v = 0;

    for (int shift = 0; in->at < in->end && shift < 64; shift += 7) {
        uint8_t byte = *in->at++;

        if ((shift == 63 && byte > 1) || (shift && !byte))
            break;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return v;
    }
    return tg_bytes_bad(in);
}

static inline int64_t tg_take_zigzag(struct tg_bytes_in *in)
{
    return tg_unzigzag(tg_take_varint(in));
}

#endif
