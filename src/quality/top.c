/* SPDX-License-Identifier: MIT */
/*
 * top.c - see top.h
 */
#include "quality/top.h"

#include <stdlib.h>

/* @return the value's slot, or the empty one that it would have */
static uint16_t *slot_of(struct tg_top *t, uint64_t hash)
{
    size_t at = hash % TG_COUNT(t->slot);

    while (t->slot[at] && t->value[t->slot[at] - 1].hash != hash)
        at = (at + 1) % TG_COUNT(t->slot);
    return &t->slot[at];
}

static int by_count(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The median goes off all counts. */
static void make_room(struct tg_top *t)
{
    uint64_t count[TG_TOP_VALUES] = { 0 }, median, most = 0;
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++) {
        count[i] = t->value[i].count;
        most = TG_MAX(most, count[i]);
    }
    if (most > 1)
        qsort(count, t->n, sizeof *count, by_count);
    median = count[t->n / 2];
    for (size_t i = 0; i < t->n; i++) {
        if (t->value[i].count <= median)
            continue;
        t->value[n] = t->value[i];
        t->value[n++].count -= median;
    }
    t->off += median;
    t->n = n;
    memset(t->slot, 0, sizeof t->slot);
    for (size_t i = 0; i < n; i++)
        *slot_of(t, t->value[i].hash) = (uint16_t)(i + 1);
}

static struct tg_top_value *value_of(struct tg_top *t, uint64_t hash, bool *ret_new)
{
    uint16_t *slot = slot_of(t, hash);

    *ret_new = !*slot;
    if (*slot)
        return &t->value[*slot - 1];
    if (t->n == TG_TOP_VALUES) {
        make_room(t);
        slot = slot_of(t, hash);
    }
    *slot = (uint16_t)++t->n;
    return &t->value[t->n - 1];
}

void tg_top_add(struct tg_top *t, uint64_t hash, int64_t number, struct tg_str text)
{
    bool fresh;
    struct tg_top_value *v = value_of(t, hash, &fresh);

    t->total++;
    if (!fresh) {
        v->count++;
        return;
    }
    v->hash = hash;
    v->count = 1;
    v->number = number;
    v->len = (uint8_t)TG_MIN(text.len, (uint32_t)TG_TOP_TEXT);
    v->cut = text.len > TG_TOP_TEXT;
    while (v->cut && v->len && ((uint8_t)text.at[v->len] & 0xc0) == 0x80)
        v->len--; /* no character is cut */
    if (v->len)
        memcpy(v->text, text.at, v->len);
}

void tg_top_merge(struct tg_top *t, const struct tg_top *other)
{
    for (size_t i = 0; i < other->n; i++) {
        bool fresh;
        struct tg_top_value *v = value_of(t, other->value[i].hash, &fresh);
        uint64_t before = fresh ? 0 : v->count;

        if (fresh)
            *v = other->value[i];
        v->count = before + other->value[i].count;
    }
    t->total += other->total;
    t->off += other->off;
}

size_t tg_top_best(const struct tg_top *t, const struct tg_top_value **ret, size_t n)
{
    size_t found = 0;

    for (size_t i = 0; i < t->n; i++) {
        const struct tg_top_value *v = &t->value[i];
        size_t at = found;

        while (at && (ret[at - 1]->count < v->count ||
                      (ret[at - 1]->count == v->count && ret[at - 1]->hash > v->hash)))
            at--;
        if (at == n)
            continue;
        found = TG_MIN(found + 1, n);
        memmove(&ret[at + 1], &ret[at], (found - at - 1) * sizeof(const void *));
        ret[at] = v;
    }
    return found;
}
