/* SPDX-License-Identifier: MIT */
/*
 * stream_rows.c - from what the server told to rows, and what of it is news
 *
 *   items of one packet -> a page (messages, users, chats) -> rows
 *
 * What is said to have happened and what is remembered decide together:
 *
 *   said       remembered    the change
 *   new        not           new
 *   edited     not           edited (it is older than the job)
 *   new,       the same      none: it was delivered before
 *   edited     another       edited; reactions, if they alone differ
 *   deleted    not there     none
 *   deleted    else          deleted
 *
 * An update of reactions comes without the message: that is asked for.
 */
#include <stdlib.h>

#include "etl/stream_impl.h"
#include "tl/value.h"

#define REACTED_US TG_SECOND_US /* reactions wait for others, as a message costs a request */

enum { PAGE_MAX = 100 }; /* messages of a page that is put together */

const char *tg_change_kind_name(enum tg_change_kind kind)
{
    static const char *const name[] = { [TG_KIND_READ] = "read",
                                        [TG_KIND_NEW] = "new",
                                        [TG_KIND_EDITED] = "edited",
                                        [TG_KIND_REACTIONS] = "reactions",
                                        [TG_KIND_DELETED] = "deleted" };

    return name[kind];
}

size_t stream_rows_of(const struct stream_packet *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->read.n; i++) {
        const struct tg_update_change *c = &p->read.change[i];

        n += c->kind == TG_UPDATE_DELETED ? c->bytes.len / 4 : 1;
    }
    return n;
}

void stream_row_mark(struct stream_run *r, struct tg_row *row, enum tg_change_kind kind,
                     int32_t pts, int32_t date)
{
    if (kind == TG_KIND_READ || kind == TG_KIND_NEW)
        row->present &= ~TG_ROW_BIT(before); /* a hint, of what the destination may have had */
    if (kind != TG_KIND_READ)
        TG_ROW_SET(row, change, tg_str_of(tg_change_kind_name(kind)));
    TG_ROW_SET(row, change_seq, (int64_t)++r->seq);
    if (pts)
        TG_ROW_SET(row, change_pts, pts);
    TG_ROW_SET(row, change_date, date ? date : stream_now(r) / TG_SECOND_US);
    r->stats->kind[kind]++;
    r->rows_out++;
    r->quiet_us = stream_now(r);
    stream_touched(r);
}

bool stream_row_versions(struct stream_run *r, struct stream_chat *c, struct tg_row *row,
                         const struct tg_signature *before, const struct tg_signature *now)
{
    struct tg_str was = { NULL, 0 };
    struct tg_error err;
    tg_code code = TG_OK;

    if (!r->versions)
        return true;
    if (before->id)
        code = tg_versions_get(r->versions, c->job.id, before, &was, &err);
    if (code == TG_OK && was.len) {
        was = tg_batch_text(r->batch, was.at, was.len);
        if (was.at)
            TG_ROW_SET(row, before, was);
        else
            code = tg_fail(&err, TG_NOMEM, "no memory for what a message was like");
    }
    if (code == TG_OK && now)
        code = tg_versions_put(r->versions, c->job.id, now, row, &err);
    if (code != TG_OK)
        stream_fail(r, &err);
    return code == TG_OK;
}

/* ---- messages ---- */

/* @return whether it is news, and of which kind */
static bool is_news(enum tg_change_known known, const struct tg_signature *before,
                    const struct tg_signature *now, enum tg_change_kind *kind)
{
    unsigned differs;

    if (known != TG_CHANGE_KNOWN_THERE)
        return true;
    differs = tg_signature_differs(before, now);
    if (differs & TG_SIGNATURE_CONTENT || differs == TG_SIGNATURE_EDIT_DATE)
        *kind = TG_KIND_EDITED;
    else
        *kind = TG_KIND_REACTIONS;
    return differs != 0;
}

void stream_row(struct stream_run *r, struct stream_chat *c, const struct tg_page *page, size_t i,
                enum tg_change_kind named, int32_t pts, int32_t date)
{
    const struct tg_row_options options = {
        .chat_id = c->job.id,
        .owner = c->owner,
        .protected_chat = c->protected,
        .forum = c->forum,
        .raw = r->settings.raw,
        .copy = true,
    };
    struct tg_batch *b = r->batch;
    struct tg_signature before, now;
    enum tg_change_known known;
    struct tg_error err;
    size_t at = b->n;
    tg_code code = tg_page_row(page, i, &options, b, &err);

