/* SPDX-License-Identifier: MIT */
/*
 * world_message.c - turns a plan into a message object
 *
 * Threads: none      Limits: a page of 100 messages takes about 1 MiB of arena
 */
#include <assert.h>
#include <stdio.h>

#include "sim/import.h"
#include "sim/world_int.h"

/* ---- parts that service messages have too ---- */

void sim_set_reply(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    struct tl_value *r, *e;

    if (!p->reply_to)
        return;
    r = tl_set_new(m, TLN_reply_to, TLN_messageReplyHeader);
    tl_set_true(r, TLN_forum_topic, p->forum_topic);
    tl_set_int(r, TLN_reply_to_msg_id, (int32_t)p->reply_to);
    if (p->reply_top)
        tl_set_int(r, TLN_reply_to_top_id, (int32_t)p->reply_top);
    if (p->reply_quote) {
        tl_set_true(r, TLN_quote, true);
        tl_set_cstr(r, TLN_quote_text, "\xf0\x9f\x91\x8d \"quoted\" words");
        e = tl_add_new(tl_set_vector(r, TLN_quote_entities), TLN_messageEntityBold);
        tl_set_int(e, TLN_offset, 3);
        tl_set_int(e, TLN_length, 8);
        tl_set_int(r, TLN_quote_offset, 5);
    }
}

static void set_reaction(struct tl_value *o, uint64_t h)
{
    static const char *const emoticon[] = { "👍", "\xe2\x9d\xa4", "🔥", "😁",
                                            "👏", "🤯",           "😢", "🤔" };
    struct tl_value *r;

    if (h % 17 == 3) {
        r = tl_set_new(o, TLN_reaction, TLN_reactionCustomEmoji);
        tl_set_long(r, TLN_document_id, sim_file_id(h, SIM_FILE_STICKER));
    } else if (h % 67 == 5) {
        tl_set_new(o, TLN_reaction, TLN_reactionPaid);
    } else {
        r = tl_set_new(o, TLN_reaction, TLN_reactionEmoji);
        tl_set_cstr(r, TLN_emoticon, emoticon[h >> 8 & 7]);
    }
}

void sim_set_reactions(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    struct tl_value *r, *list, *c;
    uint32_t n = 1 + sim_below(&b->rng, 5), first = sim_below(&b->rng, 8);

    if (!p->reactions)
        return;
    r = tl_set_new(m, TLN_reactions, TLN_messageReactions);
    tl_set_true(r, TLN_can_see_list, p->n_reactors > 0);
    list = tl_set_vector(r, TLN_results);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t h = sim_hash(p->key, 0x4eac + i) & ~UINT64_C(0x700);

        c = tl_add_new(list, TLN_reactionCount);
        if (i == 0 && sim_chance(&b->rng, 60))
            tl_set_int(c, TLN_chosen_order, 0);
        set_reaction(c, h | (uint64_t)((first + i) & 7) << 8);
        tl_set_int(c, TLN_count, 1 + (int32_t)(sim_below(&b->rng, 60) >> i));
    }
    if (!p->n_reactors)
        return;
    list = tl_set_vector(r, TLN_recent_reactions);
    for (uint32_t i = 0; i < p->n_reactors; i++) {
        c = tl_add_new(list, TLN_messagePeerReaction);
        tl_set_true(c, TLN_big, i == 1);
        tl_set_obj(c, TLN_peer_id, sim_peer_value(p->reactor[i], b->arena));
        tl_set_int(c, TLN_date, (int32_t)b->date + 60 * (int32_t)(i + 1));
        set_reaction(c, UINT64_C(0) | (uint64_t)first << 8);
    }
}

