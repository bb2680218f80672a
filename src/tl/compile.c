/* SPDX-License-Identifier: MIT */
/*
 * compile.c - walk programs of all constructors, and the object that stands in for an absent one
 *
 * What a hostile schema could use to make walks long is refused here: a bare object must hold at
 * least one field of its own that takes bytes, so that each step of a walk moves forward.
 *
 * Threads: none
 */
#include <assert.h>
#include <stdlib.h>

#include "tl/build.h"
#include "tl/program.h"

struct emitter {
    uint32_t *op;
    size_t n, cap;
    uint32_t fixed, condition; /* fixed bytes not written yet */
};

static bool put(struct emitter *e, uint32_t word)
{
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 8192;
        uint32_t *grown = reallocarray(e->op, cap, sizeof *grown);

        if (!grown)
            return false;
        e->op = grown;
        e->cap = cap;
    }
    e->op[e->n++] = word;
    return true;
}

static bool flush(struct emitter *e)
{
    uint32_t fixed = e->fixed;

    e->fixed = 0;
    return !fixed || put(e, tl_op_word(TL_OP_FIXED, e->condition, fixed));
}

static bool emit_field(struct emitter *e, const struct tl_field *f, uint32_t condition,
                       const struct tl_type *type)
{
    enum tl_op op = TL_OP_ANY;
    uint32_t argument = f->type;

    switch (f->kind) {
    case TL_KIND_TRUE:
        return true;
    case TL_KIND_INT:
    case TL_KIND_LONG:
    case TL_KIND_DOUBLE:
    case TL_KIND_INT128:
    case TL_KIND_INT256:
        if (e->fixed && e->condition != condition && !flush(e))
            return false;
        e->fixed += f->size; /* at most 128 fields of 32 bytes */
        e->condition = condition;
        return true;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        op = TL_OP_STRING;
        break;
    case TL_KIND_BOOL:
        op = TL_OP_BOOL;
        break;
    case TL_KIND_OBJECT:
        op = TL_OP_OBJECT;
        break;
    case TL_KIND_BARE:
        op = TL_OP_BARE;
        argument = type->item;
        break;
    case TL_KIND_VECTOR:
    case TL_KIND_BARE_VECTOR:
        op = TL_OP_VECTOR;
        break;
    default:
        break;
    }
    return flush(e) && put(e, tl_op_word(op, condition, argument));
}

static bool emit_ctor(struct tl_builder *b, struct emitter *e, struct tl_ctor *c)
{
    uint32_t number[TL_FIELD_MAX], n_words = 0;
    const struct tl_field *field = b->field + c->field;

    c->op = (uint32_t)e->n;
    for (uint32_t i = 0; i < c->n_fields; i++) {
        const struct tl_field *f = &field[i];
        uint32_t condition = TL_ALWAYS;

        number[i] = 0;
        if (f->word != TL_NO_FLAG) {
            assert(f->word < i);
            condition = number[f->word] << 5 | f->bit;
        }
        if (f->kind == TL_KIND_FLAGS) {
            if (n_words == TL_WORDS_MAX) {
                tg_fail(b->err, TG_LIMIT, "'%s' has more than %d flags fields",
                        tl_builder_name(b, c->name), TL_WORDS_MAX);
                return false;
            }
            number[i] = n_words++;
            if (!flush(e) || !put(e, tl_op_word(TL_OP_FLAGS, TL_ALWAYS, number[i])))
                goto no_memory;
        } else if (!emit_field(e, f, condition, &b->type[f->type])) {
            goto no_memory;
        }
    }
    if (!flush(e))
        goto no_memory;
    c->n_ops = (uint32_t)e->n - c->op;
    return true;
no_memory:
    tg_fail(b->err, TG_NOMEM, "no memory for a schema");
    return false;
}

/* Whether each object takes bytes other than those of objects inside it. */
static bool takes_bytes(const struct tl_builder *b, const struct tl_ctor *c)
{
    for (uint32_t i = 0; i < c->n_fields; i++) {
        const struct tl_field *f = &b->field[c->field + i];

        if (f->word == TL_NO_FLAG && f->kind != TL_KIND_TRUE && f->kind != TL_KIND_BARE)
            return true;
    }
    return false;
}

