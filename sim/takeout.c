/* SPDX-License-Identifier: MIT */
/*
 * takeout.c - export sessions: begun, enforced, split into ranges of ids, finished
 *
 * A login has at most one takeout; beginning another replaces it. Calls that carry another
 * takeout's id fail with TAKEOUT_INVALID. While it is open, the MTProto session that began it must
 * wrap every call but those that only make the connection; other sessions of the login may do
 * either, so that a run that was killed keeps no later one out. Two ranges are given, so that
 * clients must go through both; inside invokeWithMessagesRange only messages of that range exist. A
 * range that was not given, or that leaves one, is refused, and any outside a takeout.
 *
 * A takeout that is replaced, or whose login ends, was never finished, and is counted. Not one that
 * no call has named, replaced by the session that began it: there the answer was lost.
 *
 * Threads: none
 */
#include "sim/rpc.h"
#include "sim/targets.h"

enum { RANGE_CUT = 1000, LEFT_PAGE = 100 };

static const int32_t range[][2] = { { 1, RANGE_CUT }, { RANGE_CUT + 1, INT32_MAX } };

static void leave(struct sim_core *core, struct sim_login *l, bool finished)
{
    if (!l->takeout_id)
        return;
    l->takeout_id = 0;
    core->stats.takeout_open--;
    core->stats.takeout_unfinished += !finished;
}

void sim_takeout_login_ends(struct sim_core *core, struct sim_login *login)
{
    leave(core, login, false);
}

static bool range_ok(struct sim_call *c)
{
    if (!c->wraps.ranged)
        return true;
    if (!c->wraps.takeout)
        return sim_fail(c, "TAKEOUT_REQUIRED");
    for (size_t i = 0; i < TG_COUNT(range); i++)
        if (c->wraps.range_min >= range[i][0] && c->wraps.range_max <= range[i][1] &&
            c->wraps.range_min <= c->wraps.range_max)
            return true;
    return sim_fail(c, "RANGES_INVALID");
}

static bool must_wrap(const struct sim_call *c, unsigned flags)
{
    return c->login->takeout_id && c->request->session_id == c->login->takeout_session &&
           c->symbol != TLN_account_initTakeoutSession && !(flags & SIM_METHOD_UNBOUND);
}

bool sim_takeout_ok(struct sim_call *c, unsigned flags, const char *method)
{
    struct sim_login *l = c->login;
    struct sim_stats *stats = &c->core->stats;

    if (c->wraps.takeout) {
        if (!l->takeout_id || c->wraps.takeout_id != l->takeout_id)
            return sim_fail(c, "TAKEOUT_INVALID");
        l->takeout_used = true;
    } else if (must_wrap(c, flags)) {
        stats->takeout_unwrapped++;
        sim_stats_method(stats, method)->takeout_unwrapped++;
        return sim_fail(c, "TAKEOUT_REQUIRED");
    }
    return range_ok(c);
}

struct tl_value *sim_takeout_init(struct sim_call *c, const struct tl_value *q)
{
    int64_t delay_s = c->core->faults.takeout_delay_s;
    struct sim_login *l = c->login;
    int64_t left_us;
    struct tl_value *v;

    (void)q;
    if (delay_s && !l->takeout_from_us)
        l->takeout_from_us = c->request->now_us + delay_s * TG_SECOND_US;
    left_us = l->takeout_from_us - c->request->now_us;
    if (left_us > 0)
        return sim_fail_number(c, "TAKEOUT_INIT_DELAY",
                               (left_us + TG_SECOND_US - 1) / TG_SECOND_US);
    leave(c->core, l, !l->takeout_used && l->takeout_session == c->request->session_id);
    l->takeout_id = (int64_t)(tg_random_u64(&c->core->random) >> 1 | 1);
    l->takeout_session = c->request->session_id;
    l->takeout_used = false;
    c->core->stats.takeout_open++;
    v = tl_obj(c->arena, TLN_account_takeout);
    tl_set_long(v, TLN_id, l->takeout_id);
    return v;
}

struct tl_value *sim_takeout_finish(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    if (!c->wraps.takeout)
        return sim_fail(c, "TAKEOUT_REQUIRED");
    leave(c->core, c->login, true);
    return tl_bool(c->arena, true);
}

struct tl_value *sim_takeout_ranges(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *list = tl_vector(c->arena);

    (void)q;
    if (!c->wraps.takeout)
        return sim_fail(c, "TAKEOUT_REQUIRED");
    for (size_t i = 0; i < TG_COUNT(range); i++) {
        struct tl_value *r = tl_add_new(list, TLN_messageRange);

        tl_set_int(r, TLN_min_id, range[i][0]);
        tl_set_int(r, TLN_max_id, range[i][1]);
    }
    return list;
}

struct tl_value *sim_takeout_left_channels(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    int32_t offset = tl_get_int(q, TLN_offset, 0);
    struct tl_value *v = tl_obj(c->arena, TLN_messages_chatsSlice);
    struct tl_value *list = tl_set_vector(v, TLN_chats);
    int32_t n = 0, given = 0;

    if (!c->wraps.takeout)
        return sim_fail(c, "TAKEOUT_REQUIRED");
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        if (chat->kind != SIM_LEFT_CHANNEL)
            continue;
        if (n++ < offset || given == LEFT_PAGE)
            continue;
        given++;
        tl_add_obj(list, sim_world_chat_value(w, c->me, chat, c->arena));
    }
    tl_set_int(v, TLN_count, n);
    return v;
}
