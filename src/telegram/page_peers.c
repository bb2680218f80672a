/* SPDX-License-Identifier: MIT */
/*
 * page_peers.c - the users and chats of a reply: who is who, and what the peer cache is told
 */
#include <assert.h>
#include <stdlib.h>

#include "telegram/page.h"

/* @return the first active one of a vector of usernames */
static struct tg_str active_username(const struct tl_object *o, int i)
{
    struct tl_reader r;
    struct tl_object name;

    for (uint32_t n = tl_at_vector(o, i, &r); n && tl_object_open(o->schema, &r, &name); n--)
        if (tl_field_has(&name, TLN_active))
            return tl_field_str(&name, TLN_username);
    return (struct tg_str){ 0 };
}

static bool grow(struct tg_page *p)
{
    size_t cap = p->cap_peers ? p->cap_peers * 2 : 32;
    struct tg_page_peer *more = realloc(p->peer, cap * sizeof *more);

    if (!more)
        return false;
    p->peer = more;
    p->cap_peers = cap;
    return true;
}

static void take_user(const struct tg_page_shape *shape, const struct tl_object *o,
                      struct tg_page_peer *ret)
{
    ret->first = tl_at_str(o, shape->ix.user_first_name);
    ret->last = tl_at_str(o, shape->ix.user_last_name);
    ret->username = tl_at_str(o, shape->ix.user_username);
    if (!ret->username.len)
        ret->username = active_username(o, shape->ix.user_usernames);
    ret->is = (struct tg_peer){
        .id = tg_mark_user(tl_at_i64(o, shape->ix.user_id, 0)),
        .access_hash = tl_at_i64(o, shape->ix.user_access_hash, 0),
        .kind = TG_PEER_USER,
        .min = tl_at_has(o, shape->ix.user_min),
        .bot = tl_at_has(o, shape->ix.user_bot),
        .deleted = tl_at_has(o, shape->ix.user_deleted),
    };
}

static void take_channel(const struct tg_page_shape *shape, const struct tl_object *o,
                         struct tg_page_peer *ret)
{
    ret->first = tl_at_str(o, shape->ix.channel_title);
    ret->username = tl_at_str(o, shape->ix.channel_username);
    if (!ret->username.len)
        ret->username = active_username(o, shape->ix.channel_usernames);
    ret->is = (struct tg_peer){
        .id = tg_mark_channel(tl_at_i64(o, shape->ix.channel_id, 0)),
        .access_hash = tl_at_i64(o, shape->ix.channel_access_hash, 0),
        .kind = tl_at_has(o, shape->ix.channel_megagroup) ? TG_PEER_SUPERGROUP : TG_PEER_CHANNEL,
        .min = tl_at_has(o, shape->ix.channel_min),
        .forum = tl_at_has(o, shape->ix.channel_forum),
        .protected = tl_at_has(o, shape->ix.channel_noforwards),
        .left = tl_at_has(o, shape->ix.channel_left),
    };
}

static int64_t migrated_to(const struct tl_object *o)
{
    struct tl_object to;

    if (o->ctor->name != TLN_chat || !tl_field_object(o, TLN_migrated_to, &to))
        return 0;
    return tg_mark_channel(tl_field_i64(&to, TLN_channel_id, 0));
}

/* The rare ones: basic groups, and chats that are forbidden. */
static void take_other(const struct tl_object *o, struct tg_page_peer *ret)
{
    bool channel = o->ctor->name == TLN_channelForbidden;
    int64_t id = tl_field_i64(o, TLN_id, 0);

    ret->first = tl_field_str(o, TLN_title);
    ret->is = (struct tg_peer){
        .id = channel ? tg_mark_channel(id) : tg_mark_group(id),
        .access_hash = tl_field_i64(o, TLN_access_hash, 0),
        .kind = !channel                           ? TG_PEER_GROUP
                : tl_field_has(o, TLN_megagroup) ? TG_PEER_SUPERGROUP
                                                   : TG_PEER_CHANNEL,
        .deleted = tl_field_has(o, TLN_deactivated),
        .protected = tl_field_has(o, TLN_noforwards),
        .left = tl_field_has(o, TLN_left) || o->ctor->name != TLN_chat,
        .migrated_to = migrated_to(o),
    };
}

bool tg_page_peer_add(struct tg_page *p, const struct tl_object *o)
{
    struct tg_page_peer peer = { 0 };

    switch (o->ctor->name) {
    case TLN_user:
        take_user(&p->shape, o, &peer);
        break;
    case TLN_channel:
        take_channel(&p->shape, o, &peer);
        break;
    case TLN_channelForbidden:
    case TLN_chat:
    case TLN_chatForbidden:
        take_other(o, &peer);
        break;
    default:
        return true; /* userEmpty, chatEmpty and the like tell nothing */
    }
    if (p->n_peers == TG_PAGE_PEER_MAX)
        return true; /* names beyond the limit stay unknown */
    if (p->n_peers == p->cap_peers && !grow(p))
        return false;
    p->peer[p->n_peers++] = peer;
    return true;
}

static uint32_t hash_id(int64_t id)
{
    return (uint32_t)((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 40);
}

bool tg_page_peer_index(struct tg_page *p)
{
    uint32_t size = 64;

    while (size < 2 * p->n_peers)
        size *= 2;
    if (!p->slot || size > p->slot_mask + 1) {
        uint16_t *slot = calloc(size, sizeof *slot);

        if (!slot)
            return false;
        free(p->slot);
        p->slot = slot;
        p->slot_mask = size - 1;
    } else {
        memset(p->slot, 0, (p->slot_mask + 1) * sizeof *p->slot);
    }
    for (size_t k = 0; k < p->n_peers; k++) {
        uint32_t i = hash_id(p->peer[k].is.id) & p->slot_mask;

        while (p->slot[i])
            i = (i + 1) & p->slot_mask;
        p->slot[i] = (uint16_t)(k + 1);
    }
    return true;
}

const struct tg_page_peer *tg_page_peer_of(const struct tg_page *p, int64_t id)
{
    for (uint32_t i = hash_id(id) & p->slot_mask; p->slot[i]; i = (i + 1) & p->slot_mask)
        if (p->peer[p->slot[i] - 1].is.id == id)
            return &p->peer[p->slot[i] - 1];
    return NULL;
}

/* ---- for the peer cache ---- */

/* Writes name and username as NUL-terminated texts. @return false out of memory */
static bool put_texts(struct tg_buf *b, const struct tg_page_peer *from, struct tg_peer *ret)
{
    size_t username;

    tg_buf_clear(b);
    tg_buf_add(b, from->first.at, from->first.len);
    if (from->first.len && from->last.len)
        tg_buf_byte(b, ' ');
    tg_buf_add(b, from->last.at, from->last.len);
    tg_buf_byte(b, 0);
    username = b->len;
    tg_buf_add(b, from->username.at, from->username.len);
    tg_buf_byte(b, 0);
    if (b->failed)
        return false;
    ret->name = (const char *)b->data;
    ret->username = from->username.len ? (const char *)b->data + username : NULL;
    return true;
}

void tg_page_peers(const struct tg_page *p, void (*seen)(void *ctx, const struct tg_peer *peer),
                   void *ctx)
{
    for (size_t i = 0; i < p->n_peers; i++) {
        struct tg_peer peer = p->peer[i].is;

        if (peer.id && put_texts(&p->scratch->json, &p->peer[i], &peer))
            seen(ctx, &peer);
    }
    tg_buf_clear(&p->scratch->json);
}
