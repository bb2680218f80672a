/* SPDX-License-Identifier: MIT */
/*
 * walk.c - skipping and opening objects: the hot loops
 *
 * Internally a walk is a pointer that only moves forward and NULL on failure; the reader is updated
 * once at the end. skip_program runs a constructor's words; skip_value is its slower sister for a
 * single value of any type.
 *
 * Work is bounded by the bytes: each step of a program consumes some (compile.c refuses what would
 * not), the count of a vector is at most the bytes left, and levels are counted.
 */
#include "tl/walk.h"

#include <assert.h>

#include "tl/program.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)

struct walk {
    const struct tl_schema *s;
    const uint8_t *end;
};

static const uint8_t *skip_program(const struct walk *w, const struct tl_ctor *c, const uint8_t *p,
                                   int depth);
static const uint8_t *skip_value(const struct walk *w, const struct tl_type *t, const uint8_t *p,
                                 int depth);

static inline size_t left(const struct walk *w, const uint8_t *p)
{
    return (size_t)(w->end - p);
}

static inline const uint8_t *skip_string(const struct walk *w, const uint8_t *p)
{
    size_t room = left(w, p), n;

    if (room < 4)
        return NULL;
    n = p[0];
    if (LIKELY(n < 254))
        n = (n + 4) & ~(size_t)3;
    else if (n == 254)
        n = ((tg_le32(p) >> 8) + (size_t)7) & ~(size_t)3;
    else
        return NULL;
    return n <= room ? p + n : NULL;
}

static inline const uint8_t *skip_bool(const struct walk *w, const uint8_t *p)
{
    if (left(w, p) < 4)
        return NULL;
    uint32_t id = tg_le32(p);
    return id == TL_TRUE_ID || id == TL_FALSE_ID ? p + 4 : NULL;
}

static inline const uint8_t *skip_object(const struct walk *w, uint32_t type, const uint8_t *p,
                                         int depth)
{
    if (left(w, p) < 4)
        return NULL;
    const struct tl_ctor *c = tl_ctor_by_id(w->s, tg_le32(p));
    if (!c || c->type != type || c->is_function || depth >= TL_DEPTH_MAX)
        return NULL;
    p += 4;
    if (c->n_ops == 0)
        return p;
    uint32_t word = w->s->op[c->op];
    if (c->n_ops == 1 && (word & 0xffff) == tl_op_word(TL_OP_FIXED, TL_ALWAYS, 0)) {
        /* peers, most entities, plain sizes: no program is run for a number of bytes */
        return left(w, p) < word >> 16 ? NULL : p + (word >> 16);
    }
    return skip_program(w, c, p, depth + 1);
}

/* The smallest an item can be, by which counts are bounded. */
static inline size_t item_min(const struct tl_type *item)
{
    return item->size ? item->size : 4;
}

static const uint8_t *skip_vector(const struct walk *w, const struct tl_type *t, const uint8_t *p,
                                  int depth)
{
    const struct tl_type *item = &w->s->type[t->item];

    if (t->kind == TL_KIND_VECTOR) {
        if (left(w, p) < 4 || tg_le32(p) != TL_VECTOR_ID)
            return NULL;
        p += 4;
    }
    if (left(w, p) < 4 || depth >= TL_DEPTH_MAX)
        return NULL;
    uint32_t n = tg_le32(p);
    p += 4;
    if (n > left(w, p) / item_min(item))
        return NULL;
    if (item->size && item->kind != TL_KIND_BOOL)
        return p + (size_t)n * item->size;
    if (item->kind == TL_KIND_OBJECT) {
        while (n-- && p)
            p = skip_object(w, t->item, p, depth + 1);
    } else {
        while (n-- && p)
            p = skip_value(w, item, p, depth + 1);
    }
    return p;
}

