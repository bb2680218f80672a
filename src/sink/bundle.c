/* SPDX-License-Identifier: MIT */
/*
 * bundle.c - see bundle.h
 */
#include "sink/bundle.h"

#include <assert.h>
#include <stdlib.h>

#include "base/row_pack.h"

enum { ROW_MAX = 80 << 20, KEEP = 4 << 20 };

bool tg_bundle_init(struct tg_bundle *b, size_t cap)
{
    *b = (struct tg_bundle){ .cap = cap, .item = calloc(cap, sizeof *b->item) };
    tg_buf_init(&b->text, 4 * (size_t)ROW_MAX);
    tg_buf_init(&b->packed, 4 * (size_t)ROW_MAX);
    return b->item != NULL;
}

void tg_bundle_done(struct tg_bundle *b)
{
    tg_buf_done(&b->text);
    tg_buf_done(&b->packed);
    free(b->item);
    *b = (struct tg_bundle){ 0 };
}

void tg_bundle_clear(struct tg_bundle *b)
{
    struct tg_buf *part[] = { &b->text, &b->packed };

    for (size_t i = 0; i < TG_COUNT(part); i++) {
        if (part[i]->cap > KEEP)
            tg_buf_done(part[i]);
        else
            tg_buf_clear(part[i]);
    }
    b->n = 0;
}

static struct tg_bundle_item begin(struct tg_bundle *b)
{
    assert(b->n < b->cap);
    if (!b->n)
        tg_buf_byte(&b->text, ' ');
    return (struct tg_bundle_item){ .at = b->text.len, .packed = b->packed.len };
}

/* @return false: nothing was added */
static bool end(struct tg_bundle *b, struct tg_bundle_item item)
{
    item.end = b->text.len;
    tg_buf_byte(&b->text, ' ');
    if (b->text.failed || b->packed.failed || item.end - item.at > ROW_MAX) {
        b->text.failed = b->packed.failed = false;
        b->text.len = b->n ? item.at : 0;
        b->packed.len = item.packed;
        return false;
    }
    b->item[b->n++] = item;
    return true;
}

tg_code tg_bundle_add(struct tg_bundle *b, const struct tg_message_format *format,
                      const struct tg_message_about *about, const struct tg_row *row,
                      struct tg_error *err)
{
    const struct tg_bundle_item item = begin(b);

    format->put_row(about, row, &b->text);
    tg_row_pack(row, &b->packed);
    if (end(b, item))
        return TG_OK;
    return tg_fail(err, TG_LIMIT, "message %lld of chat %lld exceeds %d MiB, or no memory is left",
                   (long long)row->id, (long long)row->chat_id, ROW_MAX >> 20);
}

tg_code tg_bundle_put(struct tg_bundle *b, struct tg_str message, struct tg_error *err)
{
    const struct tg_bundle_item item = begin(b);

    tg_buf_add(&b->text, message.at, message.len);
    return end(b, item) ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for a message");
}

void tg_bundle_undo(struct tg_bundle *b)
{
    const struct tg_bundle_item *last;

    assert(b->n);
    last = &b->item[--b->n];
    b->packed.len = last->packed;
    b->text.len = b->n ? last->at : 0;
}

void tg_bundle_drop(struct tg_bundle *b, size_t n)
{
    size_t text, packed;

    assert(n <= b->n);
    if (n == b->n) {
        tg_bundle_clear(b);
        return;
    }
    text = b->item[n].at - 1; /* a byte stays before the first */
    packed = b->item[n].packed;
    tg_buf_shift(&b->text, text);
    tg_buf_shift(&b->packed, packed);
    b->n -= n;
    memmove(b->item, b->item + n, b->n * sizeof *b->item);
    for (size_t i = 0; i < b->n; i++) {
        b->item[i].at -= text;
        b->item[i].end -= text;
        b->item[i].packed -= packed;
    }
}

void tg_bundle_row(const struct tg_bundle *b, size_t i, struct tg_row *ret)
{
    size_t at = b->item[i].packed, size;
    bool whole = tg_row_unpack(b->packed.data + at, b->packed.len - at, ret, &size);

    assert(i < b->n && whole);
    (void)whole;
}
