/* SPDX-License-Identifier: MIT */
/*
 * parquet_read.h - rows of a Parquet file that this program has written
 *
 * What parquet_write.h writes is read: flat columns named as fields, of their types, in plain and
 * dictionary pages of version 1, plain or zstd. Columns of other names are passed over, and those
 * that an older program did not write are absent. A row group's columns are in memory as they are
 * wanted. Nothing in the file is trusted: each number is checked against the bytes that are there.
 *
 * Threads: one at a time      Limits: a footer of 64 MiB; pages of 512 MiB
 */
#ifndef TG_SINK_PARQUET_READ_H
#define TG_SINK_PARQUET_READ_H

#include "base/row.h"
#include "os/scratch.h"

/** Gets each row, whose texts are valid during the call. Another code than TG_OK ends it. */
typedef tg_code (*tg_parquet_taken)(void *ctx, const struct tg_row *row, struct tg_error *err);

/**
 * Reads the file.
 * @param fields  a bit for each that is wanted (TG_ROW_BIT)
 * @return TG_OK; TG_DATA: it is no such file, the message tells in which way ("has no footer");
 *         TG_NOMEM, TG_IO; what `taken` returned
 */
tg_code tg_parquet_read(const struct tg_scratch *file, uint64_t fields, tg_parquet_taken taken,
                        void *ctx, struct tg_error *err);

#endif
