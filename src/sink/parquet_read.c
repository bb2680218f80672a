/* SPDX-License-Identifier: MIT */
/*
 * parquet_read.c - see parquet_read.h
 */
#include "sink/parquet_read.h"

#include <stdlib.h>
#include <zstd.h>

#include "sink/parquet_impl.h"
#include "sink/thrift.h"

enum {
    FOOTER_MAX = 64 << 20,
    PAGE_MAX = 512 << 20,
    PAGE_HEAD_MAX = 64 * 1024,
    TAIL = 8, /* length of the footer, magic */
    COLUMNS_MAX = 1024,
};

/* A column of a row group, decoded as far as that is needed to walk through it. */
struct chunk {
    enum tg_field_id id;
    int64_t at, size, n_values; /* of the file */
    int32_t codec;
    bool optional;

    struct tg_buf page, dictionary; /* values in plain form */
    uint32_t n_dictionary, *offset; /* where each of the dictionary's begins */
    uint8_t *levels;                /* a byte for each row */
    uint32_t *index;                /* of each value in the dictionary; NULL: the page is plain */
    uint32_t n_index;
    size_t next;    /* within the page's values, or number of the next index */
    uint32_t truth; /* number of the next truth value */
};

struct reader {
    const struct tg_scratch *file;
    uint64_t fields, size;
    int16_t field[COLUMNS_MAX]; /* of each column; -1: not wanted */
    bool optional[COLUMNS_MAX];
    size_t n_columns;
    struct chunk chunk[TG_FIELD_COUNT];
    size_t n_chunks;
    tg_parquet_taken taken;
    void *ctx;
};

static tg_code no_such(struct tg_error *err, const char *how)
{
    return tg_fail(err, TG_DATA, "%s", how);
}

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "no memory to read a Parquet file");
}

/* ---- runs of small numbers: which rows have a value, which value of a dictionary ---- */

struct runs {
    const uint8_t *at, *end;
    unsigned bits;
};

static bool take_run(struct runs *in, uint32_t *out, uint32_t left, uint32_t *ret_n)
{
    struct tg_thrift_in head;
    unsigned have = 0, bytes = (in->bits + 7) / 8;
    uint64_t n, held = 0;
    uint32_t v = 0;

    tg_thrift_in_init(&head, in->at, (size_t)(in->end - in->at));
    n = tg_thrift_take_varint(&head);
    in->at = head.at;
    if (head.bad || n < 2)
        return false;
    if ((n & 1) == 0) { /* one value, n >> 1 times */
        if (bytes > (size_t)(in->end - in->at))
            return false;
        for (unsigned i = 0; i < bytes; i++)
            v |= (uint32_t)*in->at++ << 8 * i;
        *ret_n = (uint32_t)TG_MIN(n >> 1, (uint64_t)left);
        for (uint32_t i = 0; i < *ret_n; i++)
            out[i] = v;
        return true;
    }
    n >>= 1; /* groups of eight */
    if (n > (uint64_t)(in->end - in->at) / TG_MAX(in->bits, 1U))
        return false;
    *ret_n = (uint32_t)TG_MIN(n * 8, (uint64_t)left);
    for (uint32_t i = 0; i < *ret_n; i++) {
        for (; have < in->bits; have += 8)
            held |= (uint64_t)*in->at++ << have;
        out[i] = (uint32_t)(held & ((UINT64_C(1) << in->bits) - 1));
        held >>= in->bits;
        have -= in->bits;
    }
    return true;
}

/* @return n numbers; NULL: they are not there, or no memory is left */
static uint32_t *take_runs(const uint8_t *at, size_t len, unsigned bits, uint32_t n)
{
    struct runs in = { at, at + len, bits };
    uint32_t *out = malloc(n ? n * sizeof *out : 1), got;

    for (uint32_t done = 0; out && done < n; done += got) {
        if (!take_run(&in, out + done, n - done, &got)) {
            free(out);
            return NULL;
        }
    }
    return out;
}

/* ---- pages ---- */

