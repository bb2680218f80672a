/* SPDX-License-Identifier: MIT */
/*
 * rpc_misc.c - what full clients ask after login and a still world answers with "nothing"
 *
 * Threads: none
 */
#include "sim/rpc.h"
#include "sim/targets.h"

struct tl_value *sim_true(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return tl_bool(c->arena, true);
}

struct tl_value *sim_false(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return tl_bool(c->arena, false);
}

struct tl_value *sim_empty_list(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return tl_vector(c->arena);
}

struct tl_value *sim_empty_reply(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return tl_obj(c->arena, sim_empty_name(c->symbol));
}

struct tl_value *sim_read_history(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_messages_affectedMessages);
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    tl_set_int(v, TLN_pts, tl_get_int(sim_state_value(c), TLN_pts, 0));
    return v;
}

static struct tl_value *reaction_update(struct sim_call *c, const struct sim_chat *chat, int64_t id)
{
    struct tl_value *m = sim_message(c, chat, id);
    struct tl_value *reactions = sim_child(m, TLN_reactions);
    struct tl_value *update;

    if (!reactions)
        return NULL;
    update = tl_obj(c->arena, TLN_updateMessageReactions);
    tl_set_obj(update, TLN_peer, sim_peer_of(c->arena, chat->marked_id));
    tl_set_int(update, TLN_msg_id, (int32_t)id);
    tl_set_obj(update, TLN_reactions, reactions);
    return update;
}

struct tl_value *sim_reactions_of(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *v = tl_obj(c->arena, TLN_updates);
    struct tl_value *list = tl_set_vector(v, TLN_updates);
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    if (!t.chat || tl_len(ids) > SIM_PAGE_MAX)
        return sim_fail(c, "MESSAGE_ID_INVALID");
    for (uint32_t i = 0; i < tl_len(ids); i++) {
        struct tl_value *update = NULL;

        if (sim_world_exists(c->core->world, t.chat, tl_item_long(ids, i)))
            update = reaction_update(c, t.chat, tl_item_long(ids, i));
        if (update) {
            tl_add_obj(list, update);
            sim_peers_add_message(c->core->peers, c->core->world, t.chat, tl_item_long(ids, i));
        }
    }
    tl_set_int(v, TLN_date, (int32_t)c->now_s);
    return sim_with_peers(c, v);
}

struct tl_value *sim_views_of(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *ids = tl_get_vector(q, TLN_id);
    struct tl_value *v = tl_obj(c->arena, TLN_messages_messageViews);
    struct tl_value *list = tl_set_vector(v, TLN_views);
    struct sim_target t;

    if (!sim_target_open(c, tl_get_obj(q, TLN_peer), &t))
        return NULL;
    if (!t.chat || tl_len(ids) > SIM_PAGE_MAX)
        return sim_fail(c, "MESSAGE_ID_INVALID");
    for (uint32_t i = 0; i < tl_len(ids); i++) {
        const struct tl_value *m = sim_message(c, t.chat,
                                                     tl_item_long(ids, i));
        struct tl_value *row = tl_add_new(list, TLN_messageViews);

        if (tl_get(m, TLN_views))
            tl_set_int(row, TLN_views, tl_get_int(m, TLN_views, 0));
        if (tl_get(m, TLN_forwards))
            tl_set_int(row, TLN_forwards, tl_get_int(m, TLN_forwards, 0));
    }
    return sim_with_peers(c, v);
}
