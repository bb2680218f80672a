/* SPDX-License-Identifier: MIT */
/*
 * history.h - which requests read a range of a chat's ids completely, and when that is proved
 *
 * Pure planning: no connection, no decoding. The range (low, high] of ids is cut into segments that
 * are read side by side; each segment is a chain of pages, oldest first:
 *
 *   getHistory(offset_id=last+1, add_offset=-100, limit=100, min_id=last)   the 100 ids after last
 *
 * A page is complete only if it is full, or its lowest id is last+1, or a follow-up below its
 * lowest id comes back empty (servers return short pages). A chain goes on behind its highest id;
 * it ends when it reaches its segment's high edge. Pages leave in id order, each exactly once; ids
 * beyond a segment's edge are cut off. With one lane this is the plain chain; more lanes hide
 * latency. If `high` itself does not exist, the empty page above the last id is confirmed by one
 * follow-up.
 *
 *   ids ->  low [== segment 0 ==|== segment 1 ==|== segment 2 ==] high
 *           emitted <---- in order; later segments wait in memory, bounded by `ahead_max`
 *
 * At the start there are as many chains as replies came in, so that a wrong guess of the density
 * costs a few requests only; from then on the density of what was seen decides.
 *
 * Threads: none: value type      Limits: 32 lanes; 65,536 pages ahead; ids below 2^31-1
 */
#ifndef TG_HISTORY_H
#define TG_HISTORY_H

#include "base/base.h"

enum { TG_PAGE_LIMIT = 100, TG_LANE_MAX = 32 };

struct tg_history_options {
    int64_t low, high;        /* ids low+1..high are wanted */
    uint32_t lanes;           /* 1..TG_LANE_MAX chains side by side at most */
    uint32_t segment_pages;   /* pages a segment is meant to hold; 0: chosen */
    int32_t density_permille; /* existing ids per 1000, a guess from count and top id; 1..1000 */
    uint32_t ahead_max;       /* pages that may be requested or held beyond the next to leave; with
                                 holes, chains need about 16 * lanes to run all side by side */
};

/** One request to send. Parameters are those of messages.getHistory. */
struct tg_history_request {
    uint32_t tag;             /* give back with the reply */
    int32_t offset_id, add_offset, limit, max_id, min_id;
};

/** What came back: ids of the reply, newest first as the server sent them. */
struct tg_history_reply {
    uint32_t tag;
    const int32_t *id;
    size_t n;
    bool contiguous;          /* proved otherwise that nothing lies between what was covered and the
                                 highest id */
    void *page;               /* the caller's handle of the decoded page; comes back in a piece */
};

/** The next piece in order. */
struct tg_history_piece {
    void *page;               /* NULL: only coverage moved (an empty stretch) */
    int64_t from, to;         /* ids from..to are now covered, without holes in the proof; of the
                                 page take those ids only. to is from-1 where none is wanted */
    bool page_done;           /* the page is not needed any more after this piece */
    bool end;                 /* `high` is reached */
};

struct tg_history;

struct tg_history *tg_history_new(const struct tg_history_options *options); /* NULL no memory */

/** `drop` is called for each page handle still held. */
void tg_history_free(struct tg_history *h, void (*drop)(void *ctx, void *page), void *ctx);

/** @return TG_OK with a request to send; TG_AGAIN: none now (replies or credit first); TG_END: all
 *  is covered */
tg_code tg_history_next(struct tg_history *h, struct tg_history_request *ret);

/** Takes a reply; on TG_OK its page belongs to the planner until its piece is taken. A reply
 *  without ids may have page NULL. @return TG_PROTOCOL if ids are not strictly descending, out of
 *  what was asked, or contradict what the server told before; TG_NOMEM */
tg_code tg_history_reply(struct tg_history *h, const struct tg_history_reply *reply,
                         struct tg_error *err);

/** The request was lost or refused and must be asked again: it becomes due again, with its tag. */
void tg_history_again(struct tg_history *h, uint32_t tag);

/** @return TG_OK with the next piece in order; TG_AGAIN; TG_END after the last */
tg_code tg_history_take(struct tg_history *h, struct tg_history_piece *ret);

/** How many lanes to use from now on (latency changed). */
void tg_history_lanes(struct tg_history *h, uint32_t lanes);

struct tg_history_stats {
    uint64_t n_requests, n_follow_ups, n_ids, n_cut; /* n_cut: ids received but outside */
};
void tg_history_stats(const struct tg_history *h, struct tg_history_stats *ret);

#endif
