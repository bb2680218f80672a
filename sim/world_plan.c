/* SPDX-License-Identifier: MIT */
/*
 * world_plan.c - what a message is about and whom it names, drawn from its place in the chat
 *
 * Each question has its own draw from the message's key, so that one can be answered without the
 * others: whether number 17 is a reply is asked again when number 30 looks for the top of its
 * thread.
 *
 * Threads: none      Limits: none
 */
#include <assert.h>

#include "sim/world_int.h"

enum { CREW = 12, CREW_BLOCK = 128, REPLY_DEPTH = 6, TOPIC_BLOCK = 8 };

/* Draws, one per question. */
enum draw { D_ACTION = 1, D_MEDIA, D_REPLY, D_SENDER, D_FORWARD, D_PEOPLE, D_REACT, D_COMMENT };

static uint64_t key_of(const struct sim_chat_in *c, int64_t local)
{
    return sim_hash(c->salt, (uint64_t)local);
}

static struct sim_rng draw(uint64_t key, enum draw what)
{
    return (struct sim_rng){ key ^ (uint64_t)what * UINT64_C(0xd1342543de82ef95) };
}

static bool is_channel(const struct sim_chat_in *c)
{
    return c->pub.kind == SIM_CHANNEL || c->pub.kind == SIM_PROTECTED ||
           c->pub.kind == SIM_LEFT_CHANNEL;
}

/* ---- people ---- */

/* A member: mostly one of the dozen who are talking at that time, some of them more than others. */
static int64_t someone(const struct sim_world *w, const struct sim_chat_in *c, int64_t local,
                       struct sim_rng *r)
{
    uint32_t slot;

    if (c->pub.kind != SIM_PRIVATE && sim_chance(r, 960)) {
        uint64_t crew = sim_hash(c->salt ^ 0xc4e3, (uint64_t)(local / CREW_BLOCK));
        uint32_t x = sim_below(r, CREW), y = sim_below(r, CREW);

        slot = (uint32_t)(sim_hash(crew, TG_MIN(x, y)) % c->n_members);
    } else {
        slot = sim_below(r, c->n_members);
    }
    return sim_user_id(w, sim_member(w, c, slot));
}

static int64_t some_bot(const struct sim_world *w, struct sim_rng *r)
{
    return sim_user_id(w, 7 + 25 * (1 + sim_below(r, 20)));
}

static int64_t some_foreign(const struct sim_chat_in *c, struct sim_rng *r)
{
    return sim_foreign_id((uint32_t)((c->salt >> 16) + sim_below(r, 6)) % SIM_FOREIGN);
}

/* ---- albums ---- */

/* First number of the album, 0 if the message is in none. Service messages stand apart. */
static int64_t album_of(const struct sim_chat_in *c, int64_t local)
{
    return local <= 1 ? 0 : sim_album(c, local, NULL);
}

/* ---- topics ---- */

