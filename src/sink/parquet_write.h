/* SPDX-License-Identifier: MIT */
/*
 * parquet_write.h - rows as the bytes of a Parquet file, one row group after the other
 *
 *   PAR1 | row group 1 | row group 2 | ... | footer | its length, 4 bytes | PAR1
 *   row group    = a column chunk for each field, in table order
 *   column chunk = a dictionary page where values repeat, then one data page; both compressed
 *
 *   field  INT64: number; INT64, TIMESTAMP(us, UTC): time; BOOLEAN: truth value;
 *          BYTE_ARRAY, STRING and JSON: texts
 *
 * chat_id, id, owner and truth values are always there, all others may be null. Chunks tell their
 * nulls, and those of numbers their least and greatest value, so that readers may pass over row
 * groups.
 *
 * A row costs what it holds: nothing is written for a field that it has not. Bytes that are not
 * UTF-8 become U+FFFD, as in JSON. Times beyond the range of microseconds become its end.
 *
 * Threads: one at a time
 * Limits:  2^20 rows in a group; 32 MiB of values in it, then it is ended, or one row of 80 MiB
 */
#ifndef TG_SINK_PARQUET_WRITE_H
#define TG_SINK_PARQUET_WRITE_H

#include "base/row.h"

enum { TG_PARQUET_ROWS_MAX = 1 << 20 };
enum tg_parquet_codec { TG_PARQUET_ZSTD, TG_PARQUET_NONE };

/** Repetition and types of a column in the numbers of the format. */
struct tg_parquet_type {
    int32_t physical, converted; /* converted -1: none */
    bool required;
};
struct tg_parquet_type tg_parquet_type_of(enum tg_field_id id);
enum { TG_PARQUET_BOOLEAN = 0, TG_PARQUET_INT64 = 2, TG_PARQUET_BYTE_ARRAY = 6 };

struct tg_parquet_column {
    struct tg_buf values; /* of the row group, as a plain page has them */
    uint8_t *there;       /* a bit for each row: it has a value; of truth values: it is true */
    uint32_t n;           /* rows with a value */
    int64_t least, greatest;
};

struct tg_parquet {
    struct tg_parquet_column column[TG_FIELD_COUNT];
    enum tg_parquet_codec codec;
    uint32_t rows_max, rows; /* of the row group */
    size_t bytes;            /* of its values */
    uint64_t written;        /* bytes of the file so far */
    uint64_t rows_total;
    uint32_t n_groups;
    struct tg_buf groups;             /* what the footer tells of each */
    struct tg_buf raw, packed, index; /* a page at work */
    struct ZSTD_CCtx_s *zstd;
    uint32_t *slot; /* a hash table of the values of a dictionary */
    struct tg_buf *out;
};

/**
 * @param p    zeroed; done with tg_parquet_done, also after a failure
 * @param out  gets the bytes of the file; the caller takes them away when he likes to
 */
tg_code tg_parquet_init(struct tg_parquet *p, enum tg_parquet_codec codec, uint32_t rows_max,
                        struct tg_buf *out, struct tg_error *err);
void tg_parquet_done(struct tg_parquet *p);

/** Begins a file. */
void tg_parquet_begin(struct tg_parquet *p);
/** Takes a row. @return whether the row group is full: it must be ended */
bool tg_parquet_row(struct tg_parquet *p, const struct tg_row *row);
/** Writes the row group, if it has rows. @return TG_NOMEM, TG_LIMIT */
tg_code tg_parquet_end_group(struct tg_parquet *p, struct tg_error *err);
/** Writes the footer, behind the last row group. */
tg_code tg_parquet_end(struct tg_parquet *p, struct tg_error *err);

#endif
