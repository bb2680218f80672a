/* SPDX-License-Identifier: MIT */
/*
 * stream_impl.h - a run of changes from the inside: stream and delta
 *
 *   server --pushes, differences--> boxes (order, gaps) --items--> rows --> batch at hand
 *      ^                                                  history --scan--^      |
 *      |                                                                   stage workers
 *   asks, while there is room                                                    |
 *      +--------------------------- credit <-- pipeline (taker, destination) <---+
 *
 *   stream_made.c    what a run is made of: tg_stream_new and so on
 *   stream.c         phases, start and end: FIND -> BEGIN -> TOPS -> WATCH -> LEAVE -> DONE
 *   stream_chats.c   the chats that are watched: found, where they stand
 *   stream_boxes.c   what the server tells of updates, in their order
 *   stream_rows.c    from items to rows; what of them is news
 *   stream_out.c     the batch at hand, its way out, and how much room there is
 *   stream_spill.h   what the destination does not take now
 *   stream_scan.c    a chat's history, compared with what is remembered
 *   stream_fetch.c   messages by their ids
 *
 * All rows of a job stand in one sequence, as those of the pseudo chat TG_CHAT_CHANGES; what is
 * remembered (change_state.h) travels with the batch as its note and is true once that is
 * committed.
 *
 * Threads: the loop's; filters and transformations on the workers of the stage pool
 * Limits:  one account; STREAM_ANSWER_MAX rows of one answer
 */
#ifndef TG_STREAM_IMPL_H
#define TG_STREAM_IMPL_H

#include "config/rules.h"
#include "etl/change_state.h"
#include "etl/letters.h"
#include "etl/observed.h"
#include "etl/pipeline.h"
#include "etl/stage_pool.h"
#include "etl/steps.h"
#include "etl/stream_spill.h"
#include "etl/versions.h"
#include "flow/compare.h"
#include "sink/sink.h"
#include "source/account_impl.h"
#include "source/history_source.h"
#include "telegram/message_file.h"
#include "telegram/update_read.h"
#include "tgdata/stream.h"

enum {
    STREAM_ANSWER_MAX = 4000,
    STREAM_BATCHES = 16, /* at hand, and in the stage workers' */
    STREAM_FIND_MAX = 8,
    STREAM_SCANS_MAX = 4,
    STREAM_STEPS_MAX = 64
};

struct stream_run;
struct stream_scan;

/* What came at once: a push, or the answer to a difference. */
struct stream_packet {
    struct stream_run *run;
    size_t len;
    struct tg_arena arena; /* the bytes, what was read of them, the items */
    struct tg_update_packet read;
    int32_t pts, date;     /* of items that are not counted themselves: the state behind them */
    int64_t came_us;
    size_t out;            /* items that are not dropped; the packet goes with the last */
};

struct stream_item {
    struct stream_packet *packet;
    const struct tg_update_change *change;
};

enum stream_chat_phase {
    CHAT_NEW,
    CHAT_FINDING,
    CHAT_FOUND,
    CHAT_TOP,    /* its newest id and its pts are asked for */
    CHAT_READY,
    CHAT_LOST,
};

struct stream_chat {
    struct stream_run *run;
    const char *what; /* as given; "": it was in the list */
    enum stream_chat_phase phase;
    struct tg_job_chat job;
    char *title;
    int64_t owner;
    bool channel, forum, protected;
    bool moved;     /* its box has, since that was last remembered */
    int32_t top_id, pts; /* as far as it was asked for; 0 */
    bool caught_up; /* its last difference was final */
    struct stream_reacted {
        int32_t id[TG_MESSAGES_ASKED];
        size_t n;
    } *reacted; /* messages whose reactions have changed; NULL: none */
    struct stream_scan *scan; /* its history is being read */
    bool scan_due, sweep;     /* or is to be; what the destination has of it is not known */
};

/* A call by ids, on its way. */
typedef void (*stream_fetched)(void *ctx, const struct tg_page *page, size_t n,
                               const struct tg_error *err);

enum stream_phase { RUN_FIND, RUN_BEGIN, RUN_TOPS, RUN_WATCH, RUN_LEAVE, RUN_DONE };

