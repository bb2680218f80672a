/* SPDX-License-Identifier: MIT */
/*
 * seen.h - which keys have come before, exactly, in bounded memory
 *
 *   table of keys in memory  --(full)-->  sorted run on disk
 *                                         runs of like size become one
 *
 * A key is 128 bits of a good hash: two different things are one with a chance of n^2 / 2^129. Of
 * a run the first key of each 256 stays in memory, so that a question costs one read for each run;
 * since each run is more than twice as large as the next, there are few.
 *
 * Threads: none      Limits: 40 runs, which no disk holds
 */
#ifndef TG_QUALITY_SEEN_H
#define TG_QUALITY_SEEN_H

#include "base/base.h"

enum { TG_SEEN_RUNS = 40, TG_SEEN_BLOCK = 256 };

struct tg_seen_key {
    uint64_t a, b;
};

/** Files without a name, gone when they are closed. */
struct tg_seen_disk {
    tg_code (*open)(void **ret_file, struct tg_error *err);
    tg_code (*add)(void *file, const void *bytes, size_t n, struct tg_error *err);
    tg_code (*read)(void *file, uint64_t at, void *bytes, size_t n, struct tg_error *err);
    void (*close)(void *file); /* NULL is nothing */
};

struct tg_seen {
    const struct tg_seen_disk *disk;
    size_t n_max; /* keys in memory */
    struct tg_seen_key *slot; /* open addressing; all bits 0: empty */
    size_t cap, n;
    struct tg_seen_run {
        void *file;
        uint64_t n;
        struct tg_seen_key *first; /* of each block */
    } run[TG_SEEN_RUNS]; /* each more than twice as large as the next, but for the last */
    size_t n_runs;
    uint64_t spills; /* how often memory was full */
};

/** @param disk   NULL: there is none, and memory is not bounded
 *  @param bytes  of memory, about: 24 for each key in it */
void tg_seen_init(struct tg_seen *s, const struct tg_seen_disk *disk, uint64_t bytes);
void tg_seen_done(struct tg_seen *s);

/** Whether a key came before. @return as tg_seen_put */
tg_code tg_seen_has(const struct tg_seen *s, struct tg_seen_key key, bool *ret,
                    struct tg_error *err);

/** Remembers a key. @param ret_new  whether it came for the first time
 *  @return TG_OK; TG_NOMEM; TG_IO, TG_FULL: of the disk */
tg_code tg_seen_put(struct tg_seen *s, struct tg_seen_key key, bool *ret_new,
                    struct tg_error *err);

#endif
