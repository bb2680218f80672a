/* SPDX-License-Identifier: MIT */
/*
 * lua_fields.c - the row as a program sees it; see lua.h
 *
 *   text, row.text       a field by its name: read when it is asked for, and not before
 *   row.text = ...       set, its type checked
 *   row.mood = ...       no field of that name: a member of the JSON object `extra`
 *
 * A global that is neither field nor function is a mistake, and so is setting one: nothing outlives
 * a row. Members of `extra` are held as their JSON, so that those which are not touched stay as
 * they stand; they are written back in the order of their names.
 */
#ifdef TG_HAVE_LUA

#include "client/lua_impl.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_read.h"

enum { LEVELS = 32 };

/* ---- JSON -> Lua ---- */

static char first_of(struct tg_json_in *in)
{
    while (in->at < in->end && strchr(" \t\r\n", *in->at))
        in->at++;
    return in->at < in->end ? *in->at : 0;
}

static void push_value(lua_State *L, struct tg_json_in *in);

static void push_text(lua_State *L, struct tg_json_in *in)
{
    struct tg_buf *b = &lua_self(L)->text;

    tg_buf_clear(b);
    tg_json_take_str(in, b);
    lua_pushlstring(L, (const char *)b->data, b->failed ? 0 : b->len);
}

static void push_number(lua_State *L, struct tg_json_in *in)
{
    const char *from = in->at;
    char text[64];
    size_t n;

    tg_json_skip(in);
    n = TG_MIN((size_t)(in->at - from), sizeof text - 1);
    memcpy(text, from, n);
    text[n] = 0;
    if (!lua_stringtonumber(L, text))
        lua_pushnil(L);
}

static void push_object(lua_State *L, struct tg_json_in *in)
{
    struct tg_str key;

    lua_newtable(L);
    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        struct tg_json_in quoted;

        tg_json_in_init(&quoted, key.at - 1, key.len + 2);
        push_text(L, &quoted);
        push_value(L, in);
        lua_rawset(L, -3);
    }
}

static void push_array(lua_State *L, struct tg_json_in *in)
{
    lua_Integer n = 0;

    lua_newtable(L);
    for (tg_json_enter(in, '['); tg_json_next_item(in);) {
        push_value(L, in);
        lua_rawseti(L, -2, ++n);
    }
}

/* `null` is nil: as a member it is left out. */
static void push_value(lua_State *L, struct tg_json_in *in)
{
    luaL_checkstack(L, 8, "JSON");
    switch (first_of(in)) {
    case '{': push_object(L, in); break;
    case '[': push_array(L, in); break;
    case '"': push_text(L, in); break;
    case 't': case 'f': lua_pushboolean(L, tg_json_take_bool(in)); break;
    case 'n': tg_json_skip(in); lua_pushnil(L); break;
    default: push_number(L, in);
    }
}

static void push_json(lua_State *L, const char *json, size_t len)
{
    struct tg_json_in in;

    lua_spend(L, (int64_t)len / 4);
    tg_json_in_init(&in, json, len);
    push_value(L, &in);
}

/* ---- Lua -> JSON ---- */

struct key {
    const char *at; /* held by the table that it is of */
    size_t len;
};

static int by_bytes(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    int order = memcmp(x->at, y->at, TG_MIN(x->len, y->len));

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void put_value(lua_State *L, struct tg_json *j, int level);

/* @return the keys of the table at the top, in order, and leaves what holds them in its place above
 * the table */
static struct key *sorted_keys(lua_State *L, size_t n)
{
    struct key *key = lua_newuserdatauv(L, n * sizeof *key + 1, 0);
    size_t i = 0;

    for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1), i++) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "a table has both names and numbers: neither object nor array in JSON");
        key[i].at = lua_tolstring(L, -2, &key[i].len);
    }
    qsort(key, n, sizeof *key, by_bytes);
    return key;
}

static void put_object(lua_State *L, struct tg_json *j, size_t n, int level)
{
    struct key *key = sorted_keys(L, n);

    tg_json_object(j);
    for (size_t i = 0; i < n; i++) {
        if (!tg_utf8_valid(key[i].at, key[i].len) || memchr(key[i].at, 0, key[i].len))
            luaL_error(L, "a name in a table is no UTF-8");
        tg_json_key(j, key[i].at);
        lua_pushlstring(L, key[i].at, key[i].len);
        lua_rawget(L, -3);
        put_value(L, j, level);
        lua_pop(L, 1);
    }
    tg_json_end_object(j);
    lua_pop(L, 1);
}

