/* SPDX-License-Identifier: MIT */
/*
 * world_chats.c - the chats of a generated world: kinds in turn, ids, names, times, topics
 *
 * The list: n_chats chats that the kinds take turns in; then, outside that count, one channel that
 * was left for every ten, the old group of every migrated supergroup, and the discussion group of
 * every channel if those are wanted.
 *
 * Threads: none      Limits: see world.h
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/world_int.h"

enum { DAY_S = 86400 };

/* The first six hold every kind that needs no permission; see chat_kind for the seventh. */
static const enum sim_chat_kind turn[] = { SIM_SUPERGROUP, SIM_CHANNEL, SIM_FORUM, SIM_BASIC_GROUP,
                                           SIM_PRIVATE, SIM_MIGRATED, SIM_PROTECTED };

static const struct {
    const char *name; /* of the public name; NULL: private */
    uint8_t n_members, more; /* senders: n_members + 0..more-1 */
} kind_rows[] = {
    [SIM_SUPERGROUP] = { "group", 60, 120 },   [SIM_CHANNEL] = { "channel", 6, 4 },
    [SIM_FORUM] = { "forum", 40, 100 },        [SIM_BASIC_GROUP] = { NULL, 8, 20 },
    [SIM_PRIVATE] = { NULL, 2, 1 },            [SIM_MIGRATED] = { NULL, 40, 60 },
    [SIM_PROTECTED] = { "protected", 6, 4 },   [SIM_LEFT_CHANNEL] = { "left", 6, 4 },
    [SIM_DISCUSSION] = { "discussion", 50, 80 },
};

static bool in_box(const struct sim_chat_in *c)
{
    return c->pub.kind == SIM_BASIC_GROUP || c->pub.kind == SIM_PRIVATE;
}

/* ---- one chat ---- */

static void set_ids(struct sim_world *w, struct sim_chat_in *c, uint32_t *n_private)
{
    uint32_t i = c->pub.index;

    switch (c->pub.kind) {
    case SIM_PRIVATE:
        w->n_users = SIM_POOL + ++*n_private;
        c->pub.id = sim_user_id(w, w->n_users - 1);
        c->pub.marked_id = c->pub.id;
        break;
    case SIM_BASIC_GROUP:
        c->pub.id = 4000000 + (int64_t)i * 31 + (int64_t)(c->salt % 31);
        c->pub.marked_id = -c->pub.id;
        break;
    default: /* some ids are past 2^32, as new channels have them */
        c->pub.id = 1200000000 + (int64_t)i * 7919 + (int64_t)(c->salt % 7919) +
                    (i % 5 == 4 ? INT64_C(3300000000) : 0);
        c->pub.marked_id = -SIM_CHANNEL_BASE - c->pub.id;
        break;
    }
    c->pub.access_hash = sim_world_access_hash(w, 0, c->pub.marked_id);
}

static tg_code set_names(struct sim_world *w, struct sim_chat_in *c, struct tg_error *err)
{
    char name[32];

    if (c->pub.kind == SIM_PRIVATE) {
        c->pub.title = sim_user_name(w, w->n_users - 1, &w->arena);
        c->pub.username = sim_user_username(w, w->n_users - 1, &w->arena);
    } else {
        c->pub.title = sim_title(c->salt, c->script, &w->arena);
        if (kind_rows[c->pub.kind].name) {
            int n = snprintf(name, sizeof name, "sim_%s_%u", kind_rows[c->pub.kind].name,
                             c->pub.index);

            c->pub.username = tg_arena_copy(&w->arena, name, (size_t)n);
            if (!c->pub.username)
                return tg_fail(err, TG_NOMEM, "out of memory for the world");
        }
    }
    return c->pub.title ? TG_OK : tg_fail(err, TG_NOMEM, "out of memory for the world");
}

/* What does not depend on other chats. */
static tg_code make_chat(struct sim_world *w, struct sim_chat_in *c, uint32_t *n_private,
                         struct tg_error *err)
{
    uint32_t i = c->pub.index, n_members = kind_rows[c->pub.kind].n_members;

