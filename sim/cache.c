/* SPDX-License-Identifier: MIT */
/*
 * cache.c - chained hash table whose entries also stand in a list by last use
 *
 * Threads: none
 */
#include "sim/cache.h"

#include <assert.h>
#include <stdlib.h>

enum { BUCKETS = 1 << 16 };

struct entry {
    struct entry *chain;          /* next in the bucket */
    struct entry *newer, *older;  /* list by last use */
    uint8_t key[SIM_CACHE_KEY];
    size_t size;                  /* of the allocation */
    struct sim_cached reply;
    /* ids, then body */
};

struct sim_cache {
    struct entry *bucket[BUCKETS];
    struct entry *newest, *oldest;
    uint64_t bytes, bytes_max;
};

struct sim_cache *sim_cache_new(uint64_t bytes_max)
{
    struct sim_cache *c = calloc(1, sizeof *c);

    if (c)
        c->bytes_max = bytes_max;
    return c;
}

void sim_cache_free(struct sim_cache *c)
{
    struct entry *older;

    if (!c)
        return;
    for (struct entry *e = c->newest; e; e = older) {
        older = e->older;
        free(e);
    }
    free(c);
}

static struct entry **bucket_of(struct sim_cache *c, const uint8_t *key)
{
    return &c->bucket[tg_le32(key) % BUCKETS];
}

static void list_remove(struct sim_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void list_push(struct sim_cache *c, struct entry *e)
{
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void drop_oldest(struct sim_cache *c)
{
    struct entry *e = c->oldest;
    struct entry **at = bucket_of(c, e->key);

    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    list_remove(c, e);
    c->bytes -= e->size;
    free(e);
}

static struct entry *find(struct sim_cache *c, const uint8_t *key)
{
    struct entry *e = *bucket_of(c, key);

    while (e && memcmp(e->key, key, SIM_CACHE_KEY))
        e = e->chain;
    return e;
}

bool sim_cache_get(struct sim_cache *c, const uint8_t key[SIM_CACHE_KEY], struct sim_cached *ret)
{
    struct entry *e = find(c, key);

    if (!e)
        return false;
    list_remove(c, e);
    list_push(c, e);
    *ret = e->reply;
    return true;
}

void sim_cache_put(struct sim_cache *c, const uint8_t key[SIM_CACHE_KEY],
                   const struct sim_cached *reply)
{
    size_t ids_size = reply->n_ids * sizeof *reply->ids;
    size_t size = sizeof(struct entry) + ids_size + reply->len;
    struct entry **bucket = bucket_of(c, key);
    struct entry *e;
    uint8_t *at;

    if (size > c->bytes_max / 4 || find(c, key) || !(e = calloc(1, size)))
        return;
    while (c->bytes + size > c->bytes_max)
        drop_oldest(c);
    at = (uint8_t *)(e + 1);
    memcpy(e->key, key, SIM_CACHE_KEY);
    e->size = size;
    e->reply = *reply;
    e->reply.ids = (const int32_t *)(const void *)at;
    e->reply.body = at + ids_size;
    if (ids_size)
        memcpy(at, reply->ids, ids_size);
    memcpy(at + ids_size, reply->body, reply->len);
    e->chain = *bucket;
    *bucket = e;
    list_push(c, e);
    c->bytes += size;
    assert(c->bytes <= c->bytes_max);
}