/* Any boxed object or function, Bool, or vector of such. */
static const uint8_t *skip_any(const struct walk *w, const uint8_t *p, int depth)
{
    if (left(w, p) < 4 || depth >= TL_DEPTH_MAX)
        return NULL;
    uint32_t id = tg_le32(p);
    const struct tl_ctor *c = tl_ctor_by_id(w->s, id);
    p += 4;
    if (c)
        return skip_program(w, c, p, depth + 1);
    if (id == TL_TRUE_ID || id == TL_FALSE_ID)
        return p;
    if (id != TL_VECTOR_ID || left(w, p) < 4)
        return NULL;
    uint32_t n = tg_le32(p);
    p += 4;
    if (n > left(w, p) / 4)
        return NULL;
    while (n-- && p)
        p = skip_any(w, p, depth + 1);
    return p;
}

static const uint8_t *skip_value(const struct walk *w, const struct tl_type *t, const uint8_t *p,
                                 int depth)
{
    switch (t->kind) {
    case TL_KIND_TRUE:
        return p;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        return skip_string(w, p);
    case TL_KIND_BOOL:
        return skip_bool(w, p);
    case TL_KIND_OBJECT:
        return skip_object(w, (uint32_t)(t - w->s->type), p, depth);
    case TL_KIND_BARE:
        if (depth >= TL_DEPTH_MAX)
            return NULL;
        return skip_program(w, &w->s->ctor[t->item], p, depth + 1);
    case TL_KIND_VECTOR:
    case TL_KIND_BARE_VECTOR:
        return skip_vector(w, t, p, depth);
    case TL_KIND_ANY:
        return skip_any(w, p, depth);
    default:
        return t->size <= left(w, p) ? p + t->size : NULL;
    }
}

static const uint8_t *skip_program(const struct walk *w, const struct tl_ctor *c, const uint8_t *p,
                                   int depth)
{
    const uint32_t *op = w->s->op + c->op, *stop = op + c->n_ops;
    uint32_t flags[TL_WORDS_MAX + 1];

    flags[TL_ALWAYS >> 5] = UINT32_MAX; /* where no condition looks */
    for (; op < stop; op++) {
        uint32_t word = *op, condition = word >> 8 & 0xff, argument = word >> 16;

        if (!(flags[condition >> 5] >> (condition & 31) & 1))
            continue;
        switch (word & 0xff) {
        case TL_OP_FIXED:
            if (left(w, p) < argument)
                return NULL;
            p += argument;
            continue;
        case TL_OP_FLAGS:
            if (left(w, p) < 4)
                return NULL;
            flags[argument] = tg_le32(p);
            p += 4;
            continue;
        case TL_OP_STRING:
            p = skip_string(w, p);
            break;
        case TL_OP_BOOL:
            p = skip_bool(w, p);
            break;
        case TL_OP_OBJECT:
            p = skip_object(w, argument, p, depth);
            break;
        case TL_OP_BARE:
            if (depth >= TL_DEPTH_MAX)
                return NULL;
            p = skip_program(w, &w->s->ctor[argument], p, depth + 1);
            break;
        case TL_OP_VECTOR:
            p = skip_vector(w, &w->s->type[argument], p, depth);
            break;
        default:
            p = skip_any(w, p, depth);
            break;
        }
        if (!p)
            return NULL;
    }
    return p;
}

static bool finish(struct tl_reader *r, const uint8_t *p)
{
    if (!p)
        return tl_read_fail(r);
    r->at = p;
    return true;
}

bool tl_skip(const struct tl_schema *s, struct tl_reader *r)
{
    struct walk w = { s, r->end };

    return finish(r, r->bad ? NULL : skip_any(&w, r->at, 0));
}

bool tl_skip_type(const struct tl_schema *s, struct tl_reader *r, uint16_t type)
{
    struct walk w = { s, r->end };

    assert(type < s->n_types);
    return finish(r, r->bad ? NULL : skip_value(&w, &s->type[type], r->at, 0));
}

