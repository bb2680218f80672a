/* SPDX-License-Identifier: MIT */
/*
 * encode.c - writes value trees in a layer's order
 *
 * For each object: find the constructor by symbol, match what was set with the constructor's fields
 * (the search goes on from the last match, so fields that were set in schema order cost one look
 * each), compute the flag words, then write field by field.
 */
#include <assert.h>
#include <stdlib.h>

#include "tl/value.h"

enum { STRING_MAX = (1 << 24) - 1, LONG_MARK = 254 };

struct encoder {
    const struct tl_schema *s;
    struct tg_buf *out;
    struct tg_error *err;
    uint32_t about; /* name of the object at work, for messages; 0: no object */
};

static tg_code encode_value(struct encoder *e, const struct tl_type *t, const struct tl_value *v,
                            int depth);

static const char *about(const struct encoder *e)
{
    return e->about ? tl_symbol_name(e->s, e->about) : "the value itself";
}

static tg_code misfit(struct encoder *e, const char *what)
{
    return tg_fail(e->err, TG_DATA, "%s in '%s'", what, about(e));
}

static inline void put_u32(struct encoder *e, uint32_t v)
{
    uint8_t *p = tg_buf_extend(e->out, 4);

    if (p)
        tg_put_le32(p, v);
}

static inline void put_u64(struct encoder *e, uint64_t v)
{
    uint8_t *p = tg_buf_extend(e->out, 8);

    if (p)
        tg_put_le64(p, v);
}

static bool is_number(const struct tl_value *v)
{
    return v->kind == TL_VALUE_INT || v->kind == TL_VALUE_LONG || v->kind == TL_VALUE_BOOL;
}

/* What stands for a mandatory value that nobody set. */
static tg_code encode_absent(struct encoder *e, const struct tl_type *t, int depth)
{
    static const uint8_t zero[32] = { 0 };
    const struct tl_ctor *c;

    switch (t->kind) {
    case TL_KIND_TRUE:
        return TG_OK;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        put_u32(e, 0);
        return TG_OK;
    case TL_KIND_BOOL:
        put_u32(e, TL_FALSE_ID);
        return TG_OK;
    case TL_KIND_VECTOR:
        put_u32(e, TL_VECTOR_ID);
        put_u32(e, 0);
        return TG_OK;
    case TL_KIND_BARE_VECTOR:
        put_u32(e, 0);
        return TG_OK;
    case TL_KIND_OBJECT:
    case TL_KIND_BARE:
        if (t->kind == TL_KIND_OBJECT && t->fallback == TL_NONE)
            return misfit(e, "an object that cannot be left out is missing");
        if (depth >= TL_DEPTH_MAX || e->out->failed)
            return tg_fail(e->err, TG_LIMIT, "a default object of '%s' is too large", about(e));
        c = &e->s->ctor[t->kind == TL_KIND_OBJECT ? t->fallback : t->item];
        if (t->kind == TL_KIND_OBJECT)
            put_u32(e, c->id);
        for (int i = 0; i < c->n_fields; i++) {
            const struct tl_field *f = &tl_ctor_fields(e->s, c)[i];

            if (f->word != TL_NO_FLAG)
                continue;
            tg_code code = encode_absent(e, &e->s->type[f->type], depth + 1);
            if (code != TG_OK)
                return code;
        }
        return TG_OK;
    case TL_KIND_ANY:
        return misfit(e, "an object that cannot be left out is missing");
    default:
        tg_buf_add(e->out, zero, t->size);
        return TG_OK;
    }
}

/* Which entry of the value belongs to which field; flag words of what is there. */
static void match(const struct tl_field *f, int n_fields, const struct tl_value *v, uint16_t *entry,
                  uint32_t *flags)
{
    int at = 0;

    for (uint32_t i = 0; i < v->n; i++) {
        const struct tl_value *x = &v->u.list[i];
        int tried;

        if (x->kind == TL_VALUE_NONE)
            continue;
        for (tried = 0; tried < n_fields && f[at].name != x->field; tried++)
            at = at + 1 == n_fields ? 0 : at + 1;
        if (tried == n_fields)
            continue; /* the layer lacks it */
        entry[at] = (uint16_t)(i + 1);
        if (f[at].word != TL_NO_FLAG && (f[at].kind != TL_KIND_TRUE || x->u.i))
            flags[f[at].word] |= UINT32_C(1) << f[at].bit;
    }
}