    r->stats->total_processed++;
    if (code == TG_END)
        return;
    if (code == TG_DATA) {
        const uint8_t *bytes;
        size_t len;

        b->n = at;
        tg_page_bytes(page, i, &bytes, &len);
        stream_quarantine(r, c->job.id, tg_page_ids(page)[i], err.message, bytes, len);
        return;
    }
    if (code == TG_OK && !tg_signature_of(&b->row[at], r->fields, &now))
        code = tg_fail(&err, TG_INTERNAL, "a message without what is compared");
    if (code == TG_OK)
        code = tg_change_look(r->state, c->job.id, now.id, &known, &before, &err);
    if (code != TG_OK) {
        b->n = at;
        stream_fail(r, &err);
        return;
    }
    stream_scan_passed(c, now.id);
    if (!is_news(known, &before, &now, &named)) {
        b->n = at;
        return;
    }
    if (!stream_row_versions(r, c, &b->row[at], &before, &now)) {
        b->n = at;
        return;
    }
    tg_change_put(r->state, c->job.id, c->owner, &now);
    stream_row_mark(r, &b->row[at], named, pts, date);
}

void stream_row_deleted(struct stream_run *r, struct stream_chat *c, int64_t id, int32_t pts,
                        int32_t date)
{
    struct tg_signature before;
    enum tg_change_known known;
    struct tg_error err;
    struct tg_row *row;

    r->stats->total_processed++;
    if (tg_change_look(r->state, c->job.id, id, &known, &before, &err) != TG_OK) {
        stream_fail(r, &err);
        return;
    }
    stream_scan_passed(c, id);
    if (known == TG_CHANGE_KNOWN_ABSENT)
        return;
    row = tg_batch_row(r->batch);
    if (!row) {
        tg_fail(&err, TG_INTERNAL, "no room for a deletion");
        stream_fail(r, &err);
        return;
    }
    TG_ROW_SET(row, chat_id, c->job.id);
    TG_ROW_SET(row, id, id);
    TG_ROW_SET(row, owner, c->owner);
    if (!stream_row_versions(r, c, row, &before, NULL))
        return;
    tg_change_drop(r->state, c->job.id, c->owner, id);
    stream_row_mark(r, row, TG_KIND_DELETED, pts, date);
}

/* ---- items ---- */

static int32_t pts_of(const struct stream_item *item)
{
    const struct tg_update *counted = &item->change->counted;

    return counted->after && counted->seq == TG_UPDATES_PTS ? counted->after : item->packet->pts;
}

static int32_t date_of(const struct stream_item *item)
{
    int32_t date = item->change->counted.date;

    return date ? date : item->packet->date;
}

static bool has_message(const struct stream_item *item)
{
    const struct tg_update_change *c = item->change;

    return (c->kind == TG_UPDATE_NEW || c->kind == TG_UPDATE_EDITED) && c->bytes.len;
}

static void learn_peer(void *ctx, const struct tg_peer *peer)
{
    tg_peers_put(ctx, peer);
}

static void set_vector(struct tl_value *page, uint32_t field, struct tg_str bytes)
{
    if (bytes.len)
        tl_set_raw(page, field, bytes.at, bytes.len);
}

/* Puts a page together of the messages among n items of one packet. */
static tg_code open_page(struct stream_run *r, struct stream_item *const *item, size_t n,
                         struct tg_error *err)
{
    const struct tl_schema *schema = tgc_schema(r->client);
    const struct stream_packet *p = item[0]->packet;
    struct tg_page_info info;
    struct tg_arena arena;
    struct tl_value *page, *list;
    tg_code code;

    tg_arena_init(&arena, 1 << 20);
    page = tl_obj(&arena, TLN_messages_messages);
    list = tl_set_vector(page, TLN_messages);
    for (size_t i = 0; i < n; i++)
        if (has_message(item[i]))
            tl_add_raw(list, item[i]->change->bytes.at, item[i]->change->bytes.len);
    set_vector(page, TLN_chats, p->read.chats);
    set_vector(page, TLN_users, p->read.users);
    tg_buf_clear(&r->body);
    code = tl_encode(schema, page, &r->body, err);
    tg_arena_done(&arena);
    if (code == TG_OK)
        code = tg_page_open(r->page, schema, r->body.data, r->body.len, &info, err);
    if (code == TG_OK)
        tg_page_peers(r->page, learn_peer, &tgc_session(r->client)->peers);
    return code;
}