void sim_set_entities(struct sim_build *b, struct tl_value *o, const struct sim_said *said)
{
    static const uint32_t name[SIM_SPAN_KINDS] = {
        TLN_messageEntityBold,        TLN_messageEntityItalic,      TLN_messageEntityUnderline,
        TLN_messageEntityStrike,      TLN_messageEntitySpoiler,     TLN_messageEntityCode,
        TLN_messageEntityPre,         TLN_messageEntityBlockquote,  TLN_messageEntityTextUrl,
        TLN_messageEntityMentionName, TLN_messageEntityCustomEmoji, TLN_messageEntityUrl,
        TLN_messageEntityMention,     TLN_messageEntityHashtag,     TLN_messageEntityCashtag,
        TLN_messageEntityEmail,       TLN_messageEntityPhone,       TLN_messageEntityBotCommand,
    };
    struct tl_value *list, *e;

    if (said->n_spans == 0)
        return;
    list = tl_set_vector(o, TLN_entities);
    for (uint32_t i = 0; i < said->n_spans; i++) {
        const struct sim_span *s = &said->span[i];

        e = tl_add_new(list, name[s->kind]);
        tl_set_int(e, TLN_offset, (int32_t)s->at);
        tl_set_int(e, TLN_length, (int32_t)s->len);
        if (s->kind == SIM_PRE)
            tl_set_cstr(e, TLN_language, b->plan->key & 32 ? "c" : "");
        else if (s->kind == SIM_TEXT_URL)
            tl_set_cstr(e, TLN_url, "https://docs.example.org/a?b=1&c=%22x%22");
        else if (s->kind == SIM_MENTION_NAME)
            tl_set_long(e, TLN_user_id, b->plan->mention);
        else if (s->kind == SIM_CUSTOM_EMOJI)
            tl_set_long(e, TLN_document_id, sim_file_id(b->plan->key ^ s->at, SIM_FILE_STICKER));
        else if (s->kind == SIM_BLOCKQUOTE)
            tl_set_true(e, TLN_collapsed, s->len > 10);
    }
}

/* ---- text ---- */

/* Most messages are short, some long, one in a thousand as long as can be. Mean near 170. */
static uint32_t draw_units(struct sim_rng *r)
{
    uint32_t x = sim_below(r, 1000);

    if (x < 240)
        return 2 + sim_below(r, 50);
    if (x < 720)
        return 50 + sim_below(r, 180);
    if (x < 970)
        return 230 + sim_below(r, 290);
    if (x < 999)
        return 480 + sim_below(r, 900);
    return SIM_TEXT_MAX;
}

static uint32_t draw_spans(struct sim_rng *r)
{
    uint32_t x = sim_below(r, 100);

    return x < 24 ? 0 : x < 50 ? 1 : x < 72 ? 2 : x < 88 ? 3 : 4;
}

static bool has_text(struct sim_build *b)
{
    const struct sim_plan *p = b->plan;

    switch (p->media) {
    case SIM_NO_MEDIA:
    case SIM_WEBPAGE:
        return true;
    case SIM_PHOTO:
    case SIM_VIDEO:
    case SIM_FILE:
    case SIM_GIF:
    case SIM_AUDIO:
        return p->album ? p->album_head && p->key % 8 != 0 : sim_chance(&b->rng, 600);
    case SIM_VOICE:
        return sim_chance(&b->rng, 50);
    default:
        return false;
    }
}

static void set_text(struct sim_build *b, struct tl_value *m)
{
    struct sim_say say = { .script = (enum sim_script)b->chat->script };
    struct sim_said said;

    if (!has_text(b))
        return; /* the empty text is written anyway */
    if (sim_chance(&b->rng, 550))
        say.script = (enum sim_script)sim_below(&b->rng, SIM_SCRIPTS);
    say.units = draw_units(&b->rng);
    if (say.script == SIM_CHINESE && say.units < SIM_TEXT_MAX)
        say.units = say.units / 3 + 1; /* the same thought takes fewer characters */
    if (b->plan->media != SIM_NO_MEDIA && b->plan->media != SIM_WEBPAGE)
        say.units = TG_MIN(say.units, 900); /* captions end at 1024 */
    say.n_spans = draw_spans(&b->rng);
    say.mention = b->plan->mention != 0;
    if (say.mention || b->plan->media == SIM_WEBPAGE)
        say.n_spans = TG_MAX(say.n_spans, 1);
    if (!sim_text_make(&b->rng, &say, b->arena, &said)) {
        tl_set_obj(m, TLN_message, NULL);
        return;
    }
    tl_set_str(m, TLN_message, said.text);
    sim_set_entities(b, m, &said);
}

/* ---- the other parts ---- */

