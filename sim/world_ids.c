/* SPDX-License-Identifier: MIT */
/*
 * world_ids.c - which ids a chat has, when they were sent, and pages of them; see world_int.h
 *
 * Threads: none      Limits: none: no call costs more for a longer chat, but for a binary search
 */
#include <assert.h>
#include <stdlib.h>

#include "sim/import.h"
#include "sim/world_int.h"

enum { DATE_BLOCK = 64, ALBUM_SEGMENT = 37, ALBUM_MAX = 10 };

/* ---- patterns ---- */

static void make_pattern(struct sim_pattern *p, uint32_t keep, uint64_t seed)
{
    uint16_t order[SIM_BLOCK];
    bool there[SIM_BLOCK] = { false };
    struct sim_rng r = { seed };
    uint16_t n = 0;

    for (uint32_t i = 0; i < SIM_BLOCK; i++)
        order[i] = (uint16_t)i;
    /* Number 0 keeps its place: the first id of a chat is its creation and always exists. */
    for (uint32_t i = 1; i < keep; i++) {
        uint32_t j = i + sim_below(&r, SIM_BLOCK - i);
        uint16_t t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
    for (uint32_t i = 0; i < keep; i++)
        there[order[i]] = true;
    for (uint32_t i = 0; i < SIM_BLOCK; i++) {
        p->rank[i] = n;
        if (there[i])
            p->select[n++] = (uint16_t)i;
    }
    p->rank[SIM_BLOCK] = n;
    assert(n == keep);
}

tg_code sim_patterns_make(struct sim_world *w, struct tg_error *err)
{
    assert(w->keep > 0 && w->keep <= SIM_BLOCK);
    if (w->keep == SIM_BLOCK)
        return TG_OK;
    w->pattern = calloc(SIM_PATTERNS, sizeof *w->pattern);
    if (!w->pattern)
        return tg_fail(err, TG_NOMEM, "out of memory for the world");
    for (uint32_t i = 0; i < SIM_PATTERNS; i++)
        make_pattern(&w->pattern[i], w->keep, sim_hash(w->seed, 0x7000 + i));
    return TG_OK;
}

static const struct sim_pattern *pattern_of(const struct sim_world *w, const struct sim_chat_in *c,
                                            int64_t block)
{
    return &w->pattern[sim_hash(c->salt, (uint64_t)block) % SIM_PATTERNS];
}

/* ---- local numbers ---- */

bool sim_local_exists(const struct sim_world *w, const struct sim_chat_in *c, int64_t local)
{
    const struct sim_pattern *p;
    int64_t x;

    if (local < 1 || local > c->local_top)
        return false;
    if (!c->holes)
        return true;
    p = pattern_of(w, c, (local - 1) / SIM_BLOCK);
    x = (local - 1) % SIM_BLOCK;
    return p->rank[x + 1] > p->rank[x];
}

/* Existing local numbers below `local`. */
static uint64_t local_rank(const struct sim_world *w, const struct sim_chat_in *c, int64_t local)
{
    int64_t block;

    if (local > c->local_top)
        return c->live ? c->live->n_computed : c->pub.n_messages;
    if (local <= 1)
        return 0;
    if (!c->holes)
        return (uint64_t)local - 1;
    block = (local - 1) / SIM_BLOCK;
    return (uint64_t)block * w->keep + pattern_of(w, c, block)->rank[(local - 1) % SIM_BLOCK];
}

static int64_t local_select(const struct sim_world *w, const struct sim_chat_in *c, uint64_t n)
{
    int64_t block;

    if (!c->holes)
        return (int64_t)n + 1;
    block = (int64_t)(n / w->keep);
    return block * SIM_BLOCK + pattern_of(w, c, block)->select[n % w->keep] + 1;
}

int64_t sim_local_top(const struct sim_world *w, const struct sim_chat_in *c, uint64_t n)
{
    return n ? local_select(w, c, n - 1) : 0;
}

static int64_t row_slot(const struct sim_chat_in *c, int64_t local)
{
    return (int64_t)((c->slot + sim_hash(c->box_salt, (uint64_t)local)) % c->stride);
}

int64_t sim_local_to_id(const struct sim_chat_in *c, int64_t local)
{
    if (c->stride == 1)
        return local;
    return (local - 1) * c->stride + row_slot(c, local) + 1;
}

int64_t sim_id_to_local(const struct sim_chat_in *c, int64_t id)
{
    return id <= 0 ? 0 : (id - 1) / c->stride + 1;
}

/* ---- ids ---- */

bool sim_world_exists(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    int64_t local;
    bool there;

    if (c->import)
        return sim_import_find(c->import, id) >= 0;
    local = sim_id_to_local(c, id);
    if (local < 1 || sim_local_to_id(c, local) != id)
        return false;
    there = sim_local_exists(w, c, local);
    return c->live ? sim_live_exists(c, local, id, there) : there;
}

uint64_t sim_world_rank(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    uint64_t rank;
    int64_t local;

    if (c->import)
        return sim_import_rank(c->import, id);
    if (id <= 1)
        return 0;
    local = sim_id_to_local(c, id);
    if (c->stride > 1 && (c->live || local <= c->local_top) && sim_local_to_id(c, local) < id)
        local++; /* this row's own id lies below */
    rank = local_rank(w, c, local);
    return c->live ? sim_live_rank(c, local, id, rank) : rank;
}

int64_t sim_world_select(const struct sim_world *w, const struct sim_chat *chat, uint64_t n)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    if (n >= c->pub.n_messages)
        return 0;
    if (c->import)
        return sim_import_select(c->import, n);
    if (c->live) {
        n = sim_live_skip(w, c, n);
        if (n >= c->live->n_computed)
            return sim_local_to_id(c, c->live->tail[n - c->live->n_computed].local);
    }
    return sim_local_to_id(c, local_select(w, c, n));
}

