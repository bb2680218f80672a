/* SPDX-License-Identifier: MIT */
/*
 * from_json.c - the JSON that tl_print_json writes, read back into a value tree
 *
 * Names are looked up in the schema that is given, whichever wrote the JSON: what a field holds is
 * told by its constructor there. Members that the constructor has no field for are passed over, as
 * tl_encode does; a predicate that the layer lacks is a failure. "_" is looked for first, since
 * databases order members as they like.
 *
 * Recursion is bounded by the reader's own limit of levels.
 */
#include <math.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "tl/value.h"

enum { NUMBER_MAX = 64, TEXT_MAX = 1 << 24 };

struct from_json {
    const struct tl_schema *s;
    struct tg_arena *arena;
    struct tg_json_in *in;
    struct tg_buf text; /* of a string */
    struct tg_error *err;
    tg_code code;
};

/* Where a value goes: a field of an object, or behind the items of a vector (field 0). */
struct place {
    struct tl_value *parent;
    uint32_t field;
};

static void read_value(struct from_json *f, const struct tl_type *t, const struct place *to);

static void fail(struct from_json *f, tg_code code, const char *what)
{
    if (f->code == TG_OK)
        f->code = tg_fail(f->err, code, "%s", what);
    f->in->bad = true;
}

/* ---- scalars ---- */

static void put_long(const struct place *to, int64_t v)
{
    if (to->field)
        tl_set_long(to->parent, to->field, v);
    else
        tl_add_long(to->parent, v);
}

static void put_double(const struct place *to, double v)
{
    if (to->field)
        tl_set_double(to->parent, to->field, v);
    else
        tl_add_double(to->parent, v);
}

static void put_obj(const struct place *to, struct tl_value *v)
{
    if (to->field)
        tl_set_obj(to->parent, to->field, v);
    else
        tl_add_obj(to->parent, v);
}

static void read_double(struct from_json *f, const struct place *to)
{
    char text[NUMBER_MAX + 1], *end;
    const char *from;
    size_t n;
    double v;

    while (f->in->at < f->in->end && *f->in->at == ' ')
        f->in->at++;
    from = f->in->at;
    tg_json_skip(f->in);
    n = (size_t)(f->in->at - from);
    if (f->in->bad || n == 0 || n > NUMBER_MAX) {
        fail(f, TG_DATA, "a number was wanted");
        return;
    }
    memcpy(text, from, n);
    text[n] = 0;
    v = strtod(text, &end);
    if (*end || !isfinite(v))
        fail(f, TG_DATA, "a number was wanted");
    else
        put_double(to, v);
}

/* int128 and int256 are hex, bytes base64. */
static void read_bytes(struct from_json *f, const struct tl_type *t, const struct place *to)
{
    struct tg_str copy = { NULL, 0 };
    struct tg_buf raw;
    bool good = true;

    tg_buf_clear(&f->text);
    tg_json_take_str(f->in, &f->text);
    if (f->in->bad)
        return;
    tg_buf_init(&raw, TEXT_MAX);
    if (t->kind == TL_KIND_BYTES) {
        good = tg_unbase64(&raw, tg_buf_cstr(&f->text), f->text.len);
    } else if (t->kind != TL_KIND_STRING) {
        good = f->text.len == 2 * (size_t)t->size && tg_buf_room(&raw, t->size) &&
               tg_unhex(raw.data, t->size, tg_buf_cstr(&f->text), f->text.len);
        raw.len = t->size;
    }
    if (good) {
        const struct tg_buf *from = t->kind == TL_KIND_STRING ? &f->text : &raw;

        copy.at = tg_arena_copy(f->arena, from->len ? (const void *)from->data : "", from->len);
        copy.len = (uint32_t)from->len;
    }
    tg_buf_done(&raw);
    if (!good)
        fail(f, TG_DATA, "bytes were wanted");
    else if (!copy.at)
        fail(f, TG_NOMEM, "no memory for an object");
    else if (to->field)
        tl_set_str(to->parent, to->field, copy);
    else
        tl_add_str(to->parent, copy);
}

/* ---- objects ---- */

/* Fields stand in the schema's order as a rule, so the search goes on from the last.
 * @return number of the field; -1 */
static int find_field(const struct tl_schema *s, const struct tl_ctor *c, struct tg_str key,
                      int after)
{
    const struct tl_field *field = tl_ctor_fields(s, c);

    for (int i = 0, at = after + 1; i < c->n_fields; i++, at++) {
        at -= at >= c->n_fields ? c->n_fields : 0;

        const char *name = tl_symbol_name(s, field[at].name);

        if (strncmp(name, key.at, key.len) == 0 && !name[key.len])
            return at;
    }
    return -1;
}