static void take_page_values(struct tg_thrift_in *in, struct tg_parquet_page_head *ret)
{
    unsigned type;
    int16_t id;

    tg_thrift_enter(in);
    while (tg_thrift_next(in, &id, &type)) {
        if (id == 1)
            ret->n = (int32_t)tg_thrift_take(in, type);
        else if (id == 2)
            ret->encoding = (int32_t)tg_thrift_take(in, type);
        else
            tg_thrift_skip(in, type);
    }
}

static bool take_page_head(struct tg_thrift_in *in, struct tg_parquet_page_head *ret)
{
    int64_t raw = -1, packed = -1;
    unsigned type;
    int16_t id;

    *ret = (struct tg_parquet_page_head){ .type = -1, .n = -1, .encoding = -1 };
    tg_thrift_enter(in);
    while (tg_thrift_next(in, &id, &type)) {
        if (id == 1)
            ret->type = (int32_t)tg_thrift_take(in, type);
        else if (id == 2)
            raw = tg_thrift_take(in, type);
        else if (id == 3)
            packed = tg_thrift_take(in, type);
        else if ((id == 5 || id == 7) && type == TG_THRIFT_STRUCT)
            take_page_values(in, ret);
        else
            tg_thrift_skip(in, type);
    }
    if (in->bad || raw < 0 || raw > PAGE_MAX || packed < 0 || packed > in->end - in->at ||
        ret->n < 0)
        return false;
    ret->raw = (int32_t)raw;
    ret->packed = (int32_t)packed;
    return true;
}

/* @return false: damaged, or no memory is left */
static bool unpack_page(const struct chunk *c, const struct tg_parquet_page_head *head,
                        const uint8_t *at, struct tg_buf *out)
{
    uint8_t *to;

    tg_buf_clear(out);
    if (c->codec == TG_PARQUET_CODEC_NONE) {
        tg_buf_add(out, at, (size_t)head->packed);
        return head->raw == head->packed && !out->failed;
    }
    /* few bytes must not ask for much memory: zstd packs 128 KiB into no less than three */
    if (head->raw >> 16 > head->packed ||
        ZSTD_getFrameContentSize(at, (size_t)head->packed) != (unsigned long long)head->raw)
        return false;
    to = tg_buf_extend(out, (size_t)head->raw + 1);
    if (!to)
        return false;
    out->len--;
    return ZSTD_decompress(to, (size_t)head->raw, at, (size_t)head->packed) == (size_t)head->raw;
}

static bool is_text(const struct chunk *c)
{
    return tg_parquet_type_of(c->id).physical == TG_PARQUET_BYTE_ARRAY;
}

static bool is_truth(const struct chunk *c)
{
    return tg_parquet_type_of(c->id).physical == TG_PARQUET_BOOLEAN;
}

/* @return bytes of the plain value there; 0: it is not whole */
static size_t value_at(const struct chunk *c, const struct tg_buf *values, size_t at)
{
    size_t left = values->len - at, n = 8;

    if (is_text(c)) {
        if (left < 4)
            return 0;
        n = 4 + (size_t)tg_le32(values->data + at);
    }
    return n <= left ? n : 0;
}

static bool take_dictionary(struct chunk *c, const struct tg_parquet_page_head *head)
{
    size_t at = 0, n;

    if (c->offset || is_truth(c) || (size_t)head->n > c->dictionary.len)
        return false;
    c->offset = malloc(((size_t)head->n + 1) * sizeof *c->offset);
    for (int32_t i = 0; c->offset && i < head->n; i++, at += n) {
        c->offset[i] = (uint32_t)at;
        n = value_at(c, &c->dictionary, at);
        if (!n)
            return false;
    }
    c->n_dictionary = (uint32_t)head->n;
    return c->offset != NULL;
}

/* Which rows have a value. */
static bool take_levels(struct chunk *c, uint32_t rows, size_t *ret_at, uint32_t *ret_n)
{
    uint32_t *level;
    size_t len;

    *ret_at = 0;
    *ret_n = rows;
    if (!c->optional)
        return true;
    if (c->page.len < 4 || tg_le32(c->page.data) > c->page.len - 4)
        return false;
    len = tg_le32(c->page.data);
    level = take_runs(c->page.data + 4, len, 1, rows);
    c->levels = level ? malloc((size_t)rows + 1) : NULL;
    *ret_n = 0;
    for (uint32_t i = 0; c->levels && i < rows; i++) {
        c->levels[i] = level[i] & 1;
        *ret_n += c->levels[i];
    }
    free(level);
    *ret_at = 4 + len;
    return c->levels != NULL;
}

