/* SPDX-License-Identifier: MIT */
/*
 * parquet_footer.c - the metadata of a Parquet file: schema, row groups, page headers
 *
 * Field numbers are those of parquet.thrift.
 *
 * Threads: one at a time
 */
#include "sink/parquet_impl.h"
#include "sink/thrift.h"

enum {
    NO_CONVERTED = -1,
    CONVERTED_UTF8 = 0,
    CONVERTED_TIMESTAMP_MICROS = 10,
    CONVERTED_JSON = 19
};
enum { LOGICAL_STRING = 1, LOGICAL_TIMESTAMP = 8, LOGICAL_JSON = 12 };

struct tg_parquet_type tg_parquet_type_of(enum tg_field_id id)
{
    static const struct tg_parquet_type type[] = {
        [TG_FIELD_I64] = { TG_PARQUET_INT64, NO_CONVERTED, false },
        [TG_FIELD_TIME] = { TG_PARQUET_INT64, CONVERTED_TIMESTAMP_MICROS, false },
        [TG_FIELD_BOOL] = { TG_PARQUET_BOOLEAN, NO_CONVERTED, true },
        [TG_FIELD_STR] = { TG_PARQUET_BYTE_ARRAY, CONVERTED_UTF8, false },
        [TG_FIELD_JSON] = { TG_PARQUET_BYTE_ARRAY, CONVERTED_JSON, false },
    };
    struct tg_parquet_type ret = type[tg_field(id)->type];

    ret.required |= id == TG_F_chat_id || id == TG_F_id || id == TG_F_owner;
    return ret;
}

/* ---- pages ---- */

void tg_parquet_page_head(struct tg_buf *out, const struct tg_parquet_page_head *head)
{
    struct tg_thrift t;

    tg_thrift_init(&t, out);
    tg_thrift_open(&t);
    tg_thrift_i32(&t, 1, head->type);
    tg_thrift_i32(&t, 2, head->raw);
    tg_thrift_i32(&t, 3, head->packed);
    tg_thrift_open_field(&t, head->type == TG_PARQUET_DATA ? 5 : 7);
    tg_thrift_i32(&t, 1, head->n);
    tg_thrift_i32(&t, 2, head->encoding);
    if (head->type == TG_PARQUET_DATA) {
        tg_thrift_i32(&t, 3, TG_PARQUET_RLE); /* which rows have a value */
        tg_thrift_i32(&t, 4, TG_PARQUET_RLE); /* repetition, of which there is none */
    }
    tg_thrift_close(&t);
    tg_thrift_close(&t);
}

/* ---- row groups ---- */

void tg_parquet_group_head(struct tg_buf *out)
{
    struct tg_thrift t;

    tg_thrift_init(&t, out);
    tg_thrift_open(&t);
    tg_thrift_list(&t, 1, TG_THRIFT_STRUCT, TG_FIELD_COUNT);
}

void tg_parquet_group_tail(struct tg_buf *out, uint64_t at, uint64_t packed, uint64_t raw,
                           uint32_t rows)
{
    struct tg_thrift t;

    tg_thrift_init(&t, out);
    tg_thrift_open(&t);
    t.last[0] = 1; /* the chunks that stand before */
    tg_thrift_i64(&t, 2, (int64_t)raw);
    tg_thrift_i64(&t, 3, rows);
    tg_thrift_i64(&t, 5, (int64_t)at);
    tg_thrift_i64(&t, 6, (int64_t)packed);
    tg_thrift_close(&t);
}

static void put_statistics(struct tg_thrift *t, const struct tg_parquet_column *c, uint32_t nulls,
                           bool number)
{
    uint8_t bytes[8];

    tg_thrift_open_field(t, 12);
    tg_thrift_i64(t, 3, nulls);
    if (number && c->n) {
        tg_put_le64(bytes, (uint64_t)c->greatest);
        tg_thrift_bytes(t, 5, bytes, 8);
        tg_put_le64(bytes, (uint64_t)c->least);
        tg_thrift_bytes(t, 6, bytes, 8);
    }
    tg_thrift_close(t);
}

