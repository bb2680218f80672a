/* SPDX-License-Identifier: MIT */
/*
 * seen.c - see seen.h
 */
#include "quality/seen.h"

#include <assert.h>
#include <stdlib.h>

enum { CAP_LEAST = 1024, BUFFER = 4096 };

void tg_seen_init(struct tg_seen *s, const struct tg_seen_disk *disk, uint64_t bytes)
{
    *s = (struct tg_seen){ .disk = disk };
    s->n_max = disk ? (size_t)TG_MAX(bytes / 32, UINT64_C(16)) : SIZE_MAX;
}

static void drop_run(const struct tg_seen *s, struct tg_seen_run *run)
{
    if (run->file)
        s->disk->close(run->file);
    free(run->first);
    *run = (struct tg_seen_run){ .n = 0 };
}

void tg_seen_done(struct tg_seen *s)
{
    for (size_t i = 0; i < TG_SEEN_RUNS; i++)
        drop_run(s, &s->run[i]);
    free(s->slot);
    *s = (struct tg_seen){ .n = 0 };
}

static bool is_empty(const struct tg_seen_key *k)
{
    return !k->a && !k->b;
}

static int by_key(const void *x, const void *y)
{
    const struct tg_seen_key *k = x, *l = y;

    if (k->a != l->a)
        return k->a < l->a ? -1 : 1;
    return k->b == l->b ? 0 : k->b < l->b ? -1 : 1;
}

/* ---- in memory ---- */

static struct tg_seen_key *slot_of(const struct tg_seen *s, const struct tg_seen_key *key)
{
    size_t at = key->b & (s->cap - 1);

    while (!is_empty(&s->slot[at]) && by_key(&s->slot[at], key) != 0)
        at = (at + 1) & (s->cap - 1);
    return &s->slot[at];
}

static tg_code grow(struct tg_seen *s, struct tg_error *err)
{
    struct tg_seen fresh = { .cap = s->cap ? 2 * s->cap : CAP_LEAST };

    fresh.slot = calloc(fresh.cap, sizeof *fresh.slot);
    if (!fresh.slot)
        return tg_fail(err, TG_NOMEM, "no memory for %zu keys", fresh.cap);
    for (size_t i = 0; i < s->cap; i++)
        if (!is_empty(&s->slot[i]))
            *slot_of(&fresh, &s->slot[i]) = s->slot[i];
    free(s->slot);
    s->slot = fresh.slot;
    s->cap = fresh.cap;
    return TG_OK;
}

/* ---- on disk ---- */

/* Whether a key is among n sorted ones. */
static bool is_among(const struct tg_seen_key *all, size_t n, const struct tg_seen_key *key)
{
    return n && bsearch(key, all, n, sizeof *all, by_key);
}

