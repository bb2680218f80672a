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

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/json.h"

#define FIELD_ROW(name, type, meaning) { #name, TG_FIELD_##type, meaning },
#define FIELD_OFFSET(name, type, meaning) offsetof(struct tg_row, name),
#define FIELD_KEY(name, type, meaning) { sizeof(",\"" #name "\":") - 1, ",\"" #name "\":" },

static const struct tg_field field_table[] = { TG_FIELDS(FIELD_ROW) };
/* One copy of constant length writes a key. */
static const struct {
    uint8_t len;
    char text[31];
} field_key[] = { TG_FIELDS(FIELD_KEY) };
const uint16_t tg_row_offset[TG_FIELD_COUNT] = { TG_FIELDS(FIELD_OFFSET) };

const char *const tg_row_source_name[TG_FROM_COUNT] = { "telegram", "archive", "export" };
const char *const tg_row_change_name[TG_ROW_CHANGES] = { "read", "new", "edited", "reactions",
                                                         "deleted" };

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
    free(b->file);
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
        .file = kept.file,
        .cap_files = kept.cap_files,
    };
}

struct tg_row *tg_batch_row(struct tg_batch *b)
{
    struct tg_row *row;

    if (b->n == b->cap)
        return NULL;
    while (b->n_files && b->file[b->n_files - 1].row >= b->n)
        b->n_files--; /* of a row that was taken back */
    row = &b->row[b->n++];
    memset(row, 0, sizeof *row);
    b->bytes += sizeof *row;
    return row;
}

struct tg_row_file *tg_batch_file(struct tg_batch *b)
{
    assert(b->n > 0);
    if (b->n_files == b->cap_files) {
        size_t cap = b->cap_files ? b->cap_files * 2 : 64;
        struct tg_row_file *more = reallocarray(b->file, cap, sizeof *more);

        if (!more)
            return NULL;
        b->file = more;
        b->cap_files = cap;
    }
    b->file[b->n_files] = (struct tg_row_file){ .row = b->n - 1 };
    return &b->file[b->n_files++];
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

bool tg_batch_set_aside(struct tg_batch *b, const struct tg_row *row, const char *rule,
                        const char *why)
{
    struct tg_row_aside *a = tg_arena_alloc(&b->arena, 1, sizeof *a);
    const char *copy = a ? tg_arena_copy(&b->arena, why, strlen(why)) : NULL;

    if (!copy)
        return false;
    *a = (struct tg_row_aside){ b->aside, *row, rule, copy };
    b->aside = a;
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

bool tg_batch_copy(struct tg_batch *b, const struct tg_row *row)
{
    struct tg_row *copy = tg_batch_row(b);

    if (!copy)
        return false;
    *copy = *row;
    for (uint64_t left = row->present; left; left &= left - 1) {
        enum tg_field_id id = (enum tg_field_id)__builtin_ctzll(left);
        struct tg_str *text = (void *)((char *)copy + tg_row_offset[id]);

        if (!is_text(id))
            continue;
        *text = tg_batch_text(b, text->at, text->len);
        if (!text->at) {
            b->n--;
            return false;
        }
    }
    return true;
}

/* Writes the value of a field that is no text; up to TG_I64_ROOM bytes are overwritten.
 * @return behind the last */
static uint8_t *put_value(uint8_t *at, enum tg_field_type type, int64_t v)
{
    char time[21];

    if (type == TG_FIELD_BOOL) {
        memcpy(at, v ? "true" : "false", 5);
        return at + (v ? 4 : 5);
    }
    if (type != TG_FIELD_TIME || !tg_time_utc(time, v))
        return tg_put_i64_text(at, v);
    *at = '"';
    memcpy(at + 1, time, 20);
    at[21] = '"';
    return at + 22;
}

void tg_row_json(const struct tg_row *row, struct tg_buf *out)
{
    enum { FIELD_MAX = sizeof field_key->text + TG_I64_ROOM };
    size_t start = out->len;

    for (uint64_t left = row->present; left; left &= left - 1) {
        enum tg_field_id id = (enum tg_field_id)__builtin_ctzll(left);
        enum tg_field_type type = field_table[id].type;
        const void *value = member(row, id);
        const struct tg_str *s = value;
        uint8_t *at;

        if (!tg_buf_room(out, FIELD_MAX))
            return;
        at = out->data + out->len;
        memcpy(at, field_key[id].text, sizeof field_key[id].text);
        at += field_key[id].len;
        if (type != TG_FIELD_STR && type != TG_FIELD_JSON) {
            out->len = (size_t)(put_value(at, type, *(const int64_t *)value) - out->data);
            continue;
        }
        out->len = (size_t)(at - out->data);
        if (type == TG_FIELD_STR)
            tg_json_quote(out, s->at, s->len);
        else if (s->len)
            tg_buf_add(out, s->at, s->len);
        else
            tg_buf_add(out, "null", 4); /* no text is no valid JSON */
    }
    if (out->len == start)
        tg_buf_byte(out, '{');
    else
        out->data[start] = '{'; /* over the first key's comma */
    tg_buf_byte(out, '}');
}

enum tg_row_change tg_row_changed(const struct tg_row *row)
{
    enum tg_row_change c = TG_ROW_CHANGES;

    if (!(row->present & TG_ROW_BIT(change)))
        return TG_ROW_READ;
    while (--c > TG_ROW_READ && !tg_str_eq(row->change, tg_str_of(tg_row_change_name[c])))
        ;
    return c;
}

/* -1a2b3c4d; of rows among changes */
static void put_reactions(const struct tg_row *row, enum tg_row_change change, struct tg_buf *out)
{
    bool any = row->present & TG_ROW_BIT(reactions);

    if (!(row->present & TG_ROW_BIT(change_seq)) || (!any && change != TG_ROW_REACTIONS))
        return;
    tg_buf_printf(out, "-%08x",
                  any ? (unsigned)XXH3_64bits(row->reactions.at, row->reactions.len) : 0);
}

void tg_row_key(const struct tg_row *row, struct tg_buf *out)
{
    const int64_t part[] = { row->owner, row->chat_id, row->id, row->edit_date };
    enum tg_row_change change = tg_row_changed(row);
    size_t n = TG_COUNT(part) - (change == TG_ROW_DELETED);
    uint8_t *at;

    if (!tg_buf_room(out, TG_COUNT(part) * TG_I64_ROOM))
        return;
    at = out->data + out->len;
    for (size_t i = 0; i < n; i++) {
        at = tg_put_i64_text(at, part[i]);
        *at++ = i + 1 < TG_COUNT(part) ? ':' : '-';
    }
    out->len = (size_t)(at - out->data);
    if (change == TG_ROW_DELETED) {
        tg_buf_str(out, tg_row_change_name[change]);
        return;
    }
    tg_buf_add(out, row->content_hash.at, row->content_hash.len);
    put_reactions(row, change, out);
}
