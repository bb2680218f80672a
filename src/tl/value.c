/* SPDX-License-Identifier: MIT */
/*
 * value.c - building and reading value trees
 *
 * An object is a growing array of its fields in the order they were set; setting appends, the last
 * of equal names counts. Scalars stand in the array, objects and vectors are referred to. The array
 * doubles inside the arena; what it leaves behind goes with the arena.
 */
#include "tl/value.h"

#include <assert.h>

enum { FIRST_CAP = 4, FIELDS_MAX = 65534 };

static struct tl_value *make(struct tg_arena *arena, enum tl_value_kind kind)
{
    struct tl_value *p = tg_arena_alloc(arena, 1, sizeof *p);

    if (p) {
        p->kind = (uint8_t)kind;
        p->arena = arena;
    }
    return p;
}

struct tl_value *tl_obj(struct tg_arena *arena, uint32_t name)
{
    struct tl_value *p = make(arena, TL_VALUE_OBJECT);

    assert(name > 0 && name <= UINT16_MAX);
    if (p)
        p->name = (uint16_t)name;
    return p;
}

struct tl_value *tl_vector(struct tg_arena *arena)
{
    return make(arena, TL_VALUE_VECTOR);
}

struct tl_value *tl_bool(struct tg_arena *arena, bool v)
{
    struct tl_value *p = make(arena, TL_VALUE_BOOL);

    if (p)
        p->u.i = v;
    return p;
}

struct tl_value *tl_raw(struct tg_arena *arena, const void *bytes, size_t n)
{
    struct tl_value *p = n <= UINT32_MAX ? make(arena, TL_VALUE_RAW) : NULL;

    if (p) {
        p->n = (uint32_t)n;
        p->u.bytes = bytes;
    }
    return p;
}

static bool grow(struct tl_value *parent)
{
    uint32_t cap = parent->cap ? parent->cap * 2 : FIRST_CAP;
    struct tl_value *list = NULL;

    if (cap > parent->cap)
        list = tg_arena_alloc(parent->arena, cap, sizeof *list);
    if (!list) {
        parent->failed = true;
        return false;
    }
    if (parent->n)
        memcpy(list, parent->u.list, parent->n * sizeof *list);
    parent->u.list = list;
    parent->cap = cap;
    return true;
}

/* @return the place of the next entry, zeroed but for its field; NULL with the parent marked. field
 * 0: an item of a vector */
static inline struct tl_value *next(struct tl_value *parent, uint32_t field)
{
    if (!parent)
        return NULL;
    assert(field ? parent->kind == TL_VALUE_OBJECT && field <= UINT16_MAX
                 : parent->kind == TL_VALUE_VECTOR);
    if (field && parent->n >= FIELDS_MAX)
        parent->failed = true;
    if (parent->failed || (parent->n == parent->cap && !grow(parent)))
        return NULL;
    struct tl_value *v = &parent->u.list[parent->n++];
    v->field = (uint16_t)field;
    return v;
}

static inline void put_number(struct tl_value *parent, uint32_t field, enum tl_value_kind kind,
                              int64_t i)
{
    struct tl_value *v = next(parent, field);

    if (v) {
        v->kind = (uint8_t)kind;
        v->u.i = i;
    }
}

static inline void put_double(struct tl_value *parent, uint32_t field, double d)
{
    struct tl_value *v = next(parent, field);

    if (v) {
        v->kind = TL_VALUE_DOUBLE;
        v->u.d = d;
    }
}

static inline void put_bytes(struct tl_value *parent, uint32_t field, enum tl_value_kind kind,
                             struct tg_str bytes)
{
    struct tl_value *v = next(parent, field);

    if (v) {
        v->kind = (uint8_t)kind;
        v->n = bytes.len;
        v->u.bytes = bytes.at ? bytes.at : "";
    }
}

static inline void put_child(struct tl_value *parent, uint32_t field, struct tl_value *child)
{
    struct tl_value *v = child ? next(parent, field) : NULL;

    if (v) {
        v->kind = TL_VALUE_REF;
        v->u.ref = child;
    } else if (parent) {
        parent->failed = true;
    }
}

/* More bytes than a count can say are far beyond what TL can: the parent is marked. */
static struct tg_str view(struct tl_value *parent, const void *bytes, size_t n)
{
    if (n > UINT32_MAX && parent)
        parent->failed = true;
    return (struct tg_str){ bytes, n > UINT32_MAX ? 0 : (uint32_t)n };
}

void tl_set_int(struct tl_value *o, uint32_t field, int32_t v)
{
    put_number(o, field, TL_VALUE_INT, v);
}

void tl_set_long(struct tl_value *o, uint32_t field, int64_t v)
{
    put_number(o, field, TL_VALUE_LONG, v);
}

void tl_set_double(struct tl_value *o, uint32_t field, double v)
{
    put_double(o, field, v);
}

void tl_set_bool(struct tl_value *o, uint32_t field, bool v)
{
    put_number(o, field, TL_VALUE_BOOL, v);
}

void tl_set_true(struct tl_value *o, uint32_t field, bool v)
{
    if (v)
        put_number(o, field, TL_VALUE_BOOL, 1);
    else
        tl_unset(o, field);
}

void tl_set_str(struct tl_value *o, uint32_t field, struct tg_str v)
{
    put_bytes(o, field, TL_VALUE_BYTES, v);
}

