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
static const char window_magic[4] = "tgsw", head_magic[4] = "tgsh";

/* ---- what windows and heads begin and end with ---- */

static uint8_t *put_prefix(uint8_t *at, const char magic[4], const struct tg_window_owner *of)
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
static const char *complaint(const char magic[4], const struct tg_window_owner *of,
                             const uint8_t *b, size_t len)
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
    at = put_prefix(at, window_magic, of);
    tg_put_le64(at, (uint64_t)w.from);
    tg_put_le64(at + 8, (uint64_t)w.to);
    tg_put_le32(at + 16, (uint32_t)w.n);
    at += RANGE;
    for (size_t i = 0; i < w.n; i++) {
        const struct tg_signature *s = &w.at[i];

        at = tg_put_varint(at, (uint64_t)(s->id - last_id - 1) << 2 | (s->edit_date ? EDITED : 0) |
                                (s->reactions ? REACTED : 0));
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
    const char *why = complaint(window_magic, of, b, len);
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

/* ---- the chain ---- */

void tg_window_reset(struct tg_window_head *head)
{
    *head = (struct tg_window_head){ .open_from = 1, .unread_to = TG_WINDOW_ID_MAX };
}

void tg_window_head_put(const struct tg_window_owner *of, const struct tg_window_head *head,
                        struct tg_buf *out)
{
    const uint64_t number[] = { (uint64_t)head->now.top,   head->now.sum,
                                (uint64_t)head->next.top,  head->next.sum,
                                (uint64_t)head->open_from, (uint64_t)head->open_to,
                                (uint64_t)head->unread_to };
    size_t start = out->len;
    uint8_t *at = tg_buf_extend(out, TG_WINDOW_HEAD_BYTES);

    if (!at)
        return;
    at = put_prefix(at, head_magic, of);
    for (size_t i = 0; i < TG_COUNT(number); i++, at += 8)
        tg_put_le64(at, number[i]);
    put_sum(out, start, at);
}

tg_code tg_window_head_take(const struct tg_window_owner *of, const void *bytes, size_t len,
                            struct tg_window_head *ret, struct tg_error *err)
{
    const uint8_t *b = bytes;
    const char *why = complaint(head_magic, of, b, len);
    struct tg_window_head h;
    struct tg_bytes_in r;

    if (why)
        return corrupt(err, of, why);
    r = (struct tg_bytes_in){ b + PREFIX, b + len - SUM, false };
    h.now.top = (int64_t)tg_take_le(&r, 8);
    h.now.sum = tg_take_le(&r, 8);
    h.next.top = (int64_t)tg_take_le(&r, 8);
    h.next.sum = tg_take_le(&r, 8);
    h.open_from = (int64_t)tg_take_le(&r, 8);
    h.open_to = (int64_t)tg_take_le(&r, 8);
    h.unread_to = (int64_t)tg_take_le(&r, 8);
    if (r.bad || r.at != r.end || h.now.top < 0 || h.now.top > TG_WINDOW_ID_MAX ||
        h.next.top < 0 || h.next.top > TG_WINDOW_ID_MAX || h.open_from < 1 ||
        h.open_to > TG_WINDOW_ID_MAX || h.open_to < h.open_from - 1 || h.unread_to < 0 ||
        h.unread_to > TG_WINDOW_ID_MAX)
        return corrupt(err, of, "contradicts itself");
    *ret = h;
    return TG_OK;
}

void tg_window_open(struct tg_window_head *head, int64_t from, int64_t to)
{
    bool none = head->open_to < head->open_from;

    head->open_from = none ? from : TG_MIN(head->open_from, from);
    head->open_to = none ? to : TG_MAX(head->open_to, to);
}

void tg_window_close(struct tg_window_head *head, int64_t from, int64_t to)
{
    head->now = head->next; /* else the window could be lost unseen, with nothing open */
    if (from <= head->open_from)
        head->open_from = TG_MAX(head->open_from, to + 1);
    else if (to >= head->open_to)
        head->open_to = TG_MIN(head->open_to, from - 1);
    if (head->open_to < head->open_from) {
        head->open_from = 1;
        head->open_to = 0;
    }
}

/* Whether from lies in low..high; to is lowered to where that changes. */
static bool within(int64_t low, int64_t high, int64_t from, int64_t *to)
{
    if (from > high || high < low)
        return false;
    if (from < low) {
        *to = TG_MIN(*to, low - 1);
        return false;
    }
    *to = TG_MIN(*to, high);
    return true;
}

bool tg_window_known(const struct tg_window_head *head, int64_t from, int64_t *to)
{
    return !within(head->open_from, head->open_to, from, to) &&
           !within(head->next.top + 1, head->unread_to, from, to);
}

void tg_window_replace(struct tg_window_head *head, uint64_t old_sum, uint64_t new_sum, int64_t top)
{
    head->now = head->next;
    head->next.top = top;
    head->next.sum = head->now.sum - old_sum + new_sum;
}

bool tg_window_chain_add(struct tg_window_extent *chain, int64_t from, int64_t to, uint64_t sum)
{
    if (from != chain->top + 1 || to < from)
        return false;
    chain->top = to;
    chain->sum += sum;
    return true;
}

bool tg_window_chain_whole(const struct tg_window_extent *chain, struct tg_window_head *head)
{
    const struct tg_window_extent *of[] = { &head->next, &head->now };

    for (size_t i = 0; i < TG_COUNT(of); i++)
        if (chain->top == of[i]->top && chain->sum == of[i]->sum) {
            head->now = head->next = *chain;
            return true;
        }
    return false;
}
