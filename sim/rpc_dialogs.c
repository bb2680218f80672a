/* SPDX-License-Identifier: MIT */
/*
 * rpc_dialogs.c - lists of chats, in pages
 *
 * The world does not change, so each account's list is sorted once: by the date of the newest
 * message, then by the chat's number. A page begins behind the chat that the offset names.
 *
 * Threads: none      Limits: 100 dialogs a page
 */
#include "sim/rpc.h"
#include "sim/targets.h"

#include <stdlib.h>

struct dialog {
    int64_t date;
    uint32_t chat;
};

struct sim_dialogs {
    struct sim_dialogs *next;
    const struct sim_account *account;
    size_t n;
    struct dialog dialog[];
};

void sim_dialogs_free(struct sim_core *core)
{
    for (struct sim_dialogs *d = core->dialogs, *next; d; d = next) {
        next = d->next;
        free(d);
    }
    core->dialogs = NULL;
}

static int later_first(const void *a, const void *b)
{
    const struct dialog *x = a, *y = b;

    if (x->date != y->date)
        return x->date < y->date ? 1 : -1;
    return x->chat < y->chat ? -1 : x->chat > y->chat;
}

static const struct sim_dialogs *list_of(struct sim_call *c)
{
    const struct sim_world *w = c->core->world;
    size_t n_chats = sim_world_chats(w);
    struct sim_dialogs *d;

    for (d = c->core->dialogs; d; d = d->next) {
        if (d->account == c->me)
            return d;
    }
    d = calloc(1, sizeof *d + n_chats * sizeof d->dialog[0]);
    if (!d)
        return NULL;
    d->account = c->me;
    for (size_t i = 0; i < n_chats; i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        if (sim_world_member(w, c->me, chat))
            d->dialog[d->n++] = (struct dialog){ .date = sim_world_date(w, chat, chat->top_id),
                                                 .chat = (uint32_t)i };
    }
    qsort(d->dialog, d->n, sizeof d->dialog[0], later_first);
    d->next = c->core->dialogs;
    c->core->dialogs = d;
    return d;
}

/* Whether a chat has messages in the range that the call is restricted to. */
static bool in_range(const struct sim_call *c, const struct sim_chat *chat)
{
    const struct sim_world *w = c->core->world;

    if (!c->wraps.ranged)
        return true;
    return sim_world_rank(w, chat, (int64_t)c->wraps.range_max + 1) >
           sim_world_rank(w, chat, c->wraps.range_min);
}

/* Where a page begins. */
struct offset {
    int64_t marked_id; /* 0: none */
    int64_t date, id;
};

static bool behind(const struct dialog *d, const struct sim_chat *chat, const struct offset *o)
{
    if (o->date && d->date != o->date)
        return d->date < o->date;
    return o->id == 0 || chat->top_id < o->id;
}

static size_t first_of(struct sim_call *c, const struct sim_dialogs *d, const struct offset *o)
{
    const struct sim_world *w = c->core->world;

    if (!o->marked_id && !o->date && !o->id)
        return 0;
    for (size_t i = 0; o->marked_id && i < d->n; i++) {
        if (sim_world_chat(w, d->dialog[i].chat)->marked_id == o->marked_id)
            return i + 1;
    }
    for (size_t i = 0; i < d->n; i++) {
        if (behind(&d->dialog[i], sim_world_chat(w, d->dialog[i].chat), o))
            return i;
    }
    return d->n;
}

/* A reply of dialogs while it is filled. */
struct reply {
    struct tl_value *object, *dialogs, *messages;
};

static struct reply reply_new(struct sim_call *c, uint32_t name)
{
    struct reply r = { .object = tl_obj(c->arena, name) };

    r.dialogs = tl_set_vector(r.object, TLN_dialogs);
    r.messages = tl_set_vector(r.object, TLN_messages);
    return r;
}

