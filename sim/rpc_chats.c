/* SPDX-License-Identifier: MIT */
/*
 * rpc_chats.c - what chats and users are: lists, full infos, names, members
 *
 * Threads: none
 */
#include "sim/rpc.h"
#include "sim/targets.h"

enum { IDS_MAX = 200 };

struct tl_value *sim_get_channels(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *v = tl_obj(c->arena, TLN_messages_chats);
    struct tl_value *list = tl_set_vector(v, TLN_chats);

    if (tl_len(ids) > IDS_MAX)
        return sim_fail(c, "LIMIT_INVALID");
    for (uint32_t i = 0; i < tl_len(ids); i++) {
        struct sim_target t;

        if (!sim_target_channel(c, tl_item(ids, i), &t))
            return NULL;
        tl_add_obj(list, sim_world_chat_value(c->core->world, c->me, t.chat, c->arena));
    }
    return v;
}

struct tl_value *sim_get_chats(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *v = tl_obj(c->arena, TLN_messages_chats);
    struct tl_value *list = tl_set_vector(v, TLN_chats);

    if (tl_len(ids) > IDS_MAX)
        return sim_fail(c, "LIMIT_INVALID");
    for (uint32_t i = 0; i < tl_len(ids); i++) {
        int64_t id = tl_item_long(ids, i);
        const struct sim_chat *chat = id > 0 ? sim_world_chat_by_id(w, -id) : NULL;

        if (!chat || sim_is_channel(chat) || !sim_world_member(w, c->me, chat))
            return sim_fail(c, "CHAT_ID_INVALID");
        tl_add_obj(list, sim_world_chat_value(w, c->me, chat, c->arena));
    }
    return v;
}

struct tl_value *sim_get_users(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *list = tl_vector(c->arena);

    if (tl_len(ids) > IDS_MAX)
        return sim_fail(c, "LIMIT_INVALID");
    for (uint32_t i = 0; i < tl_len(ids); i++) {
        int64_t id;

        if (!sim_target_user(c, tl_item(ids, i), &id))
            return NULL;
        tl_add_obj(list, sim_world_user(c->core->world, c->me, id, c->arena));
    }
    return list;
}

struct tl_value *sim_get_full_user(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_users_userFull);
    int64_t id;

    if (!sim_target_user(c, tl_get_obj(q, TLN_id), &id))
        return NULL;
    tl_set_obj(v, TLN_full_user, sim_world_user_full(c->core->world, c->me, id, c->arena));
    sim_peers_add(c->core->peers, id);
    return sim_with_peers(c, v);
}

static struct tl_value *full_chat(struct sim_call *c, const struct sim_chat *chat)
{
    const struct sim_world *w = c->core->world;
    struct tl_value *v = tl_obj(c->arena, TLN_messages_chatFull);
    struct tl_value *full = sim_world_chat_full(w, c->me, chat, c->arena);
    int64_t linked = tl_get_long(full, TLN_linked_chat_id, 0);
    int64_t old = tl_get_long(full, TLN_migrated_from_chat_id, 0);

    tl_set_obj(v, TLN_full_chat, full);
    sim_peers_add(c->core->peers, chat->marked_id);
    if (linked)
        sim_peers_add(c->core->peers, SIM_CHANNEL_MARK - linked);
    if (old)
        sim_peers_add(c->core->peers, -old);
    return sim_with_peers(c, v);
}

struct tl_value *sim_get_full_channel(struct sim_call *c, const struct tl_value *q)
{
    struct sim_target t;

    if (!sim_target_channel(c, tl_get_obj(q, TLN_channel), &t) || !sim_target_readable(c, &t))
        return NULL;
    return full_chat(c, t.chat);
}

struct tl_value *sim_get_full_chat(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    int64_t id = tl_get_long(q, TLN_chat_id, 0);
    const struct sim_chat *chat = id > 0 ? sim_world_chat_by_id(w, -id) : NULL;

    if (!chat || sim_is_channel(chat) || !sim_world_member(w, c->me, chat))
        return sim_fail(c, "CHAT_ID_INVALID");
    return full_chat(c, chat);
}

static struct tl_value *resolved(struct sim_call *c, int64_t marked_id)
{
    struct tl_value *v = tl_obj(c->arena, TLN_contacts_resolvedPeer);

    tl_set_obj(v, TLN_peer, sim_peer_of(c->arena, marked_id));
    sim_peers_add(c->core->peers, marked_id);
    return sim_with_peers(c, v);
}

