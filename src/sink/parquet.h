/* SPDX-License-Identifier: MIT */
/*
 * parquet.h - Parquet as a format of files.h, wherever the files are: in directories, in S3
 *
 * The rows of a commit wait until it comes, and are then written as one part. What is written at
 * once is a row group.
 */
#ifndef TG_SINK_PARQUET_H
#define TG_SINK_PARQUET_H

#include "sink/files.h"
#include "sink/parquet_write.h"

/** What a driver with this format keeps beside struct tg_files. */
struct tg_parquet_files {
    int64_t compress, row_group; /* options */
    struct tg_parquet writer;
    struct tg_buf out;
};

extern const struct tg_file_format tg_format_parquet;

/** Readies the writing, behind tg_files_open with the format.
 *  @param s  but for its options zeroed; closed with tg_parquet_files_close, also if this was never
 *            called */
tg_code tg_parquet_files_open(struct tg_parquet_files *s, struct tg_files *files,
                              struct tg_error *err);
void tg_parquet_files_close(struct tg_parquet_files *s);

/** The options of a driver whose instance has them as its member `parquet`. */
#define TG_PARQUET_OPTIONS(driver)                                                                 \
    { .name = "compress",                                                                          \
      .type = TG_OPT_CHOICE,                                                                       \
      .offset = offsetof(driver, parquet.compress),                                                \
      .fallback = "zstd",                                                                          \
      .help = "how pages of Parquet are compressed",                                               \
      .choices = "zstd|none" },                                                                    \
    { .name = "row-group",                                                                         \
      .type = TG_OPT_I64,                                                                          \
      .offset = offsetof(driver, parquet.row_group),                                               \
      .fallback = "100000",                                                                        \
      .min = 1,                                                                                    \
      .max = TG_PARQUET_ROWS_MAX,                                                                  \
      .help = "most rows of a row group of Parquet; 32 MiB of values end it, too" }

#endif
