/* SPDX-License-Identifier: MIT */
/*
 * arena.c - see arena.h
 */
#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>

enum { BLOCK_MIN = 16 * 1024 };

struct tg_arena_block {
    struct tg_arena_block *older;
    size_t size; /* of data */
    _Alignas(16) uint8_t data[];
};

void tg_arena_init(struct tg_arena *a, size_t max)
{
    assert(max > 0);
    *a = (struct tg_arena){ .max = max };
}

static void free_from(struct tg_arena_block *b)
{
    while (b) {
        struct tg_arena_block *older = b->older;

        free(b);
        b = older;
    }
}

void tg_arena_done(struct tg_arena *a)
{
    free_from(a->newest);
    *a = (struct tg_arena){ .max = a->max };
}

void tg_arena_wipe(struct tg_arena *a)
{
    for (struct tg_arena_block *b = a->newest; b; b = b->older)
        explicit_bzero(b->data, b->size);
    tg_arena_done(a);
}

void tg_arena_clear(struct tg_arena *a)
{
    struct tg_arena_block *keep = a->newest, *b = a->newest;

    if (!keep)
        return;
    /* The largest is the newest, but for one that was cut short by `max`. */
    for (; b; b = b->older)
        if (b->size > keep->size)
            keep = b;
    for (b = a->newest; b;) {
        struct tg_arena_block *older = b->older;

        if (b != keep)
            free(b);
        b = older;
    }
    keep->older = NULL;
    a->newest = keep;
    a->at = keep->data;
    a->end = keep->data + keep->size;
    a->total = keep->size;
}

static bool add_block(struct tg_arena *a, size_t need)
{
    size_t size = TG_MAX((size_t)BLOCK_MIN, a->newest ? a->newest->size * 2 : 0);
    struct tg_arena_block *b;

    if (size > a->max - a->total)
        size = a->max - a->total;
    size = TG_MAX(size, need);
    if (size > a->max - a->total)
        return false;
    b = malloc(sizeof *b + size);
    if (!b)
        return false;
    b->older = a->newest;
    b->size = size;
    a->newest = b;
    a->at = b->data;
    a->end = b->data + size;
    a->total += size;
    return true;
}

void *tg_arena_alloc(struct tg_arena *a, size_t n, size_t size)
{
    size_t bytes, pad = -(uintptr_t)a->at & 7;

    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - 8)
        return NULL;
    if (!a->newest || bytes + pad > (size_t)(a->end - a->at)) {
        if (!add_block(a, bytes))
            return NULL;
        pad = 0;
    }
    a->at += pad + bytes;
    return memset(a->at - bytes, 0, bytes);
}

void *tg_arena_bytes(struct tg_arena *a, size_t n)
{
    if ((!a->newest || n > (size_t)(a->end - a->at)) && !add_block(a, n))
        return NULL;
    a->at += n;
    return a->at - n;
}

char *tg_arena_copy(struct tg_arena *a, const void *bytes, size_t n)
{
    char *text = n == SIZE_MAX ? NULL : tg_arena_bytes(a, n + 1);

    if (!text)
        return NULL;
    if (n)
        memcpy(text, bytes, n);
    text[n] = 0;
    return text;
}
