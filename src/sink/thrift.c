/* SPDX-License-Identifier: MIT */
/*
 * thrift.c - see thrift.h
 */
#include "sink/thrift.h"

#include <assert.h>

/* ---- writing ---- */

void tg_thrift_init(struct tg_thrift *t, struct tg_buf *out)
{
    *t = (struct tg_thrift){ .out = out };
}

void tg_thrift_varint(struct tg_buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        tg_buf_byte(out, (uint8_t)(v | 0x80));
    tg_buf_byte(out, (uint8_t)v);
}

static void put_number(struct tg_buf *out, int64_t v)
{
    tg_thrift_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void put_field(struct tg_thrift *t, int16_t id, enum tg_thrift_type type)
{
    int16_t *last = &t->last[t->depth - 1];

    assert(t->depth > 0 && id > *last && id - *last <= 15);
    tg_buf_byte(t->out, (uint8_t)((id - *last) << 4 | (int)type));
    *last = id;
}

void tg_thrift_open(struct tg_thrift *t)
{
    assert(t->depth < TG_THRIFT_DEPTH);
    t->last[t->depth++] = 0;
}

void tg_thrift_open_field(struct tg_thrift *t, int16_t id)
{
    put_field(t, id, TG_THRIFT_STRUCT);
    tg_thrift_open(t);
}

void tg_thrift_close(struct tg_thrift *t)
{
    assert(t->depth > 0);
    tg_buf_byte(t->out, 0);
    t->depth--;
}

void tg_thrift_i32(struct tg_thrift *t, int16_t id, int32_t v)
{
    put_field(t, id, TG_THRIFT_I32);
    put_number(t->out, v);
}

void tg_thrift_i64(struct tg_thrift *t, int16_t id, int64_t v)
{
    put_field(t, id, TG_THRIFT_I64);
    put_number(t->out, v);
}

void tg_thrift_bool(struct tg_thrift *t, int16_t id, bool v)
{
    put_field(t, id, v ? TG_THRIFT_TRUE : TG_THRIFT_FALSE);
}

void tg_thrift_bytes(struct tg_thrift *t, int16_t id, const void *bytes, size_t n)
{
    put_field(t, id, TG_THRIFT_TEXT);
    tg_thrift_varint(t->out, n);
    tg_buf_add(t->out, bytes, n);
}

void tg_thrift_text(struct tg_thrift *t, int16_t id, const char *text)
{
    tg_thrift_bytes(t, id, text, strlen(text));
}

void tg_thrift_empty(struct tg_thrift *t, int16_t id)
{
    tg_thrift_open_field(t, id);
    tg_thrift_close(t);
}

void tg_thrift_list(struct tg_thrift *t, int16_t id, enum tg_thrift_type type, uint32_t n)
{
    put_field(t, id, TG_THRIFT_LIST);
    tg_buf_byte(t->out, (uint8_t)(TG_MIN(n, 15U) << 4 | type));
    if (n >= 15)
        tg_thrift_varint(t->out, n);
}

/* ---- reading ---- */

void tg_thrift_in_init(struct tg_thrift_in *in, const void *bytes, size_t n)
{
    *in = (struct tg_thrift_in){ .at = bytes, .end = (const uint8_t *)bytes + n };
}

static uint8_t take_byte(struct tg_thrift_in *in)
{
    in->bad |= in->at == in->end;
    return in->bad ? 0 : *in->at++;
}

uint64_t tg_thrift_take_varint(struct tg_thrift_in *in)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(in);

        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return in->bad ? 0 : v;
    }
    in->bad = true;
    return 0;
}

static int64_t take_number(struct tg_thrift_in *in)
{
    uint64_t v = tg_thrift_take_varint(in);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

void tg_thrift_enter(struct tg_thrift_in *in)
{
    if (in->depth == TG_THRIFT_DEPTH)
        in->bad = true;
    else
        in->last[in->depth++] = 0;
}

bool tg_thrift_next(struct tg_thrift_in *in, int16_t *ret_id, unsigned *ret_type)
{
    uint8_t head = take_byte(in);
    int64_t id;

    if (in->bad || in->depth == 0 || head == 0) {
        in->depth -= in->depth > 0;
        return false;
    }
    id = head >> 4 ? in->last[in->depth - 1] + (head >> 4) : take_number(in);
    in->bad |= id < 0 || id > INT16_MAX;
    if (in->bad)
        return false;
    in->last[in->depth - 1] = *ret_id = (int16_t)id;
    *ret_type = head & 15;
    return true;
}

int64_t tg_thrift_take(struct tg_thrift_in *in, unsigned type)
{
    if (type == TG_THRIFT_TRUE || type == TG_THRIFT_FALSE)
        return type == TG_THRIFT_TRUE;
    if (type == TG_THRIFT_I8)
        return (int8_t)take_byte(in);
    in->bad |= type < TG_THRIFT_I16 || type > TG_THRIFT_I64;
    return take_number(in);
}

struct tg_str tg_thrift_take_text(struct tg_thrift_in *in, unsigned type)
{
    uint64_t n = tg_thrift_take_varint(in);
    struct tg_str s = { (const char *)in->at, 0 };

    in->bad |= type != TG_THRIFT_TEXT || n > (uint64_t)(in->end - in->at) || n > UINT32_MAX;
    if (in->bad)
        return (struct tg_str){ "", 0 };
    s.len = (uint32_t)n;
    in->at += n;
    return s;
}

uint32_t tg_thrift_take_list(struct tg_thrift_in *in, unsigned type, unsigned *ret_element)
{
    uint8_t head = take_byte(in);
    uint64_t n = head >> 4 == 15 ? tg_thrift_take_varint(in) : head >> 4;

    *ret_element = head & 15;
    in->bad |= (type != TG_THRIFT_LIST && type != TG_THRIFT_SET) ||
               n > (uint64_t)(in->end - in->at);
    return in->bad ? 0 : (uint32_t)n;
}

void tg_thrift_skip(struct tg_thrift_in *in, unsigned type)
{
    unsigned element;
    int16_t id;

    switch (type) {
    case TG_THRIFT_DOUBLE:
        in->bad |= in->end - in->at < 8;
        in->at += in->bad ? 0 : 8;
        return;
    case TG_THRIFT_TEXT:
        tg_thrift_take_text(in, type);
        return;
    case TG_THRIFT_LIST:
    case TG_THRIFT_SET:
        tg_thrift_enter(in); /* lists within lists have a bound, too */
        for (uint32_t n = tg_thrift_take_list(in, type, &element); n && !in->bad; n--) {
            if (element == TG_THRIFT_TRUE || element == TG_THRIFT_FALSE)
                take_byte(in); /* in a list a truth value is a byte */
            else
                tg_thrift_skip(in, element);
        }
        in->depth -= in->depth > 0;
        return;
    case TG_THRIFT_STRUCT:
        tg_thrift_enter(in);
        while (tg_thrift_next(in, &id, &element))
            tg_thrift_skip(in, element);
        return;
    default:
        tg_thrift_take(in, type);
    }
}
