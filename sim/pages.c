/* SPDX-License-Identifier: MIT */
/*
 * pages.c - offsets to ids, ids to replies
 *
 * Threads: none
 */
#include "sim/pages.h"

#include <assert.h>

#include "sim/rpc.h"

enum {
    SCAN_MAX = 200000, /* ids looked at for one page once something was found */
};

struct sim_page sim_page_of(const struct tl_value *q)
{
    return (struct sim_page){ .offset_id = tl_get_int(q, TLN_offset_id, 0),
                              .offset_date = tl_get_int(q, TLN_offset_date, 0),
                              .add_offset = tl_get_int(q, TLN_add_offset, 0),
                              .limit = tl_get_int(q, TLN_limit, 0),
                              .max_id = tl_get_int(q, TLN_max_id, 0),
                              .min_id = tl_get_int(q, TLN_min_id, 0) };
}

struct sim_window sim_window_of(const struct sim_call *c, const struct sim_chat *chat)
{
    struct sim_window all = { .lo = 1, .hi = chat->top_id };

    if (c->wraps.ranged) {
        all.lo = TG_MAX(all.lo, (int64_t)c->wraps.range_min);
        all.hi = TG_MIN(all.hi, (int64_t)c->wraps.range_max);
    }
    return all;
}

static int64_t limit_of(const struct sim_page *page)
{
    return page->limit < 0 || page->limit > SIM_PAGE_MAX ? SIM_PAGE_MAX : page->limit;
}

/* The highest id that the offset leaves out is one above this. */
static int64_t offset_end(const struct sim_call *c, const struct sim_chat *chat,
                          struct sim_window window, const struct sim_page *page)
{
    int64_t end = window.hi;

    if (page->offset_id > 0)
        end = TG_MIN(end, page->offset_id - 1);
    else if (page->offset_date > 0)
        end = TG_MIN(end, sim_world_id_at(c->core->world, chat, page->offset_date) - 1);
    return TG_MAX(end, window.lo - 1);
}

static bool wanted(const struct sim_page *page, int64_t id)
{
    return (page->max_id <= 0 || id < page->max_id) && id > page->min_id;
}

void sim_page_window(const struct sim_call *c, const struct sim_chat *chat,
                     struct sim_window window, const struct sim_page *page, struct sim_found *ret)
{
    const struct sim_world *w = c->core->world;
    int64_t limit = limit_of(page);
    uint64_t below = sim_world_rank(w, chat, window.lo);
    uint64_t above = sim_world_rank(w, chat, TG_MAX(window.hi + 1, window.lo));
    uint64_t end = sim_world_rank(w, chat, offset_end(c, chat, window, page) + 1);
    int64_t total = (int64_t)(above - below);
    int64_t start = TG_MAX((int64_t)(above - end) + page->add_offset, 0);

    ret->n = 0;
    ret->total = (uint64_t)total;
    ret->offset = (int32_t)TG_MIN(start, total);
    for (int64_t i = start; i < total && i - start < limit; i++) {
        int64_t id = sim_world_select(w, chat, above - 1 - (uint64_t)i);

        if (wanted(page, id))
            ret->id[ret->n++] = (int32_t)id;
        else if (ret->n == 0)
            ret->offset++;
    }
}

/* A walk over the existing ids of a window, one at a time. */
struct walk {
    struct sim_call *c;
    const struct sim_chat *chat;
    sim_match match;
    void *ctx;
    uint64_t below, above; /* ranks of the window */
};

/* Looks at up to `max` newer matches than rank `from`, of which the newest `keep` are told, newest
 * first. With fewer than max the page begins at the newest of all. @return how many are told */
static size_t walk_up(const struct walk *k, uint64_t from, int64_t max, size_t keep, int32_t *ids)
{
    const struct sim_world *w = k->c->core->world;
    int32_t ring[SIM_PAGE_MAX];
    int64_t n = 0;
    size_t told;

    for (uint64_t i = from; i < k->above && n < max; i++) {
        int64_t id = sim_world_select(w, k->chat, i);

        if (k->match(k->ctx, k->chat, id))
            ring[n++ % SIM_PAGE_MAX] = (int32_t)id;
    }
    for (told = 0; told < keep && (int64_t)told < n; told++)
        ids[told] = ring[(n - 1 - (int64_t)told) % SIM_PAGE_MAX];
    return told;
}

