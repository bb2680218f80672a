/* SPDX-License-Identifier: MIT */
/*
 * history_impl.h - the history source's insides: history_source.c (steps), history_edges.c (the
 * newest id, date edges), history_pages.c (replies to pages, salvage), history_bot.c (reading by
 * ids, for bots), history_rows.c (pages to batches), history_comments.c (which post a message of a
 * discussion group is a comment on), history_threads.c (comments post by post)
 */
#ifndef TG_HISTORY_IMPL_H
#define TG_HISTORY_IMPL_H

#include "base/marks.h"
#include "source/history_source.h"
#include "source/salvage.h"
#include "telegram/comments.h"

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

/* The first page of a thread that is asked for before its turn. */
struct source_ahead {
    enum source_ahead_state { AHEAD_NONE, AHEAD_ASKED, AHEAD_HERE, AHEAD_GONE } state;
    int64_t post;
    struct source_part part;
    struct tg_page_info info;
    struct tgc_reply reply; /* without its body, which the part has */
};

/* A request of the plan that is on its way, with its salvage if it came to that. */
struct source_request {
    bool busy, salvaging;
    bool proved; /* by the server's count: nothing is missing in what came */
    struct source_ahead ahead; /* not the plan's yet */
    struct tg_history_source *source;
    struct tg_history_request plan; /* of a bot: ids offset_id-limit..offset_id-1, newest first */
    struct tg_history_request part; /* of a bot: what of it is being asked for */
    struct tg_salvage salvage;
    struct source_page *page; /* gathered so far while salvaging */
    uint64_t call;
};

/* A bot's plan: windows of ids side by side, in a ring. They leave in order. */
struct source_window {
    int32_t lo, hi;
    bool done;
    struct source_page *page;
};

struct source_windows {
    struct source_window at[SOURCE_REQUEST_MAX];
    uint32_t head, n, most; /* first and number in use; most at once */
    int64_t next, high;     /* first id that is in no window yet; last wanted */
};

/* Threads that are asked for. */
struct source_lookup {
    bool ready; /* all threads of the piece at hand are known */
    bool busy;
    uint64_t call;
    int32_t id[TG_PAGE_LIMIT];
    size_t n;
};

/* Reading through a channel. */
struct source_threads {
    struct tg_history_source *posts; /* reads the channel */
    struct tg_extract_settings settings; /* of that */
    struct tg_batch *batch; /* posts: lent to that source, or held */
    bool lent, held, ended; /* ended: no further posts come */
    size_t next;    /* of the posts that are held, or known */
    int64_t done;   /* posts up to it are done with */
    int64_t post;   /* at work; 0: none */
    int64_t last;   /* of its comments, that an earlier run has read */
    int64_t ask;    /* post that a request is being made for; 0: that at work */
    bool begun;     /* its comments are being read, or are */
    bool whole;     /* from the first one on */
    uint64_t n_fetched;
    int64_t top;    /* highest id that came */
    bool over;      /* no more are to come */
};

/* An answer that outlives the source finds NULL here. */
struct source_link {
    struct tg_history_source *source;
};

enum source_step {
    STEP_CHAT,   /* what is this chat? */
    STEP_TOP,    /* newest id of the segment */
    STEP_SINCE,  /* id before the first wanted date */
    STEP_UNTIL,  /* id of the last wanted date */
    STEP_PAGES,
    STEP_NEXT,   /* a range or segment is read: is there another? */
    STEP_TAIL,   /* the last batch waits for credit */
    STEP_DONE,
};

struct tg_history_source {
    struct tg_source_options options;
    enum source_step step;
    int64_t now_us;          /* of the step at work */
    bool asked;              /* the step's request is on its way */
    uint64_t call;
    struct source_link *full; /* the question what the chat is, while it is on its way */
    bool bot;                /* read by ids */
    /* segments: 0 an old basic group, 1 the chat; or only the chat as 0 */
    int64_t segment_chat[2];
    int32_t n_segments, segment;
    size_t range;            /* of the takeout's ranges, if any apply */
    bool forum, protected_chat;
    int64_t owner;
    bool comments;           /* rows tell which post they are a comment on */
    bool discussed;          /* a channel whose posts are */
    struct tg_comments threads;
    struct source_lookup lookup;
    struct source_threads by_post; /* with options.through */
    int64_t low, high, since_id, until_id;
    int32_t edge_skip;       /* unreadable messages between the edge and the one asked for */
    bool planned;
    struct tg_history *plan;
    struct source_windows windows; /* instead of it, for a bot */
    struct source_request request[SOURCE_REQUEST_MAX];
    size_t n_out;
    /* rows */
    struct tg_history_piece piece; /* being turned into rows */
    bool has_piece;
    size_t next_entry;             /* entries of the piece's page already used, from the oldest */
    bool page_begun, page_views;
    struct tg_batch *batch;
    uint64_t batch_seq, rows_total;
    int64_t covered;               /* last id that is done with */
    int64_t told;                  /* last id that went into a batch's coverage, as source_place */
    bool enough;                   /* `limit` rows are reached */
    bool stopping;
    struct tg_page *pool[SOURCE_POOL_MAX];
    size_t n_pool;
    struct tg_source_state state;
    struct tg_marks known_bad;     /* objects without id in quarantine */
    bool ended;                    /* done was called */
    struct tg_error err;
};