static bool take_data(struct chunk *c, const struct tg_parquet_page_head *head, uint32_t rows)
{
    unsigned bits;
    uint32_t n;
    size_t at;

    if ((uint32_t)head->n != rows || !take_levels(c, rows, &at, &n))
        return false;
    c->next = at;
    if (is_truth(c))
        return !c->optional && head->encoding == TG_PARQUET_PLAIN &&
               c->page.len - at >= ((size_t)rows + 7) / 8;
    if (head->encoding != TG_PARQUET_BY_DICTIONARY)
        return head->encoding == TG_PARQUET_PLAIN;
    if (!c->offset || at == c->page.len)
        return false;
    bits = c->page.data[at++];
    c->index = bits <= 32 ? take_runs(c->page.data + at, c->page.len - at, bits, n) : NULL;
    for (uint32_t i = 0; c->index && i < n; i++)
        if (c->index[i] >= c->n_dictionary)
            return false;
    c->n_index = n;
    c->next = 0;
    return c->index != NULL;
}

static void chunk_done(struct chunk *c)
{
    tg_buf_done(&c->page);
    tg_buf_done(&c->dictionary);
    free(c->offset);
    free(c->levels);
    free(c->index);
    *c = (struct chunk){ 0 };
}

static tg_code take_pages(struct chunk *c, struct tg_thrift_in *in, uint32_t rows,
                          struct tg_error *err)
{
    struct tg_parquet_page_head head;
    bool data = false;

    while (!data) {
        bool good = take_page_head(in, &head);

        data = head.type == TG_PARQUET_DATA;
        good = good && (data || head.type == TG_PARQUET_DICTIONARY) &&
               unpack_page(c, &head, in->at, data ? &c->page : &c->dictionary) &&
               (data ? take_data(c, &head, rows) : take_dictionary(c, &head));
        if (!good)
            return no_such(err, "has a damaged page");
        in->at += head.packed;
    }
    return TG_OK;
}

static tg_code load_chunk(struct reader *r, struct chunk *c, int64_t rows, struct tg_error *err)
{
    struct tg_thrift_in in;
    struct tg_buf bytes;
    tg_code code;

    if (c->at < 0 || c->size < 0 || (uint64_t)c->at > r->size ||
        (uint64_t)c->size > r->size - (uint64_t)c->at || c->size > PAGE_MAX ||
        c->n_values != rows || (c->codec != TG_PARQUET_CODEC_NONE &&
                                c->codec != TG_PARQUET_CODEC_ZSTD))
        return no_such(err, "has a column that is not there");
    tg_buf_init(&c->page, PAGE_MAX + 1);
    tg_buf_init(&c->dictionary, PAGE_MAX + 1);
    tg_buf_init(&bytes, PAGE_MAX + 1);
    if (!tg_buf_extend(&bytes, (size_t)c->size + 1))
        return no_memory(err);
    code = tg_scratch_read(r->file, (uint64_t)c->at, bytes.data, (size_t)c->size, err);
    tg_thrift_in_init(&in, bytes.data, (size_t)c->size);
    if (code == TG_OK)
        code = take_pages(c, &in, (uint32_t)rows, err);
    tg_buf_done(&bytes);
    return code;
}

/* ---- rows ---- */

/* @return false: the page ends before */
static bool take_value(struct chunk *c, struct tg_row *row)
{
    enum tg_field_type type = tg_field(c->id)->type;
    const struct tg_buf *values = c->index ? &c->dictionary : &c->page;
    void *member = (char *)row + tg_row_offset[c->id];
    const uint8_t *v;
    size_t at = c->next, n;

    if (type == TG_FIELD_BOOL) {
        *(int64_t *)member = c->page.data[c->next + c->truth / 8] >> c->truth % 8 & 1;
        c->truth++;
        row->present |= *(int64_t *)member ? UINT64_C(1) << c->id : 0; /* absent: false */
        return true;
    }
    if (c->index)
        at = c->next < c->n_index ? c->offset[c->index[c->next]] : values->len;
    n = value_at(c, values, at);
    if (!n)
        return false;
    c->next += c->index ? 1 : n;
    v = values->data + at;
    if (is_text(c))
        *(struct tg_str *)member = (struct tg_str){ (const char *)v + 4, (uint32_t)n - 4 };
    else
        *(int64_t *)member = (int64_t)tg_le64(v) / (type == TG_FIELD_TIME ? TG_SECOND_US : 1);
    row->present |= UINT64_C(1) << c->id;
    return true;
}

