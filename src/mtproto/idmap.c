/* SPDX-License-Identifier: MIT */
/*
 * idmap.c - map from 64-bit ids to pointers; see idmap.h
 *
 * Threads: none: value type
 */
#include "mtproto/idmap.h"

#include <assert.h>
#include <stdlib.h>

enum { CAP_MIN = 16 };

static size_t home(const struct mt_idmap *m, uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (m->cap - 1);
}

/* The slot that holds id, or the empty one where it belongs. */
static size_t probe(const struct mt_idmap *m, uint64_t id)
{
    size_t at = home(m, id);

    while (m->slot[at].value && m->slot[at].id != id)
        at = (at + 1) & (m->cap - 1);
    return at;
}

static bool grow(struct mt_idmap *m)
{
    struct mt_idmap wider = { .cap = m->cap ? m->cap * 2 : CAP_MIN, .n = m->n };

    wider.slot = calloc(wider.cap, sizeof *wider.slot);
    if (!wider.slot)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slot[i].value)
            wider.slot[probe(&wider, m->slot[i].id)] = m->slot[i];
    free(m->slot);
    *m = wider;
    return true;
}

void mt_idmap_done(struct mt_idmap *m)
{
    free(m->slot);
    *m = (struct mt_idmap){ 0 };
}

bool mt_idmap_put(struct mt_idmap *m, uint64_t id, void *value)
{
    size_t at;

    assert(value);
    if (m->n + 1 > m->cap / 4 * 3 && !grow(m))
        return false;
    at = probe(m, id);
    if (!m->slot[at].value)
        m->n++;
    m->slot[at] = (struct mt_idmap_slot){ id, value };
    return true;
}

void *mt_idmap_get(const struct mt_idmap *m, uint64_t id)
{
    return m->n ? m->slot[probe(m, id)].value : NULL;
}

void *mt_idmap_take(struct mt_idmap *m, uint64_t id)
{
    size_t mask = m->cap - 1, gap, at;
    void *value;

    if (!m->n)
        return NULL;
    gap = probe(m, id);
    value = m->slot[gap].value;
    if (!value)
        return NULL;
    m->n--;
    for (at = (gap + 1) & mask; m->slot[at].value; at = (at + 1) & mask) {
        size_t distance = (at - home(m, m->slot[at].id)) & mask;

        if (distance >= ((at - gap) & mask)) { /* its home lies at or before the gap */
            m->slot[gap] = m->slot[at];
            gap = at;
        }
    }
    m->slot[gap] = (struct mt_idmap_slot){ 0, NULL };
    return value;
}