/* An empty table is an array. */
static void put_table(lua_State *L, struct tg_json *j, int level)
{
    lua_Integer length = (lua_Integer)lua_rawlen(L, -1);
    size_t n = 0;

    if (level == LEVELS)
        luaL_error(L, "tables in tables, more than %d", LEVELS);
    luaL_checkstack(L, 8, "JSON");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    lua_spend(L, (int64_t)n * 4);
    if (n && !length) {
        put_object(L, j, n, level + 1);
        return;
    }
    if ((size_t)length != n)
        luaL_error(L, "a table has both names and numbers, or holes: neither object nor array in "
                      "JSON");
    tg_json_array(j);
    for (lua_Integer i = 1; i <= length; i++) {
        lua_rawgeti(L, -1, i);
        put_value(L, j, level + 1);
        lua_pop(L, 1);
    }
    tg_json_end_array(j);
}

/* Appends the value at the top. */
static void put_value(lua_State *L, struct tg_json *j, int level)
{
    size_t len;
    const char *text;

    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN:
        tg_json_bool(j, lua_toboolean(L, -1));
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            tg_json_i64(j, lua_tointeger(L, -1));
        else
            tg_json_double(j, lua_tonumber(L, -1));
        break;
    case LUA_TSTRING:
        text = lua_tolstring(L, -1, &len);
        if (!tg_utf8_valid(text, len))
            luaL_error(L, "a text is no UTF-8");
        lua_spend(L, (int64_t)len / 16);
        tg_json_str(j, text, len);
        break;
    case LUA_TTABLE:
        put_table(L, j, level);
        break;
    default:
        luaL_error(L, "a %s cannot stand in JSON", luaL_typename(L, -1));
    }
}

/* Writes the value at the top into lua_self(L)->text. */
static struct tg_buf *json_of(lua_State *L)
{
    struct tg_buf *b = &lua_self(L)->text;
    struct tg_json j;

    tg_buf_clear(b);
    tg_json_init(&j, b);
    put_value(L, &j, 0);
    if (b->failed)
        luaL_error(L, "it needs more memory than there is; see the option `memory`");
    return b;
}

/* ---- extra ---- */

/* Leaves the members of `extra` at the top: name as in JSON -> its JSON. */
static void push_extra(lua_State *L)
{
    struct tg_lua *l = lua_self(L);
    const struct tg_row *row = l->edit->row;
    struct tg_json_in in;
    struct tg_str key;

    if (l->extra_read) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, l->extra);
        return;
    }
    lua_newtable(L);
    if (row->present & TG_ROW_BIT(extra)) {
        lua_spend(L, row->extra.len / 4);
        tg_json_in_init(&in, row->extra.at, row->extra.len);
        for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
            const char *from;

            first_of(&in);
            from = in.at;
            tg_json_skip(&in);
            lua_pushlstring(L, key.at, key.len);
            lua_pushlstring(L, from, (size_t)(in.at - from));
            lua_rawset(L, -3);
        }
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, l->extra);
    l->extra_read = true;
}

/* Leaves a name as it stands in JSON, without quotes, at the top. */
static void push_name(lua_State *L, int name)
{
    struct tg_buf *b = &lua_self(L)->text;
    size_t len;
    const char *text = lua_tolstring(L, name, &len);

    if (!tg_utf8_valid(text, len) || len > 200)
        lua_wrong(L, "a name in row is no UTF-8, or longer than 200 bytes");
    tg_buf_clear(b);
    tg_json_quote(b, text, len);
    lua_pushlstring(L, (const char *)b->data + 1, b->failed ? 0 : b->len - 2);
}

static int extra_get(lua_State *L)
{
    size_t len;
    const char *json;

    push_extra(L);
    push_name(L, 2);
    if (lua_rawget(L, -2) == LUA_TNIL)
        return 1;
    json = lua_tolstring(L, -1, &len);
    push_json(L, json, len);
    return 1;
}

