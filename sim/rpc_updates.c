/* SPDX-License-Identifier: MIT */
/*
 * rpc_updates.c - states and differences of a world in which nothing new happens
 *
 * A client that has the current pts is told that there is nothing; one that is behind in a channel
 * is told to take the channel anew (channelDifferenceTooLong), as a server does with a large gap.
 *
 * Threads: none
 */
#include "sim/rpc.h"
#include "sim/targets.h"

enum { STATE_PTS = 1000, STATE_SEQ = 1, POLL_S = 30 };

struct tl_value *sim_state_value(struct sim_call *c)
{
    struct tl_value *v = tl_obj(c->arena, TLN_updates_state);

    tl_set_int(v, TLN_pts, STATE_PTS);
    tl_set_int(v, TLN_qts, 0);
    tl_set_int(v, TLN_date, (int32_t)c->now_s);
    tl_set_int(v, TLN_seq, STATE_SEQ);
    tl_set_int(v, TLN_unread_count, 0);
    return v;
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

struct tl_value *sim_updates_difference(struct sim_call *c, const struct tl_value *q)
{
    int32_t pts = tl_get_int(q, TLN_pts, 0);
    struct tl_value *v;

    if (pts <= 0)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_EMPTY");
    if (pts > STATE_PTS)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_INVALID");
    v = tl_obj(c->arena, TLN_updates_differenceEmpty);
    tl_set_int(v, TLN_date, (int32_t)c->now_s);
    tl_set_int(v, TLN_seq, STATE_SEQ);
    return v;
}

static struct tl_value *too_long(struct sim_call *c, const struct sim_chat *chat)
{
    struct sim_core *core = c->core;
    struct tl_value *v = tl_obj(c->arena, TLN_updates_channelDifferenceTooLong);
    struct tl_value *messages = tl_set_vector(v, TLN_messages);

    tl_set_true(v, TLN_final, true);
    tl_set_int(v, TLN_timeout, POLL_S);
    tl_set_obj(v, TLN_dialog, sim_world_dialog(core->world, c->me, chat, c->arena));
    if (chat->n_messages) {
        tl_add_obj(messages, sim_message(c, chat, chat->top_id));
        sim_peers_add_message(core->peers, core->world, chat, chat->top_id);
    }
    sim_peers_add(core->peers, chat->marked_id);
    return sim_with_peers(c, v);
}

struct tl_value *sim_updates_channel_difference(struct sim_call *c, const struct tl_value *q)
{
    int32_t pts = tl_get_int(q, TLN_pts, 0);
    struct sim_target t;
    struct tl_value *v;

    if (!sim_target_channel(c, tl_get_obj(q, TLN_channel), &t) || !sim_target_readable(c, &t))
        return NULL;
    if (pts <= 0)
        return sim_fail(c, "PERSISTENT_TIMESTAMP_EMPTY");
    if (pts > sim_channel_pts(c, t.chat))
        return sim_fail(c, "PERSISTENT_TIMESTAMP_INVALID");
    if (pts < sim_channel_pts(c, t.chat))
        return too_long(c, t.chat);
    v = tl_obj(c->arena, TLN_updates_channelDifferenceEmpty);
    tl_set_true(v, TLN_final, true);
    tl_set_int(v, TLN_pts, pts);
    tl_set_int(v, TLN_timeout, POLL_S);
    return v;
}
