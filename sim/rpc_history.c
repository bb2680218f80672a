/* SPDX-License-Identifier: MIT */
/*
 * rpc_history.c - messages of a chat by pages, and single messages by id
 *
 * Threads: none
 */
#include "sim/pages.h"
#include "sim/rpc.h"

struct tl_value *sim_get_history(struct sim_call *c, const struct tl_value *q)
{
    struct sim_page page = sim_page_of(q);
    struct sim_found found = { .n = 0 };
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    if (!t.chat)
        return sim_page_empty(c);
    if (c->wraps.ranged) {
        sim_page_window(c, t.chat, sim_window_of(c, t.chat), &page, &found);
    } else {
        found.n = sim_world_page(c->core->world, t.chat, &page, found.id, &found.offset);
        found.total = t.chat->n_messages;
    }
    return sim_page_reply(c, t.chat, &found, tl_get_long(q, TLN_hash, 0));
}

/* @return the id that an InputMessage means in the chat; 0 if none */
static int64_t input_message(struct sim_call *c, const struct sim_chat *chat,
                             const struct tl_value *input)
{
    const struct tl_value *m;
    int64_t id = tl_get_int(input, TLN_id, 0);

    if (tl_name(input) == TLN_inputMessageID)
        return id;
    if (tl_name(input) != TLN_inputMessageReplyTo || !chat || id <= 0)
        return 0;
    m = sim_message(c, chat, id);
    return tl_get_int(tl_get_obj(m, TLN_reply_to), TLN_reply_to_msg_id, 0);
}

static struct tl_value *empty_message(struct sim_call *c, int64_t id)
{
    struct tl_value *v = tl_obj(c->arena, TLN_messageEmpty);

    tl_set_int(v, TLN_id, (int32_t)id);
    return v;
}

static void add_message(struct sim_call *c, struct tl_value *list, const struct sim_chat *chat,
                        int64_t id)
{
    struct sim_core *core = c->core;

    if (!chat || !sim_world_exists(core->world, chat, id)) {
        tl_add_obj(list, empty_message(c, id));
        return;
    }
    tl_add_obj(list, sim_message(c, chat, id));
    sim_peers_add_message(core->peers, core->world, chat, id);
    c->chat = chat->marked_id;
}

static bool ids_ok(struct sim_call *c, const struct tl_value *ids)
{
    if (tl_len(ids) == 0)
        return sim_fail(c, "MESSAGE_IDS_EMPTY");
    return tl_len(ids) <= SIM_PAGE_MAX || sim_fail(c, "LIMIT_INVALID");
}

struct tl_value *sim_channels_get_messages(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *v, *list;
    struct sim_target t;

    if (!sim_target_channel(c, tl_get_obj(q, TLN_channel), &t) || !sim_target_readable(c, &t) ||
        !ids_ok(c, ids))
        return NULL;
    v = tl_obj(c->arena, TLN_messages_channelMessages);
    list = tl_set_vector(v, TLN_messages);
    tl_set_int(v, TLN_pts, sim_channel_pts(c, t.chat));
    tl_set_int(v, TLN_count, (int32_t)tl_len(ids));
    for (uint32_t i = 0; i < tl_len(ids); i++)
        add_message(c, list, t.chat, input_message(c, t.chat, tl_item(ids, i)));
    sim_peers_add(c->core->peers, t.marked_id);
    return sim_with_peers(c, v);
}

/* Private chats and basic groups share the ids of the account. */
static const struct sim_chat *box_chat(struct sim_call *c, int64_t id)
{
    const struct sim_world *w = c->core->world;

    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        if (!sim_is_channel(chat) && sim_world_exists(w, chat, id) &&
            sim_world_member(w, c->me, chat))
            return chat;
    }
    return NULL;
}

struct tl_value *sim_get_messages(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *v, *list;

    if (!ids_ok(c, ids))
        return NULL;
    v = tl_obj(c->arena, TLN_messages_messages);
    list = tl_set_vector(v, TLN_messages);
    for (uint32_t i = 0; i < tl_len(ids); i++) {
        int64_t id = tl_get_int(tl_item(ids, i), TLN_id, 0);
        const struct sim_chat *chat = box_chat(c, id);

        add_message(c, list, chat, input_message(c, chat, tl_item(ids, i)));
    }
    return sim_with_peers(c, v);
}
