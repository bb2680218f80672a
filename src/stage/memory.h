/* SPDX-License-Identifier: MIT */
/*
 * memory.h - what a stage knows of the rows that came before: keys of 16 bytes (quality/seen.h)
 *
 * What is new is told to whoever runs the stages, who keeps it with the commit that covers the rows
 * (etl/taker_memory.c), and gives it back to the run that goes on behind that.
 *
 * Threads: none
 */
#ifndef TG_STAGE_MEMORY_H
#define TG_STAGE_MEMORY_H

#include "stage/stage.h"

struct tg_stage_memory {
    struct tg_seen seen;
    struct tg_buf news; /* keys that were put since they were told */
    bool began;
};

/** The first call counts. @param bytes  as of tg_seen_init */
void tg_stage_memory_begin(struct tg_stage_memory *m, const struct tg_stage_env *env,
                           int64_t bytes);
void tg_stage_memory_done(struct tg_stage_memory *m);

/** As tg_seen_put. */
tg_code tg_stage_memory_put(struct tg_stage_memory *m, struct tg_seen_key key, bool *ret_new,
                            struct tg_error *err);

/** For tg_stage_ops.learned and learn. */
void tg_stage_memory_tell(struct tg_stage_memory *m, struct tg_buf *out);
tg_code tg_stage_memory_learn(struct tg_stage_memory *m, const uint8_t *facts, size_t n,
                              struct tg_error *err);

#endif