static tg_code encode_fields(struct encoder *e, const struct tl_ctor *c, const struct tl_value *v,
                             int depth)
{
    const struct tl_field *f = tl_ctor_fields(e->s, c);
    uint16_t entry[TL_FIELD_MAX];
    uint32_t flags[TL_FIELD_MAX];
    tg_code code = TG_OK;

    if (depth >= TL_DEPTH_MAX)
        return tg_fail(e->err, TG_LIMIT, "values are nested too deeply in '%s'", about(e));
    if (v->failed)
        return tg_fail(e->err, TG_NOMEM, "no memory for '%s'", tl_symbol_name(e->s, v->name));
    memset(entry, 0, c->n_fields * sizeof *entry);
    memset(flags, 0, c->n_fields * sizeof *flags);
    match(f, c->n_fields, v, entry, flags);
    for (int i = 0; i < c->n_fields && code == TG_OK; i++, f++) {
        if (f->kind == TL_KIND_FLAGS) {
            put_u32(e, flags[i]);
            continue;
        }
        if (f->kind == TL_KIND_TRUE || (f->word != TL_NO_FLAG && !(flags[f->word] >> f->bit & 1)))
            continue;
        e->about = c->name; /* objects inside have set theirs */
        if (entry[i])
            code = encode_value(e, &e->s->type[f->type], &v->u.list[entry[i] - 1], depth + 1);
        else
            code = encode_absent(e, &e->s->type[f->type], depth + 1);
    }
    return code;
}

/* type NULL: any */
static tg_code encode_object(struct encoder *e, const struct tl_type *t, const struct tl_value *v,
                             int depth)
{
    const struct tl_ctor *c = tl_ctor_by_name(e->s, v->name);

    if (!c)
        return tg_fail(e->err, TG_NOT_FOUND, "layer %d has no '%s'", e->s->layer,
                       tl_symbol_name(e->s, v->name));
    if (t && (c->is_function || &e->s->type[c->type] != t)) {
        e->about = c->name;
        return misfit(e, "an object of another type was wanted");
    }
    put_u32(e, c->id);
    return encode_fields(e, c, v, depth);
}

static tg_code encode_any(struct encoder *e, const struct tl_value *v, int depth);

/* item NULL: as they were added */
static tg_code encode_items(struct encoder *e, const struct tl_type *item, const struct tl_value *v,
                            int depth)
{
    tg_code code = TG_OK;

    if (v->failed)
        return tg_fail(e->err, TG_NOMEM, "no memory for a vector in '%s'", about(e));
    if (depth >= TL_DEPTH_MAX)
        return tg_fail(e->err, TG_LIMIT, "values are nested too deeply in '%s'", about(e));
    put_u32(e, v->n);
    for (uint32_t i = 0; i < v->n && code == TG_OK; i++) {
        const struct tl_value *x = &v->u.list[i];

        code = item ? encode_value(e, item, x, depth + 1) : encode_any(e, x, depth + 1);
    }
    return code;
}

static tg_code encode_bytes(struct encoder *e, const struct tl_value *v)
{
    size_t n = v->n, head = n < LONG_MARK ? 1 : 4, whole = (head + n + 3) & ~(size_t)3;
    uint8_t *p;

    if (n > STRING_MAX)
        return tg_fail(e->err, TG_LIMIT, "a string of %zu bytes in '%s'", n, about(e));
    if (!(p = tg_buf_extend(e->out, whole)))
        return TG_OK;              /* told at the end */
    tg_put_le32(p + whole - 4, 0); /* the padding */
    if (head == 1)
        p[0] = (uint8_t)n;
    else
        tg_put_le32(p, (uint32_t)n << 8 | LONG_MARK);
    memcpy(p + head, v->u.bytes, n);
    return TG_OK;
}

static tg_code encode_double(struct encoder *e, const struct tl_value *v)
{
    double d = v->kind == TL_VALUE_DOUBLE ? v->u.d : (double)v->u.i;
    uint64_t bits;

    memcpy(&bits, &d, sizeof bits);
    put_u64(e, bits);
    return TG_OK;
}

