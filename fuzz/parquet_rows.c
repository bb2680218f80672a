/* SPDX-License-Identifier: MIT */
/*
 * parquet_rows.c - any bytes as a part of Parquet: footer, pages, runs, dictionaries; the rows that
 * are found are written, and come back the same
 */
#include <stdlib.h>

#include "sink/parquet_read.h"
#include "sink/parquet_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16, ROWS_MAX = 200 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static tg_code keep(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct tg_batch *b = ctx;

    (void)err;
    return b->n < b->cap && tg_batch_copy(b, row) ? TG_OK : TG_END;
}

static tg_code read_bytes(const void *bytes, size_t n, struct tg_batch *ret)
{
    struct tg_scratch file;
    struct tg_error err;
    tg_code code;

    require(tg_scratch_open(&file, &err) == TG_OK);
    require(tg_scratch_add(&file, bytes, n, &err) == TG_OK);
    code = tg_parquet_read(&file, UINT64_MAX, keep, ret, &err);
    tg_scratch_close(&file);
    return code;
}

static void as_json(const struct tg_batch *b, struct tg_buf *out)
{
    tg_buf_init(out, 1 << 26);
    for (size_t i = 0; i < b->n; i++)
        tg_row_json(&b->row[i], out);
}

static void write_rows(const struct tg_batch *b, struct tg_buf *out)
{
    struct tg_parquet p = { 0 };
    struct tg_error err;

    tg_buf_init(out, 1 << 28);
    require(tg_parquet_init(&p, TG_PARQUET_ZSTD, 50, out, &err) == TG_OK);
    tg_parquet_begin(&p);
    for (size_t i = 0; i < b->n; i++)
        if (tg_parquet_row(&p, &b->row[i]))
            require(tg_parquet_end_group(&p, &err) == TG_OK);
    require(tg_parquet_end_group(&p, &err) == TG_OK);
    require(tg_parquet_end(&p, &err) == TG_OK);
    tg_parquet_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_batch *found = tg_batch_new(ROWS_MAX), *again = tg_batch_new(ROWS_MAX);
    struct tg_buf file, want, got;

    if (size < INPUT_MAX && found && again && read_bytes(data, size, found) != TG_NOMEM) {
        for (size_t i = 0; i < found->n; i++) /* as every row has them */
            found->row[i].present |= TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(owner);
        write_rows(found, &file);
        require(read_bytes(file.data, file.len, again) == TG_OK && again->n == found->n);
        as_json(found, &want);
        as_json(again, &got);
        require(got.len == want.len && (!got.len || memcmp(got.data, want.data, got.len) == 0));
        tg_buf_done(&file);
        tg_buf_done(&want);
        tg_buf_done(&got);
    }
    tg_batch_free(found);
    tg_batch_free(again);
    return 0;
}