/* The object's constructor, read ahead; the reader stays where it is. */
static const struct tl_ctor *peek_ctor(struct from_json *f)
{
    struct tg_json_in ahead = *f->in;
    const struct tl_ctor *c = NULL;
    struct tg_str key;

    for (tg_json_enter(&ahead, '{'); !c && tg_json_next_key(&ahead, &key);) {
        if (!tg_str_eq(key, TG_STR("_"))) {
            tg_json_skip(&ahead);
            continue;
        }
        tg_buf_clear(&f->text);
        tg_json_take_str(&ahead, &f->text);
        c = tl_ctor_by_name(f->s, tl_symbol_find(f->s, tg_buf_cstr(&f->text), f->text.len));
        if (!c && !ahead.bad && f->code == TG_OK)
            f->code = tg_fail(f->err, TG_NOT_FOUND, "layer %d has no '%.80s'", f->s->layer,
                              tg_buf_cstr(&f->text));
        break;
    }
    if (!c)
        fail(f, TG_DATA, "no object of a known constructor");
    return c;
}

static struct tl_value *read_object(struct from_json *f)
{
    const struct tl_ctor *c = peek_ctor(f);
    struct tl_value *o = c ? tl_obj(f->arena, c->name) : NULL;
    struct tg_str key;
    int at = -1;

    if (c && !o)
        fail(f, TG_NOMEM, "no memory for an object");
    if (!o)
        return NULL;
    for (tg_json_enter(f->in, '{'); tg_json_next_key(f->in, &key);) {
        int found = find_field(f->s, c, key, at);
        const struct tl_field *field = tl_ctor_fields(f->s, c) + found;

        if (found < 0 || field->kind == TL_KIND_FLAGS) {
            tg_json_skip(f->in);
            continue;
        }
        at = found;
        if (!tg_json_take_null(f->in))
            read_value(f, &f->s->type[field->type], &(struct place){ o, field->name });
    }
    return o;
}

static void read_items(struct from_json *f, const struct tl_type *item, const struct place *to)
{
    struct tl_value *v = to->field ? tl_set_vector(to->parent, to->field)
                                   : tl_add_vector(to->parent);

    if (!v)
        fail(f, TG_NOMEM, "no memory for an object");
    for (tg_json_enter(f->in, '['); v && tg_json_next_item(f->in);)
        read_value(f, item, &(struct place){ v, 0 });
}

static void read_value(struct from_json *f, const struct tl_type *t, const struct place *to)
{
    switch (t->kind) {
    case TL_KIND_TRUE:
        if (to->field)
            tl_set_true(to->parent, to->field, tg_json_take_bool(f->in));
        break;
    case TL_KIND_BOOL:
        if (to->field)
            tl_set_bool(to->parent, to->field, tg_json_take_bool(f->in));
        else
            put_obj(to, tl_bool(f->arena, tg_json_take_bool(f->in)));
        break;
    case TL_KIND_INT:
    case TL_KIND_LONG:
        put_long(to, tg_json_take_i64(f->in));
        break;
    case TL_KIND_DOUBLE:
        read_double(f, to);
        break;
    case TL_KIND_VECTOR:
    case TL_KIND_BARE_VECTOR:
        read_items(f, &f->s->type[t->item], to);
        break;
    case TL_KIND_OBJECT:
    case TL_KIND_BARE:
        put_obj(to, read_object(f));
        break;
    case TL_KIND_ANY: /* whose kind its own schema does not tell either */
        fail(f, TG_DATA, "a value of an unknown kind");
        break;
    default:
        read_bytes(f, t, to);
    }
}

struct tl_value *tl_from_json(const struct tl_schema *s, const char *json, size_t len,
                              struct tg_arena *arena, struct tg_error *err)
{
    struct tg_json_in in;
    struct from_json f = { .s = s, .arena = arena, .in = &in, .err = err };
    struct tl_value *o;

    tg_json_in_init(&in, json, len);
    tg_buf_init(&f.text, TEXT_MAX);
    o = read_object(&f);
    if (f.code == TG_OK && (!tg_json_in_done(&in) || f.text.failed))
        f.code = tg_fail(err, TG_DATA, "not the JSON of an object");
    tg_buf_done(&f.text);
    return f.code == TG_OK ? o : NULL;
}