static inline const uint8_t *skip_field(const struct walk *w, const struct tl_field *f,
                                        const uint8_t *p)
{
    if (f->size && f->kind != TL_KIND_BOOL)
        return f->size <= left(w, p) ? p + f->size : NULL;
    if (f->kind == TL_KIND_OBJECT)
        return skip_object(w, f->type, p, 1);
    return skip_value(w, &w->s->type[f->type], p, 1);
}

/* Numbers, and what takes no bytes. */
static inline bool is_fixed(const struct tl_field *f)
{
    _Static_assert(TL_KIND_FLAGS == 0 && TL_KIND_INT256 + 1 == TL_KIND_STRING,
                   "kinds of one size come first");
    return f->kind < TL_KIND_STRING;
}

/* Notes where each field begins, up to field number `last`. */
static const uint8_t *open_fields(const struct walk *w, struct tl_object *o, const uint8_t *p,
                                  int last)
{
    const struct tl_field *f = tl_ctor_fields(w->s, o->ctor);
    int n = o->ctor->n_fields, i;

    for (i = 0; i < n && i <= last; i++, f++) {
        bool there = f->word == TL_NO_FLAG || tg_le32(o->field[f->word]) >> f->bit & 1;

        o->field[i] = there ? p : NULL;
        if (is_fixed(f)) { /* no branch on whether it is there: that is hard to foresee */
            size_t size = there ? f->size : 0;

            if (left(w, p) < size)
                return NULL;
            p += size;
        } else if (there && !(p = skip_field(w, f, p))) {
            return NULL;
        }
    }
    for (; i < n; i++)
        o->field[i] = NULL;
    return p;
}

/* The fields that a flags word brings. */
static inline uint64_t fields_of(const uint64_t of_bit[32], uint32_t flags)
{
    uint64_t fields = 0;

    for (; flags; flags &= flags - 1)
        fields |= of_bit[__builtin_ctz(flags)];
    return fields;
}

/*
 * Walks the fields of an object by a plan of its constructor. Where each begins goes to `field`, or
 * as an offset from `start` to its place in `offset`.
 */
static inline __attribute__((always_inline)) const uint8_t *
walk_planned(const struct walk *w, const uint8_t *start, const struct tl_plan *plan,
             const uint8_t **field, const uint8_t *place, uint32_t *offset)
{
    const struct tl_field *first = tl_ctor_fields(w->s, plan->ctor);
    const uint8_t *p = start + 4;
    uint32_t word = 0;

    for (uint64_t there = plan->always; there; there &= there - 1) {
        int i = __builtin_ctzll(there);
        const struct tl_field *f = &first[i];

        if (field)
            field[i] = p;
        else
            offset[place[i]] = (uint32_t)(p - start);
        if (plan->fixed >> i & 1) {
            if (left(w, p) < f->size)
                return NULL;
            p += f->size;
        } else if (f->kind == TL_KIND_FLAGS) {
            if (left(w, p) < 4)
                return NULL;
            there |= fields_of(plan->word[word++].of_bit, tg_le32(p));
            p += 4;
        } else if (!(p = skip_field(w, f, p))) {
            return NULL;
        }
    }
    return p;
}

/* As open_fields, by a plan of the object's constructor. */
static const uint8_t *open_planned(const struct walk *w, struct tl_object *o,
                                   const struct tl_plan *plan)
{
    /* in steps of constant length, as that is several times faster than one of n_fields */
    for (size_t i = 0; i < o->ctor->n_fields; i += 8)
        memset(o->field + i, 0, 8 * sizeof *o->field);
    return walk_planned(w, o->start, plan, o->field, NULL, NULL);
}

bool tl_object_open_until(const struct tl_schema *s, struct tl_reader *r, int last,
                          struct tl_object *ret)
{
    struct walk w = { s, r->end };
    const struct tl_ctor *c = r->bad || tl_left(r) < 4 ? NULL : tl_ctor_by_id(s, tg_le32(r->at));