/* history_source.c */
void source_fail(struct tg_history_source *s, const struct tg_error *err);
void source_no_memory(struct tg_history_source *s);
bool source_ask(struct tg_history_source *s, const struct tg_history_request *request,
                int32_t offset_date, tgc_done done, void *ctx, uint64_t *ret_call);
/** Asks for messages of the chat by their ids, which must be of a channel or supergroup. */
bool source_ask_ids(struct tg_history_source *s, const int32_t *id, size_t n, tgc_done done,
                    void *ctx, uint64_t *ret_call);
/** Sends the body of a request; fails the source if that cannot be. */
bool source_call(struct tg_history_source *s, struct tgc_request *request,
                 const struct tg_buf *body, uint64_t *ret_call);
/** The account's user id if the segment's message ids are its own; else 0. */
int64_t source_owner(const struct tg_history_source *s);
/** The method that pages are read with. */
const char *source_method(const struct tg_history_source *s);

/* history_edges.c */
void source_ask_edge(struct tg_history_source *s);

/* history_pages.c */
void source_quarantine(struct tg_history_source *s, int32_t id, const char *reason,
                       const uint8_t *bytes, size_t len);
/** The id of a message that cannot be decoded to its end; 0 if even that is unknown. */
int32_t source_id_of(const struct tg_history_source *s, const uint8_t *bytes, size_t len);
void source_send_pages(struct tg_history_source *s);
void source_on_page(void *ctx, const struct tgc_reply *reply);
struct source_request *source_free_request(struct tg_history_source *s);
/** Takes back all requests of the plan and what they gathered; those made ahead only if `all`. */
void source_cancel_pages(struct tg_history_source *s, bool all);
/** What a reply to the plan's request holds. */
void source_page_came(struct tg_history_source *s, struct source_request *r,
                      const struct tgc_reply *reply, struct source_part *part,
                      const struct tg_page_info *info);
void source_page_free(struct tg_history_source *s, struct source_page *page);
bool source_page_add(struct source_page *page, const struct source_part *part);
void source_part_drop(struct tg_history_source *s, struct source_part *part);
/** part -1: it went to quarantine. Newest first at the end: entries that came oldest first are
 *  turned round. */
void source_page_entry(struct source_page *page, int32_t id, int part, int at);
void source_page_turn(struct source_page *page);
struct tg_page *source_pool_get(struct tg_history_source *s);
void source_pool_put(struct tg_history_source *s, struct tg_page *page);

/* history_bot.c */
void source_bot_top(struct tg_history_source *s);
void source_bot_plan(struct tg_history_source *s);
/** As tg_history_next, tg_history_take. */
tg_code source_bot_next(struct tg_history_source *s, struct tg_history_request *ret);
tg_code source_bot_take(struct tg_history_source *s, struct tg_history_piece *ret);
/** Sends the rest of the request's window. */
bool source_bot_ask(struct tg_history_source *s, struct source_request *r);
void source_bot_reply(struct tg_history_source *s, struct source_request *r,
                      struct source_part *part, const struct tg_page_info *info);
void source_bot_done(struct tg_history_source *s);

/* history_comments.c */
/** @return whether it is known of each message of the piece which post it is a comment on; if not,
 *  that was asked */
bool source_comments_ready(struct tg_history_source *s);
/** Fills comment_of_chat_id and comment_of_id. */
void source_comments_row(const struct tg_history_source *s, const struct tg_page *page, size_t at,
                         struct tg_row *row);

/* history_threads.c */
/** The cursor's id for what is covered now. */
int64_t source_place(const struct tg_history_source *s);
void source_threads_begin(struct tg_history_source *s);
/** On to the next post with comments, or to the last batch, unless posts must be read first. */
void source_threads_next(struct tg_history_source *s);
void source_threads_plan(struct tg_history_source *s);
void source_threads_done(struct tg_history_source *s);
/** A page came. @return whether the server counts no more than what came */
bool source_threads_count(struct tg_history_source *s, const struct tg_page *page,
                          const struct tg_page_info *info);
/** @return whether all comments on the post are read */
bool source_threads_over(const struct tg_history_source *s);
/** Asks for the first pages of the next threads, as many as may be on their way at once. */
void source_threads_ahead(struct tg_history_source *s);
/** Keeps what came ahead of its turn, or that it is gone. part NULL: the call failed. @return false
 *  if the reply is none of that kind */
bool source_threads_early(struct tg_history_source *s, struct source_request *r,
                          const struct tgc_reply *reply, const struct source_part *part,
                          const struct tg_page_info *info);
/** @return whether the request of the plan was made ahead */
bool source_threads_adopt(struct tg_history_source *s, const struct tg_history_request *plan);
/** @return whether the reply tells that the post, or its comments, were deleted meanwhile */
bool source_threads_gone(struct tg_history_source *s, const struct tgc_reply *reply);

/* history_rows.c */
/** Turns finished pages into rows. @return TG_OK: the plan's end was reached; TG_AGAIN: replies or
 *  credit are missing; a failure */
tg_code source_emit(struct tg_history_source *s, struct tg_error *err);
/** Hands the batch over. @return false without credit for one (when none is in hand) */
bool source_flush(struct tg_history_source *s, bool last);

#endif
