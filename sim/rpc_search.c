/* SPDX-License-Identifier: MIT */
/*
 * rpc_search.c - messages that match: search, threads, forum topics, counters
 *
 * A search by dates alone is a window of ids. Everything else looks at each message from the offset
 * on; threads ask the world, text and media look at the message itself. A thread's size is counted
 * once and kept.
 *
 * Threads: none
 */
#include "sim/pages.h"
#include "sim/rpc.h"

/* What messages.search looks for. */
struct wish {
    struct sim_call *c;
    struct tg_str text;
    uint32_t filter; /* inputMessagesFilter... */
    int64_t from;    /* marked id; 0: anybody */
    int64_t thread;  /* 0: any */
    struct tg_arena arena;
};

static char lower(char ch)
{
    return ch >= 'A' && ch <= 'Z' ? (char)(ch | 32) : ch;
}

static bool contains(struct tg_str text, struct tg_str part)
{
    for (uint32_t i = 0; part.len <= text.len && i <= text.len - part.len; i++) {
        uint32_t n = 0;

        while (n < part.len && lower(text.at[i + n]) == lower(part.at[n]))
            n++;
        if (n == part.len)
            return true;
    }
    return false;
}

static int64_t marked_of(const struct tl_value *peer)
{
    switch (tl_name(peer)) {
    case TLN_peerUser:
        return tl_get_long(peer, TLN_user_id, 0);
    case TLN_peerChat:
        return -tl_get_long(peer, TLN_chat_id, 0);
    case TLN_peerChannel:
        return SIM_CHANNEL_MARK - tl_get_long(peer, TLN_channel_id, 0);
    default:
        return 0;
    }
}

/* @return whether a document has an attribute; `flag` 0: any such, else with that flag set */
static bool attribute(const struct tl_value *media, uint32_t name, uint32_t flag)
{
    const struct tl_value *list =
        tl_get_vector(tl_get_obj(media, TLN_document), TLN_attributes);

    for (uint32_t i = 0; i < tl_len(list); i++) {
        if (tl_name(tl_item(list, i)) == name)
            return !flag || tl_get_bool(tl_item(list, i), flag);
    }
    return false;
}

static bool document_of(const struct tl_value *media, uint32_t filter)
{
    bool video = attribute(media, TLN_documentAttributeVideo, 0);
    bool round = attribute(media, TLN_documentAttributeVideo, TLN_round_message);
    bool gif = attribute(media, TLN_documentAttributeAnimated, 0);
    bool audio = attribute(media, TLN_documentAttributeAudio, 0);
    bool voice = attribute(media, TLN_documentAttributeAudio, TLN_voice);

    switch (filter) {
    case TLN_inputMessagesFilterVideo:
    case TLN_inputMessagesFilterPhotoVideo:
        return video && !round && !gif;
    case TLN_inputMessagesFilterGif:
        return gif;
    case TLN_inputMessagesFilterVoice:
        return voice;
    case TLN_inputMessagesFilterMusic:
        return audio && !voice;
    case TLN_inputMessagesFilterRoundVideo:
        return round;
    case TLN_inputMessagesFilterRoundVoice:
        return round || voice;
    case TLN_inputMessagesFilterDocument:
        return !video && !gif && !audio && !attribute(media, TLN_documentAttributeSticker, 0);
    default:
        return false;
    }
}

static bool has_url(const struct tl_value *m)
{
    const struct tl_value *list = tl_get_vector(m, TLN_entities);

    for (uint32_t i = 0; i < tl_len(list); i++) {
        uint32_t name = tl_name(tl_item(list, i));

        if (name == TLN_messageEntityUrl || name == TLN_messageEntityTextUrl)
            return true;
    }
    return tl_name(tl_get_obj(m, TLN_media)) == TLN_messageMediaWebPage;
}

