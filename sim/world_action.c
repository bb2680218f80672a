/* SPDX-License-Identifier: MIT */
/*
 * world_action.c - service messages of a generated world
 *
 * Threads: none
 */
#include <assert.h>

#include "sim/world_int.h"

static void set_call(struct sim_build *b, struct tl_value *a)
{
    struct tl_value *call = tl_set_new(a, TLN_call, TLN_inputGroupCall);

    tl_set_long(call, TLN_id, (int64_t)(b->plan->key >> 1));
    tl_set_long(call, TLN_access_hash, (int64_t)sim_hash(b->plan->key, 9));
}

static void set_people(struct sim_build *b, struct tl_value *a)
{
    struct tl_value *list = tl_set_vector(a, TLN_users);

    for (uint32_t i = 0; i < b->plan->n_people; i++)
        tl_add_long(list, b->plan->people[i]);
}

static void set_title(struct sim_build *b, struct tl_value *a)
{
    tl_set_cstr(a, TLN_title, sim_title(b->plan->key, b->chat->script, b->arena));
}

/* Groups and channels as they came to be, and moved. */
static struct tl_value *origin(struct sim_build *b)
{
    const struct sim_chat_in *c = b->chat;
    struct tl_value *a;

    switch (b->plan->action) {
    case SIM_CHAT_CREATE:
        a = tl_obj(b->arena, TLN_messageActionChatCreate);
        tl_set_cstr(a, TLN_title, c->pub.title);
        set_people(b, a);
        return a;
    case SIM_CHANNEL_CREATE:
        a = tl_obj(b->arena, TLN_messageActionChannelCreate);
        tl_set_cstr(a, TLN_title, c->pub.title);
        return a;
    case SIM_MIGRATE_TO:
        a = tl_obj(b->arena, TLN_messageActionChatMigrateTo);
        tl_set_long(a, TLN_channel_id, b->w->chat[c->migrated_to].pub.id);
        return a;
    default:
        assert(b->plan->action == SIM_MIGRATE_FROM);
        a = tl_obj(b->arena, TLN_messageActionChannelMigrateFrom);
        tl_set_cstr(a, TLN_title, c->pub.title);
        tl_set_long(a, TLN_chat_id, b->w->chat[c->pub.migrated_from].pub.id);
        return a;
    }
}

static struct tl_value *topic_action(struct sim_build *b)
{
    struct tl_value *a;

    if (b->plan->action == SIM_TOPIC_CREATE) {
        a = tl_obj(b->arena, TLN_messageActionTopicCreate);
        set_title(b, a);
        tl_set_int(a, TLN_icon_color, 0x6fb9f0);
        if (b->plan->key & 8)
            tl_set_long(a, TLN_icon_emoji_id, sim_file_id(b->plan->key, SIM_FILE_STICKER));
        return a;
    }
    a = tl_obj(b->arena, TLN_messageActionTopicEdit);
    if (b->plan->key & 8)
        set_title(b, a);
    else
        tl_set_bool(a, TLN_closed, b->plan->key & 16);
    return a;
}

static struct tl_value *people_action(struct sim_build *b)
{
    struct tl_value *a;

    switch (b->plan->action) {
    case SIM_ADD_USER:
        a = tl_obj(b->arena, TLN_messageActionChatAddUser);
        set_people(b, a);
        return a;
    case SIM_DELETE_USER:
        a = tl_obj(b->arena, TLN_messageActionChatDeleteUser);
        tl_set_long(a, TLN_user_id, b->plan->people[0]);
        return a;
    case SIM_JOIN_LINK:
        a = tl_obj(b->arena, TLN_messageActionChatJoinedByLink);
        tl_set_long(a, TLN_inviter_id, b->plan->people[0]);
        return a;
    case SIM_JOIN_REQUEST:
        return tl_obj(b->arena, TLN_messageActionChatJoinedByRequest);
    case SIM_PROXIMITY:
        a = tl_obj(b->arena, TLN_messageActionGeoProximityReached);
        tl_set_obj(a, TLN_from_id, sim_peer_value(b->plan->from, b->arena));
        tl_set_obj(a, TLN_to_id, sim_peer_value(b->plan->people[0], b->arena));
        tl_set_int(a, TLN_distance, 50 + (int32_t)(b->plan->key & 0xff));
        return a;
    default:
        assert(b->plan->action == SIM_SIGN_UP);
        return tl_obj(b->arena, TLN_messageActionContactSignUp);
    }
}

static struct tl_value *call_action(struct sim_build *b)
{
    struct tl_value *a;

