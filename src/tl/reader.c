/* SPDX-License-Identifier: MIT */
/*
 * reader.c - see reader.h
 */
#include "tl/reader.h"

#include "tl/schema.h"

enum { LONG_MARK = 254, RESERVED = 255 };

struct tg_str tl_read_str(struct tl_reader *r)
{
    const uint8_t *p = r->at;
    size_t left = tl_left(r), head = 1, n;

    if (r->bad || left < 4)
        goto bad;
    n = p[0];
    if (n == RESERVED)
        goto bad;
    if (n == LONG_MARK) {
        n = tg_le32(p) >> 8;
        head = 4;
    }
    size_t whole = (head + n + 3) & ~(size_t)3;
    if (whole > left)
        goto bad;
    r->at += whole;
    return (struct tg_str){ (const char *)p + head, (uint32_t)n };
bad:
    tl_read_fail(r);
    return (struct tg_str){ 0 };
}

bool tl_read_bool(struct tl_reader *r)
{
    uint32_t id = tl_read_u32(r);

    if (id == TL_TRUE_ID)
        return true;
    if (id != TL_FALSE_ID)
        tl_read_fail(r);
    return false;
}

uint32_t tl_read_vector(struct tl_reader *r, size_t item_min)
{
    uint32_t id = tl_read_u32(r), n = tl_read_u32(r);

    if (id != TL_VECTOR_ID || n > tl_left(r) / (item_min ? item_min : 4)) {
        tl_read_fail(r);
        return 0;
    }
    return n;
}