static int extra_set(lua_State *L)
{
    push_extra(L);
    push_name(L, 2);
    if (lua_isnil(L, 3)) {
        lua_pushnil(L);
    } else {
        struct tg_buf *b;

        lua_pushvalue(L, 3);
        b = json_of(L);
        lua_pop(L, 1);
        lua_pushlstring(L, (const char *)b->data, b->len);
    }
    lua_rawset(L, -3);
    lua_self(L)->extra_changed = true;
    return 0;
}

/* ---- fields ---- */

/* Raises what a change of a field failed with. */
static int refuse(lua_State *L, tg_code code, const struct tg_error *err)
{
    if (code == TG_USAGE)
        return lua_wrong(L, "%s", err->message);
    if (code == TG_LIMIT)
        lua_self(L)->code = TG_LIMIT;
    return luaL_error(L, "%s", err->message);
}

void lua_keep_extra(lua_State *L)
{
    struct tg_lua *l = lua_self(L);
    struct tg_buf *b = &l->text;
    struct tg_error err;
    struct key *key;
    size_t n = 0;
    tg_code code;

    push_extra(L);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    key = sorted_keys(L, n);
    tg_buf_clear(b);
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *json;

        lua_pushlstring(L, key[i].at, key[i].len);
        lua_rawget(L, -3);
        json = lua_tolstring(L, -1, &len);
        tg_buf_str(b, i ? ",\"" : "{\"");
        tg_buf_add(b, key[i].at, key[i].len);
        tg_buf_str(b, "\":");
        tg_buf_add(b, json, len);
        lua_pop(L, 1);
    }
    tg_buf_str(b, "}");
    if (b->failed)
        luaL_error(L, "it needs more memory than there is; see the option `memory`");
    code = n ? tg_row_set_text(l->edit, TG_F_extra, (const char *)b->data, b->len, &err)
             : tg_row_unset(l->edit, TG_F_extra, &err);
    if (code != TG_OK)
        refuse(L, code, &err);
}

/* Leaves the value of a field at the top; of one without it nil, but false, and "" for the text. */
static int field_get(lua_State *L, enum tg_field_id id)
{
    struct tg_lua *l = lua_self(L);
    const struct tg_row *row = l->edit->row;
    const void *member = (const char *)row + tg_row_offset[id];
    enum tg_field_type type = tg_field(id)->type;
    struct tg_str s;
    int64_t v;
    bool has;

    if (id == TG_F_extra && l->extra_changed)
        lua_keep_extra(L);
    has = row->present >> id & 1;
    if (type == TG_FIELD_BOOL) {
        memcpy(&v, member, sizeof v);
        lua_pushboolean(L, has && v);
    } else if (!has && id == TG_F_text) {
        lua_pushliteral(L, "");
    } else if (!has) {
        l->absent = id;
        lua_pushnil(L);
    } else if (type == TG_FIELD_I64 || type == TG_FIELD_TIME) {
        memcpy(&v, member, sizeof v);
        lua_pushinteger(L, v);
    } else {
        memcpy(&s, member, sizeof s);
        if (type == TG_FIELD_STR)
            lua_pushlstring(L, s.at ? s.at : "", s.len);
        else
            push_json(L, s.at, s.len);
    }
    return 1;
}

static int wants(lua_State *L, enum tg_field_id id, const char *what)
{
    return luaL_error(L, "the field %s wants %s, not a %s", tg_field(id)->name, what,
                      lua_isinteger(L, 3)          ? "whole number"
                      : lua_type(L, 3) == LUA_TNUMBER ? "number with a fraction"
                                                      : luaL_typename(L, 3));
}

static tg_code set_text(lua_State *L, enum tg_field_id id, struct tg_error *err)
{
    struct tg_row_edit *edit = lua_self(L)->edit;
    size_t len;
    const char *text = lua_tolstring(L, 3, &len);

    if (id == TG_F_text && !len && !(edit->row->present & TG_ROW_BIT(text)))
        return TG_OK;
    return tg_row_set_text(edit, id, text, len, err);
}

