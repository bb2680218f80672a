/* SPDX-License-Identifier: MIT */
/*
 * update_read.c - updates and differences, cut into changes; see update_read.h
 *
 * An update is counted if it has pts and pts_count, or qts; whose box it belongs to is told by its
 * channel_id, or by the chat of its message. So only what there is to keep needs a table.
 */
#include "telegram/update_read.h"

#include "telegram/peers.h"
#include "tl/value.h"

enum { CHANGES_MAX = 100000 };

/* What is being filled. */
struct reading {
    const struct tl_schema *s;
    struct tg_arena *arena;
    struct tg_update_change *change;
    size_t n, cap;
    struct tg_error *err;
};

static tg_code unknown(const struct reading *g, struct tl_reader r)
{
    struct tl_fault fault;
    struct tg_buf text;

    tg_buf_init(&text, 1 << 16);
    if (tl_explain(g->s, r.at, (size_t)(r.end - r.at), TL_NONE, &fault))
        tl_fault_text(g->s, &fault, &text);
    tg_fail(g->err, TG_PROTOCOL, "updates that cannot be read: %.300s",
            text.len ? tg_buf_cstr(&text) : "they are none");
    tg_buf_done(&text);
    return TG_PROTOCOL;
}

static struct tg_update_change *add(struct reading *g)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct tg_update_change *more = g->n < CHANGES_MAX
                                     ? tg_arena_alloc(g->arena, cap, sizeof *more) : NULL;

        if (!more) {
            tg_fail(g->err, TG_NOMEM, "no memory for so many updates");
            return NULL;
        }
        if (g->n)
            memcpy(more, g->change, g->n * sizeof *more);
        g->change = more;
        g->cap = cap;
    }
    return &g->change[g->n++];
}

static struct tg_str span(const uint8_t *from, const uint8_t *to)
{
    return (struct tg_str){ (const char *)from, (uint32_t)(to - from) };
}

/* A field with all its bytes, as they stand. */
static struct tg_str whole_field(const struct tl_object *o, uint32_t symbol)
{
    int i = tl_field_index(o, symbol);
    struct tl_reader r = tl_at(o, i);
    const uint8_t *from = r.at;

    if (!from || !tl_skip_type(o->schema, &r, tl_ctor_fields(o->schema, o->ctor)[i].type))
        return (struct tg_str){ NULL, 0 };
    return span(from, r.at);
}

static int64_t chat_of_peer(const struct tl_object *o, uint32_t symbol)
{
    struct tl_object peer;

    if (!tl_field_object(o, symbol, &peer))
        return 0;
    switch (peer.ctor->name) {
    case TLN_peerUser:
        return tg_mark_user(tl_field_i64(&peer, TLN_user_id, 0));
    case TLN_peerChat:
        return tg_mark_group(tl_field_i64(&peer, TLN_chat_id, 0));
    case TLN_peerChannel:
        return tg_mark_channel(tl_field_i64(&peer, TLN_channel_id, 0));
    default:
        return 0;
    }
}

/* ---- changes ---- */

static const struct {
    uint16_t name;
    enum tg_update_kind kind;
    uint16_t bytes; /* field with the message, with the ids; 0: none */
} what[] = {
    { TLN_updateNewMessage, TG_UPDATE_NEW, TLN_message },
    { TLN_updateNewChannelMessage, TG_UPDATE_NEW, TLN_message },
    { TLN_updateEditMessage, TG_UPDATE_EDITED, TLN_message },
    { TLN_updateEditChannelMessage, TG_UPDATE_EDITED, TLN_message },
    { TLN_updateDeleteMessages, TG_UPDATE_DELETED, TLN_messages },
    { TLN_updateDeleteChannelMessages, TG_UPDATE_DELETED, TLN_messages },
    { TLN_updateMessageReactions, TG_UPDATE_REACTIONS, 0 },
    { TLN_updateChannelTooLong, TG_UPDATE_BEHIND, 0 },
};

/* How it is counted. */
static struct tg_update counted(const struct tl_object *o, int32_t date)
{
    int32_t pts = tl_field_i32(o, TLN_pts, 0), qts = tl_field_i32(o, TLN_qts, 0);

    if (pts && tl_field_has(o, TLN_pts_count))
        return (struct tg_update){ .seq = TG_UPDATES_PTS, .after = pts, .date = date,
                                   .count = tl_field_i32(o, TLN_pts_count, 0) };
    return (struct tg_update){ .seq = TG_UPDATES_QTS, .after = qts, .count = qts != 0,
                               .date = date };
}

/* Fills id and chat from a message. */
static void look_at_message(const struct reading *g, struct tg_update_change *c)
{
    struct tl_reader r = tl_reader_of(c->bytes.at, c->bytes.len);
    struct tl_object message;

    if (!tl_object_open(g->s, &r, &message))
        return;
    c->id = tl_field_i32(&message, TLN_id, 0);
    c->chat = chat_of_peer(&message, TLN_peer_id);
}

