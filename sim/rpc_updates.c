/* SPDX-License-Identifier: MIT */
/*
 * rpc_updates.c - states, differences, and what is pushed
 *
 * A difference walks the counts of a sequence (live.h) from the client's pts on. A message that was
 * posted and is gone by then is left out, as its pts is reached all the same; an edit gives the
 * message as it is now. Where the counts are not remembered, or nothing is live, a client that is
 * behind is told to take the channel anew.
 *
 * Pushed are updateShort for deletions, updateShortMessage and updateShortChatMessage for plain
 * messages of private chats and basic groups, and updates with users and chats for the rest. A
 * packet in which no pts counts anything is counted by seq; a difference only tells where seq is.
 *
 * Threads: none
 */
#include "sim/rpc.h"
#include "sim/targets.h"

enum { FIRST_SEQ = 1, POLL_S = 30, SLICE = 200, SLICE_MAX = 1000, BOT_LIMIT = 100000 };

/* ---- states ---- */

static int32_t account_pts(const struct sim_call *c)
{
    return c->core->live ? sim_live_account(c->core->live, c->me)->pts : SIM_STATE_PTS;
}

static int32_t account_seq(const struct sim_call *c)
{
    return FIRST_SEQ + (c->core->live ? sim_live_account(c->core->live, c->me)->seq : 0);
}

static struct tl_value *state_at(struct sim_call *c, int32_t pts)
{
    struct tl_value *v = tl_obj(c->arena, TLN_updates_state);

    tl_set_int(v, TLN_pts, pts);
    tl_set_int(v, TLN_qts, 0);
    tl_set_int(v, TLN_date, (int32_t)c->now_s);
    tl_set_int(v, TLN_seq, account_seq(c));
    tl_set_int(v, TLN_unread_count, 0);
    return v;
}

struct tl_value *sim_state_value(struct sim_call *c)
{
    return state_at(c, account_pts(c));
}

int32_t sim_channel_pts(struct sim_call *c, const struct sim_chat *chat)
{
    return tl_get_int(sim_world_dialog(c->core->world, c->me, chat, c->arena), TLN_pts, 1);
}

struct tl_value *sim_updates_state(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return sim_state_value(c);
}

/* ---- changes ---- */

struct tl_value *sim_update_value(struct sim_call *c, const struct sim_change *change)
{
    static const uint16_t name[2][4] = {
        { TLN_updateNewMessage, TLN_updateEditMessage, TLN_updateEditMessage,
          TLN_updateDeleteMessages },
        { TLN_updateNewChannelMessage, TLN_updateEditChannelMessage,
          TLN_updateEditChannelMessage, TLN_updateDeleteChannelMessages },
    };
    bool channel = sim_is_channel(change->chat);
    struct tl_value *u, *ids;

    if (change->kind != SIM_DELETED &&
        !sim_world_exists(c->core->world, change->chat, change->id[0]))
        return NULL;
    u = tl_obj(c->arena, name[channel][change->kind]);
    if (change->kind == SIM_DELETED) {
        if (channel)
            tl_set_long(u, TLN_channel_id, change->chat->id);
        ids = tl_set_vector(u, TLN_messages);
        for (size_t i = 0; i < change->n; i++)
            tl_add_int(ids, change->id[i]);
    } else {
        tl_set_obj(u, TLN_message, sim_message(c, change->chat, change->id[0]));
        sim_peers_add_message(c->core->peers, c->core->world, change->chat, change->id[0]);
    }
    if (channel)
        sim_peers_add(c->core->peers, change->chat->marked_id);
    tl_set_int(u, TLN_pts, change->pts);
    tl_set_int(u, TLN_pts_count, (int32_t)change->n);
    return u;
}

/* A difference while it is filled. */
struct diff {
    struct tl_value *reply, *messages, *others;
};

static struct diff diff_new(struct sim_call *c, uint32_t name)
{
    struct diff d = { .reply = tl_obj(c->arena, name) };

    d.messages = tl_set_vector(d.reply, TLN_new_messages);
    if (name != TLN_updates_channelDifference)
        tl_set_vector(d.reply, TLN_new_encrypted_messages);
    d.others = tl_set_vector(d.reply, TLN_other_updates);
    return d;
}

/* Adds what follows a pts, about `limit` counts: a deletion stays whole.
 * @return the pts that is reached */
static int32_t diff_fill(struct sim_call *c, struct diff *d, const struct sim_log *log, int32_t pts,
                         int32_t limit)
{
    const struct sim_live *live = c->core->live;
    int32_t end = (int32_t)TG_MIN((int64_t)pts + limit, (int64_t)log->pts);
    struct sim_change change;

    while (pts < end) {
        const struct sim_event *e = sim_live_event(live, log, pts + 1);
        struct tl_value *update;

        change.kind = (enum sim_change_kind)e->kind;
        change.chat = sim_world_chat(c->core->world, e->chat);
        for (change.n = 0;; e = sim_live_event(live, log, pts + 1)) {
            change.id[change.n++] = e->id;
            pts++;
            if (!e->more)
                break;
        }
        change.pts = pts;
        update = sim_update_value(c, &change);
        if (update && change.kind == SIM_POSTED)
            tl_add_obj(d->messages, sim_child(update, TLN_message));
        else if (update)
            tl_add_obj(d->others, update);
    }
    return pts;
}

