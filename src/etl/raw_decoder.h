/* SPDX-License-Identifier: MIT */
/*
 * raw_decoder.h - rows from the objects that rows keep in `raw` (extract --raw)
 *
 *   JSON of the object -> value tree -> TL bytes of this layer -> page of one message -> row
 *
 * So the decoder is that of the extraction itself, whatever layer the object was read from.
 *
 * Threads: one at a time
 */
#ifndef TG_RAW_DECODER_H
#define TG_RAW_DECODER_H

#include "telegram/rows.h"

struct tg_raw_decoder {
    struct tg_page *page;
    struct tg_arena tree;
    struct tg_buf bytes;
    struct tg_batch *rows; /* that were made since the last clear */
};

/** @param n_rows  at most between two clears */
tg_code tg_raw_decoder_init(struct tg_raw_decoder *d, size_t n_rows, struct tg_error *err);
void tg_raw_decoder_done(struct tg_raw_decoder *d);

/** Forgets the rows that were made. */
void tg_raw_decoder_clear(struct tg_raw_decoder *d);

/** As tg_stage_env.decode; ctx is a struct tg_raw_decoder. Texts live until the next clear. */
tg_code tg_raw_decode(void *decoder, const struct tg_row *from, struct tg_row *ret,
                      struct tg_error *err);

#endif