/* Sets a field to the value that is the third argument. */
static int field_set(lua_State *L, enum tg_field_id id)
{
    struct tg_row_edit *edit = lua_self(L)->edit;
    enum tg_field_type type = tg_field(id)->type;
    int kind = lua_type(L, 3), whole;
    struct tg_error err;
    tg_code code;
    int64_t v;

    if (!tg_field_is_free(id))
        return lua_wrong(L, "the field %s cannot be changed", tg_field(id)->name);
    if (id == TG_F_extra)
        return lua_wrong(L, "set members of `extra` by their names: row.NAME = value");
    if (kind == LUA_TNIL) {
        code = tg_row_unset(edit, id, &err);
    } else if (type == TG_FIELD_BOOL) {
        if (kind != LUA_TBOOLEAN)
            return wants(L, id, "true or false");
        code = tg_row_set_int(edit, id, lua_toboolean(L, 3), &err);
    } else if (type == TG_FIELD_STR) {
        if (kind != LUA_TSTRING)
            return wants(L, id, "a text");
        code = set_text(L, id, &err);
    } else if (type == TG_FIELD_JSON) {
        const struct tg_buf *b;

        if (kind != LUA_TTABLE)
            return wants(L, id, "a table");
        lua_settop(L, 3);
        b = json_of(L);
        code = tg_row_set_text(edit, id, (const char *)b->data, b->len, &err);
    } else {
        v = lua_tointegerx(L, 3, &whole);
        if (kind != LUA_TNUMBER || !whole)
            return wants(L, id, type == TG_FIELD_TIME ? "Unix seconds" : "a whole number");
        code = tg_row_set_int(edit, id, v, &err);
    }
    return code == TG_OK ? 0 : refuse(L, code, &err);
}

/* The field that the second argument names, by the table that is the first upvalue; -1. */
static int field_of(lua_State *L)
{
    int id = -1;

    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNUMBER)
        id = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return id;
}

static int row_get(lua_State *L)
{
    int id = field_of(L);

    if (id >= 0)
        return field_get(L, (enum tg_field_id)id);
    if (lua_type(L, 2) != LUA_TSTRING)
        return lua_wrong(L, "row has fields by their names only");
    return extra_get(L);
}

static int row_set(lua_State *L)
{
    int id = field_of(L);

    if (lua_self(L)->o.expression)
        return lua_wrong(L, "an expression changes nothing");
    if (id >= 0)
        return field_set(L, (enum tg_field_id)id);
    if (lua_type(L, 2) != LUA_TSTRING)
        return lua_wrong(L, "row has fields by their names only");
    return extra_set(L);
}

static int global_get(lua_State *L)
{
    int id = field_of(L);
    const char *name;

    if (id >= 0)
        return field_get(L, (enum tg_field_id)id);
    name = luaL_tolstring(L, 2, NULL);
    if (strcmp(name, "now") == 0) {
        lua_pushinteger(L, lua_self(L)->now_us / TG_SECOND_US);
        return 1;
    }
    return lua_wrong(L, "there is no '%s': neither field nor function (what was added to a row is "
                        "row.%s)", name, name);
}

static int global_set(lua_State *L)
{
    const char *name = luaL_tolstring(L, 2, NULL);

    if (field_of(L) >= 0)
        return lua_wrong(L, "write row.%s = ... to set the field", name);
    return lua_wrong(L, "write local %s = ..., or row.%s = ... to add it to the row", name, name);
}

/* Sets, in the table at the top, a function that knows the names of fields; they are below it. */
static void set_function(lua_State *L, const char *name, lua_CFunction fn)
{
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, fn, 1);
    lua_setfield(L, -2, name);
}

void lua_open_fields(lua_State *L)
{
    struct tg_lua *l = lua_self(L);

    lua_newtable(L);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, tg_field((enum tg_field_id)i)->name);
    }
    lua_newtable(L); /* globals, names, their metatable */
    set_function(L, "__index", global_get);
    set_function(L, "__newindex", global_set);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -4);
    lua_pop(L, 1);
    lua_newtable(L);
    set_function(L, "__index", row_get);
    set_function(L, "__newindex", row_set);
    lua_newuserdatauv(L, 0, 0);
    lua_insert(L, -2);
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
    lua_pushstring(L, "row");
    lua_insert(L, -2);
    lua_rawset(L, -3);
    lua_newtable(L);
    l->extra = luaL_ref(L, LUA_REGISTRYINDEX);
}

#else
typedef int tg_lua_fields_are_absent; /* a translation unit may not be empty */
#endif