/* ---- of the account ---- */

/* Channels in which something has happened since the client's date. @return how many */
static size_t add_channels(struct sim_call *c, int64_t since_s, struct tl_value *others)
{
    const struct sim_world *w = c->core->world;
    size_t n = 0;

    for (size_t i = 0; c->core->live && i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);
        const struct sim_log *log = sim_live_channel(c->core->live, chat);
        struct tl_value *u;

        if (!log->changed_s || log->changed_s < since_s || !sim_is_channel(chat) ||
            !sim_world_member(w, c->me, chat))
            continue;
        n++;
        if (!others)
            continue;
        u = tl_add_new(others, TLN_updateChannelTooLong);
        tl_set_long(u, TLN_channel_id, chat->id);
        tl_set_int(u, TLN_pts, chat->pts);
        sim_peers_add(c->core->peers, chat->marked_id);
    }
    return n;
}

static struct tl_value *nothing_new(struct sim_call *c)
{
    struct tl_value *v = tl_obj(c->arena, TLN_updates_differenceEmpty);

    tl_set_int(v, TLN_date, (int32_t)c->now_s);
    tl_set_int(v, TLN_seq, account_seq(c));
    return v;
}

struct tl_value *sim_updates_difference(struct sim_call *c, const struct tl_value *q)
{
    int32_t pts = tl_get_int(q, TLN_pts, 0), now = account_pts(c);
    int32_t limit = TG_MAX(1, TG_MIN(tl_get_int(q, TLN_pts_limit, SLICE), SLICE_MAX));
    int32_t total = tl_get_int(q, TLN_pts_total_limit, INT32_MAX);
    int64_t since_s = tl_get_int(q, TLN_date, 0);
    bool slice = now - pts > limit;
    const struct sim_log *log;
    struct tl_value *v;
    struct diff d;

    if (pts <= 0)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_EMPTY");
    if (pts > now)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_INVALID");
    if (!c->core->live || (pts == now && !add_channels(c, since_s, NULL)))
        return nothing_new(c);
    log = sim_live_account(c->core->live, c->me);
    if (!sim_live_told(c->core->live, log, pts, total) || now - pts > total) {
        v = tl_obj(c->arena, TLN_updates_differenceTooLong);
        tl_set_int(v, TLN_pts, now);
        return v;
    }
    d = diff_new(c, slice ? TLN_updates_differenceSlice : TLN_updates_difference);
    pts = diff_fill(c, &d, log, pts, limit);
    if (!slice)
        add_channels(c, since_s, d.others);
    tl_set_obj(d.reply, slice ? TLN_intermediate_state : TLN_state, state_at(c, pts));
    return sim_with_peers(c, d.reply);
}

/* ---- of a channel ---- */

static int32_t poll_s(const struct sim_call *c)
{
    return c->core->live ? sim_live_timeout(c->core->live) : POLL_S;
}

static struct tl_value *too_long(struct sim_call *c, const struct sim_chat *chat)
{
    struct sim_core *core = c->core;
    struct tl_value *v = tl_obj(c->arena, TLN_updates_channelDifferenceTooLong);
    struct tl_value *messages = tl_set_vector(v, TLN_messages);

    tl_set_true(v, TLN_final, true);
    tl_set_int(v, TLN_timeout, poll_s(c));
    tl_set_obj(v, TLN_dialog, sim_world_dialog(core->world, c->me, chat, c->arena));
    if (chat->n_messages) {
        tl_add_obj(messages, sim_message(c, chat, chat->top_id));
        sim_peers_add_message(core->peers, core->world, chat, chat->top_id);
    }
    sim_peers_add(core->peers, chat->marked_id);
    return sim_with_peers(c, v);
}

static struct tl_value *channel_since(struct sim_call *c, const struct sim_chat *chat, int32_t pts,
                                      int32_t limit)
{
    const struct sim_log *log;
    struct diff d;

    if (!c->core->live)
        return too_long(c, chat);
    log = sim_live_channel(c->core->live, chat);
    if (!sim_live_told(c->core->live, log, pts, limit))
        return too_long(c, chat);
    d = diff_new(c, TLN_updates_channelDifference);
    pts = diff_fill(c, &d, log, pts, limit);
    tl_set_true(d.reply, TLN_final, pts == log->pts);
    tl_set_int(d.reply, TLN_pts, pts);
    tl_set_int(d.reply, TLN_timeout, poll_s(c));
    sim_peers_add(c->core->peers, chat->marked_id);
    return sim_with_peers(c, d.reply);
}

