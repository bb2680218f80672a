/* SPDX-License-Identifier: MIT */
/*
 * lua.c - the machine: what a program may use, and what it may cost; see lua.h
 *
 * A program is compiled once and called for each row, with globals that are the row's fields
 * (lua_fields.c) and tables of functions that cannot be changed. What is not in the list `allowed`
 * is not there: nothing loads code, dumps it, or reaches a table behind another (getmetatable,
 * setmetatable, rawset), and no error can be caught, so that a program that has used up its steps
 * ends.
 *
 * Steps are counted in a hook every so many instructions, in the allocator, and by functions that
 * go over much with one instruction.
 */
#ifdef TG_HAVE_LUA

#include "client/lua_impl.h"

#include <assert.h>
#include <lualib.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "os/fs.h"

enum { HOOK_STEPS = 1000, BYTES_PER_STEP = 32, SHORT_CODE = 400, SORT_WEIGHT = 20 };
static const int64_t row_cpu_us = TG_SECOND_US;
static const char too_many[] = "it takes more than %I steps; see the option `steps`";

/* ---- what it costs ---- */

static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * TG_SECOND_US + t.tv_nsec / 1000;
}

static void *allocate(void *ctx, void *old, size_t old_size, size_t size)
{
    struct tg_lua *l = ctx;
    int64_t more = (int64_t)size - (old ? (int64_t)old_size : 0);
    void *fresh;

    if (size == 0) {
        free(old);
        l->used += more;
        return NULL;
    }
    if (more > 0 && l->used + more > l->o.memory) {
        l->full = true;
        return NULL;
    }
    if (more > 0 && l->runs && (l->left -= more / BYTES_PER_STEP) < 0)
        return NULL;
    fresh = realloc(old, size);
    if (fresh)
        l->used += more;
    return fresh;
}

int lua_exhausted(lua_State *L)
{
    struct tg_lua *l = lua_self(L);

    l->left = -1;
    return luaL_error(L, too_many, (LUAI_UACINT)l->o.steps);
}

void lua_spend(lua_State *L, int64_t steps)
{
    struct tg_lua *l = lua_self(L);

    if ((l->left -= steps) < 0)
        lua_exhausted(L);
}

static void hook(lua_State *L, lua_Debug *at)
{
    struct tg_lua *l = lua_self(L);

    (void)at;
    l->left -= HOOK_STEPS;
    if (!l->cpu_end_us)
        l->cpu_end_us = cpu_us() + row_cpu_us;
    if (l->left >= 0 && cpu_us() < l->cpu_end_us)
        return;
    luaL_where(L, 0);
    lua_pushfstring(L, l->left < 0 ? too_many : "it takes more than a second",
                    (LUAI_UACINT)l->o.steps);
    l->left = -1;
    lua_concat(L, 2);
    lua_error(L);
}

static bool is_name(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool has_word(const char *code, size_t len, const char *word)
{
    const char *end = code + len;
    size_t n = strlen(word);

    for (const char *at = code; (at = memmem(at, (size_t)(end - at), word, n)); at++)
        if ((at == code || !is_name(at[-1])) && (at + n == end || !is_name(at[n])))
            return true;
    return false;
}

/* A program that has nothing which could make it go round is over before anything is counted. */
static bool goes_round(const char *code, size_t len)
{
    static const char *const word[] = { "while", "for", "repeat", "goto", "function" };

    for (size_t i = 0; i < TG_COUNT(word); i++)
        if (has_word(code, len, word[i]))
            return true;
    return len > SHORT_CODE;
}

/* ---- what it may use ---- */

/* Functions that go over all of a text or table, for each of it so many steps; upvalues: which, how
 * many. Where a table is grown or cut at its end, nothing else of it is moved. */
static int weighed(lua_State *L)
{
    lua_CFunction fn = lua_tocfunction(L, lua_upvalueindex(1));
    int64_t weight = lua_tointeger(L, lua_upvalueindex(2));
    int64_t least = lua_tointeger(L, lua_upvalueindex(3));

    if (lua_type(L, 1) == LUA_TSTRING)
        lua_spend(L, (int64_t)lua_rawlen(L, 1) / BYTES_PER_STEP);
    else if (lua_type(L, 1) == LUA_TTABLE && lua_gettop(L) >= least)
        lua_spend(L, (int64_t)lua_rawlen(L, 1) * weight);
    return fn(L);
}

static int no_change(lua_State *L)
{
    return lua_wrong(L, "this table cannot be changed");
}

static int time_of(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    int64_t at;

    if (!tg_time_parse(text, &at))
        return luaL_error(L, "'%s' is no time such as 2024-01-15T10:30:00Z", text);
    lua_pushinteger(L, at);
    return 1;
}

static int utc_of(lua_State *L)
{
    char text[21];

    if (!tg_time_utc(text, luaL_checkinteger(L, 1)))
        return luaL_error(L, "the time is not in the years 1 to 9999");
    lua_pushstring(L, text);
    return 1;
}

/* Characters, where # counts bytes; a byte that belongs to none counts as one. */
static int characters_of(lua_State *L)
{
    size_t len;
    const char *text = luaL_optlstring(L, 1, "", &len);
    lua_Integer n = 0;

    lua_spend(L, (int64_t)(len / 16));
    for (size_t i = 0; i < len; i++)
        n += ((uint8_t)text[i] & 0xc0) != 0x80;
    lua_pushinteger(L, n);
    return 1;
}

/* From where, what. Before the name of what is weighed: '*' always, '3' and '2' with so many
 * arguments, '!' as what sorts. */
static const struct {
    const char *from, *names;
} allowed[] = {
    { "_G", "assert error ipairs next pairs select *tonumber tostring type" },
    { "string", "*byte char find format gmatch gsub len *lower match rep *reverse sub *upper" },
    { "math", "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min "
              "mininteger modf pi rad sin sqrt tan tointeger type ult" },
    { "table", "*concat 3insert pack 2remove !sort *unpack" },
    { "utf8", "char charpattern *codepoint *codes *len *offset" },
};

/* Copies the names from the table at the top into the one below. */
static void copy_names(lua_State *L, const char *names)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        char mark = *names, name[32];
        bool weigh = strchr("*23!", mark) != NULL;

        assert(n < sizeof name);
        snprintf(name, sizeof name, "%.*s", (int)(n - weigh), names + weigh);
        lua_getfield(L, -1, name);
        assert(!lua_isnil(L, -1));
        if (weigh) {
            lua_pushinteger(L, mark == '!' ? SORT_WEIGHT : 1);
            lua_pushinteger(L, mark == '2' || mark == '3' ? mark - '0' : 0);
            lua_pushcclosure(L, weighed, 3);
        }
        lua_setfield(L, -3, name);
        names += n + strspn(names + n, " ");
    }
}

