/* SPDX-License-Identifier: MIT */
/*
 * lua_absent.c - lua.h in a build without the library: no program can be made
 */
#ifndef TG_HAVE_LUA

#include "client/lua.h"

tg_code tg_lua_new(const struct tg_lua_options *o, struct tg_lua **ret, struct tg_error *err)
{
    (void)o, (void)ret;
    tg_fail(err, TG_UNSUPPORTED, "this build has no Lua: it knows no expressions");
    return tg_hint(err, "build it with liblua5.4-dev installed; `tgdata version` lists what is "
                        "built in");
}

void tg_lua_free(struct tg_lua *l)
{
    (void)l;
}

tg_code tg_lua_run(struct tg_lua *l, struct tg_row_edit *edit, int64_t now_us, bool *ret_value,
                   struct tg_error *err)
{
    (void)l, (void)edit, (void)now_us, (void)ret_value;
    return tg_fail(err, TG_UNSUPPORTED, "this build has no Lua");
}

#else
typedef int tg_lua_is_built_in; /* a translation unit may not be empty */
#endif
