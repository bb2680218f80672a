/* SPDX-License-Identifier: MIT */
/*
 * lua_patterns.c - find, match, gmatch and gsub beside Lua's own
 *
 * Each seed draws patterns and texts of few letters and many signs, and calls both with the same
 * arguments: results are equal, and so is whether they are refused. With few steps left nothing
 * but that is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The thread sanitizer loses count of frames that Lua's errors leave by longjmp. */
#if defined(TG_HAVE_LUA) && !defined(__SANITIZE_THREAD__)
#include "client/lua_impl.h"
#include "tests/seeds.h"

#include <lualib.h>

enum { SEEDS = 100000 };

static struct tg_lua self = { .o = { .steps = 1000000 } };

/* own, s, p, init, r -> what differs, or nil */
static const char both[] =
    "local own, s, p, init, r = ...\n"
    "local function all(f, ...)\n"
    "  local t = table.pack(pcall(f, ...))\n"
    "  if not t[1] then return 'refused' end\n"
    "  for i = 1, t.n do t[i] = tostring(t[i]) end\n"
    "  return table.concat(t, '|')\n"
    "end\n"
    "local function every(gmatch)\n"
    "  local t = {}\n"
    "  for a, b in gmatch(s, p, init) do t[#t + 1] = tostring(a) .. ',' .. tostring(b) end\n"
    "  return table.concat(t, ';')\n"
    "end\n"
    "local function differ(name, ...)\n"
    "  local a, b = all(string[name], ...), all(own[name], ...)\n"
    "  if a ~= b then return name .. ': ' .. a .. ' and ' .. b end\n"
    "end\n"
    "local a, b = all(every, string.gmatch), all(every, own.gmatch)\n"
    "return differ('find', s, p, init) or differ('find', s, p, init, true)\n"
    "  or differ('match', s, p, init) or differ('gsub', s, p, r, 3)\n"
    "  or differ('gsub', s, p, function(x) return #tostring(x) < 2 and 'f' end)\n"
    "  or differ('gsub', s, p, { a = 'A', ['1'] = 7 })\n"
    "  or (a ~= b and 'gmatch: ' .. a .. ' and ' .. b) or nil\n";

static void draw_text(struct random *r, char *out, const char *const *piece, size_t n, int most)
{
    size_t len = 0;

    for (uint32_t left = below(r, (uint32_t)most); left; left--) {
        const char *p = piece[below(r, (uint32_t)n)];

        memcpy(out + len, p, strlen(p));
        len += strlen(p);
    }
    out[len] = 0;
}

static void they_find_the_same(void **state)
{
    static const char *const letter[] = { "a", "b", "ab", "1", " ", "(", ")", "]", "-", "\xc3", "%",
                                          "A", "^", "aaa" };
    static const char *const item[] = { "a",   "b",   ".",    "%a",     "%d",  "%s",   "%W", "[ab]",
                                        "[^a]", "[%a]", "[a-b]", "[]a]", "[^]]", "*",    "+",  "-",
                                        "?",   "(",   ")",    "()",     "%1",  "%2",   "$",  "^",
                                        "%b()", "%f[%a]", "%",  "[",     "%%",  "[a-",  "%f", "%b",
                                        ".-",  "(.-)", "%g",  "%x",     "%u",  "%l",   "%p", "%c",
                                        "[%w_-]", "%z", "\x81" };
    static const char *const put[] = { "x", "%0", "%1", "%2", "%%", "%", "" };
    lua_State *L = luaL_newstate();

    (void)state;
    assert_non_null(L);
    *(struct tg_lua **)lua_getextraspace(L) = &self;
    luaL_openlibs(L);
    lua_newtable(L);
    lua_open_strings(L);
    assert_int_equal(luaL_loadstring(L, both), LUA_OK);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct random r = { seed };
        char s[128], p[128], rep[32];
        lua_Integer init = (lua_Integer)below(&r, 16) - 6;

        draw_text(&r, s, letter, TG_COUNT(letter), 12);
        draw_text(&r, p, item, TG_COUNT(item), 8);
        draw_text(&r, rep, put, TG_COUNT(put), 4);
        self.left = self.o.steps;
        lua_settop(L, 2);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 1);
        lua_pushstring(L, s);
        lua_pushstring(L, p);
        lua_pushinteger(L, init);
        lua_pushstring(L, rep);
        if (lua_pcall(L, 5, 1, 0) != LUA_OK || !lua_isnil(L, -1))
            fail_msg("seed %llu: \"%s\", \"%s\", %d, \"%s\": %s", (unsigned long long)seed, s, p,
                     (int)init, rep, lua_tostring(L, -1));
    }
    lua_close(L);
}

/* Steps run out, whatever is done; one call takes at most what is there. */
static void it_ends(void **state)
{
    static const char *const item[] = { "a*", "a-", "(a*)", ".-", "a?", "a+", "[^b]-", "%b()" };
    lua_State *L = luaL_newstate();
    char s[2001];

    (void)state;
    memset(s, 'a', sizeof s - 1);
    s[sizeof s - 1] = 0;
    *(struct tg_lua **)lua_getextraspace(L) = &self;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct random r = { seed };
        char p[128];

        draw_text(&r, p, item, TG_COUNT(item), 12);
        memcpy(p + strlen(p), "b", 2);
        lua_settop(L, 0);
        lua_newtable(L);
        lua_open_strings(L);
        lua_getfield(L, -1, seed % 2 ? "find" : "gsub");
        lua_pushstring(L, s);
        lua_pushstring(L, p);
        lua_pushstring(L, "");
        if (seed % 2)
            lua_pop(L, 1);
        self.left = self.o.steps;
        if (lua_pcall(L, seed % 2 ? 2 : 3, 1, 0) != LUA_OK && self.left >= 0 &&
            !strstr(lua_tostring(L, -1), "too"))
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, p, lua_tostring(L, -1));
        assert_true(self.left >= -300);
    }
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_find_the_same),
        cmocka_unit_test(it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void)
{
    return 77; /* there is nothing to compare with */
}
#endif