/* The ids of a deletion, whose chat is not told in the account's box. */
static void add_deleted(struct stream_run *r, const struct stream_item *item)
{
    struct tl_reader v = tl_reader_of(item->change->bytes.at, item->change->bytes.len);
    struct tg_error err;

    for (uint32_t n = tl_read_vector(&v, 4); n && r->code == TG_OK; n--) {
        int32_t id = tl_read_i32(&v);
        int64_t chat = item->change->chat;
        struct stream_chat *c;

        if (id <= 0)
            continue;
        if (!chat && tg_change_find(r->state, id, &chat, &err) != TG_OK) {
            stream_fail(r, &err);
            return;
        }
        for (size_t i = 0; !chat && i < r->n_chats; i++)
            if (r->chat[i].owner) /* it may be on a page that was read before, and is to come */
                stream_scan_passed(&r->chat[i], id);
        c = chat ? stream_chat_of(r, chat) : NULL;
        if (c)
            stream_row_deleted(r, c, id, pts_of(item), date_of(item));
    }
}

/* ---- reactions ---- */

static void on_reacted(void *ctx, const struct tg_page *page, size_t n, const struct tg_error *err)
{
    struct stream_chat *c = ctx;
    struct stream_run *r = c->run;

    if (err || !stream_room(r, n))
        return; /* nobody is told of them who does not listen, either */
    for (size_t i = 0; i < n && r->code == TG_OK; i++)
        stream_row(r, c, page, i, TG_KIND_REACTIONS, 0, 0);
}

static void ask_reacted(struct stream_chat *c)
{
    struct stream_reacted *a = c->reacted;

    if (c->phase == CHAT_READY &&
        !stream_fetch(c->run, c->job.id, a->id, a->n, on_reacted, c))
        stream_no_memory(c->run);
    free(a);
    c->reacted = NULL;
    c->run->n_reacted--;
}

void stream_reacted(struct stream_run *r, int64_t now_us)
{
    if (!r->n_reacted || now_us < r->react_us || r->pressed)
        return;
    for (size_t i = 0; i < r->n_chats; i++)
        if (r->chat[i].reacted)
            ask_reacted(&r->chat[i]);
}

/* The message is to be asked for, together with others of its chat. */
static void reacted(struct stream_chat *c, int32_t id)
{
    struct stream_run *r = c->run;
    struct stream_reacted *a = c->reacted;

    if (!a) {
        a = c->reacted = calloc(1, sizeof *a);
        if (!a) {
            stream_no_memory(r);
            return;
        }
        if (!r->n_reacted++)
            r->react_us = stream_now(r) + REACTED_US;
    }
    for (size_t i = 0; i < a->n; i++)
        if (a->id[i] == id)
            return;
    a->id[a->n++] = id;
    if (a->n == TG_COUNT(a->id))
        ask_reacted(c);
}

/* One item; `at` is the number of its message within the page. */
static void take_item(struct stream_run *r, const struct stream_item *item, size_t at)
{
    const struct tg_update_change *change = item->change;
    struct stream_chat *c = change->chat ? stream_chat_of(r, change->chat) : NULL;

    if (change->kind == TG_UPDATE_DELETED)
        add_deleted(r, item);
    else if (change->kind == TG_UPDATE_BEHIND)
        tg_updates_behind(r->updates, change->channel, stream_now(r));
    else if (c && has_message(item))
        stream_row(r, c, r->page, at,
                   change->kind == TG_UPDATE_NEW ? TG_KIND_NEW : TG_KIND_EDITED, pts_of(item),
                   date_of(item));
    else if (c && change->kind == TG_UPDATE_REACTIONS)
        reacted(c, change->id);
}

/* Whether its rows are wanted. */
static bool is_wanted(const struct stream_run *r, const struct stream_item *item)
{
    return has_message(item) && stream_chat_of(r, item->change->chat);
}

static void take_items(struct stream_run *r, struct stream_item *const *item, size_t n)
{
    struct tg_error err;
    size_t at = 0;
    bool any = false;

    for (size_t i = 0; i < n; i++)
        any |= is_wanted(r, item[i]);
    if (any && open_page(r, item, n, &err) != TG_OK) {
        stream_fail(r, &err);
        return;
    }
    for (size_t i = 0; i < n && r->code == TG_OK; i++) {
        take_item(r, item[i], at);
        at += has_message(item[i]);
    }
}

/* @return items from `at` that are of one packet, with messages for one page */
static size_t together(const struct stream_run *r, size_t at)
{
    size_t n = 0, messages = 0;

    while (at + n < r->n_applied && r->applied[at + n]->packet == r->applied[at]->packet &&
           messages < PAGE_MAX)
        messages += has_message(r->applied[at + n++]);
    return n;
}

void stream_rows(struct stream_run *r)
{
    for (size_t at = 0; at < r->n_applied;) {
        size_t n = together(r, at);

        if (r->code == TG_OK)
            take_items(r, &r->applied[at], n);
        for (size_t i = 0; i < n; i++)
            stream_item_drop(r->applied[at + i]);
        at += n;
    }
    r->n_applied = 0;
}
