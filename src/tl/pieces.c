/* SPDX-License-Identifier: MIT */
/*
 * pieces.c - see pieces.h
 *
 * Of all ways to read the reply, from the first unreadable object to the last byte, the one that
 * leaves the fewest words unread. It is found from the end backwards: for each word and each field,
 * the cheapest way on if that field, or an item of that list, begins there.
 *
 *   at(i, p)   = the field is read: at(i+1, behind it); of a list: in(i, behind its head)
 *   in(i, p)   = an item is read: in(i, behind it) | the list ends: at(i+1, p) | bad(i, p)
 *   bad(i, p)  = 1 + bad(i, p+4) | 1 + in(i, p+4) and a price, so that stretches are few
 *
 * A list must have as many items as its head says; unreadable ones make up for what is missing.
 * Such side by side have no border that could be found so: they are parted where the first one's
 * constructor id occurs again, or one that an item may begin with.
 */
#include "tl/pieces.h"

#include <assert.h>
#include <stdlib.h>

#include "tl/walk.h"

enum { SALVAGE_MAX = 1 << 20, STRETCH_COST = 4 };
#define NO_WAY UINT32_MAX

/* What to do at a word, a byte for each field: how the field itself goes on, and an item of it. */
enum { AT_READ = 1, AT_BAD = 2, IN_ITEM = 4, IN_END = 8, IN_BAD = 16, BAD_ENDS = 32 };

struct cutter {
    const struct tl_schema *s;
    const struct tl_ctor *c;
    const struct tl_field *field;
    const uint8_t *end;
    const uint8_t *word[TL_FIELD_MAX]; /* where flag words stand */
    struct tl_pieces *out;
    bool no_memory;
};

/* The search, over the words from `start` on. */
struct search {
    struct cutter *k;
    const uint8_t *start;
    size_t n;               /* words */
    uint32_t *next, *at;    /* cost from each word on: of field i+1, of field i */
    uint32_t *in, *bad;     /* inside the list of field i; within its unreadable items */
    uint32_t *in_items, *bad_items; /* readable items on those ways */
    bool *any_bad;          /* whether unreadable ones are on the way of `in` */
    uint8_t *what[TL_FIELD_MAX]; /* by field and word; NULL: not searched */
};

static void add(struct cutter *k, enum tl_piece_kind kind, int field, const uint8_t *at,
                const uint8_t *end)
{
    struct tl_pieces *out = k->out;

    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64;
        struct tl_piece *more = realloc(out->piece, cap * sizeof *more);

        if (!more) {
            k->no_memory = true;
            return;
        }
        out->piece = more;
        out->cap = cap;
    }
    out->n_bad += kind == TL_PIECE_BAD;
    out->piece[out->n++] = (struct tl_piece){ kind, field, at, end };
}

static const struct tl_type *type_of(const struct cutter *k, int i)
{
    return &k->s->type[k->field[i].type];
}

static bool is_list(const struct cutter *k, int i)
{
    const struct tl_type *t = type_of(k, i);

    return t->kind == TL_KIND_VECTOR && k->s->type[t->item].kind == TL_KIND_OBJECT;
}

static bool is_present(const struct cutter *k, int i)
{
    const struct tl_field *f = &k->field[i];

    return f->word == TL_NO_FLAG || (k->word[f->word] && tg_le32(k->word[f->word]) >> f->bit & 1);
}

/* Whether an object of the boxed type may begin at p. */
static bool begins(const struct cutter *k, uint16_t type, const uint8_t *p)
{
    const struct tl_ctor *c = k->end - p < 4 ? NULL : tl_ctor_by_id(k->s, tg_le32(p));

    return c && !c->is_function && c->type == type;
}

/* @return where the value at p ends; NULL if it cannot be read */
static const uint8_t *skip(const struct cutter *k, uint16_t type, const uint8_t *p)
{
    struct tl_reader r = tl_reader_of(p, (size_t)(k->end - p));

    return tl_skip_type(k->s, &r, type) ? r.at : NULL;
}

static uint32_t head_of(const struct cutter *k, const uint8_t *p, bool *ret_good)
{
    struct tl_reader r = tl_reader_of(p, (size_t)(k->end - p));
    uint32_t n = tl_read_vector(&r, 4);

    *ret_good = !r.bad;
    return n;
}

/* ---- what can be read plainly ---- */

/* Reads up to the first fault. @return the field at fault, with where it, or its list, begins */
static int cut_plainly(struct cutter *k, const uint8_t **at)
{
    const uint8_t *p = *at, *next;
    int i;

    for (i = 0; i < k->c->n_fields; i++, p = next) {
        size_t before = k->out->n;
        bool good = true;

        next = p;
        if (!is_present(k, i))
            continue;
        *at = p;
        if (!is_list(k, i)) {
            next = skip(k, k->field[i].type, p);
            if (!next)
                return i;
            if (k->field[i].kind == TL_KIND_FLAGS)
                k->word[i] = p;
            add(k, TL_PIECE_VALUE, i, p, next);
            continue;
        }
        uint32_t n = head_of(k, p, &good);

        if (!good)
            return i;
        add(k, TL_PIECE_LIST, i, p, p + 8);
        for (next = p + 8; n; n--) {
            const uint8_t *item = next;

            next = skip(k, type_of(k, i)->item, item);
            if (!next) {
                k->out->n = before; /* the search goes over the whole list */
                return i;
            }
            add(k, TL_PIECE_ITEM, i, item, next);
        }
    }
    *at = p;
    return i;
}

