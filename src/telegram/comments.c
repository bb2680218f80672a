/* SPDX-License-Identifier: MIT */
/*
 * comments.c - see comments.h
 */
#include "telegram/comments.h"

#include <assert.h>
#include <stdlib.h>

enum { SLOTS = 2 * TG_COMMENTS_ASKED };

void tg_comments_begin(struct tg_comments *c, int64_t from)
{
    c->from = from;
    c->last = 0;
    c->n = 0;
}

void tg_comments_done(struct tg_comments *c)
{
    free(c->noted);
    free(c->asked);
    *c = (struct tg_comments){ 0 };
}

/* Makes room for one more. */
static bool grow(struct tg_comments *c)
{
    size_t cap = TG_MAX(2 * c->cap, (size_t)256), half = c->n / 2;
    struct tg_comments_root *more;

    if (c->n < c->cap)
        return true;
    if (c->cap == TG_COMMENTS_NOTED) {
        c->from = (int64_t)c->noted[half - 1].thread + 1;
        c->n -= half;
        memmove(c->noted, c->noted + half, c->n * sizeof *c->noted);
        return true;
    }
    more = reallocarray(c->noted, cap, sizeof *more);
    if (!more)
        return false;
    c->noted = more;
    c->cap = cap;
    return true;
}

bool tg_comments_note(struct tg_comments *c, int32_t id, struct tg_post post)
{
    if (id <= c->last)
        return true;
    if (post.chat && !grow(c))
        return false;
    if (post.chat)
        c->noted[c->n++] = (struct tg_comments_root){ id, post };
    c->last = id;
    return true;
}

static struct tg_comments_root *slot(const struct tg_comments *c, int32_t thread)
{
    uint32_t i = (uint32_t)thread * 2654435761u >> 19;

    static_assert(SLOTS == 1 << 13, "the hash has 13 bits");
    while (c->asked[i].thread && c->asked[i].thread != thread)
        i = (i + 1) % SLOTS;
    return &c->asked[i];
}

bool tg_comments_learn(struct tg_comments *c, int32_t thread, struct tg_post post)
{
    struct tg_comments_root *at;

    assert(thread > 0);
    if (!c->asked && !(c->asked = calloc(SLOTS, sizeof *c->asked)))
        return false;
    if (c->n_asked == TG_COMMENTS_ASKED) {
        memset(c->asked, 0, SLOTS * sizeof *c->asked);
        c->n_asked = 0;
    }
    at = slot(c, thread);
    c->n_asked += at->thread == 0;
    *at = (struct tg_comments_root){ thread, post };
    return true;
}

static const struct tg_comments_root *find_noted(const struct tg_comments *c, int32_t thread)
{
    size_t lo = 0, hi = c->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (c->noted[mid].thread < thread)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < c->n && c->noted[lo].thread == thread ? &c->noted[lo] : NULL;
}

tg_code tg_comments_find(const struct tg_comments *c, int32_t thread, struct tg_post *ret)
{
    const struct tg_comments_root *at;

    if (thread <= 0)
        return TG_END;
    if (thread >= c->from) {
        at = find_noted(c, thread);
    } else {
        at = c->asked ? slot(c, thread) : NULL;
        if (!at || !at->thread)
            return TG_AGAIN;
    }
    if (!at || !at->post.chat)
        return TG_END;
    *ret = at->post;
    return TG_OK;
}
