/* SPDX-License-Identifier: MIT */
/*
 * world_discuss.c - the groups in which posts of channels are discussed
 *
 * With the option `discussions` every generated channel has such a group, behind all other chats,
 * so that those are as they are without. Who may read it is told by the option: everybody, nobody,
 * or in turn everybody, nobody, the second person, nobody. 256 ids of a group belong to 16 posts of
 * its channel:
 *
 *   1                    the group was made
 *   2 + 256 b + 16 i     post 16 b + i + 1, forwarded by itself: the root of that post's comments
 *   all between          comments on a post of this block whose root lies before, now and then of
 *                        the block before; or talk that belongs to no post
 *
 * So all comments on a post lie in its own block and the next. One of the first four posts of each
 * block draws most comments, more than a page of them; a third of the others has none.
 *
 * A root is sent with its post, what follows before the next post: no comment is older than its
 * post.
 * A root outlives its post. Of a deleted root the comments stay, but nothing tells of which post
 * they are.
 *
 * Threads: none      Limits: channels of 2^27 ids
 */
#include <assert.h>

#include "sim/world_int.h"

enum { POSTS = 16, BLOCK = SIM_DISCUSS_BLOCK, GAP = BLOCK / POSTS, FIRST = 2 };

static const struct sim_chat_in *other_side(const struct sim_world *w, const struct sim_chat_in *c)
{
    return c->linked ? &w->chat[c->linked - 1] : NULL;
}

const struct sim_chat *sim_world_linked(const struct sim_world *w, const struct sim_chat *chat)
{
    const struct sim_chat_in *to = other_side(w, sim_in(w, chat));

    return to ? &to->pub : NULL;
}

/* ---- roots ---- */

static int64_t root_at(int64_t post)
{
    return FIRST + (post - 1) / POSTS * BLOCK + (post - 1) % POSTS * GAP;
}

/* Service messages are not forwarded. */
static bool has_root(const struct sim_chat_in *channel, int64_t post)
{
    return post >= 1 && post <= channel->local_top && !sim_local_is_service(channel, post);
}

int64_t sim_discuss_post(const struct sim_world *w, const struct sim_chat_in *group, int64_t local)
{
    int64_t x = local - FIRST, post = x / BLOCK * POSTS + x % BLOCK / GAP + 1;

    assert(group->pub.kind == SIM_DISCUSSION);
    return x >= 0 && x % GAP == 0 && has_root(other_side(w, group), post) ? post : 0;
}

int64_t sim_discuss_root(const struct sim_world *w, const struct sim_chat_in *channel, int64_t post)
{
    const struct sim_chat_in *group = other_side(w, channel);
    int64_t root = root_at(post);

    return group && has_root(channel, post) && sim_local_exists(w, group, root) ? root : 0;
}

/* ---- comments ---- */

static uint32_t hot_of(const struct sim_chat_in *group, int64_t block)
{
    return (uint32_t)(sim_hash(group->salt ^ 0x407, (uint64_t)block) & 3);
}

int64_t sim_discuss_thread(const struct sim_world *w, const struct sim_chat_in *group,
                           int64_t local)
{
    struct sim_rng r = { sim_hash(group->salt ^ 0xd15c, (uint64_t)local) };
    int64_t x = local - FIRST, block = x / BLOCK, post;
    uint32_t i = (uint32_t)(x % BLOCK / GAP), hot;

    if (x < 0 || sim_discuss_post(w, group, local) || sim_chance(&r, 150) ||
        sim_local_is_service(group, local))
        return 0;
    if (block > 0 && sim_chance(&r, 120)) {
        block--;
        i = POSTS - 1;
    }
    hot = hot_of(group, block);
    i = hot <= i && sim_chance(&r, 700) ? hot : sim_below(&r, i + 1);
    post = block * POSTS + i + 1;
    if (i != hot && sim_hash(group->salt ^ 0x9e7, (uint64_t)post) % 3 == 0)
        return 0;
    return has_root(other_side(w, group), post) ? root_at(post) : 0;
}

void sim_discuss_count(const struct sim_world *w, const struct sim_chat_in *group, int64_t root,
                       struct sim_thread *ret)
{
    int64_t end = TG_MIN(root - (root - FIRST) % BLOCK + 2 * BLOCK - 1, group->local_top);

    *ret = (struct sim_thread){ .n = 0 };
    for (int64_t at = root + 1; at <= end; at++) {
        if (!sim_local_exists(w, group, at) || sim_discuss_thread(w, group, at) != root)
            continue;
        ret->last[ret->n++ % TG_COUNT(ret->last)] = at;
        ret->top = at;
    }
}

int64_t sim_discuss_date(const struct sim_world *w, const struct sim_chat_in *group, int64_t local)
{
    const struct sim_chat *channel = &other_side(w, group)->pub;
    int64_t x = TG_MAX(local - FIRST, INT64_C(0)), post = x / BLOCK * POSTS + x % BLOCK / GAP + 1;
    int64_t from = sim_world_date(w, channel, post), to = sim_world_date(w, channel, post + 1);

    return from + (to - from) * (x % GAP) / GAP;
}

int64_t sim_world_comment_of(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *group = sim_in(w, chat);
    int64_t root;

    if (chat->kind != SIM_DISCUSSION || !sim_world_exists(w, chat, id))
        return 0;
    root = sim_discuss_post(w, group, id) ? id : sim_discuss_thread(w, group, id);
    return root && sim_local_exists(w, group, root) ? sim_discuss_post(w, group, root) : 0;
}

int64_t sim_world_post_root(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *channel = sim_in(w, chat);

    return chat->kind == SIM_CHANNEL && sim_world_exists(w, chat, id)
               ? sim_discuss_root(w, channel, id)
               : 0;
}

/* ---- the list ---- */

uint32_t sim_discuss_groups(const struct sim_world *w, uint32_t n_channels)
{
    return w->options.discussions == SIM_DISCUSS_NONE ? 0 : n_channels;
}

void sim_discuss_link(struct sim_world *w, struct sim_chat_in *group, struct sim_chat_in *channel,
                      uint32_t nth)
{
    enum sim_discussions who = w->options.discussions;
    int64_t blocks = (channel->local_top + POSTS - 1) / POSTS;

    group->linked = channel->pub.index + 1;
    channel->linked = group->pub.index + 1;
    group->closed = who == SIM_DISCUSS_CLOSED || (who == SIM_DISCUSS_MIXED && nth % 2 == 1);
    if (who == SIM_DISCUSS_MIXED && nth % 4 == 2)
        group->owner = (int)w->person[1 % w->n_persons];
    if (group->closed || group->owner >= 0)
        group->pub.username = NULL;
    group->local_top = 1 + blocks * BLOCK;
    group->pub.n_messages = INT32_MAX; /* so that none is cut off while they are counted */
    group->pub.n_messages = sim_world_rank(w, &group->pub, group->local_top) +
                            sim_local_exists(w, group, group->local_top);
    group->local_top = sim_local_top(w, group, group->pub.n_messages);
}
