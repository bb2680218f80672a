/* SPDX-License-Identifier: MIT */
/*
 * row.c - see row.h
 *
 * Writing a row as JSON walks the set bits of its presence mask; keys are prepared once as
 * `,"name":` so that a field costs one copy before its value.
 */
#include "base/row.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"

#define FIELD_ROW(name, type, meaning) { #name, TG_FIELD_##type, meaning },
#define FIELD_OFFSET(name, type, meaning) offsetof(struct tg_row, name),
#define FIELD_KEY(name, type, meaning) { ",\"" #name "\":", sizeof(",\"" #name "\":") - 1 },

static const struct tg_field field_table[] = { TG_FIELDS(FIELD_ROW) };
static const struct {
    const char *text;
    size_t len;
} field_key[] = { TG_FIELDS(FIELD_KEY) };
const uint16_t tg_row_offset[TG_FIELD_COUNT] = { TG_FIELDS(FIELD_OFFSET) };

/* A cleared batch keeps at most this much: one outlier must not hold memory for good. */
enum { KEEP_MAX = 256 * 1024, TEXT_MAX = 64 << 20 };

const struct tg_field *tg_field(enum tg_field_id id)
{
    assert(id < TG_FIELD_COUNT);
    return &field_table[id];
}

bool tg_row_has(const struct tg_row *row, enum tg_field_id id)
{
    assert(id < TG_FIELD_COUNT);
    return row->present >> id & 1;
}

static const void *member(const struct tg_row *row, enum tg_field_id id)
{
    return (const char *)row + tg_row_offset[id];
}

static bool is_text(enum tg_field_id id)
{
    return field_table[id].type == TG_FIELD_STR || field_table[id].type == TG_FIELD_JSON;
}

int64_t tg_row_int(const struct tg_row *row, enum tg_field_id id)
{
    assert(id < TG_FIELD_COUNT && !is_text(id));
    return *(const int64_t *)member(row, id);
}

const char *tg_row_text(const struct tg_row *row, enum tg_field_id id, size_t *ret_len)
{
    const struct tg_str *s = member(row, id);

    assert(id < TG_FIELD_COUNT && is_text(id));
    if (!tg_row_has(row, id))
        return NULL;
    if (ret_len)
        *ret_len = s->len;
    return s->at ? s->at : "";
}

struct tg_batch *tg_batch_new(size_t n_rows)
{
    struct tg_batch *b = calloc(1, sizeof *b);

    assert(n_rows > 0);
    if (!b)
        return NULL;
    b->row = calloc(n_rows, sizeof *b->row);
    b->cap = n_rows;
    tg_arena_init(&b->arena, TEXT_MAX);
    if (!b->row) {
        free(b);
        return NULL;
    }
    return b;
}

static void drop_adopted(struct tg_batch *b)
{
    for (size_t i = 0; i < b->n_adopted; i++)
        free(b->adopted[i]);
    b->n_adopted = 0;
}

void tg_batch_free(struct tg_batch *b)
{
    if (!b)
        return;
    drop_adopted(b);
    free(b->adopted);
    tg_arena_done(&b->arena);
    free(b->row);
    free(b);
}

void tg_batch_clear(struct tg_batch *b)
{
    struct tg_batch kept = *b;

    drop_adopted(b);
    if (tg_arena_held(&b->arena) > KEEP_MAX)
        tg_arena_done(&b->arena);
    else
        tg_arena_clear(&b->arena);
    kept.arena = b->arena;
    *b = (struct tg_batch){
        .row = kept.row,
        .cap = kept.cap,
        .arena = kept.arena,
        .adopted = kept.adopted,
        .cap_adopted = kept.cap_adopted,
    };
}

struct tg_row *tg_batch_row(struct tg_batch *b)
{
    struct tg_row *row;

    if (b->n == b->cap)
        return NULL;
    row = &b->row[b->n++];
    memset(row, 0, sizeof *row);
    b->bytes += sizeof *row;
    return row;
}

bool tg_batch_adopt(struct tg_batch *b, void *buffer, size_t bytes)
{
    if (b->n_adopted == b->cap_adopted) {
        size_t cap = b->cap_adopted ? b->cap_adopted * 2 : 16;
        void **more = realloc(b->adopted, cap * sizeof *more);

        if (!more) {
            free(buffer);
            return false;
        }
        b->adopted = more;
        b->cap_adopted = cap;
    }
    b->adopted[b->n_adopted++] = buffer;
    b->bytes += bytes;
    return true;
}

struct tg_str tg_batch_text(struct tg_batch *b, const void *text, size_t len)
{
    char *copy = len > UINT32_MAX ? NULL : tg_arena_bytes(&b->arena, len ? len : 1);

    if (!copy)
        return (struct tg_str){ NULL, 0 };
    if (len)
        memcpy(copy, text, len);
    b->bytes += len;
    return (struct tg_str){ copy, (uint32_t)len };
}

static void value_json(const struct tg_row *row, enum tg_field_id id, struct tg_buf *out)
{
    const struct tg_str *s = member(row, id);
    char time[21];

    switch (field_table[id].type) {
    case TG_FIELD_I64:
        tg_buf_i64_text(out, tg_row_int(row, id));
        break;
    case TG_FIELD_TIME:
        if (!tg_time_utc(time, tg_row_int(row, id)))
            tg_buf_i64_text(out, tg_row_int(row, id));
        else {
            uint8_t *at = tg_buf_extend(out, 22);

            if (at) {
                at[0] = '"';
                memcpy(at + 1, time, 20);
                at[21] = '"';
            }
        }
        break;
    case TG_FIELD_BOOL:
        tg_buf_str(out, tg_row_int(row, id) ? "true" : "false");
        break;
    case TG_FIELD_STR:
        tg_json_quote(out, s->at, s->len);
        break;
    case TG_FIELD_JSON:
        tg_buf_add(out, s->at, s->len);
        break;
    }
}

void tg_row_json(const struct tg_row *row, struct tg_buf *out)
{
    uint64_t left = row->present;
    size_t start = out->len;

    tg_buf_byte(out, '{');
    while (left) {
        enum tg_field_id id = (enum tg_field_id)__builtin_ctzll(left);
        size_t skip = out->len == start + 1; /* the first key has no comma */

        left &= left - 1;
        tg_buf_add(out, field_key[id].text + skip, field_key[id].len - skip);
        value_json(row, id, out);
    }
    tg_buf_byte(out, '}');
}

void tg_row_key(const struct tg_row *row, struct tg_buf *out)
{
    const int64_t part[] = { row->owner, row->chat_id, row->id, row->edit_date };

    for (size_t i = 0; i < TG_COUNT(part); i++) {
        tg_buf_i64_text(out, part[i]);
        tg_buf_byte(out, i < 3 ? ':' : '-');
    }
    tg_buf_add(out, row->content_hash.at, row->content_hash.len);
}
