/* SPDX-License-Identifier: MIT */
/*
 * change_window.c - see change_window.h
 */
#include "etl/change_window.h"

#include <assert.h>
#include <stdlib.h>

enum { CUT_AT = TG_WINDOW_CUT + TG_WINDOW_CUT / 2 };

/* ---- the windows of a chat ---- */

bool tg_change_windows_reserve(struct tg_change_windows *ws, size_t n, struct tg_change_room *room)
{
    size_t cap = ws->cap;
    struct tg_change_window *at;

    if (n <= cap)
        return true;
    cap = TG_MAX(n, cap + cap / 4);
    at = reallocarray(ws->at, cap, sizeof *at);
    if (!at)
        return false;
    room->beside += (cap - ws->cap) * sizeof *at;
    ws->at = at;
    ws->cap = cap;
    return true;
}

bool tg_change_windows_begin(struct tg_change_windows *ws, struct tg_change_room *room)
{
    if (!tg_change_windows_reserve(ws, 1, room))
        return false;
    ws->at[0] = (struct tg_change_window){ .from = 1, .merge_at = TG_CHANGE_OPS };
    ws->n = 1;
    return true;
}

static void drop_bytes(struct tg_change_window *w, struct tg_change_room *room)
{
    if (w->bytes)
        room->packed -= w->len;
    free(w->bytes);
    w->bytes = NULL;
}

void tg_change_windows_done(struct tg_change_windows *ws, struct tg_change_room *room)
{
    for (size_t i = 0; i < ws->n; i++) {
        drop_bytes(&ws->at[i], room);
        room->beside -= ws->at[i].cap_ops * sizeof *ws->at[i].op;
        free(ws->at[i].op);
    }
    room->beside -= ws->cap * sizeof *ws->at;
    free(ws->at);
    *ws = (struct tg_change_windows){ 0 };
}

void tg_change_room_done(struct tg_change_room *room)
{
    free(room->base);
    free(room->out);
    tg_buf_done(&room->bytes);
    *room = (struct tg_change_room){ 0 };
}