/* Older matches than rank `from`, nearest first, after `skip` of them. */
static size_t walk_down(const struct walk *k, uint64_t from, int64_t skip, size_t max,
                        int32_t *ids)
{
    const struct sim_world *w = k->c->core->world;
    uint64_t seen = 0;
    size_t n = 0;

    for (uint64_t i = from; i > k->below && n < max; i--) {
        int64_t id = sim_world_select(w, k->chat, i - 1);

        if (k->match(k->ctx, k->chat, id) && --skip < 0)
            ids[n++] = (int32_t)id;
        if (++seen > SCAN_MAX && n)
            break;
    }
    return n;
}

void sim_page_match(struct sim_call *c, const struct sim_chat *chat, struct sim_window window,
                    const struct sim_page *page, sim_match match, void *ctx,
                    struct sim_found *ret)
{
    const struct sim_world *w = c->core->world;
    struct walk k = { .c = c, .chat = chat, .match = match, .ctx = ctx };
    size_t limit = (size_t)limit_of(page);
    uint64_t end = sim_world_rank(w, chat, offset_end(c, chat, window, page) + 1);
    int32_t ids[SIM_PAGE_MAX];
    size_t n = 0;

    k.below = sim_world_rank(w, chat, window.lo);
    k.above = sim_world_rank(w, chat, TG_MAX(window.hi + 1, window.lo));
    if (page->add_offset < 0)
        n = walk_up(&k, end, -page->add_offset, limit, ids);
    if (n < limit)
        n += walk_down(&k, end, TG_MAX(page->add_offset, 0), limit - n, ids + n);
    ret->n = 0;
    ret->offset = 0;
    for (size_t i = 0; i < n && i < limit; i++) {
        if (wanted(page, ids[i]))
            ret->id[ret->n++] = ids[i];
    }
}

/* Of the reply's messages. Fact: core.telegram.org/api/offsets#hash-generation. */
static uint64_t hash_of(const struct sim_found *found)
{
    uint64_t h = 0;

    for (size_t i = 0; i < found->n; i++) {
        h ^= h >> 21;
        h ^= h << 35;
        h ^= h >> 4;
        h += (uint64_t)found->id[i];
    }
    return h;
}

static void note_given(struct sim_call *c, const struct sim_chat *chat,
                       const struct sim_found *found)
{
    assert(found->n <= SIM_PAGE_MAX);
    c->chat = chat->marked_id;
    c->n_ids = found->n;
    memcpy(c->ids, found->id, found->n * sizeof *c->ids);
}

/* Servers cut a page at its old end now and then, though more messages exist. */
static void cut(struct sim_call *c, struct sim_found *found)
{
    if (!c->cut || found->n < 2)
        return;
    found->n = 1 + sim_faults_draw(&c->core->faults, SIM_FAULT_SHORT, found->n - 1);
    c->core->stats.short_pages++;
}

static void add_messages(struct sim_call *c, const struct sim_chat *chat,
                         const struct sim_found *found, struct tl_value *reply)
{
    struct sim_core *core = c->core;
    struct tl_value *list = tl_set_vector(reply, TLN_messages);

    for (size_t i = 0; i < found->n; i++) {
        tl_add_obj(list, sim_message(c, chat, found->id[i]));
        sim_peers_add_message(core->peers, core->world, chat, found->id[i]);
    }
    sim_peers_add(core->peers, chat->marked_id);
}

struct tl_value *sim_page_reply(struct sim_call *c, const struct sim_chat *chat,
                                struct sim_found *found, int64_t hash)
{
    bool channel = sim_is_channel(chat);
    struct tl_value *v;

    if (hash && (uint64_t)hash == hash_of(found)) {
        v = tl_obj(c->arena, TLN_messages_messagesNotModified);
        tl_set_int(v, TLN_count, (int32_t)found->total);
        return v;
    }
    cut(c, found);
    note_given(c, chat, found);
    v = tl_obj(c->arena, channel                      ? TLN_messages_channelMessages
                         : found->n == found->total ? TLN_messages_messages
                                                      : TLN_messages_messagesSlice);
    if (channel)
        tl_set_int(v, TLN_pts, sim_channel_pts(c, chat));
    tl_set_true(v, TLN_inexact, found->inexact);
    tl_set_int(v, TLN_count, (int32_t)found->total);
    tl_set_int(v, TLN_offset_id_offset, found->offset);
    tl_set_vector(v, TLN_topics);
    add_messages(c, chat, found, v);
    return sim_with_peers(c, v);
}

struct tl_value *sim_page_empty(struct sim_call *c)
{
    return sim_with_peers(c, tl_obj(c->arena, TLN_messages_messages));
}
