/* SPDX-License-Identifier: MIT */
/*
 * change_doc.c - see change_doc.h
 */
#include "etl/change_doc.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"

enum {
    VERSION = 1, PREFIX = 13, SUM = 8,
    BOX = 24, CHAT = 24, HEAD = 53, WINDOW_MAX = 3 * TG_VARINT_MAX + 8,
    WINDOW_MIN = 3, SCANNED = 1, DOUBTED = 2
};
static const char job_magic[4] = "tgcj", head_magic[4] = "tgch";

/* ---- what they begin and end with ---- */

static uint8_t *put_prefix(uint8_t *at, const char magic[4], uint64_t job)
{
    memcpy(at, magic, 4);
    at[4] = VERSION;
    tg_put_le64(at + 5, job);
    return at + PREFIX;
}

static uint64_t put_sum(struct tg_buf *out, size_t start, uint8_t *at)
{
    uint64_t sum = XXH3_64bits(out->data + start, (size_t)(at - out->data) - start);

    tg_put_le64(at, sum);
    out->len = (size_t)(at - out->data) + SUM;
    return sum;
}

uint64_t tg_change_doc_sum(const void *bytes, size_t len)
{
    return len < SUM ? 0 : tg_le64((const uint8_t *)bytes + len - SUM);
}

/* Begins to read what stands between prefix and checksum. */
static tg_code begin(const char magic[4], uint64_t job, const uint8_t *b, size_t len,
                     struct tg_bytes_in *ret, struct tg_error *err)
{
    const char *why = NULL;

    if (len < PREFIX + SUM || memcmp(b, magic, 4) != 0)
        why = "is not what was stored";
    else if (XXH3_64bits(b, len - SUM) != tg_change_doc_sum(b, len))
        why = "is damaged";
    else if (b[4] != VERSION)
        why = "is of another version of the program";
    else if (tg_le64(b + 5) != job)
        why = "is of another job";
    if (why)
        return tg_fail(err, TG_CORRUPT, "the state of the job %s", why);
    *ret = (struct tg_bytes_in){ b + PREFIX, b + len - SUM, false };
    return TG_OK;
}

static tg_code contradicts(struct tg_error *err)
{
    return tg_fail(err, TG_CORRUPT, "the state of the job contradicts itself");
}

/* Room for n things of that size in memory, of at least `bytes` each in what is read.
 * @return false: so many cannot be there (then r is bad), or no memory */
static bool make_room(struct tg_bytes_in *r, uint64_t n, size_t bytes, size_t size,
                      struct tg_arena *arena, void **ret)
{
    if (n > (size_t)(r->end - r->at) / bytes) {
        tg_bytes_bad(r);
        return false;
    }
    *ret = tg_arena_alloc(arena, n ? n : 1, size);
    return *ret;
}

/* ---- of the job ---- */

void tg_change_job_put(uint64_t job, const struct tg_change_job_doc *doc, struct tg_buf *out)
{
    const uint64_t number[] = { doc->fields, doc->through, doc->through_sum, doc->as_of };
    size_t start = out->len;
    uint8_t *at = tg_buf_extend(out, PREFIX + sizeof number + 8 + (size_t)doc->n_boxes * BOX +
                                         (size_t)doc->n_chats * CHAT + SUM);

    if (!at)
        return;
    at = put_prefix(at, job_magic, job);
    for (size_t i = 0; i < TG_COUNT(number); i++, at += 8)
        tg_put_le64(at, number[i]);
    tg_put_le32(at, doc->n_boxes);
    at += 4;
    for (uint32_t i = 0; i < doc->n_boxes; i++, at += BOX) {
        const struct tg_update_state *box = &doc->box[i].at;

        tg_put_le64(at, (uint64_t)doc->box[i].channel);
        for (size_t k = 0; k < TG_COUNT(box->at); k++)
            tg_put_le32(at + 8 + 4 * k, (uint32_t)box->at[k]);
        tg_put_le32(at + 20, (uint32_t)box->date);
    }
    tg_put_le32(at, doc->n_chats);
    at += 4;
    for (uint32_t i = 0; i < doc->n_chats; i++, at += CHAT) {
        tg_put_le64(at, (uint64_t)doc->chat[i].id);
        tg_put_le64(at + 8, (uint64_t)doc->chat[i].owner);
        tg_put_le64(at + 16, doc->chat[i].head_sum);
    }
    put_sum(out, start, at);
}

static void take_boxes(struct tg_bytes_in *r, struct tg_change_job_doc *doc)
{
    for (uint32_t i = 0; i < doc->n_boxes; i++) {
        struct tg_change_job_box *box = &doc->box[i];

        box->channel = (int64_t)tg_take_le(r, 8);
        for (size_t k = 0; k < TG_COUNT(box->at.at); k++)
            box->at.at[k] = (int32_t)tg_take_le(r, 4);
        box->at.date = (int32_t)tg_take_le(r, 4);
        r->bad |= i && box->channel <= box[-1].channel;
    }
}

static void take_chats(struct tg_bytes_in *r, struct tg_change_job_doc *doc)
{
    for (uint32_t i = 0; i < doc->n_chats; i++) {
        struct tg_change_job_chat *chat = &doc->chat[i];

        chat->id = (int64_t)tg_take_le(r, 8);
        chat->owner = (int64_t)tg_take_le(r, 8);
        chat->head_sum = tg_take_le(r, 8);
        r->bad |= !chat->id || (i && chat->id <= chat[-1].id);
    }
}

