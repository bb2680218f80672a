/* SPDX-License-Identifier: MIT */
/*
 * rows.c - fills a row from one message of an open page; see rows.h and docs/internals/rows.md
 */
#include <assert.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "telegram/page.h"

/* ---- text ---- */

struct tg_str tg_fill_view(struct tg_fill *f, struct tg_str text)
{
    struct tg_str copy;

    if (!f->options->copy)
        return text;
    copy = tg_batch_text(f->batch, text.at, text.len);
    f->no_memory |= !copy.at;
    return copy;
}

struct tg_str tg_fill_take(struct tg_fill *f, size_t from)
{
    struct tg_str text = { NULL, 0 };

    assert(from <= f->json->len);
    if (!f->json->failed)
        text = tg_batch_text(f->batch, f->json->data + from, f->json->len - from);
    f->no_memory |= !text.at;
    f->json->len = from;
    return text;
}

struct tg_str tg_fill_object(struct tg_fill *f, struct tl_reader r)
{
    const struct tl_schema *s = f->shape->schema;
    const struct tl_ctor *c = tl_ctor_by_id(s, tl_peek_u32(&r));
    size_t start = f->json->len, at;
    struct tg_json json;
    struct tg_str text;

    f->printed = true;
    tg_json_init(&json, f->json);
    if (!c || !tl_print_json(s, &r, &json, NULL) || f->json->failed) {
        f->json->len = start;
        return (struct tg_str){ NULL, 0 };
    }
    /* {"_":"messageActionChatCreate","title":... : the row names the predicate already */
    at = start + sizeof("{\"_\":\"\"") - 1 + strlen(tl_symbol_name(s, c->name));
    assert(at < f->json->len);
    at -= f->json->data[at] != ',';
    f->json->data[at] = '{';
    text = tg_fill_take(f, at);
    f->json->len = start;
    return text;
}

/* ---- sender ---- */

static void set_names(struct tg_fill *f, int64_t id)
{
    const struct tg_page_peer *peer = tg_page_peer_of(f->page, id);

    if (!peer)
        return;
    TG_FILL_VIEW(f, sender_username, peer->username);
    if (!peer->last.len) {
        TG_FILL_VIEW(f, sender_name, peer->first);
    } else if (!peer->first.len) {
        TG_FILL_VIEW(f, sender_name, peer->last);
    } else {
        size_t len = (size_t)peer->first.len + 1 + peer->last.len;
        char *name = tg_arena_bytes(&f->batch->arena, len);

        if (!name) {
            f->no_memory = true;
            return;
        }
        memcpy(name, peer->first.at, peer->first.len);
        name[peer->first.len] = ' ';
        memcpy(name + peer->first.len + 1, peer->last.at, peer->last.len);
        f->batch->bytes += len;
        TG_ROW_SET(f->row, sender_name, ((struct tg_str){ name, (uint32_t)len }));
    }
}

/* @return who sent it: said outright, or following from the kind of chat; 0 for channel posts */
static int64_t sender_of(const struct tg_fill *f)
{
    const struct tg_page_message *m = f->message;
    int64_t peer;

    if (m->at[TG_M_from_id])
        return tg_page_peer_id(f->shape, tg_message_at(m, TG_M_from_id));
    if (m->at[TG_M_post])
        return 0;
    peer = tg_page_peer_id(f->shape, tg_message_at(m, TG_M_peer_id));
    if (peer > 0)
        return m->at[TG_M_out] ? f->options->owner : peer;
    return peer < -TG_CHANNEL_MARK ? peer : 0; /* an anonymous administrator speaks as the group */
}

static void fill_sender(struct tg_fill *f)
{
    int64_t id = sender_of(f);

    if (id) {
        TG_ROW_SET(f->row, sender_id, id);
        set_names(f, id);
    }
}

/* ---- headers ---- */

/* What a message's reply header names; zeroes for what it does not. */
struct reply {
    int32_t id, thread;
    int64_t chat;
    bool topic;
};

static struct reply reply_of(const struct tg_page_shape *shape, const struct tg_page_message *m)
{
    struct tl_reader r = tg_message_reader(m, TG_M_reply_to);
    int64_t here = tg_page_peer_id(shape, tg_message_at(m, TG_M_peer_id));
    struct reply ret = { 0 };
    struct tl_object h;