/* Topics whose create message has an id below. */
static size_t topics_before(const struct sim_chat_in *c, int64_t id)
{
    size_t low = 0, high = c->n_topics;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->topic[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t sim_topic_of(const struct sim_chat_in *c, int64_t local)
{
    size_t n = topics_before(c, local);
    int64_t album = album_of(c, local), at = album ? album : local;
    struct sim_rng r = { sim_hash(c->salt ^ 0x70b1c, (uint64_t)(at / TOPIC_BLOCK)) };
    uint32_t i;

    if (n < c->n_topics && c->topic[n] == local)
        return local; /* the message that made it */
    if (n && album)
        n = TG_MAX(1, topics_before(c, album));
    i = sim_below(&r, (uint32_t)n + 1);
    if (key_of(c, at) % 5 == 0)
        i = (uint32_t)(key_of(c, at) >> 32) % ((uint32_t)n + 1);
    return i ? c->topic[i - 1] : 1;
}

/* ---- replies ---- */

/* The local number that a message answers, 0 for none. */
static int64_t reply_of(const struct sim_chat_in *c, int64_t local)
{
    struct sim_rng r = draw(key_of(c, local), D_REPLY);
    int64_t album = album_of(c, local);
    uint32_t back;

    if ((album && album != local) || local <= 2 || !sim_chance(&r, is_channel(c) ? 60 : 300))
        return 0;
    back = 1 + sim_below(&r, sim_chance(&r, 100) ? 2000 : 20);
    if (c->pub.kind != SIM_FORUM)
        return TG_MAX(1, local - back);
    for (int i = 0; i < REPLY_DEPTH; i++, back++) { /* inside a forum: one of the same topic */
        if (local - back < 2)
            return 0;
        if (sim_topic_of(c, local - back) == sim_topic_of(c, local))
            return local - back;
    }
    return 0;
}

/* In a discussion group: a comment answers the post or a comment on it, talk other talk. */
static void plan_answer(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    struct sim_rng r = draw(p->key, D_REPLY);
    int64_t root = sim_discuss_thread(w, c, p->local);

    p->reply_to = root;
    if (p->local < 3 || !sim_chance(&r, 400))
        return;
    for (int64_t at = p->local - 1; at > TG_MAX(root, p->local - 24) && at > 1; at--) {
        if (sim_discuss_thread(w, c, at) != root || sim_discuss_post(w, c, at) ||
            sim_local_is_service(c, at))
            continue;
        p->reply_to = at;
        p->reply_top = root;
        return;
    }
}

static void plan_reply(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    int64_t to, top;

    if (c->pub.kind == SIM_DISCUSSION) {
        plan_answer(w, c, p);
        return;
    }
    to = top = reply_of(c, p->local);
    if (to) {
        p->reply_to = sim_local_to_id(c, to);
        p->reply_quote = (p->key >> 7 & 7) == 0;
    }
    if (c->pub.kind == SIM_FORUM) {
        p->topic = sim_topic_of(c, p->local);
        if (p->topic == 1 || p->topic == p->local)
            return;
        p->forum_topic = true;
        if (!to)
            p->reply_to = p->topic;
        else if (p->reply_to != p->topic)
            p->reply_top = p->topic;
    } else if (to && c->stride == 1) {
        for (int i = 0; i < REPLY_DEPTH && (to = reply_of(c, top)) > 0; i++)
            top = to;
        if (top != p->reply_to)
            p->reply_top = top;
    }
}

/* ---- service messages ---- */

static enum sim_action draw_action(const struct sim_chat_in *c, struct sim_rng *r)
{
    static const enum sim_action
        group[] = { SIM_ADD_USER, SIM_ADD_USER, SIM_JOIN_LINK, SIM_JOIN_LINK, SIM_DELETE_USER,
                    SIM_EDIT_TITLE, SIM_EDIT_PHOTO, SIM_DELETE_PHOTO, SIM_PIN, SIM_PIN,
                    SIM_CALL_START, SIM_CALL_END, SIM_CALL_INVITE, SIM_CALL_PLAN, SIM_TTL,
                    SIM_SCORE, SIM_JOIN_REQUEST, SIM_CUSTOM, SIM_PROXIMITY },
        channel[] = { SIM_PIN, SIM_PIN, SIM_EDIT_TITLE, SIM_EDIT_PHOTO, SIM_CALL_START,
                      SIM_CALL_END, SIM_CALL_PLAN, SIM_TTL },
        private[] = { SIM_PHONE_CALL, SIM_PHONE_CALL, SIM_SCREENSHOT, SIM_TTL, SIM_PIN, SIM_SIGN_UP,
                      SIM_HISTORY_CLEAR, SIM_CUSTOM };

    if (c->pub.kind == SIM_PRIVATE)
        return private[sim_below(r, TG_COUNT(private))];
    if (is_channel(c))
        return channel[sim_below(r, TG_COUNT(channel))];
    if (c->pub.kind != SIM_BASIC_GROUP && sim_chance(r, 60))
        return SIM_BOOST;
    return group[sim_below(r, TG_COUNT(group))];
}

static enum sim_action action_of(const struct sim_chat_in *c, const struct sim_plan *p)
{
    struct sim_rng r = draw(p->key, D_ACTION);

    if (p->local == 1) {
        if (c->pub.kind == SIM_MIGRATED)
            return SIM_MIGRATE_FROM;
        if (c->pub.kind == SIM_PRIVATE)
            return SIM_MESSAGE;
        return c->pub.kind == SIM_BASIC_GROUP ? SIM_CHAT_CREATE : SIM_CHANNEL_CREATE;
    }
    if (c->migrated_to >= 0 && p->local == c->local_top)
        return SIM_MIGRATE_TO;
    if (c->pub.kind == SIM_FORUM && p->topic == p->local)
        return SIM_TOPIC_CREATE;
    if (album_of(c, p->local) || !sim_chance(&r, 14))
        return SIM_MESSAGE;
    if (c->pub.kind == SIM_FORUM && p->topic > 1 && sim_chance(&r, 200))
        return SIM_TOPIC_EDIT;
    return draw_action(c, &r);
}

bool sim_local_is_service(const struct sim_chat_in *c, int64_t local)
{
    const struct sim_plan p = { .local = local, .key = key_of(c, local) };

    return action_of(c, &p) != SIM_MESSAGE;
}

static void plan_action(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    struct sim_rng r = draw(p->key, D_PEOPLE);
    uint32_t n = 0;

    switch (p->action) {
    case SIM_CHAT_CREATE:
    case SIM_ADD_USER:
    case SIM_CALL_INVITE:
        n = 1 + sim_below(&r, p->action == SIM_CHAT_CREATE ? SIM_PLAN_PEOPLE : 2);
        break;
    case SIM_DELETE_USER:
    case SIM_JOIN_LINK:
    case SIM_PROXIMITY:
        n = 1;
        break;
    case SIM_PIN: /* names the message by a reply */
        p->reply_to = sim_local_to_id(c, TG_MAX(1, p->local - 1 - sim_below(&r, 300)));
        p->reply_top = 0;
        p->reply_quote = false;
        return;
    default:
        break;
    }
    for (uint32_t i = 0; i < n; i++)
        p->people[i] = someone(w, c, p->local + 7, &r);
    p->n_people = n;
    if (p->action == SIM_ADD_USER && n == 1 && sim_chance(&r, 400))
        p->people[0] = p->from > 0 ? p->from : p->people[0]; /* somebody joined by themselves */
    if (!p->forum_topic)
        p->reply_to = p->reply_top = 0;
    p->reply_quote = false;
}

/* ---- senders ---- */

static void plan_sender(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    int64_t album = album_of(c, p->local);
    int64_t at = album ? album : p->local; /* an album has one sender */
    struct sim_rng r = draw(key_of(c, at), D_SENDER);
    uint32_t x = sim_below(&r, 1000);

    if (is_channel(c))
        return; /* posts have no sender */
    if (c->pub.kind == SIM_PRIVATE) {
        p->from = sim_user_id(w, sim_member(w, c, x < 450 ? 0 : 1));
        return;
    }
    if (c->pub.kind != SIM_BASIC_GROUP && x < 25)
        p->from = c->pub.marked_id; /* an anonymous admin */
    else if (c->pub.kind != SIM_BASIC_GROUP && x < 35)
        p->from = some_foreign(c, &r); /* somebody who speaks as a channel */
    else if (x < 55)
        p->from = some_bot(w, &r);
    else
        p->from = someone(w, c, at, &r);
    if (p->local == 1)
        p->from = sim_user_id(w, sim_member(w, c, 0));
}

static void plan_forward(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    int64_t album = album_of(c, p->local);
    int64_t at = album ? album : p->local;
    struct sim_rng r = draw(key_of(c, at), D_FORWARD);
    uint32_t x = sim_below(&r, 1000);

    if (x < 35) {
        p->forward = SIM_FROM_USER;
        p->forward_from = someone(w, c, at + 3, &r);
    } else if (x < 45) {
        p->forward = SIM_FROM_HIDDEN;
    } else if (x < 70) {
        p->forward = SIM_FROM_CHANNEL;
        p->forward_from = some_foreign(c, &r);
    } else if (x < 85 && !album) {
        p->via_bot = some_bot(w, &r);
    }
}

/* ---- media, reactions, comments ---- */

static enum sim_media draw_media(const struct sim_chat_in *c, struct sim_rng *r)
{
    static const struct {
        uint16_t share; /* of 1000 */
        uint8_t media;
    } rows[] = {
        { 165, SIM_PHOTO }, { 85, SIM_VIDEO },  { 100, SIM_WEBPAGE }, { 12, SIM_VOICE },
        { 5, SIM_AUDIO },   { 22, SIM_STICKER }, { 4, SIM_ROUND },    { 8, SIM_GIF },
        { 10, SIM_FILE },   { 5, SIM_POLL },    { 3, SIM_GEO },       { 1, SIM_GEO_LIVE },
        { 2, SIM_VENUE },   { 3, SIM_CONTACT }, { 3, SIM_DICE },      { 1, SIM_GAME },
        { 1, SIM_UNSUPPORTED },
    };
    uint32_t x = sim_below(r, 1000);
    enum sim_media media = SIM_NO_MEDIA;

    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        if (x < rows[i].share) {
            media = (enum sim_media)rows[i].media;
            break;
        }
        x -= rows[i].share;
    }
    return media == SIM_POLL && c->pub.kind == SIM_PRIVATE ? SIM_NO_MEDIA : media;
}

static void plan_media(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    struct sim_rng r = draw(p->key, D_MEDIA);
    int64_t album = album_of(c, p->local);

    if (album) {
        uint64_t h = key_of(c, album);

        /* Photos and videos mix; files stand among files. */
        p->media = (h >> 9 & 15) == 0 ? SIM_FILE : sim_chance(&r, 750) ? SIM_PHOTO : SIM_VIDEO;
        p->album = (int64_t)(h >> 2 | UINT64_C(1) << 61);
        p->album_head = album == p->local;
        return;
    }
    p->media = draw_media(c, &r);
    if (p->media == SIM_CONTACT && sim_chance(&r, 500))
        p->contact = someone(w, c, p->local + 5, &r);
    if (sim_chance(&r, 25))
        p->mention = someone(w, c, p->local, &r);
}

static void plan_reactions(const struct sim_world *w, const struct sim_chat_in *c,
                           struct sim_plan *p)
{
    struct sim_rng r = draw(p->key, D_REACT);

    p->reactions = sim_chance(&r, 600);
    if (p->reactions && !is_channel(c) && sim_chance(&r, 550)) {
        p->n_reactors = 1 + sim_below(&r, 3);
        for (uint32_t i = 0; i < p->n_reactors; i++)
            p->reactor[i] = someone(w, c, p->local, &r);
    }
}

/* The comments as they are in the discussion group. */
static void plan_counted(const struct sim_world *w, const struct sim_chat_in *c, struct sim_plan *p)
{
    const struct sim_chat_in *group = &w->chat[c->linked - 1];
    int64_t root = sim_discuss_root(w, c, p->local);
    struct sim_thread thread;

    if (!root)
        return;
    sim_discuss_count(w, group, root, &thread);
    p->replies = p->counted = true;
    p->discussion = group->pub.marked_id;
    p->n_replies = (int32_t)thread.n;
    p->top_reply = (int32_t)thread.top;
    for (uint32_t i = 0; i < TG_MIN(thread.n, (uint32_t)TG_COUNT(thread.last)); i++) {
        struct sim_plan comment = { .local = thread.last[i],
                                    .key = key_of(group, thread.last[i]) };

        plan_sender(w, group, &comment);
        p->replier[p->n_repliers++] = comment.from;
    }
}

static void plan_comments(const struct sim_world *w, const struct sim_chat_in *c,
                          struct sim_plan *p)
{
    struct sim_rng r = draw(p->key, D_COMMENT);

    if (c->pub.kind == SIM_BASIC_GROUP || c->pub.kind == SIM_PRIVATE ||
        c->pub.kind == SIM_DISCUSSION)
        return;
    if (c->linked) {
        plan_counted(w, c, p);
        return;
    }
    if (!is_channel(c)) {
        p->replies = sim_chance(&r, 500);
        return;
    }
    p->replies = sim_chance(&r, 500);
    if (!p->replies)
        return;
    p->discussion = sim_foreign_id((uint32_t)(c->salt >> 18 & 63) * 4 + 3);
    p->n_repliers = sim_below(&r, SIM_PLAN_PEOPLE);
    for (uint32_t i = 0; i < p->n_repliers; i++)
        p->replier[i] =
            sim_user_id(w, (uint32_t)w->n_accounts +
                               (uint32_t)(sim_hash(c->salt, sim_below(&r, 12)) % 4000));
}

/* ---- all of it ---- */

/* A channel's post as its discussion group got it. */
static void plan_copy(const struct sim_world *w, const struct sim_chat_in *group, int64_t local,
                      int64_t post, struct sim_plan *ret)
{
    const struct sim_chat_in *channel = &w->chat[group->linked - 1];

    sim_plan_make(w, channel, post, ret);
    ret->id = ret->local = local;
    ret->post = post;
    ret->from = channel->pub.marked_id;
    ret->reply_to = ret->reply_top = 0;
    ret->reply_quote = false;
    ret->discussion = 0;
    ret->n_repliers = 0;
}

void sim_plan_make(const struct sim_world *w, const struct sim_chat_in *c, int64_t local,
                   struct sim_plan *ret)
{
    int64_t post = c->pub.kind == SIM_DISCUSSION ? sim_discuss_post(w, c, local) : 0;

    assert(!c->import && local > 0);
    if (post) {
        plan_copy(w, c, local, post, ret);
        return;
    }
    *ret = (struct sim_plan){ .id = sim_local_to_id(c, local), .local = local,
                              .key = key_of(c, local) };
    plan_reply(w, c, ret);
    plan_sender(w, c, ret);
    ret->action = action_of(c, ret);
    if (ret->action != SIM_MESSAGE) {
        plan_action(w, c, ret);
        return;
    }
    plan_media(w, c, ret);
    plan_forward(w, c, ret);
    plan_reactions(w, c, ret);
    plan_comments(w, c, ret);
}

void sim_plan_peers(const struct sim_chat_in *c, const struct sim_plan *p,
                    void (*seen)(void *ctx, int64_t marked_id), void *ctx)
{
    const int64_t one[] = { c->pub.marked_id, p->from,    p->forward_from, p->via_bot,
                            p->mention,       p->contact, p->discussion };

    for (size_t i = 0; i < TG_COUNT(one); i++) {
        if (one[i])
            seen(ctx, one[i]);
    }
    for (uint32_t i = 0; i < p->n_people; i++)
        seen(ctx, p->people[i]);
    for (uint32_t i = 0; i < p->n_reactors; i++)
        seen(ctx, p->reactor[i]);
    for (uint32_t i = 0; i < p->n_repliers; i++)
        seen(ctx, p->replier[i]);
}

int64_t sim_world_thread(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    struct sim_plan p = { 0 };

    if (c->import || !sim_world_exists(w, chat, id))
        return 0;
    if (chat->kind == SIM_DISCUSSION && (sim_discuss_post(w, c, id) || sim_local_is_service(c, id)))
        return 0;
    p.local = sim_id_to_local(c, id);
    p.id = id;
    p.key = key_of(c, p.local);
    plan_reply(w, c, &p);
    if (c->pub.kind == SIM_FORUM)
        return p.topic;
    return p.reply_top ? p.reply_top : p.reply_to;
}
