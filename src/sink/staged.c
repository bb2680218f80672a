/* SPDX-License-Identifier: MIT */
/*
 * staged.c - see staged.h
 */
#include "sink/staged.h"

#include <assert.h>

#include "base/row_pack.h"

enum {
    HEAD = 4, /* a record's length */
    ROW_MAX = 80 << 20,
    WINDOW = 256 * 1024, /* of the file, in memory */
    KEEP = 1 << 20,      /* memory that a chat keeps when its rows are gone */
    SPILL_MIN = 64 * 1024,
};

void tg_staged_init(struct tg_staged *s, struct tg_staged_room *room)
{
    *s = (struct tg_staged){ .room = room, .file = { .fd = -1 } };
    tg_buf_init(&s->rows, room->most + 2 * (size_t)ROW_MAX);
}

static tg_code spill(struct tg_staged *s, struct tg_error *err)
{
    tg_code code = s->file.fd < 0 ? tg_scratch_open(&s->file, err) : TG_OK;
    uint64_t before = s->file.size;

    if (code != TG_OK)
        return code;
    code = tg_scratch_add(&s->file, s->rows.data, s->rows.len, err);
    if (code != TG_OK) {
        tg_scratch_cut(&s->file, before); /* they are in memory still */
        return code;
    }
    s->room->held -= s->rows.len;
    tg_buf_clear(&s->rows);
    return TG_OK;
}

/* Counts the record that begins at s->last. */
static tg_code add(struct tg_staged *s, const struct tg_row *row, struct tg_error *err)
{
    size_t size = s->rows.len - s->last;

    if (s->rows.failed || size > ROW_MAX) {
        s->rows.failed = false;
        s->rows.len = s->last;
        return tg_fail(err, TG_LIMIT,
                       "message %lld of chat %lld exceeds %d MiB, or no memory is left",
                       (long long)row->id, (long long)row->chat_id, ROW_MAX >> 20);
    }
    s->room->held += size;
    s->n++;
    return s->room->held > s->room->most && s->rows.len >= SPILL_MIN ? spill(s, err) : TG_OK;
}

tg_code tg_staged_add(struct tg_staged *s, const struct tg_row *row, struct tg_error *err)
{
    s->last = s->rows.len;
    tg_row_pack(row, &s->rows); /* which begins with the length */
    return add(s, row, err);
}

struct tg_buf *tg_staged_begin(struct tg_staged *s)
{
    s->last = s->rows.len;
    tg_buf_u32(&s->rows, 0);
    return &s->rows;
}

tg_code tg_staged_end(struct tg_staged *s, const struct tg_row *row, struct tg_error *err)
{
    if (!s->rows.failed && s->rows.len - s->last <= ROW_MAX)
        tg_put_le32(s->rows.data + s->last, (uint32_t)(s->rows.len - s->last - HEAD));
    return add(s, row, err);
}

/* ---- giving them back ---- */

/* Who gets them: one of the two. */
struct taker {
    tg_staged_row row;
    tg_staged_record record;
    void *ctx;
};

static tg_code changed(struct tg_error *err)
{
    return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
}

static tg_code give(const struct taker *to, const uint8_t *at, size_t size, bool stays,
                    struct tg_error *err)
{
    struct tg_row row;
    size_t whole;

    if (to->record)
        return to->record(to->ctx, at + HEAD, size - HEAD, stays, err);
    if (!tg_row_unpack(at, size, &row, &whole))
        return changed(err);
    return to->row(to->ctx, &row, err);
}

/* Hands over all whole records. *ret_rest tells where the first that is not whole begins. */
static tg_code each_of(const struct tg_buf *bytes, const struct taker *to, bool stays,
                       size_t *ret_rest, struct tg_error *err)
{
    tg_code code = TG_OK;
    size_t at = 0, size;

    while (code == TG_OK && bytes->len - at >= HEAD) {
        size = HEAD + (size_t)tg_le32(bytes->data + at);
        if (size > bytes->len - at)
            break;
        code = give(to, bytes->data + at, size, stays, err);
        at += size;
    }
    *ret_rest = at;
    return code;
}

static tg_code each_in_file(struct tg_staged *s, const struct taker *to, struct tg_error *err)
{
    struct tg_buf window;
    uint64_t at = 0;
    tg_code code = TG_OK;

    tg_buf_init(&window, ROW_MAX + 2 * (size_t)WINDOW);
    while (code == TG_OK && at < s->file.size) {
        size_t n = (size_t)TG_MIN(s->file.size - at, (uint64_t)WINDOW), rest;
        uint8_t *bytes = tg_buf_extend(&window, n);

        if (!bytes) {
            code = tg_fail(err, TG_NOMEM, "no memory to read a temporary file");
            break;
        }
        code = tg_scratch_read(&s->file, at, bytes, n, err);
        at += n;
        if (code == TG_OK)
            code = each_of(&window, to, false, &rest, err);
        if (code == TG_OK)
            tg_buf_shift(&window, rest);
    }
    if (code == TG_OK && window.len)
        code = changed(err);
    tg_buf_done(&window);
    return code;
}

static tg_code each(struct tg_staged *s, const struct taker *to, struct tg_error *err)
{
    tg_code code = each_in_file(s, to, err);
    size_t rest;

    return code == TG_OK ? each_of(&s->rows, to, true, &rest, err) : code;
}

tg_code tg_staged_each(struct tg_staged *s, tg_staged_row row, void *ctx, struct tg_error *err)
{
    return each(s, &(struct taker){ .row = row, .ctx = ctx }, err);
}

tg_code tg_staged_records(struct tg_staged *s, tg_staged_record record, void *ctx,
                          struct tg_error *err)
{
    return each(s, &(struct taker){ .record = record, .ctx = ctx }, err);
}

struct tg_staged_mark tg_staged_mark(const struct tg_staged *s)
{
    return (struct tg_staged_mark){ s->file.size + s->rows.len, s->n };
}

void tg_staged_cut(struct tg_staged *s, struct tg_staged_mark to)
{
    uint64_t file = TG_MIN(to.bytes, s->file.size);
    size_t left = (size_t)(to.bytes - file);

    assert(left <= s->rows.len);
    s->room->held -= s->rows.len - left;
    s->rows.len = left;
    tg_scratch_cut(&s->file, file);
    s->n = to.n;
}

void tg_staged_clear(struct tg_staged *s)
{
    s->room->held -= s->rows.len;
    s->n = 0;
    tg_scratch_empty(&s->file);
    if (s->rows.cap > KEEP)
        tg_buf_done(&s->rows);
    else
        tg_buf_clear(&s->rows);
}

void tg_staged_done(struct tg_staged *s)
{
    tg_staged_clear(s);
    tg_buf_done(&s->rows);
    tg_scratch_close(&s->file);
}
