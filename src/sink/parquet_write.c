/* SPDX-License-Identifier: MIT */
/*
 * parquet_write.c - see parquet_write.h; the footer is in parquet_footer.c
 */
#include "sink/parquet_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/json_read.h"
#include "sink/thrift.h"

enum {
    GROUP_BYTES = 32 << 20,
    ROW_MAX = 80 << 20,
    VALUES_MAX = GROUP_BYTES + 3 * ROW_MAX, /* U+FFFD has three bytes */
    KEEP = 1 << 20,
    FOOTER_MAX = 64 << 20,
    LEVEL = 1,
    DICTIONARY_MAX = 4096, /* values */
    SLOTS = 4 * DICTIONARY_MAX,
    TRY = 512, /* after so many values a dictionary must have paid */
};

tg_code tg_parquet_init(struct tg_parquet *p, enum tg_parquet_codec codec, uint32_t rows_max,
                        struct tg_buf *out, struct tg_error *err)
{
    bool all = true;

    assert(rows_max > 0 && rows_max <= TG_PARQUET_ROWS_MAX);
    p->codec = codec;
    p->rows_max = rows_max;
    p->out = out;
    tg_buf_init(&p->groups, FOOTER_MAX);
    tg_buf_init(&p->raw, 2 * (size_t)VALUES_MAX);
    tg_buf_init(&p->packed, 2 * (size_t)VALUES_MAX);
    tg_buf_init(&p->index, sizeof(uint32_t) * TG_PARQUET_ROWS_MAX);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        tg_buf_init(&p->column[i].values, VALUES_MAX);
        p->column[i].there = calloc(1, rows_max / 8 + 1);
        all &= p->column[i].there != NULL;
    }
    p->zstd = ZSTD_createCCtx();
    p->slot = malloc(SLOTS * sizeof *p->slot);
    return all && p->zstd && p->slot ? TG_OK : tg_fail(err, TG_NOMEM, "columns of a Parquet file");
}

void tg_parquet_done(struct tg_parquet *p)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        tg_buf_done(&p->column[i].values);
        free(p->column[i].there);
    }
    tg_buf_done(&p->groups);
    tg_buf_done(&p->raw);
    tg_buf_done(&p->packed);
    tg_buf_done(&p->index);
    ZSTD_freeCCtx(p->zstd);
    free(p->slot);
    *p = (struct tg_parquet){ 0 };
}

/* ---- a row ---- */

static void clear_group(struct tg_parquet *p)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        struct tg_parquet_column *c = &p->column[i];

        if (c->n)
            memset(c->there, 0, p->rows / 8 + 1);
        if (c->values.cap > KEEP && p->bytes > GROUP_BYTES) /* an outsize row */
            tg_buf_done(&c->values);
        tg_buf_clear(&c->values);
        c->n = 0;
    }
    p->rows = 0;
    p->bytes = 0;
}

void tg_parquet_begin(struct tg_parquet *p)
{
    clear_group(p);
    tg_buf_clear(&p->groups);
    p->n_groups = 0;
    p->rows_total = 0;
    tg_buf_str(p->out, TG_PARQUET_MAGIC);
    p->written = strlen(TG_PARQUET_MAGIC);
}

static void put_number(struct tg_parquet_column *c, int64_t v)
{
    tg_buf_u64(&c->values, (uint64_t)v);
    c->least = c->n == 0 || v < c->least ? v : c->least;
    c->greatest = c->n == 0 || v > c->greatest ? v : c->greatest;
}

static void put_text(struct tg_buf *values, enum tg_field_type type, struct tg_str s)
{
    size_t start = values->len;

    if (type == TG_FIELD_JSON && !s.len)
        s = TG_STR("null"); /* no text is no valid JSON */
    tg_buf_u32(values, s.len);
    if (tg_utf8_valid(s.at, s.len)) {
        tg_buf_add(values, s.at, s.len);
        return;
    }
    tg_json_mend(values, s.at, s.len);
    if (!values->failed)
        tg_put_le32(values->data + start, (uint32_t)(values->len - start - 4));
}

static int64_t micros(int64_t unix_s)
{
    int64_t us;

    if (__builtin_mul_overflow(unix_s, TG_SECOND_US, &us))
        return unix_s < 0 ? INT64_MIN : INT64_MAX;
    return us;
}