static tg_code give_rows(struct reader *r, int64_t rows, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (int64_t i = 0; i < rows && code == TG_OK; i++) {
        struct tg_row row = { 0 };

        for (size_t k = 0; k < r->n_chunks; k++) {
            struct chunk *c = &r->chunk[k];

            if ((!c->levels || c->levels[i]) && !take_value(c, &row))
                return no_such(err, "has a damaged page");
        }
        code = r->taken(r->ctx, &row, err);
    }
    return code;
}

/* ---- the footer ---- */

/* Depth-first, the root first; columns of columns are none of ours. */
static void take_schema(struct reader *r, struct tg_thrift_in *in, unsigned list)
{
    unsigned type;
    uint32_t n = tg_thrift_take_list(in, list, &type);

    in->bad |= type != TG_THRIFT_STRUCT || n > COLUMNS_MAX + 1 || r->n_columns;
    for (uint32_t i = 0; i < n && !in->bad; i++) {
        int64_t physical = -1, repetition = 0, children = 0;
        struct tg_str name = { "", 0 };
        int16_t id;

        tg_thrift_enter(in);
        while (tg_thrift_next(in, &id, &type)) {
            if (id == 1)
                physical = tg_thrift_take(in, type);
            else if (id == 3)
                repetition = tg_thrift_take(in, type);
            else if (id == 4)
                name = tg_thrift_take_text(in, type);
            else if (id == 5)
                children = tg_thrift_take(in, type);
            else
                tg_thrift_skip(in, type);
        }
        if (i == 0)
            continue;
        r->field[r->n_columns] = -1;
        for (int16_t f = 0; f < TG_FIELD_COUNT; f++)
            if (tg_str_eq(name, tg_str_of(tg_field((enum tg_field_id)f)->name)) &&
                r->fields >> f & 1) {
                in->bad |= physical != tg_parquet_type_of((enum tg_field_id)f).physical;
                r->field[r->n_columns] = f;
            }
        in->bad |= children != 0 || (repetition != TG_PARQUET_REQUIRED &&
                                     repetition != TG_PARQUET_OPTIONAL);
        r->optional[r->n_columns++] = repetition == TG_PARQUET_OPTIONAL;
    }
}

static void take_chunk_data(struct chunk *c, struct tg_thrift_in *in)
{
    int64_t data = -1, dictionary = -1;
    unsigned type;
    int16_t id;

    tg_thrift_enter(in);
    while (tg_thrift_next(in, &id, &type)) {
        if (id == 4)
            c->codec = (int32_t)tg_thrift_take(in, type);
        else if (id == 5)
            c->n_values = tg_thrift_take(in, type);
        else if (id == 7)
            c->size = tg_thrift_take(in, type);
        else if (id == 9)
            data = tg_thrift_take(in, type);
        else if (id == 11)
            dictionary = tg_thrift_take(in, type);
        else
            tg_thrift_skip(in, type);
    }
    c->at = dictionary >= 0 && dictionary < data ? dictionary : data;
}

static void take_columns(struct reader *r, struct tg_thrift_in *in, unsigned list)
{
    unsigned type;
    uint32_t n = tg_thrift_take_list(in, list, &type);
    int16_t id;

    in->bad |= type != TG_THRIFT_STRUCT || n != r->n_columns || r->n_chunks;
    for (uint32_t i = 0; i < n && !in->bad; i++) {
        struct chunk c = { .at = -1, .size = -1, .codec = -1, .optional = r->optional[i] };

        tg_thrift_enter(in);
        while (tg_thrift_next(in, &id, &type)) {
            if (id == 3 && type == TG_THRIFT_STRUCT)
                take_chunk_data(&c, in);
            else
                tg_thrift_skip(in, type);
        }
        if (r->field[i] < 0)
            continue;
        c.id = (enum tg_field_id)r->field[i];
        in->bad |= r->n_chunks == TG_FIELD_COUNT;
        if (!in->bad)
            r->chunk[r->n_chunks++] = c;
    }
}

