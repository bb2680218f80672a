/* SPDX-License-Identifier: MIT */
/*
 * lua_pattern.h - Lua's patterns, with an end
 *
 * Lua's own matcher tries every way in which a pattern can match: ".-.-.-.-x" over a long text
 * takes years, and no instruction is counted meanwhile. This one finds the same, and takes each
 * character that it tries from a number of steps.
 *
 * Pure. Limits: 32 captures, 200 levels
 */
#ifndef TG_CLIENT_LUA_PATTERN_H
#define TG_CLIENT_LUA_PATTERN_H

#include "base/base.h"

enum { TG_PATTERN_CAPTURES = 32, TG_CAPTURE_OPEN = -1, TG_CAPTURE_PLACE = -2 };

struct tg_pattern {
    const char *src, *src_end;
    const char *end;   /* of the pattern; a NUL stands there */
    int64_t *left;     /* steps; below 0: it was stopped */
    const char *fault; /* what is wrong with the pattern; NULL */
    int depth;
    int n_captures;
    struct tg_capture {
        const char *at;
        ptrdiff_t len; /* or TG_CAPTURE_... */
    } capture[TG_PATTERN_CAPTURES];
};

/** Matches a pattern, without its "^", at one place.
 *  @return the end of what matches; NULL: nothing does, or `fault` is set, or no step is left */
const char *tg_pattern_match(struct tg_pattern *m, const char *at, const char *pattern);

#endif
