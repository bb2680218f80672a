/* SPDX-License-Identifier: MIT */
/*
 * memory_store.h - a state store in memory that is killed at any call, and whose contents a test
 *                  may break: documents with their versions, and logs; no leases
 */
#ifndef TG_TEST_MEMORY_STORE_H
#define TG_TEST_MEMORY_STORE_H

#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"
#include "tests/seeds.h"

struct stored {
    char kind[16], key[160];
    bool log;
    uint64_t n, fence; /* version, or number in the log */
    uint8_t *bytes;
    size_t len;
};

struct memory_store {
    struct tg_store store;
    struct stored *at; /* of one key in the order of their numbers */
    size_t n, cap;
    uint64_t last;     /* number given to an entry of a log */
    struct random *r;
    int64_t kill_in;   /* calls that change something until it is killed; < 0: not */
    uint32_t shaky;    /* percent of calls that fail, done or not, and can be made again */
    bool dead;
    uint64_t n_calls, n_gets, n_puts;
};

static void stored_free(struct memory_store *m, size_t i)
{
    free(m->at[i].bytes);
    memmove(m->at + i, m->at + i + 1, (--m->n - i) * sizeof *m->at);
}

static void memory_store_clear(struct memory_store *m)
{
    while (m->n)
        stored_free(m, m->n - 1);
}

static void memory_store_done(struct memory_store *m)
{
    memory_store_clear(m);
    free(m->at);
    m->at = NULL;
    m->cap = 0;
}

static struct stored *stored_add(struct memory_store *m, const char *kind, const char *key,
                                 const void *bytes, size_t len)
{
    struct stored *s;

    if (m->n == m->cap)
        m->at = realloc(m->at, (m->cap = m->cap ? 2 * m->cap : 64) * sizeof *m->at);
    s = &m->at[m->n++];
    *s = (struct stored){ .len = len, .bytes = malloc(len ? len : 1) };
    snprintf(s->kind, sizeof s->kind, "%s", kind);
    snprintf(s->key, sizeof s->key, "%s", key);
    if (len)
        memcpy(s->bytes, bytes, len);
    return s;
}

/* What is stored becomes a copy of that. */
static inline void memory_store_copy(struct memory_store *to, const struct memory_store *from)
{
    memory_store_clear(to);
    for (size_t i = 0; i < from->n; i++) {
        const struct stored *s = &from->at[i];
        struct stored *copy = stored_add(to, s->kind, s->key, s->bytes, s->len);

        copy->log = s->log;
        copy->n = s->n;
        copy->fence = s->fence;
    }
    to->last = TG_MAX(to->last, from->last);
}

static bool is_of(const struct stored *s, bool log, const char *kind, const char *key)
{
    return s->log == log && strcmp(s->kind, kind) == 0 && strcmp(s->key, key) == 0;
}

/* Index of the newest version; SIZE_MAX: none. */
static size_t stored_newest(const struct memory_store *m, const char *kind, const char *key)
{
    for (size_t i = m->n; i--;)
        if (is_of(&m->at[i], false, kind, key))
            return i;
    return SIZE_MAX;
}

/* What becomes of a call: done, and told so. */
struct fate {
    bool done, told;
};

static struct fate memory_fate(struct memory_store *m, bool changes)
{
    m->n_calls++;
    if (m->dead)
        return (struct fate){ false, false };
    if (changes && m->kill_in >= 0 && m->kill_in-- == 0) {
        m->dead = true;
        return (struct fate){ chance(m->r, 50), false };
    }
    if (m->shaky && chance(m->r, m->shaky))
        return (struct fate){ changes && chance(m->r, 50), false };
    return (struct fate){ true, true };
}

static tg_code memory_failed(struct tg_error *err)
{
    return tg_fail(err, TG_STATE, "the store did not answer");
}

static tg_code memory_get(void *self, const char *kind, const char *key, struct tg_doc *ret,
                          struct tg_buf *bytes, struct tg_error *err)
{
    struct memory_store *m = self;
    size_t i = stored_newest(m, kind, key);

