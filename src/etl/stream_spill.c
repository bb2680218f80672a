/* SPDX-License-Identifier: MIT */
/*
 * stream_spill.c - see stream_spill.h
 *
 *   record = struct spilled | rows as row_pack.h has them | note
 */
#include "etl/stream_spill.h"

#include <stdlib.h>

#include "base/row_pack.h"

enum { BATCH_MAX = 256 << 20 };

struct spilled {
    uint64_t len; /* of what follows */
    uint64_t seq, n;
    struct tg_cursor cursor;
    int64_t covered_from, started_us, ended_us;
    uint32_t note;
    int32_t rate_limit_remaining;
};

void tg_spill_init(struct tg_spill *s, uint64_t max)
{
    *s = (struct tg_spill){ .segment_max = max / TG_SPILL_SEGMENTS };
    for (size_t i = 0; i < TG_SPILL_SEGMENTS; i++)
        s->segment[i].fd = -1;
    tg_buf_init(&s->bytes, BATCH_MAX);
}

void tg_spill_done(struct tg_spill *s)
{
    for (size_t i = 0; i < TG_SPILL_SEGMENTS; i++)
        if (s->segment[i].fd >= 0)
            tg_scratch_close(&s->segment[i]);
    tg_buf_done(&s->bytes);
}

static struct tg_scratch *segment_at(struct tg_spill *s, size_t i)
{
    return &s->segment[(s->first + i) % TG_SPILL_SEGMENTS];
}

/* @return the segment that is written to, with room for so much; NULL */
static struct tg_scratch *open_segment(struct tg_spill *s, uint64_t len)
{
    struct tg_scratch *last = s->n ? segment_at(s, s->n - 1) : NULL;
    struct tg_error ignored; /* without a file the destination is waited for all the same */

    if (last && last->size + len <= s->segment_max)
        return last;
    if (s->n == TG_SPILL_SEGMENTS || len > s->segment_max)
        return NULL;
    last = segment_at(s, s->n);
    if (tg_scratch_open(last, &ignored) != TG_OK)
        return NULL;
    s->n++;
    return last;
}

bool tg_spill_add(struct tg_spill *s, const struct tg_batch *b)
{
    struct spilled head = { .seq = b->seq, .n = b->n, .cursor = b->cursor,
                            .covered_from = b->covered_from, .started_us = b->started_us,
                            .ended_us = b->ended_us, .note = b->note.len,
                            .rate_limit_remaining = b->rate_limit_remaining };
    struct tg_scratch *to;
    struct tg_error ignored;

    if (!s->segment_max)
        return false;
    tg_buf_clear(&s->bytes);
    tg_buf_add(&s->bytes, &head, sizeof head);
    for (size_t i = 0; i < b->n; i++)
        tg_row_pack(&b->row[i], &s->bytes);
    tg_buf_add(&s->bytes, b->note.at, b->note.len);
    if (s->bytes.failed) {
        s->bytes.failed = false;
        return false;
    }
    head.len = s->bytes.len - sizeof head;
    memcpy(s->bytes.data, &head, sizeof head);
    to = open_segment(s, s->bytes.len);
    if (!to)
        return false;
    if (tg_scratch_add(to, s->bytes.data, s->bytes.len, &ignored) != TG_OK)
        return false;
    s->n_batches++;
    return true;
}

static tg_code damaged(struct tg_error *err)
{
    return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
}

/* Rows and note point into the bytes, which the batch owns. */
static tg_code unpack(struct tg_batch *b, const struct spilled *head, const uint8_t *bytes,
                      struct tg_error *err)
{
    size_t at = 0, size;

    for (uint64_t i = 0; i < head->n; i++, at += size) {
        struct tg_row *row = tg_batch_row(b);

        if (!row || !tg_row_unpack(bytes + at, head->len - at, row, &size) || size == 0 ||
            size > head->len - at)
            return damaged(err);
    }
    if (head->note != head->len - at)
        return damaged(err);
    b->note = (struct tg_str){ (const char *)bytes + at, head->note };
    b->seq = head->seq;
    b->cursor = head->cursor;
    b->covered_from = head->covered_from;
    b->started_us = head->started_us;
    b->ended_us = head->ended_us;
    b->rate_limit_remaining = head->rate_limit_remaining;
    return TG_OK;
}

tg_code tg_spill_take(struct tg_spill *s, struct tg_batch *to, struct tg_error *err)
{
    struct tg_scratch *from = segment_at(s, 0);
    struct spilled head;
    uint8_t *bytes;
    tg_code code;

    if (!s->n_batches)
        return TG_END;
    code = tg_scratch_read(from, s->at, &head, sizeof head, err);
    if (code != TG_OK)
        return code;
    if (head.len > from->size - s->at - sizeof head)
        return damaged(err);
    bytes = malloc(head.len + 1);
    if (!bytes)
        return tg_fail(err, TG_NOMEM, "no memory to read a temporary file");
    code = tg_scratch_read(from, s->at + sizeof head, bytes, head.len, err);
    if (code == TG_OK && !tg_batch_adopt(to, bytes, head.len))
        return tg_fail(err, TG_NOMEM, "no memory to read a temporary file");
    if (code != TG_OK) {
        free(bytes);
        return code;
    }
    s->at += sizeof head + head.len;
    s->n_batches--;
    if (s->at == from->size) { /* read to its end: its room is given back */
        tg_scratch_close(from);
        from->fd = -1;
        s->first = (s->first + 1) % TG_SPILL_SEGMENTS;
        s->n--;
        s->at = 0;
    }
    return unpack(to, &head, bytes, err);
}