struct tl_value *sim_resolve_username(struct sim_call *c, const struct tl_value *q)
{
    struct tg_str name = tl_get_str(q, TLN_username);
    const struct sim_chat *chat;

    if (name.len && name.at[0] == '@')
        return sim_fail(c, "USERNAME_INVALID");
    if (name.len < 4 || name.len > 32)
        return sim_fail(c, "USERNAME_INVALID");
    chat = sim_world_chat_by_username(c->core->world, name);
    return chat ? resolved(c, chat->marked_id) : sim_fail(c, "USERNAME_NOT_OCCUPIED");
}

struct tl_value *sim_resolve_phone(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    struct tg_str phone = tl_get_str(q, TLN_phone);

    for (size_t i = 0; i < sim_world_accounts(w); i++) {
        const struct sim_account *a = sim_world_account(w, i);

        if (!a->bot_token && a->phone && tg_str_eq(tg_str_of(a->phone), phone))
            return resolved(c, a->user_id);
    }
    return sim_fail(c, "PHONE_NOT_OCCUPIED");
}

/* Those with whom the account has a private chat are its contacts. */
struct tl_value *sim_get_contacts(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    struct tl_value *v = tl_obj(c->arena, TLN_contacts_contacts);
    struct tl_value *list = tl_set_vector(v, TLN_contacts);
    int32_t n = 0;

    (void)q;
    for (size_t i = 0; i < sim_world_chats(w) && n < 1000; i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);
        struct tl_value *contact;

        if (chat->kind != SIM_PRIVATE || !sim_world_member(w, c->me, chat))
            continue;
        contact = tl_add_new(list, TLN_contact);
        tl_set_long(contact, TLN_user_id, chat->id);
        tl_set_bool(contact, TLN_mutual, false);
        sim_peers_add(c->core->peers, chat->marked_id);
        n++;
    }
    tl_set_int(v, TLN_saved_count, n);
    return sim_with_peers(c, v);
}

struct tl_value *sim_get_peer_settings(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_messages_peerSettings);
    struct sim_target t;

    if (!sim_target_peer(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    tl_set_new(v, TLN_settings, TLN_peerSettings);
    sim_peers_add(c->core->peers, t.marked_id);
    return sim_with_peers(c, v);
}

static void add_self(struct sim_call *c, struct tl_value *participant, const struct sim_chat *chat)
{
    tl_set_long(participant, TLN_user_id, c->me->user_id);
    tl_set_long(participant, TLN_inviter_id, c->me->user_id);
    tl_set_int(participant, TLN_date, (int32_t)sim_world_date(c->core->world, chat, 1));
    sim_peers_add(c->core->peers, c->me->user_id);
}

/* Of the members only the asking account is told: the others have no list in this world. */
struct tl_value *sim_get_participant(struct sim_call *c, const struct tl_value *q)
{
    struct sim_target t, who;
    struct tl_value *v;

    if (!sim_target_channel(c, tl_get_obj(q, TLN_channel), &t) || !sim_target_readable(c, &t) ||
        !sim_target_peer(c, tl_get_obj(q, TLN_participant), &who))
        return NULL;
    if (who.marked_id != c->me->user_id || !sim_world_member(c->core->world, c->me, t.chat))
        return sim_fail(c, "USER_NOT_PARTICIPANT");
    v = tl_obj(c->arena, TLN_channels_channelParticipant);
    add_self(c, tl_set_new(v, TLN_participant, TLN_channelParticipantSelf), t.chat);
    return sim_with_peers(c, v);
}

struct tl_value *sim_get_participants(struct sim_call *c, const struct tl_value *q)
{
    struct sim_target t;
    struct tl_value *v, *list;

    if (!sim_target_channel(c, tl_get_obj(q, TLN_channel), &t) || !sim_target_readable(c, &t))
        return NULL;
    if (t.chat->kind == SIM_CHANNEL || t.chat->kind == SIM_PROTECTED)
        return sim_fail(c, "CHAT_ADMIN_REQUIRED");
    v = tl_obj(c->arena, TLN_channels_channelParticipants);
    list = tl_set_vector(v, TLN_participants);
    tl_set_int(v, TLN_count, 1);
    if (tl_get_int(q, TLN_offset, 0) == 0)
        add_self(c, tl_add_new(list, TLN_channelParticipantSelf), t.chat);
    return sim_with_peers(c, v);
}
