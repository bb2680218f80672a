/* SPDX-License-Identifier: MIT */
/*
 * tl_random.h - random TL values of any constructor, from a seed; for tests and corpora
 *
 * Threads: none
 */
#ifndef TESTS_TL_RANDOM_H
#define TESTS_TL_RANDOM_H

#include <assert.h>

#include "tl/value.h"

struct tl_random {
    const struct tl_schema *s;
    struct tg_arena *arena;
    uint64_t state; /* the seed; never 0 */
    int depth_max;  /* deeper objects are the smallest of their type */
};

static inline uint64_t tl_random_next(struct tl_random *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state * UINT64_C(0x9e3779b97f4a7c15) >> 8;
}

static inline struct tl_value *tl_random_object(struct tl_random *r, const struct tl_ctor *c,
                                                int depth);

/* A constructor of the type: any, or near the bottom the smallest. */
static inline const struct tl_ctor *tl_random_ctor(struct tl_random *r, uint32_t type, int depth)
{
    const struct tl_schema *s = r->s;
    uint32_t start = (uint32_t)(tl_random_next(r) % s->n_ctors);

    for (uint32_t i = 0; depth < r->depth_max && i < s->n_ctors; i++) {
        const struct tl_ctor *c = &s->ctor[(start + i) % s->n_ctors];

        if (!c->is_function && c->type == type)
            return c;
    }
    return s->type[type].fallback == TL_NONE ? NULL : &s->ctor[s->type[type].fallback];
}

static inline struct tg_str tl_random_text(struct tl_random *r)
{
    static const uint16_t lengths[] = { 0, 1, 2, 3, 4, 5, 17, 100, 252, 253, 254, 255, 256, 1000 };
    uint64_t pick = tl_random_next(r);
    size_t n = lengths[pick % (pick & 0x700 ? 7 : TG_COUNT(lengths))];
    char *text = tg_arena_bytes(r->arena, n + 1);

    assert(text);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(0x20 + tl_random_next(r) % 95);
    return (struct tg_str){ text, (uint32_t)n };
}

/* Puts a value of the type into a field (o an object) or behind the items (o a vector). */
static inline void tl_random_put(struct tl_random *r, struct tl_value *o, uint32_t field,
                                 uint32_t type, int depth)
{
    const struct tl_type *t = &r->s->type[type];
    const struct tl_ctor *c;
    struct tl_value *list;

    switch (t->kind) {
    case TL_KIND_INT:
    case TL_KIND_LONG:
        field ? tl_set_long(o, field, -(int64_t)tl_random_next(r))
              : tl_add_long(o, (int64_t)tl_random_next(r));
        break;
    case TL_KIND_DOUBLE:
        field ? tl_set_double(o, field, (double)tl_random_next(r) / 7)
              : tl_add_double(o, (double)tl_random_next(r) / 7);
        break;
    case TL_KIND_BOOL:
        tl_set_bool(o, field, tl_random_next(r) & 1);
        break;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        field ? tl_set_str(o, field, tl_random_text(r)) : tl_add_str(o, tl_random_text(r));
        break;
    case TL_KIND_INT128:
    case TL_KIND_INT256: {
        uint8_t *bytes = tg_arena_bytes(r->arena, t->size);

        for (int i = 0; i < t->size; i++)
            bytes[i] = (uint8_t)tl_random_next(r);
        tl_set_bytes(o, field, bytes, t->size);
        break;
    }
    case TL_KIND_OBJECT:
    case TL_KIND_BARE:
        c = t->kind == TL_KIND_BARE ? &r->s->ctor[t->item] : tl_random_ctor(r, type, depth);
        assert(c);
        field ? tl_set_obj(o, field, tl_random_object(r, c, depth + 1))
              : tl_add_obj(o, tl_random_object(r, c, depth + 1));
        break;
    case TL_KIND_VECTOR:
    case TL_KIND_BARE_VECTOR:
        list = field ? tl_set_vector(o, field) : tl_add_vector(o);
        for (uint64_t n = depth < r->depth_max ? tl_random_next(r) % 3 : 0; n > 0; n--)
            tl_random_put(r, list, 0, t->item, depth + 1);
        break;
    default: /* a query: the smallest function there is */
        tl_set_new(o, field, TLN_help_getConfig);
        break;
    }
}

static inline struct tl_value *tl_random_object(struct tl_random *r, const struct tl_ctor *c,
                                                int depth)
{
    struct tl_value *o = tl_obj(r->arena, c->name);
    const struct tl_field *f = tl_ctor_fields(r->s, c);

    for (int i = 0; i < c->n_fields; i++, f++) {
        bool optional = f->word != TL_NO_FLAG;

        if (f->kind == TL_KIND_FLAGS ||
            (optional && (depth >= r->depth_max || tl_random_next(r) % 3 == 0)))
            continue;
        if (f->kind == TL_KIND_TRUE)
            tl_set_true(o, f->name, true);
        else
            tl_random_put(r, o, f->name, f->type, depth);
    }
    return o;
}

#endif
