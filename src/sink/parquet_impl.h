/* SPDX-License-Identifier: MIT */
/*
 * parquet_impl.h - what parquet_write.c, parquet_footer.c and parquet_read.c share: the numbers of
 * the format (parquet.thrift of apache/parquet-format), and the metadata that is written with them
 */
#ifndef TG_SINK_PARQUET_IMPL_H
#define TG_SINK_PARQUET_IMPL_H

#include "sink/parquet_write.h"

#define TG_PARQUET_MAGIC "PAR1"

enum tg_parquet_page { TG_PARQUET_DATA = 0, TG_PARQUET_DICTIONARY = 2 };
enum { TG_PARQUET_PLAIN = 0, TG_PARQUET_RLE = 3, TG_PARQUET_BY_DICTIONARY = 8 };
enum { TG_PARQUET_CODEC_NONE = 0, TG_PARQUET_CODEC_ZSTD = 6 };
enum { TG_PARQUET_REQUIRED = 0, TG_PARQUET_OPTIONAL = 1 };

struct tg_parquet_page_head {
    int32_t type, raw, packed; /* bytes before and after compression */
    int32_t n;                 /* values, nulls among them */
    int32_t encoding;
};

void tg_parquet_page_head(struct tg_buf *out, const struct tg_parquet_page_head *head);

/** A column of a row group that was written. */
struct tg_parquet_chunk {
    enum tg_field_id id;
    uint64_t at, data_at; /* where in the file it and its data page begin */
    uint64_t raw, packed; /* bytes of its pages */
    bool dictionary;
};

/* A row group in the footer: head, chunks, tail. */
void tg_parquet_group_head(struct tg_buf *out);
void tg_parquet_chunk(struct tg_buf *out, const struct tg_parquet *p,
                      const struct tg_parquet_chunk *chunk);
void tg_parquet_group_tail(struct tg_buf *out, uint64_t at, uint64_t packed, uint64_t raw,
                           uint32_t rows);

#endif
