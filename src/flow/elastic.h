/* SPDX-License-Identifier: MIT */
/*
 * elastic.h - how many workers there should be, between a least and a most, from their load
 *
 *   load of a window of time = how many workers had work in hand, and how much waited, on average
 *
 *   grow    nearly all had (9 of 10), and something waited, GROW_WINDOWS in a row: by half
 *   shrink  one worker less would have been enough with room to spare (7 of 10), and nothing
 *           waited, SHRINK_WINDOWS in a row: by one
 *
 * Between the two lies a band where nothing happens: a load that stays as it is makes the number
 * settle, and never swing. More workers come fast, since what waits is late; they go slowly.
 *
 * Pure: the clock is an argument. Between two calls the load is what the first of them told.
 */
#ifndef TG_ELASTIC_H
#define TG_ELASTIC_H

#include "base/base.h"

#define TG_ELASTIC_WINDOW_US (50 * TG_MS_US)
enum { TG_ELASTIC_GROW_WINDOWS = 2, TG_ELASTIC_SHRINK_WINDOWS = 40 };
/* A step that long behind the last sees the workers go. */
#define TG_ELASTIC_SHRINK_US (TG_ELASTIC_WINDOW_US * (TG_ELASTIC_SHRINK_WINDOWS + 1))

struct tg_elastic {
    unsigned min, max;
    unsigned workers; /* that there should be: the result */
    int64_t window_us;        /* when the window began, */
    int64_t seen_us;          /* and up to when it is summed up */
    unsigned busy;            /* since then */
    size_t waiting;
    int64_t busy_us;          /* sums of the window: workers times microseconds */
    int64_t waiting_us;
    unsigned hot, cold;       /* windows in a row */
    unsigned grown, shrunk;   /* how often */
};

/** Starts with the least. 1 <= min <= max. */
void tg_elastic_init(struct tg_elastic *e, unsigned min, unsigned max, int64_t now_us);

/**
 * Tells the load from now on; to be called when it changes.
 * @param busy     workers with work in hand, at most those there are
 * @param waiting  pieces of work that no worker has begun
 * @return e->workers
 */
unsigned tg_elastic_step(struct tg_elastic *e, int64_t now_us, unsigned busy, size_t waiting);

#endif