/* Leaves at the top a table that shows the one there, and cannot be changed. */
static void seal(lua_State *L)
{
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, no_change);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

/* Makes the methods of strings those of the table at the top. */
static void set_methods(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}

/* Leaves the globals of a program at the top. */
static void open_library(lua_State *L)
{
    static const lua_CFunction open[] = { luaopen_base, luaopen_string, luaopen_math,
                                          luaopen_table, luaopen_utf8 };

    lua_newtable(L);
    for (size_t i = 0; i < TG_COUNT(allowed); i++) {
        luaL_requiref(L, allowed[i].from, open[i], false);
        if (open[i] == luaopen_string)
            lua_open_strings(L);
        if (open[i] != luaopen_base) {
            lua_newtable(L);
            lua_insert(L, -2);
        }
        copy_names(L, allowed[i].names);
        lua_pop(L, 1);
        if (open[i] == luaopen_string)
            set_methods(L);
        if (open[i] == luaopen_base)
            continue;
        seal(L);
        lua_setfield(L, -2, allowed[i].from);
    }
    lua_pushcfunction(L, time_of);
    lua_setfield(L, -2, "time");
    lua_pushcfunction(L, utc_of);
    lua_setfield(L, -2, "utc");
    lua_pushcfunction(L, characters_of);
    lua_setfield(L, -2, "len");
}

/* ---- making one ---- */

/* Messages without the name that Lua gives the code: "line 3: ..." */
static const char *mend(const char *message, char line[32])
{
    const char *at = strncmp(message, "line:", 5) == 0 ? strchr(message + 5, ':') : NULL;

    line[0] = 0;
    if (!at || at - message > 20)
        return message;
    snprintf(line, 32, "line %.*s: ", (int)(at - message - 5), message + 5);
    return at + 1 + (at[1] == ' ');
}

static const char *text_of(lua_State *L)
{
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is no text";
}

static tg_code tell(const struct tg_lua *l, tg_code code, const char *where, const char *message,
                    struct tg_error *err)
{
    char line[32];
    const char *rest = mend(message, line);

