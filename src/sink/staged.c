/* SPDX-License-Identifier: MIT */
/*
 * staged.c - see staged.h
 */
#include "sink/staged.h"

#include "base/row_pack.h"

enum {
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

    if (code == TG_OK)
        code = tg_scratch_add(&s->file, s->rows.data, s->rows.len, err);
    if (code != TG_OK)
        return code;
    s->room->held -= s->rows.len;
    tg_buf_clear(&s->rows);
    return TG_OK;
}

tg_code tg_staged_add(struct tg_staged *s, const struct tg_row *row, struct tg_error *err)
{
    size_t before = s->rows.len, size;

    tg_row_pack(row, &s->rows);
    size = s->rows.len - before;
    if (s->rows.failed || size > ROW_MAX) {
        s->rows.failed = false;
        s->rows.len = before;
        return tg_fail(err, TG_LIMIT,
                       "message %lld of chat %lld exceeds %d MiB, or no memory is left",
                       (long long)row->id, (long long)row->chat_id, ROW_MAX >> 20);
    }
    s->room->held += size;
    s->n++;
    return s->room->held > s->room->most && s->rows.len >= SPILL_MIN ? spill(s, err) : TG_OK;
}

/* Hands over all whole records. *ret_rest tells where the first that is not whole begins. */
static tg_code each_of(const struct tg_buf *bytes, tg_staged_row each, void *ctx, size_t *ret_rest,
                       struct tg_error *err)
{
    struct tg_row row;
    tg_code code = TG_OK;
    size_t at = 0, size;

    while (code == TG_OK && at < bytes->len) {
        if (!tg_row_unpack(bytes->data + at, bytes->len - at, &row, &size))
            return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
        if (size == 0 || size > bytes->len - at)
            break;
        code = each(ctx, &row, err);
        at += size;
    }
    *ret_rest = at;
    return code;
}

static tg_code each_in_file(struct tg_staged *s, tg_staged_row each, void *ctx,
                            struct tg_error *err)
{
    struct tg_buf window;
    uint64_t at = 0;
    tg_code code = TG_OK;

    tg_buf_init(&window, ROW_MAX + 2 * (size_t)WINDOW);
    while (code == TG_OK && at < s->file.size) {
        size_t n = (size_t)TG_MIN(s->file.size - at, (uint64_t)WINDOW), rest;
        uint8_t *to = tg_buf_extend(&window, n);

        if (!to) {
            code = tg_fail(err, TG_NOMEM, "no memory to read a temporary file");
            break;
        }
        code = tg_scratch_read(&s->file, at, to, n, err);
        at += n;
        if (code == TG_OK)
            code = each_of(&window, each, ctx, &rest, err);
        if (code == TG_OK)
            tg_buf_shift(&window, rest);
    }
    if (code == TG_OK && window.len)
        code = tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
    tg_buf_done(&window);
    return code;
}

tg_code tg_staged_each(struct tg_staged *s, tg_staged_row each, void *ctx, struct tg_error *err)
{
    tg_code code = each_in_file(s, each, ctx, err);
    size_t rest;

    return code == TG_OK ? each_of(&s->rows, each, ctx, &rest, err) : code;
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
