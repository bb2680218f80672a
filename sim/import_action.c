/* SPDX-License-Identifier: MIT */
/*
 * import_action.c - service messages of an export
 *
 * A table names for each action the predicate and which members it takes along. An action that the
 * table lacks becomes a custom action with the export's own word, so that nothing is lost.
 *
 * Threads: none
 */
#include <assert.h>

#include "sim/import_int.h"

enum take {
    T_TITLE = 1,    /* title */
    T_USERS = 2,    /* members: a list of users */
    T_USER = 4,     /* members: the first one */
    T_INVITER = 8,  /* inviter */
    T_CALL = 16,    /* a group call and its duration */
    T_PHONE = 32,   /* a phone call */
    T_PERIOD = 64,  /* period */
    T_SCORE = 128,  /* score */
    T_PHOTO = 256,  /* photo */
    T_CHANNEL = 512, /* the supergroup */
    T_CHAT = 1024,  /* the old group */
    T_BOOSTS = 2048, /* boosts */
    T_TOPIC = 4096, /* icon of a topic */
    T_MESSAGE = 8192, /* text */
};

static const struct {
    const char *action;
    uint32_t name, take;
} rows[] = {
    { "create_group", TLN_messageActionChatCreate, T_TITLE | T_USERS },
    { "create_channel", TLN_messageActionChannelCreate, T_TITLE },
    { "edit_group_title", TLN_messageActionChatEditTitle, T_TITLE },
    { "edit_group_photo", TLN_messageActionChatEditPhoto, T_PHOTO },
    { "delete_group_photo", TLN_messageActionChatDeletePhoto, 0 },
    { "invite_members", TLN_messageActionChatAddUser, T_USERS },
    { "remove_members", TLN_messageActionChatDeleteUser, T_USER },
    { "join_group_by_link", TLN_messageActionChatJoinedByLink, T_INVITER },
    { "join_group_by_request", TLN_messageActionChatJoinedByRequest, 0 },
    { "migrate_to_supergroup", TLN_messageActionChatMigrateTo, T_CHANNEL },
    { "migrate_from_group", TLN_messageActionChannelMigrateFrom, T_TITLE | T_CHAT },
    { "pin_message", TLN_messageActionPinMessage, 0 },
    { "clear_history", TLN_messageActionHistoryClear, 0 },
    { "score_in_game", TLN_messageActionGameScore, T_SCORE },
    { "phone_call", TLN_messageActionPhoneCall, T_PHONE },
    { "take_screenshot", TLN_messageActionScreenshotTaken, 0 },
    { "joined_telegram", TLN_messageActionContactSignUp, 0 },
    { "group_call", TLN_messageActionGroupCall, T_CALL },
    { "invite_to_group_call", TLN_messageActionInviteToGroupCall, T_CALL | T_USERS },
    { "set_messages_ttl", TLN_messageActionSetMessagesTTL, T_PERIOD },
    { "topic_created", TLN_messageActionTopicCreate, T_TITLE | T_TOPIC },
    { "topic_edit", TLN_messageActionTopicEdit, T_TITLE },
    { "boost_apply", TLN_messageActionBoostApply, T_BOOSTS },
    { "custom_action", TLN_messageActionCustomAction, T_MESSAGE },
};

static int32_t small(const json_t *m, const char *key)
{
    return (int32_t)TG_MAX(0, TG_MIN(tg_export_num(m, key, 0), INT32_MAX));
}

static void set_title(struct tl_value *a, const json_t *m)
{
    const char *title = tg_export_str(m, "title");

    if (!title)
        title = tg_export_str(m, "new_title");
    if (title)
        tl_set_copy(a, TLN_title, title, strlen(title));
}

static int64_t named(const json_t *v)
{
    const char *name = json_string_value(v);

    return name && *name ? sim_import_named_id(name) : 0;
}

