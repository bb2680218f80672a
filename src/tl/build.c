/* SPDX-License-Identifier: MIT */
/*
 * build.c - from declarations to the tables of a schema
 *
 * Names become symbols: known ones by binary search, fresh ones numbered behind. Types are interned
 * by their text. Constructors are put in a hash by id and in an array by symbol. compile.c then
 * adds what walking and encoding need.
 *
 * Threads: none      Limits: see schema.h
 */
#include <assert.h>
#include <stdlib.h>

#include "tl/build.h"

uint32_t tl_names_find(const char *const *names, uint32_t n, const char *text, size_t len)
{
    uint32_t low = 1, high = n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = strncmp(names[mid], text, len);

        if (order == 0) { /* up to a NUL, which a text from outside may have */
            size_t whole = strlen(names[mid]);

            if (whole == len)
                return mid;
            order = whole < len ? -1 : 1;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}

static uint64_t hash_text(const char *s, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)s[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

/* Finds text in the map, or the empty slot where it belongs. */
static struct tl_map_slot *map_at(struct tl_map *m, const char *text, size_t n)
{
    for (size_t i = hash_text(text, n) & m->mask;; i = (i + 1) & m->mask) {
        struct tl_map_slot *s = &m->slot[i];

        if (!s->text || (s->len == n && memcmp(s->text, text, n) == 0))
            return s;
    }
}

static bool map_init(struct tl_map *m, size_t n_max)
{
    size_t n = 1024;

    while (n < 2 * n_max)
        n *= 2;
    m->slot = calloc(n, sizeof *m->slot);
    m->mask = n - 1;
    return m->slot != NULL;
}

/* @return the name's symbol, a fresh one if need be; 0 with the error set */
static uint32_t symbol_of(struct tl_builder *b, const char *text)
{
    size_t n = strlen(text);
    uint32_t known = tl_names_find(b->known, b->n_known, text, n);

    if (known)
        return known;
    struct tl_map_slot *slot = map_at(&b->symbols, text, n);
    if (!slot->text) {
        if (b->n_known + b->s->n_extra >= TL_SYMBOL_MAX) {
            tg_fail(b->err, TG_LIMIT, "a schema has at most %d names", TL_SYMBOL_MAX);
            return 0;
        }
        char *copy = strdup(text);
        if (!copy) {
            tg_fail(b->err, TG_NOMEM, "no memory for a schema");
            return 0;
        }
        b->extra[b->s->n_extra++] = copy;
        *slot = (struct tl_map_slot){ copy, n, b->n_known + b->s->n_extra - 1 };
    }
    return slot->value;
}

static const struct {
    const char *text;
    uint8_t kind, size;
} plain_type[] = {
    { "#", TL_KIND_FLAGS, 4 },
    { "true", TL_KIND_TRUE, 0 },
    { "int", TL_KIND_INT, 4 },
    { "int32", TL_KIND_INT, 4 },
    { "long", TL_KIND_LONG, 8 },
    { "int53", TL_KIND_LONG, 8 },
    { "int64", TL_KIND_LONG, 8 },
    { "double", TL_KIND_DOUBLE, 8 },
    { "int128", TL_KIND_INT128, 16 },
    { "int256", TL_KIND_INT256, 32 },
    { "string", TL_KIND_STRING, 0 },
    { "bytes", TL_KIND_BYTES, 0 },
    { "secureString", TL_KIND_STRING, 0 },
    { "secureBytes", TL_KIND_BYTES, 0 },
    { "Bool", TL_KIND_BOOL, 4 },
    { "X", TL_KIND_ANY, 0 },
    { "!X", TL_KIND_ANY, 0 },
    { "Object", TL_KIND_ANY, 0 },
};

static uint32_t type_of(struct tl_builder *b, const char *text, size_t n, int depth);

static bool bad_type(struct tl_builder *b, const char *text, size_t n)
{
    tg_fail(b->err, TG_DATA, "line %u: no such type: %.*s", b->line, (int)TG_MIN(n, 100), text);
    return false;
}

/* A lower-case name or %Type: one constructor without its id. */
static bool bare_type(struct tl_builder *b, const char *text, size_t n, struct tl_type *ret)
{
    const struct tl_map_slot *slot;
    bool by_type = text[0] == '%';

    slot = map_at(by_type ? &b->only : &b->ctors, text + by_type, n - by_type);
    if (!slot->text || slot->value == TL_NONE)
        return bad_type(b, text, n);
    *ret = (struct tl_type){ .kind = TL_KIND_BARE,
                             .name = b->ctor[slot->value].name,
                             .item = (uint16_t)slot->value,
                             .fallback = TL_NONE };
    return true;
}

static bool named_type(struct tl_builder *b, const char *text, size_t n, struct tl_type *ret)
{
    char name[TL_NAME_BYTES + 1];

    if (n > TL_NAME_BYTES || memchr(text, '<', n) || memchr(text, '>', n) || memchr(text, '!', n) ||
        memchr(text, '#', n) || memchr(text + 1, '%', n - 1))
        return bad_type(b, text, n);
    memcpy(name, text, n);
    name[n] = 0;
    if (name[0] == '%' || tl_name_is_bare(name))
        return bare_type(b, text, n, ret);
    uint32_t symbol = symbol_of(b, name);
    *ret = (struct tl_type){
        .kind = TL_KIND_OBJECT, .name = (uint16_t)symbol, .item = TL_NONE, .fallback = TL_NONE
    };
    return symbol != 0;
}

static bool vector_type(struct tl_builder *b, const char *text, size_t n, struct tl_type *ret,
                        int depth)
{
    bool bare = text[0] != 'V', percent = text[0] == '%';
    size_t head = 7 + (size_t)percent;

    if (n <= head + 1 || text[n - 1] != '>')
        return bad_type(b, text, n);
    uint32_t item = type_of(b, text + head, n - head - 1, depth + 1);
    if (item == TL_NONE)
        return false;
    if (b->type[item].kind == TL_KIND_FLAGS || b->type[item].kind == TL_KIND_TRUE)
        return bad_type(b, text, n);
    *ret = (struct tl_type){ .kind = bare ? TL_KIND_BARE_VECTOR : TL_KIND_VECTOR,
                             .item = (uint16_t)item,
                             .fallback = TL_NONE };
    return true;
}

static bool make_type(struct tl_builder *b, const char *text, size_t n, struct tl_type *ret,
                      int depth)
{
    for (size_t i = 0; i < TG_COUNT(plain_type); i++) {
        if (strlen(plain_type[i].text) == n && memcmp(plain_type[i].text, text, n) == 0) {
            *ret = (struct tl_type){ .kind = plain_type[i].kind,
                                     .size = plain_type[i].size,
                                     .item = TL_NONE,
                                     .fallback = TL_NONE };
            return plain_type[i].kind == TL_KIND_FLAGS || plain_type[i].kind == TL_KIND_ANY ||
                   (ret->name = (uint16_t)symbol_of(b, plain_type[i].text)) != 0;
        }
    }
    size_t percent = n && text[0] == '%';
    if (n > 7 + percent && (memcmp(text + percent, "Vector<", 7) == 0 ||
                            (!percent && memcmp(text, "vector<", 7) == 0)))
        return vector_type(b, text, n, ret, depth);
    return n ? named_type(b, text, n, ret) : bad_type(b, text, n);
}

/* @return index of the type, TL_NONE with the error set */
static uint32_t type_of(struct tl_builder *b, const char *text, size_t n, int depth)
{
    struct tl_map_slot *slot = map_at(&b->types, text, n);
    struct tl_type type;

    if (slot->text)
        return slot->value;
    if (depth > 8) {
        bad_type(b, text, n);
        return TL_NONE;
    }
    if (!make_type(b, text, n, &type, depth))
        return TL_NONE;
    if (b->s->n_types == TL_TYPE_MAX) {
        tg_fail(b->err, TG_LIMIT, "a schema has at most %d types", TL_TYPE_MAX);
        return TL_NONE;
    }
    slot = map_at(&b->types, text, n); /* inner types may have taken the place */
    b->type[b->s->n_types] = type;
    *slot = (struct tl_map_slot){ text, n, b->s->n_types };
    return b->s->n_types++;
}

static bool build_field(struct tl_builder *b, const struct tl_decl_field *d, uint32_t number)
{
    struct tl_ctor *c = &b->ctor[b->s->n_ctors];
    struct tl_field *f = &b->field[c->field + number];
    uint32_t name = symbol_of(b, d->name), type;

    if (!name || (type = type_of(b, d->type, strlen(d->type), 0)) == TL_NONE)
        return false;
    *f = (struct tl_field){ .name = (uint16_t)name,
                            .type = (uint16_t)type,
                            .word = TL_NO_FLAG,
                            .bit = (uint8_t)d->bit,
                            .kind = b->type[type].kind,
                            .size = b->type[type].size };
    for (uint32_t i = 0; i < number; i++) {
        const struct tl_field *w = &b->field[c->field + i];

        if (w->name == name) {
            tg_fail(b->err, TG_DATA, "line %u: field '%s' stands twice", b->line, d->name);
            return false;
        }
        if (d->word && w->kind == TL_KIND_FLAGS && w->word == TL_NO_FLAG &&
            strcmp(tl_builder_name(b, w->name), d->word) == 0)
            f->word = (uint8_t)i;
    }
    if (d->word && f->word == TL_NO_FLAG) {
        tg_fail(b->err, TG_DATA, "line %u: no flags field '%s' before '%s'", b->line, d->word,
                d->name);
        return false;
    }
    if (d->word && f->kind == TL_KIND_FLAGS) {
        tg_fail(b->err, TG_DATA, "line %u: flags cannot depend on flags", b->line);
        return false;
    }
    return true;
}

const char *tl_builder_name(const struct tl_builder *b, uint32_t symbol)
{
    return symbol < b->n_known ? b->known[symbol] : b->extra[symbol - b->n_known];
}

static bool build_ctor(struct tl_builder *b, const struct tl_decls *d, const struct tl_decl *decl)
{
    struct tl_ctor *c = &b->ctor[b->s->n_ctors];
    uint32_t type;

    b->line = decl->line;
    for (uint32_t i = 0; i < decl->n_fields; i++) {
        if (!build_field(b, &d->field[decl->field + i], i))
            return false;
    }
    if ((type = type_of(b, decl->result, strlen(decl->result), 0)) == TL_NONE)
        return false;
    if (!decl->is_function && b->type[type].kind != TL_KIND_OBJECT)
        return bad_type(b, decl->result, strlen(decl->result));
    c->type = (uint16_t)type;
    b->s->n_ctors++;
    return true;
}

/* Names and ids of all declarations first: types refer to constructors that stand later. */
static bool declare(struct tl_builder *b, const struct tl_decls *d, uint32_t i)
{
    const struct tl_decl *decl = &d->decl[i];
    struct tl_map_slot *slot = map_at(&b->ctors, decl->name, strlen(decl->name));
    uint32_t at = decl->id & b->s->hash_mask, symbol;

    b->line = decl->line;
    if (slot->text || decl->id == TL_VECTOR_ID || decl->id == TL_TRUE_ID ||
        decl->id == TL_FALSE_ID) {
        tg_fail(b->err, TG_DATA, "line %u: '%s' is defined twice", b->line, decl->name);
        return false;
    }
    *slot = (struct tl_map_slot){ decl->name, strlen(decl->name), i };
    for (; b->hash[at].ctor; at = (at + 1) & b->s->hash_mask) {
        if (b->hash[at].id == decl->id) {
            tg_fail(b->err, TG_DATA, "line %u: id %08x is taken twice", b->line, decl->id);
            return false;
        }
    }
    b->hash[at] = (struct tl_hash_slot){ decl->id, i + 1 };
    if (!(symbol = symbol_of(b, decl->name)))
        return false;
    b->ctor[i] = (struct tl_ctor){ .id = decl->id,
                                   .name = (uint16_t)symbol,
                                   .field = (uint16_t)decl->field,
                                   .n_fields = (uint8_t)decl->n_fields,
                                   .is_function = decl->is_function };
    if (!decl->is_function) {
        slot = map_at(&b->only, decl->result, strlen(decl->result));
        *slot =
            (struct tl_map_slot){ decl->result, strlen(decl->result), slot->text ? TL_NONE : i };
    }
    return true;
}

static bool builder_init(struct tl_builder *b, const struct tl_decls *d)
{
    size_t n_hash = 1024, n_names = d->n_fields + 2 * d->n + 64;

    while (n_hash < 2 * d->n)
        n_hash *= 2;
    b->s = calloc(1, sizeof *b->s);
    if (!b->s)
        return false;
    b->s->layer = d->layer;
    b->s->hash_mask = (uint32_t)n_hash - 1;
    b->s->n_fields = (uint32_t)d->n_fields;
    b->s->ctor = b->ctor = calloc(d->n, sizeof *b->ctor);
    b->s->field = b->field = calloc(d->n_fields + 1, sizeof *b->field);
    b->s->type = b->type = calloc(TL_TYPE_MAX, sizeof *b->type);
    b->s->hash = b->hash = calloc(n_hash, sizeof *b->hash);
    b->extra = calloc(TL_SYMBOL_MAX, sizeof *b->extra);
    b->s->extra = (const char *const *)b->extra;
    return b->ctor && b->field && b->type && b->hash && b->extra && map_init(&b->ctors, d->n) &&
           map_init(&b->only, d->n) && map_init(&b->symbols, n_names) &&
           map_init(&b->types, n_names + TL_TYPE_MAX);
}

static bool index_names(struct tl_builder *b)
{
    uint32_t n = b->n_known + b->s->n_extra;
    uint16_t *by_name = calloc(n, sizeof *by_name);

    if (!by_name) {
        tg_fail(b->err, TG_NOMEM, "no memory for a schema");
        return false;
    }
    for (uint32_t i = 0; i < b->s->n_ctors; i++)
        by_name[b->ctor[i].name] = (uint16_t)(i + 1);
    b->s->by_name = by_name;
    b->s->n_by_name = n;
    return true;
}

static bool build_all(struct tl_builder *b, const struct tl_decls *d)
{
    if (!builder_init(b, d)) {
        tg_fail(b->err, TG_NOMEM, "no memory for a schema");
        return false;
    }
    for (uint32_t i = 0; i < d->n; i++) {
        if (!declare(b, d, i))
            return false;
    }
    for (uint32_t i = 0; i < d->n; i++) {
        if (!build_ctor(b, d, &d->decl[i]))
            return false;
    }
    return index_names(b) && tl_compile(b);
}

tg_code tl_build(const struct tl_decls *d, const char *const *known, uint32_t n_known,
                 struct tl_schema **ret, struct tg_error *err)
{
    struct tl_builder b = { .known = known, .n_known = n_known, .err = err };

    assert(d->n > 0 && n_known > 0 && n_known < TL_SYMBOL_MAX);
    bool ok = build_all(&b, d);
    free(b.ctors.slot);
    free(b.only.slot);
    free(b.symbols.slot);
    free(b.types.slot);
    if (!ok) {
        tl_schema_free(b.s);
        return err->code;
    }
    *ret = b.s;
    return TG_OK;
}

/* The arrays of a loaded schema are ours; only their readers see them as constant. */
static void free_const(const void *p)
{
    union {
        const void *constant;
        void *owned;
    } u = { p };

    free(u.owned);
}

void tl_schema_free(struct tl_schema *s)
{
    if (!s)
        return;
    for (uint32_t i = 0; s->extra && i < s->n_extra; i++)
        free_const(s->extra[i]);
    free_const(s->extra);
    free_const(s->ctor);
    free_const(s->field);
    free_const(s->type);
    free_const(s->op);
    free_const(s->hash);
    free_const(s->by_name);
    free(s);
}
