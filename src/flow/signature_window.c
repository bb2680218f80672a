/* SPDX-License-Identifier: MIT */
/*
 * signature_window.c - see signature_window.h
 */
#include "flow/signature_window.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"

enum { VERSION = 1, PREFIX = 33, RANGE = 20, SUM = 8, EDITED = 2, REACTED = 1 };
static const char magic[4] = "tgsw";

/* ---- what windows begin and end with ---- */

static uint8_t *put_prefix(uint8_t *at, const struct tg_window_owner *of)
{
    memcpy(at, magic, 4);
    at[4] = VERSION;
    tg_put_le64(at + 5, of->fields);
    tg_put_le64(at + 13, (uint64_t)of->chat_id);
    tg_put_le64(at + 21, (uint64_t)of->owner);
    tg_put_le32(at + 29, (uint32_t)of->segment);
    return at + PREFIX;
}

/* Ends what begins at `start` and reaches to `at`. */
static uint64_t put_sum(struct tg_buf *out, size_t start, uint8_t *at)
{
    uint64_t sum = XXH3_64bits(out->data + start, (size_t)(at - out->data) - start);

    tg_put_le64(at, sum);
    out->len = (size_t)(at - out->data) + SUM;
    return sum;
}

/* NULL, or what is wrong with the bytes apart from what stands between. */
static const char *complaint(const struct tg_window_owner *of, const uint8_t *b, size_t len)
{
    if (len < PREFIX + SUM)
        return "is cut off";
    if (memcmp(b, magic, 4) != 0)
        return "is not what was stored there";
    if (XXH3_64bits(b, len - SUM) != tg_le64(b + len - SUM))
        return "has a wrong checksum";
    if (b[4] != VERSION)
        return "is of another version of the program";
    if ((int64_t)tg_le64(b + 13) != of->chat_id || (int64_t)tg_le64(b + 21) != of->owner ||
        (int32_t)tg_le32(b + 29) != of->segment)
        return "belongs to another chat";
    if (tg_le64(b + 5) != of->fields)
        return "was signed over other comparison_fields";
    return NULL;
}

static tg_code corrupt(struct tg_error *err, const struct tg_window_owner *of, const char *why)
{
    return tg_fail(err, TG_CORRUPT, "the state of chat %lld %s", (long long)of->chat_id, why);
}

/* ---- a window ---- */

uint64_t tg_window_put(const struct tg_window_owner *of, struct tg_signatures w, struct tg_buf *out)
{
    int64_t last_id = w.from - 1, last_edit = 0;
    size_t start = out->len;
    uint8_t *at = tg_buf_extend(out, PREFIX + RANGE + w.n * (2 * TG_VARINT_MAX + 12) + SUM);

    assert(w.n <= TG_WINDOW_MAX && w.from >= 1 && w.from <= w.to && w.to <= TG_WINDOW_ID_MAX);
    assert(tg_signatures_valid(w));
    if (!at)
        return 0;
    at = put_prefix(at, of);
    tg_put_le64(at, (uint64_t)w.from);
    tg_put_le64(at + 8, (uint64_t)w.to);
    tg_put_le32(at + 16, (uint32_t)w.n);
    at += RANGE;
    for (size_t i = 0; i < w.n; i++) {
        const struct tg_signature *s = &w.at[i];

        at = tg_put_varint(at, (uint64_t)(s->id - last_id - 1) << 2 |
                                   (s->edit_date ? EDITED : 0) | (s->reactions ? REACTED : 0));
        last_id = s->id;
        if (s->edit_date) {
            at = tg_put_varint(at, tg_zigzag(tg_minus(s->edit_date, last_edit)));
            last_edit = s->edit_date;
        }
        tg_put_le64(at, s->content);
        at += 8;
        if (s->reactions) {
            tg_put_le32(at, s->reactions);
            at += 4;
        }
    }
    return put_sum(out, start, at);
}

/* The signature behind one with last_id, an edit date of last_edit. */
static struct tg_signature take_signature(struct tg_bytes_in *r, int64_t last_id,
                                          int64_t *last_edit)
{
    uint64_t first = tg_take_varint(r);
    struct tg_signature s = { .id = tg_plus(last_id, (int64_t)(first >> 2) + 1) };

    if (first & EDITED) {
        *last_edit = s.edit_date = tg_plus(*last_edit, tg_take_zigzag(r));
        r->bad |= !s.edit_date;
    }
    s.content = tg_take_le(r, 8);
    if (first & REACTED) {
        s.reactions = (uint32_t)tg_take_le(r, 4);
        r->bad |= !s.reactions;
    }
    return s;
}

static bool take_signatures(struct tg_bytes_in *r, int64_t from, struct tg_signature *room,
                            size_t n)
{
    int64_t last_id = from - 1, last_edit = 0;

    for (size_t i = 0; i < n && !r->bad; i++) {
        room[i] = take_signature(r, last_id, &last_edit);
        if (room[i].id > TG_WINDOW_ID_MAX || room[i].id <= last_id)
            return false;
        last_id = room[i].id;
    }
    return !r->bad && r->at == r->end;
}

tg_code tg_window_take(const struct tg_window_owner *of, const void *bytes, size_t len,
                       struct tg_signature *room, struct tg_signatures *ret, uint64_t *ret_sum,
                       struct tg_error *err)
{
    const uint8_t *b = bytes;
    const char *why = complaint(of, b, len);
    struct tg_bytes_in r;
    struct tg_signatures w;

    if (why)
        return corrupt(err, of, why);
    r = (struct tg_bytes_in){ b + PREFIX, b + len - SUM, false };
    w.from = (int64_t)tg_take_le(&r, 8);
    w.to = (int64_t)tg_take_le(&r, 8);
    w.at = room;
    w.n = (size_t)tg_take_le(&r, 4);
    if (r.bad || w.n > TG_WINDOW_MAX || w.from < 1 || w.from > w.to || w.to > TG_WINDOW_ID_MAX ||
        !take_signatures(&r, w.from, room, w.n) || (w.n && room[w.n - 1].id > w.to))
        return corrupt(err, of, "contradicts itself");
    *ret = w;
    *ret_sum = tg_le64(b + len - SUM);
    return TG_OK;
}

bool tg_window_find(const void *bytes, size_t len, int64_t id, struct tg_signature *ret)
{
    const uint8_t *b = bytes;
    struct tg_bytes_in r = { b + PREFIX, b + len - SUM, false };
    int64_t last_id = (int64_t)tg_take_le(&r, 8) - 1, last_edit = 0;

    r.at += RANGE - 8;
    while (last_id < id && r.at < r.end && !r.bad) {
        struct tg_signature s = take_signature(&r, last_id, &last_edit);

        last_id = s.id;
        if (s.id == id && !r.bad) {
            *ret = s;
            return true;
        }
    }
    return false;
}

struct tg_signatures tg_window_first(struct tg_signatures s, size_t n)
{
    assert(n);
    if (s.n > n) {
        s.n = n;
        s.to = s.at[n - 1].id;
    }
    return s;
}