    if (!r.at || !tl_object_open_until(shape->schema, &r, TG_MAX(
                     shape->ix.messageReplyHeader_reply_to_top_id, 0), &h) ||
        h.ctor->name != TLN_messageReplyHeader)
        return ret; /* an answer to a story names no message */
    ret.id = tl_at_i32(&h, shape->ix.messageReplyHeader_reply_to_msg_id, 0);
    ret.thread = tl_at_i32(&h, shape->ix.messageReplyHeader_reply_to_top_id, 0);
    ret.topic = tl_at_has(&h, shape->ix.messageReplyHeader_forum_topic);
    ret.chat = tg_page_peer_id(shape, tl_at(&h, shape->ix.messageReplyHeader_reply_to_peer_id).at);
    /* only channels and supergroups have threads; an answer to a thread's first message names it
     * once only */
    if (!ret.thread && !ret.chat && here < -TG_CHANNEL_MARK)
        ret.thread = ret.id;
    return ret;
}

static void fill_reply(struct tg_fill *f)
{
    struct reply reply = reply_of(f->shape, f->message);

    if (reply.id)
        TG_ROW_SET(f->row, reply_to_id, reply.id);
    if (reply.chat)
        TG_ROW_SET(f->row, reply_to_chat_id, reply.chat);
    if (reply.thread)
        TG_ROW_SET(f->row, thread_id, reply.thread);
    if (reply.thread && reply.topic && f->options->forum)
        TG_ROW_SET(f->row, topic_id, reply.thread);
}

int32_t tg_page_thread(const struct tg_page *p, size_t i)
{
    assert(i < p->n);
    return p->message[i].kind == TG_MESSAGE ? reply_of(&p->shape, &p->message[i]).thread : 0;
}

/* In a forum what carries no topic belongs to General, but for the message that opens a topic. */
static void fill_topic(struct tg_fill *f)
{
    struct tl_reader r = tg_message_reader(f->message, TG_M_action);

    if (!f->options->forum || f->row->present & TG_ROW_BIT(topic_id))
        return;
    if (r.at && tl_peek_u32(&r) == tl_id(f->shape->schema, TLN_messageActionTopicCreate)) {
        TG_ROW_SET(f->row, topic_id, f->row->id);
        TG_ROW_SET(f->row, thread_id, f->row->id);
    } else {
        TG_ROW_SET(f->row, topic_id, 1);
    }
}

static void fill_forward(struct tg_fill *f)
{
    const struct tg_page_shape *shape = f->shape;
    struct tl_reader r = tg_message_reader(f->message, TG_M_fwd_from);
    struct tl_object h;
    int64_t from;

    if (!r.at || !tl_object_open(shape->schema, &r, &h) || h.ctor->name != TLN_messageFwdHeader)
        return;
    from = tg_page_peer_id(shape, tl_at(&h, shape->ix.messageFwdHeader_from_id).at);
    if (from)
        TG_ROW_SET(f->row, forward_from_id, from);
    TG_FILL_VIEW(f, forward_from_name, tl_at_str(&h, shape->ix.messageFwdHeader_from_name));
    if (tl_at_has(&h, shape->ix.messageFwdHeader_channel_post))
        TG_ROW_SET(f->row, forward_message_id,
                   tl_at_i32(&h, shape->ix.messageFwdHeader_channel_post, 0));
    TG_ROW_SET(f->row, forward_date, tl_at_i32(&h, shape->ix.messageFwdHeader_date, 0));
}

/* Whoever forwards something sends it in their own name; a post comes in its channel's. */
struct tg_post tg_page_post(const struct tg_page *p, size_t i)
{
    const struct tg_page_shape *shape = &p->shape;
    const struct tg_page_message *m = &p->message[i];
    struct tl_reader r = tg_message_reader(m, TG_M_fwd_from);
    struct tg_post post = { 0 }, none = { 0 };
    struct tl_object h;

    assert(i < p->n);
    if (!r.at || !tl_object_open(shape->schema, &r, &h) || h.ctor->name != TLN_messageFwdHeader)
        return none;
    post.chat = tg_page_peer_id(shape, tl_at(&h, shape->ix.messageFwdHeader_saved_from_peer).at);
    post.id = tl_at_i32(&h, shape->ix.messageFwdHeader_saved_from_msg_id, 0);
    return post.chat < -TG_CHANNEL_MARK && post.id > 0 &&
                   post.chat == tg_page_peer_id(shape, tg_message_at(m, TG_M_from_id))
               ? post
               : none;
}

/* ---- service ---- */

static void fill_action(struct tg_fill *f)
{
    const struct tl_schema *s = f->shape->schema;
    struct tl_reader r = tg_message_reader(f->message, TG_M_action);
    const struct tl_ctor *c = r.at ? tl_ctor_by_id(s, tl_peek_u32(&r)) : NULL;
    size_t from = f->json->len;
    const char *name;
    struct tg_str data;

    if (!c)
        return;
    name = tl_symbol_name(s, c->name);
    tg_page_snake(f->json, strncmp(name, "messageAction", 13) == 0 ? name + 13 : name);
    TG_ROW_SET(f->row, action, tg_fill_take(f, from));
    if (c->n_fields) {
        data = tg_fill_object(f, r);
        if (data.len > 2)
            TG_ROW_SET(f->row, action_data, data);
    }
}