tg_code tg_change_job_take(uint64_t job, const void *bytes, size_t len, struct tg_arena *arena,
                           struct tg_change_job_doc *ret, struct tg_error *err)
{
    struct tg_change_job_doc doc;
    struct tg_bytes_in r;
    void *room;
    tg_code code = begin(job_magic, job, bytes, len, &r, err);

    if (code != TG_OK)
        return code;
    doc.fields = tg_take_le(&r, 8);
    doc.through = tg_take_le(&r, 8);
    doc.through_sum = tg_take_le(&r, 8);
    doc.as_of = tg_take_le(&r, 8);
    doc.n_boxes = (uint32_t)tg_take_le(&r, 4);
    if (make_room(&r, doc.n_boxes, BOX, sizeof *doc.box, arena, &room)) {
        doc.box = room;
        take_boxes(&r, &doc);
        doc.n_chats = (uint32_t)tg_take_le(&r, 4);
    } else {
        doc.n_chats = 0;
        room = NULL;
    }
    if (room && make_room(&r, doc.n_chats, CHAT, sizeof *doc.chat, arena, &room)) {
        doc.chat = room;
        take_chats(&r, &doc);
    } else {
        room = NULL;
    }
    if (r.bad || (room && r.at != r.end) || doc.as_of < doc.through)
        return contradicts(err);
    if (!room)
        return tg_fail(err, TG_NOMEM, "the state of the job");
    *ret = doc;
    return TG_OK;
}

/* ---- of a chat ---- */

uint64_t tg_change_head_put(uint64_t job, const struct tg_change_head *head, struct tg_buf *out)
{
    size_t start = out->len;
    uint8_t *at = tg_buf_extend(out, PREFIX + HEAD + (size_t)head->n_windows * WINDOW_MAX + SUM);
    int64_t last = 0;

    if (!at)
        return 0;
    at = put_prefix(at, head_magic, job);
    tg_put_le64(at, (uint64_t)head->chat);
    tg_put_le64(at + 8, (uint64_t)head->owner);
    tg_put_le64(at + 16, (uint64_t)head->top);
    tg_put_le64(at + 24, (uint64_t)head->scan.to);
    tg_put_le64(at + 32, (uint64_t)head->scan.end);
    at[40] = (uint8_t)((head->scan.scanned ? SCANNED : 0) | (head->doubted ? DOUBTED : 0));
    tg_put_le64(at + 41, head->doubt_seq);
    tg_put_le32(at + 49, head->n_windows);
    at += HEAD;
    for (uint32_t i = 0; i < head->n_windows; i++) {
        const struct tg_change_head_window *w = &head->window[i];

        assert(w->from > last && !w->n == !w->sum);
        at = tg_put_varint(at, (uint64_t)(w->from - last));
        at = tg_put_varint(at, w->n);
        at = tg_put_varint(at, w->len);
        if (w->n) {
            tg_put_le64(at, w->sum);
            at += 8;
        }
        last = w->from;
    }
    return put_sum(out, start, at);
}

static void take_windows(struct tg_bytes_in *r, struct tg_change_head *head)
{
    int64_t last = 0;

    for (uint32_t i = 0; i < head->n_windows && !r->bad; i++) {
        struct tg_change_head_window *w = &head->window[i];
        uint64_t n, len;

        w->from = tg_plus(last, (int64_t)tg_take_varint(r));
        n = tg_take_varint(r);
        len = tg_take_varint(r);
        w->n = (uint32_t)n;
        w->len = (uint32_t)len;
        w->sum = n ? tg_take_le(r, 8) : 0;
        r->bad |= w->from <= last || w->from > TG_WINDOW_ID_MAX || n > TG_WINDOW_MAX ||
                  len > TG_WINDOW_BYTES || !n != !len || !n != !w->sum || (!i && w->from != 1);
        last = w->from;
    }
}

tg_code tg_change_head_take(uint64_t job, const void *bytes, size_t len, struct tg_arena *arena,
                            struct tg_change_head *ret, struct tg_error *err)
{
    struct tg_change_head head;
    struct tg_bytes_in r;
    unsigned flags;
    void *room;
    tg_code code = begin(head_magic, job, bytes, len, &r, err);

    if (code != TG_OK)
        return code;
    head.chat = (int64_t)tg_take_le(&r, 8);
    head.owner = (int64_t)tg_take_le(&r, 8);
    head.top = (int64_t)tg_take_le(&r, 8);
    head.scan.to = (int64_t)tg_take_le(&r, 8);
    head.scan.end = (int64_t)tg_take_le(&r, 8);
    flags = (unsigned)tg_take_le(&r, 1);
    head.scan.scanned = flags & SCANNED;
    head.doubted = flags & DOUBTED;
    head.doubt_seq = tg_take_le(&r, 8);
    head.n_windows = (uint32_t)tg_take_le(&r, 4);
    if (make_room(&r, head.n_windows, WINDOW_MIN, sizeof *head.window, arena, &room)) {
        head.window = room;
        take_windows(&r, &head);
        r.bad |= r.at != r.end;
    } else if (!r.bad) {
        return tg_fail(err, TG_NOMEM, "the state of a chat");
    }
    if (r.bad || !head.n_windows || flags > (SCANNED | DOUBTED))
        return contradicts(err);
    *ret = head;
    return TG_OK;
}
