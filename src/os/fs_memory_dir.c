/* SPDX-License-Identifier: MIT */
/*
 * fs_memory_dir.c - see fs_memory_dir.h
 */
#include "os/fs_memory_dir.h"

#include <stdlib.h>

uint64_t tg_mem_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct tg_mem_entry *tg_mem_find(const struct tg_mem_entries *e, const char *name)
{
    for (size_t i = 0; i < e->n; i++)
        if (strcmp(e->at[i].name, name) == 0)
            return &e->at[i];
    return NULL;
}

static bool tg_mem_set(struct tg_mem_entries *e, const struct tg_mem_entry *entry)
{
    struct tg_mem_entry *old = tg_mem_find(e, entry->name);

    if (old) {
        old->inode = entry->inode;
        return true;
    }
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 16;
        struct tg_mem_entry *more = reallocarray(e->at, cap, sizeof *more);

        if (!more)
            return false;
        e->at = more;
        e->cap = cap;
    }
    e->at[e->n++] = *entry;
    return true;
}

static void remove_entry(struct tg_mem_entries *e, const char *name)
{
    struct tg_mem_entry *old = tg_mem_find(e, name);

    if (old)
        *old = e->at[--e->n];
}

static bool apply(struct tg_mem_entries *e, const struct tg_mem_change *c)
{
    if (c->gone[0])
        remove_entry(e, c->gone);
    return !c->came.inode || tg_mem_set(e, &c->came);
}

/* Makes a change that is not durable yet. */
bool tg_mem_change(struct tg_mem_dir *d, const struct tg_mem_change *c)
{
    if (d->n_changes == d->cap_changes) {
        size_t cap = d->cap_changes ? d->cap_changes * 2 : 16;
        struct tg_mem_change *more = reallocarray(d->change, cap, sizeof *more);

        if (!more)
            return false;
        d->change = more;
        d->cap_changes = cap;
    }
    d->change[d->n_changes++] = *c;
    return apply(&d->now, c);
}

bool tg_mem_copy(struct tg_mem_entries *to, const struct tg_mem_entries *from)
{
    to->n = 0;
    for (size_t i = 0; i < from->n; i++)
        if (!tg_mem_set(to, &from->at[i]))
            return false;
    return true;
}

void tg_mem_cut_dir(struct tg_mem_dir *d, uint64_t *random)
{
    for (size_t i = 0; i < d->n_changes; i++)
        if (*random && (tg_mem_random(random) & 1))
            apply(&d->durable, &d->change[i]);
    d->n_changes = 0;
    tg_mem_copy(&d->now, &d->durable);
}
