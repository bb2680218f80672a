/* SPDX-License-Identifier: MIT */
/*
 * history.c - see history.h
 *
 * Segments stand in a ring, oldest first; each is one chain with at most one request under way:
 *
 *      last            lowest            top          edge
 *   ----|------ ? -------|== page held ===|--- later ---|----
 *       |<- follow-up -->|
 *
 * A page and the follow-ups below it are a group: it is complete once it reaches down to last+1,
 * and only then do its pages become ready, lowest first. A segment is made at the moment of its
 * first request, so the newest one can still be moved: its edge grows when a page reaches past it
 * (nothing is cut off then) and shrinks when the ids turn out to lie denser than was thought.
 *
 * How long a segment is: where nearly every id exists, 100 ids, which one page always covers. Else
 * as many ids as fill some pages by the density that was seen, a little less, so that chance seldom
 * asks for one page more.
 */
#include "telegram/history.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum {
    PAGE = 100,
    AHEAD_LIMIT = 1 << 16,
    GROUP_MAX = 128,      /* pages of one group: 100 ids cannot need more */
    SEGMENT_PAGES_MIN = 16,
    SEGMENT_PAGES_MAX = 32,
    DENSE_PERMILLE = 980, /* from here on windows of 100 ids waste less than chains do */
    MEMORY_IDS = 3200,    /* ids that the measured density remembers */
    NONE = -1
};

/* A page that was received, or a stretch known to be empty. */
struct entry {
    void *page;
    int64_t from, to;
    int32_t next;
};

enum state {
    DUE_CHAIN,
    DUE_FOLLOW,
    UNDER_WAY, /* a request is out, or waits to be sent again */
    DONE,
};

struct segment {
    int64_t last, edge;  /* covered up to last; the segment is (last, edge] */
    int64_t top, lowest; /* of the incomplete group; follow-ups read (last, lowest) */
    int32_t ready, ready_end, group; /* lists of entries */
    uint32_t n_group;
    enum state state;
    bool follow, again;
    uint32_t tag;
};

struct tg_history {
    struct tg_history_options o;
    struct segment *ring;
    uint32_t head, n, cap; /* cap is a power of two */
    struct entry *pool;
    int32_t pool_free, n_pool;
    int64_t frontier; /* segments reach up to here */
    int64_t taken;    /* pieces have left up to here */
    uint32_t n_active, n_under_way, n_entries, next_tag;
    uint64_t n_replies;
    double seen_ids, seen_span;
    struct tg_history_stats stats;
};

static struct segment *segment_at(const struct tg_history *h, uint32_t i)
{
    assert(i < h->n);
    return &h->ring[(h->head + i) & (h->cap - 1)];
}

struct tg_history *tg_history_new(const struct tg_history_options *options)
{
    struct tg_history *h = calloc(1, sizeof *h);

    assert(options->low >= 0);
    if (!h)
        return NULL;
    h->o = *options;
    h->o.high = TG_MIN(h->o.high, (int64_t)INT32_MAX - 1);
    h->o.lanes = TG_MIN(TG_MAX(h->o.lanes, 1u), (uint32_t)TG_LANE_MAX);
    h->o.ahead_max = TG_MIN(TG_MAX(h->o.ahead_max, 1u), (uint32_t)AHEAD_LIMIT);
    h->o.density_permille = TG_MIN(TG_MAX(h->o.density_permille, 1), 1000);
    h->frontier = h->taken = h->o.low;
    h->pool_free = NONE;
    /* the guess weighs as much as one page */
    h->seen_ids = PAGE;
    h->seen_span = PAGE * 1000.0 / h->o.density_permille;
    return h;
}

static void drop_list(struct tg_history *h, int32_t at, void (*drop)(void *ctx, void *page),
                      void *ctx)
{
    for (; at != NONE; at = h->pool[at].next)
        if (h->pool[at].page && drop)
            drop(ctx, h->pool[at].page);
}

