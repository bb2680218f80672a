/* SPDX-License-Identifier: MIT */
/*
 * explain.c - where and why a walk failed
 *
 * The walker itself keeps no track of where it is. After a failure the bytes are walked once more
 * with a path of (constructor, field, item) that is pushed and popped; at the first fault the path
 * stays as it is.
 */
#include <assert.h>
#include <inttypes.h>

#include "tl/walk.h"

struct explainer {
    const struct tl_schema *s;
    const uint8_t *start;
    struct tl_reader r;
    struct tl_fault *fault;
};

static bool explain_value(struct explainer *e, const struct tl_type *t);

static bool found(struct explainer *e, enum tl_fault_kind kind, const uint8_t *at, uint32_t id)
{
    e->fault->kind = kind;
    e->fault->id = id;
    e->fault->offset = (size_t)(at - e->start);
    return false;
}

static bool push(struct explainer *e, struct tl_step step)
{
    if (e->fault->depth > TL_DEPTH_MAX)
        return found(e, TL_FAULT_DEPTH, e->r.at, 0);
    e->fault->path[e->fault->depth++] = step;
    return true;
}

static struct tl_step *top(struct explainer *e)
{
    return &e->fault->path[e->fault->depth - 1];
}

static bool explain_fields(struct explainer *e, const struct tl_ctor *c)
{
    const struct tl_field *f = tl_ctor_fields(e->s, c);
    const uint8_t *at[TL_FIELD_MAX];

    if (!push(e, (struct tl_step){ c->name, 0, -1 }))
        return false;
    for (int i = 0; i < c->n_fields; i++, f++) {
        at[i] = e->r.at;
        if (f->word != TL_NO_FLAG && !(tg_le32(at[f->word]) >> f->bit & 1))
            continue;
        top(e)->field = f->name;
        top(e)->item = -1;
        if (!explain_value(e, &e->s->type[f->type]))
            return false;
    }
    e->fault->depth--;
    return true;
}

static bool explain_boxed(struct explainer *e, const struct tl_type *t)
{
    const uint8_t *at = e->r.at;
    uint32_t id = tl_read_u32(&e->r);
    const struct tl_ctor *c = tl_ctor_by_id(e->s, id);

    if (e->r.bad)
        return found(e, TL_FAULT_SHORT, at, 0);
    if (!c)
        return found(e, TL_FAULT_UNKNOWN, at, id);
    if (t && (c->is_function || &e->s->type[c->type] != t))
        return found(e, TL_FAULT_TYPE, at, id);
    return explain_fields(e, c);
}

/* item NULL: any boxed objects */
static bool explain_items(struct explainer *e, const struct tl_type *item)
{
    static const struct tl_type any = { .kind = TL_KIND_ANY };
    const uint8_t *at = e->r.at;
    uint32_t n = tl_read_u32(&e->r);

    if (e->r.bad || n > tl_left(&e->r) / (item && item->size ? item->size : 4))
        return found(e, TL_FAULT_SHORT, at, 0);
    bool lone = e->fault->depth == 0 || top(e)->item >= 0; /* no field to carry the number */
    if (lone && !push(e, (struct tl_step){ 0, 0, -1 }))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        top(e)->item = (int32_t)i;
        if (!explain_value(e, item ? item : &any))
            return false;
    }
    top(e)->item = -1;
    if (lone)
        e->fault->depth--;
    return true;
}

static bool explain_vector_id(struct explainer *e)
{
    const uint8_t *at = e->r.at;
    uint32_t id = tl_read_u32(&e->r);

    if (e->r.bad)
        return found(e, TL_FAULT_SHORT, at, 0);
    return id == TL_VECTOR_ID || found(e, TL_FAULT_TYPE, at, id);
}

static bool explain_any(struct explainer *e)
{
    uint32_t id = tl_peek_u32(&e->r);

    if (id == TL_TRUE_ID || id == TL_FALSE_ID) {
        e->r.at += 4;
        return true;
    }
    if (id != TL_VECTOR_ID)
        return explain_boxed(e, NULL);
    e->r.at += 4;
    return explain_items(e, NULL);
}

static bool explain_bool(struct explainer *e)
{
    const uint8_t *at = e->r.at;
    uint32_t id = tl_read_u32(&e->r);

    if (e->r.bad)
        return found(e, TL_FAULT_SHORT, at, 0);
    return id == TL_TRUE_ID || id == TL_FALSE_ID || found(e, TL_FAULT_TYPE, at, id);
}

static bool explain_value(struct explainer *e, const struct tl_type *t)
{
    const uint8_t *at = e->r.at;

    switch (t->kind) {
    case TL_KIND_TRUE:
        return true;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        tl_read_str(&e->r);
        break;
    case TL_KIND_BOOL:
        return explain_bool(e);
    case TL_KIND_OBJECT:
        return explain_boxed(e, t);
    case TL_KIND_BARE:
        return explain_fields(e, &e->s->ctor[t->item]);
    case TL_KIND_VECTOR:
        return explain_vector_id(e) && explain_items(e, &e->s->type[t->item]);
    case TL_KIND_BARE_VECTOR:
        return explain_items(e, &e->s->type[t->item]);
    case TL_KIND_ANY:
        return explain_any(e);
    default:
        tl_read_view(&e->r, t->size);
        break;
    }
    return !e->r.bad || found(e, TL_FAULT_SHORT, at, 0);
}

bool tl_explain(const struct tl_schema *s, const void *bytes, size_t n, uint16_t type,
                struct tl_fault *ret)
{
    struct explainer e = { .s = s, .start = bytes, .r = tl_reader_of(bytes, n), .fault = ret };
    struct tl_reader r = e.r;

    assert(type == TL_NONE || type < s->n_types);
    ret->kind = TL_FAULT_NONE;
    ret->id = ret->depth = 0;
    ret->offset = 0;
    if (!(type == TL_NONE ? explain_any(&e) : explain_value(&e, &s->type[type])))
        return true;
    /* the walker counts vectors as levels too: what it refuses beyond the above is too deep */
    if (type == TL_NONE ? tl_skip(s, &r) : tl_skip_type(s, &r, type))
        return false;
    ret->kind = TL_FAULT_DEPTH;
    ret->depth = 0;
    return true;
}

void tl_fault_text(const struct tl_schema *s, const struct tl_fault *fault, struct tg_buf *out)
{
    static const char *const what[] = {
        [TL_FAULT_NONE] = "no fault",
        [TL_FAULT_UNKNOWN] = "unknown constructor",
        [TL_FAULT_TYPE] = "misplaced constructor",
        [TL_FAULT_SHORT] = "the bytes end too early",
        [TL_FAULT_DEPTH] = "nested too deeply",
    };

    tg_buf_str(out, what[fault->kind]);
    if (fault->kind == TL_FAULT_UNKNOWN || fault->kind == TL_FAULT_TYPE)
        tg_buf_printf(out, " %08" PRIx32, fault->id);
    tg_buf_printf(out, " at byte %zu", fault->offset);
    for (uint32_t i = 0; i < fault->depth; i++) {
        const struct tl_step *step = &fault->path[i];

        if (i == 0)
            tg_buf_printf(out, ": %s", tl_symbol_name(s, step->ctor));
        if (step->field)
            tg_buf_printf(out, ".%s", tl_symbol_name(s, step->field));
        if (step->item >= 0)
            tg_buf_printf(out, "[%" PRId32 "]", step->item);
    }
}