static bool check_bare(struct tl_builder *b)
{
    for (uint32_t i = 0; i < b->s->n_types; i++) {
        const struct tl_type *t = &b->type[i];

        if (t->kind == TL_KIND_BARE && !takes_bytes(b, &b->ctor[t->item])) {
            tg_fail(b->err, TG_DATA, "'%s' has no fields of its own and cannot be bare",
                    tl_builder_name(b, b->ctor[t->item].name));
            return false;
        }
    }
    return true;
}

enum { NEVER = 1 << 20 };

static uint32_t field_cost(const struct tl_builder *b, const struct tl_field *f,
                           const uint32_t *type_cost, const uint32_t *ctor_cost)
{
    if (f->word != TL_NO_FLAG || f->kind == TL_KIND_FLAGS || f->kind == TL_KIND_TRUE)
        return 0;
    if (f->kind == TL_KIND_OBJECT)
        return type_cost[f->type];
    if (f->kind == TL_KIND_BARE)
        return ctor_cost[b->type[f->type].item];
    return f->kind == TL_KIND_ANY ? NEVER : 1;
}

static bool is_empty_name(const char *name)
{
    size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, "Empty") == 0;
}

/* Lowers costs until they stay: a constructor costs its mandatory fields, a type its cheapest. */
static bool lower_costs(struct tl_builder *b, uint32_t *type_cost, uint32_t *ctor_cost)
{
    bool changed = false;

    for (uint32_t i = 0; i < b->s->n_ctors; i++) {
        const struct tl_ctor *c = &b->ctor[i];
        uint32_t cost = 1;

        for (uint32_t k = 0; k < c->n_fields && cost < NEVER; k++)
            cost += field_cost(b, &b->field[c->field + k], type_cost, ctor_cost);
        cost = TG_MIN(cost, (uint32_t)NEVER);
        changed |= cost < ctor_cost[i];
        ctor_cost[i] = cost;
        if (!c->is_function && cost < type_cost[c->type])
            type_cost[c->type] = cost;
    }
    return changed;
}

/* The cheapest constructor of each type; of several as cheap one named ...Empty, else the first. */
static bool find_fallbacks(struct tl_builder *b)
{
    uint32_t n = b->s->n_types + b->s->n_ctors;
    uint32_t *type_cost = calloc(n, sizeof *type_cost);

    if (!type_cost) {
        tg_fail(b->err, TG_NOMEM, "no memory for a schema");
        return false;
    }
    uint32_t *ctor_cost = type_cost + b->s->n_types;
    for (uint32_t i = 0; i < n; i++)
        type_cost[i] = NEVER;
    for (int round = 0; round < TL_DEPTH_MAX / 2 && lower_costs(b, type_cost, ctor_cost); round++)
        ;
    for (uint32_t i = 0; i < b->s->n_ctors; i++) {
        const struct tl_ctor *c = &b->ctor[i];
        struct tl_type *t = &b->type[c->type];

        if (c->is_function || ctor_cost[i] >= NEVER || ctor_cost[i] != type_cost[c->type])
            continue;
        if (t->fallback == TL_NONE ||
            (is_empty_name(tl_builder_name(b, c->name)) &&
             !is_empty_name(tl_builder_name(b, b->ctor[t->fallback].name))))
            t->fallback = (uint16_t)i;
    }
    free(type_cost);
    return true;
}

bool tl_compile(struct tl_builder *b)
{
    struct emitter e = { 0 };

    if (!check_bare(b) || !find_fallbacks(b))
        return false;
    if (!put(&e, 0)) {
        tg_fail(b->err, TG_NOMEM, "no memory for a schema");
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i < b->s->n_ctors; i++)
        ok = emit_ctor(b, &e, &b->ctor[i]);
    b->s->op = e.op;
    b->s->n_ops = (uint32_t)e.n;
    return ok;
}
