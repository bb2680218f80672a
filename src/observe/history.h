/* SPDX-License-Identifier: MIT */
/*
 * history.h - the last hour of a few numbers, for charts
 *
 *   | sample | sample | ... | sample |      one of each 5 seconds, 720 of them
 *     first                    last         numbered from 0: who has n asks for those from n on
 *
 * Rates are of the time since the sample before. A sample is taken from what the registry counts.
 *
 * Threads: none: value type, time is an argument
 */
#ifndef TG_OBSERVE_HISTORY_H
#define TG_OBSERVE_HISTORY_H

#include "observe/metrics.h"

enum { TG_HISTORY_MAX = 720 };
#define TG_HISTORY_STEP_US (5 * TG_SECOND_US)

/* What a sample has. */
#define TG_HISTORY(X)                                                                              \
    X(READ, "read_per_s")           /* rows */                                                     \
    X(COMMITTED, "committed_per_s") /* rows */                                                     \
    X(LAG, "lag_s")                 /* mean of its commits; NaN: there were none */                \
    X(ERRORS, "error_ratio")        /* the moving average */                                       \
    X(QUEUE, "queue_batches")                                                                      \
    X(FLOOD, "flood_wait_s")        /* waits that the server named */

enum tg_history_column {
#define TG_HISTORY_ENUM(id, name) TG_HISTORY_##id,
    TG_HISTORY(TG_HISTORY_ENUM)
#undef TG_HISTORY_ENUM
        TG_HISTORY_COLUMNS
};

struct tg_history {
    double at[TG_HISTORY_COLUMNS][TG_HISTORY_MAX];
    uint64_t n; /* samples so far; number i stands at i % TG_HISTORY_MAX */
    int64_t last_us;
    double read, committed, lag_sum, lag_n, flood; /* counters then */
};

/** @param now_us  any clock that does not go back, the same for all calls */
void tg_history_init(struct tg_history *h, int64_t now_us);
/** Takes a sample if it is time. */
void tg_history_look(struct tg_history *h, struct tg_metrics *m, int64_t now_us);
/** Writes samples from number `from` on as an object of columns. @param unix_s  time of now */
void tg_history_put(const struct tg_history *h, uint64_t from, int64_t now_us, int64_t unix_s,
                    struct tg_json *j);

#endif
