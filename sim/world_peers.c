/* SPDX-License-Identifier: MIT */
/*
 * world_peers.c - the users and chats that a reply must carry, each once, in the order met
 *
 * Threads: none      Limits: 4096 peers a reply; further ones are left out
 */
#include <stdlib.h>

#include "sim/import.h"
#include "sim/world_int.h"

enum { PEERS_MAX = 4096, SLOTS = 8192 };

struct sim_peers {
    uint32_t n;
    int64_t id[PEERS_MAX];
    uint16_t slot[SLOTS]; /* number + 1 of the peer, by hash */
};

struct sim_peers *sim_peers_new(void)
{
    return calloc(1, sizeof(struct sim_peers));
}

void sim_peers_free(struct sim_peers *p)
{
    free(p);
}

static uint32_t place(const struct sim_peers *p, int64_t id)
{
    uint32_t i = (uint32_t)(sim_mix((uint64_t)id) >> 40) % SLOTS;

    while (p->slot[i] && p->id[p->slot[i] - 1] != id)
        i = (i + 1) % SLOTS;
    return i;
}

void sim_peers_clear(struct sim_peers *p)
{
    /* A page has some dozens: emptying their slots beats wiping the table. Taken from the end, each
     * search passes only slots that are still full. */
    while (p->n) {
        p->slot[place(p, p->id[p->n - 1])] = 0;
        p->n--;
    }
}

void sim_peers_add(struct sim_peers *p, int64_t marked_id)
{
    uint32_t i;

    if (marked_id == 0 || p->n == PEERS_MAX)
        return;
    i = place(p, marked_id);
    if (p->slot[i])
        return;
    p->id[p->n++] = marked_id;
    p->slot[i] = (uint16_t)p->n;
}

static void seen(void *ctx, int64_t marked_id)
{
    sim_peers_add(ctx, marked_id);
}

void sim_peers_add_message(struct sim_peers *p, const struct sim_world *w,
                           const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    struct sim_plan plan;

    if (!sim_world_exists(w, chat, id))
        return;
    if (c->import) {
        sim_peers_add(p, chat->marked_id);
        sim_import_peers(w, c, id, seen, p);
        return;
    }
    sim_plan_make(w, c, sim_id_to_local(c, id), &plan);
    sim_plan_peers(c, &plan, seen, p);
    if (chat->kind == SIM_PRIVATE) /* the own side, too */
        sim_peers_add(p, w->account[c->owner].user_id);
    if (plan.action == SIM_MIGRATE_TO)
        sim_peers_add(p, w->chat[c->migrated_to].pub.marked_id);
    if (plan.action == SIM_MIGRATE_FROM)
        sim_peers_add(p, w->chat[chat->migrated_from].pub.marked_id);
}

static struct tl_value *chat_of(const struct sim_world *w, const struct sim_account *viewer,
                                int64_t marked_id, struct tg_arena *arena)
{
    const struct sim_chat *chat = sim_world_chat_by_id(w, marked_id);
    int64_t f = sim_foreign_number(marked_id);

    if (chat)
        return sim_world_chat_value(w, viewer, chat, arena);
    if (w->import)
        return sim_import_chat_value(w, viewer, marked_id, arena);
    return f < 0 ? NULL : sim_foreign_value(w, viewer, (uint32_t)f, arena);
}

void sim_peers_set(struct sim_peers *p, const struct sim_world *w, const struct sim_account *viewer,
                   struct tl_value *reply, struct tg_arena *arena)
{
    struct tl_value *users = tl_set_vector(reply, TLN_users);
    struct tl_value *chats = tl_set_vector(reply, TLN_chats);

    for (uint32_t i = 0; i < p->n; i++) {
        if (p->id[i] > 0) {
            tl_add_obj(users, sim_world_user(w, viewer, p->id[i], arena));
        } else {
            struct tl_value *chat = chat_of(w, viewer, p->id[i], arena);

            if (chat)
                tl_add_obj(chats, chat);
        }
    }
}
