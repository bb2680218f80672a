/* SPDX-License-Identifier: MIT */
/*
 * world_live.c - the overlay of a chat that changes; see world_live.h
 *
 * Threads: none
 */
#include "sim/world_live.h"

#include <assert.h>
#include <stdlib.h>

#include "sim/world_int.h"

/* ---- sorted lists ---- */

/* Grows an array by one item at `at`. @return the new item; NULL: no memory */
static void *insert(void **list, size_t *n, size_t *cap, size_t at, size_t size)
{
    uint8_t *item;

    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        void *grown = realloc(*list, more * size);

        if (!grown)
            return NULL;
        *list = grown;
        *cap = more;
    }
    item = (uint8_t *)*list + at * size;
    memmove(item + size, item, (*n - at) * size);
    (*n)++;
    return item;
}

static size_t tail_lower(const struct sim_live_chat *l, int64_t local)
{
    size_t low = 0, high = l->n_tail;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->tail[middle].local < local)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t gone_lower(const struct sim_live_chat *l, int64_t id)
{
    size_t low = 0, high = l->n_gone;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->gone[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t touched_lower(const struct sim_live_chat *l, int64_t id)
{
    size_t low = 0, high = l->n_touched;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (l->touched[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- what the ids need; see world_int.h ---- */

bool sim_live_exists(const struct sim_chat_in *c, int64_t local, int64_t id, bool computed)
{
    const struct sim_live_chat *l = c->live;
    size_t at = tail_lower(l, local);
    size_t gone = gone_lower(l, id);

    if (gone < l->n_gone && l->gone[gone] == id)
        return false;
    return computed || (at < l->n_tail && l->tail[at].local == local);
}

uint64_t sim_live_rank(const struct sim_chat_in *c, int64_t local, int64_t id, uint64_t computed)
{
    return computed + tail_lower(c->live, local) - gone_lower(c->live, id);
}

uint64_t sim_live_skip(const struct sim_world *w, const struct sim_chat_in *c, uint64_t n)
{
    const struct sim_live_chat *l = c->live;
    size_t low = 0, high = l->n_gone;

    while (low < high) { /* how many of those gone lie at or below the n-th that is there */
        size_t middle = low + (high - low) / 2;

        if (sim_world_rank(w, &c->pub, l->gone[middle]) <= n)
            low = middle + 1;
        else
            high = middle;
    }
    return n + low;
}

bool sim_live_date(const struct sim_chat_in *c, int64_t local, int64_t *ret)
{
    const struct sim_live_chat *l = c->live;
    size_t at = tail_lower(l, local);

    if (local <= c->local_top || l->n_tail == 0)
        return false;
    *ret = l->tail[TG_MIN(at, l->n_tail - 1)].date;
    return true;
}

void sim_live_free(struct sim_live_chat *l)
{
    if (!l)
        return;
    free(l->tail);
    free(l->gone);
    free(l->touched);
    free(l);
}

/* ---- what a message then says ---- */

static void set_text(struct sim_build *b, struct tl_value *m, uint32_t version)
{
    struct sim_rng r = { sim_hash(b->plan->key, 0xed170000 + version) };
    struct sim_say say = { .script = (enum sim_script)b->chat->script,
                           .units = 20 + sim_below(&r, 200),
                           .n_spans = b->plan->mention ? 1 : sim_below(&r, 3),
                           .mention = b->plan->mention != 0 };
    struct sim_said said;

    if (!sim_text_make(&r, &say, b->arena, &said)) {
        tl_set_obj(m, TLN_message, NULL);
        return;
    }
    tl_set_str(m, TLN_message, said.text);
    tl_unset(m, TLN_entities);
    sim_set_entities(b, m, &said);
}

static void set_reactions(struct tl_value *m, uint32_t n)
{
    struct tl_value *r = tl_set_new(m, TLN_reactions, TLN_messageReactions);
    struct tl_value *count = tl_add_new(tl_set_vector(r, TLN_results), TLN_reactionCount);

    tl_set_cstr(tl_set_new(count, TLN_reaction, TLN_reactionEmoji), TLN_emoticon,
                "\xf0\x9f\x91\x8d");
    tl_set_int(count, TLN_count, (int32_t)n);
}

void sim_live_dress(struct sim_build *b, struct tl_value *m)
{
    const struct sim_live_chat *l = b->chat->live;
    size_t at = l ? touched_lower(l, b->plan->id) : 0;
    const struct sim_touched *t;

    if (!l || at == l->n_touched || l->touched[at].id != b->plan->id)
        return;
    t = &l->touched[at];
    if (t->version)
        set_text(b, m, t->version);
    if (t->reactions)
        set_reactions(m, t->reactions);
    tl_set_int(m, TLN_edit_date, t->date);
    tl_set_true(m, TLN_edit_hide, t->version == 0);
}

/* ---- changes ---- */

static struct sim_chat_in *changed(struct sim_world *w, const struct sim_chat *chat)
{
    struct sim_chat_in *c = &w->chat[chat->index];

    if (!c->live && (c->live = calloc(1, sizeof *c->live)))
        c->live->n_computed = c->pub.n_messages;
    return c->live ? c : NULL;
}

bool sim_world_alive(const struct sim_world *w, const struct sim_chat *chat)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    return !c->import && !c->closed && c->migrated_to < 0 && chat->kind != SIM_LEFT_CHANNEL &&
           chat->kind != SIM_DISCUSSION;
}

/* @return the local number behind all others of the channel, or of the account's box */
static int64_t next_local(struct sim_world *w, const struct sim_chat_in *c)
{
    int64_t top = 0;

    if (c->owner < 0)
        return c->local_top + (int64_t)c->live->n_tail + 1;
    if (w->box_top[c->owner])
        return w->box_top[c->owner] + 1;
    for (size_t i = 0; i < w->n_chats; i++) {
        if (w->chat[i].owner == c->owner)
            top = TG_MAX(top, w->chat[i].local_top);
    }
    return top + 1;
}

int64_t sim_world_post(struct sim_world *w, const struct sim_chat *chat, int64_t date)
{
    struct sim_chat_in *c = changed(w, chat);
    int64_t local = c ? next_local(w, c) : 0;
    struct sim_tail *t;

    if (!c || local > INT32_MAX / c->stride - 1)
        return 0;
    t = insert((void **)&c->live->tail, &c->live->n_tail, &c->live->tail_cap, c->live->n_tail,
               sizeof *t);
    if (!t)
        return 0;
    date = TG_MAX(date, c->live->n_tail > 1 ? (int64_t)t[-1].date : c->date_to);
    *t = (struct sim_tail){ .local = (int32_t)local, .date = (int32_t)date };
    if (c->owner >= 0)
        w->box_top[c->owner] = local;
    c->pub.n_messages++;
    c->pub.top_id = (int32_t)sim_local_to_id(c, local);
    return c->pub.top_id;
}

/* A message with a text of its own, or room for one. */
static bool can_be_edited(const struct sim_world *w, const struct sim_chat_in *c, int64_t id)
{
    struct sim_plan plan;

    if (!sim_world_exists(w, &c->pub, id))
        return false;
    sim_plan_make(w, c, sim_id_to_local(c, id), &plan);
    return plan.action == SIM_MESSAGE && plan.forward == SIM_OWN &&
           (plan.media <= SIM_WEBPAGE || plan.media == SIM_FILE || plan.media == SIM_GIF);
}

static struct sim_touched *touch(struct sim_world *w, const struct sim_chat *chat, int64_t id,
                                 int64_t date)
{
    struct sim_chat_in *c = changed(w, chat);
    struct sim_touched *t;
    size_t at;

    if (!c || !can_be_edited(w, c, id))
        return NULL;
    at = touched_lower(c->live, id);
    if (at < c->live->n_touched && c->live->touched[at].id == id) {
        t = &c->live->touched[at];
    } else {
        t = insert((void **)&c->live->touched, &c->live->n_touched, &c->live->touched_cap, at,
                   sizeof *t);
        if (!t)
            return NULL;
        *t = (struct sim_touched){ .id = (int32_t)id };
    }
    t->date = (int32_t)TG_MAX(date, (int64_t)t->date);
    return t;
}

bool sim_world_edit(struct sim_world *w, const struct sim_chat *chat, int64_t id, int64_t date)
{
    struct sim_touched *t = touch(w, chat, id, date);

    if (t)
        t->version++;
    return t != NULL;
}

bool sim_world_react(struct sim_world *w, const struct sim_chat *chat, int64_t id, int64_t date)
{
    struct sim_touched *t = touch(w, chat, id, date);

    if (t)
        t->reactions++;
    return t != NULL;
}

bool sim_world_delete(struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    struct sim_chat_in *c = changed(w, chat);
    int32_t *gone;

    if (!c || !sim_world_exists(w, chat, id))
        return false;
    gone = insert((void **)&c->live->gone, &c->live->n_gone, &c->live->gone_cap,
                  gone_lower(c->live, id), sizeof *gone);
    if (!gone)
        return false;
    *gone = (int32_t)id;
    c->pub.n_messages--;
    if (id == c->pub.top_id)
        c->pub.top_id = c->pub.n_messages
                            ? (int32_t)sim_world_select(w, chat, c->pub.n_messages - 1)
                            : 0;
    return true;
}

size_t sim_world_gone(const struct sim_world *w, const struct sim_chat *chat, const int32_t **ret)
{
    const struct sim_live_chat *l = sim_in(w, chat)->live;

    *ret = l ? l->gone : NULL;
    return l ? l->n_gone : 0;
}

void sim_world_pts_add(struct sim_world *w, const struct sim_chat *chat, int32_t count)
{
    assert(count >= 0);
    w->chat[chat->index].pub.pts += count;
}