void tg_history_free(struct tg_history *h, void (*drop)(void *ctx, void *page), void *ctx)
{
    if (!h)
        return;
    for (uint32_t i = 0; i < h->n; i++) {
        drop_list(h, segment_at(h, i)->ready, drop, ctx);
        drop_list(h, segment_at(h, i)->group, drop, ctx);
    }
    free(h->ring);
    free(h->pool);
    free(h);
}

/* ---- sizes ---- */

static double density(const struct tg_history *h)
{
    return h->seen_ids / h->seen_span;
}

/* @return how many ids the next segment should hold */
static int64_t segment_ids(const struct tg_history *h)
{
    uint32_t pages = h->o.segment_pages;
    double d = density(h), messages;

    if (h->o.lanes == 1)
        return INT32_MAX;
    if (pages == 0 && d * 1000 >= DENSE_PERMILLE)
        return PAGE;
    if (pages == 0) {
        pages = h->o.ahead_max / h->o.lanes;
        pages = TG_MIN(TG_MAX(pages, (uint32_t)SEGMENT_PAGES_MIN), (uint32_t)SEGMENT_PAGES_MAX);
    }
    messages = (double)pages * PAGE;
    messages -= 2 * sqrt(messages * (1 - d)); /* two deviations: the last page is seldom overrun */
    messages = TG_MIN(messages / d, (double)INT32_MAX);
    return TG_MAX((int64_t)messages, (int64_t)PAGE);
}

/* Learns from the distances between the ids of one reply, newest first. */
static void learn_density(struct tg_history *h, const int32_t *id, size_t n)
{
    if (n < 2)
        return;
    h->seen_ids += (double)(n - 1);
    h->seen_span += (double)id[0] - id[n - 1];
    if (h->seen_ids > MEMORY_IDS) {
        h->seen_ids /= 2;
        h->seen_span /= 2;
    }
}

/* ---- requests ---- */

static bool may_ask(const struct tg_history *h, const struct segment *s, bool is_head)
{
    if (is_head && (!s || s->ready == NONE))
        return true; /* nothing can leave before this: it is not ahead of anything */
    return h->n_under_way + h->n_entries < h->o.ahead_max && h->n_under_way < h->o.lanes;
}

/* Describes the request that the segment is due for; the same again until its reply came. */
static void fill_request(struct tg_history *h, struct segment *s, struct tg_history_request *ret)
{
    *ret = (struct tg_history_request){
        .tag = s->tag,
        .offset_id = (int32_t)(s->follow ? s->lowest : s->last + 1),
        .add_offset = s->follow ? 0 : -PAGE,
        .limit = PAGE,
        .min_id = (int32_t)s->last,
    };
    h->stats.n_requests++;
    h->stats.n_follow_ups += s->follow;
}

static void start_request(struct tg_history *h, struct segment *s, struct tg_history_request *ret)
{
    if (s->state != UNDER_WAY) {
        s->follow = s->state == DUE_FOLLOW;
        s->state = UNDER_WAY;
        s->tag = h->next_tag++;
        h->n_under_way++;
    }
    s->again = false;
    fill_request(h, s, ret);
}

static bool grow_ring(struct tg_history *h)
{
    uint32_t cap = h->cap ? h->cap * 2 : 16;
    struct segment *ring = calloc(cap, sizeof *ring);

    if (!ring)
        return false;
    for (uint32_t i = 0; i < h->n; i++)
        ring[i] = *segment_at(h, i);
    free(h->ring);
    h->ring = ring;
    h->cap = cap;
    h->head = 0;
    return true;
}

/* The newest segment may have been given far more ids than a segment should have by now. */
static void shorten_newest(struct tg_history *h)
{
    struct segment *s = h->n ? segment_at(h, h->n - 1) : NULL;
    int64_t ids = segment_ids(h), from;

    if (!s || s->state == DONE)
        return;
    from = TG_MAX(s->last, s->top);
    if (s->edge - from > 2 * ids) {
        s->edge = from + ids;
        h->frontier = s->edge;
    }
}