static bool filter_ok(const struct tl_value *m, uint32_t filter)
{
    const struct tl_value *media = tl_get_obj(m, TLN_media);

    switch (filter) {
    case TLN_inputMessagesFilterEmpty:
        return true;
    case TLN_inputMessagesFilterPhotos:
        return tl_name(media) == TLN_messageMediaPhoto;
    case TLN_inputMessagesFilterUrl:
        return has_url(m);
    case TLN_inputMessagesFilterPinned:
        return tl_get_bool(m, TLN_pinned);
    case TLN_inputMessagesFilterGeo:
        return tl_name(media) == TLN_messageMediaGeo;
    case TLN_inputMessagesFilterContacts:
        return tl_name(media) == TLN_messageMediaContact;
    case TLN_inputMessagesFilterPhotoVideo:
        if (tl_name(media) == TLN_messageMediaPhoto)
            return true;
        break;
    default:
        break;
    }
    return tl_name(media) == TLN_messageMediaDocument && document_of(media, filter);
}

static bool wish_match(void *ctx, const struct sim_chat *chat, int64_t id)
{
    struct wish *wish = ctx;
    const struct sim_world *w = wish->c->core->world;
    const struct tl_value *m;

    if (wish->thread && sim_world_thread(w, chat, id) != wish->thread)
        return false;
    if (!wish->text.len && !wish->from && wish->filter == TLN_inputMessagesFilterEmpty)
        return true;
    tg_arena_clear(&wish->arena);
    m = sim_world_message(w, wish->c->me, chat, id, &wish->arena);
    if (wish->from && marked_of(tl_get_obj(m, TLN_from_id)) != wish->from)
        return false;
    if (wish->text.len && !contains(tl_get_str(m, TLN_message), wish->text))
        return false;
    return filter_ok(m, wish->filter);
}

/* Where the messages of a thread lie. */
static struct sim_window thread_window(const struct sim_chat *chat, int64_t top)
{
    struct sim_window all = { .lo = 1, .hi = chat->top_id };

    if (chat->kind == SIM_DISCUSSION) { /* in the block of ids of its first message, and the next */
        all.lo = top;
        all.hi = TG_MIN(all.hi, top + 2 * SIM_DISCUSS_BLOCK);
    }
    return all;
}

/* How many messages a thread has, counted once. */
static uint64_t thread_size(struct sim_call *c, const struct sim_chat *chat, int64_t top)
{
    struct sim_window window = thread_window(chat, top);
    struct sim_core *core = c->core;
    uint64_t n = 0;

    for (size_t i = 0; i < core->n_threads; i++) {
        if (core->thread[i].chat == chat->index && core->thread[i].top == top)
            return core->thread[i].n;
    }
    for (uint64_t i = sim_world_rank(core->world, chat, window.lo); i < chat->n_messages; i++) {
        int64_t id = sim_world_select(core->world, chat, i);

        if (id > window.hi)
            break;
        n += sim_world_thread(core->world, chat, id) == top;
    }
    if (core->n_threads == TG_COUNT(core->thread))
        core->n_threads = 0;
    core->thread[core->n_threads++] =
        (struct sim_thread_count){ .chat = chat->index, .top = top, .n = n };
    return n;
}

static bool simple(const struct wish *wish)
{
    return !wish->text.len && !wish->from && !wish->thread &&
           wish->filter == TLN_inputMessagesFilterEmpty;
}

static struct tl_value *answer(struct sim_call *c, const struct tl_value *q,
                               const struct sim_chat *chat, struct wish *wish)
{
    struct sim_window window = sim_window_of(c, chat);
    int32_t min_date = tl_get_int(q, TLN_min_date, 0);
    int32_t max_date = tl_get_int(q, TLN_max_date, 0);
    struct sim_page page = sim_page_of(q);
    struct sim_found found = { .n = 0 };

    if (wish->thread) {
        struct sim_window thread = thread_window(chat, wish->thread);

        window.lo = TG_MAX(window.lo, thread.lo);
        window.hi = TG_MIN(window.hi, thread.hi);
    }
    if (min_date > 0)
        window.lo = TG_MAX(window.lo, sim_world_id_at(c->core->world, chat, min_date + 1));
    if (max_date > 0)
        window.hi = TG_MIN(window.hi, sim_world_id_at(c->core->world, chat, max_date) - 1);
    if (simple(wish)) {
        sim_page_window(c, chat, window, &page, &found);
    } else {
        tg_arena_init(&wish->arena, 16 << 20);
        sim_page_match(c, chat, window, &page, wish_match, wish, &found);
        tg_arena_done(&wish->arena);
        found.inexact = !wish->thread;
        found.total = wish->thread ? thread_size(c, chat, wish->thread) : found.n;
    }
    return sim_page_reply(c, chat, &found, tl_get_long(q, TLN_hash, 0));
}

