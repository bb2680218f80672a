/* SPDX-License-Identifier: MIT */
/*
 * lua_strings.c - string.find, match, gmatch, gsub as Lua has them, over a matcher that ends
 */
#ifdef TG_HAVE_LUA

#include "client/lua_impl.h"

#include <stdlib.h>

#include "client/lua_pattern.h"

static void start(lua_State *L, struct tg_pattern *m, const char *s, size_t ls, const char *p,
                  size_t lp)
{
    *m = (struct tg_pattern){ .src = s, .src_end = s + ls, .end = p + lp,
                              .left = &lua_self(L)->left };
}

/* As tg_pattern_match; raises what is wrong. */
static const char *match_at(lua_State *L, struct tg_pattern *m, const char *s, const char *p)
{
    const char *end = tg_pattern_match(m, s, p);

    if (*m->left < 0)
        lua_exhausted(L);
    if (m->fault)
        luaL_error(L, "%s", m->fault);
    return end;
}

/* Leaves capture i at the top; the first of a pattern without any is all that matched. */
static void push_capture(lua_State *L, const struct tg_pattern *m, int i, const char *s,
                         const char *end)
{
    if (i >= m->n_captures) {
        if (i != 0)
            luaL_error(L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(L, s, (size_t)(end - s));
    } else if (m->capture[i].len == TG_CAPTURE_PLACE) {
        lua_pushinteger(L, m->capture[i].at - m->src + 1);
    } else if (m->capture[i].len == TG_CAPTURE_OPEN) {
        luaL_error(L, "unfinished capture");
    } else {
        lua_pushlstring(L, m->capture[i].at, (size_t)m->capture[i].len);
    }
}

/* @param s  NULL: without captures nothing is left */
static int push_captures(lua_State *L, const struct tg_pattern *m, const char *s, const char *end)
{
    int n = m->n_captures == 0 && s ? 1 : m->n_captures;

    luaL_checkstack(L, n, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(L, m, i, s, end);
    return n;
}

/* Where a position, counted from 1 or from the end, is in a text: from 0 on. */
static size_t place_of(lua_Integer at, size_t len)
{
    if (at > 0)
        return (size_t)at - 1;
    if (at == 0 || at < -(lua_Integer)len)
        return 0;
    return len - (size_t)-at;
}

static int find_plain(lua_State *L, const char *s, size_t ls, size_t from, const char *p, size_t lp)
{
    const char *at;

    lua_spend(L, (int64_t)((ls - from) / 16));
    at = lp ? memmem(s + from, ls - from, p, lp) : s + from;
    if (!at) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (lua_Integer)lp);
    return 2;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t ls, lp;
    const char *s = luaL_checklstring(L, 1, &ls), *p = luaL_checklstring(L, 2, &lp), *end;
    size_t from = place_of(luaL_optinteger(L, 3, 1), ls);
    bool anchor = *p == '^';
    struct tg_pattern m;

    if (from > ls) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || strcspn(p, "^$*+?.([%-") == lp))
        return find_plain(L, s, ls, from, p, lp);
    start(L, &m, s, ls, p, lp);
    for (const char *at = s + from; at <= s + ls; at++) {
        end = match_at(L, &m, at, p + anchor);
        if (end && find) {
            lua_pushinteger(L, at - s + 1);
            lua_pushinteger(L, end - s);
            return push_captures(L, &m, NULL, NULL) + 2;
        }
        if (end)
            return push_captures(L, &m, at, end);
        if (anchor)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int find(lua_State *L)
{
    return find_or_match(L, true);
}

static int match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: text, pattern, where to go on, where the last match ended. */
static int next_match(lua_State *L)
{
    size_t ls, lp;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &ls);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &lp);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct tg_pattern m;

    start(L, &m, s, ls, p, lp);
    for (const char *at = s + lua_tointeger(L, lua_upvalueindex(3)); at <= s + ls; at++) {
        const char *end = match_at(L, &m, at, p);

        if (!end || end - s == last)
            continue;
        lua_pushinteger(L, end - s);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(L, &m, at, end);
    }
    return 0;
}

static int gmatch(lua_State *L)
{
    size_t ls, from;

    luaL_checklstring(L, 1, &ls);
    luaL_checkstring(L, 2);
    from = place_of(luaL_optinteger(L, 3, 1), ls);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)TG_MIN(from, ls + 1));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, next_match, 4);
    return 1;
}

/* ---- gsub ---- */

/* Adds a replacement that is a text: %0 to %9 are captures. */
static void add_text(lua_State *L, luaL_Buffer *b, const struct tg_pattern *m, const char *s,
                     const char *end)
{
    size_t len;
    const char *text = lua_tolstring(L, 3, &len), *stop = text + len, *at;

    for (; (at = memchr(text, '%', (size_t)(stop - text))); text = at + 2) {
        luaL_addlstring(b, text, (size_t)(at - text));
        if (at[1] == '%') {
            luaL_addchar(b, '%');
        } else if (at[1] == '0') {
            luaL_addlstring(b, s, (size_t)(end - s));
        } else if (at[1] >= '1' && at[1] <= '9') {
            push_capture(L, m, at[1] - '1', s, end);
            luaL_tolstring(L, -1, NULL);
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
    luaL_addlstring(b, text, (size_t)(stop - text));
}

/* Adds what a match is replaced with. @return whether that is something else */
static bool add_value(lua_State *L, luaL_Buffer *b, const struct tg_pattern *m, const char *s,
                      const char *end)
{
    int type = lua_type(L, 3);

    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, m, s, end), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(L, m, 0, s, end);
        lua_gettable(L, 3);
    } else {
        add_text(L, b, m, s, end);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(end - s));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

static int gsub(lua_State *L)
{
    size_t ls, lp;
    const char *s = luaL_checklstring(L, 1, &ls), *p = luaL_checklstring(L, 2, &lp);
    const char *stop = s + ls, *last = NULL;
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)ls + 1), n = 0;
    bool anchor = *p == '^', changed = false;
    struct tg_pattern m;
    luaL_Buffer b;

    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                            type == LUA_TTABLE, 3, "string/function/table");
    if (type == LUA_TNUMBER)
        lua_tolstring(L, 3, NULL);
    luaL_buffinit(L, &b);
    start(L, &m, s, ls, p, lp);
    while (n < most) {
        const char *end = match_at(L, &m, s, p + anchor);

        if (end && end != last) {
            n++;
            changed |= add_value(L, &b, &m, s, end);
            s = last = end;
        } else if (s < stop) {
            luaL_addchar(&b, *s++);
        } else {
            break;
        }
        if (anchor)
            break;
    }
    if (!changed) {
        lua_pushvalue(L, 1);
    } else {
        luaL_addlstring(&b, s, (size_t)(stop - s));
        luaL_pushresult(&b);
    }
    lua_pushinteger(L, n);
    return 2;
}

void lua_open_strings(lua_State *L)
{
    static const luaL_Reg own[] = { { "find", find }, { "match", match }, { "gmatch", gmatch },
                                    { "gsub", gsub }, { NULL, NULL } };

    luaL_setfuncs(L, own, 0);
}

#else
typedef int tg_lua_strings_are_absent; /* a translation unit may not be empty */
#endif