/* ---- dates ---- */

int64_t sim_album(const struct sim_chat_in *c, int64_t local, uint32_t *ret_len)
{
    int64_t segment = (local - 1) / ALBUM_SEGMENT, first;
    uint64_t h = sim_hash(c->salt ^ 0xa1b, (uint64_t)segment);
    uint32_t len, at;

    if (local < 1 || c->pub.kind == SIM_DISCUSSION)
        return 0;
    if ((h & 0xff) >= 84) /* about a third of all segments have one */
        return 0;
    len = 2 + (uint32_t)(h >> 8 & 0xffff) % (ALBUM_MAX - 1);
    at = 1 + (uint32_t)(h >> 24 & 0xffff) % (ALBUM_SEGMENT - len);
    first = segment * ALBUM_SEGMENT + at + 1;
    if (local < first || local >= first + len)
        return 0;
    if (ret_len)
        *ret_len = len;
    return first;
}

/* How far, of 4096, a block of 64 numbers has got at x: talk comes in bursts. */
static int64_t pace(uint64_t h, int64_t x)
{
    switch (h & 3) {
    case 0:
        return x * DATE_BLOCK;
    case 1:
        return x * x;
    case 2:
        return DATE_BLOCK * DATE_BLOCK - (DATE_BLOCK - x) * (DATE_BLOCK - x);
    default:
        return x * x * (3 * DATE_BLOCK - 2 * x) / DATE_BLOCK;
    }
}

static int64_t local_date(const struct sim_chat_in *c, int64_t local)
{
    int64_t span = c->date_to - c->date_from, blocks, b, from, to, album;

    if (local < 1)
        local = 1;
    if (local > c->date_top)
        return c->date_to;
    album = sim_album(c, local, NULL);
    if (album)
        local = album; /* the parts of an album are sent at once */
    blocks = (c->date_top - 1) / DATE_BLOCK + 1;
    b = (local - 1) / DATE_BLOCK;
    from = b * span / blocks;
    to = (b + 1) * span / blocks;
    return c->date_from + from +
           pace(sim_hash(c->date_salt, (uint64_t)b), (local - 1) % DATE_BLOCK) * (to - from) /
               (DATE_BLOCK * DATE_BLOCK);
}

int64_t sim_world_date(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct sim_chat_in *c = sim_in(w, chat);
    int64_t date;

    if (c->import)
        return sim_import_date(c->import, id);
    if (c->live && sim_live_date(c, sim_id_to_local(c, id), &date))
        return date;
    if (chat->kind == SIM_DISCUSSION)
        return sim_discuss_date(w, c, id);
    return local_date(c, sim_id_to_local(c, id));
}

int64_t sim_world_id_at(const struct sim_world *w, const struct sim_chat *chat, int64_t date)
{
    int64_t low = 1, high = (int64_t)chat->top_id + 1; /* the answer lies in low..high */

    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (sim_world_date(w, chat, middle) >= date)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* ---- pages ---- */

size_t sim_world_page(const struct sim_world *w, const struct sim_chat *chat,
                      const struct sim_page *page, int32_t ids[100], int32_t *ret_offset)
{
    int64_t n = (int64_t)chat->n_messages, limit = TG_MIN(page->limit, 100), start = 0;
    int64_t bound = INT64_MAX; /* newest first begins below this id */
    size_t k = 0;

    /* With both, the id counts: clients send the last message's date along with its id, and other
     * messages may have the same date. */
    if (page->offset_id > 0)
        bound = page->offset_id;
    else if (page->offset_date > 0)
        bound = sim_world_id_at(w, chat, page->offset_date);
    if (bound != INT64_MAX)
        start = n - (int64_t)sim_world_rank(w, chat, bound);
    if (__builtin_add_overflow(start, page->add_offset, &start))
        start = page->add_offset > 0 ? n : 0;
    start = TG_MAX(0, TG_MIN(start, n));
    *ret_offset = (int32_t)start;
    for (int64_t i = start; i < n && i - start < limit; i++) {
        int64_t id = sim_world_select(w, chat, (uint64_t)(n - 1 - i));

        if ((page->max_id > 0 && id >= page->max_id) || id <= page->min_id)
            continue;
        if (k == 0)
            *ret_offset = (int32_t)i;
        ids[k++] = (int32_t)id;
    }
    return k;
}
