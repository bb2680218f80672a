/* SPDX-License-Identifier: MIT */
/*
 * world_values.c - chats, channels, dialogs, topics and the full objects, as an account sees them
 *
 * Threads: none
 */
#include <assert.h>

#include "sim/import.h"
#include "sim/world_int.h"

enum { TOPIC_SCAN = 4096 };

static bool is_box(const struct sim_chat_in *c)
{
    return c->pub.kind == SIM_BASIC_GROUP || c->pub.kind == SIM_PRIVATE;
}

static bool is_broadcast(const struct sim_chat_in *c)
{
    return c->pub.kind == SIM_CHANNEL || c->pub.kind == SIM_PROTECTED ||
           c->pub.kind == SIM_LEFT_CHANNEL;
}

static int32_t created(const struct sim_world *w, const struct sim_chat_in *c)
{
    return (int32_t)sim_world_date(w, &c->pub, 1);
}

static void set_photo(struct tl_value *o, const struct sim_chat_in *c, struct tg_arena *arena)
{
    struct tl_value *photo;

    if (c->salt % 4 == 0) {
        tl_set_new(o, TLN_photo, TLN_chatPhotoEmpty);
        return;
    }
    photo = tl_set_new(o, TLN_photo, TLN_chatPhoto);
    tl_set_long(photo, TLN_photo_id, sim_file_id(c->salt, SIM_FILE_PHOTO));
    sim_set_stripped(photo, TLN_stripped_thumb, c->salt, arena);
    tl_set_int(photo, TLN_dc_id, 2);
}

static struct tl_value *full_photo(const struct sim_world *w, const struct sim_account *viewer,
                                   const struct sim_chat_in *c, struct tg_arena *arena)
{
    struct sim_media_at at = { .w = w, .viewer = viewer, .chat = c, .date = created(w, c),
                               .arena = arena };
    struct tl_value *none;

    if (c->salt % 4)
        return sim_photo_value(&at, c->salt);
    none = tl_obj(arena, TLN_photoEmpty);
    tl_set_long(none, TLN_id, 0);
    return none;
}

/* ---- chat and channel ---- */

static struct tl_value *basic_value(const struct sim_world *w, const struct sim_account *viewer,
                                    const struct sim_chat_in *c, struct tg_arena *arena)
{
    bool member = sim_world_member(w, viewer, &c->pub);
    struct tl_value *o = tl_obj(arena, member ? TLN_chat : TLN_chatForbidden), *to;

    tl_set_long(o, TLN_id, c->pub.id);
    tl_set_cstr(o, TLN_title, c->pub.title);
    if (!member)
        return o;
    tl_set_true(o, TLN_creator, true);
    set_photo(o, c, arena);
    tl_set_int(o, TLN_participants_count, (int32_t)TG_MAX(1, c->n_members));
    tl_set_int(o, TLN_date, created(w, c));
    tl_set_int(o, TLN_version, 1);
    if (c->migrated_to >= 0) {
        const struct sim_chat *super = &w->chat[c->migrated_to].pub;

        tl_set_true(o, TLN_deactivated, true);
        to = tl_set_new(o, TLN_migrated_to, TLN_inputChannel);
        tl_set_long(to, TLN_channel_id, super->id);
        tl_set_long(to, TLN_access_hash,
                    sim_world_access_hash(w, viewer->user_id, super->marked_id));
    }
    return o;
}

static struct tl_value *channel_value(const struct sim_world *w, const struct sim_account *viewer,
                                      const struct sim_chat_in *c, struct tg_arena *arena)
{
    struct tl_value *o = tl_obj(arena, TLN_channel);
    bool broadcast = is_broadcast(c);

    tl_set_true(o, TLN_left, !sim_world_member(w, viewer, &c->pub));
    tl_set_true(o, TLN_broadcast, broadcast);
    tl_set_true(o, TLN_megagroup, !broadcast);
    tl_set_true(o, TLN_forum, c->pub.kind == SIM_FORUM);
    tl_set_true(o, TLN_noforwards, c->pub.kind == SIM_PROTECTED);
    tl_set_true(o, TLN_signatures, broadcast && c->signatures);
    tl_set_true(o, TLN_has_link, c->pub.kind == SIM_CHANNEL || c->linked);
    tl_set_true(o, TLN_verified, c->salt % 13 == 1);
    tl_set_long(o, TLN_id, c->pub.id);
    tl_set_long(o, TLN_access_hash,
                sim_world_access_hash(w, viewer->user_id, c->pub.marked_id));
    tl_set_cstr(o, TLN_title, c->pub.title);
    tl_set_cstr(o, TLN_username, c->pub.username);
    set_photo(o, c, arena);
    tl_set_int(o, TLN_date, created(w, c));
    tl_set_int(o, TLN_participants_count, (int32_t)c->n_members + (broadcast ? 20000 : 0));
    if (!broadcast) {
        struct tl_value *rights = tl_set_new(o, TLN_default_banned_rights, TLN_chatBannedRights);

        tl_set_true(rights, TLN_change_info, true);
        tl_set_true(rights, TLN_pin_messages, true);
        tl_set_int(rights, TLN_until_date, INT32_MAX);
    }
    if (viewer->bot_token) {
        struct tl_value *rights = tl_set_new(o, TLN_admin_rights, TLN_chatAdminRights);

        tl_set_true(rights, TLN_post_messages, true);
        tl_set_true(rights, TLN_other, true);
    }
    return o;
}