    switch (b->plan->action) {
    case SIM_CALL_PLAN:
        a = tl_obj(b->arena, TLN_messageActionGroupCallScheduled);
        set_call(b, a);
        tl_set_int(a, TLN_schedule_date, (int32_t)b->date + 86400);
        return a;
    case SIM_CALL_INVITE:
        a = tl_obj(b->arena, TLN_messageActionInviteToGroupCall);
        set_call(b, a);
        set_people(b, a);
        return a;
    case SIM_PHONE_CALL:
        a = tl_obj(b->arena, TLN_messageActionPhoneCall);
        tl_set_long(a, TLN_call_id, (int64_t)(b->plan->key >> 1));
        tl_set_true(a, TLN_video, b->plan->key & 16);
        if (b->plan->key & 32) {
            tl_set_new(a, TLN_reason, TLN_phoneCallDiscardReasonHangup);
            tl_set_int(a, TLN_duration, 5 + (int32_t)(b->plan->key >> 8 & 0xfff));
        } else {
            tl_set_new(a, TLN_reason, TLN_phoneCallDiscardReasonMissed);
        }
        return a;
    default:
        a = tl_obj(b->arena, TLN_messageActionGroupCall);
        set_call(b, a);
        if (b->plan->action == SIM_CALL_END)
            tl_set_int(a, TLN_duration, 60 + (int32_t)(b->plan->key >> 8 & 0xfff));
        return a;
    }
}

static struct tl_value *edit_photo(struct sim_build *b)
{
    struct tl_value *a = tl_obj(b->arena, TLN_messageActionChatEditPhoto);
    struct sim_media_at at = { .w = b->w, .viewer = b->viewer, .chat = b->chat, .plan = b->plan,
                               .id = b->plan->id, .date = b->date, .arena = b->arena };

    tl_set_obj(a, TLN_photo, sim_photo_value(&at, sim_hash(b->plan->key, 0xed17)));
    return a;
}

static struct tl_value *other_action(struct sim_build *b)
{
    struct tl_value *a;

    switch (b->plan->action) {
    case SIM_EDIT_TITLE:
        a = tl_obj(b->arena, TLN_messageActionChatEditTitle);
        set_title(b, a);
        return a;
    case SIM_EDIT_PHOTO:
        return edit_photo(b);
    case SIM_DELETE_PHOTO:
        return tl_obj(b->arena, TLN_messageActionChatDeletePhoto);
    case SIM_PIN:
        return tl_obj(b->arena, TLN_messageActionPinMessage);
    case SIM_TTL:
        a = tl_obj(b->arena, TLN_messageActionSetMessagesTTL);
        tl_set_int(a, TLN_period, b->plan->key & 8 ? 86400 : 0);
        return a;
    case SIM_SCORE:
        a = tl_obj(b->arena, TLN_messageActionGameScore);
        tl_set_long(a, TLN_game_id, (int64_t)(b->plan->key >> 1));
        tl_set_int(a, TLN_score, (int32_t)(b->plan->key >> 8 & 0x3ff));
        return a;
    case SIM_BOOST:
        a = tl_obj(b->arena, TLN_messageActionBoostApply);
        tl_set_int(a, TLN_boosts, 1 + (int32_t)(b->plan->key >> 8 & 3));
        return a;
    case SIM_SCREENSHOT:
        return tl_obj(b->arena, TLN_messageActionScreenshotTaken);
    case SIM_HISTORY_CLEAR:
        return tl_obj(b->arena, TLN_messageActionHistoryClear);
    default:
        assert(b->plan->action == SIM_CUSTOM);
        a = tl_obj(b->arena, TLN_messageActionCustomAction);
        tl_set_cstr(a, TLN_message, "\xe2\x9c\xa8 a \"custom\" action\nof two lines");
        return a;
    }
}

static struct tl_value *action_value(struct sim_build *b)
{
    switch (b->plan->action) {
    case SIM_CHAT_CREATE:
    case SIM_CHANNEL_CREATE:
    case SIM_MIGRATE_TO:
    case SIM_MIGRATE_FROM:
        return origin(b);
    case SIM_TOPIC_CREATE:
    case SIM_TOPIC_EDIT:
        return topic_action(b);
    case SIM_ADD_USER:
    case SIM_DELETE_USER:
    case SIM_JOIN_LINK:
    case SIM_JOIN_REQUEST:
    case SIM_PROXIMITY:
    case SIM_SIGN_UP:
        return people_action(b);
    case SIM_CALL_START:
    case SIM_CALL_END:
    case SIM_CALL_INVITE:
    case SIM_CALL_PLAN:
    case SIM_PHONE_CALL:
        return call_action(b);
    default:
        return other_action(b);
    }
}

struct tl_value *sim_service_value(struct sim_build *b)
{
    const struct sim_plan *p = b->plan;
    enum sim_chat_kind kind = b->chat->pub.kind;
    struct tl_value *m = tl_obj(b->arena, TLN_messageService);
    bool out = p->from == b->viewer->user_id;

    tl_set_int(m, TLN_id, (int32_t)p->id);
    tl_set_true(m, TLN_out, out);
    tl_set_true(m, TLN_post, kind == SIM_CHANNEL || kind == SIM_PROTECTED ||
                                 kind == SIM_LEFT_CHANNEL);
    tl_set_true(m, TLN_silent, p->action == SIM_TTL);
    if (p->from && (out || kind != SIM_PRIVATE))
        tl_set_obj(m, TLN_from_id, sim_peer_value(p->from, b->arena));
    tl_set_obj(m, TLN_peer_id, sim_peer_value(b->chat->pub.marked_id, b->arena));
    tl_set_int(m, TLN_date, (int32_t)b->date);
    sim_set_reply(b, m);
    tl_set_obj(m, TLN_action, action_value(b));
    return m;
}