    m->n_gets++;
    if (!memory_fate(m, false).told)
        return memory_failed(err);
    if (i == SIZE_MAX)
        return TG_END;
    *ret = (struct tg_doc){ .version = m->at[i].n, .fence = m->at[i].fence };
    tg_buf_add(bytes, m->at[i].bytes, m->at[i].len);
    return TG_OK;
}

static tg_code memory_put(void *self, const char *kind, const char *key, uint64_t expect,
                          const struct tg_doc *stamp, const void *bytes, size_t len,
                          struct tg_error *err)
{
    struct memory_store *m = self;
    struct fate fate = memory_fate(m, true);
    size_t i = stored_newest(m, kind, key);
    uint64_t now = i == SIZE_MAX ? 0 : m->at[i].n;
    struct stored *s;

    m->n_puts++;
    if ((fate.done || fate.told) &&
        (now != expect || (i != SIZE_MAX && m->at[i].fence > stamp->fence)))
        return tg_fail(err, TG_CONFLICT, "'%s' is at version %llu, not %llu", key,
                       (unsigned long long)now, (unsigned long long)expect);
    if (fate.done) {
        s = stored_add(m, kind, key, bytes, len);
        s->n = expect + 1;
        s->fence = stamp->fence;
    }
    return fate.told ? TG_OK : memory_failed(err);
}

static tg_code memory_history(void *self, const char *kind, const char *key, tg_doc_seen seen,
                              void *ctx, struct tg_error *err)
{
    struct memory_store *m = self;

    if (!memory_fate(m, false).told)
        return memory_failed(err);
    for (size_t i = m->n; i--;)
        if (is_of(&m->at[i], false, kind, key) &&
            !seen(ctx, key, &(struct tg_doc){ .version = m->at[i].n }, m->at[i].bytes,
                  m->at[i].len))
            break;
    return TG_OK;
}

static tg_code memory_prune(void *self, const char *kind, const char *key, uint64_t n_keep,
                            struct tg_error *err)
{
    struct memory_store *m = self;
    struct fate fate = memory_fate(m, true);
    uint64_t n = 0;

    for (size_t i = m->n; fate.done && i--;)
        if (is_of(&m->at[i], false, kind, key) && n++ >= n_keep)
            stored_free(m, i);
    return fate.told ? TG_OK : memory_failed(err);
}

static tg_code memory_append(void *self, const char *kind, const char *key, int64_t at_us,
                             const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err)
{
    struct memory_store *m = self;
    struct fate fate = memory_fate(m, true);
    struct stored *s;

    (void)at_us;
    if (fate.done) {
        s = stored_add(m, kind, key, bytes, len);
        s->log = true;
        *ret_n = s->n = ++m->last;
    }
    return fate.told ? TG_OK : memory_failed(err);
}

static tg_code memory_read(void *self, const char *kind, const char *key, uint64_t from,
                           tg_log_seen seen, void *ctx, struct tg_error *err)
{
    struct memory_store *m = self;

    if (!memory_fate(m, false).told)
        return memory_failed(err);
    for (size_t i = 0; i < m->n; i++)
        if (is_of(&m->at[i], true, kind, key) && m->at[i].n >= from &&
            !seen(ctx, &(struct tg_log_entry){ m->at[i].n, 0, m->at[i].bytes, m->at[i].len }))
            break;
    return TG_OK;
}

static tg_code memory_drop(void *self, const char *kind, const char *key, uint64_t from,
                           uint64_t to, struct tg_error *err)
{
    struct memory_store *m = self;
    struct fate fate = memory_fate(m, true);

    for (size_t i = m->n; fate.done && i--;)
        if (is_of(&m->at[i], true, kind, key) && m->at[i].n >= from && m->at[i].n <= to)
            stored_free(m, i);
    return fate.told ? TG_OK : memory_failed(err);
}

static const struct tg_store_ops memory_ops = {
    .get = memory_get, .put = memory_put, .history = memory_history, .prune = memory_prune,
    .append = memory_append, .read = memory_read, .drop = memory_drop,
};

/* @param m  zeroed */
static void memory_store_init(struct memory_store *m, struct random *r)
{
    m->store = (struct tg_store){ &memory_ops, m, NULL };
    m->r = r;
    m->kill_in = -1;
}

#endif