/* A value whose type nothing says: written by its own kind. */
static tg_code encode_any(struct encoder *e, const struct tl_value *v, int depth)
{
    if (v->failed)
        return tg_fail(e->err, TG_NOMEM, "no memory for a value in '%s'", about(e));
    switch (v->kind) {
    case TL_VALUE_REF:
        return encode_any(e, v->u.ref, depth);
    case TL_VALUE_OBJECT:
        return encode_object(e, NULL, v, depth);
    case TL_VALUE_VECTOR:
        put_u32(e, TL_VECTOR_ID);
        return encode_items(e, NULL, v, depth);
    case TL_VALUE_BOOL:
        put_u32(e, v->u.i ? TL_TRUE_ID : TL_FALSE_ID);
        return TG_OK;
    case TL_VALUE_RAW:
        tg_buf_add(e->out, v->u.bytes, v->n);
        return TG_OK;
    case TL_VALUE_INT:
        put_u32(e, (uint32_t)v->u.i);
        return TG_OK;
    case TL_VALUE_LONG:
        put_u64(e, (uint64_t)v->u.i);
        return TG_OK;
    case TL_VALUE_DOUBLE:
        return encode_double(e, v);
    case TL_VALUE_BYTES:
        return encode_bytes(e, v);
    default:
        return misfit(e, "an empty value");
    }
}

static tg_code encode_value(struct encoder *e, const struct tl_type *t, const struct tl_value *v,
                            int depth)
{
    if (v->failed)
        return tg_fail(e->err, TG_NOMEM, "no memory for a value in '%s'", about(e));
    if (v->kind == TL_VALUE_REF)
        v = v->u.ref;
    if (v->kind == TL_VALUE_RAW) {
        tg_buf_add(e->out, v->u.bytes, v->n);
        return TG_OK;
    }
    switch (t->kind) {
    case TL_KIND_INT:
        if (!is_number(v))
            return misfit(e, "a number was wanted");
        put_u32(e, (uint32_t)v->u.i);
        return TG_OK;
    case TL_KIND_LONG:
        if (!is_number(v))
            return misfit(e, "a number was wanted");
        put_u64(e, (uint64_t)v->u.i);
        return TG_OK;
    case TL_KIND_DOUBLE:
        return is_number(v) || v->kind == TL_VALUE_DOUBLE ? encode_double(e, v)
                                                          : misfit(e, "a number was wanted");
    case TL_KIND_BOOL:
        if (!is_number(v))
            return misfit(e, "a truth value was wanted");
        put_u32(e, v->u.i ? TL_TRUE_ID : TL_FALSE_ID);
        return TG_OK;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        return v->kind == TL_VALUE_BYTES ? encode_bytes(e, v) : misfit(e, "text was wanted");
    case TL_KIND_INT128:
    case TL_KIND_INT256:
        if (v->kind != TL_VALUE_BYTES || v->n != t->size)
            return misfit(e, "16 or 32 bytes were wanted");
        tg_buf_add(e->out, v->u.bytes, v->n);
        return TG_OK;
    case TL_KIND_OBJECT:
        return v->kind == TL_VALUE_OBJECT ? encode_object(e, t, v, depth)
                                          : misfit(e, "an object was wanted");
    case TL_KIND_BARE:
        return v->kind == TL_VALUE_OBJECT && v->name == e->s->ctor[t->item].name
                   ? encode_fields(e, &e->s->ctor[t->item], v, depth)
                   : misfit(e, "a bare object was wanted");
    case TL_KIND_VECTOR:
    case TL_KIND_BARE_VECTOR:
        if (v->kind != TL_VALUE_VECTOR)
            return misfit(e, "a vector was wanted");
        if (t->kind == TL_KIND_VECTOR)
            put_u32(e, TL_VECTOR_ID);
        return encode_items(e, &e->s->type[t->item], v, depth);
    default:
        return encode_any(e, v, depth);
    }
}

tg_code tl_encode(const struct tl_schema *s, const struct tl_value *v, struct tg_buf *out,
                  struct tg_error *err)
{
    struct encoder e = { .s = s, .out = out, .err = err };
    size_t before = out->len;

    if (!v)
        return tg_fail(err, TG_NOMEM, "no memory for a TL value");
    tg_code code = encode_any(&e, v, 0);
    if (code == TG_OK && out->failed)
        code = tg_fail(err, TG_LIMIT, "'%s' takes more than %zu bytes", tl_symbol_name(s, v->name),
                       out->max);
    if (code != TG_OK)
        out->len = before;
    return code;
}
