/* SPDX-License-Identifier: MIT */
/*
 * print.c - any TL object as JSON
 *
 * Walks by the field table rather than by programs, since names are needed. As in walk.c, depth and
 * counts are bounded and every read is checked.
 */
#include <assert.h>

#include "base/text.h"
#include "tl/walk.h"

struct printer {
    const struct tl_schema *s;
    struct tl_reader *r;
    struct tg_json *json;
    uint32_t bytes_max;
};

static bool print_value(struct printer *p, const struct tl_type *t, int depth);

static void print_hex(struct tg_json *json, const uint8_t *bytes, size_t n)
{
    char text[65];

    assert(n <= 32);
    tg_hex(text, bytes, n);
    tg_json_str(json, text, 2 * n);
}

/* Names in a schema are letters, digits, underscores and dots: nothing to escape. */
static void print_name(struct tg_json *json, const char *name, bool key)
{
    size_t n = strlen(name), comma = json->comma;
    uint8_t *p = tg_buf_extend(json->out, n + 2 + comma + key);

    json->comma = !key;
    if (!p)
        return;
    if (comma)
        *p++ = ',';
    *p++ = '"';
    memcpy(p, name, n);
    p[n] = '"';
    if (key)
        p[n + 1] = ':';
}

static void print_bytes(struct printer *p, bool text)
{
    struct tg_str s = tl_read_str(p->r);

    if (p->r->bad)
        return;
    if (text)
        tg_json_str(p->json, s.at, s.len);
    else if (p->bytes_max && s.len > p->bytes_max)
        tg_json_null(p->json);
    else
        tg_json_base64(p->json, s.at, s.len);
}

static bool print_fields(struct printer *p, const struct tl_ctor *c, int depth)
{
    const struct tl_field *f = tl_ctor_fields(p->s, c);
    const uint8_t *at[TL_FIELD_MAX];

    if (depth >= TL_DEPTH_MAX)
        return tl_read_fail(p->r);
    tg_json_object(p->json);
    print_name(p->json, "_", true);
    print_name(p->json, tl_symbol_name(p->s, c->name), false);
    for (int i = 0; i < c->n_fields; i++, f++) {
        at[i] = p->r->at;
        if (f->word != TL_NO_FLAG && !(tg_le32(at[f->word]) >> f->bit & 1))
            continue;
        if (f->kind == TL_KIND_FLAGS) {
            tl_read_u32(p->r);
        } else {
            print_name(p->json, tl_symbol_name(p->s, f->name), true);
            print_value(p, &p->s->type[f->type], depth + 1);
        }
        if (p->r->bad)
            return false;
    }
    tg_json_end_object(p->json);
    return true;
}

static bool print_boxed(struct printer *p, const struct tl_type *t, int depth)
{
    const struct tl_ctor *c = tl_ctor_by_id(p->s, tl_read_u32(p->r));

    if (p->r->bad || !c || (t && (c->is_function || &p->s->type[c->type] != t)))
        return tl_read_fail(p->r);
    return print_fields(p, c, depth);
}

static bool print_items(struct printer *p, const struct tl_type *item, int depth)
{
    static const struct tl_type any = { .kind = TL_KIND_ANY };
    uint32_t n = tl_read_u32(p->r);

    if (p->r->bad || depth >= TL_DEPTH_MAX ||
        n > tl_left(p->r) / (item && item->size ? item->size : 4))
        return tl_read_fail(p->r);
    tg_json_array(p->json);
    while (n-- && print_value(p, item ? item : &any, depth + 1))
        ;
    tg_json_end_array(p->json);
    return !p->r->bad;
}

static bool print_any(struct printer *p, int depth)
{
    uint32_t id = tl_peek_u32(p->r);

    if (id == TL_TRUE_ID || id == TL_FALSE_ID) {
        tg_json_bool(p->json, tl_read_bool(p->r));
        return true;
    }
    if (id != TL_VECTOR_ID)
        return print_boxed(p, NULL, depth);
    tl_read_u32(p->r);
    return print_items(p, NULL, depth);
}

static bool print_value(struct printer *p, const struct tl_type *t, int depth)
{
    struct tl_reader *r = p->r;
    const uint8_t *view;

    switch (t->kind) {
    case TL_KIND_TRUE:
        tg_json_bool(p->json, true);
        break;
    case TL_KIND_FLAGS:
    case TL_KIND_INT:
        tg_json_i64(p->json, tl_read_i32(r));
        break;
    case TL_KIND_LONG:
        tg_json_i64(p->json, tl_read_i64(r));
        break;
    case TL_KIND_DOUBLE:
        tg_json_double(p->json, tl_read_double(r));
        break;
    case TL_KIND_INT128:
    case TL_KIND_INT256:
        if ((view = tl_read_view(r, t->size)))
            print_hex(p->json, view, t->size);
        break;
    case TL_KIND_STRING:
    case TL_KIND_BYTES:
        print_bytes(p, t->kind == TL_KIND_STRING);
        break;
    case TL_KIND_BOOL:
        tg_json_bool(p->json, tl_read_bool(r));
        break;
    case TL_KIND_OBJECT:
        return print_boxed(p, t, depth);
    case TL_KIND_BARE:
        return print_fields(p, &p->s->ctor[t->item], depth);
    case TL_KIND_VECTOR:
        return tl_read_u32(r) == TL_VECTOR_ID ? print_items(p, &p->s->type[t->item], depth)
                                              : tl_read_fail(r);
    case TL_KIND_BARE_VECTOR:
        return print_items(p, &p->s->type[t->item], depth);
    default:
        return print_any(p, depth);
    }
    return !r->bad;
}

static struct printer printer_of(const struct tl_schema *s, struct tl_reader *r,
                                 struct tg_json *json, const struct tl_json_options *options)
{
    return (struct printer){ s, r, json, options ? options->bytes_max : 0 };
}

bool tl_print_json(const struct tl_schema *s, struct tl_reader *r, struct tg_json *json,
                   const struct tl_json_options *options)
{
    struct printer p = printer_of(s, r, json, options);

    return !r->bad && print_any(&p, 0);
}

bool tl_print_json_type(const struct tl_schema *s, struct tl_reader *r, uint16_t type,
                        struct tg_json *json, const struct tl_json_options *options)
{
    struct printer p = printer_of(s, r, json, options);

    assert(type < s->n_types);
    return !r->bad && print_value(&p, &s->type[type], 0);
}