/* ---- content hash: docs/internals/rows.md defines it ---- */

static uint8_t *hash_int(uint8_t *at, enum tg_field_id id, int64_t v)
{
    *at = (uint8_t)id;
    tg_put_le32(at + 1, 8);
    tg_put_le64(at + 5, (uint64_t)v);
    return at + 13;
}

static uint8_t *hash_text(uint8_t *at, enum tg_field_id id, struct tg_str text)
{
    *at = (uint8_t)id;
    tg_put_le32(at + 1, text.len);
    if (text.len)
        memcpy(at + 5, text.at, text.len);
    return at + 5 + text.len;
}

/* Leaves out members that differ from one fetch or account to the next. Only objects that were
 * printed field by field have them. */
static struct tg_str without_references(const struct tg_fill *f, struct tg_str json, uint8_t *to)
{
    static const char *const name[] = { "\"file_reference\":", "\"access_hash\":" };
    const char *at = json.at, *end = json.at + json.len;
    uint8_t *out = to;

    if (!f->printed || (!memmem(at, json.len, name[0], strlen(name[0])) &&
                        !memmem(at, json.len, name[1], strlen(name[1]))))
        return json;
    while (at < end) {
        size_t skip = 0;

        for (size_t k = 0; *at == '"' && k < TG_COUNT(name); k++)
            if ((size_t)(end - at) > strlen(name[k]) && memcmp(at, name[k], strlen(name[k])) == 0)
                skip = strlen(name[k]);
        if (skip)
            for (at += skip; at < end && *at != ',' && *at != '}'; at++)
                continue;
        else
            *out++ = (uint8_t)*at++;
    }
    return (struct tg_str){ (const char *)to, (uint32_t)(out - to) };
}