static void put_field(struct tg_parquet *p, enum tg_field_id id, const struct tg_row *row)
{
    const void *value = (const char *)row + tg_row_offset[id];
    struct tg_parquet_column *c = &p->column[id];
    size_t before = c->values.len;
    bool there = true;

    switch (tg_field(id)->type) {
    case TG_FIELD_BOOL:
        there = *(const int64_t *)value != 0;
        break;
    case TG_FIELD_TIME:
        put_number(c, micros(*(const int64_t *)value));
        break;
    case TG_FIELD_I64:
        put_number(c, *(const int64_t *)value);
        break;
    case TG_FIELD_STR:
    case TG_FIELD_JSON:
        put_text(&c->values, tg_field(id)->type, *(const struct tg_str *)value);
        break;
    }
    c->there[p->rows / 8] |= (uint8_t)(there << p->rows % 8);
    c->n += there;
    p->bytes += c->values.len - before;
}

bool tg_parquet_row(struct tg_parquet *p, const struct tg_row *row)
{
    static const uint64_t always = TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(owner);

    assert(p->rows < p->rows_max);
    for (uint64_t left = row->present | always; left; left &= left - 1)
        put_field(p, (enum tg_field_id)__builtin_ctzll(left), row);
    p->rows++;
    return p->rows == p->rows_max || p->bytes >= GROUP_BYTES;
}

/* ---- dictionaries ---- */

static size_t value_len(const struct tg_parquet_column *c, bool text, size_t at)
{
    return text ? 4 + (size_t)tg_le32(c->values.data + at) : 8;
}

static uint64_t hash_of(const uint8_t *value, size_t len)
{
    uint64_t v;

    if (len != 8)
        return XXH3_64bits(value, len);
    memcpy(&v, value, 8);
    v *= UINT64_C(0x9e3779b97f4a7c15);
    return v ^ v >> 29;
}

/*
 * Puts the different values of a column into p->raw, and of each value its number into p->index.
 * @return how many there are; 0: a dictionary would not pay
 */
static uint32_t make_dictionary(struct tg_parquet *p, const struct tg_parquet_column *c, bool text)
{
    static_assert((SLOTS & (SLOTS - 1)) == 0, "a power of two");
    const uint8_t *data = c->values.data;
    uint32_t *index, n = 0, start[DICTIONARY_MAX];
    size_t at = 0;

    tg_buf_clear(&p->raw);
    tg_buf_clear(&p->index);
    index = (uint32_t *)(void *)tg_buf_extend(&p->index, c->n * sizeof *index);
    memset(p->slot, 0xff, SLOTS * sizeof *p->slot);
    for (uint32_t i = 0; index && i < c->n; i++) {
        size_t len = value_len(c, text, at);
        uint64_t h = hash_of(data + at, len);
        uint32_t *slot = &p->slot[h % SLOTS];

        while (*slot != UINT32_MAX &&
               (value_len(c, text, start[*slot]) != len ||
                memcmp(data + start[*slot], data + at, len) != 0))
            slot = &p->slot[++h % SLOTS];
        if (*slot == UINT32_MAX) {
            if (n == DICTIONARY_MAX || (i % TRY == 0 && i && n > i / 2))
                return 0;
            tg_buf_add(&p->raw, data + at, len);
            start[n] = (uint32_t)at;
            *slot = n++;
        }
        index[i] = *slot;
        at += len;
    }
    return index && !p->raw.failed && p->raw.len + c->n < c->values.len ? n : 0;
}

static unsigned bits_of(uint32_t n)
{
    return n <= 2 ? 1 : 32 - (unsigned)__builtin_clz(n - 1);
}

/* All values as one run of bit-packed groups of eight, or as one that repeats. */
static void put_indices(struct tg_buf *out, const uint32_t *index, uint32_t n, uint32_t n_values)
{
    unsigned bits = bits_of(n_values), have = 0;
    size_t bytes = ((size_t)n + 7) / 8 * bits;
    uint64_t held = 0;
    uint8_t *to;

    tg_buf_byte(out, (uint8_t)bits);
    if (n_values == 1) {
        tg_thrift_varint(out, (uint64_t)n << 1);
        tg_buf_byte(out, 0);
        return;
    }
    tg_thrift_varint(out, ((uint64_t)n + 7) / 8 << 1 | 1);
    to = tg_buf_extend(out, bytes);
    if (!to)
        return;
    memset(to, 0, bytes);
    for (uint32_t i = 0; i < n; i++) {
        held |= (uint64_t)index[i] << have;
        for (have += bits; have >= 8; have -= 8, held >>= 8)
            *to++ = (uint8_t)held;
    }
    if (have)
        *to = (uint8_t)held;
}

/* ---- pages ---- */

