/* SPDX-License-Identifier: MIT */
/*
 * pgcopy.c - see pgcopy.h
 */
#include "sink/pgcopy.h"

enum { JOB_COLUMNS = 3 };
#define EPOCH_S INT64_C(946684800) /* 2000-01-01 in Unix seconds */
#define SYMBOL_FOR_NUL "\xe2\x90\x80"

static const char nul_note[] = "NUL became U+2400";

const char *tg_pgcopy_type(enum tg_field_type type)
{
    static const char *const name[] = {
        [TG_FIELD_I64] = "bigint",  [TG_FIELD_TIME] = "timestamp with time zone",
        [TG_FIELD_BOOL] = "boolean", [TG_FIELD_STR] = "text",
        [TG_FIELD_JSON] = "jsonb",
    };

    return name[type];
}

static void put_be(struct tg_buf *out, uint64_t v, unsigned n)
{
    uint8_t *at = tg_buf_extend(out, n);

    for (unsigned i = 0; at && i < n; i++)
        at[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

void tg_pgcopy_head(struct tg_buf *out)
{
    tg_buf_add(out, "PGCOPY\n\377\r\n", 11); /* with its NUL */
    put_be(out, 0, 4);                         /* flags */
    put_be(out, 0, 4);                         /* no extension */
}

void tg_pgcopy_tail(struct tg_buf *out)
{
    put_be(out, UINT16_MAX, 2);
}

static void put_null(struct tg_buf *out)
{
    put_be(out, UINT32_MAX, 4);
}

static void put_i64(struct tg_buf *out, int64_t v)
{
    put_be(out, 8, 4);
    put_be(out, (uint64_t)v, 8);
}

/* Sets the length of what was written since `start`, which has room for it. */
static void end_value(struct tg_buf *out, size_t start)
{
    size_t n = out->len - start - 4;

    if (out->failed)
        return;
    for (int i = 0; i < 4; i++)
        out->data[start + (size_t)i] = (uint8_t)(n >> 8 * (3 - i));
}

/* @return whether a NUL was replaced */
static bool put_text(struct tg_buf *out, struct tg_str s)
{
    const char *at = s.at, *end = s.at + s.len, *nul;
    size_t start = out->len;
    bool changed = false;

    put_be(out, 0, 4);
    while (at < end && (nul = memchr(at, 0, (size_t)(end - at)))) {
        tg_buf_add(out, at, (size_t)(nul - at));
        tg_buf_str(out, SYMBOL_FOR_NUL);
        at = nul + 1;
        changed = true;
    }
    if (at < end)
        tg_buf_add(out, at, (size_t)(end - at));
    end_value(out, start);
    return changed;
}

/* In JSON a NUL is the escape \u0000; a backslash that is escaped itself begins none. */
static bool put_json(struct tg_buf *out, struct tg_str s)
{
    const char *at = s.at, *end = s.at + s.len, *slash;
    size_t start = out->len;
    bool changed = false;

    put_be(out, 0, 4);
    tg_buf_byte(out, 1);
    if (s.len == 0)
        tg_buf_str(out, "null");
    while (at < end && (slash = memchr(at, '\\', (size_t)(end - at)))) {
        bool nul = end - slash >= 6 && memcmp(slash + 1, "u0000", 5) == 0;
        size_t whole = nul ? 6 : TG_MIN((size_t)(end - slash), (size_t)2);

        tg_buf_add(out, at, (size_t)(slash - at));
        if (nul)
            tg_buf_str(out, "\\u2400");
        else
            tg_buf_add(out, slash, whole);
        changed |= nul;
        at = slash + whole;
    }
    if (at < end)
        tg_buf_add(out, at, (size_t)(end - at));
    end_value(out, start);
    return changed;
}

static bool put_field(struct tg_buf *out, enum tg_field_id id, const struct tg_row *row)
{
    const void *value = (const char *)row + tg_row_offset[id];
    bool there = row->present >> id & 1, always = id == TG_F_chat_id || id == TG_F_owner ||
                                                  id == TG_F_id;

    switch (tg_field(id)->type) {
    case TG_FIELD_BOOL:
        put_be(out, 1, 4);
        tg_buf_byte(out, there && *(const int64_t *)value);
        return false;
    case TG_FIELD_TIME:
        if (there)
            put_i64(out, (*(const int64_t *)value - EPOCH_S) * 1000000);
        break;
    case TG_FIELD_I64:
        if (there || always)
            put_i64(out, *(const int64_t *)value);
        there |= always;
        break;
    case TG_FIELD_STR:
        if (there)
            return put_text(out, *(const struct tg_str *)value);
        break;
    case TG_FIELD_JSON:
        if (there)
            return put_json(out, *(const struct tg_str *)value);
        break;
    }
    if (!there)
        put_null(out);
    return false;
}

void tg_pgcopy_row(const struct tg_row *row, int64_t job_chat_id, int64_t job_commit,
                   struct tg_buf *out)
{
    bool changed = false;

    put_be(out, TG_FIELD_COUNT + JOB_COLUMNS, 2);
    for (int i = 0; i < TG_FIELD_COUNT; i++)
        changed |= put_field(out, (enum tg_field_id)i, row);
    if (row->chat_id == job_chat_id)
        put_null(out);
    else
        put_i64(out, job_chat_id);
    put_i64(out, job_commit);
    if (changed)
        put_text(out, (struct tg_str){ nul_note, sizeof nul_note - 1 });
    else
        put_null(out);
}