#define HASH_INT(name)                                                                             \
    if (row->present & TG_ROW_BIT(name))                                                           \
        at = hash_int(at, TG_F_##name, row->name);
#define HASH_TEXT(name, text)                                                                      \
    if (row->present & TG_ROW_BIT(name))                                                           \
        at = hash_text(at, TG_F_##name, (text));

static void fill_hash(struct tg_fill *f)
{
    struct tg_buf *buf = &f->page->scratch->hash;
    struct tg_row *row = f->row;
    struct tg_str media = { row->media.at, f->media_hashed };
    size_t fields = 20 * 13, text = (size_t)row->text.len + row->entities.len + media.len +
                                    row->forward_from_name.len + row->media_kind.len +
                                    row->post_author.len + row->action.len + row->action_data.len;
    size_t spare = TG_MAX(media.len, row->action_data.len);
    XXH128_canonical_t digest;
    uint8_t *at, *filter;
    char *hex;

    tg_buf_clear(buf);
    at = tg_buf_extend(buf, fields + text + spare);
    hex = tg_arena_bytes(&f->batch->arena, 33);
    if (!at || !hex) {
        f->no_memory = true;
        return;
    }
    filter = at + fields + text;
    HASH_TEXT(kind, row->kind)
    HASH_INT(date)
    HASH_INT(sender_id)
    HASH_TEXT(text, row->text)
    HASH_TEXT(entities, row->entities)
    HASH_INT(reply_to_id)
    HASH_INT(reply_to_chat_id)
    HASH_INT(forward_from_id)
    HASH_TEXT(forward_from_name, row->forward_from_name)
    HASH_INT(forward_message_id)
    HASH_INT(forward_date)
    HASH_INT(album_id)
    HASH_TEXT(media_kind, row->media_kind)
    HASH_INT(media_id)
    HASH_TEXT(media, without_references(f, media, filter))
    HASH_INT(via_bot_id)
    HASH_TEXT(post_author, row->post_author)
    HASH_TEXT(action, row->action)
    HASH_TEXT(action_data, without_references(f, row->action_data, filter))
    assert(at <= filter);
    XXH128_canonicalFromHash(&digest, XXH3_128bits(buf->data, (size_t)(at - buf->data)));
    tg_hex(hex, digest.digest, sizeof digest.digest);
    f->batch->bytes += 32;
    TG_ROW_SET(row, content_hash, ((struct tg_str){ hex, 32 }));
}

/* ---- the row ---- */

static void fill_numbers(struct tg_fill *f)
{
    const struct tg_page_message *m = f->message;
    struct tg_row *row = f->row;

    if (m->at[TG_M_edit_date])
        TG_ROW_SET(row, edit_date, tg_message_i32(m, TG_M_edit_date));
    if (m->at[TG_M_views])
        TG_ROW_SET(row, views, tg_message_i32(m, TG_M_views));
    if (m->at[TG_M_forwards])
        TG_ROW_SET(row, forwards, tg_message_i32(m, TG_M_forwards));
    if (m->at[TG_M_grouped_id])
        TG_ROW_SET(row, album_id, (int64_t)tg_le64(tg_message_at(m, TG_M_grouped_id)));
    if (m->at[TG_M_via_bot_id])
        TG_ROW_SET(row, via_bot_id, (int64_t)tg_le64(tg_message_at(m, TG_M_via_bot_id)));
    if (m->at[TG_M_ttl_period])
        TG_ROW_SET(row, ttl_s, tg_message_i32(m, TG_M_ttl_period));
    if (m->at[TG_M_out])
        TG_ROW_SET(row, outgoing, 1);
    if (m->at[TG_M_post])
        TG_ROW_SET(row, post, 1);
    if (m->at[TG_M_silent])
        TG_ROW_SET(row, silent, 1);
    if (m->at[TG_M_pinned])
        TG_ROW_SET(row, pinned, 1);
    if (m->at[TG_M_noforwards] || f->options->protected_chat)
        TG_ROW_SET(row, protected, 1);
}

static void fill_content(struct tg_fill *f)
{
    const struct tg_page_message *m = f->message;
    const struct tg_page_shape *shape = f->shape;
    struct tl_reader r;
    struct tl_object o;

    if (m->at[TG_M_message]) {
        r = tg_message_reader(m, TG_M_message);
        TG_FILL_VIEW(f, text, tl_read_str(&r));
    }
    if (m->at[TG_M_entities])
        tg_fill_entities(f);
    if (m->at[TG_M_media] || m->at[TG_M_rich_message])
        tg_fill_media(f);
    if (m->at[TG_M_reply_to])
        fill_reply(f);
    fill_topic(f);
    if (m->at[TG_M_fwd_from])
        fill_forward(f);
    if (m->at[TG_M_action])
        fill_action(f);
    if (m->at[TG_M_reactions])
        tg_fill_reactions(f);
    if (m->at[TG_M_post_author]) {
        r = tg_message_reader(m, TG_M_post_author);
        TG_FILL_VIEW(f, post_author, tl_read_str(&r));
    }
    if (m->at[TG_M_replies]) {
        r = tg_page_enter(shape->schema, tg_message_reader(m, TG_M_replies), TLN_messageReplies,
                          shape->ix.messageReplies_replies, &o);
        if (r.at)
            TG_ROW_SET(f->row, replies, tl_read_i32(&r));
    }
}

static void fill_raw(struct tg_fill *f)
{
    struct tl_reader r = { .at = f->message->start, .end = f->message->end };
    size_t from = f->json->len;
    struct tg_json json;

    tg_json_init(&json, f->json);
    if (tl_print_json(f->shape->schema, &r, &json, NULL))
        TG_ROW_SET(f->row, raw, tg_fill_take(f, from));
    else
        f->json->len = from;
}

tg_code tg_page_row(const struct tg_page *p, size_t i, const struct tg_row_options *options,
                    struct tg_batch *batch, struct tg_error *err)
{
    struct tg_fill f = { .page = p, .shape = &p->shape, .options = options, .batch = batch };
    size_t bytes = batch->bytes;

    assert(i < p->n);
    f.message = &p->message[i];
    f.json = &p->scratch->json;
    if (f.message->kind == TG_MESSAGE_EMPTY)
        return TG_END;
    if (p->id[i] <= 0)
        return tg_fail(err, TG_DATA, "a message with the id %d", (int)p->id[i]);
    f.row = tg_batch_row(batch);
    if (!f.row)
        return tg_fail(err, TG_LIMIT, "a batch of %zu rows is full", batch->cap);
    tg_buf_clear(f.json);
    TG_ROW_SET(f.row, chat_id, options->chat_id);
    TG_ROW_SET(f.row, id, p->id[i]);
    TG_ROW_SET(f.row, owner, options->owner);
    TG_ROW_SET(f.row, kind,
               f.message->kind == TG_MESSAGE_SERVICE ? TG_STR("service") : TG_STR("message"));
    TG_ROW_SET(f.row, date, tg_message_i32(f.message, TG_M_date));
    fill_sender(&f);
    fill_numbers(&f);
    fill_content(&f);
    fill_hash(&f);
    if (options->raw)
        fill_raw(&f);
    if (f.no_memory || f.json->failed) {
        batch->n--;
        batch->bytes = bytes;
        return tg_fail(err, TG_NOMEM, "no memory for message %d", (int)p->id[i]);
    }
    return TG_OK;
}
