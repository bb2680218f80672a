/* SPDX-License-Identifier: MIT */
/*
 * json_text.c - turns mtcute's JSON schema into TL text
 *
 * One object {"l": layer, "e": [entries]}, or the array of entries alone (the MTProto schema). The
 * text goes through the same parser as any other, so nothing here needs to judge names and types.
 *
 * Threads: none      Limits: 8 MiB in (checked by the caller), those of the buffer out
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>

#include "tl/parse.h"

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));

    return s ? s : "";
}

/* mtcute's own name for a number that fits a JavaScript double is a long on the wire */
static void add_type(struct tg_buf *out, const json_t *o)
{
    const json_t *mod = json_object_get(o, "typeModifiers");
    const char *type = text_of(o, "type"), *condition = text_of(mod, "predicate");
    bool bare = json_is_true(json_object_get(mod, "isBareVector"));
    bool vector = bare || json_is_true(json_object_get(mod, "isVector"));

    if (*condition)
        tg_buf_printf(out, "%s?", condition);
    if (vector)
        tg_buf_str(out, bare ? "vector<" : "Vector<");
    if (strcmp(type, "int53") == 0)
        tg_buf_str(out, "long");
    else
        tg_buf_str(out, strncmp(type, "mt_", 3) == 0 ? type + 3 : type);
    if (vector)
        tg_buf_byte(out, '>');
}

static void add_entry(struct tg_buf *out, const json_t *entry)
{
    const char *name = text_of(entry, "name");
    double id = json_number_value(json_object_get(entry, "id"));
    const json_t *arg;
    size_t i;

    if (strncmp(name, "mt_", 3) == 0)
        name += 3;
    tg_buf_str(out, name);
    if (id >= 0 && id <= UINT32_MAX)
        tg_buf_printf(out, "#%08" PRIx32, (uint32_t)id);
    json_array_foreach(json_object_get(entry, "arguments"), i, arg)
    {
        tg_buf_printf(out, " %s:", text_of(arg, "name"));
        add_type(out, arg);
    }
    tg_buf_str(out, " = ");
    add_type(out, entry);
    tg_buf_str(out, ";\n");
}

static void add_kind(struct tg_buf *out, const json_t *entries, const char *kind)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(entries, i, entry)
    {
        if (strcmp(text_of(entry, "kind"), kind) == 0)
            add_entry(out, entry);
    }
}

tg_code tl_json_to_text(const char *name, const char *json, size_t len, struct tg_buf *out,
                        struct tg_error *err)
{
    json_error_t where;
    TG_CLEANUP(json_decrefp) json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);

    if (!root)
        return tg_fail(err, TG_DATA, "%s:%d: %s", name, where.line, where.text);
    const json_t *entries = json_is_array(root) ? root : json_object_get(root, "e");
    if (!json_is_array(entries))
        return tg_fail(err, TG_DATA, "%s: the schema's list 'e' is missing", name);
    json_int_t layer = json_integer_value(json_object_get(root, "l"));
    tg_buf_printf(out, "// LAYER %d\n", layer > 0 && layer < 1000000 ? (int)layer : 0);
    add_kind(out, entries, "class");
    add_kind(out, entries, "union");
    tg_buf_str(out, "---functions---\n");
    add_kind(out, entries, "method");
    return out->failed ? tg_fail(err, TG_LIMIT, "%s: the schema is too large", name) : TG_OK;
}
