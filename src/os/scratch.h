/* SPDX-License-Identifier: MIT */
/*
 * scratch.h - a file without a name, for what is too much for memory; gone when it is closed
 *
 * It lies in the directory TMPDIR names, else in /tmp, and only its owner can read it.
 *
 * Threads: one at a time per file
 */
#ifndef TG_OS_SCRATCH_H
#define TG_OS_SCRATCH_H

#include "base/base.h"

struct tg_scratch {
    int fd; /* -1: not open */
    uint64_t size;
};

/** @return TG_IO naming the directory */
tg_code tg_scratch_open(struct tg_scratch *s, struct tg_error *err);
/** Appends. @return TG_FULL; TG_IO */
tg_code tg_scratch_add(struct tg_scratch *s, const void *bytes, size_t n, struct tg_error *err);
/** Reads n bytes at an offset, all of them there. @return TG_IO */
tg_code tg_scratch_read(const struct tg_scratch *s, uint64_t at, void *bytes, size_t n,
                        struct tg_error *err);
/** Drops what is behind the first `size` bytes. */
void tg_scratch_cut(struct tg_scratch *s, uint64_t size);
/** Frees its room; it is open still, or must be opened again. */
void tg_scratch_empty(struct tg_scratch *s);
void tg_scratch_close(struct tg_scratch *s); /* also one that is not open */

#endif
