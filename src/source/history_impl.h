/* SPDX-License-Identifier: MIT */
/*
 * history_impl.h - the history source's insides: history_source.c (steps and requests),
 * history_pages.c (replies to pages, salvage), history_rows.c (pages to batches)
 */
#ifndef TG_HISTORY_IMPL_H
#define TG_HISTORY_IMPL_H

#include "source/history_source.h"
#include "source/salvage.h"

enum { SOURCE_REQUEST_MAX = 64, SOURCE_POOL_MAX = 64 };

/* One decoded reply; of a salvaged window several make one page. */
struct source_part {
    struct tg_page *page;
    void *buffer;        /* malloc'ed; rows point into it */
    const uint8_t *body; /* the reply within it */
    size_t bytes;
};

struct source_entry {
    int32_t id;
    int16_t part; /* -1: it went to quarantine */
    int16_t at;   /* number within its part */
};

struct source_page {
    struct source_part *part;
    size_t n_parts;
    struct source_entry entry[2 * TG_PAGE_LIMIT]; /* newest first */
    size_t n;
    uint32_t n_floods;
    int64_t flood_wait_s, sent_us;
};

/* A request of the plan that is on its way, with its salvage if it came to that. */
struct source_request {
    bool busy, salvaging;
    struct tg_history_source *source;
    struct tg_history_request plan;
    struct tg_salvage salvage;
    struct source_page *page; /* gathered so far while salvaging */
    uint64_t call;
};

enum source_step {
    STEP_CHAT,   /* what is this chat? */
    STEP_TOP,    /* newest id of the segment */
    STEP_SINCE,  /* id before the first wanted date */
    STEP_UNTIL,  /* id of the last wanted date */
    STEP_PAGES,
    STEP_TAIL,   /* the last batch waits for credit */
    STEP_DONE,
};

struct tg_history_source {
    struct tg_source_options options;
    enum source_step step;
    int64_t now_us;          /* of the step at work */
    bool asked;              /* the step's request is on its way */
    uint64_t call;
    /* segments: 0 an old basic group, 1 the chat; or only the chat as 0 */
    int64_t segment_chat[2];
    int32_t n_segments, segment;
    size_t range;            /* of the takeout's ranges, if any apply */
    bool forum, protected_chat;
    int64_t owner;
    int64_t low, high, since_id, until_id;
    int32_t edge_skip;       /* unreadable messages between the edge and the one asked for */
    struct tg_history *plan;
    struct source_request request[SOURCE_REQUEST_MAX];
    size_t n_out;
    /* rows */
    struct tg_history_piece piece; /* being turned into rows */
    bool has_piece;
    size_t next_entry;             /* entries of the piece's page already used, from the oldest */
    bool page_begun, page_views;
    struct tg_batch *batch;
    uint64_t batch_seq, rows_total;
    int64_t covered;               /* last id that went into a batch's coverage */
    bool full;                     /* `limit` rows are reached */
    bool stopping;
    struct tg_page *pool[SOURCE_POOL_MAX];
    size_t n_pool;
    struct tg_source_state state;
    bool ended;                    /* done was called */
    struct tg_error err;
};

/* history_source.c */
void source_fail(struct tg_history_source *s, const struct tg_error *err);
bool source_ask(struct tg_history_source *s, const struct tg_history_request *request,
                int32_t offset_date, tgc_done done, void *ctx, uint64_t *ret_call);

/* history_pages.c */
void source_quarantine(struct tg_history_source *s, int32_t id, const char *reason,
                       const uint8_t *bytes, size_t len);
void source_send_pages(struct tg_history_source *s);
void source_page_free(struct tg_history_source *s, struct source_page *page);
struct tg_page *source_pool_get(struct tg_history_source *s);
void source_pool_put(struct tg_history_source *s, struct tg_page *page);

/* history_rows.c */
/** Turns finished pages into rows. @return TG_OK: the plan's end was reached; TG_AGAIN: replies or
 *  credit are missing; a failure */
tg_code source_emit(struct tg_history_source *s, struct tg_error *err);
/** Hands the batch over. @return false without credit for one (when none is in hand) */
bool source_flush(struct tg_history_source *s, bool last);

#endif