    c->salt = sim_hash(w->seed, 0xc4a7000000 + i);
    c->holes = w->pattern && (i > 0 || w->options.holes_percent >= 0);
    c->local_top = sim_local_top(w, c, c->pub.n_messages);
    if (c->local_top > INT32_MAX - 1)
        return tg_fail(err, TG_USAGE, "%llu messages with holes need ids past 2147483646",
                       (unsigned long long)c->pub.n_messages);
    c->stride = 1;
    c->date_salt = c->salt ^ 0xda7e;
    c->date_from = SIM_EPOCH + (int64_t)(c->salt >> 8 & 0x3ffffff);
    c->date_to = SIM_NOW - DAY_S - (int64_t)(c->salt >> 40 & 0xfffff);
    c->date_top = TG_MAX(1, c->local_top);
    c->script = (uint8_t)(i == 0 ? SIM_ENGLISH : c->salt >> 4 & 7);
    if (c->script >= SIM_SCRIPTS)
        c->script = SIM_ENGLISH;
    c->signatures = c->salt >> 12 & 1;
    c->n_members = n_members + (uint32_t)(c->salt >> 20) % kind_rows[c->pub.kind].more;
    set_ids(w, c, n_private);
    return set_names(w, c, err);
}

/* ---- the box of an account ---- */

/* Gives every private chat and basic group its place in the rows of its owner's box. */
static tg_code make_boxes(struct sim_world *w, struct tg_error *err)
{
    struct {
        uint32_t n;
        int64_t top;
    } box[TG_COUNT(w->person)] = { { 0 } };

    for (size_t i = 0; i < w->n_chats; i++) {
        struct sim_chat_in *c = &w->chat[i];

        if (in_box(c)) {
            c->slot = box[c->owner].n++;
            box[c->owner].top = TG_MAX(box[c->owner].top, c->local_top);
        }
    }
    for (size_t i = 0; i < w->n_chats; i++) {
        struct sim_chat_in *c = &w->chat[i];

        if (!in_box(c))
            continue;
        c->stride = box[c->owner].n;
        if (c->local_top > (INT32_MAX - 1) / c->stride)
            return tg_fail(err, TG_USAGE,
                           "%u private chats and groups of one account with %llu messages each "
                           "need ids past 2147483646",
                           c->stride, (unsigned long long)c->pub.n_messages);
        c->box_salt = sim_hash(w->seed, 0xb0f00 + (uint64_t)c->owner);
        c->date_salt = c->box_salt;
        c->date_from = SIM_EPOCH + (int64_t)(c->box_salt >> 8 & 0x3ffffff);
        c->date_to = SIM_NOW - DAY_S;
        c->date_top = TG_MAX(1, box[c->owner].top);
    }
    return TG_OK;
}

/* ---- topics ---- */

static tg_code make_topics(struct sim_world *w, struct sim_chat_in *c, struct tg_error *err)
{
    uint64_t n = c->pub.n_messages, want = TG_MIN((uint64_t)SIM_TOPICS_MAX, n / 40 + 3);
    uint64_t gap = TG_MAX(1, n / 2 / (want + 1)), at = 1;

    c->topic = calloc(want, sizeof *c->topic);
    if (!c->topic)
        return tg_fail(err, TG_NOMEM, "out of memory for topics");
    for (; c->n_topics < want && at < n; at += gap)
        c->topic[c->n_topics++] = (int32_t)sim_world_select(w, &c->pub, at);
    return TG_OK;
}

/* ---- the list ---- */

struct list {
    uint32_t n_left, n_migrated, n_protected, n_channels;
};

static enum sim_chat_kind chat_kind(uint32_t i)
{
    return turn[i % TG_COUNT(turn)];
}

/* Six chats are promised to hold one of each kind: the protected one then comes on top. */
static struct list count_list(uint32_t n_chats)
{
    struct list l = { .n_left = 1 + n_chats / 10, .n_protected = n_chats == 6 };