struct tl_value *sim_search(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *from = tl_get_obj(q, TLN_from_id);
    struct wish wish = { .c = c,
                         .text = tl_get_str(q, TLN_q),
                         .filter = tl_name(tl_get_obj(q, TLN_filter)),
                         .thread = tl_get_int(q, TLN_top_msg_id, 0) };
    struct sim_target t, who;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    if (from) {
        if (!sim_target_peer(c, from, &who))
            return sim_fail(c, "FROM_PEER_INVALID");
        wish.from = who.marked_id;
    }
    return t.chat ? answer(c, q, t.chat, &wish) : sim_page_empty(c);
}

/* Comments on a channel's post: whoever reads the channel may read them. */
static struct tl_value *comments(struct sim_call *c, const struct tl_value *q,
                                 const struct sim_chat *channel, int64_t post, struct wish *wish)
{
    const struct sim_world *w = c->core->world;

    wish->thread = sim_world_post_root(w, channel, post);
    if (!wish->thread || sim_faults_hit(&c->core->faults, SIM_FAULT_COMMENTS_GONE))
        return sim_fail(c, "MSG_ID_INVALID");
    sim_peers_add(c->core->peers, channel->marked_id);
    return answer(c, q, sim_world_linked(w, channel), wish);
}

struct tl_value *sim_get_replies(struct sim_call *c, const struct tl_value *q)
{
    int32_t top = tl_get_int(q, TLN_msg_id, 0);
    struct wish wish = { .c = c, .filter = TLN_inputMessagesFilterEmpty, .thread = top };
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    if (!t.chat || !sim_is_channel(t.chat))
        return sim_fail(c, "PEER_ID_INVALID");
    if (t.chat->kind == SIM_CHANNEL && sim_world_linked(c->core->world, t.chat))
        return comments(c, q, t.chat, top, &wish);
    if (top < 1 || (!sim_world_exists(c->core->world, t.chat, top) &&
                    !(t.chat->kind == SIM_FORUM && top == 1)))
        return sim_fail(c, "MSG_ID_INVALID");
    return answer(c, q, t.chat, &wish);
}

struct tl_value *sim_get_discussion(struct sim_call *c, const struct tl_value *q)
{
    struct sim_core *core = c->core;
    int32_t id = tl_get_int(q, TLN_msg_id, 0);
    const struct sim_chat *group;
    struct tl_value *v;
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    group = t.chat ? sim_world_linked(core->world, t.chat) : NULL;
    if (group && t.chat->kind == SIM_CHANNEL && sim_world_post_root(core->world, t.chat, id)) {
        id = (int32_t)sim_world_post_root(core->world, t.chat, id);
        sim_peers_add(core->peers, t.marked_id);
        t = (struct sim_target){ .marked_id = group->marked_id, .chat = group };
    }
    if (!t.chat || !sim_is_channel(t.chat) || t.chat->kind == SIM_CHANNEL ||
        t.chat->kind == SIM_PROTECTED || !sim_world_exists(core->world, t.chat, id))
        return sim_fail(c, "MSG_ID_INVALID");
    v = tl_obj(c->arena, TLN_messages_discussionMessage);
    tl_add_obj(tl_set_vector(v, TLN_messages),
               sim_message(c, t.chat, id));
    tl_set_int(v, TLN_max_id, t.chat->top_id);
    sim_peers_add_message(core->peers, core->world, t.chat, id);
    sim_peers_add(core->peers, t.marked_id);
    return sim_with_peers(c, v);
}

/* ---- forum topics ---- */

static bool forum_of(struct sim_call *c, const struct tl_value *q, struct sim_target *ret)
{
    const struct tl_value *peer = tl_get_obj(q, TLN_peer);

    if (!(peer ? sim_target_open(c, peer, ret)
               : sim_target_channel(c, tl_get_obj(q, TLN_channel), ret) &&
                     sim_target_readable(c, ret)))
        return false;
    if (!ret->chat || ret->chat->kind != SIM_FORUM)
        return sim_fail(c, "CHANNEL_FORUM_MISSING");
    return true;
}

