/* SPDX-License-Identifier: MIT */
/*
 * put.c - see put.h
 */
#include "tl/put.h"

enum { SHORT_MAX = 253, LONG_MARK = 254, LONG_MAX_LEN = (1 << 24) - 1 };

void tl_put_bytes(struct tg_buf *out, const void *bytes, size_t n)
{
    static const uint8_t zero[4] = { 0 };
    size_t head = n <= SHORT_MAX ? 1 : 4;

    if (n > LONG_MAX_LEN) {
        out->failed = true;
        return;
    }
    if (head == 1)
        tg_buf_byte(out, (uint8_t)n);
    else
        tg_buf_u32(out, (uint32_t)n << 8 | LONG_MARK);
    tg_buf_add(out, bytes, n);
    tg_buf_add(out, zero, -(head + n) & 3);
}