static void set_forward(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    struct tl_value *f;

    if (p->via_bot)
        tl_set_long(m, TLN_via_bot_id, p->via_bot);
    if (p->forward == SIM_OWN && !p->post)
        return;
    f = tl_set_new(m, TLN_fwd_from, TLN_messageFwdHeader);
    if (p->post) { /* what was forwarded to the channel keeps its first origin */
        tl_set_obj(f, TLN_saved_from_peer, sim_peer_value(p->from, b->arena));
        tl_set_int(f, TLN_saved_from_msg_id, (int32_t)p->post);
    }
    if (p->forward == SIM_OWN) {
        tl_set_int(f, TLN_date, (int32_t)sim_world_date(b->w, &b->chat->pub, p->post));
        tl_set_obj(f, TLN_from_id, sim_peer_value(p->from, b->arena));
        tl_set_int(f, TLN_channel_post, (int32_t)p->post);
        return;
    }
    tl_set_int(f, TLN_date, (int32_t)b->date - 60 - (int32_t)(p->key >> 40 & 0xfffff));
    if (p->forward == SIM_FROM_HIDDEN) {
        tl_set_cstr(f, TLN_from_name,
                    sim_user_name(b->w, (uint32_t)(p->key >> 20) % SIM_POOL, b->arena));
        tl_set_true(f, TLN_imported, p->key % 5 == 0);
        return;
    }
    tl_set_obj(f, TLN_from_id, sim_peer_value(p->forward_from, b->arena));
    if (p->forward != SIM_FROM_CHANNEL)
        return;
    tl_set_int(f, TLN_channel_post, 1 + (int32_t)(p->key >> 30 & 0xffff));
    if (p->key >> 12 & 1)
        tl_set_cstr(f, TLN_post_author,
                    sim_user_name(b->w, (uint32_t)(p->key >> 20) % SIM_POOL, b->arena));
    if (!p->post && p->key >> 13 & 1) { /* what a channel's discussion group gets */
        tl_set_obj(f, TLN_saved_from_peer, sim_peer_value(p->forward_from, b->arena));
        tl_set_int(f, TLN_saved_from_msg_id, 1 + (int32_t)(p->key >> 30 & 0xffff));
    }
}

static void set_replies(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    struct tl_value *r, *list;
    int32_t n;

    if (!p->replies)
        return;
    n = (int32_t)(sim_below(&b->rng, 40) * sim_below(&b->rng, 40) / 30) + (int32_t)p->n_repliers;
    if (p->counted)
        n = p->n_replies;
    r = tl_set_new(m, TLN_replies, TLN_messageReplies);
    tl_set_int(r, TLN_replies, n);
    tl_set_int(r, TLN_replies_pts, (int32_t)p->id + n);
    if (!p->discussion) {
        if (n)
            tl_set_int(r, TLN_max_id, p->counted ? p->top_reply : (int32_t)p->id + n);
        return;
    }
    tl_set_true(r, TLN_comments, true);
    tl_set_long(r, TLN_channel_id, -SIM_CHANNEL_BASE - p->discussion);
    if (p->n_repliers) {
        list = tl_set_vector(r, TLN_recent_repliers);
        for (uint32_t i = 0; i < p->n_repliers; i++)
            tl_add_obj(list, sim_peer_value(p->replier[i], b->arena));
        tl_set_int(r, TLN_max_id,
                   p->counted ? p->top_reply : (int32_t)p->id * 2 % 1000000 + n);
    }
}

/* Keyboards of buttons change their shape between layers; this markup has the same in all. */
static void set_markup(struct tl_value *m)
{
    struct tl_value *markup = tl_set_new(m, TLN_reply_markup, TLN_replyKeyboardForceReply);

    tl_set_true(markup, TLN_selective, true);
    tl_set_cstr(markup, TLN_placeholder, "Answer here \xe2\x80\xa6");
}

/* Channels: views, forwards, signatures. Groups: the title of an anonymous admin. */
static void set_post(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    enum sim_chat_kind kind = b->chat->pub.kind;
    bool copy = b->plan->post != 0;
    bool post = kind == SIM_CHANNEL || kind == SIM_PROTECTED || kind == SIM_LEFT_CHANNEL;

    tl_set_true(m, TLN_post, post && !copy);
    if (post || p->forward == SIM_FROM_CHANNEL) {
        int32_t views = 1 + (int32_t)(sim_below(&b->rng, 300) * sim_below(&b->rng, 300));

        tl_set_int(m, TLN_views, views);
        tl_set_int(m, TLN_forwards, views / 40);
    }
    if (post && b->chat->signatures)
        tl_set_cstr(m, TLN_post_author,
                    sim_user_name(b->w, sim_member(b->w, b->chat, 1 + p->key % 3), b->arena));
    else if (p->from == b->chat->pub.marked_id && p->from < 0 && !copy)
        tl_set_cstr(m, TLN_post_author, "moderation");
    if (kind == SIM_PROTECTED)
        tl_set_true(m, TLN_noforwards, p->key >> 14 & 1);
    if (p->via_bot)
        set_markup(m);
}

