/* SPDX-License-Identifier: MIT */
/*
 * stage_pool.h - steps over batches on several threads, given back in the order they were put
 *
 *             put 1 2 3 4 5
 *                  |
 *       waiting [ 4 5 ]          taken from the front by whoever is free
 *          worker A: 2   worker B: 3      min..max threads (flow/elastic.h), each with stages of
 *       done    [ 1 _ _ ]                 its own, since stages are single-threaded
 *                  |
 *             take 1
 *
 * Nothing is bounded here: whoever puts keeps within the credit it has. A step that fails stops the
 * pool: batches before it still come out, then the failure, and nothing after it. Batches are never
 * dropped: one whose rows are all filtered out comes out empty, since its cursor counts.
 *
 * The stage `decode` is refused: what it makes rows from is not there. So is `dedup`, which must
 * see all rows.
 *
 * Threads: new, put, take, state, free: one at a time. `wake` is called on a worker, with no lock
 *          held, and may only tell the loop (tg_loop_post and the like)
 * Limits:  64 workers, 64 steps
 */
#ifndef TG_STAGE_POOL_H
#define TG_STAGE_POOL_H

#include "base/row.h"
#include "etl/stage_report.h"
#include "tgdata/quality.h"
#include "tgdata/stage.h"

enum { TG_STAGE_POOL_WORKERS_MAX = 64 };

struct tg_stage_pool;

struct tg_stage_pool_options {
    const struct tg_step *step; /* borrowed until free, and what it points to */
    size_t n_steps;             /* 0: no threads; batches come out as they were put */
    unsigned min, max;          /* workers, 1 <= min <= max <= 64 */
    /* the batch that is next in order is done, or the pool failed: take() has something. May be
     * called once too often. NULL: nobody waits */
    void (*wake)(void *ctx);
    void *ctx;
};

struct tg_stage_pool_state {
    unsigned workers;    /* threads now */
    unsigned workers_top;/* the most there were */
    unsigned busy;       /* of them, with a batch in hand */
    size_t waiting;      /* batches that no worker has begun */
    size_t done;         /* finished, not taken: behind one that is not */
    uint64_t rows_in;    /* of the batches that are finished */
    uint64_t dropped;    /* rows of them, by steps */
    uint64_t aside;      /* of those, rows that rules have set aside (struct tg_row_aside) */
    uint64_t failed;     /* rows that a stage failed for and its on-error kept or dropped */
    char failed_why[200];/* the first of those; "" */
    uint64_t judged, invalid; /* rows that a rule looked at; of them, that broke one */
    int64_t busy_us;     /* time that workers had a batch in hand, together */
    unsigned grown, shrunk; /* how often a worker was added, taken away */
};

/** Opens the stages of all workers and starts `min` of them.
 *  @return TG_USAGE: a stage there is not, its options are wrong, or it is `decode`; TG_NOMEM */
tg_code tg_stage_pool_new(const struct tg_stage_pool_options *o, struct tg_stage_pool **ret,
                          struct tg_error *err);

/** Waits for the batches that workers have in hand, and frees all that were not taken. NULL is
 *  nothing. */
void tg_stage_pool_free(struct tg_stage_pool *pool);

/** Hands a batch over; never waits. Steps change its rows and its arena, nothing else.
 *  @return TG_NOMEM: it is still the caller's */
tg_code tg_stage_pool_put(struct tg_stage_pool *pool, struct tg_batch *batch,
                          struct tg_error *err);

/** Gives the next batch, in the order of put. @return TG_OK; TG_AGAIN: it is not done, or there is
 *  none; or what a step failed with, then and ever after: TG_DATA, TG_NOMEM, a callback's code */
tg_code tg_stage_pool_take(struct tg_stage_pool *pool, struct tg_batch **ret,
                           struct tg_error *err);

/** Ends the workers; what their stages have gathered is told (etl/stage_report.h). Once; nothing is
 *  put any more, and what is done can still be taken. */
tg_code tg_stage_pool_end(struct tg_stage_pool *pool, const struct tg_stage_report *run,
                          struct tg_quality_result *ret, struct tg_error *err);

void tg_stage_pool_state(struct tg_stage_pool *pool, struct tg_stage_pool_state *ret);

#endif