void tl_set_cstr(struct tl_value *o, uint32_t field, const char *v)
{
    if (v)
        put_bytes(o, field, TL_VALUE_BYTES, view(o, v, strlen(v)));
    else
        tl_unset(o, field);
}

void tl_set_bytes(struct tl_value *o, uint32_t field, const void *v, size_t n)
{
    put_bytes(o, field, TL_VALUE_BYTES, view(o, v, n));
}

void tl_set_copy(struct tl_value *o, uint32_t field, const void *v, size_t n)
{
    if (!o)
        return;
    const char *copy = tg_arena_copy(o->arena, v, n);
    if (copy)
        put_bytes(o, field, TL_VALUE_BYTES, view(o, copy, n));
    else
        o->failed = true;
}

void tl_set_obj(struct tl_value *o, uint32_t field, struct tl_value *child)
{
    put_child(o, field, child);
}

void tl_set_raw(struct tl_value *o, uint32_t field, const void *bytes, size_t n)
{
    put_bytes(o, field, TL_VALUE_RAW, view(o, bytes, n));
}

struct tl_value *tl_set_new(struct tl_value *o, uint32_t field, uint32_t name)
{
    struct tl_value *child = o ? tl_obj(o->arena, name) : NULL;

    tl_set_obj(o, field, child);
    return child;
}

struct tl_value *tl_set_vector(struct tl_value *o, uint32_t field)
{
    struct tl_value *child = o ? tl_vector(o->arena) : NULL;

    tl_set_obj(o, field, child);
    return child;
}

void tl_unset(struct tl_value *o, uint32_t field)
{
    uint32_t n = o ? o->n : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (o->u.list[i].field == field)
            o->u.list[i] = (struct tl_value){ .kind = TL_VALUE_NONE };
    }
}

void tl_add_int(struct tl_value *v, int32_t item)
{
    put_number(v, 0, TL_VALUE_INT, item);
}

void tl_add_long(struct tl_value *v, int64_t item)
{
    put_number(v, 0, TL_VALUE_LONG, item);
}

void tl_add_double(struct tl_value *v, double item)
{
    put_double(v, 0, item);
}

void tl_add_str(struct tl_value *v, struct tg_str item)
{
    put_bytes(v, 0, TL_VALUE_BYTES, item);
}

void tl_add_obj(struct tl_value *v, struct tl_value *child)
{
    put_child(v, 0, child);
}

void tl_add_raw(struct tl_value *v, const void *bytes, size_t n)
{
    put_bytes(v, 0, TL_VALUE_RAW, view(v, bytes, n));
}

struct tl_value *tl_add_new(struct tl_value *v, uint32_t name)
{
    struct tl_value *child = v ? tl_obj(v->arena, name) : NULL;

    tl_add_obj(v, child);
    return child;
}

struct tl_value *tl_add_vector(struct tl_value *v)
{
    struct tl_value *child = v ? tl_vector(v->arena) : NULL;

    tl_add_obj(v, child);
    return child;
}

static const struct tl_value *follow(const struct tl_value *v)
{
    return v->kind == TL_VALUE_REF ? v->u.ref : v;
}

const struct tl_value *tl_get(const struct tl_value *o, uint32_t field)
{
    if (!o || o->kind != TL_VALUE_OBJECT || !field)
        return NULL;
    for (uint32_t i = o->n; i-- > 0;) {
        if (o->u.list[i].field == field)
            return follow(&o->u.list[i]);
    }
    return NULL;
}

int64_t tl_get_long(const struct tl_value *o, uint32_t field, int64_t absent)
{
    const struct tl_value *v = tl_get(o, field);

    if (!v || (v->kind != TL_VALUE_INT && v->kind != TL_VALUE_LONG && v->kind != TL_VALUE_BOOL))
        return absent;
    return v->u.i;
}

int32_t tl_get_int(const struct tl_value *o, uint32_t field, int32_t absent)
{
    return (int32_t)tl_get_long(o, field, absent);
}

double tl_get_double(const struct tl_value *o, uint32_t field, double absent)
{
    const struct tl_value *v = tl_get(o, field);

    return v && v->kind == TL_VALUE_DOUBLE ? v->u.d : absent;
}

bool tl_get_bool(const struct tl_value *o, uint32_t field)
{
    return tl_get_long(o, field, 0) != 0;
}

struct tg_str tl_get_str(const struct tl_value *o, uint32_t field)
{
    const struct tl_value *v = tl_get(o, field);

    if (!v || v->kind != TL_VALUE_BYTES)
        return (struct tg_str){ 0 };
    return (struct tg_str){ v->u.bytes, v->n };
}

const struct tl_value *tl_get_obj(const struct tl_value *o, uint32_t field)
{
    const struct tl_value *v = tl_get(o, field);

    return v && v->kind == TL_VALUE_OBJECT ? v : NULL;
}

const struct tl_value *tl_get_vector(const struct tl_value *o, uint32_t field)
{
    const struct tl_value *v = tl_get(o, field);

    return v && v->kind == TL_VALUE_VECTOR ? v : NULL;
}

const struct tl_value *tl_item(const struct tl_value *v, uint32_t i)
{
    return i < tl_len(v) ? follow(&v->u.list[i]) : NULL;
}

int64_t tl_item_long(const struct tl_value *v, uint32_t i)
{
    const struct tl_value *item = tl_item(v, i);

    if (!item ||
        (item->kind != TL_VALUE_INT && item->kind != TL_VALUE_LONG && item->kind != TL_VALUE_BOOL))
        return 0;
    return item->u.i;
}