size_t tg_change_windows_find(const struct tg_change_windows *ws, int64_t id)
{
    size_t low = 0, high = ws->n; /* at[low].from <= id < at[high].from */

    assert(ws->n && ws->at[0].from == 1 && id >= 1);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (ws->at[middle].from <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t tg_change_window_to(const struct tg_change_windows *ws, size_t i)
{
    return i + 1 < ws->n ? ws->at[i + 1].from - 1 : TG_WINDOW_ID_MAX;
}

/* ---- ops ---- */

/* Index behind the last op of an id up to that one. */
static uint32_t behind(const struct tg_change_window *w, int64_t id)
{
    uint32_t low = 0, high = w->n_ops;

    if (high && w->op[high - 1].id <= id)
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (w->op[middle].id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reserve_ops(struct tg_change_window *w, uint32_t n, struct tg_change_room *room)
{
    uint32_t cap = w->cap_ops;
    struct tg_change_op *op;

    if (n <= cap)
        return true;
    cap = TG_MAX(n, TG_MAX(cap + cap / 2, 4));
    op = reallocarray(w->op, cap, sizeof *op);
    if (!op)
        return false;
    room->beside += (cap - w->cap_ops) * sizeof *op;
    w->op = op;
    w->cap_ops = cap;
    return true;
}

bool tg_change_window_put(struct tg_change_window *w, const struct tg_change_op *op,
                          struct tg_change_room *room)
{
    uint32_t at = behind(w, op->id);

    if (at && w->op[at - 1].id == op->id && w->op[at - 1].seq == op->seq) {
        w->op[at - 1] = *op;
        return true;
    }
    assert(!at || w->op[at - 1].id < op->id || w->op[at - 1].seq < op->seq);
    if (!reserve_ops(w, w->n_ops + 1, room))
        return false;
    memmove(w->op + at + 1, w->op + at, (w->n_ops - at) * sizeof *w->op);
    w->op[at] = *op;
    w->n_ops++;
    return true;
}

const struct tg_change_op *tg_change_window_op(const struct tg_change_window *w, int64_t id)
{
    uint32_t at = behind(w, id);

    return at && w->op[at - 1].id == id ? &w->op[at - 1] : NULL;
}

static struct tg_signature signature_of(const struct tg_change_op *op)
{
    return (struct tg_signature){ op->id, op->edit_date, op->content, op->reactions };
}

bool tg_change_window_look(const struct tg_change_window *w, int64_t id, struct tg_signature *ret)
{
    const struct tg_change_op *op = tg_change_window_op(w, id);

    assert(tg_change_window_loaded(w));
    if (!op)
        return w->bytes && tg_window_find(w->bytes, w->len, id, ret);
    if (op->there)
        *ret = signature_of(op);
    return op->there;
}

/* ---- bytes ---- */

static bool have_base_room(struct tg_change_room *room)
{
    if (!room->base)
        room->base = malloc(TG_WINDOW_MAX * sizeof *room->base);
    return room->base;
}

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "the signatures of messages");
}

static bool set_bytes(struct tg_change_window *w, const void *bytes, size_t len,
                      struct tg_change_room *room)
{
    uint8_t *copy = malloc(len);

    if (!copy)
        return false;
    drop_bytes(w, room);
    w->bytes = memcpy(copy, bytes, len);
    w->len = (uint32_t)len;
    room->packed += len;
    return true;
}

tg_code tg_change_window_load(struct tg_change_windows *ws, size_t i,
                              const struct tg_window_owner *of, const void *bytes, size_t len,
                              struct tg_change_room *room, struct tg_error *err)
{
    struct tg_change_window *w = &ws->at[i];
    struct tg_signatures got;
    uint64_t sum;
    tg_code code;

    if (!have_base_room(room))
        return no_memory(err);
    code = tg_window_take(of, bytes, len, room->base, &got, &sum, err);
    if (code != TG_OK)
        return code;
    if (sum != w->sum || got.n != w->n || got.from != w->from ||
        got.to != tg_change_window_to(ws, i))
        return tg_fail(err, TG_CORRUPT, "a window of chat %lld is another one than was stored",
                       (long long)of->chat_id);
    return set_bytes(w, bytes, len, room) ? TG_OK : no_memory(err);
}

void tg_change_window_unload(struct tg_change_window *w, struct tg_change_room *room)
{
    assert(!tg_change_window_dirty(w));
    drop_bytes(w, room);
}

void tg_change_window_empty(struct tg_change_window *w, struct tg_change_room *room)
{
    drop_bytes(w, room);
    w->sum = 0;
    w->n = 0;
    w->stored = false;
}

/* ---- base and ops as one ---- */

/* Base and ops up to `seq`, merged into room->out. @return how many */
static size_t merge(const struct tg_change_window *w, size_t n_base, uint64_t seq,
                    struct tg_change_room *room)
{
    const struct tg_signature *base = room->base, *end = base + n_base;
    struct tg_signature *out = room->out;

    for (uint32_t i = 0; i < w->n_ops;) {
        const struct tg_change_op *now = NULL;
        int64_t id = w->op[i].id;

        for (; i < w->n_ops && w->op[i].id == id; i++)
            if (w->op[i].seq <= seq)
                now = &w->op[i];
        if (!now)
            continue;
        while (base < end && base->id < id)
            *out++ = *base++;
        if (base < end && base->id == id)
            base++;
        if (now->there)
            *out++ = signature_of(now);
    }
    while (base < end)
        *out++ = *base++;
    return (size_t)(out - room->out);
}

tg_code tg_change_window_view(const struct tg_change_windows *ws, size_t i,
                              const struct tg_window_owner *of, uint64_t seq,
                              struct tg_change_room *room, struct tg_signatures *ret,
                              struct tg_error *err)
{
    const struct tg_change_window *w = &ws->at[i];
    struct tg_signatures base = { .n = 0 };
    struct tg_signature *out;
    uint64_t sum;
    tg_code code;

    assert(tg_change_window_loaded(w));
    if (!have_base_room(room))
        return no_memory(err);
    if (w->bytes) {
        code = tg_window_take(of, w->bytes, w->len, room->base, &base, &sum, err);
        if (code != TG_OK)
            return code;
    }
    if (room->cap < base.n + w->n_ops) {
        size_t cap = TG_MAX(base.n + w->n_ops, TG_WINDOW_MAX);

        out = reallocarray(room->out, cap, sizeof *out);
        if (!out)
            return no_memory(err);
        room->out = out;
        room->cap = cap;
    }
    *ret = (struct tg_signatures){ w->from, tg_change_window_to(ws, i), room->out,
                                   merge(w, base.n, seq, room) };
    return TG_OK;
}

/* The base of a window becomes `part`. */
static bool set_base(struct tg_change_window *w, const struct tg_window_owner *of,
                     struct tg_signatures part, struct tg_change_room *room)
{
    uint64_t sum = 0;

    if (part.n) {
        room->bytes.max = TG_WINDOW_BYTES;
        tg_buf_clear(&room->bytes);
        sum = tg_window_put(of, part, &room->bytes);
        if (room->bytes.failed || !set_bytes(w, room->bytes.data, room->bytes.len, room))
            return false;
    } else {
        drop_bytes(w, room);
        w->len = 0;
    }
    w->n = (uint32_t)part.n;
    w->sum = sum;
    return true;
}

/* Drops the ops that are in the base now. */
static void drop_ops(struct tg_change_window *w, uint64_t seq, struct tg_change_room *room)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < w->n_ops; i++)
        if (w->op[i].seq > seq)
            w->op[n++] = w->op[i];
    w->n_ops = n;
    w->merge_at = n + TG_CHANGE_OPS;
    if (!n) {
        room->beside -= w->cap_ops * sizeof *w->op;
        free(w->op);
        w->op = NULL;
        w->cap_ops = 0;
    }
}

