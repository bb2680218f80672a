/* SPDX-License-Identifier: MIT */
/*
 * peers.c - see peers.h
 *
 * Peers stand in one array in order of first sight; two open-addressing tables lead to them, by id
 * and by lower-case username:
 *
 *   by_id   [ . 3 . . 0 1 . 2 ]  -> peer[3]        slots hold index + 1, 0 is free
 *   by_name [ . . 2 . . 1 . . ]
 *
 * Nothing is deleted singly. When the array is full, the sixteenth that was seen longest ago goes
 * at once: the rest moves together and the tables are built anew.
 */
#include "telegram/peers.h"

#include <assert.h>
#include <stdlib.h>

struct held {
    struct tg_peer peer; /* name and username point into one allocation that starts with name */
    uint64_t seen;
    uint32_t name_hash;
};

struct tg_peers_table {
    struct held *peer;
    size_t n, cap;
    uint32_t *by_id, *by_name;
    uint32_t mask;    /* of both tables */
    uint32_t n_names; /* slots of by_name in use, with those whose peer has another name by now */
    uint64_t clock;
};

void tg_peers_init(struct tg_peers *p)
{
    p->table = NULL;
}

void tg_peers_done(struct tg_peers *p)
{
    struct tg_peers_table *t = p->table;

    if (t) {
        for (size_t i = 0; i < t->n; i++)
            free((char *)(uintptr_t)t->peer[i].peer.name);
        free(t->peer);
        free(t->by_id);
        free(t->by_name);
        free(t);
    }
    p->table = NULL;
}

/* ---- the two tables ---- */

static uint32_t hash_id(int64_t id)
{
    uint64_t z = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)(z >> 32);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static uint32_t hash_name(const char *at, size_t len)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)lower(at[i])) * 16777619u;
    return h ^ h >> 15;
}

static bool same_name(const char *held, const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower(held[i]) != lower(at[i]))
            return false; /* a NUL in held ends here as well: usernames have none */
    return held[len] == 0;
}

static struct held *find_id(const struct tg_peers_table *t, int64_t id)
{
    for (uint32_t i = hash_id(id) & t->mask; t->by_id[i]; i = (i + 1) & t->mask)
        if (t->peer[t->by_id[i] - 1].peer.id == id)
            return &t->peer[t->by_id[i] - 1];
    return NULL;
}

static struct held *find_name(const struct tg_peers_table *t, const char *at, size_t len)
{
    uint32_t hash = hash_name(at, len);

    for (uint32_t i = hash & t->mask; t->by_name[i]; i = (i + 1) & t->mask) {
        struct held *h = &t->peer[t->by_name[i] - 1];

        if (h->name_hash == hash && h->peer.username && same_name(h->peer.username, at, len))
            return h;
    }
    return NULL;
}

static void insert(uint32_t *slot, uint32_t mask, uint32_t hash, uint32_t index)
{
    uint32_t i = hash & mask;

    while (slot[i])
        i = (i + 1) & mask;
    slot[i] = index + 1;
}

/* Builds both tables with room for twice `cap` peers. */
static bool rebuild(struct tg_peers_table *t, size_t cap)
{
    uint32_t size = 64, *by_id, *by_name;

    while (size < 2 * cap)
        size *= 2;
    by_id = calloc(size, sizeof *by_id);
    by_name = calloc(size, sizeof *by_name);
    if (!by_id || !by_name) {
        free(by_id);
        free(by_name);
        return false;
    }
    free(t->by_id);
    free(t->by_name);
    t->by_id = by_id;
    t->by_name = by_name;
    t->mask = size - 1;
    t->n_names = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        insert(by_id, t->mask, hash_id(t->peer[i].peer.id), i);
        if (t->peer[i].peer.username) {
            insert(by_name, t->mask, t->peer[i].name_hash, i);
            t->n_names++;
        }
    }
    return true;
}

/* ---- room ---- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Drops the sixteenth of the peers that was seen longest ago. */
static bool evict(struct tg_peers_table *t)
{
    uint64_t *seen = malloc(t->n * sizeof *seen), limit;
    size_t kept = 0;

    if (!seen)
        return false;
    for (size_t i = 0; i < t->n; i++)
        seen[i] = t->peer[i].seen;
    qsort(seen, t->n, sizeof *seen, compare_u64);
    limit = seen[t->n / 16];
    free(seen);
    for (size_t i = 0; i < t->n; i++) {
        if (t->peer[i].seen < limit)
            free((char *)(uintptr_t)t->peer[i].peer.name);
        else
            t->peer[kept++] = t->peer[i];
    }
    t->n = kept;
    return rebuild(t, t->cap);
}

