/* SPDX-License-Identifier: MIT */
/*
 * mistake.c - see mistake.h
 */
#include "config/mistake.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void tg_mistakes_done(struct tg_mistakes *m)
{
    if (m->item)
        explicit_bzero(m->item, m->cap * sizeof *m->item); /* they quote values */
    free(m->item);
    *m = (struct tg_mistakes){ 0 };
}

static struct tg_mistake *room(struct tg_mistakes *m)
{
    static _Thread_local struct tg_mistake not_kept;

    m->n_errors++;
    if (m->n == m->cap && m->cap < TG_MISTAKES_MAX) {
        size_t cap = m->cap ? TG_MIN(m->cap * 2, (size_t)TG_MISTAKES_MAX) : 16;
        struct tg_mistake *item = realloc(m->item, cap * sizeof *item);

        if (item) {
            m->item = item;
            m->cap = cap;
        }
        m->nomem = m->nomem || !item;
    }
    return m->n < m->cap ? &m->item[m->n++] : &not_kept;
}

struct tg_mistake *tg_mistakes_add(struct tg_mistakes *m, unsigned line, unsigned column,
                                   const char *fmt, ...)
{
    struct tg_mistake *one = room(m);
    char text[sizeof one->err.message];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    *one = (struct tg_mistake){ .line = line, .column = column };
    tg_fail(&one->err, TG_USAGE, "%s", text);
    return one;
}

void tg_mistakes_take(struct tg_mistakes *m, unsigned line, unsigned column,
                      const struct tg_error *err)
{
    *room(m) = (struct tg_mistake){ .line = line, .column = column, .err = *err };
}

static int by_place(const void *a, const void *b)
{
    const struct tg_mistake *x = a, *y = b;

    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->column < y->column ? -1 : x->column > y->column;
}

void tg_mistakes_sort(struct tg_mistakes *m)
{
    if (m->n)
        qsort(m->item, m->n, sizeof *m->item, by_place);
}