/* @return the new segment at the frontier; NULL if none is wanted now, or out of memory */
static struct segment *new_segment(struct tg_history *h)
{
    struct segment *s;

    if (h->n_active >= h->o.lanes || h->n_active > h->n_replies || !may_ask(h, NULL, h->n == 0))
        return NULL; /* as many chains as replies came, at first: density is only guessed yet */
    shorten_newest(h);
    if (h->frontier >= h->o.high || (h->n == h->cap && !grow_ring(h)))
        return NULL;
    h->n++;
    s = segment_at(h, h->n - 1);
    *s = (struct segment){
        .last = h->frontier,
        .edge = TG_MIN(h->o.high, h->frontier + segment_ids(h)),
        .ready = NONE,
        .ready_end = NONE,
        .group = NONE,
        .state = DUE_CHAIN,
    };
    h->frontier = s->edge;
    h->n_active++;
    return s;
}

tg_code tg_history_next(struct tg_history *h, struct tg_history_request *ret)
{
    struct segment *s;

    if (h->taken >= h->o.high)
        return TG_END;
    for (uint32_t i = 0; i < h->n; i++) {
        s = segment_at(h, i);
        if ((s->state == UNDER_WAY && s->again) ||
            ((s->state == DUE_CHAIN || s->state == DUE_FOLLOW) && may_ask(h, s, i == 0))) {
            start_request(h, s, ret);
            return TG_OK;
        }
    }
    s = new_segment(h);
    if (!s)
        return h->frontier >= h->o.high && h->n_active == 0 ? TG_END : TG_AGAIN;
    start_request(h, s, ret);
    return TG_OK;
}

/* ---- replies ---- */

static struct segment *find_tag(const struct tg_history *h, uint32_t tag, uint32_t *ret_i)
{
    for (uint32_t i = 0; i < h->n; i++) {
        struct segment *s = segment_at(h, i);

        if (s->state == UNDER_WAY && s->tag == tag) {
            *ret_i = i;
            return s;
        }
    }
    return NULL;
}

static tg_code check_ids(const struct segment *s, const struct tg_history_reply *r,
                         struct tg_error *err)
{
    int64_t above = s->follow ? s->lowest : (int64_t)INT32_MAX + 1;

    if (r->n > PAGE)
        return tg_fail(err, TG_PROTOCOL, "a page of %zu messages where %d were asked for", r->n,
                       (int)PAGE);
    for (size_t i = 0; i < r->n; i++) {
        if (r->id[i] >= above || r->id[i] <= s->last)
            return tg_fail(err, TG_PROTOCOL,
                           "message %d is not below %lld and above %lld, as was asked for",
                           (int)r->id[i], (long long)above, (long long)s->last);
        above = r->id[i];
    }
    return TG_OK;
}

/* @return a free entry; NONE out of memory */
static int32_t new_entry(struct tg_history *h)
{
    int32_t at = h->pool_free;

    if (at == NONE) {
        int32_t more = h->n_pool ? h->n_pool : 64;
        struct entry *pool = realloc(h->pool, (size_t)(h->n_pool + more) * sizeof *pool);

        if (!pool)
            return NONE;
        h->pool = pool;
        for (int32_t i = h->n_pool; i < h->n_pool + more; i++)
            pool[i].next = i + 1 < h->n_pool + more ? i + 1 : NONE;
        at = h->n_pool;
        h->n_pool += more;
    }
    h->pool_free = h->pool[at].next;
    return at;
}

/* The group reaches down to last+1: its pages can leave. */
static void finish_group(struct tg_history *h, struct segment *s)
{
    int32_t at = s->group;

    assert(at != NONE);
    if (s->ready == NONE)
        s->ready = at;
    else
        h->pool[s->ready_end].next = at;
    while (h->pool[at].next != NONE)
        at = h->pool[at].next;
    s->ready_end = at;
    s->group = NONE;
    s->n_group = 0;
    s->last = TG_MIN(s->top, s->edge);
    s->top = s->lowest = 0;
    s->state = DUE_CHAIN;
    if (s->last == s->edge) {
        s->state = DONE;
        h->n_active--;
    }
}