struct tl_value *sim_world_chat_value(const struct sim_world *w, const struct sim_account *viewer,
                                      const struct sim_chat *chat, struct tg_arena *arena)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    if (chat->kind == SIM_PRIVATE)
        return sim_world_user(w, viewer, chat->id, arena);
    return chat->kind == SIM_BASIC_GROUP ? basic_value(w, viewer, c, arena)
                                         : channel_value(w, viewer, c, arena);
}

/* ---- full objects ---- */

static struct tl_value *set_notify(struct tl_value *o)
{
    return tl_set_new(o, TLN_notify_settings, TLN_peerNotifySettings);
}

struct tl_value *sim_world_user_full(const struct sim_world *w, const struct sim_account *viewer,
                                     int64_t user_id, struct tg_arena *arena)
{
    struct tl_value *o = tl_obj(arena, TLN_userFull);

    tl_set_long(o, TLN_id, user_id);
    if (user_id % 3)
        tl_set_cstr(o, TLN_about, "Lives \xe2\x80\x9chere\xe2\x80\x9d \xf0\x9f\x8f\xa0");
    tl_set_new(o, TLN_settings, TLN_peerSettings);
    set_notify(o);
    tl_set_true(o, TLN_can_pin_message, true);
    tl_set_true(o, TLN_phone_calls_available, user_id != viewer->user_id);
    tl_set_int(o, TLN_common_chats_count, (int32_t)TG_MIN(w->n_chats, 3));
    if (sim_user_number(w, user_id) >= 0 &&
        sim_user_is_bot(w, (uint32_t)sim_user_number(w, user_id))) {
        struct tl_value *bot = tl_set_new(o, TLN_bot_info, TLN_botInfo);

        tl_set_long(bot, TLN_user_id, user_id);
        tl_set_cstr(bot, TLN_description, "Answers when asked");
    }
    return o;
}

static struct tl_value *basic_full(const struct sim_world *w, const struct sim_account *viewer,
                                   const struct sim_chat_in *c, struct tg_arena *arena)
{
    struct tl_value *o = tl_obj(arena, TLN_chatFull), *list, *p;

    tl_set_long(o, TLN_id, c->pub.id);
    tl_set_cstr(o, TLN_about, "");
    p = tl_set_new(o, TLN_participants, TLN_chatParticipants);
    tl_set_long(p, TLN_chat_id, c->pub.id);
    tl_set_int(p, TLN_version, 1);
    list = tl_set_vector(p, TLN_participants);
    for (uint32_t i = 0; i < TG_MAX(1, c->n_members); i++) {
        struct tl_value *one =
            tl_add_new(list, i ? TLN_chatParticipant : TLN_chatParticipantCreator);

        tl_set_long(one, TLN_user_id, sim_user_id(w, sim_member(w, c, i)));
        if (i) {
            tl_set_long(one, TLN_inviter_id, viewer->user_id);
            tl_set_int(one, TLN_date, created(w, c));
        }
    }
    tl_set_obj(o, TLN_chat_photo, full_photo(w, viewer, c, arena));
    set_notify(o);
    return o;
}

