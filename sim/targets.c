/* SPDX-License-Identifier: MIT */
/*
 * targets.c - resolves the input peers of requests
 *
 * Threads: none
 */
#include "sim/targets.h"

#define CHANNEL_BASE INT64_C(1000000000000)

bool sim_is_channel(const struct sim_chat *chat)
{
    return chat->marked_id <= -CHANNEL_BASE;
}

struct tl_value *sim_peer_of(struct tg_arena *arena, int64_t marked_id)
{
    struct tl_value *peer;

    if (marked_id > 0) {
        peer = tl_obj(arena, TLN_peerUser);
        tl_set_long(peer, TLN_user_id, marked_id);
    } else if (marked_id > -CHANNEL_BASE) {
        peer = tl_obj(arena, TLN_peerChat);
        tl_set_long(peer, TLN_chat_id, -marked_id);
    } else {
        peer = tl_obj(arena, TLN_peerChannel);
        tl_set_long(peer, TLN_channel_id, -marked_id - CHANNEL_BASE);
    }
    return peer;
}

struct tl_value *sim_with_peers(struct sim_call *c, struct tl_value *reply)
{
    sim_peers_set(c->core->peers, c->core->world, c->me, reply, c->arena);
    return reply;
}

static bool hash_ok(const struct sim_call *c, int64_t marked_id, int64_t hash)
{
    if (hash == 0 && c->me->bot_token)
        return true;
    return hash == sim_world_access_hash(c->core->world, c->me->user_id, marked_id);
}

static bool user_exists(struct sim_call *c, int64_t user_id)
{
    return sim_world_user(c->core->world, c->me, user_id, c->arena) != NULL;
}

/* Objects that were seen in a message may be named by it instead of by an access hash. */
static bool from_message(struct sim_call *c, const struct tl_value *input)
{
    struct sim_target where;
    int64_t id = tl_get_int(input, TLN_msg_id, 0);

    if (c->me->bot_token || !sim_target_peer(c, tl_get_obj(input, TLN_peer), &where))
        return false;
    return where.chat && sim_target_readable(c, &where) &&
           sim_world_exists(c->core->world, where.chat, id);
}

static bool user_named(struct sim_call *c, const struct tl_value *input, int64_t *ret)
{
    int64_t id = tl_get_long(input, TLN_user_id, 0);

    switch (tl_name(input)) {
    case TLN_inputPeerSelf:
    case TLN_inputUserSelf:
        *ret = c->me->user_id;
        return true;
    case TLN_inputPeerUser:
    case TLN_inputUser:
        if (id <= 0 || (id != c->me->user_id &&
                        !hash_ok(c, id, tl_get_long(input, TLN_access_hash, 0))))
            return false;
        break;
    case TLN_inputPeerUserFromMessage:
    case TLN_inputUserFromMessage:
        if (!from_message(c, input))
            return false;
        break;
    default:
        return false;
    }
    *ret = id;
    return user_exists(c, id);
}

bool sim_target_user(struct sim_call *c, const struct tl_value *input, int64_t *ret_user_id)
{
    return user_named(c, input, ret_user_id) || sim_fail(c, "USER_ID_INVALID");
}

bool sim_target_channel(struct sim_call *c, const struct tl_value *input, struct sim_target *ret)
{
    int64_t id = tl_get_long(input, TLN_channel_id, 0);
    const struct sim_chat *chat;
    bool ok;

    if (id <= 0 || id > CHANNEL_BASE * 3)
        return sim_fail(c, "CHANNEL_INVALID");
    chat = sim_world_chat_by_id(c->core->world, -CHANNEL_BASE - id);
    if (!chat)
        return sim_fail(c, "CHANNEL_INVALID");
    switch (tl_name(input)) {
    case TLN_inputChannel:
    case TLN_inputPeerChannel:
        ok = hash_ok(c, chat->marked_id, tl_get_long(input, TLN_access_hash, 0));
        break;
    case TLN_inputChannelFromMessage:
    case TLN_inputPeerChannelFromMessage:
        ok = from_message(c, input);
        break;
    default:
        ok = false;
    }
    if (!ok)
        return sim_fail(c, "CHANNEL_INVALID");
    *ret = (struct sim_target){ .marked_id = chat->marked_id, .chat = chat };
    return true;
}

static bool group_named(struct sim_call *c, const struct tl_value *input, struct sim_target *ret)
{
    int64_t id = tl_get_long(input, TLN_chat_id, 0);
    const struct sim_chat *chat = NULL;

    if (id > 0 && id < CHANNEL_BASE)
        chat = sim_world_chat_by_id(c->core->world, -id);
    if (!chat || !sim_world_member(c->core->world, c->me, chat))
        return sim_fail(c, "PEER_ID_INVALID");
    *ret = (struct sim_target){ .marked_id = chat->marked_id, .chat = chat };
    return true;
}

bool sim_target_peer(struct sim_call *c, const struct tl_value *input, struct sim_target *ret)
{
    int64_t user_id;

    switch (tl_name(input)) {
    case TLN_inputPeerChannel:
    case TLN_inputPeerChannelFromMessage:
        return sim_target_channel(c, input, ret);
    case TLN_inputPeerChat:
        return group_named(c, input, ret);
    default:
        if (!user_named(c, input, &user_id))
            return sim_fail(c, "PEER_ID_INVALID");
        *ret = (struct sim_target){ .marked_id = user_id,
                                    .chat = sim_world_chat_by_id(c->core->world, user_id) };
        return true;
    }
}

int64_t sim_target_named(const struct tl_value *query)
{
    static const uint32_t field[] = { TLN_peer, TLN_channel };

    for (size_t i = 0; i < TG_COUNT(field); i++) {
        const struct tl_value *input = tl_get_obj(query, field[i]);
        int64_t id;

        if (!input)
            continue;
        id = tl_get_long(input, TLN_channel_id, 0);
        if (id > 0 && id <= CHANNEL_BASE * 3)
            return -CHANNEL_BASE - id;
        id = tl_get_long(input, TLN_chat_id, 0);
        if (id > 0 && id < CHANNEL_BASE)
            return -id;
        return tl_get_long(input, TLN_user_id, 0);
    }
    return -TG_MAX(TG_MIN(tl_get_long(query, TLN_chat_id, 0), CHANNEL_BASE), INT64_C(0));
}

bool sim_target_readable(struct sim_call *c, struct sim_target *t)
{
    bool takeout = c->login && c->login->takeout_id && c->wraps.takeout;

    if (!t->chat || sim_world_member(c->core->world, c->me, t->chat))
        return true;
    if (t->marked_id > 0) {
        t->chat = NULL;
        return true;
    }
    if (!sim_is_channel(t->chat))
        return sim_fail(c, "PEER_ID_INVALID");
    if (t->chat->username || (takeout && t->chat->kind == SIM_LEFT_CHANNEL))
        return true;
    return sim_fail(c, "CHANNEL_PRIVATE");
}

bool sim_target_open(struct sim_call *c, const struct tl_value *input, struct sim_target *ret)
{
    return sim_target_peer(c, input, ret) && sim_target_readable(c, ret);
}