static void groups_done(struct reader *r)
{
    for (; r->n_chunks; r->n_chunks--)
        chunk_done(&r->chunk[r->n_chunks - 1]);
}

static tg_code take_group(struct reader *r, struct tg_thrift_in *in, int64_t *ret_rows,
                          struct tg_error *err)
{
    tg_code code = TG_OK;
    int64_t rows = -1;
    unsigned type;
    int16_t id;

    tg_thrift_enter(in);
    while (tg_thrift_next(in, &id, &type)) {
        if (id == 1)
            take_columns(r, in, type);
        else if (id == 3)
            rows = tg_thrift_take(in, type);
        else
            tg_thrift_skip(in, type);
    }
    if (in->bad || rows < 0 || rows > TG_PARQUET_ROWS_MAX)
        code = no_such(err, "has a damaged footer");
    for (size_t i = 0; code == TG_OK && i < r->n_chunks; i++)
        code = load_chunk(r, &r->chunk[i], rows, err);
    if (code == TG_OK)
        code = give_rows(r, rows, err);
    groups_done(r);
    *ret_rows += rows;
    return code;
}

static tg_code take_groups(struct reader *r, struct tg_thrift_in *in, unsigned list,
                           int64_t *ret_rows, struct tg_error *err)
{
    unsigned type;
    uint32_t n = tg_thrift_take_list(in, list, &type);
    tg_code code = TG_OK;

    in->bad |= type != TG_THRIFT_STRUCT && n;
    for (uint32_t i = 0; code == TG_OK && i < n && !in->bad; i++)
        code = take_group(r, in, ret_rows, err);
    return code;
}

static tg_code take_footer(struct reader *r, const struct tg_buf *footer, struct tg_error *err)
{
    int64_t rows = -1, found = 0;
    struct tg_thrift_in in;
    tg_code code = TG_OK;
    unsigned type;
    int16_t id;

    tg_thrift_in_init(&in, footer->data, footer->len);
    tg_thrift_enter(&in);
    while (code == TG_OK && tg_thrift_next(&in, &id, &type)) {
        if (id == 2)
            take_schema(r, &in, type);
        else if (id == 3)
            rows = tg_thrift_take(&in, type);
        else if (id == 4)
            code = take_groups(r, &in, type, &found, err);
        else
            tg_thrift_skip(&in, type);
    }
    if (code != TG_OK)
        return code;
    return in.bad || rows != found ? no_such(err, "has a damaged footer") : TG_OK;
}

tg_code tg_parquet_read(const struct tg_scratch *file, uint64_t fields, tg_parquet_taken taken,
                        void *ctx, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf footer;
    const size_t magic = strlen(TG_PARQUET_MAGIC);
    uint8_t tail[TAIL];
    struct reader *r;
    tg_code code;
    uint32_t len;

    tg_buf_init(&footer, FOOTER_MAX + 1);
    if (file->size < magic + TAIL)
        return no_such(err, "is no Parquet file");
    code = tg_scratch_read(file, file->size - TAIL, tail, TAIL, err);
    if (code != TG_OK)
        return code;
    len = tg_le32(tail);
    if (memcmp(tail + 4, TG_PARQUET_MAGIC, magic) != 0 || len > FOOTER_MAX ||
        len > file->size - magic - TAIL)
        return no_such(err, "is no Parquet file");
    r = calloc(1, sizeof *r);
    if (!r || !tg_buf_extend(&footer, (size_t)len + 1)) {
        free(r);
        return no_memory(err);
    }
    footer.len = len;
    *r = (struct reader){ .file = file, .fields = fields, .taken = taken, .ctx = ctx };
    r->size = file->size - TAIL - len;
    code = tg_scratch_read(file, r->size, footer.data, len, err);
    if (code == TG_OK)
        code = take_footer(r, &footer, err);
    free(r);
    return code;
}
