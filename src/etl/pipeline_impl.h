/* SPDX-License-Identifier: MIT */
/*
 * pipeline_impl.h - the pipeline from the inside
 *
 *   pipeline.c         what the loop thread calls
 *   pipeline_thread.c  what the taker's thread does with each item
 *   pipeline_spill.c   and with those that come while the destination does not take them
 *
 * Lock protocol: `lock` guards what stands behind it in the struct, and that queue and `over` keep
 * their order; the queue has one of its own. Nothing that blocks is called under it. `taker` is the
 * taker thread's until that has been joined. The store is used by the taker's thread alone;
 * quarantine entries travel through the queue for that reason, and so that a record is in
 * quarantine before a checkpoint passes it.
 */
#ifndef TG_PIPELINE_IMPL_H
#define TG_PIPELINE_IMPL_H

#include "etl/bad_record.h"
#include "etl/pipeline.h"
#include "os/queue.h"
#include "os/scratch.h"

enum item_kind { ITEM_LIST, ITEM_CHAT, ITEM_BATCH, ITEM_LEAVE, ITEM_BAD_RECORD, ITEM_CIRCUIT,
                 ITEM_FALLBACK, ITEM_LETTER };

struct pipeline_item {
    enum item_kind kind;
    int64_t chat_id;
    struct tg_batch *batch;
    const struct tg_job_chat *list; /* or the one chat that begins */
    size_t n_list;
    const struct tg_fallback_request *request;
    uint64_t bytes;                   /* of the batch, as credit counts them */
    struct pipeline_spilled *spilled; /* where its rows are, if they are not in `batch` */
    struct pipeline_item *next;       /* that is held */
    struct tg_buf record; /* quarantine entry; a breaker's; a letter's note */
    char name[TG_BAD_RECORD_NAME]; /* its key within the chat; within the job */
};

/* A chat between begin and left, as the loop thread sees it. */
struct pipeline_chat {
    int64_t id, rows;
    struct tg_commit resume;
    struct tg_fallback_result fallback;
    bool resumed, left;
    bool failed; /* it alone: what comes of it is dropped until it is left */
    struct tg_error err;
};

/* What came while the taker waited for the destination. */
struct pipeline_spill {
    struct pipeline_item *first, **end;
    size_t n;
    uint64_t records;       /* bytes of theirs in memory */
    struct tg_scratch file; /* rows of batches */
    struct tg_buf bytes;    /* of the batch that is written to it */
    struct tg_buf read;     /* of the one that was read back, */
    struct tg_batch *batch; /* whose rows point into them */
    bool full;              /* until nothing is held */
};

struct tg_pipeline {
    struct tg_pipeline_options options;
    struct tg_taker taker; /* the taker thread's, while that runs */
    struct pipeline_spill spill; /* the taker thread's */
    struct tg_queue *queue;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    struct tg_pipeline_state shared;
    struct pipeline_chat *chat;
    size_t n_chats, cap_chats;
    size_t n_queued;
    struct pipeline_item *over, **over_end; /* behind a queue that was full; NULL: none. What comes
                                               goes here too, and no batch is given, until it is
                                               empty: so many records as replies under way have */
    uint64_t bytes_out;
    struct tg_batch **pool;
    size_t n_pool, batches_max;
    atomic_bool no_fallbacks; /* they are to end soon */
};

/* ---- pipeline.c ---- */

/** Under the lock. @return a chat between begin and left; NULL */
struct pipeline_chat *pipeline_find_chat(struct tg_pipeline *p, int64_t chat_id);
/** Takes the next item, if there is one. @return TG_AGAIN; TG_END: there will be none */
tg_code pipeline_pop(struct tg_pipeline *p, struct pipeline_item **ret);
/** Takes an empty batch back, and its credit. */
void pipeline_give_back(struct tg_pipeline *p, struct tg_batch *b, uint64_t bytes);

/* ---- pipeline_thread.c ---- */

/** The taker's thread. */
void *pipeline_thread(void *pipeline);

/* ---- pipeline_spill.c ---- */

void pipeline_spill_init(struct tg_pipeline *p);
void pipeline_spill_done(struct tg_pipeline *p);
/** Takes what waits in the queue aside, as far as there is room, and sees that news is fetched;
 *  struct tg_taker_wait calls it. */
void pipeline_spill(void *pipeline);
/** @return the first item that was taken aside; NULL */
struct pipeline_item *pipeline_held(struct tg_pipeline *p);
/** Reads an item's batch back if it is in the file. */
tg_code pipeline_take_back(struct tg_pipeline *p, struct pipeline_item *item,
                           struct tg_error *err);
/** The batch was taken: gives it back, or forgets what of it was in the file. */
void pipeline_drop_batch(struct tg_pipeline *p, struct pipeline_item *item);

#endif