struct tl_value *sim_updates_channel_difference(struct sim_call *c, const struct tl_value *q)
{
    int32_t pts = tl_get_int(q, TLN_pts, 0), limit = tl_get_int(q, TLN_limit, 0);
    struct sim_target t;
    struct tl_value *v;

    if (!sim_target_channel(c, tl_get_obj(q, TLN_channel), &t) || !sim_target_readable(c, &t))
        return NULL;
    if (pts <= 0)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_EMPTY");
    if (pts > t.chat->pts)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_INVALID");
    limit = TG_MAX(1, TG_MIN(limit, c->me->bot_token ? BOT_LIMIT : SIM_PAGE_MAX));
    if (pts < t.chat->pts)
        return channel_since(c, t.chat, pts, limit);
    v = tl_obj(c->arena, TLN_updates_channelDifferenceEmpty);
    tl_set_true(v, TLN_final, true);
    tl_set_int(v, TLN_pts, pts);
    tl_set_int(v, TLN_timeout, poll_s(c));
    return v;
}

/* ---- pushes ---- */

/* Whether a short update has a field for all that the message says. */
static bool is_plain(const struct tl_value *m)
{
    static const uint16_t known[] = {
        TLN_out,     TLN_mentioned, TLN_media_unread, TLN_silent,   TLN_id,       TLN_from_id,
        TLN_peer_id, TLN_message,   TLN_date,         TLN_fwd_from, TLN_via_bot_id,
        TLN_reply_to, TLN_entities, TLN_ttl_period,
    };

    for (uint32_t i = 0; i < m->n; i++) {
        size_t k = 0;

        while (k < TG_COUNT(known) && known[k] != m->u.list[i].field)
            k++;
        if (k == TG_COUNT(known))
            return false;
    }
    return tl_name(m) == TLN_message;
}

/* The message's own fields, under the name of a short update. */
static struct tl_value *short_message(const struct sim_change *change, struct tl_value *m)
{
    int64_t from = tl_get_long(tl_get_obj(m, TLN_from_id), TLN_user_id, 0);
    bool group = change->chat->kind == SIM_BASIC_GROUP;

    if (!is_plain(m) || (group && !from))
        return NULL;
    tl_unset(m, TLN_peer_id);
    tl_unset(m, TLN_from_id);
    m->name = group ? TLN_updateShortChatMessage : TLN_updateShortMessage;
    if (group) {
        tl_set_long(m, TLN_from_id, from);
        tl_set_long(m, TLN_chat_id, change->chat->id);
    } else {
        tl_set_long(m, TLN_user_id, change->chat->id);
    }
    tl_set_int(m, TLN_pts, change->pts);
    tl_set_int(m, TLN_pts_count, 1);
    return m;
}

/* What people are told of a reaction: to which message, and how many there are. */
static struct tl_value *bare_reaction(struct sim_call *c, const struct sim_change *change)
{
    struct tl_value *m = sim_child(sim_update_value(c, change), TLN_message), *v;

    if (!m)
        return NULL;
    v = tl_obj(c->arena, TLN_updateMessageReactions);
    tl_set_obj(v, TLN_peer, sim_child(m, TLN_peer_id));
    tl_set_int(v, TLN_msg_id, change->id[0]);
    tl_set_obj(v, TLN_reactions, sim_child(m, TLN_reactions));
    return v;
}

static struct tl_value *packet(struct sim_call *c, const struct sim_change *change)
{
    struct tl_value *update = change->bare ? bare_reaction(c, change)
                                           : sim_update_value(c, change);
    struct tl_value *v = NULL;

    if (update && change->kind == SIM_POSTED && change->owner)
        v = short_message(change, sim_child(update, TLN_message));
    if (!update || v)
        return v;
    if (change->kind == SIM_DELETED) {
        v = tl_obj(c->arena, TLN_updateShort);
        tl_set_obj(v, TLN_update, update);
        tl_set_int(v, TLN_date, (int32_t)change->date);
        return v;
    }
    v = tl_obj(c->arena, TLN_updates);
    tl_add_obj(tl_set_vector(v, TLN_updates), update);
    tl_set_int(v, TLN_date, (int32_t)change->date);
    tl_set_int(v, TLN_seq, change->bare ? account_seq(c) : 0);
    return sim_with_peers(c, v);
}

bool sim_core_push(struct sim_core *core, const struct sim_account *to, int32_t layer,
                   const struct sim_change *change, struct sim_answer *ret)
{
    struct sim_call c = { .core = core, .arena = &core->arena, .me = to, .now_s = change->date,
                          .schema = sim_core_schema(core, layer),
                          .symbol = TLN_updates_getDifference };

    *ret = (struct sim_answer){ .method = "" };
    if (change->silent || !c.schema || !sim_world_member(core->world, to, change->chat))
        return false;
    tg_arena_clear(&core->arena);
    sim_peers_clear(core->peers);
    return sim_answer_pack(&c, packet(&c, change), ret);
}