static struct tl_value *channel_full(const struct sim_world *w, const struct sim_account *viewer,
                                     const struct sim_chat_in *c, struct tg_arena *arena)
{
    struct tl_value *o = tl_obj(arena, TLN_channelFull);

    tl_set_true(o, TLN_can_view_participants, !is_broadcast(c));
    tl_set_long(o, TLN_id, c->pub.id);
    tl_set_cstr(o, TLN_about, "\xf0\x9f\x93\x8c About \"this\" chat\nin two lines");
    tl_set_int(o, TLN_participants_count, (int32_t)c->n_members + (is_broadcast(c) ? 20000 : 0));
    tl_set_int(o, TLN_read_inbox_max_id, c->pub.top_id);
    tl_set_int(o, TLN_read_outbox_max_id, c->pub.top_id);
    tl_set_obj(o, TLN_chat_photo, full_photo(w, viewer, c, arena));
    set_notify(o);
    tl_set_vector(o, TLN_bot_info);
    tl_set_int(o, TLN_pts, c->pub.pts);
    if (c->pub.migrated_from >= 0) {
        const struct sim_chat *old = &w->chat[c->pub.migrated_from].pub;

        if (sim_world_member(w, viewer, old)) { /* others never saw the old group */
            tl_set_long(o, TLN_migrated_from_chat_id, old->id);
            tl_set_int(o, TLN_migrated_from_max_id, old->top_id);
        }
    }
    if (c->linked)
        tl_set_long(o, TLN_linked_chat_id, w->chat[c->linked - 1].pub.id);
    else if (c->pub.kind == SIM_CHANNEL && !c->import)
        tl_set_long(o, TLN_linked_chat_id,
                    -SIM_CHANNEL_BASE - sim_foreign_id((uint32_t)(c->salt >> 18 & 63) * 4 + 3));
    tl_set_new(o, TLN_available_reactions, TLN_chatReactionsAll);
    return o;
}

struct tl_value *sim_world_chat_full(const struct sim_world *w, const struct sim_account *viewer,
                                     const struct sim_chat *chat, struct tg_arena *arena)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    if (chat->kind == SIM_PRIVATE)
        return sim_world_user_full(w, viewer, chat->id, arena);
    return chat->kind == SIM_BASIC_GROUP ? basic_full(w, viewer, c, arena)
                                         : channel_full(w, viewer, c, arena);
}

struct tl_value *sim_world_dialog(const struct sim_world *w, const struct sim_account *viewer,
                                  const struct sim_chat *chat, struct tg_arena *arena)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    struct tl_value *o = tl_obj(arena, TLN_dialog);

    (void)viewer; /* every member sees the same counters */
    tl_set_obj(o, TLN_peer, sim_peer_value(chat->marked_id, arena));
    tl_set_int(o, TLN_top_message, chat->top_id);
    tl_set_int(o, TLN_read_inbox_max_id, chat->top_id);
    tl_set_int(o, TLN_read_outbox_max_id, chat->top_id);
    set_notify(o);
    if (!is_box(c))
        tl_set_int(o, TLN_pts, chat->pts);
    return o;
}

/* ---- topics ---- */

size_t sim_world_topics(const struct sim_world *w, const struct sim_chat *chat)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    return chat->kind == SIM_FORUM && !c->import ? c->n_topics + 1 : 0;
}

/* Newest message of a topic, sought among the newest few thousand. */
static int32_t topic_top(const struct sim_world *w, const struct sim_chat_in *c, int64_t topic)
{
    uint64_t n = c->pub.n_messages;

    for (uint64_t i = 0; i < TOPIC_SCAN && i < n; i++) {
        int64_t id = sim_world_select(w, &c->pub, n - 1 - i);

        if (sim_topic_of(c, sim_id_to_local(c, id)) == topic)
            return (int32_t)id;
    }
    return (int32_t)topic;
}

struct tl_value *sim_world_topic(const struct sim_world *w, const struct sim_account *viewer,
                                 const struct sim_chat *chat, size_t i, struct tg_arena *arena)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    int64_t id = i < c->n_topics ? c->topic[c->n_topics - 1 - i] : 1;
    struct tl_value *o = tl_obj(arena, TLN_forumTopic);
    int32_t top = topic_top(w, c, id);
    struct sim_plan p;

    assert(i <= c->n_topics);
    sim_plan_make(w, c, id, &p);
    tl_set_true(o, TLN_my, p.from == viewer->user_id);
    tl_set_true(o, TLN_closed, i % 11 == 7);
    tl_set_true(o, TLN_pinned, id == 1);
    tl_set_int(o, TLN_id, (int32_t)id);
    tl_set_int(o, TLN_date, (int32_t)sim_world_date(w, chat, id));
    tl_set_obj(o, TLN_peer, sim_peer_value(chat->marked_id, arena));
    tl_set_cstr(o, TLN_title, id == 1 ? "General" : sim_title(p.key, c->script, arena));
    tl_set_int(o, TLN_icon_color, 0x6fb9f0);
    if (id != 1 && p.key & 8)
        tl_set_long(o, TLN_icon_emoji_id, sim_file_id(p.key, SIM_FILE_STICKER));
    tl_set_int(o, TLN_top_message, top);
    tl_set_int(o, TLN_read_inbox_max_id, top);
    tl_set_int(o, TLN_read_outbox_max_id, top);
    tl_set_obj(o, TLN_from_id, sim_peer_value(p.from, arena));
    set_notify(o);
    return o;
}

int64_t sim_world_topic_id(const struct sim_world *w, const struct sim_chat *chat, size_t i)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    return i < c->n_topics ? c->topic[c->n_topics - 1 - i] : 1;
}
