/* SPDX-License-Identifier: MIT */
/*
 * schema.c - built-in schemas, loading of others, and look-ups by name
 */
#include "tl/schema.h"

#include <assert.h>
#include <stdlib.h>

#include "tl/parse.h"
#include "tl/tables.h"

const struct tl_schema *tl_schema_at(size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (!tl_schema_list[k])
            return NULL;
    }
    return tl_schema_list[i];
}

const struct tl_schema *tl_schema_builtin(int32_t layer)
{
    const struct tl_schema *const *s = tl_schema_list;

    while (*s && (*s)->layer != layer)
        s++;
    return *s;
}

static bool is_json(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && strchr(" \t\r\n", text[i]) && text[i])
        i++;
    return i < len && (text[i] == '{' || text[i] == '[');
}

static tg_code load_text(const char *name, const char *text, size_t len, struct tl_schema **ret,
                         struct tg_error *err)
{
    TG_CLEANUP(tl_decls_done) struct tl_decls decls = { 0 };
    tg_code code = tl_parse(name, text, len, &decls, err);

    return code == TG_OK ? tl_build(&decls, tl_symbol_text, TLN_COUNT, ret, err) : code;
}

tg_code tl_schema_load(const char *name, const char *text, size_t len, struct tl_schema **ret,
                       struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf tl = { 0 };

    assert(name && ret && err);
    if (len > TL_TEXT_MAX)
        return tg_fail(err, TG_LIMIT, "%s: a schema has at most %d MiB", name, TL_TEXT_MAX >> 20);
    if (!is_json(text, len))
        return load_text(name, text, len, ret, err);
    tg_buf_init(&tl, TL_TEXT_MAX);
    tg_code code = tl_json_to_text(name, text, len, &tl, err);
    return code == TG_OK ? load_text(name, tg_buf_cstr(&tl), tl.len, ret, err) : code;
}

const char *tl_symbol_name(const struct tl_schema *s, uint32_t symbol)
{
    if (symbol < TLN_COUNT)
        return tl_symbol_text[symbol];
    return s && symbol - TLN_COUNT < s->n_extra ? s->extra[symbol - TLN_COUNT] : "";
}

uint32_t tl_symbol_find(const struct tl_schema *s, const char *text, size_t len)
{
    uint32_t known = tl_names_find(tl_symbol_text, TLN_COUNT, text, len);

    if (known || !s)
        return known;
    for (uint32_t i = 0; i < s->n_extra; i++) {
        if (strlen(s->extra[i]) == len && memcmp(s->extra[i], text, len) == 0)
            return TLN_COUNT + i;
    }
    return 0;
}

uint16_t tl_type_by_name(const struct tl_schema *s, uint32_t symbol)
{
    for (uint32_t i = 0; i < s->n_types; i++) {
        if (s->type[i].kind == TL_KIND_OBJECT && s->type[i].name == symbol)
            return (uint16_t)i;
    }
    return TL_NONE;
}

int tl_ctor_field_index(const struct tl_schema *s, const struct tl_ctor *c, uint32_t symbol)
{
    if (!c)
        return -1;
    const struct tl_field *f = tl_ctor_fields(s, c);
    for (int i = 0; i < c->n_fields; i++) {
        if (f[i].name == symbol)
            return i;
    }
    return -1;
}
