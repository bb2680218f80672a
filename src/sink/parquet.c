/* SPDX-License-Identifier: MIT */
/*
 * parquet.c - rows in Parquet files: `parquet:DIR[?compress=zstd&row-group=100000]`; see parquet.h,
 * parquet_write.h, parquet_read.h
 */
#include "sink/parquet.h"
#include "sink/parquet_read.h"

enum { OUT_MAX = 1 << 30 };

struct sink_parquet {
    struct tg_files files;
    struct tg_parquet_files parquet;
};

/* A part being written. */
struct putting {
    struct tg_parquet_files *s;
    struct tg_parts *part;
};

static tg_code end_group(const struct putting *put, struct tg_error *err)
{
    struct tg_parquet_files *s = put->s;
    uint32_t rows = s->writer.rows;
    tg_code code = tg_parquet_end_group(&s->writer, err);

    if (code == TG_OK)
        code = tg_parts_write(put->part, s->out.data, s->out.len, rows, err);
    tg_buf_clear(&s->out);
    return code;
}

static tg_code put_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct putting *put = ctx;

    return tg_parquet_row(&put->s->writer, row) ? end_group(put, err) : TG_OK;
}

static tg_code put_part(struct tg_files *files, struct tg_parts *part, struct tg_staged *rows,
                        struct tg_error *err)
{
    struct putting put = { files->own, part };
    tg_code code;

    tg_buf_clear(&put.s->out);
    tg_parquet_begin(&put.s->writer);
    code = tg_staged_each(rows, put_row, &put, err);
    if (code == TG_OK)
        code = end_group(&put, err);
    if (code == TG_OK)
        code = tg_parquet_end(&put.s->writer, err);
    return code == TG_OK ? tg_parts_write(part, put.s->out.data, put.s->out.len, 0, err) : code;
}

static tg_code read_part(const struct tg_scratch *part, bool ids, tg_staged_row each, void *ctx,
                         struct tg_error *err)
{
    return tg_parquet_read(part, ids ? TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) : UINT64_MAX, each,
                           ctx, err);
}

const struct tg_file_format tg_format_parquet = {
    .name = "parquet",
    .suffix = ".parquet",
    .put_part = put_part,
    .read_part = read_part,
};

tg_code tg_parquet_files_open(struct tg_parquet_files *s, struct tg_files *files,
                              struct tg_error *err)
{
    files->own = s;
    tg_buf_init(&s->out, OUT_MAX);
    return tg_parquet_init(&s->writer, (enum tg_parquet_codec)s->compress, (uint32_t)s->row_group,
                           &s->out, err);
}

void tg_parquet_files_close(struct tg_parquet_files *s)
{
    tg_parquet_done(&s->writer);
    tg_buf_done(&s->out);
}

/* ---- the driver ---- */

static tg_code parquet_open(void *self, const char *target, const struct tg_sink_env *env,
                            struct tg_error *err)
{
    struct sink_parquet *s = self;
    tg_code code = tg_files_open(&s->files, &tg_format_parquet, target, env, err);

    return code == TG_OK ? tg_parquet_files_open(&s->parquet, &s->files, err) : code;
}

static void parquet_close(void *self)
{
    struct sink_parquet *s = self;

    tg_parquet_files_close(&s->parquet);
    tg_files_close(&s->files);
}

static const struct tg_option parquet_option[] = {
    TG_PARQUET_OPTIONS(struct sink_parquet),
    { 0 },
};

const struct tg_sink_ops tg_sink_parquet = {
    .head = { "parquet", "Parquet files, a directory per chat", parquet_option,
              sizeof(struct sink_parquet) },
    .open = parquet_open,
    TG_FILES_OPS_BUT_CLOSE,
    .disk = true,
    .close = parquet_close,
};