static void set_users(struct tl_value *a, const json_t *m)
{
    struct tl_value *list = tl_set_vector(a, TLN_users);
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(m, "members"), i, one) {
        if (named(one))
            tl_add_long(list, named(one));
    }
}

static void set_call(const struct sim_media_at *at, struct tl_value *a, const json_t *m)
{
    struct tl_value *call = tl_set_new(a, TLN_call, TLN_inputGroupCall);

    tl_set_long(call, TLN_id, (int64_t)(at->key >> 1));
    if (json_object_get(m, "duration"))
        tl_set_int(a, TLN_duration, small(m, "duration"));
}

static void set_phone(const struct sim_media_at *at, struct tl_value *a, const json_t *m)
{
    const char *reason = tg_export_str(m, "discard_reason");

    tl_set_long(a, TLN_call_id, (int64_t)(at->key >> 1));
    if (reason)
        tl_set_new(a, TLN_reason,
                   strcmp(reason, "missed") == 0 ? TLN_phoneCallDiscardReasonMissed
                   : strcmp(reason, "busy") == 0 ? TLN_phoneCallDiscardReasonBusy
                   : strcmp(reason, "disconnect") == 0 ? TLN_phoneCallDiscardReasonDisconnect
                                                       : TLN_phoneCallDiscardReasonHangup);
    if (json_object_get(m, "duration_seconds"))
        tl_set_int(a, TLN_duration, small(m, "duration_seconds"));
}

static void set_move(const struct sim_media_at *at, struct tl_value *a, uint32_t take)
{
    int64_t other = take & T_CHANNEL ? at->chat->migrated_to : at->chat->pub.migrated_from;
    int64_t id = other >= 0 ? at->w->chat[other].pub.id : 0;

    tl_set_long(a, take & T_CHANNEL ? TLN_channel_id : TLN_chat_id, id);
}

static void set_message(struct tl_value *a, const json_t *m)
{
    const char *text = tg_export_str(m, "text");

    if (text)
        tl_set_copy(a, TLN_message, text, strlen(text));
}

struct tl_value *sim_import_action(const struct sim_media_at *at, const json_t *message)
{
    const char *action = tg_export_str(message, "action");
    uint32_t name = TLN_messageActionCustomAction, take = 0;
    struct tl_value *a;

    for (size_t i = 0; action && i < TG_COUNT(rows); i++) {
        if (strcmp(rows[i].action, action) == 0) {
            name = rows[i].name;
            take = rows[i].take;
        }
    }
    if (name == TLN_messageActionGroupCall && json_object_get(message, "members"))
        name = TLN_messageActionInviteToGroupCall, take |= T_USERS;
    a = tl_obj(at->arena, name);
    if (name == TLN_messageActionCustomAction && !take && action)
        tl_set_copy(a, TLN_message, action, strlen(action));
    if (take & T_TITLE)
        set_title(a, message);
    if (take & T_USERS)
        set_users(a, message);
    if (take & T_USER)
        tl_set_long(a, TLN_user_id,
                    named(json_array_get(json_object_get(message, "members"), 0)));
    if (take & T_INVITER)
        tl_set_long(a, TLN_inviter_id, named(json_object_get(message, "inviter")));
    if (take & T_CALL)
        set_call(at, a, message);
    if (take & T_PHONE)
        set_phone(at, a, message);
    if (take & T_PERIOD)
        tl_set_int(a, TLN_period, small(message, "period"));
    if (take & T_SCORE)
        tl_set_int(a, TLN_score, small(message, "score"));
    if (take & T_PHOTO)
        tl_set_obj(a, TLN_photo, sim_import_photo(at, message));
    if (take & (T_CHANNEL | T_CHAT))
        set_move(at, a, take);
    if (take & T_BOOSTS)
        tl_set_int(a, TLN_boosts, small(message, "boosts"));
    if (take & T_TOPIC)
        tl_set_int(a, TLN_icon_color, 0x6fb9f0);
    if (take & T_MESSAGE)
        set_message(a, message);
    return a;
}