    if (!c)
        return tl_read_fail(r);
    ret->schema = s;
    ret->ctor = c;
    ret->start = r->at;
    ret->end = open_fields(&w, ret, r->at + 4, last);
    return finish(r, ret->end);
}

void tl_plan_of(const struct tl_schema *s, const struct tl_ctor *c, struct tl_plan *ret)
{
    const struct tl_field *field = c ? tl_ctor_fields(s, c) : NULL;

    *ret = (struct tl_plan){ 0 };
    if (!c || c->n_fields > TL_PLAN_FIELDS)
        return;
    for (uint8_t i = 0; i < c->n_fields; i++) {
        uint32_t w = 0;

        if (field[i].kind == TL_KIND_FLAGS && ret->n_words == TL_PLAN_WORDS)
            return;
        if (field[i].kind == TL_KIND_FLAGS)
            ret->word[ret->n_words++].field = i;
        if (is_fixed(&field[i]) && field[i].kind != TL_KIND_FLAGS)
            ret->fixed |= UINT64_C(1) << i;
        if (field[i].word == TL_NO_FLAG) {
            ret->always |= UINT64_C(1) << i;
            continue;
        }
        while (ret->word[w].field != field[i].word)
            w++;
        assert(w < ret->n_words && field[i].word < i); /* the builder sees to it */
        ret->word[w].of_bit[field[i].bit] |= UINT64_C(1) << i;
    }
    ret->ctor = c;
}

bool tl_object_open_planned(const struct tl_schema *s, struct tl_reader *r,
                            const struct tl_plan *plan, size_t n_plans, struct tl_object *ret)
{
    struct walk w = { s, r->end };
    const struct tl_ctor *c = r->bad || tl_left(r) < 4 ? NULL : tl_ctor_by_id(s, tg_le32(r->at));

    for (size_t i = 0; c && i < n_plans; i++) {
        if (plan[i].ctor != c)
            continue;
        ret->schema = s;
        ret->ctor = c;
        ret->start = r->at;
        ret->end = open_planned(&w, ret, &plan[i]);
        return finish(r, ret->end);
    }
    return tl_object_open(s, r, ret);
}

const uint8_t *tl_object_places(const struct tl_schema *s, struct tl_reader *r,
                                const struct tl_plan *plan, const uint8_t place[TL_FIELD_MAX],
                                uint32_t *ret)
{
    struct walk w = { s, r->end };
    struct tl_object o;

    if (plan->ctor && tl_peek_u32(r) == plan->ctor->id) {
        o.end = walk_planned(&w, r->at, plan, NULL, place, ret);
        return finish(r, o.end) ? o.end : NULL;
    }
    if (!tl_object_open(s, r, &o))
        return NULL;
    for (int i = 0; i < o.ctor->n_fields; i++)
        if (o.field[i])
            ret[place[i]] = (uint32_t)(o.field[i] - o.start);
    return o.end;
}

bool tl_object_open(const struct tl_schema *s, struct tl_reader *r, struct tl_object *ret)
{
    return tl_object_open_until(s, r, TL_FIELD_MAX, ret);
}

bool tl_field_bool(const struct tl_object *o, uint32_t symbol)
{
    int i = tl_field_index(o, symbol);

    if (!tl_at_has(o, i))
        return false;
    const struct tl_field *f = tl_ctor_fields(o->schema, o->ctor) + i;
    return f->kind != TL_KIND_BOOL || tl_at_id(o, i) == TL_TRUE_ID;
}

uint32_t tl_at_vector(const struct tl_object *o, int i, struct tl_reader *ret)
{
    *ret = tl_at(o, i);
    if (!ret->at)
        return 0;
    const struct tl_type *t = &o->schema->type[tl_ctor_fields(o->schema, o->ctor)[i].type];
    if (t->kind != TL_KIND_VECTOR && t->kind != TL_KIND_BARE_VECTOR)
        return 0;
    if (t->kind == TL_KIND_VECTOR)
        tl_read_u32(ret);
    return tl_read_u32(ret);
}