static void set_rare(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    uint64_t h = sim_hash(p->key, 0x4a4e);

    tl_set_true(m, TLN_silent, (h & 31) == 0);
    tl_set_true(m, TLN_pinned, (h >> 5 & 255) == 0);
    tl_set_true(m, TLN_mentioned, p->mention == b->viewer->user_id);
    tl_set_true(m, TLN_media_unread, p->media == SIM_VOICE && (h >> 13 & 1));
    tl_set_true(m, TLN_from_scheduled, (h >> 14 & 127) == 0);
    tl_set_true(m, TLN_invert_media, p->media == SIM_PHOTO && (h >> 21 & 63) == 0);
    if (!p->forward && (h >> 27 & 15) == 0) {
        tl_set_int(m, TLN_edit_date, (int32_t)b->date + 20 + (int32_t)(h >> 32 & 0xfff));
        tl_set_true(m, TLN_edit_hide, (h >> 31 & 1) != 0);
    }
    if ((h >> 44 & 511) == 0)
        tl_set_int(m, TLN_ttl_period, 2678400);
    if (b->chat->pub.kind == SIM_PRIVATE && (h >> 53 & 63) == 0)
        tl_set_long(m, TLN_effect, INT64_C(5104841245755180586));
    if (b->chat->owner < 0 && p->from > 0 && (h >> 53 & 63) == 1)
        tl_set_int(m, TLN_from_boosts_applied, 1 + (int32_t)(h >> 60));
}

static void set_media(struct sim_build *b, struct tl_value *m)
{
    const struct sim_plan *p = b->plan;
    struct sim_media_at at = { .w = b->w, .viewer = b->viewer, .chat = b->chat, .plan = p,
                               .id = p->id, .date = b->date, .key = sim_hash(p->key, 0x3ed1a),
                               .arena = b->arena };

    if (p->media != SIM_NO_MEDIA)
        tl_set_obj(m, TLN_media, sim_media_value(&at, p->media));
    if (p->album)
        tl_set_long(m, TLN_grouped_id, p->album);
}

static struct tl_value *message_value(struct sim_build *b)
{
    const struct sim_plan *p = b->plan;
    struct tl_value *m = tl_obj(b->arena, TLN_message);
    bool out = p->from == b->viewer->user_id;

    tl_set_int(m, TLN_id, (int32_t)p->id);
    tl_set_true(m, TLN_out, out);
    /* In a private chat only the own side is named; the other is the peer itself. */
    if (p->from && (out || b->chat->pub.kind != SIM_PRIVATE))
        tl_set_obj(m, TLN_from_id, sim_peer_value(p->from, b->arena));
    tl_set_obj(m, TLN_peer_id, sim_peer_value(b->peer, b->arena));
    tl_set_int(m, TLN_date, (int32_t)b->date);
    set_forward(b, m);
    sim_set_reply(b, m);
    set_text(b, m);
    set_media(b, m);
    set_post(b, m);
    set_replies(b, m);
    sim_set_reactions(b, m);
    set_rare(b, m);
    sim_live_dress(b, m);
    return m;
}

static struct tl_value *empty_value(const struct sim_chat_in *c, int64_t id,
                                    struct tg_arena *arena)
{
    struct tl_value *m = tl_obj(arena, TLN_messageEmpty);

    tl_set_int(m, TLN_id, (int32_t)id);
    if (c->stride == 1) /* ids of a box say nothing about the chat */
        tl_set_obj(m, TLN_peer_id, sim_peer_value(c->pub.marked_id, arena));
    return m;
}

struct tl_value *sim_world_message(const struct sim_world *w, const struct sim_account *viewer,
                                   const struct sim_chat *chat, int64_t id, struct tg_arena *arena)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    struct sim_plan plan;
    struct sim_build b = { .w = w, .viewer = viewer, .chat = c, .peer = chat->marked_id,
                           .plan = &plan, .arena = arena };

    if (!sim_world_exists(w, chat, id))
        return empty_value(c, id, arena);
    if (c->import)
        return sim_import_message(w, viewer, c, id, arena);
    sim_plan_make(w, c, sim_id_to_local(c, id), &plan);
    if (plan.post) /* it is made as the post is */
        b.chat = sim_in(w, sim_world_linked(w, chat));
    b.date = sim_world_date(w, chat, id);
    b.rng.s = sim_hash(plan.key, 0xb1d);
    return plan.action == SIM_MESSAGE ? message_value(&b) : sim_service_value(&b);
}