struct tg_stream {
    struct tg_account *account;
    const struct tg_config *config;
    char **chat;
    size_t n_chats, cap_chats;
    struct tg_step step[STREAM_STEPS_MAX];
    char *text[STREAM_STEPS_MAX]; /* of stages, owned; NULL */
    size_t n_steps;
    size_t batch_size; /* 0: the config's */
    char *to;          /* NULL: the config's */
    tg_batch_fn callback;
    void *callback_ctx;
    struct tg_observer *observer;
    struct tg_error broken; /* code TG_OK: nothing was wrong so far */
};

struct stream_run {
    const struct tg_stream *made;
    struct tg_account *account;
    struct tgc *client;
    struct tg_extract_settings settings; /* the config's, but for what the stream was made with */
    const struct tg_stream_settings *set;
    size_t batch_size;            /* rows with which a batch goes; it may have more */
    tg_stream_monitor_fn monitor;
    void *monitor_ctx;
    struct tg_stream_stats *stats;
    bool delta;

    enum stream_phase phase;
    struct stream_chat *chat; /* by id, once all are found */
    size_t n_chats;
    bool own;                 /* one of them counts in the account's box */
    bool list_asked, listed, state_asked, subscribed;
    size_t n_tops;            /* asked for */
    struct tg_update_state account_state;
    bool account_caught_up, account_moved, any_moved;

    struct tg_store store, change_store; /* of the taker, of the loop */
    struct tg_job_chat *list; /* of the pipeline */
    struct tg_letters letters;
    struct tg_sink_env env;
    struct tg_letter_box box;
    struct tg_sink sink;
    struct tg_pipeline *pipeline;
    struct tg_steps steps;
    struct tg_stage_pool *pool;
    struct tg_change_state *state;
    struct tg_versions *versions; /* NULL: they are not kept */
    struct tg_commit resume;

    struct tg_updates *updates;
    struct stream_item **applied; /* in order, to become rows */
    size_t n_applied, cap_applied;
    size_t held_bytes;            /* of packets that are kept */
    size_t n_asks;
    uint64_t fields;              /* that are compared */
    struct tg_page *page;
    struct tg_buf body;           /* of a page that is put together */

    struct tg_batch *batch;       /* at hand; NULL: none */
    struct tg_batch *spare[STREAM_BATCHES]; /* empty ones */
    size_t n_spare;
    struct tg_batch *waiting;     /* through all steps, with nowhere to go; NULL */
    struct tg_spill spill;        /* what goes before it */
    int64_t batch_us;             /* since when it has rows */
    int64_t linger_us;            /* how long these wait for others */
    int64_t quiet_us;             /* since when nothing has come */
    uint64_t seq;                 /* last change_seq */
    uint64_t batch_seq;
    uint64_t rows_put, commits_seen;
    struct stream_sent {
        uint64_t rows;
        int64_t came_us;
    } *sent; /* batches that are not committed, oldest first: a ring */
    size_t first_sent, n_sent, cap_sent;
    uint64_t rows_out; /* rows of those, and of the batch at hand */
    bool pressed;      /* no more is asked for */

    size_t n_doubted;
    size_t n_scans, n_fetches;
    size_t n_reacted;  /* chats with messages whose reactions have changed */
    int64_t react_us;  /* when those are asked for */

    bool stopping, left;
    int64_t told_us, started_us;
    uint64_t told_rows;
    struct tgc_stats before;
    struct tg_observed_account observed;
    struct tg_observed_run observed_run;
    uint64_t observed_pushes, observed_lost;
    bool sink_away, sink_open; /* as far as it was told */
    tg_code code;
    struct tg_error err;
};

/* ---- stream.c ---- */

void stream_fail(struct stream_run *r, const struct tg_error *err);
void stream_no_memory(struct stream_run *r);
int64_t stream_now(const struct stream_run *r);
void stream_quarantine(struct stream_run *r, int64_t chat_id, int64_t id, const char *reason,
                       const void *bytes, size_t len);

/* ---- stream_chats.c ---- */

/** @return a chat that is watched; NULL */
struct stream_chat *stream_chat_of(const struct stream_run *r, int64_t id);
/** @return whether all chats are found, and each is there once */
bool stream_chats_find(struct stream_run *r, int64_t now_us);
/** @return whether it is known of all where they stand; then their boxes have begun */
bool stream_chats_tops(struct stream_run *r, int64_t now_us);
/** What is remembered of some was found to be damaged meanwhile: they are read again. */
void stream_chats_doubted(struct stream_run *r);
/** It can be watched no longer. */
void stream_chat_lost(struct stream_chat *c, const struct tg_error *why);
void stream_chats_free(struct stream_run *r);

