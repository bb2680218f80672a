/* SPDX-License-Identifier: MIT */
/*
 * change_note.c - see change_note.h
 */
#include "etl/change_note.h"

#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"

enum {
    VERSION = 1, SEQ_AT = 21, BEFORE_AT = 29, PREFIX = 37, SUM = 8,
    ITEM_MAX = 1 + 5 * TG_VARINT_MAX
};
enum kind { BOX = 1, NO_BOX, CHAT, DELETED, SCAN, MESSAGE = 8, REACTED = 1, EDITED = 2 };
static const char magic[4] = "tgce";

struct tg_change_of tg_change_of(const char *job, uint64_t fields)
{
    return (struct tg_change_of){ XXH3_64bits(job, strlen(job)), fields };
}

/* ---- writing ---- */

void tg_change_note_begin(struct tg_change_note *e, struct tg_change_of of)
{
    uint8_t *at;

    tg_buf_clear(&e->out);
    e->chat = e->owner = e->last_id = e->last_edit = 0;
    e->any = false;
    at = tg_buf_extend(&e->out, PREFIX);
    if (!at)
        return;
    memcpy(at, magic, sizeof magic);
    at[4] = VERSION;
    tg_put_le64(at + 5, of.job);
    tg_put_le64(at + 13, of.fields);
    memset(at + SEQ_AT, 0, PREFIX - SEQ_AT); /* when it is finished */
}

static uint8_t *put_signed(uint8_t *at, int64_t v)
{
    return tg_put_varint(at, tg_zigzag(v));
}

static uint8_t *put_box(uint8_t *at, const struct tg_update_state *box)
{
    for (size_t i = 0; i < TG_COUNT(box->at); i++)
        at = put_signed(at, box->at[i]);
    return put_signed(at, box->date);
}

static uint8_t *put_id(struct tg_change_note *e, uint8_t *at, int64_t id)
{
    at = put_signed(at, tg_minus(id, e->last_id));
    e->last_id = id;
    return at;
}

static uint8_t *put_message(struct tg_change_note *e, uint8_t *at, const struct tg_signature *s)
{
    *at++ = (uint8_t)(MESSAGE | (s->edit_date ? EDITED : 0) | (s->reactions ? REACTED : 0));
    at = put_id(e, at, s->id);
    if (s->edit_date) {
        at = put_signed(at, tg_minus(s->edit_date, e->last_edit));
        e->last_edit = s->edit_date;
    }
    tg_put_le64(at, s->content);
    at += 8;
    if (s->reactions) {
        tg_put_le32(at, s->reactions);
        at += 4;
    }
    return at;
}

static uint8_t *put_chat(struct tg_change_note *e, uint8_t *at, const struct tg_change_item *item)
{
    if (item->chat == e->chat && item->owner == e->owner)
        return at;
    *at++ = CHAT;
    at = put_signed(at, e->chat = item->chat);
    at = put_signed(at, e->owner = item->owner);
    e->last_id = 0;
    return at;
}

void tg_change_note_add(struct tg_change_note *e, const struct tg_change_item *item)
{
    uint8_t *at = tg_buf_extend(&e->out, 2 * ITEM_MAX);

    e->any = true;
    if (!at)
        return;
    switch (item->kind) {
    case TG_CHANGE_ITEM_BOX:
        *at++ = BOX;
        at = put_box(put_signed(at, item->chat), &item->box);
        break;
    case TG_CHANGE_ITEM_NO_BOX:
        *at++ = NO_BOX;
        at = put_signed(at, item->chat);
        break;
    case TG_CHANGE_ITEM_MESSAGE:
        at = put_message(e, put_chat(e, at, item), &item->signature);
        break;
    case TG_CHANGE_ITEM_DELETED:
        at = put_chat(e, at, item);
        *at++ = DELETED;
        at = put_id(e, at, item->signature.id);
        break;
    case TG_CHANGE_ITEM_SCAN:
        at = put_chat(e, at, item);
        *at++ = SCAN;
        at = put_signed(at, item->scan.to);
        at = put_signed(at, item->scan.end);
        *at++ = item->scan.scanned;
        break;
    }
    e->out.len = (size_t)(at - e->out.data);
}

uint64_t tg_change_note_finish(struct tg_change_note *e, uint64_t seq, uint64_t before)
{
    uint64_t sum;

    if (e->out.failed)
        return 0;
    tg_put_le64(e->out.data + SEQ_AT, seq);
    tg_put_le64(e->out.data + BEFORE_AT, before);
    sum = XXH3_64bits(e->out.data, e->out.len);
    tg_buf_u64(&e->out, sum);
    return sum;
}

/* ---- reading ---- */

struct reading {
    struct tg_bytes_in in;
    struct tg_change_item item;
    int64_t chat, owner, last_id, last_edit;
};

