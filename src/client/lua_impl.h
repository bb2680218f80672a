/* SPDX-License-Identifier: MIT */
/*
 * lua_impl.h - what the files of the Lua client share; see lua.h
 *
 *   lua.c          the machine: memory, steps, what it may use, running
 *   lua_fields.c   the row: globals, row.NAME, JSON to tables and back
 *   lua_strings.c  find, match, gmatch, gsub over lua_pattern.h
 *
 * Errors inside a run are Lua's own, by longjmp: what a function here holds is Lua's memory, or
 * belongs to struct tg_lua.
 */
#ifndef TG_CLIENT_LUA_IMPL_H
#define TG_CLIENT_LUA_IMPL_H

#include <lua.h>

#include <lauxlib.h>

#include "client/lua.h"

struct tg_lua {
    struct tg_lua_options o;
    lua_State *L;
    int chunk;    /* in the registry */
    bool counts;  /* instructions: there are loops or functions */

    /* memory */
    int64_t used;
    bool full;

    /* of the run */
    bool runs;
    int64_t left, cpu_end_us;
    struct tg_row_edit *edit;
    int64_t now_us;
    int absent;         /* the last field that was read and had no value; -1 */
    tg_code code;       /* what a failure is, if not TG_DATA */
    bool extra_read, extra_changed;
    int extra;          /* in the registry: member -> its JSON */
    struct tg_buf text; /* JSON under way */
};

static inline struct tg_lua *lua_self(lua_State *L)
{
    return *(struct tg_lua **)lua_getextraspace(L);
}

/** Takes steps; raises an error if none are left. */
void lua_spend(lua_State *L, int64_t steps);

/** Raises the error that no steps are left. */
int lua_exhausted(lua_State *L);

/** Raises an error that no other row would mend. */
int lua_wrong(lua_State *L, const char *fmt, ...) TG_PRINTF(2, 3);

/** Gives the globals, at the top, their ways to the fields, and adds the object `row`. */
void lua_open_fields(lua_State *L);

/** Writes the field `extra`, if a run has changed it. */
void lua_keep_extra(lua_State *L);

/** Puts find, match, gmatch and gsub into the table at the top. */
void lua_open_strings(lua_State *L);

#endif
