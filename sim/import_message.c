/* SPDX-License-Identifier: MIT */
/*
 * import_message.c - builds a message object from its place in an export
 *
 * Threads: none      Limits: those of the arena
 */
#include <assert.h>

#include "sim/import_int.h"

/* The message was parsed once while loading, so only memory can fail. */
static json_t *parse(const struct sim_world *w, const struct sim_chat_in *c, int64_t id)
{
    int64_t i = sim_import_find(c->import, id);
    const struct sim_import_item *item;

    if (i < 0)
        return NULL;
    item = &c->import->item[i];
    return json_loadb((const char *)w->import->text.data + item->at, item->len, 0, NULL);
}

struct passing {
    void (*seen)(void *ctx, int64_t marked_id);
    void *ctx;
};

static void pass(void *ctx, int64_t marked_id, const char *name)
{
    const struct passing *p = ctx;

    (void)name;
    p->seen(p->ctx, marked_id);
}

void sim_import_peers(const struct sim_world *w, const struct sim_chat_in *c, int64_t id,
                      void (*seen)(void *ctx, int64_t marked_id), void *ctx)
{
    json_t *m = parse(w, c, id);
    struct passing p = { seen, ctx };

    if (c->pub.migrated_from >= 0)
        seen(ctx, w->chat[c->pub.migrated_from].pub.marked_id);
    if (c->migrated_to >= 0)
        seen(ctx, w->chat[c->migrated_to].pub.marked_id);
    if (c->pub.kind == SIM_PRIVATE)
        seen(ctx, w->account[c->owner].user_id);
    if (m)
        sim_import_people(m, pass, &p);
    json_decref(m);
}

static void set_copy(struct tl_value *o, uint32_t field, const char *s)
{
    if (s)
        tl_set_copy(o, field, s, strlen(s));
}

static int32_t date_of(const json_t *m, const char *unix_key, const char *text_key, int64_t absent)
{
    int64_t date = tg_export_time(m, unix_key, text_key, absent);

    return (int32_t)TG_MAX(0, TG_MIN(date, INT32_MAX));
}

/* ---- parts ---- */

static void set_reply(struct tl_value *o, const json_t *m, struct tg_arena *arena)
{
    int64_t to = tg_export_num(m, "reply_to_message_id", 0);
    int64_t peer = tg_export_peer(json_object_get(m, "reply_to_peer_id"));
    struct tl_value *r;

    if (to == 0)
        to = tg_export_num(m, "message_id", 0); /* of a pin */
    if (to < 0)
        to += TG_EXPORT_SHIFT; /* both lie in the old group */
    if (to <= 0 || to > INT32_MAX)
        return;
    r = tl_set_new(o, TLN_reply_to, TLN_messageReplyHeader);
    tl_set_int(r, TLN_reply_to_msg_id, (int32_t)to);
    if (peer)
        tl_set_obj(r, TLN_reply_to_peer_id, sim_peer_value(peer, arena));
}

static void set_forward(struct tl_value *o, const json_t *m, int32_t date, struct tg_arena *arena)
{
    int64_t from = tg_export_peer(json_object_get(m, "forwarded_from_id"));
    const json_t *name = json_object_get(m, "forwarded_from");
    struct tl_value *f;

    if (!from && !name)
        return;
    f = tl_set_new(o, TLN_fwd_from, TLN_messageFwdHeader);
    tl_set_int(f, TLN_date, date_of(m, "forwarded_date_unixtime", "forwarded_date", date));
    if (from)
        tl_set_obj(f, TLN_from_id, sim_peer_value(from, arena));
    else
        set_copy(f, TLN_from_name, json_is_string(name) ? json_string_value(name) : "");
}

static void set_reaction(struct tl_value *o, const json_t *v)
{
    const char *type = tg_export_str(v, "type"), *id;
    struct tl_value *r;

    if (type && strcmp(type, "custom_emoji") == 0) {
        r = tl_set_new(o, TLN_reaction, TLN_reactionCustomEmoji);
        id = tg_export_str(v, "document_id");
        tl_set_long(r, TLN_document_id,
                    tg_export_num(v, "document_id", id ? sim_import_named_id(id) : 0));
    } else if (type && strcmp(type, "paid") == 0) {
        tl_set_new(o, TLN_reaction, TLN_reactionPaid);
    } else {
        r = tl_set_new(o, TLN_reaction, TLN_reactionEmoji);
        set_copy(r, TLN_emoticon, tg_export_str(v, "emoji"));
    }
}