void tg_parquet_chunk(struct tg_buf *out, const struct tg_parquet *p,
                      const struct tg_parquet_chunk *chunk)
{
    const struct tg_parquet_column *c = &p->column[chunk->id];
    struct tg_parquet_type type = tg_parquet_type_of(chunk->id);
    const char *name = tg_field(chunk->id)->name;
    struct tg_thrift t;

    tg_thrift_init(&t, out);
    tg_thrift_open(&t);
    tg_thrift_i64(&t, 2, (int64_t)chunk->at);
    tg_thrift_open_field(&t, 3);
    tg_thrift_i32(&t, 1, type.physical);
    tg_thrift_list(&t, 2, TG_THRIFT_I32, 3);
    tg_thrift_varint(out, 2 * TG_PARQUET_PLAIN);
    tg_thrift_varint(out, 2 * TG_PARQUET_RLE);
    tg_thrift_varint(out, 2 * (chunk->dictionary ? TG_PARQUET_BY_DICTIONARY : TG_PARQUET_PLAIN));
    tg_thrift_list(&t, 3, TG_THRIFT_TEXT, 1);
    tg_thrift_varint(out, strlen(name));
    tg_buf_str(out, name);
    tg_thrift_i32(&t, 4, p->codec == TG_PARQUET_ZSTD ? TG_PARQUET_CODEC_ZSTD
                                                     : TG_PARQUET_CODEC_NONE);
    tg_thrift_i64(&t, 5, p->rows);
    tg_thrift_i64(&t, 6, (int64_t)chunk->raw);
    tg_thrift_i64(&t, 7, (int64_t)chunk->packed);
    tg_thrift_i64(&t, 9, (int64_t)chunk->data_at);
    if (chunk->dictionary)
        tg_thrift_i64(&t, 11, (int64_t)chunk->at);
    put_statistics(&t, c, type.required ? 0 : p->rows - c->n, type.physical == TG_PARQUET_INT64);
    tg_thrift_close(&t);
    tg_thrift_close(&t);
}

/* ---- the footer ---- */

static void put_logical(struct tg_thrift *t, int32_t converted)
{
    tg_thrift_open_field(t, 10);
    if (converted == CONVERTED_TIMESTAMP_MICROS) {
        tg_thrift_open_field(t, LOGICAL_TIMESTAMP);
        tg_thrift_bool(t, 1, true); /* UTC */
        tg_thrift_open_field(t, 2);
        tg_thrift_empty(t, 2); /* microseconds */
        tg_thrift_close(t);
        tg_thrift_close(t);
    } else {
        tg_thrift_empty(t, converted == CONVERTED_JSON ? LOGICAL_JSON : LOGICAL_STRING);
    }
    tg_thrift_close(t);
}

static void put_schema(struct tg_thrift *t)
{
    tg_thrift_list(t, 2, TG_THRIFT_STRUCT, TG_FIELD_COUNT + 1);
    tg_thrift_open(t);
    tg_thrift_text(t, 4, "messages");
    tg_thrift_i32(t, 5, TG_FIELD_COUNT);
    tg_thrift_close(t);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        struct tg_parquet_type type = tg_parquet_type_of((enum tg_field_id)i);

        tg_thrift_open(t);
        tg_thrift_i32(t, 1, type.physical);
        tg_thrift_i32(t, 3, type.required ? TG_PARQUET_REQUIRED : TG_PARQUET_OPTIONAL);
        tg_thrift_text(t, 4, tg_field((enum tg_field_id)i)->name);
        if (type.converted != NO_CONVERTED) {
            tg_thrift_i32(t, 6, type.converted);
            put_logical(t, type.converted);
        }
        tg_thrift_close(t);
    }
}

tg_code tg_parquet_end(struct tg_parquet *p, struct tg_error *err)
{
    struct tg_buf *out = p->out;
    size_t before = out->len;
    struct tg_thrift t;

    tg_thrift_init(&t, out);
    tg_thrift_open(&t);
    tg_thrift_i32(&t, 1, 2); /* version of the format */
    put_schema(&t);
    tg_thrift_i64(&t, 3, (int64_t)p->rows_total);
    tg_thrift_list(&t, 4, TG_THRIFT_STRUCT, p->n_groups);
    tg_buf_add(out, p->groups.data, p->groups.len);
    tg_thrift_text(&t, 6, "tgdata version " TG_VERSION);
    tg_thrift_list(&t, 7, TG_THRIFT_STRUCT, TG_FIELD_COUNT);
    for (int i = 0; i < TG_FIELD_COUNT; i++) { /* least and greatest: in the type's own order */
        tg_thrift_open(&t);
        tg_thrift_empty(&t, 1);
        tg_thrift_close(&t);
    }
    tg_thrift_close(&t);
    tg_buf_u32(out, (uint32_t)(out->len - before));
    tg_buf_str(out, TG_PARQUET_MAGIC);
    if (out->failed || p->groups.failed)
        return tg_fail(err, TG_LIMIT,
                       "a Parquet file has too many row groups, or no memory is left");
    p->written += out->len - before;
    return TG_OK;
}