    for (uint32_t i = 0; i < n_chats; i++) {
        l.n_migrated += chat_kind(i) == SIM_MIGRATED;
        l.n_channels += chat_kind(i) == SIM_CHANNEL;
    }
    return l;
}

static tg_code append(struct sim_world *w, enum sim_chat_kind kind, uint64_t n_messages,
                      uint32_t *n_private, struct tg_error *err)
{
    uint32_t i = (uint32_t)w->n_chats++;
    struct sim_chat_in *c = &w->chat[i];

    *c = (struct sim_chat_in){ .owner = -1, .migrated_to = -1 };
    c->pub = (struct sim_chat){ .index = i, .kind = kind, .n_messages = n_messages,
                                .migrated_from = -1 };
    return make_chat(w, c, n_private, err);
}

static tg_code append_all(struct sim_world *w, const struct list *l, struct tg_error *err)
{
    uint32_t n_chats = w->options.n_chats, n_private = 0, n_box = 0;
    uint64_t n = w->options.n_messages;
    tg_code code = TG_OK;

    for (uint32_t i = 0; i < n_chats && code == TG_OK; i++) {
        code = append(w, chat_kind(i), n, &n_private, err);
        if (in_box(&w->chat[i])) /* the first account owns the first of both kinds */
            w->chat[i].owner = (int)w->person[n_box++ / 2 % w->n_persons];
    }
    for (uint32_t i = 0; i < l->n_protected && code == TG_OK; i++)
        code = append(w, SIM_PROTECTED, n, &n_private, err);
    for (uint32_t i = 0; i < l->n_left && code == TG_OK; i++)
        code = append(w, SIM_LEFT_CHANNEL, n, &n_private, err);
    for (uint32_t i = 0, k = 0; i < n_chats && code == TG_OK; i++) {
        uint32_t old = (uint32_t)w->n_chats;

        if (chat_kind(i) != SIM_MIGRATED)
            continue;
        code = append(w, SIM_BASIC_GROUP, n / 4 + 2, &n_private, err);
        w->chat[old].owner = (int)w->person[k++ % w->n_persons];
        w->chat[old].migrated_to = i;
        w->chat[old].pub.title = w->chat[i].pub.title;
        w->chat[old].script = w->chat[i].script;
        w->chat[i].pub.migrated_from = old;
    }
    for (uint32_t i = 0, k = 0; k < sim_discuss_groups(w, l->n_channels) && code == TG_OK; i++) {
        if (chat_kind(i) != SIM_CHANNEL)
            continue;
        code = append(w, SIM_DISCUSSION, 0, &n_private, err);
        if (code == TG_OK)
            sim_discuss_link(w, &w->chat[w->n_chats - 1], &w->chat[i], k++);
    }
    return code;
}

tg_code sim_chats_make(struct sim_world *w, struct tg_error *err)
{
    struct list l = count_list(w->options.n_chats);
    size_t n = w->options.n_chats + l.n_left + l.n_migrated + l.n_protected +
               sim_discuss_groups(w, l.n_channels);
    tg_code code;

    w->chat = calloc(n, sizeof *w->chat);
    if (!w->chat)
        return tg_fail(err, TG_NOMEM, "out of memory for %zu chats", n);
    code = append_all(w, &l, err);
    if (code == TG_OK)
        code = make_boxes(w, err);
    if (code != TG_OK)
        return code;
    assert(w->n_chats == n);
    for (size_t i = 0; i < n; i++) {
        struct sim_chat_in *c = &w->chat[i];

        c->pub.top_id = (int32_t)(c->local_top ? sim_local_to_id(c, c->local_top) : 0);
        if (c->pub.kind == SIM_FORUM && (code = make_topics(w, c, err)) != TG_OK)
            return code;
    }
    for (size_t i = 0; i < n; i++) { /* a supergroup begins where its old group ends */
        struct sim_chat_in *c = &w->chat[i];

        if (c->pub.migrated_from >= 0) {
            const struct sim_chat *old = &w->chat[c->pub.migrated_from].pub;

            c->date_from = TG_MIN(sim_world_date(w, old, old->top_id), c->date_to);
        }
    }
    return TG_OK;
}