static bool make_room(struct tg_peers_table *t)
{
    size_t cap = t->cap ? TG_MIN(t->cap * 2, (size_t)TG_PEERS_MAX) : 32;
    struct held *more;

    if (t->n < t->cap)
        return true;
    if (t->n == TG_PEERS_MAX)
        return evict(t);
    more = realloc(t->peer, cap * sizeof *more);
    if (!more)
        return false;
    t->peer = more;
    if (!rebuild(t, cap))
        return false;
    t->cap = cap;
    return true;
}

/* ---- put ---- */

/* Copies both texts into one allocation. @return false out of memory, nothing is changed then */
static bool set_texts(struct held *h, const struct tg_peer *from)
{
    const char *name = from->name ? from->name : "";
    size_t n_name = strlen(name) + 1, n_user = from->username ? strlen(from->username) + 1 : 0;
    char *text;

    if (h->peer.name && strcmp(h->peer.name, name) == 0 && !h->peer.username == !n_user &&
        (!n_user || strcmp(h->peer.username, from->username) == 0))
        return true;
    text = malloc(n_name + n_user);
    if (!text)
        return false;
    memcpy(text, name, n_name);
    if (n_user)
        memcpy(text + n_name, from->username, n_user);
    free((char *)(uintptr_t)h->peer.name);
    h->peer.name = text;
    h->peer.username = n_user ? text + n_name : NULL;
    return true;
}

static bool copy_peer(struct held *h, const struct tg_peer *from)
{
    struct tg_peer next = *from;

    if (!set_texts(h, from))
        return false;
    next.name = h->peer.name;
    next.username = h->peer.username;
    if (next.access_hash == 0 && !h->peer.min)
        next.access_hash = h->peer.access_hash; /* some replies leave out what they told before */
    h->peer = next;
    return true;
}

/* Makes the peer findable under its username, and whoever had that name before no longer. */
static bool index_name(struct tg_peers_table *t, struct held *h)
{
    size_t len = strlen(h->peer.username);
    struct held *before;

    /* a slot of an earlier time may still lead here, before the one of who has the name now */
    h->name_hash = ~hash_name(h->peer.username, len);
    before = find_name(t, h->peer.username, len);
    h->name_hash = ~h->name_hash;
    if (before && before != h)
        before->peer.username = NULL;
    if (t->n_names >= t->mask - t->mask / 4)
        return rebuild(t, t->cap); /* this peer is among those that are indexed anew */
    insert(t->by_name, t->mask, h->name_hash, (uint32_t)(h - t->peer));
    t->n_names++;
    return true;
}

static struct held *add(struct tg_peers_table *t, const struct tg_peer *peer)
{
    struct held *h;

    if (!make_room(t))
        return NULL;
    h = &t->peer[t->n];
    *h = (struct held){ 0 };
    if (!copy_peer(h, peer))
        return NULL;
    insert(t->by_id, t->mask, hash_id(peer->id), (uint32_t)t->n);
    t->n++;
    return h;
}

bool tg_peers_put(struct tg_peers *p, const struct tg_peer *peer)
{
    struct tg_peers_table *t = p->table;
    struct held *h;
    bool same;

    assert(peer->id != 0);
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t || !rebuild(t, 32)) {
            free(t);
            return false;
        }
        p->table = t;
    }
    h = find_id(t, peer->id);
    if (h && peer->min && !h->peer.min) {
        h->seen = ++t->clock;
        return true;
    }
    same = h && h->peer.username && peer->username &&
           strcmp(h->peer.username, peer->username) == 0;
    if (h ? !copy_peer(h, peer) : !(h = add(t, peer)))
        return false;
    h->seen = ++t->clock;
    return !h->peer.username || same || index_name(t, h);
}

/* ---- look up ---- */

const struct tg_peer *tg_peers_get(const struct tg_peers *p, int64_t id)
{
    struct held *h = p->table ? find_id(p->table, id) : NULL;

    return h ? &h->peer : NULL;
}

const struct tg_peer *tg_peers_by_username(const struct tg_peers *p, struct tg_str name)
{
    struct held *h = p->table && name.len ? find_name(p->table, name.at, name.len) : NULL;

    return h ? &h->peer : NULL;
}

size_t tg_peers_count(const struct tg_peers *p)
{
    return p->table ? p->table->n : 0;
}

const struct tg_peer *tg_peers_at(const struct tg_peers *p, size_t i)
{
    assert(i < tg_peers_count(p));
    return &p->table->peer[i].peer;
}