static void reply_add(struct sim_call *c, struct reply *r, const struct sim_chat *chat)
{
    struct sim_core *core = c->core;

    tl_add_obj(r->dialogs, sim_world_dialog(core->world, c->me, chat, c->arena));
    if (chat->n_messages) {
        tl_add_obj(r->messages,
                   sim_message(c, chat, chat->top_id));
        sim_peers_add_message(core->peers, core->world, chat, chat->top_id);
    }
    sim_peers_add(core->peers, chat->marked_id);
}

/* The whole list, where it fits and was asked for from the start, else a slice of it. */
static struct tl_value *page(struct sim_call *c, const struct sim_dialogs *d, size_t from,
                             size_t limit)
{
    const struct sim_world *w = c->core->world;
    bool whole = from == 0 && limit >= d->n;
    struct reply r = reply_new(c, whole ? TLN_messages_dialogs : TLN_messages_dialogsSlice);
    size_t given = 0;

    for (size_t i = from; i < d->n && given < limit; i++) {
        const struct sim_chat *chat = sim_world_chat(w, d->dialog[i].chat);

        if (in_range(c, chat)) {
            reply_add(c, &r, chat);
            given++;
        }
    }
    if (!whole)
        tl_set_int(r.object, TLN_count, (int32_t)d->n);
    return sim_with_peers(c, r.object);
}

struct tl_value *sim_get_dialogs(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *peer = tl_get_obj(q, TLN_offset_peer);
    const struct sim_dialogs *d = list_of(c);
    int32_t limit = tl_get_int(q, TLN_limit, 0);
    struct sim_target at = { .marked_id = 0 };
    struct offset offset = { .date = tl_get_int(q, TLN_offset_date, 0),
                             .id = tl_get_int(q, TLN_offset_id, 0) };

    if (!d)
        return sim_fail_code(c, 500, "MEMORY_LIMIT");
    if (tl_get_int(q, TLN_folder_id, 0) != 0) /* nothing is archived */
        return reply_new(c, TLN_messages_dialogs).object;
    if (tl_name(peer) != TLN_inputPeerEmpty && tl_name(peer)) {
        if (!sim_target_peer(c, peer, &at))
            return sim_fail(c, "OFFSET_PEER_ID_INVALID");
        offset.marked_id = at.marked_id;
    }
    limit = limit <= 0 || limit > SIM_PAGE_MAX ? SIM_PAGE_MAX : limit;
    return page(c, d, first_of(c, d, &offset), (size_t)limit);
}

static struct tl_value *with_state(struct sim_call *c, struct tl_value *reply)
{
    tl_set_obj(reply, TLN_state, sim_state_value(c));
    return sim_with_peers(c, reply);
}

struct tl_value *sim_get_pinned_dialogs(struct sim_call *c, const struct tl_value *q)
{
    (void)q; /* nothing is pinned */
    return with_state(c, reply_new(c, TLN_messages_peerDialogs).object);
}

struct tl_value *sim_get_peer_dialogs(struct sim_call *c, const struct tl_value *q)
{
    const struct tl_value *peers = tl_get_vector(q, TLN_peers);
    struct reply r = reply_new(c, TLN_messages_peerDialogs);

    if (tl_len(peers) > SIM_PAGE_MAX)
        return sim_fail(c, "LIMIT_INVALID");
    for (uint32_t i = 0; i < tl_len(peers); i++) {
        const struct tl_value *input = tl_item(peers, i);
        struct sim_target t;

        if (tl_name(input) != TLN_inputDialogPeer)
            continue;
        if (!sim_target_open(c, tl_get_obj(input, TLN_peer), &t))
            return NULL;
        if (t.chat)
            reply_add(c, &r, t.chat);
    }
    return with_state(c, r.object);
}

struct tl_value *sim_get_dialog_filters(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v, *list;

    (void)q;
    if (c->schema->layer < 180) {
        v = list = tl_vector(c->arena);
    } else {
        v = tl_obj(c->arena, TLN_messages_dialogFilters);
        list = tl_set_vector(v, TLN_filters);
    }
    tl_add_new(list, TLN_dialogFilterDefault);
    return v;
}