static struct tl_value *topics_reply(struct sim_call *c, const struct sim_chat *chat,
                                     struct tl_value **ret_topics, struct tl_value **ret_messages)
{
    struct tl_value *v = tl_obj(c->arena, TLN_messages_forumTopics);

    *ret_topics = tl_set_vector(v, TLN_topics);
    *ret_messages = tl_set_vector(v, TLN_messages);
    tl_set_int(v, TLN_count, (int32_t)sim_world_topics(c->core->world, chat));
    tl_set_int(v, TLN_pts, sim_channel_pts(c, chat));
    sim_peers_add(c->core->peers, chat->marked_id);
    return v;
}

static void topic_add(struct sim_call *c, const struct sim_chat *chat, struct tl_value *topic,
                      struct tl_value *topics, struct tl_value *messages)
{
    struct sim_core *core = c->core;
    int32_t top = tl_get_int(topic, TLN_top_message, 0);
    int64_t from = marked_of(tl_get_obj(topic, TLN_from_id));

    tl_add_obj(topics, topic);
    if (from)
        sim_peers_add(core->peers, from);
    if (!sim_world_exists(core->world, chat, top))
        return;
    tl_add_obj(messages, sim_message(c, chat, top));
    sim_peers_add_message(core->peers, core->world, chat, top);
}

struct tl_value *sim_get_topics(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    int32_t limit = tl_get_int(q, TLN_limit, 0);
    int32_t offset = tl_get_int(q, TLN_offset_topic, 0);
    struct tl_value *v, *topics, *messages;
    struct sim_target t;
    int32_t given = 0;

    if (!forum_of(c, q, &t))
        return NULL;
    limit = limit <= 0 || limit > SIM_PAGE_MAX ? SIM_PAGE_MAX : limit;
    v = topics_reply(c, t.chat, &topics, &messages);
    tl_set_true(v, TLN_order_by_create_date, true);
    for (size_t i = 0; i < sim_world_topics(w, t.chat) && given < limit; i++) {
        if (offset && sim_world_topic_id(w, t.chat, i) >= offset)
            continue;
        topic_add(c, t.chat, sim_world_topic(w, c->me, t.chat, i, c->arena), topics, messages);
        given++;
    }
    return sim_with_peers(c, v);
}

struct tl_value *sim_get_topics_by_id(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    const struct tl_value *ids = tl_get_vector(q, TLN_topics);
    struct tl_value *v, *topics, *messages;
    struct sim_target t;

    if (!forum_of(c, q, &t))
        return NULL;
    if (tl_len(ids) == 0 || tl_len(ids) > SIM_PAGE_MAX)
        return sim_fail(c, "TOPICS_EMPTY");
    v = topics_reply(c, t.chat, &topics, &messages);
    for (uint32_t k = 0; k < tl_len(ids); k++) {
        struct tl_value *topic = NULL;

        for (size_t i = 0; i < sim_world_topics(w, t.chat) && !topic; i++) {
            if (sim_world_topic_id(w, t.chat, i) == tl_item_long(ids, k))
                topic = sim_world_topic(w, c->me, t.chat, i, c->arena);
        }
        if (topic)
            topic_add(c, t.chat, topic, topics, messages);
        else
            tl_set_int(tl_add_new(topics, TLN_forumTopicDeleted), TLN_id,
                       (int32_t)tl_item_long(ids, k));
    }
    return sim_with_peers(c, v);
}

/* ---- counters ---- */

struct tl_value *sim_search_counters(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *filters = tl_get_vector(q, TLN_filters);
    struct tl_value *list = tl_vector(c->arena);
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    for (uint32_t i = 0; i < tl_len(filters) && i < 32; i++) {
        struct tl_value *row = tl_add_new(list, TLN_messages_searchCounter);
        bool all = tl_name(tl_item(filters, i)) == TLN_inputMessagesFilterEmpty;

        tl_set_true(row, TLN_inexact, !all);
        tl_set_new(row, TLN_filter, tl_name(tl_item(filters, i)));
        tl_set_int(row, TLN_count, all && t.chat ? (int32_t)t.chat->n_messages : 0);
    }
    return list;
}