static tg_code find_in_run(const struct tg_seen *s, const struct tg_seen_run *run,
                           const struct tg_seen_key *key, bool *ret, struct tg_error *err)
{
    uint64_t low = 0, high = (run->n + TG_SEEN_BLOCK - 1) / TG_SEEN_BLOCK;
    struct tg_seen_key block[TG_SEEN_BLOCK];
    uint64_t at;
    size_t n;
    tg_code code;

    *ret = false;
    while (low < high) { /* the first block that begins behind it */
        uint64_t middle = (low + high) / 2;

        if (by_key(&run->first[middle], key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return TG_OK;
    at = (low - 1) * TG_SEEN_BLOCK;
    n = (size_t)TG_MIN(run->n - at, (uint64_t)TG_SEEN_BLOCK);
    code = s->disk->read(run->file, at * sizeof *block, block, n * sizeof *block, err);
    if (code == TG_OK)
        *ret = is_among(block, n, key);
    return code;
}

/* Keys that go to a run, in their order. */
struct writer {
    const struct tg_seen_disk *disk;
    struct tg_seen_run run;
    size_t n; /* in the buffer */
    struct tg_seen_key at[BUFFER];
};

static tg_code flush(struct writer *w, struct tg_error *err)
{
    size_t n = w->n;

    w->n = 0;
    return n ? w->disk->add(w->run.file, w->at, n * sizeof *w->at, err) : TG_OK;
}

static tg_code begin(struct writer *w, const struct tg_seen *s, uint64_t n, struct tg_error *err)
{
    w->disk = s->disk;
    w->n = 0;
    w->run = (struct tg_seen_run){ .n = 0 };
    w->run.first = calloc(n / TG_SEEN_BLOCK + 1, sizeof *w->run.first);
    if (!w->run.first)
        return tg_fail(err, TG_NOMEM, "no memory for %llu keys", (unsigned long long)n);
    return w->disk->open(&w->run.file, err);
}

static tg_code put(struct writer *w, const struct tg_seen_key *key, struct tg_error *err)
{
    if (w->run.n % TG_SEEN_BLOCK == 0)
        w->run.first[w->run.n / TG_SEEN_BLOCK] = *key;
    w->run.n++;
    w->at[w->n++] = *key;
    return w->n == BUFFER ? flush(w, err) : TG_OK;
}

/* Keys that come from a run, in their order. */
struct reader {
    const struct tg_seen_disk *disk;
    const struct tg_seen_run *run;
    uint64_t at; /* of the run, behind the buffer */
    size_t next, n;
    struct tg_seen_key key[BUFFER];
};

/* @return TG_END behind the last */
static tg_code peek(struct reader *r, const struct tg_seen_key **ret, struct tg_error *err)
{
    tg_code code = TG_OK;

    if (r->next == r->n) {
        r->n = (size_t)TG_MIN(r->run->n - r->at, (uint64_t)BUFFER);
        r->next = 0;
        if (!r->n)
            return TG_END;
        code = r->disk->read(r->run->file, r->at * sizeof *r->key, r->key, r->n * sizeof *r->key,
                             err);
        r->at += r->n;
    }
    *ret = &r->key[r->next];
    return code;
}

struct merge {
    struct writer to;
    struct reader from[2];
};

static tg_code merge_keys(struct merge *m, struct tg_error *err)
{
    for (;;) {
        const struct tg_seen_key *key[2];
        tg_code one = peek(&m->from[0], &key[0], err), other;
        int first;

        if (one != TG_OK && one != TG_END)
            return one;
        other = peek(&m->from[1], &key[1], err);
        if (other != TG_OK && other != TG_END)
            return other;
        if (one == TG_END && other == TG_END)
            return flush(&m->to, err);
        first = one == TG_END || (other == TG_OK && by_key(key[1], key[0]) < 0);
        m->from[first].next++;
        one = put(&m->to, key[first], err);
        if (one != TG_OK)
            return one;
    }
}

/* The last two runs become one. */
static tg_code merge_last(struct tg_seen *s, struct tg_error *err)
{
    struct tg_seen_run *last = &s->run[s->n_runs - 1], *before = last - 1;
    struct merge *m = calloc(1, sizeof *m);
    tg_code code;

    if (!m)
        return tg_fail(err, TG_NOMEM, "no memory to sort keys");
    m->from[0] = (struct reader){ .disk = s->disk, .run = before };
    m->from[1] = (struct reader){ .disk = s->disk, .run = last };
    code = begin(&m->to, s, before->n + last->n, err);
    if (code == TG_OK)
        code = merge_keys(m, err);
    if (code == TG_OK) {
        drop_run(s, before);
        drop_run(s, last);
        *before = m->to.run;
        s->n_runs--;
    } else {
        drop_run(s, &m->to.run);
    }
    free(m);
    return code;
}

/* All keys of the table become a run. */
static tg_code spill(struct tg_seen *s, struct tg_error *err)
{
    struct writer *w = calloc(1, sizeof *w);
    size_t n = 0;
    tg_code code;

    if (!w || s->n_runs == TG_SEEN_RUNS) {
        free(w);
        return tg_fail(err, TG_NOMEM, "no memory to sort keys");
    }
    for (size_t i = 0; i < s->cap; i++)
        if (!is_empty(&s->slot[i]))
            s->slot[n++] = s->slot[i];
    assert(n == s->n);
    qsort(s->slot, n, sizeof *s->slot, by_key);
    code = begin(w, s, n, err);
    for (size_t i = 0; code == TG_OK && i < n; i++)
        code = put(w, &s->slot[i], err);
    if (code == TG_OK)
        code = flush(w, err);
    if (code == TG_OK)
        s->run[s->n_runs++] = w->run;
    else
        drop_run(s, &w->run);
    free(w);
    memset(s->slot, 0, s->cap * sizeof *s->slot);
    s->n = 0;
    s->spills++;
    while (code == TG_OK && s->n_runs > 1 &&
           s->run[s->n_runs - 2].n <= 2 * s->run[s->n_runs - 1].n)
        code = merge_last(s, err);
    return code;
}

/* ---- both ---- */

/* The key that stands for one that would look like an empty slot: as unlikely as any two that are
 * one. */
static struct tg_seen_key usable(struct tg_seen_key key)
{
    key.b |= is_empty(&key);
    return key;
}

tg_code tg_seen_has(const struct tg_seen *s, struct tg_seen_key key, bool *ret,
                    struct tg_error *err)
{
    tg_code code = TG_OK;

    key = usable(key);
    *ret = s->cap && !is_empty(slot_of(s, &key));
    for (size_t i = s->n_runs; code == TG_OK && i-- > 0 && !*ret;)
        code = find_in_run(s, &s->run[i], &key, ret, err);
    return code;
}

tg_code tg_seen_put(struct tg_seen *s, struct tg_seen_key key, bool *ret_new, struct tg_error *err)
{
    bool found;
    tg_code code = TG_OK;

    if (4 * (s->n + 1) > 3 * s->cap)
        code = grow(s, err);
    if (code == TG_OK)
        code = tg_seen_has(s, key, &found, err);
    if (code != TG_OK)
        return code;
    *ret_new = !found;
    if (found)
        return TG_OK;
    key = usable(key);
    *slot_of(s, &key) = key;
    s->n++;
    return s->n >= s->n_max ? spill(s, err) : TG_OK;
}