/* ---- the search ---- */

static void search_done(struct search *w)
{
    free(w->next);
    free(w->at);
    free(w->in);
    free(w->bad);
    free(w->in_items);
    free(w->bad_items);
    free(w->any_bad);
    for (int i = 0; i < TL_FIELD_MAX; i++)
        free(w->what[i]);
}

static bool search_init(struct search *w, int from)
{
    w->next = malloc((w->n + 1) * sizeof *w->next);
    w->at = malloc((w->n + 1) * sizeof *w->at);
    w->in = malloc((w->n + 1) * sizeof *w->in);
    w->bad = malloc((w->n + 1) * sizeof *w->bad);
    w->in_items = malloc((w->n + 1) * sizeof *w->in_items);
    w->bad_items = malloc((w->n + 1) * sizeof *w->bad_items);
    w->any_bad = malloc((w->n + 1) * sizeof *w->any_bad);
    for (int i = from; i < w->k->c->n_fields; i++) {
        w->what[i] = calloc(w->n + 1, 1);
        if (!w->what[i])
            return false;
    }
    return w->next && w->at && w->in && w->bad && w->in_items && w->bad_items && w->any_bad;
}

static size_t index_of(const struct search *w, const uint8_t *p)
{
    return (size_t)(p - w->start) / 4;
}

static void take(uint32_t *cost, uint8_t *what, uint8_t mask, uint32_t new_cost, uint8_t new_what)
{
    if (new_cost >= *cost)
        return;
    *cost = new_cost;
    *what = (uint8_t)((*what & ~mask) | new_what);
}

static uint32_t plus(uint32_t cost, uint32_t more)
{
    return cost > NO_WAY - 1 - more ? NO_WAY : cost + more;
}

/* Word j is unreadable: it is the last of its stretch, or not. */
static uint32_t search_bad(const struct search *w, int i, size_t j, const uint32_t *leave,
                           uint32_t stay)
{
    uint32_t ends = plus(leave[j + 1], 1 + STRETCH_COST), goes_on = plus(stay, 1);

    if (ends < goes_on)
        w->what[i][j] |= BAD_ENDS;
    return TG_MIN(ends, goes_on);
}

/* Inside the list of field i at word j. */
static void search_items(struct search *w, int i, size_t j)
{
    const uint8_t *p = w->start + 4 * j, *end;
    uint16_t type = type_of(w->k, i)->item;
    uint8_t *what = &w->what[i][j], mask = IN_ITEM | IN_END | IN_BAD;

    w->in[j] = w->bad[j] = NO_WAY;
    w->in_items[j] = w->bad_items[j] = 0;
    w->any_bad[j] = false;
    take(&w->in[j], what, mask, w->next[j], IN_END);
    if (begins(w->k, type, p) && (end = skip(w->k, type, p))) {
        size_t behind = index_of(w, end);

        take(&w->in[j], what, mask, w->in[behind], IN_ITEM);
        if (*what & IN_ITEM) {
            w->in_items[j] = w->in_items[behind] + 1;
            w->any_bad[j] = w->any_bad[behind];
        }
    }
    if (j == w->n)
        return;
    w->bad[j] = search_bad(w, i, j, w->in, w->bad[j + 1]);
    w->bad_items[j] = *what & BAD_ENDS ? w->in_items[j + 1] : w->bad_items[j + 1];
    take(&w->in[j], what, mask, w->bad[j], IN_BAD);
    if (*what & IN_BAD) {
        w->in_items[j] = w->bad_items[j];
        w->any_bad[j] = true;
    }
}

/* Field i begins at word j. */
static void search_field(struct search *w, int i, size_t j)
{
    const struct cutter *k = w->k;
    const uint8_t *p = w->start + 4 * j, *end;
    uint8_t *what = &w->what[i][j], mask = AT_READ | AT_BAD;

    w->at[j] = NO_WAY;
    if (is_list(k, i)) {
        bool good;
        uint32_t n = head_of(k, p, &good);
        size_t first = j + 2;

        if (good && w->in_items[first] <= n && (w->in_items[first] < n) == w->any_bad[first])
            take(&w->at[j], what, mask, w->in[first], AT_READ);
        return;
    }
    if ((k->field[i].kind != TL_KIND_OBJECT || begins(k, k->field[i].type, p)) &&
        (end = skip(k, k->field[i].type, p)))
        take(&w->at[j], what, mask, w->next[index_of(w, end)], AT_READ);
    if (k->field[i].kind != TL_KIND_OBJECT || j == w->n)
        return;
    w->bad[j] = search_bad(w, i, j, w->next, j + 1 == w->n ? NO_WAY : w->bad[j + 1]);
    take(&w->at[j], what, mask, w->bad[j], AT_BAD);
}