static void add_recent(struct tl_value *r, struct tl_value **list, const json_t *reaction,
                       const json_t *one, struct tg_arena *arena)
{
    int64_t from = tg_export_peer(json_object_get(one, "from_id"));
    struct tl_value *p;

    if (!from)
        return;
    if (!*list)
        *list = tl_set_vector(r, TLN_recent_reactions);
    p = tl_add_new(*list, TLN_messagePeerReaction);
    tl_set_obj(p, TLN_peer_id, sim_peer_value(from, arena));
    tl_set_int(p, TLN_date, date_of(one, "date_unixtime", "date", 0));
    set_reaction(p, reaction);
}

static void set_reactions(struct tl_value *o, const json_t *m, struct tg_arena *arena)
{
    const json_t *list = json_object_get(m, "reactions"), *v, *one;
    struct tl_value *r, *results, *recent = NULL, *c;
    size_t i, k;

    if (json_array_size(list) == 0)
        return;
    r = tl_set_new(o, TLN_reactions, TLN_messageReactions);
    results = tl_set_vector(r, TLN_results);
    json_array_foreach((json_t *)(uintptr_t)list, i, v) {
        c = tl_add_new(results, TLN_reactionCount);
        set_reaction(c, v);
        tl_set_int(c, TLN_count,
                   (int32_t)TG_MAX(0, TG_MIN(tg_export_num(v, "count", 1), INT32_MAX)));
        json_array_foreach(json_object_get(v, "recent"), k, one)
            add_recent(r, &recent, v, one, arena);
    }
}

/* ---- messages ---- */

/* Where the sender goes: not at all for posts, and in private chats only for the own side. */
static void set_sender(struct tl_value *o, const struct sim_media_at *at, int64_t from)
{
    bool out = from == at->viewer->user_id;
    bool post = at->chat->import->channel;

    tl_set_true(o, TLN_out, out && !post);
    tl_set_true(o, TLN_post, post);
    if (from && !post && (out || at->chat->pub.kind != SIM_PRIVATE))
        tl_set_obj(o, TLN_from_id, sim_peer_value(from, at->arena));
    tl_set_obj(o, TLN_peer_id, sim_peer_value(at->chat->pub.marked_id, at->arena));
}

static struct tl_value *service(const struct sim_media_at *at, const json_t *m)
{
    struct tl_value *o = tl_obj(at->arena, TLN_messageService);

    tl_set_int(o, TLN_id, (int32_t)at->id);
    set_sender(o, at, tg_export_peer(json_object_get(m, "actor_id")));
    set_reply(o, m, at->arena);
    tl_set_int(o, TLN_date, (int32_t)at->date);
    tl_set_obj(o, TLN_action, sim_import_action(at, m));
    set_reactions(o, m, at->arena);
    return o;
}

static struct tl_value *ordinary(const struct sim_media_at *at, const json_t *m)
{
    struct tl_value *o = tl_obj(at->arena, TLN_message);
    int64_t from = tg_export_peer(json_object_get(m, "from_id"));
    const char *via = tg_export_str(m, "via_bot");
    struct tl_value *media = sim_import_media(at, m);
    int32_t edited = date_of(m, "edited_unixtime", "edited", 0);

    tl_set_int(o, TLN_id, (int32_t)at->id);
    set_sender(o, at, from);
    set_forward(o, m, (int32_t)at->date, at->arena);
    if (via && *via)
        tl_set_long(o, TLN_via_bot_id, sim_import_named_id(via));
    set_reply(o, m, at->arena);
    tl_set_int(o, TLN_date, (int32_t)at->date);
    sim_import_set_text(o, m, at->arena);
    if (media)
        tl_set_obj(o, TLN_media, media);
    if (edited)
        tl_set_int(o, TLN_edit_date, edited);
    set_copy(o, TLN_post_author, tg_export_str(m, "author"));
    set_reactions(o, m, at->arena);
    return o;
}

struct tl_value *sim_import_message(const struct sim_world *w, const struct sim_account *viewer,
                                    const struct sim_chat_in *c, int64_t id,
                                    struct tg_arena *arena)
{
    json_t *m = parse(w, c, id);
    const char *type = m ? tg_export_str(m, "type") : NULL;
    struct sim_media_at at = { .w = w, .viewer = viewer, .chat = c, .id = id, .arena = arena,
                               .key = sim_hash(c->salt, (uint64_t)id) };
    struct tl_value *o;

    if (!m)
        return NULL;
    at.date = date_of(m, "date_unixtime", "date", 0);
    o = type && strcmp(type, "service") == 0 ? service(&at, m) : ordinary(&at, m);
    json_decref(m);
    return o;
}