/* Opens a place for a new window behind the i-th, for the ids from `from` on. */
static bool insert_behind(struct tg_change_windows *ws, size_t i, int64_t from,
                          struct tg_change_room *room)
{
    struct tg_change_window *w, *next;
    uint32_t first;

    if (!tg_change_windows_reserve(ws, ws->n + 1, room))
        return false;
    w = &ws->at[i];
    next = w + 1;
    first = behind(w, from - 1);
    memmove(next + 1, next, (ws->n - i - 1) * sizeof *next);
    ws->n++;
    *next = (struct tg_change_window){ .from = from, .merge_at = TG_CHANGE_OPS,
                                       .round = w->round, .used = true };
    if (first < w->n_ops) {
        if (!reserve_ops(next, w->n_ops - first, room)) {
            ws->n--;
            memmove(next, next + 1, (ws->n - i - 1) * sizeof *next);
            return false;
        }
        next->n_ops = w->n_ops - first;
        memcpy(next->op, w->op + first, next->n_ops * sizeof *next->op);
        w->n_ops = first;
    }
    return true;
}

tg_code tg_change_window_merge(struct tg_change_windows *ws, size_t i,
                               const struct tg_window_owner *of, uint64_t seq,
                               struct tg_change_room *room, struct tg_error *err)
{
    struct tg_signatures all, part;
    tg_code code = tg_change_window_view(ws, i, of, seq, room, &all, err);

    if (code != TG_OK)
        return code;
    /* Pieces are cut off at the end. */
    while (all.n > CUT_AT) {
        size_t n = all.n % TG_WINDOW_CUT;

        n = n < TG_WINDOW_CUT / 2 ? n + TG_WINDOW_CUT : n;
        part = (struct tg_signatures){ all.at[all.n - n - 1].id + 1, all.to, all.at + all.n - n,
                                       n };
        if (!insert_behind(ws, i, part.from, room))
            return no_memory(err);
        ws->at[i].stored = false;
        if (!set_base(&ws->at[i + 1], of, part, room))
            return no_memory(err);
        drop_ops(&ws->at[i + 1], seq, room);
        all.to = part.from - 1;
        all.n -= n;
    }
    if (!set_base(&ws->at[i], of, all, room))
        return no_memory(err);
    drop_ops(&ws->at[i], seq, room);
    return TG_OK;
}