/* ---- stream_boxes.c ---- */

tg_code stream_boxes_open(struct stream_run *r, struct tg_error *err);
void stream_boxes_close(struct stream_run *r);
/** What the server pushed; {NULL, 0}: what it pushed before may be lost. */
void stream_pushed(struct stream_run *r, const uint8_t *bytes, size_t len);
/** Asks for what is due, if there is room. @return when the next is due */
int64_t stream_boxes_step(struct stream_run *r, int64_t now_us);
void stream_item_drop(struct stream_item *item);
/** Whether a box stands elsewhere than is remembered; puts them all into the entry at hand. */
bool stream_boxes_moved(struct stream_run *r);
void stream_boxes_remember(struct stream_run *r);

/* ---- stream_rows.c ---- */

/** Makes rows of the items that were applied. There must be room for them. */
void stream_rows(struct stream_run *r);
/** @return how many rows a packet makes at most */
size_t stream_rows_of(const struct stream_packet *p);
/** Asks for the messages whose reactions have changed, when that is due. */
void stream_reacted(struct stream_run *r, int64_t now_us);
/** Adds a row of a message that was read from a page.
 *  @param named  what it is said to be; what is remembered decides */
void stream_row(struct stream_run *r, struct stream_chat *c, const struct tg_page *page, size_t i,
                enum tg_change_kind named, int32_t pts, int32_t date);
/** Adds the row of a deletion. */
void stream_row_deleted(struct stream_run *r, struct stream_chat *c, int64_t id, int32_t pts,
                        int32_t date);
/** Gives a row of the batch at hand what is kept of the message from before; and keeps the row.
 *  @param before  signature; id 0: it was not there   @param now  NULL: it is not there any more
 *  @return false: it failed */
bool stream_row_versions(struct stream_run *r, struct stream_chat *c, struct tg_row *row,
                         const struct tg_signature *before, const struct tg_signature *now);
/** Gives a row that stands in the batch at hand its change, and counts it. */
void stream_row_mark(struct stream_run *r, struct tg_row *row, enum tg_change_kind kind,
                     int32_t pts, int32_t date);

/* ---- stream_out.c ---- */

/** @return whether so many rows can be added to the batch at hand now */
bool stream_room(struct stream_run *r, size_t n);
/** Something was added: rows, or what is to be remembered. */
void stream_touched(struct stream_run *r);
/** Moves batches on, and sees what is committed. @param flush  the batch at hand goes, too */
void stream_out_step(struct stream_run *r, bool flush, int64_t now_us);
/** @return when the batch at hand is due */
int64_t stream_out_due(const struct stream_run *r);
/** @return whether nothing is on its way to the destination any more */
bool stream_out_empty(const struct stream_run *r);
/** @return TG_NOMEM */
tg_code stream_out_open(struct stream_run *r, struct tg_error *err);
void stream_out_close(struct stream_run *r);
void stream_tell(struct stream_run *r, int64_t now_us, bool last);
/** The same for the observer, if there is one. @param ended  the pipeline has */
void stream_observe(struct stream_run *r, bool ended);

/* ---- stream_scan.c ---- */

/** The chat's history is to be read: anew, or from where that was left. */
void stream_scan_want(struct stream_chat *c, bool anew);
/** Whether the messages from before the job are to be delivered. */
bool stream_scan_wanted(const struct stream_run *r);
void stream_scans_step(struct stream_run *r, int64_t now_us);
bool stream_scans_idle(const struct stream_run *r);
/** A message of the chat came live: what a page tells of it may be older. */
void stream_scan_passed(struct stream_chat *c, int64_t id);
void stream_scan_free(struct stream_scan *s);

/* ---- stream_fetch.c ---- */

/** Asks for messages by id, at most TG_MESSAGES_ASKED. `fetched` is called once, with a page that
 *  lives until it returns, unless the run ends before. @return false: no memory, no access */
bool stream_fetch(struct stream_run *r, int64_t chat, const int32_t *id, size_t n,
                  stream_fetched fetched, void *ctx);

#endif