/* Fills the tables for fields `from` and later. @return whether there is a way to the end */
static bool search(struct search *w, int from)
{
    const struct cutter *k = w->k;

    for (size_t j = 0; j <= w->n; j++)
        w->next[j] = j == w->n ? 0 : NO_WAY;
    for (int i = k->c->n_fields; i-- > from;) {
        uint32_t *swap;

        if (!is_present(k, i))
            continue;
        if (k->field[i].kind == TL_KIND_FLAGS)
            return false; /* what follows would depend on what was not read */
        for (size_t j = w->n + 1; j-- > 0;) {
            if (is_list(k, i))
                search_items(w, i, j);
            search_field(w, i, j);
        }
        swap = w->next;
        w->next = w->at;
        w->at = swap;
    }
    return w->next[0] != NO_WAY;
}

/* ---- the way that was found, as pieces ---- */

/* Adds the bytes at..end as at most `most` unreadable items. @return how many it took them for */
static uint32_t add_bad_items(struct cutter *k, int i, const uint8_t *at, const uint8_t *end,
                              uint32_t most)
{
    uint32_t n = 1;

    for (const uint8_t *q = at + 4; q < end && n < most; q += 4) {
        if (tg_le32(q) != tg_le32(at) && !begins(k, type_of(k, i)->item, q))
            continue;
        add(k, TL_PIECE_BAD, i, at, q);
        at = q;
        n++;
    }
    add(k, TL_PIECE_BAD, i, at, end);
    return n;
}

static const uint8_t *end_of_stretch(const struct search *w, int i, const uint8_t *p)
{
    while (!(w->what[i][index_of(w, p)] & BAD_ENDS))
        p += 4;
    return p + 4;
}

static const uint8_t *follow_list(const struct search *w, int i, const uint8_t *p)
{
    struct cutter *k = w->k;
    uint16_t type = type_of(k, i)->item;
    uint32_t spare = tg_le32(p + 4);
    const uint8_t *end;

    add(k, TL_PIECE_LIST, i, p, p + 8);
    p += 8;
    for (const uint8_t *q = p; !(w->what[i][index_of(w, q)] & IN_END); q = end) {
        end = w->what[i][index_of(w, q)] & IN_BAD ? end_of_stretch(w, i, q)
                                                  : skip(k, type, q);
        spare--; /* what is left are unreadable ones side by side */
    }
    for (; !(w->what[i][index_of(w, p)] & IN_END); p = end) {
        if (w->what[i][index_of(w, p)] & IN_BAD) {
            end = end_of_stretch(w, i, p);
            spare -= add_bad_items(k, i, p, end, spare + 1) - 1;
        } else {
            end = skip(k, type, p);
            add(k, TL_PIECE_ITEM, i, p, end);
        }
    }
    return p;
}

static void follow(const struct search *w, int from)
{
    struct cutter *k = w->k;
    const uint8_t *p = w->start, *end;

    for (int i = from; i < k->c->n_fields; i++, p = end) {
        bool bad;

        end = p;
        if (!is_present(k, i))
            continue;
        bad = w->what[i][index_of(w, p)] & AT_BAD;
        if (!bad && is_list(k, i)) {
            end = follow_list(w, i, p);
            continue;
        }
        end = bad ? end_of_stretch(w, i, p) : skip(k, k->field[i].type, p);
        add(k, bad ? TL_PIECE_BAD : TL_PIECE_VALUE, i, p, end);
    }
}

bool tl_pieces_cut(const struct tl_schema *s, const void *bytes, size_t len,
                   struct tl_pieces *ret)
{
    const uint8_t *at = bytes;
    struct cutter k = { .s = s, .end = at + len, .out = ret };
    struct search w = { .k = &k };
    int from;

    *ret = (struct tl_pieces){ 0 };
    k.c = len < 4 || len % 4 ? NULL : tl_ctor_by_id(s, tg_le32(at));
    if (!k.c || k.c->is_function)
        return false;
    ret->ctor = k.c;
    k.field = tl_ctor_fields(s, k.c);
    at += 4;
    from = cut_plainly(&k, &at);
    if (from == k.c->n_fields)
        return !k.no_memory && at == k.end;
    w.start = at;
    w.n = (size_t)(k.end - at) / 4;
    if (w.n > SALVAGE_MAX / 4 || !search_init(&w, from)) {
        search_done(&w);
        return false;
    }
    if (search(&w, from))
        follow(&w, from);
    search_done(&w);
    return !k.no_memory && ret->n_bad > 0;
}

void tl_pieces_done(struct tl_pieces *p)
{
    free(p->piece);
    *p = (struct tl_pieces){ 0 };
}
