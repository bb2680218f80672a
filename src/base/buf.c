/* SPDX-License-Identifier: MIT */
/*
 * buf.c - growing byte buffer; see buf.h
 *
 * Growth doubles, so that n appends cost O(n) copies.
 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void tg_buf_init(struct tg_buf *b, size_t max)
{
    assert(max > 0);
    *b = (struct tg_buf){ .max = max };
}

void tg_buf_done(struct tg_buf *b)
{
    free(b->data);
    *b = (struct tg_buf){ .max = b->max };
}

void tg_buf_wipe(struct tg_buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    tg_buf_done(b);
}

bool tg_buf_grow(struct tg_buf *b, size_t n)
{
    size_t want, cap;
    uint8_t *data;

    if (b->failed)
        return false;
    if (__builtin_add_overflow(b->len, n, &want) || want > b->max) {
        b->failed = true;
        return false;
    }
    if (want <= b->cap)
        return true;
    cap = TG_MAX(want, TG_MIN(b->max, TG_MAX(b->cap * 2, (size_t)64)));
    data = realloc(b->data, cap);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void tg_buf_u32(struct tg_buf *b, uint32_t v)
{
    uint8_t *at = tg_buf_extend(b, 4);

    if (at)
        tg_put_le32(at, v);
}

void tg_buf_u64(struct tg_buf *b, uint64_t v)
{
    uint8_t *at = tg_buf_extend(b, 8);

    if (at)
        tg_put_le64(at, v);
}

const char tg_digit_pair[200] = "000102030405060708091011121314151617181920212223242526272829"
                                "303132333435363738394041424344454647484950515253545556575859"
                                "606162636465666768697071727374757677787980818283848586878889"
                                "90919293949596979899";

/*
 * Eight digits of v < 10^8, the first in the lowest byte. Side by side in one word: two halves of
 * four digits, four of two, eight of one; a division by 100 or 10 is a product and a shift that are
 * exact for what a lane can hold, and the mask drops what the lane above shifted in.
 */
static inline uint64_t eight_digits(uint32_t v)
{
    uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32, q;

    q = x * 5243 >> 19 & UINT64_C(0x0000007f0000007f);
    x = q | (x - q * 100) << 16;
    q = x * 103 >> 10 & UINT64_C(0x000f000f000f000f);
    return q | (x - q * 10) << 8;
}

static inline uint8_t *put_eight(uint8_t *out, uint64_t digits, unsigned skip)
{
    tg_put_le64(out, (digits + UINT64_C(0x3030303030303030)) >> 8 * skip);
    return out + 8 - skip;
}

/*
 * As many digits of v < 10^8 as it has, but at least one. Their number comes from v itself and not
 * from the digits: where the next text begins is then known before they are.
 */
static inline uint8_t *put_first(uint8_t *out, uint32_t v)
{
    static const uint32_t power[] = { 1,      10,      100,      1000,     10000,
                                      100000, 1000000, 10000000, 100000000 };
    unsigned bits = 32 - (unsigned)__builtin_clz(v | 1), n = bits * 1233 >> 12; /* log10 of 2 */

    n += v >= power[n];
    n += n == 0;
    return put_eight(out, eight_digits(v), 8 - n);
}

uint8_t *tg_put_i64_text(uint8_t *out, int64_t v)
{
    enum { EIGHT = 100000000 };
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v, high = u / EIGHT;

    *out = '-';
    out += v < 0;
    if (u >= 10 && u < 100) { /* most counts and lengths */
        memcpy(out, tg_digit_pair + 2 * u, 2);
        return out + 2;
    }
    if (high == 0)
        return put_first(out, (uint32_t)u);
    if (high < EIGHT) {
        out = put_first(out, (uint32_t)high);
    } else {
        out = put_first(out, (uint32_t)(high / EIGHT));
        out = put_eight(out, eight_digits((uint32_t)(high % EIGHT)), 0);
    }
    return put_eight(out, eight_digits((uint32_t)(u % EIGHT)), 0);
}

void tg_buf_i64_text(struct tg_buf *b, int64_t v)
{
    if (tg_buf_room(b, TG_I64_ROOM))
        b->len = (size_t)(tg_put_i64_text(b->data + b->len, v) - b->data);
}

void tg_buf_printf(struct tg_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if (!tg_buf_room(b, (size_t)n + 1))
        return;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void tg_buf_shift(struct tg_buf *b, size_t n)
{
    assert(n <= b->len);
    if (n) {
        memmove(b->data, b->data + n, b->len - n);
        b->len -= n;
    }
}

const char *tg_buf_cstr(struct tg_buf *b)
{
    if (!tg_buf_room(b, 1))
        return "";
    b->data[b->len] = 0;
    return (const char *)b->data;
}
