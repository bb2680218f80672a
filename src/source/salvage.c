/* SPDX-License-Identifier: MIT */
/*
 * salvage.c - see salvage.h
 */
#include "source/salvage.h"

#include <assert.h>

/* Messages of unknown id in a row that are passed over before the window is given up. */
enum { BEHIND_MAX = 100 };

void tg_salvage_start(struct tg_salvage *s, const struct tg_history_request *request, int64_t high)
{
    int32_t end = (int32_t)TG_MIN(high + 1, (int64_t)INT32_MAX);

    *s = (struct tg_salvage){
        .last = request->min_id,
        /* a follow-up asks below offset_id; a chain's page is bounded by its size alone */
        .bound = request->add_offset == 0 ? TG_MIN(request->offset_id, end) : end,
        .want = request->limit,
        .piece = TG_MAX(request->limit / 2, 1),
    };
}

/* Messages of the next piece. Behind one of unknown id a known one must follow, or what is covered
 * would end before it and the next window would meet it again. */
static int32_t piece_size(const struct tg_salvage *s)
{
    return TG_MAX(TG_MIN(s->piece, s->want), 1);
}

tg_code tg_salvage_next(const struct tg_salvage *s, struct tg_history_request *ret)
{
    int32_t n = piece_size(s);

    if ((s->want <= 0 && !s->behind) || s->last >= s->bound - 1 || s->behind > BEHIND_MAX)
        return TG_END;
    *ret = (struct tg_history_request){
        .offset_id = s->last + 1,
        .add_offset = -(n + s->behind),
        .limit = n,
        .min_id = s->last,
    };
    return TG_OK;
}

int tg_salvage_piece(struct tg_salvage *s, const int32_t *id, size_t n)
{
    int32_t asked = piece_size(s);
    int wanted = 0;

    if (n == 0) {
        s->want = s->behind = 0; /* the end of the history */
        return 0;
    }
    if ((int32_t)n < asked) {
        s->piece = (int32_t)n; /* short: which are missing is known only of a full piece */
        return -1;
    }
    for (size_t i = n; i-- > 0;) {
        if (id[i] <= s->last || id[i] >= s->bound)
            continue;
        wanted++;
    }
    s->last = TG_MAX(s->last, id[0]);
    s->want -= (int32_t)n;
    s->behind = 0;
    s->piece = TG_MIN(s->piece * 2, (int32_t)TG_PAGE_LIMIT);
    return wanted;
}

bool tg_salvage_bad(struct tg_salvage *s)
{
    if (piece_size(s) > 1) {
        s->piece = piece_size(s) / 2;
        return false;
    }
    return true;
}

bool tg_salvage_aside(struct tg_salvage *s, int32_t id, uint64_t mark)
{
    if (s->behind && id <= s->last && mark == s->mark) {
        s->want = s->behind = 0; /* nothing lies behind it */
        return false;
    }
    s->want--;
    s->piece = 1;
    s->mark = mark;
    if (id > s->last) {
        s->last = id;
        s->behind = 0;
    } else {
        s->behind++; /* the next request looks past it */
    }
    return true;
}