static tg_code read_update(struct reading *g, const struct tl_object *o, int32_t date)
{
    struct tg_update_change change = { .kind = TG_UPDATE_NOTHING, .counted = counted(o, date) };
    struct tg_update_change *to;
    size_t i = 0;

    while (i < TG_COUNT(what) && what[i].name != o->ctor->name)
        i++;
    if (i == TG_COUNT(what) && !change.counted.after)
        return TG_OK;
    if (tl_field_has(o, TLN_channel_id))
        change.chat = change.channel = tg_mark_channel(tl_field_i64(o, TLN_channel_id, 0));
    else
        change.chat = chat_of_peer(o, TLN_peer);
    if (i < TG_COUNT(what)) {
        change.kind = what[i].kind;
        change.id = tl_field_i32(o, TLN_msg_id, 0);
        if (what[i].bytes)
            change.bytes = whole_field(o, what[i].bytes);
        if (what[i].bytes == TLN_message)
            look_at_message(g, &change);
    }
    if (change.chat < -TG_CHANNEL_MARK)
        change.channel = change.chat;
    to = add(g);
    if (!to)
        return TG_NOMEM;
    *to = change;
    return TG_OK;
}

/* A vector of updates. */
static tg_code read_updates(struct reading *g, const struct tl_object *o, uint32_t field,
                            int32_t date)
{
    struct tl_reader r;
    struct tl_object update;
    tg_code code = TG_OK;

    for (uint32_t n = tl_field_vector(o, field, &r); n && code == TG_OK; n--) {
        if (!tl_object_open(g->s, &r, &update))
            return unknown(g, r);
        code = read_update(g, &update, date);
    }
    return code;
}

/* A vector of messages that are new. */
static tg_code read_messages(struct reading *g, const struct tl_object *o, int64_t channel)
{
    struct tl_reader r;

    for (uint32_t n = tl_field_vector(o, TLN_new_messages, &r); n; n--) {
        const uint8_t *from = r.at;
        struct tg_update_change *c;

        if (!tl_skip(g->s, &r))
            return unknown(g, r);
        c = add(g);
        if (!c)
            return TG_NOMEM;
        c->kind = TG_UPDATE_NEW;
        c->channel = channel;
        c->bytes = span(from, r.at);
        look_at_message(g, c);
    }
    return TG_OK;
}

/* ---- short messages ---- */

static struct tl_value *peer(struct tg_arena *arena, uint32_t name, uint32_t field, int64_t id)
{
    struct tl_value *v = tl_obj(arena, name);

    tl_set_long(v, field, id);
    return v;
}

/* A message that came without its chat's and sender's objects, as a whole one. */
static tg_code read_short(struct reading *g, const struct tl_object *o, int64_t self)
{
    static const uint16_t same[] = { TLN_fwd_from, TLN_via_bot_id, TLN_reply_to, TLN_entities,
                                     TLN_ttl_period, TLN_message };
    static const uint16_t flags[] = { TLN_out, TLN_mentioned, TLN_media_unread, TLN_silent };
    bool in_group = o->ctor->name == TLN_updateShortChatMessage;
    int64_t other = tl_field_i64(o, in_group ? TLN_from_id : TLN_user_id, 0);
    struct tl_value *m = tl_obj(g->arena, TLN_message);
    struct tg_update_change *c = add(g);
    struct tg_buf bytes;
    tg_code code;

    if (!c)
        return TG_NOMEM;
    tl_set_int(m, TLN_id, tl_field_i32(o, TLN_id, 0));
    tl_set_int(m, TLN_date, tl_field_i32(o, TLN_date, 0));
    tl_set_obj(m, TLN_from_id, peer(g->arena, TLN_peerUser, TLN_user_id,
                                    !in_group && tl_field_has(o, TLN_out) ? self : other));
    tl_set_obj(m, TLN_peer_id, in_group ? peer(g->arena, TLN_peerChat, TLN_chat_id,
                                               tl_field_i64(o, TLN_chat_id, 0))
                                        : peer(g->arena, TLN_peerUser, TLN_user_id, other));
    for (size_t i = 0; i < TG_COUNT(flags); i++)
        tl_set_true(m, flags[i], tl_field_has(o, flags[i]));
    for (size_t i = 0; i < TG_COUNT(same); i++) {
        struct tg_str field = whole_field(o, same[i]);

        if (field.at)
            tl_set_raw(m, same[i], field.at, field.len);
    }
    tg_buf_init(&bytes, 16 << 20);
    code = tl_encode(g->s, m, &bytes, g->err);
    if (code == TG_OK) {
        c->kind = TG_UPDATE_NEW;
        c->counted = counted(o, tl_field_i32(o, TLN_date, 0));
        c->bytes.at = tg_arena_copy(g->arena, bytes.data, bytes.len);
        c->bytes.len = (uint32_t)bytes.len;
        if (!c->bytes.at)
            code = tg_fail(g->err, TG_NOMEM, "no memory for a message");
        else
            look_at_message(g, c);
    }
    tg_buf_done(&bytes);
    return code;
}

