/* SPDX-License-Identifier: MIT */
/*
 * decode.c - reads bytes into a value tree
 *
 * The tree is built with the same functions that build requests; text and bytes are views. Counts
 * are bounded by the bytes left before anything is allocated.
 */
#include <assert.h>

#include "tl/value.h"

struct decoder {
    const struct tl_schema *s;
    struct tl_reader *r;
    struct tg_arena *arena;
};

static bool decode_value(struct decoder *d, const struct tl_type *t, struct tl_value *ret,
                         int depth);

static bool refer(struct decoder *d, struct tl_value *child, struct tl_value *ret)
{
    if (!child)
        return tl_read_fail(d->r);
    *ret = (struct tl_value){ .kind = TL_VALUE_REF, .u.ref = child };
    return true;
}

static uint32_t present_fields(const struct tl_schema *s, const struct tl_ctor *c)
{
    uint32_t n = 0;

    for (int i = 0; i < c->n_fields; i++)
        n += tl_ctor_fields(s, c)[i].word == TL_NO_FLAG;
    return n + 4;
}

static bool decode_fields(struct decoder *d, const struct tl_ctor *c, struct tl_value *ret,
                          int depth)
{
    const struct tl_field *f = tl_ctor_fields(d->s, c);
    struct tl_value *o = tl_obj(d->arena, c->name), *list;
    const uint8_t *at[TL_FIELD_MAX];
    uint32_t cap = present_fields(d->s, c);

    if (depth >= TL_DEPTH_MAX || !o || !(list = tg_arena_alloc(d->arena, cap, sizeof *list)))
        return tl_read_fail(d->r);
    for (int i = 0; i < c->n_fields; i++, f++) {
        at[i] = d->r->at;
        if (f->word != TL_NO_FLAG && !(tg_le32(at[f->word]) >> f->bit & 1))
            continue;
        if (o->n == cap) {
            struct tl_value *more = tg_arena_alloc(d->arena, 2 * (size_t)cap, sizeof *more);

            if (!more)
                return tl_read_fail(d->r);
            memcpy(more, list, cap * sizeof *more);
            list = more;
            cap *= 2;
        }
        struct tl_value *v = &list[o->n];
        if (!decode_value(d, &d->s->type[f->type], v, depth + 1))
            return false;
        v->field = f->name;
        o->n += f->kind != TL_KIND_FLAGS;
    }
    o->u.list = list;
    o->cap = cap;
    return refer(d, o, ret);
}

static bool decode_boxed(struct decoder *d, const struct tl_type *t, struct tl_value *ret,
                         int depth)
{
    const struct tl_ctor *c = tl_ctor_by_id(d->s, tl_read_u32(d->r));

    if (d->r->bad || !c || (t && (c->is_function || &d->s->type[c->type] != t)))
        return tl_read_fail(d->r);
    return decode_fields(d, c, ret, depth);
}

static bool decode_items(struct decoder *d, const struct tl_type *item, struct tl_value *ret,
                         int depth)
{
    static const struct tl_type any = { .kind = TL_KIND_ANY };
    struct tl_value *v = tl_vector(d->arena);
    uint32_t n = tl_read_u32(d->r);

    if (d->r->bad || depth >= TL_DEPTH_MAX || !v ||
        n > tl_left(d->r) / (item && item->size ? item->size : 4))
        return tl_read_fail(d->r);
    if (n && !(v->u.list = tg_arena_alloc(d->arena, n, sizeof *v->u.list)))
        return tl_read_fail(d->r);
    v->cap = n;
    for (; v->n < n; v->n++) {
        if (!decode_value(d, item ? item : &any, &v->u.list[v->n], depth + 1))
            return false;
    }
    return refer(d, v, ret);
}

static bool decode_any(struct decoder *d, struct tl_value *ret, int depth)
{
    uint32_t id = tl_peek_u32(d->r);

    if (id == TL_TRUE_ID || id == TL_FALSE_ID) {
        *ret = (struct tl_value){ .kind = TL_VALUE_BOOL, .u.i = tl_read_bool(d->r) };
        return true;
    }
    if (id != TL_VECTOR_ID)
        return decode_boxed(d, NULL, ret, depth);
    tl_read_u32(d->r);
    return decode_items(d, NULL, ret, depth);
}

static bool decode_bytes(struct decoder *d, struct tg_str s, struct tl_value *ret)
{
    *ret = (struct tl_value){ .kind = TL_VALUE_BYTES, .n = s.len, .u.bytes = s.at };
    return !d->r->bad;
}

static bool decode_number(struct decoder *d, enum tl_value_kind kind, int64_t v,
                          struct tl_value *ret)
{
    *ret = (struct tl_value){ .kind = (uint8_t)kind, .u.i = v };
    return !d->r->bad;
}

static bool decode_value(struct decoder *d, const struct tl_type *t, struct tl_value *ret,
                         int depth)
{
    struct tl_reader *r = d->r;
    const uint8_t *view;

    switch (t->kind) {
    case TL_KIND_TRUE:
        return decode_number(d, TL_VALUE_BOOL, 1, ret);
    case TL_KIND_FLAGS:
    case TL_KIND_INT:
        return decode_number(d, TL_VALUE_INT, tl_read_i32(r), ret);
    case TL_KIND_LONG:
        return decode_number(d, TL_VALUE_LONG, tl_read_i64(r), ret);
    case TL_KIND_DOUBLE:
        *ret = (struct tl_value){ .kind = TL_VALUE_DOUBLE, .u.d = tl_read_double(r) };
        return !r->bad;
    case TL_KIND_INT128:
    case TL_KIND_INT256:
        view = tl_read_view(r, t->size);
        return decode_bytes(d, (struct tg_str){ (const char *)view, t->size }, ret);
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        return decode_bytes(d, tl_read_str(r), ret);
    case TL_KIND_BOOL:
        return decode_number(d, TL_VALUE_BOOL, tl_read_bool(r), ret);
    case TL_KIND_OBJECT:
        return decode_boxed(d, t, ret, depth);
    case TL_KIND_BARE:
        return decode_fields(d, &d->s->ctor[t->item], ret, depth);
    case TL_KIND_VECTOR:
        return tl_read_u32(r) == TL_VECTOR_ID ? decode_items(d, &d->s->type[t->item], ret, depth)
                                              : tl_read_fail(r);
    case TL_KIND_BARE_VECTOR:
        return decode_items(d, &d->s->type[t->item], ret, depth);
    default:
        return decode_any(d, ret, depth);
    }
}

/* The root as a value of its own. */
static struct tl_value *finish(struct decoder *d, struct tl_value v)
{
    if (v.kind == TL_VALUE_REF)
        return v.u.ref;
    struct tl_value *root = tg_arena_alloc(d->arena, 1, sizeof *root);
    if (!root) {
        tl_read_fail(d->r);
        return NULL;
    }
    *root = v;
    root->arena = d->arena;
    return root;
}

struct tl_value *tl_decode(const struct tl_schema *s, struct tl_reader *r, struct tg_arena *arena)
{
    struct decoder d = { s, r, arena };
    struct tl_value v;

    return !r->bad && decode_any(&d, &v, 0) ? finish(&d, v) : NULL;
}

struct tl_value *tl_decode_type(const struct tl_schema *s, struct tl_reader *r, uint16_t type,
                                struct tg_arena *arena)
{
    struct decoder d = { s, r, arena };
    struct tl_value v;

    assert(type < s->n_types);
    return !r->bad && decode_value(&d, &s->type[type], &v, 0) ? finish(&d, v) : NULL;
}
