/* SPDX-License-Identifier: MIT */
/*
 * compare.c - see compare.h
 */
#include "flow/compare.h"

#include <assert.h>
#include <stdlib.h>

const char *const tg_change_name[TG_CHANGES] = {
    [TG_CHANGE_SAME] = "unchanged",      [TG_CHANGE_NEW] = "new",
    [TG_CHANGE_EDITED] = "edited",       [TG_CHANGE_REACTIONS] = "reactions",
    [TG_CHANGE_DELETED] = "deleted",     [TG_CHANGE_SUSPECTED] = "suspected",
    [TG_CHANGE_READ] = "read",
};

void tg_compare_done(struct tg_compare *c)
{
    free(c->item);
    *c = (struct tg_compare){ 0 };
}

static bool make_room(struct tg_compare *c, size_t n)
{
    struct tg_compare_item *item;

    if (n <= c->cap)
        return true;
    item = realloc(c->item, n * sizeof *item);
    if (!item)
        return false;
    c->item = item;
    c->cap = n;
    return true;
}

static void judge(struct tg_compare_item *i, bool known)
{
    i->differs = tg_signature_differs(&i->before, &i->after);
    if (!known)
        i->kind = TG_CHANGE_READ;
    else if (!i->differs)
        i->kind = TG_CHANGE_SAME;
    else if (i->differs & TG_SIGNATURE_REACTIONS && !(i->differs & TG_SIGNATURE_CONTENT))
        i->kind = TG_CHANGE_REACTIONS;
    else
        i->kind = TG_CHANGE_EDITED;
}

/* Both lists at once, by id. */
static void merge(struct tg_compare *c, struct tg_signatures old, struct tg_signatures now)
{
    size_t o = 0, k = 0;

    while (o < old.n || k < now.n) {
        bool was = o < old.n && (k == now.n || old.at[o].id <= now.at[k].id);
        bool is = k < now.n && (!was || now.at[k].id == old.at[o].id);
        struct tg_compare_item *i = &c->item[c->n++];

        *i = (struct tg_compare_item){ .kind = TG_CHANGE_SUSPECTED, .row = TG_COMPARE_NO_ROW };
        if (was)
            i->before = old.at[o++];
        if (is) {
            i->row = k;
            i->after = now.at[k++];
        }
        i->id = was ? i->before.id : i->after.id;
        if (was && is)
            judge(i, c->known);
        else if (is)
            i->kind = c->known ? TG_CHANGE_NEW : TG_CHANGE_READ;
        else
            c->n_suspected++;
    }
}

tg_code tg_compare_run(struct tg_compare *c, struct tg_signatures stored, bool known,
                       struct tg_signatures now, struct tg_error *err)
{
    struct tg_signatures old = tg_signatures_slice(stored, now.from, now.to);

    c->n = c->n_suspected = 0;
    if (!tg_signatures_valid(now))
        return tg_fail(err, TG_PROTOCOL, "the server's messages are out of order or of range");
    if (now.n > TG_WINDOW_MAX || old.n > TG_WINDOW_MAX)
        return tg_fail(err, TG_LIMIT, "%zu messages to compare at once", TG_MAX(now.n, old.n));
    if (!make_room(c, old.n + now.n))
        return tg_fail(err, TG_NOMEM, "%zu messages to compare", old.n + now.n);
    c->from = now.from;
    c->to = now.to;
    c->known = known;
    merge(c, old, now);
    return TG_OK;
}

static struct tg_compare_item *find(const struct tg_compare *c, int64_t id)
{
    size_t low = 0, high = c->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->item[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->n && c->item[low].id == id ? &c->item[low] : NULL;
}

const struct tg_compare_item *tg_compare_confirm(struct tg_compare *c, int64_t id,
                                                 const struct tg_signature *now)
{
    struct tg_compare_item *i = find(c, id);

    assert(!now || now->id == id);
    if (!i || i->kind != TG_CHANGE_SUSPECTED)
        return NULL;
    if (now) {
        i->after = *now;
        judge(i, c->known);
    } else {
        i->kind = TG_CHANGE_DELETED;
    }
    c->n_suspected--;
    return i;
}

void tg_compare_count(const struct tg_compare *c, int64_t processing_us,
                      struct tg_compare_stats *stats)
{
    for (size_t i = 0; i < c->n; i++) {
        stats->n[c->item[i].kind]++;
        stats->changes_detected += tg_change_delivered(c->item[i].kind);
    }
    stats->total_processed += c->n;
    stats->processing_us += processing_us;
}