/* ---- packets ---- */

static tg_code open_whole(struct reading *g, const uint8_t *body, size_t len, uint32_t type,
                          struct tl_object *ret)
{
    struct tl_reader r = tl_reader_of(body, len);

    if (!tl_object_open(g->s, &r, ret) || ret->ctor->is_function ||
        ret->ctor->type != tl_type_by_name(g->s, type))
        return unknown(g, tl_reader_of(body, len));
    return TG_OK;
}

static void put(const struct reading *g, const struct tl_object *o, struct tg_update_packet *ret)
{
    ret->change = g->change;
    ret->n = g->n;
    ret->users = whole_field(o, TLN_users);
    ret->chats = whole_field(o, TLN_chats);
}

/* What of a packet is counted as a whole. */
static tg_code add_seq(struct reading *g, const struct tl_object *o, int32_t date)
{
    int32_t seq = tl_field_i32(o, TLN_seq, 0);
    struct tg_update_change *c;

    if (seq <= 0)
        return TG_OK;
    c = add(g);
    if (!c)
        return TG_NOMEM;
    *c = (struct tg_update_change){ .kind = TG_UPDATE_NOTHING };
    c->counted = (struct tg_update){ .seq = TG_UPDATES_SEQ, .after = seq, .date = date };
    c->counted.count = (int32_t)TG_MAX((int64_t)seq - tl_field_i32(o, TLN_seq_start, seq) + 1, 1);
    return TG_OK;
}

tg_code tg_update_packet(const struct tl_schema *s, const uint8_t *body, size_t len, int64_t self,
                         struct tg_arena *arena, struct tg_update_packet *ret,
                         struct tg_error *err)
{
    struct reading g = { .s = s, .arena = arena, .err = err };
    struct tl_object o, update;
    tg_code code = open_whole(&g, body, len, TLN_Updates, &o);
    int32_t date;

    *ret = (struct tg_update_packet){ .n = 0 };
    if (code != TG_OK)
        return code;
    date = tl_field_i32(&o, TLN_date, 0);
    ret->date = date;
    switch (o.ctor->name) {
    case TLN_updates:
    case TLN_updatesCombined:
        code = read_updates(&g, &o, TLN_updates, date);
        if (code == TG_OK)
            code = add_seq(&g, &o, date);
        break;
    case TLN_updateShort:
        if (tl_field_object(&o, TLN_update, &update))
            code = read_update(&g, &update, date);
        break;
    case TLN_updateShortMessage:
    case TLN_updateShortChatMessage:
        code = read_short(&g, &o, self);
        break;
    case TLN_updatesTooLong:
        ret->lost = true;
        break;
    default: /* updateShortSentMessage, the answer to what this program never sends */
        break;
    }
    put(&g, &o, ret);
    return code;
}

/* ---- differences ---- */

static void take_state(const struct tl_object *o, struct tg_update_state *ret)
{
    ret->at[TG_UPDATES_PTS] = tl_field_i32(o, TLN_pts, ret->at[TG_UPDATES_PTS]);
    ret->at[TG_UPDATES_QTS] = tl_field_i32(o, TLN_qts, ret->at[TG_UPDATES_QTS]);
    ret->at[TG_UPDATES_SEQ] = tl_field_i32(o, TLN_seq, ret->at[TG_UPDATES_SEQ]);
    ret->date = tl_field_i32(o, TLN_date, ret->date);
}

tg_code tg_update_difference(const struct tl_schema *s, const uint8_t *body, size_t len,
                             int64_t channel, const struct tg_update_state *since,
                             struct tg_arena *arena, struct tg_update_packet *ret,
                             struct tg_error *err)
{
    struct reading g = { .s = s, .arena = arena, .err = err };
    struct tg_update_answer *a = &ret->answer;
    struct tl_object o, state;
    tg_code code = open_whole(&g, body, len, channel ? TLN_updates_ChannelDifference
                                                     : TLN_updates_Difference, &o);

    *ret = (struct tg_update_packet){ .answer = { .state = *since } };
    if (code != TG_OK)
        return code;
    take_state(&o, &a->state);
    a->timeout_us = tl_field_i32(&o, TLN_timeout, 1) * TG_SECOND_US;
    a->final = channel ? tl_field_has(&o, TLN_final) : o.ctor->name != TLN_updates_differenceSlice;
    a->too_long = o.ctor->name == TLN_updates_differenceTooLong ||
                  o.ctor->name == TLN_updates_channelDifferenceTooLong;
    if (tl_field_object(&o, channel ? TLN_dialog : TLN_state, &state) ||
        tl_field_object(&o, TLN_intermediate_state, &state))
        take_state(&state, &a->state);
    if (!a->too_long) {
        code = read_messages(&g, &o, channel);
        if (code == TG_OK)
            code = read_updates(&g, &o, TLN_other_updates, a->state.date);
    }
    put(&g, &o, ret);
    return code;
}
