/* SPDX-License-Identifier: MIT */
/*
 * stream_spill.h - batches that the destination does not take now, in order, on disk
 *
 *   add --> segment 3 | segment 2 | segment 1 --> take
 *           (written)               (read, then freed)
 *
 * Segments are temporary files without a name. A bound on all of them together is kept by their
 * number and size; beyond it a batch is refused, and stays where it was. Nothing here is durable: a
 * run that is killed gets those changes again from the server.
 *
 * Threads: one at a time      Limits: a batch of 256 MiB
 */
#ifndef TG_STREAM_SPILL_H
#define TG_STREAM_SPILL_H

#include "base/row.h"
#include "os/scratch.h"

enum { TG_SPILL_SEGMENTS = 8 };

struct tg_spill {
    uint64_t segment_max; /* bytes; 0: nothing is taken */
    struct tg_scratch segment[TG_SPILL_SEGMENTS]; /* a ring */
    size_t first, n;      /* those in use */
    uint64_t at;          /* in the first: where the next batch stands */
    struct tg_buf bytes;
    size_t n_batches;     /* that are there */
};

/** @param max  bytes on disk, about; 0: none */
void tg_spill_init(struct tg_spill *s, uint64_t max);
void tg_spill_done(struct tg_spill *s);

/** Writes a batch down: rows, note, and where it ends. Files of its rows are not kept.
 *  @return false: there is no room, or no file can be made */
bool tg_spill_add(struct tg_spill *s, const struct tg_batch *batch);

/**
 * Reads the oldest batch back.
 * @param to  empty; has room for the rows
 * @return TG_OK; TG_END: there is none; TG_CORRUPT, TG_IO, TG_NOMEM: it and those behind are lost
 */
tg_code tg_spill_take(struct tg_spill *s, struct tg_batch *to, struct tg_error *err);

#endif
