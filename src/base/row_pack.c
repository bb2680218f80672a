/* SPDX-License-Identifier: MIT */
/*
 * row_pack.c - see row_pack.h
 */
#include "base/row_pack.h"

#include <string.h>

enum { HEAD = 4, VARINT_MAX = 10 };

static uint8_t *put_varint(uint8_t *at, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *at++ = (uint8_t)(v | 0x80);
    *at++ = (uint8_t)v;
    return at;
}

static uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static bool is_text(enum tg_field_id id)
{
    enum tg_field_type type = tg_field(id)->type;

    return type == TG_FIELD_STR || type == TG_FIELD_JSON;
}

void tg_row_pack(const struct tg_row *row, struct tg_buf *out)
{
    size_t start = out->len, size;

    tg_buf_u32(out, 0);
    tg_buf_u64(out, row->present);
    for (uint64_t left = row->present; left; left &= left - 1) {
        enum tg_field_id id = (enum tg_field_id)__builtin_ctzll(left);
        const void *value = (const char *)row + tg_row_offset[id];
        const struct tg_str *s = value;
        bool text = is_text(id);

        if (!tg_buf_room(out, VARINT_MAX))
            return;
        out->len = (size_t)(put_varint(out->data + out->len,
                                       text ? s->len : zigzag(*(const int64_t *)value)) -
                            out->data);
        if (text)
            tg_buf_add(out, s->at, s->len);
    }
    size = out->len - start - HEAD;
    if (size > UINT32_MAX)
        out->failed = true;
    if (!out->failed)
        tg_put_le32(out->data + start, (uint32_t)size);
}

struct pieces {
    const uint8_t *at, *end;
    bool bad;
};

static uint64_t take_varint(struct pieces *p)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        uint8_t byte = *p->at++;

        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    p->bad = true;
    return 0;
}

static void take_field(struct pieces *p, struct tg_row *row, enum tg_field_id id)
{
    void *value = (char *)row + tg_row_offset[id];
    uint64_t v = take_varint(p);

    if (!is_text(id)) {
        *(int64_t *)value = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
        return;
    }
    if (v > (uint64_t)(p->end - p->at) || v > UINT32_MAX) {
        p->bad = true;
        return;
    }
    *(struct tg_str *)value = (struct tg_str){ (const char *)p->at, (uint32_t)v };
    p->at += v;
}

bool tg_row_unpack(const uint8_t *at, size_t n, struct tg_row *ret, size_t *ret_size)
{
    struct pieces p;

    *ret_size = 0;
    if (n < HEAD)
        return true;
    *ret_size = HEAD + (size_t)tg_le32(at);
    if (*ret_size > n)
        return true;
    p = (struct pieces){ at + HEAD, at + *ret_size, *ret_size < HEAD + 8 };
    memset(ret, 0, sizeof *ret);
    if (!p.bad) {
        ret->present = tg_le64(p.at);
        p.at += 8;
        p.bad = ret->present >> (TG_FIELD_COUNT - 1) > 1;
    }
    for (uint64_t left = ret->present; left && !p.bad; left &= left - 1)
        take_field(&p, ret, (enum tg_field_id)__builtin_ctzll(left));
    return !p.bad && p.at == p.end;
}