    tg_fail(err, code, "%.100s: %s%s%.150s", l->o.name, where, l->o.expression ? "" : line, rest);
    for (char *c = err->message; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' '; /* one line */
    return code;
}

struct source {
    struct tg_lua *l;
    const char *code;
    size_t len;
};

/* Raises what is wrong with the code. */
static void compile(lua_State *L, const struct source *s)
{
    luaL_Buffer text;

    luaL_buffinit(L, &text);
    if (s->l->o.expression)
        luaL_addstring(&text, "return ");
    else if (s->len && s->code[0] == '#') /* "#!..." at the beginning of a file */
        luaL_addstring(&text, "--");
    luaL_addlstring(&text, s->code, s->len);
    luaL_pushresult(&text);
    if (luaL_loadbufferx(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=line", "t") != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
}

static int make(lua_State *L)
{
    const struct source *s = lua_touserdata(L, 1);

    compile(L, s);
    open_library(L);
    lua_open_fields(L);
    lua_setupvalue(L, -2, 1); /* the code's globals */
    s->l->chunk = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static tg_code take_code(struct tg_lua *l, const char *code, size_t len, struct tg_error *err)
{
    struct source s = { l, code, len };
    lua_State *L = l->L;
    int status;

    if (memchr(code, 0, len) || has_word(code, len, "_ENV"))
        return tell(l, TG_USAGE, "", "it may have neither _ENV nor NUL characters", err);
    lua_pushcfunction(L, make);
    lua_pushlightuserdata(L, &s);
    status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK)
        return tell(l, status == LUA_ERRRUN ? TG_USAGE : TG_NOMEM, "", text_of(L), err);
    l->counts = goes_round(code, len);
    return TG_OK;
}

static tg_code read_file(const char *path, struct tg_buf *out, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    struct tg_dir *dir;
    tg_code code;

    if (!folder)
        return tg_fail(err, TG_NOMEM, "no memory for %.100s", path);
    code = fs->open_dir(fs, folder, false, &dir, err);
    free(folder);
    if (code != TG_OK)
        return code;
    code = tg_fs_read_all(fs, dir, slash ? slash + 1 : path, TG_LUA_CODE_MAX, out, err);
    fs->close_dir(fs, dir);
    return code;
}

tg_code tg_lua_new(const struct tg_lua_options *o, struct tg_lua **ret, struct tg_error *err)
{
    struct tg_lua *l = calloc(1, sizeof *l);
    struct tg_buf file;
    tg_code code = TG_OK;

    assert(!o->code != !o->file && o->steps > 0 && o->memory > 0);
    if (!l)
        return tg_fail(err, TG_NOMEM, "no memory for %.100s", o->name);
    l->o = *o;
    tg_buf_init(&l->text, (size_t)o->memory);
    tg_buf_init(&file, TG_LUA_CODE_MAX);
    l->L = lua_newstate(allocate, l);
    if (!l->L)
        code = tg_fail(err, TG_NOMEM, "no memory for %.100s", o->name);
    else
        *(struct tg_lua **)lua_getextraspace(l->L) = l;
    if (code == TG_OK && o->file)
        code = read_file(o->file, &file, err);
    if (code == TG_OK && o->code)
        code = take_code(l, o->code, strlen(o->code), err);
    else if (code == TG_OK)
        code = take_code(l, (const char *)file.data, file.len, err);
    tg_buf_done(&file);
    if (code == TG_OK)
        *ret = l;
    else
        tg_lua_free(l);
    return code;
}

void tg_lua_free(struct tg_lua *l)
{
    if (!l)
        return;
    if (l->L)
        lua_close(l->L);
    tg_buf_done(&l->text);
    free(l);
}

/* ---- running it ---- */

int lua_wrong(lua_State *L, const char *fmt, ...)
{
    va_list ap;

    lua_self(L)->code = TG_USAGE;
    luaL_where(L, 1);
    va_start(ap, fmt);
    lua_pushvfstring(L, fmt, ap);
    va_end(ap);
    lua_concat(L, 2);
    return lua_error(L);
}

static int keep_extra(lua_State *L)
{
    lua_keep_extra(L);
    return 0;
}

static tg_code failed(struct tg_lua *l, int status, struct tg_error *err)
{
    const struct tg_row *row = l->edit->row;
    const char *message = text_of(l->L);
    char text[120], where[80];
    tg_code code = l->code != TG_OK ? l->code : TG_DATA;

    if (l->left < 0 && status == LUA_ERRMEM) {
        snprintf(text, sizeof text, "it takes more than %lld steps; see the option `steps`",
                 (long long)l->o.steps);
        message = text;
    } else if (status == LUA_ERRMEM) {
        snprintf(text, sizeof text, "it needs more than %lld KiB; see the option `memory`",
                 (long long)l->o.memory / 1024);
        message = text;
        if (!l->full)
            code = TG_NOMEM;
    }
    snprintf(where, sizeof where, "message %lld of chat %lld: ", (long long)row->id,
             (long long)row->chat_id);
    tell(l, code, where, message, err);
    if (l->absent >= 0 && strstr(message, "nil"))
        tg_hint(err, "the field %s has no value there",
                tg_field((enum tg_field_id)l->absent)->name);
    return code;
}

tg_code tg_lua_run(struct tg_lua *l, struct tg_row_edit *edit, int64_t now_us, bool *ret_value,
                   struct tg_error *err)
{
    lua_State *L = l->L;
    tg_code code = TG_OK;
    int status;

    l->edit = edit;
    l->now_us = now_us;
    l->absent = -1;
    l->code = TG_OK;
    l->left = l->o.steps;
    l->full = l->extra_read = l->extra_changed = false;
    l->cpu_end_us = 0;
    l->runs = true;
    if (l->counts)
        lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_STEPS);
    lua_rawgeti(L, LUA_REGISTRYINDEX, l->chunk);
    status = lua_pcall(L, 0, 1, 0);
    if (status == LUA_OK) {
        bool value = lua_toboolean(L, -1) || (!l->o.expression && !lua_isboolean(L, -1));

        if (l->extra_changed) {
            lua_pushcfunction(L, keep_extra);
            status = lua_pcall(L, 0, 0, 0);
        }
        if (status == LUA_OK)
            *ret_value = value;
    }
    if (status != LUA_OK)
        code = failed(l, status, err);
    l->runs = false;
    lua_settop(L, 0);
    return code;
}

#else
typedef int tg_lua_is_absent; /* a translation unit may not be empty */
#endif