/* Which rows have a value: a run that repeats where all have or none has. */
static void put_levels(struct tg_buf *out, const struct tg_parquet_column *c, uint32_t rows)
{
    size_t start = out->len;

    tg_buf_u32(out, 0);
    if (c->n == 0 || c->n == rows) {
        tg_thrift_varint(out, (uint64_t)rows << 1);
        tg_buf_byte(out, c->n != 0);
    } else {
        tg_thrift_varint(out, ((uint64_t)rows + 7) / 8 << 1 | 1);
        tg_buf_add(out, c->there, ((size_t)rows + 7) / 8);
    }
    if (!out->failed)
        tg_put_le32(out->data + start, (uint32_t)(out->len - start - 4));
}

/* Writes p->raw as a page. @return its size before and after compression, with the header */
static tg_code put_page(struct tg_parquet *p, enum tg_parquet_page type, uint32_t n,
                        int32_t encoding, struct tg_parquet_chunk *chunk, struct tg_error *err)
{
    const struct tg_buf *bytes = &p->raw;
    size_t before = p->out->len, packed;

    if (p->codec == TG_PARQUET_ZSTD) {
        tg_buf_clear(&p->packed);
        if (!tg_buf_room(&p->packed, ZSTD_compressBound(p->raw.len)))
            return tg_fail(err, TG_NOMEM, "a page of a Parquet file");
        packed = ZSTD_compressCCtx(p->zstd, p->packed.data, p->packed.cap, p->raw.data,
                                   p->raw.len, LEVEL);
        if (ZSTD_isError(packed))
            return tg_fail(err, TG_INTERNAL, "zstd: %s", ZSTD_getErrorName(packed));
        p->packed.len = packed;
        bytes = &p->packed;
    }
    tg_parquet_page_head(p->out, &(struct tg_parquet_page_head){
        .type = type, .raw = (int32_t)p->raw.len, .packed = (int32_t)bytes->len,
        .n = (int32_t)n, .encoding = encoding });
    chunk->raw += p->out->len - before + p->raw.len;
    tg_buf_add(p->out, bytes->data, bytes->len);
    if (p->out->failed || p->raw.failed)
        return tg_fail(err, TG_NOMEM, "a page of a Parquet file");
    chunk->packed += p->out->len - before;
    p->written += p->out->len - before;
    return TG_OK;
}

static tg_code put_column(struct tg_parquet *p, enum tg_field_id id, struct tg_error *err)
{
    struct tg_parquet_type type = tg_parquet_type_of(id);
    struct tg_parquet_column *c = &p->column[id];
    struct tg_parquet_chunk chunk = { .id = id, .at = p->written };
    bool text = type.physical == TG_PARQUET_BYTE_ARRAY;
    bool truth = type.physical == TG_PARQUET_BOOLEAN;
    tg_code code = TG_OK;
    uint32_t n = truth ? 0 : make_dictionary(p, c, text);

    if (n) {
        chunk.dictionary = true;
        code = put_page(p, TG_PARQUET_DICTIONARY, n, TG_PARQUET_PLAIN, &chunk, err);
    }
    if (code != TG_OK)
        return code;
    chunk.data_at = p->written;
    tg_buf_clear(&p->raw);
    if (!type.required)
        put_levels(&p->raw, c, p->rows);
    if (truth)
        tg_buf_add(&p->raw, c->there, ((size_t)p->rows + 7) / 8);
    else if (n)
        put_indices(&p->raw, (const uint32_t *)(const void *)p->index.data, c->n, n);
    else
        tg_buf_add(&p->raw, c->values.data, c->values.len);
    code = put_page(p, TG_PARQUET_DATA, p->rows, n ? TG_PARQUET_BY_DICTIONARY : TG_PARQUET_PLAIN,
                    &chunk, err);
    if (code == TG_OK)
        tg_parquet_chunk(&p->groups, p, &chunk);
    return code;
}

tg_code tg_parquet_end_group(struct tg_parquet *p, struct tg_error *err)
{
    uint64_t start = p->written, raw = 0;
    tg_code code = TG_OK;

    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        raw += p->column[i].values.len;
        if (p->column[i].values.failed)
            return tg_fail(err, TG_LIMIT,
                           "rows too large for a Parquet file, or no memory is left");
    }
    if (p->rows == 0)
        return TG_OK;
    tg_parquet_group_head(&p->groups);
    for (int i = 0; code == TG_OK && i < TG_FIELD_COUNT; i++)
        code = put_column(p, (enum tg_field_id)i, err);
    if (code != TG_OK)
        return code;
    tg_parquet_group_tail(&p->groups, start, p->written - start, raw, p->rows);
    p->n_groups++;
    p->rows_total += p->rows;
    clear_group(p);
    return TG_OK;
}
