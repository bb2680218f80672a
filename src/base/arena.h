/* SPDX-License-Identifier: MIT */
/*
 * arena.h - memory that is freed all at once: a batch's rows, a request's values
 *
 * A chain of blocks; each allocation is taken from the newest, 8-byte aligned and zeroed. Clearing
 * keeps the largest block, so that a pooled arena allocates nothing in the steady state.
 *
 * Threads: none: one owner at a time      Limits: `max` bytes in all
 */
#ifndef TG_ARENA_H
#define TG_ARENA_H

#include "base/base.h"

struct tg_arena_block;

struct tg_arena {
    struct tg_arena_block *newest;
    uint8_t *at, *end; /* free part of the newest block */
    size_t total, max; /* bytes of all blocks; cap of that */
};

void tg_arena_init(struct tg_arena *a, size_t max);
void tg_arena_done(struct tg_arena *a);  /* frees all; safe on a zeroed struct */
void tg_arena_wipe(struct tg_arena *a);  /* the same, and nothing of it stays in freed memory */
void tg_arena_clear(struct tg_arena *a); /* forgets all, keeps the largest block */

/** @return n * size zeroed bytes, 8-byte aligned; NULL past `max` or out of memory */
void *tg_arena_alloc(struct tg_arena *a, size_t n, size_t size);

/** As tg_arena_alloc, but not zeroed and not aligned: for text. */
void *tg_arena_bytes(struct tg_arena *a, size_t n);

/** @return a NUL-terminated copy of n bytes; NULL as tg_arena_alloc */
char *tg_arena_copy(struct tg_arena *a, const void *bytes, size_t n);

/** Bytes held from the system by the arena. */
static inline size_t tg_arena_held(const struct tg_arena *a)
{
    return a->total;
}

#endif