/* Sets top and lowest of a new group from its first page; moves the newest segment's edge. */
static void open_group(struct tg_history *h, struct segment *s, const struct tg_history_reply *r,
                       bool newest)
{
    if (newest && (r->n == 0 || r->id[0] > s->edge)) {
        s->edge = TG_MIN(h->o.high, r->n ? r->id[0] : INT64_MAX);
        h->frontier = s->edge;
    }
    s->top = r->n ? TG_MIN((int64_t)r->id[0], s->edge) : s->edge;
    s->lowest = s->top + 1;
}

tg_code tg_history_reply(struct tg_history *h, const struct tg_history_reply *r,
                         struct tg_error *err)
{
    uint32_t i = 0;
    struct segment *s = find_tag(h, r->tag, &i);
    bool whole;
    int32_t at;
    int64_t lowest;
    size_t cut = 0;

    assert(s && !s->again);
    if (check_ids(s, r, err) != TG_OK)
        return TG_PROTOCOL;
    if (s->n_group == GROUP_MAX)
        return tg_fail(err, TG_PROTOCOL, "more messages below %lld than the server told first",
                       (long long)s->lowest);
    at = new_entry(h);
    if (at == NONE)
        return tg_fail(err, TG_NOMEM, "no memory to hold a page");
    h->n_under_way--;
    h->n_replies++;
    h->n_entries++;
    learn_density(h, r->id, r->n);
    if (!s->follow)
        open_group(h, s, r, i + 1 == h->n);
    while (cut < r->n && r->id[cut] > s->edge)
        cut++;
    h->stats.n_cut += cut;
    h->stats.n_ids += r->n - cut;
    lowest = cut < r->n ? r->id[r->n - 1] : s->lowest;
    /* a full page of a chain is the next 100 ids, whatever is left of them within the edge; an
     * empty follow-up closes the group; an empty chain page is believed only after one */
    whole = s->follow ? r->n == 0 || lowest == s->last + 1
                      : r->n == PAGE || (r->n && lowest == s->last + 1);
    whole |= r->contiguous && r->n;
    h->pool[at] = (struct entry){ r->page, whole ? s->last + 1 : lowest, s->lowest - 1, s->group };
    s->group = at;
    s->n_group++;
    s->lowest = lowest;
    if (whole)
        finish_group(h, s);
    else
        s->state = DUE_FOLLOW;
    return TG_OK;
}

void tg_history_again(struct tg_history *h, uint32_t tag)
{
    uint32_t i = 0;
    struct segment *s = find_tag(h, tag, &i);

    assert(s && !s->again);
    s->again = true;
}

/* ---- pieces ---- */

tg_code tg_history_take(struct tg_history *h, struct tg_history_piece *ret)
{
    while (h->n) {
        struct segment *s = segment_at(h, 0);
        int32_t at = s->ready;

        if (at != NONE) {
            struct entry e = h->pool[at];

            assert(e.from == h->taken + 1 && e.to >= h->taken);
            s->ready = e.next;
            h->pool[at].next = h->pool_free;
            h->pool_free = at;
            h->n_entries--;
            h->taken = e.to;
            if (!e.page && e.to < e.from)
                continue; /* an empty page that a follow-up has answered in full */
            *ret = (struct tg_history_piece){ e.page, e.from, e.to, e.page != NULL,
                                              e.to >= h->o.high };
            return TG_OK;
        }
        if (s->state != DONE)
            return TG_AGAIN;
        h->head = (h->head + 1) & (h->cap - 1);
        h->n--;
    }
    return h->taken >= h->o.high ? TG_END : TG_AGAIN;
}

void tg_history_lanes(struct tg_history *h, uint32_t lanes)
{
    h->o.lanes = TG_MIN(TG_MAX(lanes, 1u), (uint32_t)TG_LANE_MAX);
}

void tg_history_stats(const struct tg_history *h, struct tg_history_stats *ret)
{
    *ret = h->stats;
}
