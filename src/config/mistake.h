/* SPDX-License-Identifier: MIT */
/*
 * mistake.h - all that is wrong with a file, each with its place, gathered before any is told
 *
 * Threads: none: value type      Limits: MISTAKES_MAX; what comes behind is only counted
 */
#ifndef TG_MISTAKE_H
#define TG_MISTAKE_H

#include "base/base.h"
#include "tgdata/error.h"

enum { TG_MISTAKES_MAX = 1000 };

/** One mistake: where, and what a struct tg_error says of it. Lines and columns count from 1. */
struct tg_mistake {
    unsigned line, column;
    bool warning; /* the file can be loaded all the same, */
    bool advice;  /* and be run as well */
    struct tg_error err;
};

struct tg_mistakes {
    struct tg_mistake *item;
    size_t n, cap;
    size_t n_errors; /* those that are no warnings, also the ones that found no room */
    bool nomem;
};

void tg_mistakes_done(struct tg_mistakes *m); /* safe on a zeroed struct */

/** Adds one with its text. @return it, for a hint; never NULL: without memory it is one that is
 *  not kept */
struct tg_mistake *tg_mistakes_add(struct tg_mistakes *m, unsigned line, unsigned column,
                                   const char *fmt, ...) TG_PRINTF(4, 5);

/** Adds one that an error tells. */
void tg_mistakes_take(struct tg_mistakes *m, unsigned line, unsigned column,
                      const struct tg_error *err);

/** Puts them into the order of the file. */
void tg_mistakes_sort(struct tg_mistakes *m);

#endif
