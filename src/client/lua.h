/* SPDX-License-Identifier: MIT */
/*
 * lua.h - expressions and small programs over rows, in Lua, fenced in
 *
 *   where?expr=word_count > 3 and not post      an expression: is the row to stay?
 *   row.text = row.text:upper()                 a program: changes the row; `return false` drops it
 *
 * What a program sees (docs/expressions.md is the manual): the row's fields as globals and as
 * row.NAME, `now`, time(), utc(), and those parts of Lua's own library that reckon: string, math,
 * table, utf8. There are no files, no processes, no clock, no other code to load, nothing that
 * outlives a row: what it says of a row depends on that row and `now` alone.
 *
 * What it costs is bounded for each row: memory, and steps. A step is an instruction of the
 * machine, a character tried in a pattern (patterns can be made that never end), 32 bytes of memory
 * asked for. Beside that stands the processor's time, for what is not counted.
 *
 * Threads: one at a time for each program
 * Limits:  1 MiB of code, 200 levels of calls, 1 s of the processor for each row
 */
#ifndef TG_CLIENT_LUA_H
#define TG_CLIENT_LUA_H

#include "base/row.h"

enum { TG_LUA_CODE_MAX = 1 << 20 };

struct tg_lua;

struct tg_lua_options {
    const char *name;  /* before each message: "where?expr=..."; borrowed */
    const char *code;  /* NULL: what is in `file` */
    const char *file;
    bool expression;   /* one value, rather than statements */
    int64_t steps;     /* for each row */
    int64_t memory;    /* bytes, in all */
};

/** Compiles a program. @return TG_USAGE: it is none; TG_UNSUPPORTED: built without Lua;
 *  TG_NOT_FOUND, TG_IO: its file; TG_NOMEM */
tg_code tg_lua_new(const struct tg_lua_options *o, struct tg_lua **ret, struct tg_error *err);
void tg_lua_free(struct tg_lua *l); /* NULL is nothing */

/**
 * Runs it over a row, which it may have changed in part when it failed.
 * @param ret_value  what it returned: false for false and nil; true if it returned nothing
 * @return TG_OK; TG_DATA: it cannot be done with this row, or takes too much; TG_USAGE: with no
 *         row; TG_LIMIT: the batch has no room for its texts
 */
tg_code tg_lua_run(struct tg_lua *l, struct tg_row_edit *edit, int64_t now_us, bool *ret_value,
                   struct tg_error *err);

#endif