static int32_t take_i32(struct tg_bytes_in *in)
{
    int64_t v = tg_take_zigzag(in);

    in->bad |= v != (int32_t)v;
    return (int32_t)v;
}

static void take_id(struct reading *r)
{
    struct tg_signature *s = &r->item.signature;

    *s = (struct tg_signature){ .id = tg_plus(r->last_id, tg_take_zigzag(&r->in)) };
    r->last_id = s->id;
    r->in.bad |= s->id < 1 || s->id > TG_WINDOW_ID_MAX;
}

static void take_message(struct reading *r, unsigned parts)
{
    struct tg_signature *s = &r->item.signature;

    r->item.kind = TG_CHANGE_ITEM_MESSAGE;
    take_id(r);
    if (parts & EDITED) {
        r->last_edit = s->edit_date = tg_plus(r->last_edit, tg_take_zigzag(&r->in));
        r->in.bad |= !s->edit_date;
    }
    s->content = tg_take_le(&r->in, 8);
    if (parts & REACTED) {
        s->reactions = (uint32_t)tg_take_le(&r->in, 4);
        r->in.bad |= !s->reactions;
    }
}

static void take_scan(struct reading *r)
{
    struct tg_change_scan *scan = &r->item.scan;
    uint64_t flag;

    r->item.kind = TG_CHANGE_ITEM_SCAN;
    scan->to = tg_take_zigzag(&r->in);
    scan->end = tg_take_zigzag(&r->in);
    flag = tg_take_le(&r->in, 1);
    scan->scanned = flag == 1;
    r->in.bad |= flag > 1;
}

static void take_box(struct reading *r, bool there)
{
    struct tg_update_state *box = &r->item.box;

    r->item.kind = there ? TG_CHANGE_ITEM_BOX : TG_CHANGE_ITEM_NO_BOX;
    r->item.chat = tg_take_zigzag(&r->in);
    r->item.owner = 0;
    for (size_t i = 0; there && i < TG_COUNT(box->at); i++)
        box->at[i] = take_i32(&r->in);
    if (there)
        box->date = take_i32(&r->in);
}

/* @return whether there is an item: not of what only says whose the next ones are */
static bool take_item(struct reading *r)
{
    unsigned kind = (unsigned)tg_take_le(&r->in, 1);

    r->item.chat = r->chat;
    r->item.owner = r->owner;
    switch (kind) {
    case BOX:
    case NO_BOX:
        take_box(r, kind == BOX);
        return !r->in.bad;
    case CHAT:
        r->chat = tg_take_zigzag(&r->in);
        r->owner = tg_take_zigzag(&r->in);
        r->last_id = 0;
        r->in.bad |= !r->chat;
        return false;
    case DELETED:
        r->item.kind = TG_CHANGE_ITEM_DELETED;
        take_id(r);
        break;
    case SCAN:
        take_scan(r);
        break;
    default:
        if (kind < MESSAGE || kind > (MESSAGE | EDITED | REACTED))
            r->in.bad = true;
        else
            take_message(r, kind & (EDITED | REACTED));
    }
    r->in.bad |= !r->chat;
    return !r->in.bad;
}

/* NULL, or what is wrong with the note apart from its items. */
static const char *complaint(struct tg_change_of of, uint64_t seq, const uint8_t *b, size_t len,
                             uint64_t before)
{
    if (len < PREFIX + SUM || memcmp(b, magic, sizeof magic) != 0)
        return "is none";
    if (XXH3_64bits(b, len - SUM) != tg_le64(b + len - SUM))
        return "is damaged";
    if (b[4] != VERSION)
        return "is of another version of the program";
    if (tg_le64(b + 5) != of.job)
        return "is of another job";
    if (tg_le64(b + 13) != of.fields)
        return "was signed over other comparison_fields";
    if (tg_le64(b + SEQ_AT) != seq)
        return "is of another commit";
    if (tg_le64(b + BEFORE_AT) != before)
        return "does not follow the one before";
    return NULL;
}

tg_code tg_change_note_read(struct tg_change_of of, uint64_t seq, const void *bytes, size_t len,
                            uint64_t *sum, tg_change_item_seen seen, void *ctx,
                            struct tg_error *err)
{
    const uint8_t *b = bytes;
    struct reading r = { .chat = 0 };
    const char *why = complaint(of, seq, b, len, *sum);

    if (why)
        return tg_fail(err, TG_CORRUPT, "the note of commit %llu %s", (unsigned long long)seq, why);
    r.in = (struct tg_bytes_in){ b + PREFIX, b + len - SUM, false };
    while (r.in.at < r.in.end && !r.in.bad)
        if (take_item(&r))
            seen(ctx, &r.item);
    if (r.in.bad)
        return tg_fail(err, TG_CORRUPT, "the note of commit %llu contradicts itself",
                       (unsigned long long)seq);
    *sum = tg_le64(b + len - SUM);
    return TG_OK;
}
